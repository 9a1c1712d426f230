"""An AWS account in memory and the Runtime API of Lambda, with which a built function runs without a stack."""

import dataclasses
import json
import pathlib
import queue
import threading
import time

from tests.local_stack.stack import ROOT, sign, wait_for
from tests.programs.bucket import Bucket
from tests.programs.functions import FOREVER, running, settings
from tests.programs.servers import Server

SIGNING_KEY = "test-key"
REQUEST_ID = "00000000-0000-4000-8000-000000000001"
REQUEST, MESSAGE = (json.loads((ROOT / "events" / name).read_text()) for name in ("request-success.json", "sqs-job.json"))


class Account(Bucket):
    """A bucket, a secret with the signing key, and queues: `queues` has the messages of each by its name."""

    def __init__(self, tls=None):
        super().__init__(tls=tls)
        self.queues = {name: queue.SimpleQueue() for name in ("render", "results", "watch")}

    def settings(self, function):
        """The environment of a function that uses this account."""
        urls = {f"{name.upper()}_QUEUE_URL": f"{self.url}/{name}" for name in self.queues}
        usual = {"BUCKET": "bucket", "KEY_SECRET_ID": "key", "PROVIDER_KEY_SECRET_ID": ""} | urls
        # Names and ids are as long as on AWS, because they are in the logs.
        name = f"midihook-{function}-Ab1Cd2Ef3Gh4"
        return settings(function, usual) | {"AWS_ENDPOINT_URL": self.url, "AWS_LAMBDA_FUNCTION_NAME": name}

    def queued(self, request):
        """Secrets Manager, or SQS."""
        if request.get("VersionStage") == "AWSPREVIOUS":
            return 400, {}, json.dumps({"__type": "ResourceNotFoundException"}).encode()
        if "SecretId" in request:
            return 200, {}, json.dumps({"SecretString": SIGNING_KEY}).encode()
        if "MessageBody" not in request:
            return 200, {}, b"{}"
        self.queues[request["QueueUrl"].rpartition("/")[2]].put(request["MessageBody"])
        return 200, {}, json.dumps({"MessageId": "m"}).encode()

    def waiting(self, name):
        """The events of the messages in a queue, which are taken from it."""
        messages = self.queues[name]
        return [message(messages.get()) for _ in range(messages.qsize())]


class RuntimeApi:
    """Hands out events to one function, each after the answer to the one before it. `events` is an iterator, which may
    wait; `answered` takes each answer. The function has `timeout` seconds for each."""

    def __init__(self, events, answered, timeout=60):
        self.events, self.answered, self.timeout = events, answered, timeout
        self.asked, self.begun, self.over = threading.Event(), threading.Event(), threading.Event()
        self.errors = []
        self.server = Server(self.answer)
        self.address = self.server.address

    def wait_for_start(self):
        """Waits until the function has asked for an event. It gets none before serve()."""
        wait_for("the function to start", self.asked.is_set, every=0.001)

    def serve(self, process, seconds=60):
        """Waits until the function has answered all events, or has ended."""
        self.begun.set()
        wait_for("the answers", lambda: self.over.is_set() or process.poll() is not None, seconds, every=0.001)

    def close(self):
        self.server.shutdown()
        assert self.server.errors == []

    def answer(self, handler):
        if handler.path.endswith("/next"):
            self.asked.set()
            self.begun.wait()
            if (event := next(self.events, None)) is None:
                self.over.set()
                time.sleep(FOREVER)
            deadline = str(int(1e3 * (time.time() + self.timeout)))
            headers = {"lambda-runtime-aws-request-id": REQUEST_ID, "lambda-runtime-deadline-ms": deadline}
            return 200, headers, json.dumps(event).encode()
        answer = json.loads(handler.body)
        if handler.path.endswith("/error"):
            self.errors.append(answer)
        self.answered(answer)
        return 202, {}, b""


@dataclasses.dataclass
class Run:
    """The processor time of a function, in seconds: until it first asked for an event, and from then on. And its log."""

    starting: float
    working: float
    log: str = ""


def run(account, function, events, answered=lambda answer: None, seconds=600):
    """Runs a function until it has answered all events."""
    api = RuntimeApi(events, answered)
    try:
        with running(function, api.address, account.settings(function)) as process:
            api.wait_for_start()
            starting = processor_seconds(process)
            api.serve(process, seconds)
            done = Run(starting, processor_seconds(process) - starting)
    finally:
        api.close()
    assert api.over.is_set() and not api.errors, f"{function}: {api.errors}\n{process.log[-2000:]}"
    done.log = process.log
    return done


def processor_seconds(process):
    """The processor time that a running process has used."""
    threads = pathlib.Path(f"/proc/{process.pid}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def request(task_id, body):
    """The event of a signed callback."""
    timestamp = str(int(time.time()))
    signed = {"x-webhook-timestamp": timestamp, "x-webhook-signature": sign(SIGNING_KEY, task_id, timestamp)}
    return REQUEST | {"headers": REQUEST["headers"] | signed, "body": body}


def small(task_id):
    """The event of a signed callback of 1 kB."""
    return request(task_id, json.dumps({"code": 200, "msg": "x" * 900, "data": {"taskId": task_id}}))


def message(body):
    """The event of a message."""
    return {"Records": [MESSAGE["Records"][0] | {"body": body}]}
