"""Hostile and odd requests over HTTP to the deployed template.

Each gets the expected answer, and a refused one stores and queues nothing."""

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
    """A genuine callback. Each case changes something in it."""

    def __init__(self, stack):
        self.signing_key = stack.signing_key
        self.id = uuid.uuid4().hex
        self.timestamp = str(int(time.time()))
        self.body = json.dumps({"code": 200, "data": {"taskId": self.id, "mark": MARK, "instruments": []}}).encode()
        self.method, self.path = "POST", urllib.parse.urlsplit(stack.callback_url).path
        self.headers = [("content-type", "application/json")]
        self.signatures = None
        self.timestamps = None
        self.secrets = {self.signing_key}

    @property
    def signature(self):
        return sign(self.signing_key, self.id, self.timestamp)

    def with_id(self, task_id, /, **data):
        """Uses another task id, and signs it."""
        self.id = task_id
        self.body = json.dumps({"code": 200, "data": {"taskId": task_id, "mark": MARK} | data}).encode("utf-8", "surrogatepass")
        return self

    def signed_as(self, make):
        """Sends another signature, which `make` derives from the right one."""
        self.signatures = [make(self.signature)]
        return self

    def with_body(self, body):
        self.body = body
        return self

    def replaced(self, **members):
        vars(self).update(members)
        return self

    def send(self, stack):
        """Sends the request. Returns the answer's status and its JSON."""
        url = urllib.parse.urlsplit(stack.callback_url)
        context = ssl.create_default_context(cafile=stack.ca)
        connection = http.client.HTTPSConnection(url.hostname, url.port, context=context, timeout=30)
        signatures = [self.signature] if self.signatures is None else self.signatures
        timestamps = [self.timestamp] if self.timestamps is None else self.timestamps
        # No signature that was tried may be in the log. Short texts are left out: the log may contain them by chance.
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


def mac(signing_key, text):
    return hmac.new(signing_key.encode(), text.encode(), hashlib.sha256).digest()


def b64(data):
    return base64.b64encode(data).decode()


def with_url_safe_alphabet(request):
    """Uses a timestamp whose signature has characters that differ between the two base64 alphabets."""
    moment = next(second for second in range(int(request.timestamp), 0, -1) if set("+/") & set(sign(request.signing_key, request.id, str(second))))
    request.timestamp = str(moment)
    return request.signed_as(lambda signature: signature.replace("+", "-").replace("/", "_"))


def moved_by(seconds):
    return lambda r: r.replaced(timestamp=str(int(r.timestamp) + seconds))


