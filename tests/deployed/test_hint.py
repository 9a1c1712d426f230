"""CallbackTrust hint: nothing of a callback is stored or believed, and the provider is polled at once."""

import json
import uuid

import pytest

from tests.deployed.test_deployed import emitted, song
from tests.deployed.test_watch import finish, provider_of, watch, watched
from tests.local_stack.stack import wait_for

UNSIGNED = {"x-webhook-timestamp": None, "x-webhook-signature": None}


@pytest.fixture(scope="module")
def provider(stack):
    with provider_of(stack, CallbackTrust="hint") as provider:
        yield provider


def is_the_providers(stack, task_id, callback):
    """The song is the provider's, and nothing of the callback is in the bucket."""
    document = stack.result(task_id)
    assert document["song"]["instruments"][0]["range"]["lowest"] == "C4"
    assert document["source"]["authenticated"]
    [body] = stack.object_names(f"raw/{task_id}/")
    assert stack.read(body) != callback


def test_a_forged_song_never_stands(stack, provider):
    task_id = uuid.uuid4().hex
    finish(provider, task_id)
    forged = song(task_id, 61)
    for _ in range(3):
        answer = stack.post(forged, task_id)
        assert (answer.status_code, answer.json()) == (200, {"status": "watched", "taskId": task_id})
    is_the_providers(stack, task_id, forged)
    wait_for("the watch to end", lambda: watched(stack, task_id)["state"] == "done", seconds=90)
    assert watched(stack, task_id)["source"] == "callback" and len(provider.asked(task_id)) == 1


def test_an_unsigned_callback_about_a_watched_task_brings_its_song(stack, provider):
    task_id = uuid.uuid4().hex
    body = song(task_id, 61)
    refused = stack.post(body, task_id, headers=UNSIGNED)
    assert (refused.status_code, refused.json()) == (401, {"error": "unauthorized"})

    watch(stack, task_id)
    name = f"watch/{task_id}.json"
    wait_for("the first check", lambda: stack.object_names(name))
    wait_for("the first poll", lambda: watched(stack, task_id).get("unknownSince"))
    # Not before the pause of 30 s is over, unless the callback brings it forward.
    finish(provider, task_id)
    answer = stack.post(body, task_id, headers=UNSIGNED)
    assert (answer.status_code, answer.json()) == (200, {"status": "watched", "taskId": task_id})
    assert ("UnsignedCallbacks", stack.outputs["ReceiverFunctionName"]) in emitted(stack)
    is_the_providers(stack, task_id, body)
    first, second = provider.asked(task_id)
    assert 10 <= second - first < 30


def test_another_products_callback_begins_no_watch(stack, provider):
    task_id = uuid.uuid4().hex
    body = json.dumps({"code": 200, "data": {"taskId": task_id, "audioWavUrl": "https://example.com/a.wav"}}).encode()
    answer = stack.post(body, task_id)
    assert (answer.status_code, answer.json()) == (200, {"status": "ignored", "taskId": task_id})
    assert stack.object_names(f"watch/{task_id}") == stack.object_names(f"raw/{task_id}") == []
