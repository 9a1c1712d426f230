"""The built pusher as on Lambda: what a receiver gets, verified by the reference library of Standard Webhooks."""

import json

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.programs.account import RuntimeApi
from tests.programs.functions import running
from tests.programs.servers import Server, certified

SECRET, OLD = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
STRANGERS = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
DOCUMENT = '{"taskId": "t", "state": "rendered", "title": "Ä"}'.encode()
EVENT = {"source": "aws.s3", "detail-type": "Object Created", "detail": {"bucket": {"name": "bucket"}, "object": {"key": "midi/t.json"}}}
TOKEN = "a-token"


def aws(handler):
    """S3, Secrets Manager and SQS with what a push needs."""
    if handler.command == "GET":
        return 200, {"content-type": "application/json"}, DOCUMENT
    if handler.headers["x-amz-target"] == "secretsmanager.GetSecretValue":
        secret = {"AWSCURRENT": SECRET, "AWSPREVIOUS": OLD}[json.loads(handler.body)["VersionStage"]]
        return 200, {}, json.dumps({"SecretString": secret}).encode()
    return 200, {}, b"{}"


def push(replies, tls=None, **more):
    """Gives the pusher the message about a result as many times as there are replies. The receiver speaks HTTPS with `tls`.
    Returns the requests to it, as path, headers and body, whether each was taken, and the log. A reply of None closes the
    connection."""
    received, answers = [], []
    message = {"messageId": "m", "receiptHandle": "r", "body": json.dumps(EVENT), "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "0"}}

    def receiver(handler):
        received.append((handler.path, dict(handler.headers), handler.body))
        reply = replies[len(received) - 1]
        return reply and (reply, {"location": "/elsewhere"}, b"")

    api = RuntimeApi(iter([{"Records": [message]}] * len(replies)), answers.append)
    servers = [Server(aws), Server(receiver, tls)]
    settings = {
        "AWS_ENDPOINT_URL": f"http://{servers[0].address}",
        "BUCKET": "bucket",
        "PUSH_QUEUE_URL": f"http://{servers[0].address}/000000000000/push",
        "PUSH_URL": f"http{'s' if tls else ''}://{servers[1].address}/{TOKEN}?key={TOKEN}",
        "PUSH_SECRET_ID": "secret",
    }
    try:
        with running("PusherFunction", api.address, settings | more) as pusher:
            api.serve(pusher, seconds=30)
    finally:
        for server in servers:
            server.shutdown()
        api.close()
    assert len(answers) == len(replies) and not any(server.errors for server in servers), pusher.log
    return received, [answer == {"batchItemFailures": []} for answer in answers], pusher.log


def test_the_reference_library_verifies_a_push_with_either_secret():
    [(path, headers, body)], taken, log = push([204])
    assert (path, body, taken) == (f"/{TOKEN}?key={TOKEN}", DOCUMENT, [True]), log
    for secret in (SECRET, OLD):
        assert Webhook(secret).verify(body, headers) == json.loads(DOCUMENT)
    with pytest.raises(WebhookVerificationError):
        Webhook(STRANGERS).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b" ", headers)


def test_what_is_not_taken_is_sent_again_and_nothing_secret_is_logged():
    received, taken, log = push([500, 302, 410, None, 200])
    assert taken == [False] * 4 + [True], log
    assert log.count('"FailedPushes":1.0') == log.count('"FailedPushAge":') == 4 and log.count('"Pushes":1.0') == 1
    assert len(received) == 5, "no redirect is followed"
    assert len({headers["webhook-id"] for _, headers, _ in received}) == 1
    for _, headers, body in received:
        Webhook(SECRET).verify(body, headers)
    for words in ("it answered HTTP 500", "it answered HTTP 302", "it answered HTTP 410: it wants no more", "it did not answer"):
        assert words in log
    assert "http://127.0.0.1:" in log, "the receiver is named"
    signatures = [signature for _, headers, _ in received for signature in headers["webhook-signature"].split()]
    assert not [secret for secret in (TOKEN, SECRET[6:], OLD[6:], *signatures) if secret in log]


def test_a_receiver_has_a_certificate_that_the_system_trusts(tmp_path):
    tls, file = certified(tmp_path)
    received, taken, log = push([204], tls, SSL_CERT_FILE=file)
    assert len(received) == 1 and taken == [True], log
    received, taken, log = push([204], tls)
    assert not received and taken == [False] and "it did not answer" in log and TOKEN not in log
