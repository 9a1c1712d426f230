"""The commands for a deployed stack against the deployed template."""

import json
import subprocess
import uuid

import pytest
import requests

from tests.local_stack.stack import STACK_NAME, wait_for
from tests.deployed.test_deployed import song


@pytest.fixture
def operate(stack, midihook):
    """Runs a command with the environment that the stack's CommandLine output gives."""
    return lambda *arguments: midihook(*arguments, env=stack.command_line())


@pytest.fixture
def songs(stack):
    """Two tasks whose results were deleted by mistake."""
    tasks = sorted(uuid.uuid4().hex for _ in range(2))
    for task_id in tasks:
        assert stack.post(song(task_id), task_id).status_code == 200
    for task_id in tasks:
        stack.result(task_id)
    wait_for("the queue to drain", lambda: stack.queued() == 0)
    for task_id in tasks:
        for name in stack.object_names(f"midi/{task_id}."):
            stack.client("s3").delete_object(Bucket=stack.bucket, Key=name)
    return tasks


def raw_names(stack, *tasks):
    return [name for task_id in tasks for name in stack.object_names(f"raw/{task_id}/")]


def versions(stack):
    pages = stack.client("s3").get_paginator("list_object_versions").paginate(Bucket=stack.bucket, Prefix="midi/")
    return [version for page in pages for version in page.get("Versions", [])]


def test_a_task_is_replayed(stack, operate, songs):
    dry = operate("replay", songs[0], "--dry-run")
    assert (dry.returncode, dry.stdout.decode().split()) == (0, raw_names(stack, songs[0]))
    assert b"callbacks to render again: 1;" in dry.stderr
    assert stack.object_names(f"midi/{songs[0]}.") == []

    done = operate("replay", *songs)
    assert (done.returncode, done.stderr) == (0, b"") and b"jobs queued: 2;" in done.stdout
    assert {stack.result(task_id)["state"] for task_id in songs} == {"rendered"}


def test_replaying_a_period_twice_changes_nothing(stack, operate, songs):
    dry = operate("replay", "--since", "1h", "--dry-run")
    assert set(raw_names(stack, *songs)) <= set(dry.stdout.decode().split())
    assert operate("replay", "--since", "1h", "--until", "59m", "--dry-run").stdout == b""
    assert operate("replay", "--since", "2020-01-01", "--until", "2020-01-02T12:00:00Z", "--dry-run").stdout == b""

    assert operate("replay", "--since", "1h").returncode == 0
    for task_id in songs:
        stack.result(task_id)
    wait_for("the queue to drain", lambda: stack.queued() == 0)
    before = versions(stack)
    assert operate("replay", "--since", "1h").returncode == 0
    wait_for("the queue to drain", lambda: stack.queued() == 0)
    assert versions(stack) == before


def test_what_an_older_release_took_for_an_empty_song_is_judged_again(stack, operate):
    task_id = uuid.uuid4().hex
    body = {"code": 200, "data": {"taskId": task_id, "state": "complete", "tracks": [{"title": "secret"}]}}
    assert stack.post(json.dumps(body), task_id).status_code == 200
    document = stack.result(task_id)
    source = {"state": "empty", "webhook-timestamp": str(document["source"]["webhookTimestamp"]), "source-key": document["source"]["key"]}
    files = {"midi": f"midi/{task_id}.mid", "pianoRoll": f"midi/{task_id}.svg", "document": f"midi/{task_id}.json"}
    older = document | {"state": "empty", "files": files}
    for name, content in ((files["midi"], b"MThd"), (files["pianoRoll"], b"<svg/>"), (files["document"], json.dumps(older).encode())):
        stack.client("s3").put_object(Bucket=stack.bucket, Key=name, Body=content, Metadata=source)
    assert operate("replay", "--state", "empty").returncode == 0
    wait_for("the replay", lambda: stack.result(task_id)["state"] == "unreadable")
    assert stack.result(task_id)["members"][-1] == "data.tracks[].title"
    assert stack.object_names(f"midi/{task_id}") == [files["document"]]


def test_many_callbacks_of_one_task_are_rendered_at_once(stack, operate):
    # All want to write the result's object at the same time. None may give up, even if its message comes back.
    task_id = uuid.uuid4().hex
    bodies = [json.dumps(json.loads(song(task_id)) | {"n": n}) for n in range(40)]
    for body in bodies:
        assert stack.post(body, task_id).status_code == 200
    wait_for("the queue to drain", lambda: stack.queued() == 0)
    for name in stack.object_names(f"midi/{task_id}."):
        stack.client("s3").delete_object(Bucket=stack.bucket, Key=name)
    assert operate("replay", task_id).returncode == 0
    wait_for("the queue to drain", lambda: stack.queued() == 0)
    assert stack.result(task_id)["state"] == "rendered"
    assert len(raw_names(stack, task_id)) == len(bodies)
    assert not [line for line in stack.logs() if task_id in line and "other writers were always first" in line]


