"""`midihook replay` puts what the musician asks for on each job."""

import time

import pytest

NAMES = ["raw/t/a.json", "raw/t/b.json"]


@pytest.fixture
def replay(midihook, bucket):
    """Runs `midihook replay t` over a bucket with two callbacks. Returns the outcome and the jobs that were queued."""
    bucket.callback("t", "a")
    bucket.callback("t", "b")
    environment = bucket.environment | {"MIDIHOOK_RENDER_QUEUE_URL": f"{bucket.url}/0/render"}

    def run(*options):
        bucket.jobs.clear()
        done = midihook("replay", "t", *options, env=environment)
        assert all(job.pop("queue").endswith("/0/render") for job in bucket.jobs)
        return done, list(bucket.jobs)

    return run


def plain(name):
    return {"version": 1, "taskId": "t", "bucket": "bucket", "key": name}


def test_a_replay_without_options_asks_for_nothing(replay):
    done, jobs = replay()
    assert done.returncode == 0, done.stderr
    assert jobs == [plain(name) for name in NAMES]


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (["--bpm", "92"], {"tempo": "92"}),
        (["--bpm-hint", "92.5"], {"tempo": "~92.5"}),
        (["--meter", "3/4", "--downbeat", "1.23", "--key", "Ebm"], {"meter": "3/4", "downbeat": 1.23, "key": "Ebm"}),
        (["--steady", "--split", "--quantize", "1/16"], {"steady": True, "split": True, "quantize": "1/16"}),
        (["--steady=false", "--quantize=off", "--quantize-strength=0.5"], {"steady": False, "quantize": "off", "quantizeStrength": 0.5}),
        (["--as-usual"], {}),
    ],
)
def test_each_job_has_what_is_asked_for_and_when(replay, options, asked):
    before = time.time_ns() // 1_000_000
    done, jobs = replay(*options)
    after = time.time_ns() // 1_000_000
    assert done.returncode == 0, done.stderr
    at = jobs[0]["asked"]["at"]
    assert before <= at <= after
    assert jobs == [plain(name) | {"version": 2, "asked": {"at": at, "options": asked}} for name in NAMES]
