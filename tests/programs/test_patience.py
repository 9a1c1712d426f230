"""The built receiver while AWS is slow or silent. It answers within 10 s, so the provider gets a 503 and calls again.

It runs as on Lambda, with a runtime API that has one event, and with AWS endpoints that answer late or never."""

import json
import time

import pytest

from tests.programs.account import SIGNING_KEY, RuntimeApi, request
from tests.programs.functions import FOREVER, running
from tests.programs.servers import Server
from tests.programs.template import properties

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


def answer(secrets, s3, sqs):
    """Sends one callback while each service is silent for some seconds.

    Returns the status of the answer, how many seconds it took, and the receiver's log."""
    served, answers = [], []

    def events():
        served.append(time.monotonic())
        yield request("t", json.dumps({"taskId": "t", "code": 200}))

    def answered(answer):
        answers.append((answer["statusCode"], time.monotonic() - served[0]))

    api = RuntimeApi(events(), answered, timeout=properties("ReceiverFunction")["Timeout"])
    servers = [
        service(secrets, served, json.dumps({"SecretString": SIGNING_KEY}).encode()),
        service(s3, served),
        service(sqs, served, json.dumps({"MessageId": "1"}).encode()),
    ]
    aws = [server.address for server in servers]
    settings = {
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": f"http://{aws[0]}",
        "AWS_ENDPOINT_URL_S3": f"http://{aws[1]}",
        "AWS_ENDPOINT_URL_SQS": f"http://{aws[2]}",
        "AWS_ENDPOINT_URL": f"http://{aws[1]}",
        "KEY_SECRET_ID": "secret",
        "BUCKET": "bucket",
        "RENDER_QUEUE_URL": f"http://{aws[2]}/000000000000/queue",
        "TOLERANCE_SECONDS": "300",
        "WATCH_QUEUE_URL": f"http://{aws[2]}/000000000000/watch",
    }
    try:
        with running("ReceiverFunction", api.address, settings) as receiver:
            api.serve(receiver, PROVIDER_WAITS)
    finally:
        for server in servers:
            server.shutdown()
        api.close()
    [(status, seconds)] = answers
    return status, seconds, receiver.log


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