def test_the_musician_has_the_last_word_until_it_is_taken_back(stack, operate, songs):
    def replayed(*options):
        done = operate("replay", songs[0], *options)
        assert done.returncode == 0, done.stderr
        wait_for("the queue to drain", lambda: stack.queued() == 0)
        return stack.result(songs[0])

    usual = replayed()
    assert "asked" not in usual["source"] and stack.object_names(f"midi/{songs[0]}/") == []

    asked = replayed("--bpm", "92", "--key", "Ebm", "--split", "--quantize", "1/16")
    assert (asked["song"]["tempo"]["bpm"], asked["song"]["key"]["name"]) == (pytest.approx(92, abs=0.01), "Ebm")
    parts = [instrument["file"] for instrument in asked["song"]["instruments"]]
    assert sorted([*parts, asked["files"]["quantized"]]) == stack.object_names(f"midi/{songs[0]}/")
    assert all(stack.read(name).startswith(b"MThd") for name in parts)

    assert replayed() == asked, "a replay without options keeps what was asked for"
    again = replayed("--as-usual")
    assert again["source"].pop("asked")["options"] == {}
    assert again == usual


def test_replay_reports_an_unknown_task_and_a_bad_time(operate):
    missing = operate("replay", "nothing")
    assert missing.returncode == 3 and b"no callback of task nothing is archived" in missing.stderr
    assert operate("replay", "--since", "yesterday").returncode == 2
    assert operate("replay").returncode == 2
    assert operate("replay", "a/b").returncode == 2


def nameless(stack):
    return {name: value for name, value in stack.command_line().items() if not name.startswith("MIDIHOOK_")}


def test_a_missing_stack_or_bucket_is_reported(stack, midihook):
    missing = midihook("replay", "t", "--stack", "nobody", env=nameless(stack))
    assert missing.returncode == 1 and b"there is no stack nobody in us-east-1" in missing.stderr
    stranger = stack.command_line() | {"MIDIHOOK_BUCKET": "not-there"}
    refused = midihook("replay", "t", env=stranger)
    assert refused.returncode == 1 and b"S3 could not list raw/t/ in the bucket not-there, which is not in this region (" in refused.stderr
    assert b"): NoSuchBucket" in refused.stderr


@pytest.fixture
def person(stack):
    """A function that gives the environment of a person who may do no more than docs/operate.md says that get, status and
    list need, and these statements more."""
    usual = [
        {"Effect": "Allow", "Action": "cloudformation:DescribeStacks", "Resource": f"arn:aws:cloudformation:*:*:stack/{STACK_NAME}/*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{stack.bucket}"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": [f"arn:aws:s3:::{stack.bucket}/{prefix}/*" for prefix in ("midi", "watch")]},
    ]
    with stack.user("person") as (keys, allow):

        def allowed(*more):
            allow({"Version": "2012-10-17", "Statement": [*usual, *more]})
            return nameless(stack) | keys

        yield allowed


def test_a_song_is_fetched_in_one_command_by_its_task(stack, midihook, person, tmp_path):
    task_id = uuid.uuid4().hex
    environment = person()
    early = midihook("get", task_id, env=environment)
    assert early.returncode == 1 and b"no callback has come yet" in early.stderr

    waiting = subprocess.Popen([midihook.program, "get", task_id, "--wait", "-o", tmp_path], env=environment, stdout=subprocess.DEVNULL)
    assert stack.post(song(task_id), task_id).status_code == 200
    assert waiting.wait(60) == 0
    names = [f"{task_id}.{kind}" for kind in ("json", "mid", "svg")]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {name: stack.read(f"midi/{name}") for name in names}

    [link] = midihook("get", task_id, "--link", "--format", "mid", env=environment).stdout.decode().split()
    assert requests.get(link, verify=stack.ca, timeout=20).content == stack.read(f"midi/{task_id}.mid")


def test_people_see_where_their_tasks_are(stack, midihook, person):
    good, bad = (uuid.uuid4().hex for _ in range(2))
    failure = json.dumps({"code": 500, "msg": "Internal Error", "data": {"taskId": bad}}).encode()
    for task_id, body in [(good, song(good)), (bad, failure)]:
        assert stack.post(body, task_id).status_code == 200
        stack.result(task_id)

    environment = person()
    said = midihook("status", good, bad, "--json", env=environment)
    assert said.returncode == 0, said.stderr
    states = [(line["state"], line["callbacks"]) for line in map(json.loads, said.stdout.splitlines())]
    assert states == [("rendered", 1), ("failed", 1)]
    failed = midihook("list", "--since", "1h", "--state", "failed", "--json", env=environment)
    tasks = [json.loads(line)["taskId"] for line in failed.stdout.splitlines()]
    assert bad in tasks and good not in tasks

    refused = midihook("replay", bad, env=environment)
    assert refused.returncode == 1 and b"SQS could not queue 1 messages: AccessDenied" in refused.stderr
    replayed = midihook("replay", "--state", "failed", "--since", "1h", env=nameless(stack))
    assert replayed.returncode == 0 and b"jobs queued: " in replayed.stdout
    wait_for("the queue to drain", lambda: stack.queued() == 0)
    assert stack.result(bad)["state"] == "failed"


def test_an_operator_needs_the_queues_and_no_more(stack, midihook, person, songs):
    # AWS has no actions for batches: it asks for those of single messages. The local stack asks for the batches by name.
    def messages(*actions):
        return [f"sqs:{action}Message{end}" for action, end in actions] + [f"sqs:{action}Message{end}Batch" for action, end in actions]

    outputs = stack.outputs
    send = {"Effect": "Allow", "Action": messages(("Send", "")), "Resource": outputs["RenderQueueArn"]}
    done = midihook("replay", songs[0], env=person(send))
    assert done.returncode == 0, done.stderr
    assert stack.result(songs[0])["state"] == "rendered"
