"""Hostile requests over HTTP to the deployed template: each has its answer, and leaves nothing that it should not."""

import base64
import gzip
import hashlib
import hmac
import http.client
import json
import ssl
import time
import urllib.parse
import uuid

import pytest

from tests.local_stack.stack import sign, wait_for

MARK = "hostile-body-marker"
UNAUTHORIZED = (401, {"error": "unauthorized"})
MALFORMED = (400, {"error": "malformed"})
SEVERAL_IDS = (400, {"error": "the body names more than one task id"})
UNFIT_ID = (400, {"error": 'the task id must be 1 to 128 characters of A-Z a-z 0-9 . _ - and neither "." nor ".."'})
TOO_LARGE = (413, {"error": "the body is too large"})
NOT_FOUND = (404, {"message": "Not Found"})
ACCEPTED = "accepted"
NOT_JSON = "the body is not JSON"


class Request:
    """A genuine callback; each case spoils something of it."""

    def __init__(self, stack):
        self.key = stack.key
        self.id = uuid.uuid4().hex
        self.timestamp = str(int(time.time()))
        self.body = json.dumps({"code": 200, "data": {"taskId": self.id, "mark": MARK, "instruments": []}}).encode()
        self.method, self.path = "POST", urllib.parse.urlsplit(stack.callback_url).path
        self.headers = [("content-type", "application/json")]
        self.signatures = None
        self.timestamps = None
        self.secrets = {self.key}

    @property
    def signature(self):
        return sign(self.key, self.id, self.timestamp)

    def with_id(self, task_id, /, **data):
        """Another id, signed."""
        self.id = task_id
        self.body = json.dumps({"code": 200, "data": {"taskId": task_id, "mark": MARK} | data}).encode("utf-8", "surrogatepass")
        return self

    def signed_as(self, make):
        """Another text for a signature, made of the true one."""
        self.signatures = [make(self.signature)]
        return self

    def with_body(self, body):
        self.body = body
        return self

    def replaced(self, **members):
        vars(self).update(members)
        return self

    def send(self, stack):
        """The status and the JSON of the answer."""
        url = urllib.parse.urlsplit(stack.callback_url)
        context = ssl.create_default_context(cafile=stack.ca)
        connection = http.client.HTTPSConnection(url.hostname, url.port, context=context, timeout=30)
        signatures = [self.signature] if self.signatures is None else self.signatures
        timestamps = [self.timestamp] if self.timestamps is None else self.timestamps
        # Whatever was tried may not be in the log; short texts may be there by chance.
        self.secrets |= {text for text in signatures if len(text) > 20} | {self.signature}
        connection.putrequest(self.method, self.path, skip_accept_encoding=True)
        for name, value in self.headers:
            connection.putheader(name, value)
        for value in timestamps:
            connection.putheader("x-webhook-timestamp", value.encode())
        for value in signatures:
            connection.putheader("x-webhook-signature", value.encode())
        connection.putheader("content-length", str(len(self.body)))
        connection.endheaders(self.body)
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text else None


def mac(key, text):
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()


def b64(data):
    return base64.b64encode(data).decode()


def with_url_safe_alphabet(request):
    """At a moment whose signature has characters in which the two alphabets differ."""
    moment = next(second for second in range(int(request.timestamp), 0, -1) if set("+/") & set(sign(request.key, request.id, str(second))))
    request.timestamp = str(moment)
    return request.signed_as(lambda signature: signature.replace("+", "-").replace("/", "_"))


def moved_by(seconds):
    return lambda r: r.replaced(timestamp=str(int(r.timestamp) + seconds))


def with_timestamp(make):
    """Another text for a timestamp, which the key signed."""
    return lambda r: r.replaced(timestamp=make(r.timestamp))


def nested(r, levels):
    return r.with_body(f'{{"x":{"[" * levels}{"]" * levels},"taskId":"{r.id}","mark":"{MARK}"}}'.encode())


