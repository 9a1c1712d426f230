"""`midihook replay` puts what the musician asks for on each job."""

import json
import os
import time

import pytest

from tests.programs.servers import Server

NAMES = ["raw/t/a.json", "raw/t/b.json"]
LISTING = "".join(
    f"<Contents><Key>{name}</Key><LastModified>2026-11-24T00:00:00Z</LastModified><Size>1</Size></Contents>" for name in NAMES
)


@pytest.fixture
def replay(midihook):
    """Runs `midihook replay t` over a bucket with two callbacks. Returns the outcome and the jobs that were queued."""
    jobs = []

    def answer(handler):
        if handler.path.startswith("/bucket"):
            listing = f"<ListBucketResult><KeyCount>2</KeyCount><IsTruncated>false</IsTruncated>{LISTING}</ListBucketResult>"
            return 200, {"content-type": "application/xml"}, listing.encode()
        entries = json.loads(handler.body)["Entries"]
        jobs.extend(json.loads(entry["MessageBody"]) for entry in entries)
        done = [{"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": ""} for entry in entries]
        return 200, {"content-type": "application/x-amz-json-1.0"}, json.dumps({"Successful": done, "Failed": []}).encode()

    server = Server(answer)
    url = f"http://{server.address}"
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_ENDPOINT_URL": url,
        "MIDIHOOK_BUCKET": "bucket",
        "MIDIHOOK_RENDER_QUEUE_URL": f"{url}/0/render",
    }

    def run(*options):
        jobs.clear()
        return midihook("replay", "t", *options, env=environment), list(jobs)

    yield run
    server.shutdown()
    assert server.errors == []


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
