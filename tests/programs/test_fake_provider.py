"""The provider of the tests answers as the provider's pages say."""

import pytest
import requests

from tests.local_stack.provider import NEW_TASKS, UNKNOWN, Provider, cut_off, record, refusal, slowly
from tests.programs.servers import certified

KEY = "0123456789abcdef"
SONG = {"state": "complete", "instruments": [{"name": "Drums", "notes": []}]}


@pytest.fixture
def provider():
    with Provider(KEY) as provider:
        yield provider


def call(provider, method, path, **options):
    headers = {"authorization": f"Bearer {KEY}", **options.pop("headers", {})}
    return requests.request(method, provider.url + path, headers=headers, timeout=10, **options)


def ask(provider, task_id, **options):
    return call(provider, "GET", f"/api/v1/midi/record-info?taskId={task_id}", **options)


def generate(provider, **body):
    return call(provider, "POST", "/api/v1/midi/generate", json=body).json()


def test_a_task_goes_through_its_script(provider):
    provider.script("a", record("a", 0), (503, {"retry-after": "7"}, b"<html></html>"), None, record("a", 1, SONG))
    assert ask(provider, "a").json()["data"]["successFlag"] == 0
    assert (busy := ask(provider, "a")).status_code == 503 and busy.headers["retry-after"] == "7"
    with pytest.raises(requests.ConnectionError):
        ask(provider, "a")
    for _ in range(2):
        assert ask(provider, "a").json()["data"]["midiData"] == SONG
    assert len(times := provider.asked("a")) == 5 and times == sorted(times)


def test_a_task_finishes_by_itself(provider):
    provider.finish("a", SONG, 3600)
    assert ask(provider, "a").json() == record("a", 0)
    provider.finish("a", SONG, 0)
    assert ask(provider, "a").json() == record("a", 1, SONG)


def test_an_answer_may_be_late_or_cut_off(provider):
    provider.script("a", slowly(0.5, record("a", 0)), cut_off(record("a", 1, SONG)), record("a", 1, SONG))
    late = ask(provider, "a")
    assert late.elapsed.total_seconds() >= 0.5 and late.json() == record("a", 0)
    with pytest.raises(requests.RequestException, match="IncompleteRead"):
        ask(provider, "a")
    assert ask(provider, "a").json() == record("a", 1, SONG)


def test_a_provider_may_speak_https(tmp_path):
    tls, file = certified(tmp_path)
    with Provider(KEY, tls) as provider:
        assert ask(provider, "a", verify=file).json() == UNKNOWN


def test_strangers_and_unknown_tasks_are_refused_under_http_200(provider):
    assert ask(provider, "a").json() == UNKNOWN
    stranger = ask(provider, "a", headers={"authorization": "Bearer x"})
    assert (stranger.status_code, stranger.json()["code"]) == (200, 401)
    nameless = ask(provider, "a", headers={"user-agent": ""})
    assert (nameless.status_code, nameless.text) == (403, "error code: 1010")


def test_a_request_that_is_no_json_object_is_refused(provider):
    for body in ["", "{", "[]"]:
        assert call(provider, "POST", "/api/v1/midi/generate", data=body).json()["code"] == 400
    assert call(provider, "GET", "/api/v1/other").json()["code"] == 404


def test_new_tasks_are_pending_and_limited(provider):
    assert generate(provider, taskId="s") == refusal(422, "Please enter callBackUrl.")
    assert generate(provider, taskId="s", callBackUrl="u") == refusal(422, "Record does not exist")
    provider.separations.add("s")
    new = [generate(provider, taskId="s", callBackUrl="u")["data"]["taskId"] for _ in range(NEW_TASKS)]
    assert len(set(new)) == NEW_TASKS
    assert ask(provider, new[0]).json() == record(new[0], 0)
    assert generate(provider, taskId="s", callBackUrl="u")["code"] == 429