def with_timestamp(make):
    """Sends another timestamp, which `make` derives from the current one, and signs it."""
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
    "a signature by another key": (UNAUTHORIZED, lambda r: r.replaced(signatures=[sign("another key", r.id, r.timestamp)])),
    "a signature by an empty key": (UNAUTHORIZED, lambda r: r.replaced(signatures=[sign("", r.id, r.timestamp)])),
    "one character missing": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: s[:-1])),
    "the first 16 bytes of the signature": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: b64(base64.b64decode(s)[:16]))),
    "the first 31 bytes of the signature": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: b64(base64.b64decode(s)[:31]))),
    "one byte too many": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: b64(base64.b64decode(s) + b"\0"))),
    "one bit flipped": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: b64(bytes([base64.b64decode(s)[0] ^ 1]) + base64.b64decode(s)[1:]))),
    "too much padding": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: s + "=")),
    "no padding": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: s.rstrip("="))),
    "url-safe base64": (UNAUTHORIZED, with_url_safe_alphabet),
    "hex": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: base64.b64decode(s).hex())),
    "base64 of hex": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: b64(base64.b64decode(s).hex().encode()))),
    "lower case": (UNAUTHORIZED, lambda r: r.signed_as(str.lower)),
    "a prefix, as other providers send it": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: "sha256=" + s)),
    "a blank inside": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: s[:20] + " " + s[20:])),
    "two signatures in one header": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: f"{s},{s}")),
    "the header twice": (UNAUTHORIZED, lambda r: r.replaced(signatures=[r.signature, r.signature])),
    "a wrong signature, then the right one": (UNAUTHORIZED, lambda r: r.replaced(signatures=[b64(bytes(32)), r.signature])),
    "a signature of 10 kB": (UNAUTHORIZED, lambda r: r.replaced(signatures=["A" * 10_000])),
    "a hash without a key": (UNAUTHORIZED, lambda r: r.replaced(signatures=[b64(hashlib.sha256(f"{r.id}.{r.timestamp}".encode()).digest())])),
    "a signature of the id alone": (UNAUTHORIZED, lambda r: r.replaced(signatures=[b64(mac(r.signing_key, r.id))])),
    "a signature of the timestamp, then the id": (UNAUTHORIZED, lambda r: r.replaced(signatures=[b64(mac(r.signing_key, f"{r.timestamp}.{r.id}"))])),
    "a signature without the dot": (UNAUTHORIZED, lambda r: r.replaced(signatures=[b64(mac(r.signing_key, r.id + r.timestamp))])),
    "a signature of the body": (UNAUTHORIZED, lambda r: r.replaced(signatures=[b64(mac(r.signing_key, r.body.decode()))])),
    "the signature in the query": (UNAUTHORIZED, lambda r: r.replaced(signatures=[], path=f"{r.path}?x-webhook-signature={urllib.parse.quote(r.signature)}")),
    "another task's signature": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: s).with_id(uuid.uuid4().hex)),
    "the signature of another second": (UNAUTHORIZED, lambda r: r.signed_as(lambda s: s).replaced(timestamp=str(int(r.timestamp) - 1))),
    # Timestamps. Each is signed.
    "no timestamp": (UNAUTHORIZED, lambda r: r.replaced(timestamps=[])),
    "an empty timestamp": (UNAUTHORIZED, with_timestamp(lambda t: "")),
    "the timestamp twice": (UNAUTHORIZED, lambda r: r.replaced(timestamps=[r.timestamp, r.timestamp])),
    "a stale timestamp": (UNAUTHORIZED, moved_by(-310)),
    "a timestamp in the future": (UNAUTHORIZED, moved_by(330)),
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
    # Ids that cannot be part of an object name. Only a sender with the signing key is told so.
    "an id with ../": (UNFIT_ID, lambda r: r.with_id("../" + r.id)),
    "an id with a slash": (UNFIT_ID, lambda r: r.with_id(f"{r.id}/x")),
    "an id with a backslash": (UNFIT_ID, lambda r: r.with_id(f"..\\{r.id}")),
    "a dot for an id": (UNFIT_ID, lambda r: r.with_id(".")),
    "two dots for an id": (UNFIT_ID, lambda r: r.with_id("..")),
    "an id with NUL": (UNFIT_ID, lambda r: r.with_id(f"{r.id}\0")),
    "an id with a line break": (UNFIT_ID, lambda r: r.with_id(f"{r.id}\n")),
    "an id with a blank": (UNFIT_ID, lambda r: r.with_id(f"{r.id} ")),
    "an id with an escaped slash": (UNFIT_ID, lambda r: r.with_id(f"{r.id}%2Fx")),
    "an id of 129 characters": (UNFIT_ID, lambda r: r.with_id(r.id * 4 + "x")),
    "an id of 10 kB": (UNFIT_ID, lambda r: r.with_id("x" * 10_000)),
    "an id with a Cyrillic look-alike": (UNFIT_ID, lambda r: r.with_id(f"t\u0430sk{r.id}")),
    "an id with a full-width letter": (UNFIT_ID, lambda r: r.with_id(f"\uff41{r.id}")),
    "an id with a zero-width space": (UNFIT_ID, lambda r: r.with_id(f"{r.id}\u200b")),
    "an id with a right-to-left override": (UNFIT_ID, lambda r: r.with_id(f"\u202e{r.id}")),
    "an id with an emoji": (UNFIT_ID, lambda r: r.with_id(f"\U0001f3b5{r.id}")),
    "an id with ../, unsigned": (UNAUTHORIZED, lambda r: unsigned(r.with_id("../" + r.id))),
    "an id of 10 kB, unsigned": (UNAUTHORIZED, lambda r: unsigned(r.with_id("x" * 10_000))),
    "a lone surrogate for an id": (UNFIT_ID, lambda r: r.with_id("\ud800").replaced(id="\\ud800")),
    "an id of 20 kB": (UNAUTHORIZED, lambda r: r.with_id("x" * 20_000)),
    # Several ids, or none.
    "two ids, the first signed": (SEVERAL_IDS, lambda r: r.with_id(r.id, task_id="another")),
    "two ids, the second signed": (SEVERAL_IDS, lambda r: r.with_body(json.dumps({"taskId": "x", "task_id": r.id, "mark": MARK}).encode())),
    "two ids, neither signed": (UNAUTHORIZED, lambda r: unsigned(r.with_id(r.id, task_id="another"))),
    "the same name with two ids": (SEVERAL_IDS, lambda r: r.with_body(f'{{"taskId":"{r.id}","taskId":"x","mark":"{MARK}"}}'.encode())),
    "the same id a hundred times": (MALFORMED, lambda r: r.with_body(r.body.replace(b"{", b"{" + f'"taskId":"{r.id}",'.encode() * 100, 1))),
    "no id": (MALFORMED, lambda r: r.with_body(json.dumps({"code": 200, "data": {"mark": MARK}}).encode())),
    "an empty id": (MALFORMED, lambda r: r.with_id("")),
    "null for an id": (MALFORMED, lambda r: r.with_id(None).replaced(id="")),
    "a list for an id": (MALFORMED, lambda r: r.with_body(json.dumps({"taskId": [r.id], "mark": MARK}).encode())),
    "an object with an id for an id": (MALFORMED, lambda r: r.with_body(json.dumps({"taskId": {"taskId": r.id}, "mark": MARK}).encode())),
    "an id in another place": (MALFORMED, lambda r: r.with_body(json.dumps({"data": [{"taskId": r.id}], "mark": MARK}).encode())),
    # Bodies that are not JSON.
    "no body": (MALFORMED, lambda r: r.with_body(b"")),
    "only blanks": (MALFORMED, lambda r: r.with_body(b" \n\t")),
    "plain text": (MALFORMED, lambda r: r.with_body(MARK.encode())),
    "a form": (MALFORMED, lambda r: r.with_body(f"taskId={r.id}&mark={MARK}".encode())),
    "XML": (MALFORMED, lambda r: r.with_body(f"<taskId>{r.id}</taskId><!-- {MARK} -->".encode())),
    "UTF-16": (MALFORMED, lambda r: r.with_body(r.body.decode().encode("utf-16"))),
    "gzip": (MALFORMED, lambda r: r.with_body(gzip.compress(r.body))),
    "gzip, with its content encoding": (MALFORMED, lambda r: r.with_body(gzip.compress(r.body)).replaced(headers=[("content-encoding", "gzip")])),
    "a body cut off": (NOT_JSON, lambda r: r.with_body(r.body[:-3])),
    "a body cut off, unsigned": (UNAUTHORIZED, lambda r: unsigned(r.with_body(r.body[:-3]))),
    "the body twice": (NOT_JSON, lambda r: r.with_body(r.body * 2)),
    "a comma too many": (NOT_JSON, lambda r: r.with_body(r.body[:-1] + b",}")),
    "single quotes": (MALFORMED, lambda r: r.with_body(r.body.replace(b'"', b"'"))),
    # Size and depth.
    "100,000 levels, unsigned": (UNAUTHORIZED, lambda r: unsigned(nested(r, 100_000))),
    "2,900,000 levels, unsigned": (UNAUTHORIZED, lambda r: unsigned(nested(r, 2_900_000))),
    "5.9 MB, unsigned": (UNAUTHORIZED, lambda r: unsigned(r.with_id(r.id, x="y" * 5_900_000))),
    "6 MB and one byte": (TOO_LARGE, lambda r: r.with_body(r.body.ljust(6 * 1024 * 1024 + 1))),
    # Other methods and paths.
    **{f"{method} /callback": (NOT_FOUND, lambda r, method=method: r.replaced(method=method)) for method in ("GET", "PUT", "PATCH", "DELETE")},
    **{f"POST …{tail}": (NOT_FOUND, lambda r, tail=tail: r.replaced(path=r.path + tail)) for tail in ("/", "/x", "x", "%2f..", "/../callback/x", ";x=1")},
    "POST /Callback": (NOT_FOUND, lambda r: r.replaced(path=r.path.replace("/callback", "/Callback"))),
    # Odd, but genuine. Refusing one of these would lose a song.
    "genuine": (ACCEPTED, lambda r: r),
    "a byte order mark": (ACCEPTED, lambda r: r.with_body(b"\xef\xbb\xbf" + r.body)),
    "100,000 levels": (ACCEPTED, lambda r: nested(r, 100_000)),
    "huge numbers": (ACCEPTED, lambda r: r.with_body(r.body.replace(b'"code"', b'"x": [1e999, -1e-999, ' + b"9" * 5000 + b'], "code"'))),
    "the same id twice": (ACCEPTED, lambda r: r.with_id(r.id, task_id=r.id)),
    "the same name twice": (ACCEPTED, lambda r: r.with_body(r.body.replace(b'"mark"', b'"mark": 1, "mark"'))),
    "bytes that are not UTF-8": (ACCEPTED, lambda r: r.with_body(r.body.replace(b'"mark"', b'"\xff\xfe"')).replaced(headers=[("content-type", "application/octet-stream")])),
    "a lone surrogate": (ACCEPTED, lambda r: r.with_body(r.body.replace(b'"mark"', b'"\\ud800"'))),
    "no content type": (ACCEPTED, lambda r: r.replaced(headers=[])),
    "another content type": (ACCEPTED, lambda r: r.replaced(headers=[("content-type", "application/octet-stream")])),
    "a query": (ACCEPTED, lambda r: r.replaced(path=r.path + "?x=1&y=../..")),
    "a malformed query": (ACCEPTED, lambda r: r.replaced(path=r.path + '?<x>="|^')),
    "an invalid protocol": (ACCEPTED, lambda r: r.replaced(headers=[("x-forwarded-proto", "1")])),
    "two protocols": (ACCEPTED, lambda r: r.replaced(headers=[("x-forwarded-proto", "https,http")])),
    "headers of proxies": (ACCEPTED, lambda r: r.replaced(headers=[("x-forwarded-for", "127.0.0.1"), ("x-http-method-override", "DELETE")])),
    "5.9 MB": (ACCEPTED, lambda r: r.with_id(r.id, x="y" * 5_900_000)),
}


