"""`midihook watch` writes the object of a task first, and then sends its message."""

import json
import time

import pytest


@pytest.fixture
def watch(midihook, bucket):
    """Runs `midihook watch`. Returns the outcome, and the messages that were sent."""
    environment = bucket.environment | {"MIDIHOOK_WATCH_QUEUE_URL": f"{bucket.url}/0/watch"}

    def run(*arguments, **options):
        bucket.jobs.clear()
        bucket.requests.clear()
        done = midihook("watch", *arguments, env=environment, **options)
        assert all(job.pop("queue").endswith("/0/watch") and job.pop("delay") == 0 for job in bucket.jobs)
        return done, list(bucket.jobs)

    return run


def put(bucket, task, **members):
    known = {"version": 1, "taskId": task, "since": 1000, "source": "message", "state": "watching", "look": 4} | members
    bucket.put(f"watch/{task}.json", json.dumps(known).encode())


def known(bucket, task):
    return json.loads(bucket.objects[f"watch/{task}.json"][0])


def message(task, **members):
    return {"version": 1, "taskId": task, **members}


def by_task(messages):
    return sorted(messages, key=lambda message: message["taskId"])


def test_a_new_task_is_watched_from_now_on(watch, bucket):
    done, messages = watch("t")
    assert (done.returncode, done.stdout, messages) == (0, b"t  watched from now on\n", [message("t")]), done.stderr
    since = known(bucket, "t").pop("since")
    assert known(bucket, "t") == {"version": 1, "taskId": "t", "since": since, "source": "cli", "state": "watching", "look": 0}
    assert abs(time.time() - since) < 30
    assert [command for command, _ in bucket.requests] == ["GET", "PUT", "POST"], "the object first, then the message"


def test_a_task_that_is_watched_is_only_looked_at(watch, bucket):
    put(bucket, "t", lastAsked=2000)
    before = bucket.objects["watch/t.json"]
    done, messages = watch("t")
    assert (done.returncode, done.stdout, messages) == (0, b"t  watched since 1970-01-01T00:16:40Z\n", [message("t")])
    assert bucket.objects["watch/t.json"] == before


@pytest.mark.parametrize("state", ["done", "expired", "unknown"])
def test_a_watch_that_has_ended_begins_again(watch, bucket, state):
    put(bucket, "t", state=state, lastAsked=2000, said="of yesterday", unknownSince=1500)
    done, messages = watch("t")
    assert (done.returncode, messages) == (0, [message("t")])
    assert done.stdout.decode() == f"t  watched again: its watch had ended ({state})\n"
    now = known(bucket, "t")
    assert abs(time.time() - now.pop("since")) < 30
    assert now == {"version": 1, "taskId": "t", "source": "cli", "state": "watching", "look": 4, "lastAsked": 2000}


def test_tasks_come_from_standard_input_each_once(watch, bucket):
    done, messages = watch("a", "-", input=b"b\r\n\n  c \na\nb")
    assert (done.returncode, by_task(messages)) == (0, [message(task) for task in "abc"]), done.stderr
    done, messages = watch("a", "-", input=b"b\nc/d\n")
    assert (done.returncode, messages) == (3, []) and b"line 2 of standard input" in done.stderr
    for wrong in [[], ["a/b"], ["--resume", "a"]]:
        assert watch(*wrong)[0].returncode == 2


def test_many_tasks_are_queued(watch, bucket):
    tasks = [f"{number:04}" for number in range(200)]
    done, messages = watch(*tasks)
    assert (done.returncode, by_task(messages)) == (0, [message(task) for task in tasks])
    assert {name for name in bucket.objects} == {f"watch/{task}.json" for task in tasks}


def test_a_foreign_object_stays_and_the_other_tasks_are_watched(watch, bucket):
    bucket.put("watch/a.json", b"somebody's notes")
    put(bucket, "b", version=2)
    done, messages = watch("a", "b", "c")
    assert (done.returncode, messages) == (3, [message("c")])
    assert b"task a: watch/a.json cannot be used, and stays as it is" in done.stderr and b"version 2" in done.stderr
    assert bucket.objects["watch/a.json"][0] == b"somebody's notes" and known(bucket, "b")["version"] == 2


def test_every_unfinished_watch_is_resumed(watch, bucket):
    bucket.page = 2
    for task, state in [("a", "watching"), ("b", "done"), ("c", "watching"), ("d", "expired"), ("e", "unknown"), ("f", "watching")]:
        put(bucket, task, state=state, look=ord(task))
    bucket.put("watch/notes.txt", b"somebody's notes")
    before = dict(bucket.objects)
    dry, messages = watch("--resume", "--dry-run")
    assert (dry.returncode, messages) == (0, []) and b"tasks to check: 3; none was queued" in dry.stderr
    done, messages = watch("--resume")
    assert (done.returncode, by_task(messages)) == (0, [message(task, look=ord(task)) for task in "acf"]), done.stderr
    assert b"tasks queued for a check: 3" in done.stderr and bucket.objects == before


def test_a_dry_run_changes_nothing(watch, bucket):
    put(bucket, "b", state="done")
    before = dict(bucket.objects)
    done, messages = watch("a", "b", "--dry-run")
    assert (done.returncode, messages) == (0, []) and bucket.objects == before
    assert sorted(done.stdout.decode().splitlines()) == ["a  watched from now on", "b  watched again: its watch had ended (done)"]


def test_a_message_that_was_not_sent_leaves_the_object(midihook, bucket):
    bucket.queued = lambda request: (403, {"content-type": "application/x-amz-json-1.0"}, b'{"__type":"AccessDenied","message":"no"}')
    done = midihook("watch", "t", env=bucket.environment | {"MIDIHOOK_WATCH_QUEUE_URL": f"{bucket.url}/0/watch"})
    assert done.returncode == 1 and b"SQS could not queue a message of task t: AccessDenied" in done.stderr
    assert b"running this again is safe" in done.stderr and known(bucket, "t")["state"] == "watching"


def test_the_queue_is_found_by_the_name_of_the_stack(midihook, bucket):
    bucket.stacks["mine"] = {"BucketName": "bucket", "WatchQueueUrl": f"{bucket.url}/0/of-mine"}
    done = midihook("watch", "t", "--stack", "mine", env=bucket.environment)
    assert (done.returncode, [job["queue"] for job in bucket.jobs]) == (0, [f"{bucket.url}/0/of-mine"]), done.stderr
