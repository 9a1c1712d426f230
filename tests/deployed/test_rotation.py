"""The key is rotated on the running stack, and strangers cannot make it ask for the key without end."""

import contextlib
import json
import secrets
import threading
import time
import uuid

from tests.local_stack.stack import wait_for

# src/keys.rs: a wrong signature causes another reading at most as often, in each process.
FORCED_REREAD_AFTER = 10


def status(stack, key):
    """The answer to a callback signed with a key."""
    task_id = uuid.uuid4().hex
    return stack.post(json.dumps({"code": 200, "data": {"taskId": task_id, "instruments": []}}), task_id, key=key).status_code


def rotate(stack, key):
    """A new key becomes AWSCURRENT, and the one before it AWSPREVIOUS."""
    stack.client("secretsmanager").put_secret_value(SecretId=stack.outputs["WebhookKeyArn"], SecretString=key)


@contextlib.contextmanager
def steady_callbacks(stack, key):
    """Callbacks signed with a key, one after the other until the end; a list of their answers."""
    answers, over = [], threading.Event()

    def send():
        while not over.is_set():
            answers.append(status(stack, key))

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield answers
    finally:
        over.set()
        sender.join()


def test_a_key_is_rotated_without_a_refused_callback(stack):
    first, second, third = stack.key, secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    try:
        with steady_callbacks(stack, first) as answers:
            wait_for("callbacks before the rotation", lambda: len(answers) >= 3)
            rotate(stack, second)
            before = len(answers)
            assert [status(stack, second) for _ in range(5)] == [200] * 5, "the new key, at once"
            wait_for("callbacks after the rotation", lambda: len(answers) >= before + 3)
        assert set(answers) == {200}, "the old key, all the time"

        rotate(stack, third)

        def is_out():
            # A process learns it from a signature that it does not know.
            assert status(stack, second) == 200
            status(stack, third)
            return [status(stack, first) for _ in range(5)] == [401] * 5

        wait_for("the first key to be out", is_out, every=1)
        wait_for("the third key to be in", lambda: status(stack, third) == 200, every=1)
    finally:
        # What follows is signed with the key that is in force.
        stack.key = third if status(stack, third) == 200 else first


def readings(stack):
    """How often the key was read."""
    attribute = [{"AttributeKey": "EventName", "AttributeValue": "GetSecretValue"}]
    pages = stack.client("cloudtrail").get_paginator("lookup_events").paginate(LookupAttributes=attribute)
    return sum(len(page["Events"]) for page in pages)


def test_a_burst_of_wrong_signatures_causes_few_readings(stack):
    assert status(stack, stack.key) == 200
    before, began = readings(stack), time.monotonic()
    assert before > 0
    assert [status(stack, "a stranger's key") for _ in range(300)] == [401] * 300
    # Two stages of the secret at each reading; one reading more for a process that is new.
    bound = 2 * max(1, len(stack.processes())) * ((time.monotonic() - began) // FORCED_REREAD_AFTER + 2)
    assert readings(stack) - before <= bound