def unsigned(r):
    return r.replaced(signatures=[b64(bytes(32))])


CASES = {
    # Signatures.
    "no signature": (UNAUTHORIZED, lambda r: r.replaced(signatures=[])),
    "an empty signature": (UNAUTHORIZED, lambda r: r.replaced(signatures=[""])),
    "a signature of zeros": (UNAUTHORIZED, unsigned),
    "another key's signature": (UNAUTHORIZED, lambda r: r.replaced(signatures=[sign("another key", r.id, r.timestamp)])),
    "an empty key's signature": (UNAUTHORIZED, lambda r: r.replaced(signatures=[sign("", r.id, r.timestamp)])),
    "one character less": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: s[:-1])),
    "half of the signature": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: b64(base64.b64decode(s)[:16]))),
    "31 bytes of the signature": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: b64(base64.b64decode(s)[:31]))),
    "a byte more": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: b64(base64.b64decode(s) + b"\0"))),
    "one bit off": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: b64(bytes([base64.b64decode(s)[0] ^ 1]) + base64.b64decode(s)[1:]))),
    "too much padding": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: s + "=")),
    "no padding": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: s.rstrip("="))),
    "url-safe base64": (UNAUTHORIZED, with_url_safe_alphabet),
    "hex": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: base64.b64decode(s).hex())),
    "base64 of hex": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: b64(base64.b64decode(s).hex().encode()))),
    "lower case": (UNAUTHORIZED, lambda r: r.signed_as(str.lower)),
    "a prefix as other providers have": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: "sha256=" + s)),
    "a blank within": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: s[:20] + " " + s[20:])),
    "two in one header": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: f"{s},{s}")),
    "the header twice": (UNAUTHORIZED, lambda r: r.replaced(signatures=[r.signature, r.signature])),
    "a wrong one, then the right one": (UNAUTHORIZED, lambda r: r.replaced(signatures=[b64(bytes(32)), r.signature])),
    "10 kB of signature": (UNAUTHORIZED, lambda r: r.replaced(signatures=["A" * 10_000])),
    "a hash without a key": (UNAUTHORIZED, lambda r: r.replaced(signatures=[b64(hashlib.sha256(f"{r.id}.{r.timestamp}".encode()).digest())])),
    "of the id alone": (UNAUTHORIZED, lambda r: r.replaced(signatures=[b64(mac(r.key, r.id))])),
    "of the time before the id": (UNAUTHORIZED, lambda r: r.replaced(signatures=[b64(mac(r.key, f"{r.timestamp}.{r.id}"))])),
    "without the dot": (UNAUTHORIZED, lambda r: r.replaced(signatures=[b64(mac(r.key, r.id + r.timestamp))])),
    "of the body": (UNAUTHORIZED, lambda r: r.replaced(signatures=[b64(mac(r.key, r.body.decode()))])),
    "in the query": (UNAUTHORIZED, lambda r: r.replaced(signatures=[], path=f"{r.path}?x-webhook-signature={urllib.parse.quote(r.signature)}")),
    "used for another id": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: s).with_id(uuid.uuid4().hex)),
    "used at another time": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: s).replaced(timestamp=str(int(r.timestamp) - 1))),
    # Timestamps, each signed.
    "no timestamp": (UNAUTHORIZED, lambda r: r.replaced(timestamps=[])),
    "an empty timestamp": (UNAUTHORIZED, with_timestamp(lambda t: "")),
    "the timestamp twice": (UNAUTHORIZED, lambda r: r.replaced(timestamps=[r.timestamp, r.timestamp])),
    "a stale timestamp": (UNAUTHORIZED, moved_by(-310)),
    "a timestamp ahead": (UNAUTHORIZED, moved_by(330)),
    "a timestamp of the year 1970": (UNAUTHORIZED, with_timestamp(lambda t: "0")),
    "milliseconds": (UNAUTHORIZED, with_timestamp(lambda t: t + "000")),
    "a negative timestamp": (UNAUTHORIZED, with_timestamp(lambda t: "-" + t)),
    "a plus sign": (UNAUTHORIZED, with_timestamp(lambda t: "+" + t)),
    "a fraction": (UNAUTHORIZED, with_timestamp(lambda t: t + ".0")),
    "an exponent": (UNAUTHORIZED, with_timestamp(lambda t: "1e9")),
    "a hexadecimal timestamp": (UNAUTHORIZED, with_timestamp(lambda t: hex(int(t)))),
    "a timestamp of 30 digits": (UNAUTHORIZED, with_timestamp(lambda t: "9" * 30)),
    "a timestamp of 10 kB": (UNAUTHORIZED, with_timestamp(lambda t: "0" * 10_000 + t)),
    "full-width digits": (UNAUTHORIZED, with_timestamp(lambda t: t.translate({ord("0") + n: 0xFF10 + n for n in range(10)}))),
    "a date": (UNAUTHORIZED, with_timestamp(lambda t: "2026-11-24T00:00:00Z")),
    # Ids that cannot be keys, each signed: only who has the key is told.
    "an id that climbs": (UNFIT_ID, lambda r: r.with_id("../" + r.id)),
    "an id with a slash": (UNFIT_ID, lambda r: r.with_id(f"{r.id}/x")),
    "an id with a backslash": (UNFIT_ID, lambda r: r.with_id(f"..\\{r.id}")),
    "a dot": (UNFIT_ID, lambda r: r.with_id(".")),
    "two dots": (UNFIT_ID, lambda r: r.with_id("..")),
    "an id with NUL": (UNFIT_ID, lambda r: r.with_id(f"{r.id}\0")),
    "an id with a line break": (UNFIT_ID, lambda r: r.with_id(f"{r.id}\n")),
    "an id with a blank": (UNFIT_ID, lambda r: r.with_id(f"{r.id} ")),
    "an escaped slash": (UNFIT_ID, lambda r: r.with_id(f"{r.id}%2Fx")),
    "an id of 129 characters": (UNFIT_ID, lambda r: r.with_id(r.id * 4 + "x")),
    "an id of 10 kB": (UNFIT_ID, lambda r: r.with_id("x" * 10_000)),
    "a Cyrillic look-alike": (UNFIT_ID, lambda r: r.with_id(f"t\u0430sk{r.id}")),
    "full-width letters": (UNFIT_ID, lambda r: r.with_id(f"\uff41{r.id}")),
    "a zero-width space": (UNFIT_ID, lambda r: r.with_id(f"{r.id}\u200b")),
    "a right-to-left override": (UNFIT_ID, lambda r: r.with_id(f"\u202e{r.id}")),
    "an emoji": (UNFIT_ID, lambda r: r.with_id(f"\U0001f3b5{r.id}")),
    "an id that climbs, unsigned": (UNAUTHORIZED, lambda r: unsigned(r.with_id("../" + r.id))),
    "an id of 10 kB, unsigned": (UNAUTHORIZED, lambda r: unsigned(r.with_id("x" * 10_000))),
    "half a surrogate pair for an id": (UNFIT_ID, lambda r: r.with_id("\ud800").replaced(id="\\ud800")),
    "an id of 20 kB": (UNAUTHORIZED, lambda r: r.with_id("x" * 20_000)),
    # Ids that contradict each other, or are none.
    "two ids, the first signed": (SEVERAL_IDS, lambda r: r.with_id(r.id, task_id="another")),
    "two ids, the second signed": (SEVERAL_IDS, lambda r: r.with_body(json.dumps({"taskId": "x", "task_id": r.id, "mark": MARK}).encode())),
    "two ids, neither signed": (UNAUTHORIZED, lambda r: unsigned(r.with_id(r.id, task_id="another"))),
    "the same name with two ids": (SEVERAL_IDS, lambda r: r.with_body(f'{{"taskId":"{r.id}","taskId":"x","mark":"{MARK}"}}'.encode())),
    "the same id a hundred times": (MALFORMED, lambda r: r.with_body(r.body.replace(b"{", b"{" + f'"taskId":"{r.id}",'.encode() * 100, 1))),
    "no id": (MALFORMED, lambda r: r.with_body(json.dumps({"code": 200, "data": {"mark": MARK}}).encode())),
    "an empty id": (MALFORMED, lambda r: r.with_id("")),
    "null for an id": (MALFORMED, lambda r: r.with_id(None).replaced(id="")),
    "a list for an id": (MALFORMED, lambda r: r.with_body(json.dumps({"taskId": [r.id], "mark": MARK}).encode())),
    "an id within an id": (MALFORMED, lambda r: r.with_body(json.dumps({"taskId": {"taskId": r.id}, "mark": MARK}).encode())),
    "an id elsewhere": (MALFORMED, lambda r: r.with_body(json.dumps({"data": [{"taskId": r.id}], "mark": MARK}).encode())),
    # Bodies that are no JSON.
    "no body": (MALFORMED, lambda r: r.with_body(b"")),
    "blanks": (MALFORMED, lambda r: r.with_body(b" \n\t")),
    "a text": (MALFORMED, lambda r: r.with_body(MARK.encode())),
    "a form": (MALFORMED, lambda r: r.with_body(f"taskId={r.id}&mark={MARK}".encode())),
    "XML": (MALFORMED, lambda r: r.with_body(f"<taskId>{r.id}</taskId><!-- {MARK} -->".encode())),
    "UTF-16": (MALFORMED, lambda r: r.with_body(r.body.decode().encode("utf-16"))),
    "gzip": (MALFORMED, lambda r: r.with_body(gzip.compress(r.body))),
    "gzip, and said so": (MALFORMED, lambda r: r.with_body(gzip.compress(r.body)).replaced(headers=[("content-encoding", "gzip")])),
    "cut off": (NOT_JSON, lambda r: r.with_body(r.body[:-3])),
    "cut off, unsigned": (UNAUTHORIZED, lambda r: unsigned(r.with_body(r.body[:-3]))),
    "twice": (NOT_JSON, lambda r: r.with_body(r.body * 2)),
    "a comma too much": (NOT_JSON, lambda r: r.with_body(r.body[:-1] + b",}")),
    "single quotes": (MALFORMED, lambda r: r.with_body(r.body.replace(b'"', b"'"))),
    # Size and depth.
    "100,000 levels, unsigned": (UNAUTHORIZED, lambda r: unsigned(nested(r, 100_000))),
    "2,900,000 levels, unsigned": (UNAUTHORIZED, lambda r: unsigned(nested(r, 2_900_000))),
    "5.9 MB, unsigned": (UNAUTHORIZED, lambda r: unsigned(r.with_id(r.id, x="y" * 5_900_000))),
    "6 MB and a byte": (TOO_LARGE, lambda r: r.with_body(r.body.ljust(6 * 1024 * 1024 + 1))),
    # Other ways in.
    **{f"{method} /callback": (NOT_FOUND, lambda r, method=method: r.replaced(method=method)) for method in ("GET", "PUT", "PATCH", "DELETE")},
    **{f"POST …{tail}": (NOT_FOUND, lambda r, tail=tail: r.replaced(path=r.path + tail)) for tail in ("/", "/x", "x", "%2f..", "/../callback/x", ";x=1")},
    "POST /Callback": (NOT_FOUND, lambda r: r.replaced(path=r.path.replace("/callback", "/Callback"))),
    # Odd, but genuine: refused, it would be a lost song.
    "genuine": (ACCEPTED, lambda r: r),
    "a byte order mark": (ACCEPTED, lambda r: r.with_body(b"\xef\xbb\xbf" + r.body)),
    "100,000 levels": (ACCEPTED, lambda r: nested(r, 100_000)),
    "huge numbers": (ACCEPTED, lambda r: r.with_body(r.body.replace(b"200", b"200, \"x\": [1e999, -1e-999, " + b"9" * 5000 + b"]"))),
    "the same id twice": (ACCEPTED, lambda r: r.with_id(r.id, task_id=r.id)),
    "repeated names": (ACCEPTED, lambda r: r.with_body(r.body.replace(b'"mark"', b'"mark": 1, "mark"'))),
    "bytes that are not UTF-8": (ACCEPTED, lambda r: r.with_body(r.body.replace(b'"mark"', b'"\xff\xfe"')).replaced(headers=[("content-type", "application/octet-stream")])),
    "half a surrogate pair": (ACCEPTED, lambda r: r.with_body(r.body.replace(b'"mark"', b'"\\ud800"'))),
    "no content type": (ACCEPTED, lambda r: r.replaced(headers=[])),
    "another content type": (ACCEPTED, lambda r: r.replaced(headers=[("content-type", "application/octet-stream")])),
    "a query": (ACCEPTED, lambda r: r.replaced(path=r.path + "?x=1&y=../..")),
    "a query that is none": (ACCEPTED, lambda r: r.replaced(path=r.path + '?<x>="|^')),
    "a protocol that is none": (ACCEPTED, lambda r: r.replaced(headers=[("x-forwarded-proto", "1")])),
    "two protocols": (ACCEPTED, lambda r: r.replaced(headers=[("x-forwarded-proto", "https,http")])),
    "headers of proxies": (ACCEPTED, lambda r: r.replaced(headers=[("x-forwarded-for", "127.0.0.1"), ("x-http-method-override", "DELETE")])),
    "5.9 MB": (ACCEPTED, lambda r: r.with_id(r.id, x="y" * 5_900_000)),
}


