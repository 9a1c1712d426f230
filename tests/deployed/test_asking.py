"""The stack that asks: whether callbacks are right (VerifyBodies), and about unsigned ones (UnsignedCallbacks)."""

import json
import uuid

import pytest

from tests.deployed.test_deployed import emitted, song
from tests.deployed.test_watch import finish, provider_of, watch, watched
from tests.local_stack.stack import wait_for


@pytest.fixture(scope="module")
def provider(stack):
    with (
        provider_of(stack, VerifyBodies="true", UnsignedCallbacks="ask") as provider,
        # The event of a body is looked at at once.
        stack.changed_queue("WatchQueueUrl", "DelaySeconds", 0),
    ):
        yield provider


def authenticated(stack, task_id):
    """Waits for a result whose notes midihook asked for, and returns its document."""

    def document():
        try:
            return json.loads(stack.read(f"midi/{task_id}.json"))
        except stack.client("s3").exceptions.NoSuchKey:
            return {"source": {"authenticated": False}}

    wait_for("the provider's answer to decide", lambda: document()["source"]["authenticated"], seconds=120)
    return document()


def test_the_providers_answer_decides_over_every_callback(stack, provider):
    genuine, forged = uuid.uuid4().hex, uuid.uuid4().hex
    for task_id, pitch in ((genuine, 60), (forged, 61)):
        finish(provider, task_id)
        assert stack.post(song(task_id, pitch), task_id).status_code == 200
    for task_id in (genuine, forged):
        document = authenticated(stack, task_id)
        assert document["source"]["key"].startswith(f"raw/{task_id}/provider-")
        assert document["source"]["reason"] == "midihook asked the provider for it"
        assert document["song"]["instruments"][0]["range"]["lowest"] == "C4"
        assert len(stack.object_names(f"raw/{task_id}/")) == 2, "the callback is kept"
    contradicted = [line for line in stack.logs() if "NOT WHAT THE PROVIDER SAYS" in line]
    assert len(contradicted) == 1 and forged in contradicted[0]

    assert ("ContradictedCallbacks", stack.outputs["ReconcilerFunctionName"]) in emitted(stack)

    # No later callback changes the song, nor is anybody asked about it.
    before, asked = stack.read(f"midi/{genuine}.mid"), len(provider.asked(genuine))
    assert stack.post(song(genuine, 62), genuine).status_code == 200
    wait_for("its job", lambda: any("not published" in line and genuine in line for line in stack.logs()))
    assert stack.read(f"midi/{genuine}.mid") == before
    assert authenticated(stack, genuine)["source"]["authenticated"] and len(provider.asked(genuine)) == asked


def test_an_unsigned_callback_about_a_watched_task_brings_its_song(stack, provider):
    task_id = uuid.uuid4().hex
    unsigned = {"x-webhook-timestamp": None, "x-webhook-signature": None}
    body = song(task_id, 61)
    refused = stack.post(body, task_id, headers=unsigned)
    assert (refused.status_code, refused.json()) == (401, {"error": "unauthorized"})

    watch(stack, task_id)
    name = f"watch/{task_id}.json"
    wait_for("the first look", lambda: stack.object_names(name))
    wait_for("the first question", lambda: watched(stack, task_id).get("unknownSince"))
    # Not before the pause of 30 s is over, unless the callback brings it forward.
    finish(provider, task_id)
    answer = stack.post(body, task_id, headers=unsigned)
    assert (answer.status_code, answer.json()) == (200, {"status": "watched", "taskId": task_id})
    assert ("UnsignedCallbacks", stack.outputs["ReceiverFunctionName"]) in emitted(stack)
    document = authenticated(stack, task_id)
    assert document["song"]["instruments"][0]["range"]["lowest"] == "C4", "the callback was not believed"
    first, second = provider.asked(task_id)
    assert 10 <= second - first < 30
    assert [key.split("/")[2].split("-")[0] for key in stack.object_names(f"raw/{task_id}/")] == ["provider"]
