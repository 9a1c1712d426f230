"""The signing key is rotated on the running stack, and wrong signatures cause few readings of the secret."""

import contextlib
import json
import secrets
import time
import uuid

from tests.local_stack.stack import repeated, wait_for

# Wrong signatures make a process read the secret at most once in this many seconds.
FORCED_REREAD_AFTER = 10


def status(stack, signing_key):
    """The status of the answer to a callback signed with this key."""
    task_id = uuid.uuid4().hex
    return stack.post(json.dumps({"code": 200, "data": {"taskId": task_id, "instruments": []}}), task_id, signing_key=signing_key).status_code


def rotate(stack, signing_key):
    """Makes a new signing key AWSCURRENT. The one before it becomes AWSPREVIOUS."""
    stack.client("secretsmanager").put_secret_value(SecretId=stack.outputs["WebhookKeyArn"], SecretString=signing_key)


@contextlib.contextmanager
def steady_callbacks(stack, signing_key):
    """Sends callbacks signed with this key, one after the other, during a `with` block. Gives a list of their statuses."""
    answers = []
    with repeated(lambda: answers.append(status(stack, signing_key))):
        yield answers


def test_a_rotation_refuses_no_callback(stack):
    first, second, third = stack.signing_key, secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    try:
        with steady_callbacks(stack, first) as answers:
            wait_for("callbacks before the rotation", lambda: len(answers) >= 3)
            rotate(stack, second)
            before = len(answers)
            assert [status(stack, second) for _ in range(5)] == [200] * 5, "the new key works at once"
            wait_for("callbacks after the rotation", lambda: len(answers) >= before + 3)
        assert set(answers) == {200}, "the old key works all the time"

        rotate(stack, third)

        def is_out():
            # A process reads the secret again when a signature matches none of the keys it has.
            assert status(stack, second) == 200
            status(stack, third)
            return [status(stack, first) for _ in range(5)] == [401] * 5

        wait_for("the first key to be refused", is_out, every=1)
        wait_for("the third key to be accepted", lambda: status(stack, third) == 200, every=1)
    finally:
        # Later tests sign with the key that is current now.
        stack.signing_key = third if status(stack, third) == 200 else first


def readings(stack):
    """How many times the secret was read so far."""
    attribute = [{"AttributeKey": "EventName", "AttributeValue": "GetSecretValue"}]
    pages = stack.client("cloudtrail").get_paginator("lookup_events").paginate(LookupAttributes=attribute)
    return sum(len(page["Events"]) for page in pages)


def test_many_wrong_signatures_cause_few_readings_of_the_secret(stack):
    assert status(stack, stack.signing_key) == 200
    before, began = readings(stack), time.monotonic()
    assert before > 0
    assert [status(stack, "a stranger's key") for _ in range(300)] == [401] * 300
    # Each reading asks for two stages of the secret. A new process reads it once more.
    bound = 2 * max(1, len(stack.processes())) * ((time.monotonic() - began) // FORCED_REREAD_AFTER + 2)
    assert readings(stack) - before <= bound
