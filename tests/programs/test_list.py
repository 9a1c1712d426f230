"""`midihook list` finds results by time and state, in a bucket of any size; `midihook replay --state` takes the same."""

import json
import subprocess

import pytest

from tests.programs.bucket import DAY, MINUTE, Bucket

FAILURE = {"code": 500, "message": "Internal Error"}


@pytest.fixture
def bucket():
    """Songs of this hour and of last month, and failures of both. Two entries make a page of a listing."""
    bucket = Bucket(page=2)
    for task, age in [("a", MINUTE), ("b", 30 * DAY), ("e", MINUTE)]:
        bucket.song(task, age=age)
        bucket.put(f"midi/{task}/quantized.mid", b"", age)
    for task, age in [("c", MINUTE), ("d", 30 * DAY)]:
        bucket.callback(task, age=age)
        bucket.callback(task, "b", age=age)
        bucket.result(task, "failed", failure=FAILURE, age=age)
    bucket.put("midi/by-hand.json", b"{}", MINUTE)
    bucket.result("odd", "lost-in-transit", age=MINUTE)
    yield bucket
    bucket.close()


@pytest.fixture
def listed(midihook, bucket):
    """Runs `midihook list`. Returns the lines."""

    def run(*arguments):
        bucket.requests.clear()
        done = midihook("list", *arguments, env=bucket.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().splitlines()

    return run


def test_it_lists_results_by_time_and_state(listed):
    def tasks(*arguments):
        return [(line.split()[1], line.split()[2]) for line in listed(*arguments)]

    new = [("rendered", "a"), ("?", "by-hand"), ("failed", "c"), ("rendered", "e"), ("lost-in-transit", "odd")]
    assert tasks("--since", "1d") == new
    assert sorted(tasks()) == sorted([*new, ("rendered", "b"), ("failed", "d")])
    assert tasks("--state", "failed") == [("failed", "c"), ("failed", "d")]
    assert tasks("--state", "failed,lost-in-transit", "--since", "1d") == [("failed", "c"), ("lost-in-transit", "odd")]
    assert tasks("--since", "40d", "--until", "20d") == [("rendered", "b"), ("failed", "d")]
    assert [line[10] for line in listed()] == ["T"] * 7, "the time comes first, so that sort orders by it"


def test_it_lists_for_programs(listed):
    lines = [json.loads(line) for line in listed("--json")]
    assert [(line["taskId"], line["state"]) for line in lines][:3] == [("a", "rendered"), ("b", "rendered"), ("by-hand", None)]
    assert all(line["rendered"].endswith("Z") for line in lines)


def test_it_reads_no_document_and_asks_only_about_the_period(listed, bucket):
    listed("--since", "1d", "--state", "failed")
    objects = [(method, path) for method, path in bucket.requests if path not in ("/bucket", "/bucket/")]
    assert sorted(objects) == [("HEAD", f"/bucket/midi/{task}.json") for task in ("a", "by-hand", "c", "e", "odd")]


def test_nothing_is_said_to_be_nothing(midihook, bucket):
    done = midihook("list", "--state", "fialed", env=bucket.environment)
    assert (done.returncode, done.stdout) == (0, b"") and b"no task has a result of that period and state" in done.stderr


def test_a_large_bucket_is_listed_page_by_page_while_somebody_reads(midihook):
    bucket = Bucket()
    for number in range(2500):
        bucket.put(f"midi/{number:05}.json", b"{}", state="rendered")
    done = midihook("list", env=bucket.environment)
    assert [line.split()[2] for line in done.stdout.decode().splitlines()] == [f"{number:05}" for number in range(2500)]

    bucket.requests.clear()
    done = subprocess.run(f"{midihook.program} list | head -1", shell=True, env=bucket.environment, capture_output=True)
    assert (done.stdout.split()[2], done.stderr) == (b"00000", b"")
    assert [method for method, _ in bucket.requests].count("GET") == 2, "the third page is not asked for"
    bucket.close()


def test_replay_takes_what_list_finds(midihook, bucket):
    jobs, environment = bucket.jobs, bucket.environment | {"MIDIHOOK_RENDER_QUEUE_URL": f"{bucket.url}/0/render"}

    def replay(*arguments):
        jobs.clear()
        return midihook("replay", *arguments, env=environment)

    for dry in [["--dry-run"], []]:
        done = replay("--state", "failed", "--since", "1d", *dry)
        assert done.returncode == 0, done.stderr
        names = done.stdout.decode().splitlines() if dry else [job["key"] for job in jobs]
        assert names == ["raw/c/a.json", "raw/c/b.json"]
    done = replay("--state", "lost-in-transit,failed")
    assert [job["key"] for job in jobs] == [f"raw/{task}/{name}.json" for task in ("c", "d") for name in ("a", "b")]
    assert b"note: task odd is left out: none of its callbacks is archived any more" in done.stderr
    done = replay("--state", "invalid")
    assert (done.returncode, jobs) == (0, []) and b"no task has a result of that period and state" in done.stderr
    assert replay("c", "--state", "failed").returncode == 2
