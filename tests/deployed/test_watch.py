"""Watched tasks on the deployed template: songs whose callback or whose job never came."""

import contextlib
import json
import uuid

import pytest

from tests.deployed.test_deployed import song
from tests.local_stack.provider import Provider
from tests.local_stack.stack import wait_for
from tests.programs.template import PARAMETERS

API_KEY = uuid.uuid4().hex


@pytest.fixture
def task_id():
    return uuid.uuid4().hex


@contextlib.contextmanager
def provider_of(stack, **more):
    """A provider that the stack has an API key of, within a `with` block, and more parameters."""
    with Provider(API_KEY) as provider:
        parameters = {"ProviderApiKey": API_KEY, "ProviderApiUrl": provider.url} | more
        stack.change(**parameters)
        try:
            yield provider
        finally:
            stack.change(**{name: PARAMETERS[name]["Default"] for name in parameters})


def finish(provider, task_id):
    """The provider has the song with the note 60."""
    provider.finish(task_id, json.loads(song(task_id))["data"], seconds=0)


def watch(stack, task_id):
    """The command in docs/consume.md."""
    message = json.dumps({"version": 1, "taskId": task_id})
    stack.client("sqs").send_message(QueueUrl=stack.outputs["WatchQueueUrl"], MessageBody=message, DelaySeconds=0)


def watched(stack, task_id):
    """What the task's object says."""
    return json.loads(stack.read(f"watch/{task_id}.json"))


def test_a_body_without_a_job_becomes_a_song(stack, task_id):
    with stack.changed_queue("WatchQueueUrl", "DelaySeconds", 0) as usual:
        assert 60 <= usual <= 300, "a few minutes"
        name = f"raw/{task_id}/stored-but-not-queued.json"
        stack.client("s3").put_object(Bucket=stack.bucket, Key=name, Body=song(task_id))
        assert stack.result(task_id)["source"]["key"] == name


def test_a_task_is_watched_without_an_api_key(stack, task_id):
    watch(stack, task_id)
    name = f"watch/{task_id}.json"
    wait_for("the look", lambda: name in stack.object_names(name))
    state = watched(stack, task_id)
    assert (state["state"], state["source"]) == ("watching", "message") and "no API key" in state["said"]


def created(bucket, key, **more):
    """EventBridge's event of a new object."""
    detail = {"bucket": {"name": bucket}, "object": {"key": key}}
    return {"version": "0", "source": "aws.s3", "detail-type": "Object Created", "detail": detail} | more


HOSTILE = {
    "not JSON": "poison",
    "an empty object": {},
    "a list": [{"version": 1, "taskId": "hostile"}],
    "a number": 7,
    "deep": "[" * 100_000,
    "no version": {"taskId": "hostile"},
    "an old version": {"version": 0, "taskId": "hostile"},
    "a newer version": {"version": 2, "taskId": "hostile"},
    "a version that is a text": {"version": "1", "taskId": "hostile"},
    "an empty id": {"version": 1, "taskId": ""},
    "two dots for an id": {"version": 1, "taskId": ".."},
    "an id with ../": {"version": 1, "taskId": "../hostile"},
    "an id with a slash": {"version": 1, "taskId": "hostile/../../midi/hostile"},
    "an id with a line break": {"version": 1, "taskId": "hostile\n"},
    "an id with a Cyrillic look-alike": {"version": 1, "taskId": "h\u043estile"},
    "an id with an emoji": {"version": 1, "taskId": "hostile\U0001f3b5"},
    "an id of 129 characters": {"version": 1, "taskId": "x" * 129},
    "an id of 200 kB": {"version": 1, "taskId": "x" * 200_000},
    "a list for an id": {"version": 1, "taskId": ["hostile"]},
    "null for an id": {"version": 1, "taskId": None},
    "a member too many": {"version": 1, "taskId": "hostile", "force": True},
    "a huge member too many": {"version": 1, "taskId": "hostile", "x": "y" * 250_000},
    "a job": {"version": 1, "taskId": "hostile", "bucket": "b", "key": "raw/hostile/a.json"},
    "a negative look": {"version": 1, "taskId": "hostile", "look": -1},
    "a look that is a text": {"version": 1, "taskId": "hostile", "look": "1"},
    "a look that is too large": '{"version": 1, "taskId": "hostile", "look": 18446744073709551616}',
    "a body in another bucket": created("elsewhere", "raw/hostile/a.json"),
    "records of another service": {"Records": [{"eventSource": "aws:sns", "Sns": {"Message": "hostile"}}]},
}

# These say nothing about a body in the bucket.
HARMLESS = {
    "a test event": lambda bucket: {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": bucket},
    "an object outside of raw/": lambda bucket: created(bucket, "midi/hostile.json"),
    "a watched task": lambda bucket: created(bucket, "watch/hostile.json"),
    "a name with ../": lambda bucket: created(bucket, "raw/../hostile.json"),
    "a name below a body": lambda bucket: created(bucket, "raw/hostile/a/b.json"),
    "a body that was deleted": lambda bucket: created(bucket, "raw/hostile/a.json", **{"detail-type": "Object Deleted"}),
    "no records": lambda bucket: {"Records": []},
}


def test_hostile_messages_end_in_the_dead_letter_queue_or_do_nothing(stack):
    sqs, there, dead = stack.client("sqs"), set(stack.object_names()), stack.queued("WatchDeadLetterQueueUrl")
    with stack.visibility_timeout(1, "WatchQueueUrl") as usual:
        assert usual >= 6 * 60, "six times the function's timeout"
        # The harmless ones first: if they came back, they would be dead by the time the others are.
        for message in [*(message(stack.bucket) for message in HARMLESS.values()), *HOSTILE.values()]:
            body = message if isinstance(message, str) else json.dumps(message)
            sqs.send_message(QueueUrl=stack.outputs["WatchQueueUrl"], MessageBody=body, DelaySeconds=0)
        wait_for("the dead letters", lambda: stack.queued("WatchDeadLetterQueueUrl") >= dead + len(HOSTILE))
    assert stack.queued("WatchDeadLetterQueueUrl") == dead + len(HOSTILE)
    assert not [name for name in set(stack.object_names()) - there if "hostile" in name or name.startswith("watch/x")]
    sqs.purge_queue(QueueUrl=stack.outputs["WatchDeadLetterQueueUrl"])


def test_a_forged_number_ends_no_watch(stack, task_id):
    def look(number, expected):
        message = json.dumps({"version": 1, "taskId": task_id, "look": number})
        stack.client("sqs").send_message(QueueUrl=stack.outputs["WatchQueueUrl"], MessageBody=message, DelaySeconds=0)
        wait_for("the look", lambda: watched(stack, task_id)["look"] == expected)

    watch(stack, task_id)
    wait_for("the first look", lambda: stack.object_names(f"watch/{task_id}"))
    for expected, forged in enumerate([1000, 2**64 - 1, 2**64 - 1], start=2):
        look(forged, expected)
    look(4, 5)
    assert watched(stack, task_id)["state"] == "watching"
