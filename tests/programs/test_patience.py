"""The built receiver while AWS is slow or silent. It answers within 10 s, so the provider gets a 503 and calls again.

It runs as on Lambda, with a runtime API that has one event, and with AWS endpoints that answer late or never."""

import json
import threading
import time

import pytest

from tests.local_stack.stack import ROOT, sign
from tests.programs.functions import FOREVER, running
from tests.programs.servers import Server
from tests.programs.template import properties

SIGNING_KEY = "test-key"
# How long a service stays silent, in seconds from the first request to it.
LATE, SILENT = 2.5, FOREVER
# How long the provider waits for an answer, in seconds.
PROVIDER_WAITS = 15


def service(silence, served, body=b""):
    """An AWS service that answers no request within `silence` seconds of the first one for a callback, and none before
    that: what the receiver prepares is silent too."""
    first = []

    def answer(_):
        if not served and silence:
            time.sleep(FOREVER)
        first.append(time.monotonic())
        if time.monotonic() - first[0] < silence:
            time.sleep(FOREVER)
        return 200, {"content-type": "application/x-amz-json-1.1"}, body

    return Server(answer)


def request(task_id):
    """The event of a signed callback."""
    event = json.loads((ROOT / "events" / "request-success.json").read_text())
    timestamp = str(int(time.time()))
    event["headers"] |= {"x-webhook-timestamp": timestamp, "x-webhook-signature": sign(SIGNING_KEY, task_id, timestamp)}
    event["body"] = json.dumps({"taskId": task_id, "code": 200})
    return json.dumps(event).encode()


def answer(secrets, s3, sqs):
    """Sends one callback while each service is silent for some seconds.

    Returns the status of the answer, how many seconds it took, and the receiver's log."""
    answered, served = threading.Event(), []
    result = {}

    def runtime(handler):
        if handler.path.endswith("/invocation/next"):
            if served:
                time.sleep(FOREVER)
            served.append(time.monotonic())
            deadline = str(int((time.time() + properties("ReceiverFunction")["Timeout"]) * 1000))
            return 200, {"lambda-runtime-aws-request-id": "1", "lambda-runtime-deadline-ms": deadline}, request("t")
        result["seconds"] = time.monotonic() - served[0]
        result["answer"] = json.loads(handler.body)
        answered.set()
        return 200, {}, b""

    servers = [
        Server(runtime),
        service(secrets, served, json.dumps({"SecretString": SIGNING_KEY}).encode()),
        service(s3, served),
        service(sqs, served, json.dumps({"MessageId": "1"}).encode()),
    ]
    api, *aws = [server.address for server in servers]
    settings = {
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": f"http://{aws[0]}",
        "AWS_ENDPOINT_URL_S3": f"http://{aws[1]}",
        "AWS_ENDPOINT_URL_SQS": f"http://{aws[2]}",
        "AWS_ENDPOINT_URL": f"http://{aws[1]}",
        "KEY_SECRET_ID": "secret",
        "BUCKET": "bucket",
        "RENDER_QUEUE_URL": f"http://{aws[2]}/000000000000/queue",
        "TOLERANCE_SECONDS": "300",
        "UNSIGNED_CALLBACKS": "refuse",
    }
    try:
        with running("ReceiverFunction", api, settings) as receiver:
            assert answered.wait(PROVIDER_WAITS), "no answer"
    finally:
        for server in servers:
            server.shutdown()
    return result["answer"]["statusCode"], result["seconds"], receiver.log


@pytest.mark.parametrize(
    ("secrets", "s3", "sqs", "status"),
    [
        (0, 0, 0, 200),
        (SILENT, 0, 0, 503),
        (0, SILENT, 0, 503),
        (0, 0, SILENT, 503),
        # Each service answers only the last try.
        (LATE, 0, 0, 200),
        (LATE, LATE, LATE, 503),
        (SILENT, SILENT, SILENT, 503),
    ],
)
def test_the_answer_comes_within_ten_seconds(secrets, s3, sqs, status):
    answered, seconds, log = answer(secrets, s3, sqs)
    print(f"silent: Secrets Manager {secrets:g} s, S3 {s3:g} s, SQS {sqs:g} s: {answered} after {seconds:.2f} s")
    assert answered == status, log
    assert seconds < 10
