"""The built receiver, when AWS is slow or silent: an answer within 10 s, so that the provider hears a 503 and calls again.

The binary runs as on Lambda, against a runtime API of one event, and against AWS endpoints that delay or hang."""

import json
import os
import subprocess
import threading
import time

import pytest

from tests.programs.servers import Server
from tests.local_stack.stack import ROOT, sign

RECEIVER = ROOT / "target" / "lambda" / "receiver" / "bootstrap"
KEY = "test-key"
# For how long a service does not answer, in seconds from the first request to it.
LATE, SILENT = 2.5, 3600.0


def service(silence, body=b""):
    """An AWS service that answers no request of the first seconds."""
    first = []

    def answer(_):
        first.append(time.monotonic())
        if time.monotonic() - first[0] < silence:
            time.sleep(SILENT)
        return 200, {"content-type": "application/x-amz-json-1.1"}, body

    return Server(answer)


def request(task_id):
    """The event of a signed callback."""
    event = json.loads((ROOT / "events" / "request-success.json").read_text())
    timestamp = str(int(time.time()))
    event["headers"] |= {"x-webhook-timestamp": timestamp, "x-webhook-signature": sign(KEY, task_id, timestamp)}
    event["body"] = json.dumps({"taskId": task_id, "code": 200})
    return json.dumps(event).encode()


@pytest.mark.parametrize(
    ("secrets", "s3", "sqs", "status"),
    [
        (0, 0, 0, 200),
        (SILENT, 0, 0, 503),
        (0, SILENT, 0, 503),
        (0, 0, SILENT, 503),
        # Each answers, but only the last try.
        (LATE, 0, 0, 200),
        (LATE, LATE, LATE, 503),
        (SILENT, SILENT, SILENT, 503),
    ],
)
def test_there_is_an_answer_within_ten_seconds(secrets, s3, sqs, status):
    answered, served = threading.Event(), []
    result = {}

    def runtime(handler):
        if handler.path.endswith("/invocation/next"):
            if served:
                time.sleep(SILENT)
            served.append(time.monotonic())
            deadline = str(int(time.time() * 1000) + 12_000)
            return 200, {"lambda-runtime-aws-request-id": "1", "lambda-runtime-deadline-ms": deadline}, request("t")
        result["seconds"] = time.monotonic() - served[0]
        result["answer"] = json.loads(handler.body)
        answered.set()
        return 200, {}, b""

    servers = [
        Server(runtime),
        service(secrets, json.dumps({"SecretString": KEY}).encode()),
        service(s3),
        service(sqs, json.dumps({"MessageId": "1"}).encode()),
    ]
    api, *aws = [server.address for server in servers]
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_LAMBDA_RUNTIME_API": api,
        "AWS_LAMBDA_FUNCTION_NAME": "receiver",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": f"http://{aws[0]}",
        "AWS_ENDPOINT_URL_S3": f"http://{aws[1]}",
        "AWS_ENDPOINT_URL_SQS": f"http://{aws[2]}",
        "AWS_ENDPOINT_URL": f"http://{aws[1]}",
        "KEY_SECRET_ID": "secret",
        "BUCKET": "bucket",
        "RENDER_QUEUE_URL": f"http://{aws[2]}/000000000000/queue",
        "TOLERANCE_SECONDS": "300",
    }
    receiver = subprocess.Popen([RECEIVER], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        assert answered.wait(15), "no answer"
    finally:
        receiver.kill()
        log = receiver.communicate()[0].decode()
        for server in servers:
            server.shutdown()
    print(f"silent: Secrets Manager {secrets:g} s, S3 {s3:g} s, SQS {sqs:g} s: {result['answer']['statusCode']} after {result['seconds']:.2f} s")
    assert result["answer"]["statusCode"] == status, log
    assert result["seconds"] < 10
