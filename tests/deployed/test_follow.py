"""`make serve` copies each new song to out/, however many songs the bucket already has."""

import concurrent.futures
import uuid

import pytest

from tests.deployed.test_deployed import song
from tests.local_stack.follow import SongFollower
from tests.local_stack.stack import wait_for

# S3 lists 1,000 objects a page.
OLD_OBJECTS = 1100
KINDS = ("json", "mid", "svg")


def put(stack, names):
    """Puts small objects straight into the bucket."""
    s3 = stack.client("s3")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: s3.put_object(Bucket=stack.bucket, Key=name, Body=name.encode()), names))


def delete(stack, prefix):
    """Deletes all versions of the objects under a prefix."""
    s3 = stack.client("s3")
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=stack.bucket, Prefix=prefix):
        versions = page.get("Versions", []) + page.get("DeleteMarkers", [])
        if versions:
            objects = [{"Key": version["Key"], "VersionId": version["VersionId"]} for version in versions]
            deleted = s3.delete_objects(Bucket=stack.bucket, Delete={"Objects": objects, "Quiet": True})
            assert not deleted.get("Errors")


@pytest.fixture
def prefix(stack):
    """A prefix under midi/ whose objects are deleted at the end. It sorts before every song of the other tests."""
    prefix = f"midi/0-{uuid.uuid4().hex}-"
    yield prefix
    delete(stack, prefix)


@pytest.fixture
def follower(stack, tmp_path):
    return SongFollower(stack, tmp_path / "out")


def follow_until(follower, names, seconds=60):
    """Follows until all these files are in the directory. Returns the paths of all copies made meanwhile."""
    copies = []

    def all_copied():
        copies.extend(follower.copy_next(seconds=1))
        return {path.name for path in copies} >= set(names)

    wait_for("the copies", all_copied, seconds)
    return copies


def test_new_songs_arrive_behind_a_thousand_old_objects(stack, follower, prefix):
    put(stack, [f"{prefix}{number}.json" for number in range(OLD_OBJECTS)])
    # These names sort last, so a single page of a listing would not show them.
    tasks = [f"z-{uuid.uuid4().hex}" for _ in range(3)]
    names = {f"{task_id}.{kind}" for task_id in tasks for kind in KINDS}
    calls = []
    watch = lambda model, **_: calls.append(model.name)
    stack.client("s3").meta.events.register("before-call.s3", watch)
    try:
        with follower:
            for task_id in tasks:
                assert stack.post(song(task_id), task_id).status_code == 200
            copies = follow_until(follower, names)
    finally:
        stack.client("s3").meta.events.unregister("before-call.s3", watch)
    assert {path.name for path in copies} >= names
    assert set(calls) == {"GetObject"}, "nothing is listed"
    for name in names:
        assert (follower.directory / name).read_bytes() == stack.read(f"midi/{name}")


def test_a_replaced_object_is_copied_again_and_a_deleted_one_is_skipped(stack, follower, prefix):
    s3, names = stack.client("s3"), [f"{prefix}{name}.json" for name in ("replaced", "deleted", "last")]
    files = [follower.directory / name.removeprefix("midi/") for name in names]
    with follower:
        put(stack, names[:1])
        follow_until(follower, [files[0].name])
        s3.put_object(Bucket=stack.bucket, Key=names[0], Body=b"replaced")
        put(stack, names[1:2])
        s3.delete_object(Bucket=stack.bucket, Key=names[1])
        put(stack, names[2:])
        copies = follow_until(follower, [files[0].name, files[2].name])
    assert files[1] not in copies and not files[1].exists()
    assert files[0].read_bytes() == b"replaced" and files[2].read_bytes() == names[2].encode()


def test_an_event_whose_copy_failed_is_delivered_again(stack, follower, prefix, monkeypatch):
    name = f"{prefix}song.json"
    with follower:
        stack.client("sqs").set_queue_attributes(QueueUrl=follower.queue_url, Attributes={"VisibilityTimeout": "1"})
        put(stack, [name])

        def fails(*_):
            raise OSError("no space left on device")

        with monkeypatch.context() as patch, pytest.raises(OSError):
            patch.setattr(stack, "read", fails)
            wait_for("the event", lambda: follower.copy_next(seconds=1))
        follow_until(follower, [name.removeprefix("midi/")])


def test_only_songs_are_copied_and_the_queue_and_rule_are_removed(stack, follower, prefix):
    stranger = f"raw/{uuid.uuid4().hex}/a.json"
    with follower:
        put(stack, [stranger, f"{prefix}song.json"])
        copies = follow_until(follower, [f"{prefix}song.json".removeprefix("midi/")])
        assert follower.queue_url in stack.client("sqs").list_queues()["QueueUrls"]
    delete(stack, stranger)
    assert [path.name for path in copies] == [f"{prefix}song.json".removeprefix("midi/")]
    assert follower.queue_url not in stack.client("sqs").list_queues().get("QueueUrls", [])
    assert "follow-songs" not in [rule["Name"] for rule in stack.client("events").list_rules()["Rules"]]