@pytest.fixture(scope="module")
def tried():
    """What was sent, to be looked for in the log."""
    return []


@pytest.fixture(scope="module")
def before(stack):
    """What was in the bucket before."""
    wait_for("the queue to drain", lambda: stack.queued() == 0)
    return set(stack.keys())


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_request_has_its_answer_and_leaves_nothing(stack, before, tried, name):
    expected, spoil = CASES[name]
    request = spoil(Request(stack))
    there = set(stack.keys("raw/"))
    status, answer = request.send(stack)
    tried.append((request, expected))
    if expected == ACCEPTED:
        assert (status, answer) == (200, {"status": "accepted", "taskId": request.id})
        key = f"raw/{request.id}/{hashlib.sha256(request.body).hexdigest()}.json"
        assert stack.read(key) == request.body
        stack.result(request.id)
        return
    if expected == NOT_JSON:
        assert status == 400 and answer["error"].startswith(NOT_JSON), answer
    else:
        assert (status, answer) == expected
    assert set(stack.keys("raw/")) == there


def test_afterwards_nothing_is_queued_and_nothing_secret_is_logged(stack, before, tried):
    assert len(CASES) >= 60
    if not tried:
        pytest.skip("nothing was tried")
    after = uuid.uuid4().hex
    assert stack.post(Request(stack).with_id(after).body, after).status_code == 200
    stack.result(after)
    # A job that cannot be rendered would be tried again for half an hour.
    wait_for("the queue to drain", lambda: stack.queued() == 0, seconds=10)
    assert stack.queued("RenderDeadLetterQueueUrl") == 0
    # A job of a refused request would have become a result, under whatever id.
    accepted = {request.id for request, expected in tried if expected == ACCEPTED} | {after}
    assert {key.split("/")[1] for key in set(stack.keys("raw/")) - before} == accepted
    assert {key for key in set(stack.keys("midi/")) - before if key.endswith(".json")} == {f"midi/{task_id}.json" for task_id in accepted}

    wait_for("the log", lambda: any(after in line and "accepted" in line for line in stack.logs()))
    log = "\n".join(stack.logs())
    assert MARK not in log
    for request, _ in tried:
        assert not [secret for secret in request.secrets if secret in log]
