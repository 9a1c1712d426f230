"""Every answer of the provider, on the deployed template: where each watched task ends, and that no key is seen."""

import contextlib
import io
import itertools
import json
import os
import signal
import time
import uuid

import mido
import pytest

from tests.deployed.test_deployed import emitted, song
from tests.deployed.test_watch import API_KEY, provider_of, watch, watched
from tests.local_stack.provider import UNKNOWN, cut_off, record, refusal, slowly
from tests.local_stack.stack import STACK_NAME, wait_for

HOUR, DAY = 3600, 86_400
# The provider may be asked about one task at most every so many seconds.
ASK_EVERY = 10
QUOTED = f"the key {API_KEY} is wrong"


def midi_data(pitch=60):
    return json.loads(song("", pitch))["data"]


def done(task_id, pitch=60):
    return record(task_id, 1, midi_data(pitch))


def http(status, text, **headers):
    return status, {"content-type": "text/html", **headers}, text.encode()


def busy(code, seconds):
    """A refusal that says for how long."""
    return http(200, json.dumps(refusal(code, "no")), **{"retry-after": seconds})


def large(task_id, size):
    """A song of at least so many bytes."""

    def note(number):
        return {"pitch": 30 + number % 60, "start": f"{number / 48:.18f}", "end": f"{number / 48 + 0.1:.18f}", "velocity": 0.49606299212598426}

    notes = [note(number) for number in range(size // 100)]
    return record(task_id, 1, {"state": "complete", "instruments": [{"name": "Acoustic Grand Piano", "notes": notes}]})


# What the provider answers, one answer after another, and the state of the result.
ENDS = {
    "done": (lambda t: [done(t)], "rendered"),
    "pending": (lambda t: [record(t, 0), done(t)], "rendered"),
    "failed": (lambda t: [record(t, 3, code="531", message=QUOTED)], "failed"),
    "not created": (lambda t: [record(t, 2, code="500", message="no vocals")], "failed"),
    "no instruments": (lambda t: [record(t, 1, {"state": "complete", "instruments": []})], "empty"),
    "no notes though done": (lambda t: [record(t, 1, None)], "empty"),
    "unknown for a while": (lambda t: [UNKNOWN, refusal(422, "Record does not exist"), done(t)], "rendered"),
    "500": (lambda t: [refusal(500, QUOTED), done(t)], "rendered"),
    "408": (lambda t: [refusal(408, "no result upstream"), done(t)], "rendered"),
    "HTTP 503": (lambda t: [http(503, f"<html>{QUOTED}</html>"), done(t)], "rendered"),
    "HTTP 502 without a body": (lambda t: [http(502, ""), done(t)], "rendered"),
    "no answer": (lambda t: [None, done(t)], "rendered"),
    "slow": (lambda t: [slowly(25, done(t, 61)), done(t)], "rendered"),
    "cut off": (lambda t: [cut_off(done(t, 61)), done(t)], "rendered"),
    "not JSON": (lambda t: [http(200, f"<html>{QUOTED}</html>"), done(t)], "rendered"),
    "20 MB": (lambda t: [large(t, 20_500_000)], "rendered"),
}

# What the provider answers, for how long it is not asked again, and what is said meanwhile.
WAITS = {
    "401": (lambda t: refusal(401, QUOTED), 900, "the provider refused the API key: the key (the API key) is wrong"),
    "402": (lambda t: refusal(402, QUOTED), 900, "the provider's account has no credits left"),
    "422": (lambda t: refusal(422, QUOTED), 900, "the provider refused the request with code 422: the key (the API key) is wrong"),
    "another task": (lambda t: done(uuid.uuid4().hex), 900, "the provider's answer (HTTP 200) cannot be understood: it is about another task"),
}

# The same for answers after which no other task is asked about.
QUIET = {
    "429": (lambda t: refusal(429, QUOTED), 11, "the provider takes no more requests for now"),
    "429 with Retry-After": (lambda t: busy(429, 7), 11, "the provider takes no more requests for now"),
    "433": (lambda t: refusal(433, QUOTED), 60, "the API key has used up the limit that was set for it"),
    "455": (lambda t: refusal(455, QUOTED), 60, "the provider is down for maintenance"),
    "455 with Retry-After": (lambda t: busy(455, 1000), 1000, "the provider is down for maintenance"),
    "403 of the network": (lambda t: http(403, "error code: 1010"), 60, "the network in front of the provider refused the request: error code: 1010"),
}

# A callback and a poll of one task: which comes first, the callback's pitch, how many seconds after the poll it was sent, and
# which of them decides. The poll's pitch is 60.
BOTH = {
    "a callback, then a poll with other notes": ("callback", 61, -60, "poll"),
    "a callback, then a poll with the same notes": ("callback", 60, -60, "poll"),
    "a poll, then a callback with other notes": ("poll", 61, 1, "callback"),
    "a poll, then a callback with the same notes": ("poll", 60, 1, "callback"),
    "a poll, then a callback that was sent before it": ("poll", 61, -60, "poll"),
}

pytestmark = pytest.mark.usefixtures("tasks")


@pytest.fixture(scope="module")
def provider(stack):
    with provider_of(stack) as provider:
        yield provider


@pytest.fixture(scope="module")
def tasks(stack, provider):
    """A task for each case, all watched from the beginning, because half a minute passes between two looks."""
    tasks = {}
    for case, (answers, *_) in [*ENDS.items(), *WAITS.items()]:
        tasks[case] = task_id = uuid.uuid4().hex
        script = answers(task_id)
        provider.script(task_id, *(script if isinstance(script, list) else [script]))
        watch(stack, task_id)
    return tasks


@pytest.fixture
def task_id():
    return uuid.uuid4().hex


def answered(stack, task_id):
    """Waits until the provider was asked. Returns the task's object."""
    name = f"watch/{task_id}.json"

    def said():
        return name in stack.object_names(name) and (state := watched(stack, task_id)).get("said") and state

    return wait_for("the provider's answer", said)


def later(stack, task_id, seconds):
    """Moves the clock: all that the task's object remembers is so much older. Then asks for a look."""
    state = watched(stack, task_id)
    times = state.keys() & {"since", "lastAsked", "askAfter", "unknownSince", "lastQueued"}
    state |= {name: state[name] - seconds for name in times}
    stack.client("s3").put_object(Bucket=stack.bucket, Key=f"watch/{task_id}.json", Body=json.dumps(state))
    watch(stack, task_id)


def ends(stack, task_id):
    """Looks at once, instead of in half a minute, and waits for the end of the watch."""
    watch(stack, task_id)
    wait_for("the end of the watch", lambda: watched(stack, task_id)["state"] == "done")


def pitches(stack, task_id):
    file = mido.MidiFile(file=io.BytesIO(stack.read(f"midi/{task_id}.mid")))
    return {message.note for track in file.tracks for message in track if message.type == "note_on"}


@contextlib.contextmanager
def nothing_can_be_stored(stack):
    """The receiver must not write to the bucket, within a `with` block."""
    resource = {"StackName": STACK_NAME, "LogicalResourceId": "ReceiverRole"}
    role = stack.client("cloudformation").describe_stack_resource(**resource)["StackResourceDetail"]["PhysicalResourceId"]
    deny = {"Effect": "Deny", "Action": "s3:PutObject", "Resource": "*"}
    policy = {"RoleName": role, "PolicyName": "outage"}
    stack.client("iam").put_role_policy(**policy, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    try:
        yield
    finally:
        stack.client("iam").delete_role_policy(**policy)


def test_a_task_whose_three_calls_all_fail_becomes_a_song(stack, provider, task_id):
    with nothing_can_be_stored(stack):
        assert [stack.post(song(task_id), task_id).status_code for _ in range(3)] == [503] * 3
    assert stack.object_names(f"raw/{task_id}/") == []
    provider.script(task_id, done(task_id))
    watch(stack, task_id)
    assert stack.result(task_id)["state"] == "rendered"


def test_a_song_that_is_too_large_for_a_callback_is_fetched(stack, tasks):
    task_id = tasks["20 MB"]
    assert stack.post(json.dumps(large(task_id, 7_000_000)), task_id).status_code == 413
    document = stack.result(task_id, seconds=120)
    [raw] = stack.object_names(f"raw/{task_id}/")
    assert stack.client("s3").head_object(Bucket=stack.bucket, Key=raw)["ContentLength"] > 20_000_000
    assert (document["state"], document["source"]["key"]) == ("rendered", raw)


@pytest.mark.parametrize("case", BOTH)
def test_a_song_that_is_delivered_both_ways_is_one_song(stack, provider, task_id, case):
    first, pitch, after, decides = BOTH[case]

    def call_back():
        timestamp = str(int(time.time()) + after)
        assert stack.post(song(task_id, pitch), task_id, timestamp=timestamp).status_code == 200

    def called_back_meanwhile():
        call_back()
        stack.result(task_id)
        return done(task_id)

    provider.script(task_id, called_back_meanwhile if first == "callback" else done(task_id))
    watch(stack, task_id)
    stack.result(task_id)
    if first == "poll":
        call_back()
    wait_for("both bodies", lambda: len(stack.object_names(f"raw/{task_id}/")) == 2)
    wait_for("the queue to drain", lambda: stack.queued() == 0)
    # The watch ends a quarter of an hour later, which the tests in memory see. Whatever looks come until then:
    looks = watched(stack, task_id)["look"]
    watch(stack, task_id)
    wait_for("a look", lambda: watched(stack, task_id)["look"] > looks)
    wait_for("the queue to drain", lambda: stack.queued() == 0)
    head = stack.client("s3").head_object(Bucket=stack.bucket, Key=stack.result(task_id)["source"]["key"])
    assert head["Metadata"]["source"] == decides
    assert pitches(stack, task_id) == {60 if decides == "poll" else pitch}
    assert len(provider.asked(task_id)) == 1


def test_a_task_that_is_watched_for_14_days_expires_and_a_late_callback_still_counts(stack, provider, task_id):
    provider.script(task_id, record(task_id, 0))
    watch(stack, task_id)
    answered(stack, task_id)
    later(stack, task_id, 14 * DAY)
    document = stack.result(task_id)
    assert document["state"] == "expired" and "the provider has not finished" in document["warnings"][0]
    wait_for("the end of the watch", lambda: watched(stack, task_id)["state"] == "expired")
    assert len(provider.asked(task_id)) == 1
    assert stack.post(song(task_id), task_id).status_code == 200
    wait_for("the song", lambda: stack.result(task_id)["state"] == "rendered")


def test_a_task_that_is_unknown_for_an_hour_ends(stack, provider, task_id):
    provider.script(task_id, UNKNOWN)
    watch(stack, task_id)
    answered(stack, task_id)
    later(stack, task_id, HOUR)
    assert stack.result(task_id)["state"] == "unknown"
    wait_for("the end of the watch", lambda: watched(stack, task_id)["state"] == "unknown")


@pytest.mark.parametrize("case", ENDS)
def test_a_task_ends_whatever_the_provider_answers_first(stack, provider, tasks, case):
    task_id = tasks[case]
    state = ENDS[case][1]
    assert stack.result(task_id, seconds=180)["state"] == state
    ends(stack, task_id)
    if state == "rendered" and case != "20 MB":
        assert pitches(stack, task_id) == {60}
    [raw] = stack.object_names(f"raw/{task_id}/")
    assert stack.client("s3").head_object(Bucket=stack.bucket, Key=raw)["Metadata"]["source"] == "poll"
    times = provider.asked(task_id)
    assert len(times) == len(ENDS[case][0](task_id))
    assert all(later - earlier >= ASK_EVERY for earlier, later in itertools.pairwise(times))


def waits(stack, task_id, seconds, said):
    """The provider is not asked again for so long, and the object says why."""
    state = answered(stack, task_id)
    assert (state["state"], state["said"]) == ("watching", said)
    # The time counts from the answer, which came a little after the question.
    assert seconds <= state["askAfter"] - state["lastAsked"] < seconds + 10


@pytest.mark.parametrize("case", WAITS)
def test_a_task_waits_while_only_a_person_can_help(stack, provider, tasks, case):
    task_id, (_, seconds, said) = tasks[case], WAITS[case]
    waits(stack, task_id, seconds, said)
    if case in ("401", "402"):
        assert ("AccountRefusals", stack.outputs["ReconcilerFunctionName"]) in emitted(stack)
    provider.script(task_id, done(task_id))
    later(stack, task_id, seconds)
    assert stack.result(task_id)["state"] == "rendered"
    ends(stack, task_id)


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc to find the functions' processes")
@pytest.mark.parametrize("case", QUIET)
def test_a_task_waits_while_the_provider_wants_no_questions(stack, provider, task_id, case):
    answer, seconds, said = QUIET[case]
    provider.script(task_id, answer(task_id))
    watch(stack, task_id)
    waits(stack, task_id, seconds, said)
    provider.script(task_id, done(task_id))
    # The processes remember to ask about no task. That a look is killed loses nothing.
    for process in stack.processes():
        os.kill(process, signal.SIGKILL)
    later(stack, task_id, max(seconds, ASK_EVERY))
    assert stack.result(task_id)["state"] == "rendered"
    ends(stack, task_id)


def test_the_api_key_is_in_no_log_and_in_no_object(stack, provider):
    log = "".join(stack.logs())
    assert "the key (the API key) is wrong" in log and API_KEY not in log
    assert API_KEY not in stack.log.read_text()
    names = [name for task_id in provider.answers for prefix in ("raw", "midi", "watch") for name in stack.object_names(f"{prefix}/{task_id}")]
    assert len(names) > len(ENDS)
    assert not [name for name in names if API_KEY.encode() in stack.read(name)]
