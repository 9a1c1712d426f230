"""`midihook status` says where a task is, why, and what to do."""

import json
import time

import pytest

from tests.programs.bucket import MINUTE, Bucket

FAILURE = {"code": 500, "message": "Internal Error"}


@pytest.fixture
def status(midihook):
    """Runs `midihook status` over a bucket with a task in each state. Returns its lines."""
    bucket = Bucket()
    bucket.song("song", age=5 * MINUTE, warnings=["1 note was left out"])
    bucket.callback("song", "b", age=MINUTE)
    bucket.callback("received")
    bucket.callback("failed")
    bucket.result("failed", "failed", failure=FAILURE)
    for task, asked_for in (("asked", True), ("told", False)):
        source = {"key": f"raw/{task}/a.json", "webhookTimestamp": 7, "authenticated": asked_for, "reason": "…"}
        bucket.song(task, source=source)
    bucket.result("odd", "lost-in-transit", warnings=["the parcel is lost"])

    def run(*arguments):
        done = midihook("status", *arguments, env=bucket.environment)
        assert (done.returncode, done.stderr) == (0, b"")
        return done.stdout.decode().splitlines()

    yield run
    bucket.close()


def test_it_tells_people(status):
    lines = status("song", "received", "waiting", "failed", "odd")
    heads = [line for line in lines if not line.startswith(" ")]
    assert heads == ["song  rendered  6 notes, 7.9 s", "received  received", "waiting  waiting", "failed  failed", "odd  lost-in-transit"]
    text = "\n".join(lines)
    for words in [
        "(2 different callbacks)",
        "note         1 note was left out",
        "midihook replay received",
        "why          no callback has come yet",
        "why          there is no song: the provider reported a failure (code 500): Internal Error",
        "what to do   ask the provider for this song again, in a new task",
        "called back  its callbacks are not kept any more",
        "why          there is no song: the parcel is lost",
        "docs/consume.md of the version that runs says what that state means",
    ]:
        assert words in text, text
    assert "\x1b" not in text, "colour only on a terminal"


def test_it_tells_programs(status):
    song, received, waiting, failed, odd = (json.loads(line) for line in status("song", "received", "waiting", "failed", "odd", "--json"))
    ages = [time.time() - time.mktime(time.strptime(song[name], "%Y-%m-%dT%H:%M:%SZ")) + time.timezone for name in ("calledBack", "lastCalledBack", "rendered")]
    assert ages == pytest.approx([5 * MINUTE, MINUTE, 5 * MINUTE], abs=30)
    assert {name: song[name] for name in ("taskId", "state", "callbacks", "notes", "warnings")} == {
        "taskId": "song", "state": "rendered", "callbacks": 2, "notes": 6, "warnings": ["1 note was left out"],
    }  # fmt: skip
    assert "why" not in song and "advice" not in song
    assert (received["state"], received["callbacks"], waiting["state"], waiting["callbacks"]) == ("received", 1, "waiting", 0)
    assert "calledBack" not in waiting and "rendered" not in received
    assert (failed["state"], failed["failure"]) == ("failed", FAILURE)
    assert (odd["state"], odd["callbacks"]) == ("lost-in-transit", 0) and "the parcel is lost" in odd["why"]


def test_it_says_whether_the_provider_was_asked_for_the_notes(status):
    text = "\n".join(status("asked", "told", "song"))
    assert text.count(", from the provider's answer to a question") == text.count(", from a callback") == 1, text
    documents = [json.loads(line) for line in status("asked", "told", "song", "--json")]
    assert [document.get("authenticated") for document in documents] == [True, False, None]


@pytest.fixture
def watched(midihook):
    """Runs `midihook status` for task t, whose object in watch/ has these members or bytes."""
    bucket = Bucket()

    def run(known, *arguments):
        if not isinstance(known, bytes):
            known = {"version": 1, "taskId": "t", "since": 1795478400, "source": "cli", "look": 4} | known
            known = json.dumps(known).encode()
        bucket.put("watch/t.json", known)
        done = midihook("status", "t", *arguments, env=bucket.environment)
        assert done.returncode == 0, done.stderr
        return done

    run.bucket = bucket
    yield run
    bucket.close()


def test_it_says_how_the_watch_of_a_task_stands(watched):
    known = {"state": "watching", "lastAsked": 1795478520, "said": "the provider has not finished"}
    text = watched(known).stdout.decode()
    asked = "the provider was last asked 2026-11-24T00:02:00Z; the provider has not finished"
    assert f"  watched      since 2026-11-24T00:00:00Z; {asked}\n" in text
    assert "what to do   nothing: the stack checks this task until there is a result" in text
    assert json.loads(watched(known, "--json").stdout)["watch"] == {
        "since": "2026-11-24T00:00:00Z", "source": "cli", "state": "watching", "lastAsked": "2026-11-24T00:02:00Z",
        "said": "the provider has not finished",
    }  # fmt: skip
    text = watched({"state": "expired"}).stdout.decode()
    assert "watched      since 2026-11-24T00:00:00Z, and not any more (expired)\n" in text and "midihook watch t" in text
    watched.bucket.song("t")
    done = watched({"state": "done", "said": "there is a result"}).stdout.decode()
    assert "(done); there is a result\n" in done and "what to do" not in done


def test_what_is_known_is_told_although_the_object_is_foreign(watched):
    watched.bucket.callback("t")
    done = watched(b"somebody's notes")
    assert done.stdout.startswith(b"t  received\n") and b"note: task t: watch/t.json cannot be used" in done.stderr
