"""Watched tasks on the deployed template: songs whose callback or whose job never came."""

import contextlib
import itertools
import json
import uuid

import pytest

from tests.deployed.test_deployed import song
from tests.local_stack.provider import Provider
from tests.local_stack.stack import wait_for
from tests.programs.template import PARAMETERS

API_KEY = uuid.uuid4().hex
# The provider may be asked about one task at most every so many seconds.
ASK_EVERY = 10


@pytest.fixture
def task_id():
    return uuid.uuid4().hex


@contextlib.contextmanager
def provider_of(stack, **more):
    """A provider that the stack has an API key of, within a `with` block, and more parameters."""
    with Provider(API_KEY) as provider:
        parameters = {"ProviderApiKey": API_KEY, "ProviderApiUrl": provider.url} | more
        stack.deploy(**parameters)
        try:
            yield provider
        finally:
            stack.deploy(**{name: PARAMETERS[name]["Default"] for name in parameters})


def watch(stack, task_id):
    """The command in docs/consume.md."""
    message = json.dumps({"version": 1, "taskId": task_id})
    stack.client("sqs").send_message(QueueUrl=stack.outputs["WatchQueueUrl"], MessageBody=message, DelaySeconds=0)


def watched(stack, task_id):
    """What the task's object says."""
    return json.loads(stack.read(f"watch/{task_id}.json"))


def test_a_song_that_is_never_called_back_is_fetched(stack, task_id):
    midi_data = json.loads(song(task_id))["data"]
    with provider_of(stack) as provider:
        provider.finish(task_id, midi_data, seconds=20)
        watch(stack, task_id)
        document = stack.result(task_id, seconds=180)
        assert document["state"] == "rendered"
        [raw] = stack.object_names(f"raw/{task_id}/")
        head = stack.client("s3").head_object(Bucket=stack.bucket, Key=raw)
        assert (document["source"]["key"], head["Metadata"]["source"]) == (raw, "poll")
        wait_for("the end of the watch", lambda: watched(stack, task_id)["state"] == "done", seconds=120)
        times = provider.asked(task_id)
        assert len(times) >= 2, "it was pending at first"
        assert all(later - earlier >= ASK_EVERY for earlier, later in itertools.pairwise(times))
        assert {request.headers["authorization"] for request in provider.requests} == {f"Bearer {API_KEY}"}
    assert API_KEY not in "".join(stack.logs())


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


def test_an_unparseable_message_ends_in_the_dead_letter_queue(stack):
    sqs = stack.client("sqs")
    with stack.visibility_timeout(1, "WatchQueueUrl") as usual:
        assert usual >= 6 * 60, "six times the function's timeout"
        sqs.send_message(QueueUrl=stack.outputs["WatchQueueUrl"], MessageBody="poison", DelaySeconds=0)
        wait_for("the dead letter", lambda: stack.queued("WatchDeadLetterQueueUrl") == 1)
    sqs.purge_queue(QueueUrl=stack.outputs["WatchDeadLetterQueueUrl"])
