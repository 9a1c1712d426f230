"""The provider's MIDI API as a server on the loopback interface. It follows the provider's pages: errors come under HTTP
200, an unknown task is `data: null`, and a request without a User-Agent is refused by the network in front of it.

What tests see here is only what the pages say. The real provider may do more."""

import dataclasses
import json
import threading
import time
import urllib.parse
import uuid

from tests.programs.servers import Server

# More new tasks than this many in so many seconds are refused, not queued.
NEW_TASKS, WINDOW = 20, 10
UNKNOWN = {"code": 200, "msg": "success", "data": None}


def refusal(code, message):
    """An error: under HTTP 200, with a code."""
    return {"code": code, "msg": message, "data": None}


def record(task_id, flag, midi_data=None, code=None, message=None):
    """An answer to record-info. Flag 0 is pending, 1 done, 2 could not be created, 3 failed."""
    return {
        "code": 200,
        "msg": "success",
        "data": {
            "taskId": task_id,
            "recordTaskId": -1,
            "audioId": None,
            "callbackUrl": "https://example.com/callback",
            "completeTime": 1760335255000 if flag else None,
            "createTime": 1760335251000,
            "successFlag": flag,
            "errorCode": code,
            "errorMessage": message,
            "midiData": midi_data,
        },
    }


def slowly(seconds, answer):
    """An answer that is late."""

    def late():
        time.sleep(seconds)
        return answer

    return late


def cut_off(answer):
    """The first half of an answer; then the connection ends."""
    body = json.dumps(answer).encode()
    return 200, {"content-length": len(body), "connection": "close"}, body[: len(body) // 2]


@dataclasses.dataclass
class Request:
    """A request as it arrived."""

    time: float
    method: str
    path: str
    task_id: str
    headers: dict
    body: bytes


class Provider:
    """`with Provider(api_key) as provider:` serves at `provider.url` until the end of the block. With `tls`, an SSL
    context, the URL is https.

    An answer is a JSON value (HTTP 200), a tuple (status, headers, bytes), None to close the connection, or a function
    without arguments that returns one of these."""

    def __init__(self, api_key, tls=None):
        self.api_key = api_key
        self.tls = tls
        self.requests = []
        self.answers = {}
        self.separations = set()
        self.new_tasks = []
        self.lock = threading.Lock()

    def __enter__(self):
        self.server = Server(self.answer, self.tls)
        self.url = f"{'https' if self.tls else 'http'}://{self.server.address}"
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        assert self.server.errors == []

    def script(self, task_id, *answers):
        """What record-info says about a task, one answer after another. The last one is said again and again."""
        with self.lock:
            self.answers[task_id] = list(answers)

    def finish(self, task_id, midi_data, seconds):
        """The task is pending for so many seconds, and then done."""
        done_at = time.monotonic() + seconds
        self.script(task_id, lambda: record(task_id, 1, midi_data) if time.monotonic() >= done_at else record(task_id, 0))

    def asked(self, task_id):
        """When record-info was asked for a task, in seconds of time.monotonic()."""
        with self.lock:
            return [request.time for request in self.requests if request.method == "GET" and request.task_id == task_id]

    def answer(self, handler):
        with self.lock:
            answer = self.answer_to(handler)
        while callable(answer):
            answer = answer()
        if answer is None or isinstance(answer, tuple):
            return answer
        return 200, {"content-type": "application/json"}, json.dumps(answer).encode()

    def answer_to(self, handler):
        url = urllib.parse.urlsplit(handler.path)
        try:
            sent = {} if handler.command == "GET" else json.loads(handler.body)
        except ValueError:
            sent = None
        if not isinstance(sent, dict):
            return refusal(400, "Bad request")
        task_id = sent.get("taskId") or urllib.parse.parse_qs(url.query).get("taskId", [""])[0]
        headers = {name.lower(): value for name, value in handler.headers.items()}
        self.requests.append(Request(time.monotonic(), handler.command, handler.path, task_id, headers, handler.body))

        if not headers.get("user-agent", "").strip():
            return 403, {"content-type": "text/plain"}, b"error code: 1010"
        if headers.get("authorization") != f"Bearer {self.api_key}":
            return refusal(401, "You do not have access permissions")
        match handler.command, url.path:
            case "GET", "/api/v1/midi/record-info":
                answers = self.answers.get(task_id, [UNKNOWN])
                return answers.pop(0) if len(answers) > 1 else answers[0]
            case "POST", "/api/v1/midi/generate":
                return self.generate(sent)
        return refusal(404, "Not found")

    def generate(self, sent):
        if not sent.get("callBackUrl"):
            return refusal(422, "Please enter callBackUrl.")
        if sent.get("taskId") not in self.separations:
            return refusal(422, "Record does not exist")
        now = time.monotonic()
        self.new_tasks = [at for at in self.new_tasks if at > now - WINDOW]
        if len(self.new_tasks) >= NEW_TASKS:
            return refusal(429, "Your call frequency is too high. Please try again later.")
        self.new_tasks.append(now)
        task_id = uuid.uuid4().hex
        self.answers[task_id] = [record(task_id, 0)]
        return {"code": 200, "msg": "success", "data": {"taskId": task_id}}