@pytest.fixture(scope="module")
def tried():
    """All requests of this module, so that the last test can search the log for their secrets."""
    return []


@pytest.fixture(scope="module")
def before(stack):
    """The names of the objects that were in the bucket before this module."""
    wait_for("the queue to drain", lambda: stack.queued() == 0)
    return set(stack.object_names())


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_request_gets_its_answer_and_stores_nothing(stack, before, tried, case):
    expected, spoil = CASES[case]
    request = spoil(Request(stack))
    there = set(stack.object_names("raw/"))
    status, answer = request.send(stack)
    tried.append((request, expected))
    if expected == ACCEPTED:
        assert (status, answer) == (200, {"status": "accepted", "taskId": request.id})
        name = f"raw/{request.id}/{hashlib.sha256(request.body).hexdigest()}.json"
        assert stack.read(name) == request.body
        stack.result(request.id)
        return
    if expected == NOT_JSON:
        assert status == 400 and answer["error"].startswith(NOT_JSON), answer
    else:
        assert (status, answer) == expected
    assert set(stack.object_names("raw/")) == there


def test_hostile_requests_queue_nothing_and_log_no_secret(stack, before, tried):
    assert len(CASES) >= 60
    if not tried:
        pytest.skip("nothing was tried")
    after = uuid.uuid4().hex
    assert stack.post(Request(stack).with_id(after).body, after).status_code == 200
    stack.result(after)
    # A job that fails would be tried again for half an hour.
    wait_for("the queue to drain", lambda: stack.queued() == 0, seconds=10)
    assert stack.queued("RenderDeadLetterQueueUrl") == 0
    # A job of a refused request would have made a result, possibly under another id.
    accepted = {request.id for request, expected in tried if expected == ACCEPTED} | {after}
    assert {name.split("/")[1] for name in set(stack.object_names("raw/")) - before} == accepted
    assert {name for name in set(stack.object_names("midi/")) - before if name.endswith(".json")} == {f"midi/{task_id}.json" for task_id in accepted}

    wait_for("the log", lambda: any(after in line and "accepted" in line for line in stack.logs()))
    log = "\n".join(stack.logs())
    assert MARK not in log
    for request, _ in tried:
        assert not [secret for secret in request.secrets if secret in log]
