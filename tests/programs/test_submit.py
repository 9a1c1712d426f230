"""`midihook submit` starts one task, once, and watches it. The provider is that of the tests, and answers as its pages say."""

import json

import pytest

from tests.local_stack.provider import Provider, refusal

KEY = "0123456789abcdef0123456789abcdef"
CALLBACK = "https://example.com/callback"


@pytest.fixture
def provider():
    with Provider(KEY) as provider:
        provider.separations.add("separation")
        yield provider


@pytest.fixture
def submit(midihook, bucket, provider):
    """Runs `midihook submit`, with changes to its environment; None takes a variable away."""
    usual = bucket.environment | {
        "MIDIHOOK_WATCH_QUEUE_URL": f"{bucket.url}/0/watch",
        "MIDIHOOK_CALLBACK_URL": CALLBACK,
        "PROVIDER_API_KEY": KEY,
        "PROVIDER_API_URL": provider.url,
    }

    def run(*arguments, **changed):
        environment = {name: value for name, value in (usual | changed).items() if value is not None}
        done = midihook("submit", "--task-id", "separation", *arguments, env=environment)
        assert KEY.encode() not in done.stdout + done.stderr
        return done

    return run


def sent(provider):
    """The bodies of the requests to start a task."""
    return [json.loads(request.body) for request in provider.requests if request.path == "/api/v1/midi/generate"]


def answering(provider, answer):
    """The provider takes a request to start a task, and answers this."""
    provider.generate = lambda _: answer


def test_a_task_is_started_and_watched(submit, bucket, provider):
    done = submit()
    assert done.returncode == 0, done.stderr
    [task] = done.stdout.decode().split()
    assert list(provider.answers) == [task] and f"task {task} is started, and watched" in done.stderr.decode()
    assert sent(provider) == [{"taskId": "separation", "callBackUrl": CALLBACK}]
    [request] = provider.requests
    assert request.headers["authorization"] == f"Bearer {KEY}" and KEY not in request.path
    watch = json.loads(bucket.objects[f"watch/{task}.json"][0])
    assert (watch["taskId"], watch["state"], watch["source"]) == (task, "watching", "cli")
    assert bucket.jobs == [{"version": 1, "taskId": task, "queue": f"{bucket.url}/0/watch", "delay": 0}]
    assert all(KEY.encode() not in contents for contents, _, _ in bucket.objects.values())


def test_one_stem_and_json_and_the_names_of_a_stack(submit, bucket, provider):
    bucket.stacks["mine"] = {"BucketName": "bucket", "WatchQueueUrl": f"{bucket.url}/0/of-mine", "CallbackUrl": "https://mine/callback"}
    done = submit("--audio-id", "stem", "--json", "--stack", "mine")
    assert done.returncode == 0, done.stderr
    [task] = provider.answers
    assert json.loads(done.stdout) == {"taskId": task, "separation": "separation", "callbackUrl": "https://mine/callback"}
    assert sent(provider) == [{"taskId": "separation", "audioId": "stem", "callBackUrl": "https://mine/callback"}]
    assert [job["queue"] for job in bucket.jobs] == [f"{bucket.url}/0/of-mine"]


@pytest.mark.parametrize(
    "answer",
    [
        None,
        (502, {"content-type": "text/html"}, b"<html></html>"),
        (200, {"content-type": "application/json"}, b'{"code":200,"msg":"succ'),
        refusal(500, "Internal Error"),
        refusal(408, "no result upstream"),
        {"code": 200, "msg": "success", "data": None},
        {"code": 999, "msg": f"your key {KEY}", "data": None},
    ],
)
def test_a_lost_answer_is_not_paid_twice(submit, bucket, provider, answer):
    answering(provider, answer)
    done = submit()
    assert (done.returncode, done.stdout, len(sent(provider))) == (1, b"", 1)
    for words in ["separation separation: ", "may have been started, and paid for", "Do not submit it again", "midihook list --since 15m"]:
        assert words in done.stderr.decode(), done.stderr
    assert b"Trying again" not in done.stderr and bucket.jobs == []


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (refusal(401, f"You do not have access permissions: {KEY}"), 3, "refused the API key"),
        (refusal(402, "no credits"), 3, "buy credits"),
        (refusal(422, "Record does not exist"), 3, "Record does not exist; no task was started: check that the separation"),
        (refusal(429, "too fast"), 1, "no task was started: try again in 10 s"),
        (refusal(433, "limit"), 1, "try again in 60 s"),
        (refusal(455, "maintenance"), 1, "try again in 60 s"),
        ((403, {"content-type": "text/plain"}, b"error code: 1010"), 1, "the network in front of the provider"),
    ],
)
def test_a_refusal_says_that_no_task_was_started(submit, bucket, provider, answer, code, words):
    answering(provider, answer)
    done = submit()
    assert (done.returncode, done.stdout, len(sent(provider)), bucket.jobs) == (code, b"", 1, [])
    assert words in done.stderr.decode() and "no task was started" in done.stderr.decode(), done.stderr
    assert b"may have been started" not in done.stderr


def test_nobody_listens(submit):
    done = submit(PROVIDER_API_URL="http://127.0.0.1:1")
    assert done.returncode == 1 and b"no task was started: check the network and PROVIDER_API_URL" in done.stderr, done.stderr


@pytest.mark.parametrize("broken", ["object", "message"])
def test_a_task_that_is_not_watched_is_still_named(submit, bucket, provider, broken):
    denied = (403, {"content-type": "application/xml"}, b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>")
    if broken == "object":
        bucket.write = lambda *_: denied
    else:
        bucket.queued = lambda _: (503, {"content-type": "application/x-amz-json-1.0"}, b'{"__type":"ServiceUnavailable","message":"no"}')
    done = submit()
    [task] = provider.answers
    assert (done.returncode, done.stdout.decode().split()) == (1, [task])
    for words in [f"task {task} is started, but not watched: ", "Its callback is still accepted", f"midihook watch {task}"]:
        assert words in done.stderr.decode(), done.stderr
    assert b"Trying again may help" not in done.stderr, "that would pay for another task"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"PROVIDER_API_KEY": None}, "set the environment variable PROVIDER_API_KEY"),
        ({"PROVIDER_API_KEY": "two words"}, "PROVIDER_API_KEY is no API key"),
        ({"PROVIDER_API_URL": "http://user:password@api.kie.ai"}, "PROVIDER_API_URL cannot be used"),
        ({"MIDIHOOK_CALLBACK_URL": None}, "there is no stack midihook"),
        ({"MIDIHOOK_WATCH_QUEUE_URL": None}, "there is no stack midihook"),
    ],
)
def test_what_is_missing_is_found_out_before_anything_is_paid(submit, provider, changed, words):
    done = submit(**changed)
    assert done.returncode in (1, 3) and words in done.stderr.decode(), done.stderr
    assert provider.requests == [] and b"password" not in done.stderr and b"two words" not in done.stderr


def test_the_key_cannot_be_an_argument(submit, provider):
    assert submit("--api-key", "x").returncode == 2
    assert submit("--audio-id", "").returncode == 2
    assert provider.requests == []
