"""`midihook get` fetches what the result document names, and says what is known of a task without a song."""

import threading
import time
import urllib.parse
import urllib.request

import pytest

FAILURE = {"code": 500, "message": "Internal Error"}


@pytest.fixture
def get(midihook, bucket, tmp_path):
    """Runs `midihook get` in an empty directory. Returns the outcome."""
    return lambda *arguments: midihook("get", *arguments, env=bucket.environment, cwd=tmp_path)


def files(directory):
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_it_writes_the_files_that_the_document_names_and_no_others(get, bucket, tmp_path):
    parts = [{"name": "Bass", "file": "midi/t/01-bass.mid"}]
    kinds = {"midi": ".mid", "pianoRoll": ".svg", "quantized": "/quantized.mid", "score": ".musicxml"}
    bucket.result("t", "rendered", kinds, parts)
    bucket.put("midi/t/02-left-over.mid", b"of an earlier result")
    done = get("t")
    assert (done.returncode, done.stderr) == (0, b"")
    names = ["t.json", "t.mid", "t.musicxml", "t.svg", "t/01-bass.mid", "t/quantized.mid"]
    assert sorted(done.stdout.decode().splitlines()) == [f"wrote ./{name}" for name in names]
    assert files(tmp_path) == {name: bucket.objects[f"midi/{name}"][0] for name in names}


@pytest.mark.parametrize(
    ("kinds", "names"),
    [
        ("mid", ["t.mid", "t/01-bass.mid", "t/quantized.mid"]),
        ("json,raw", ["t.json", "t/a.json"]),
        ("svg", ["t.svg"]),
    ],
)
def test_it_writes_only_the_kinds_that_are_asked_for(get, bucket, tmp_path, kinds, names):
    bucket.callback("t")
    bucket.result("t", "rendered", {"midi": ".mid", "pianoRoll": ".svg", "quantized": "/quantized.mid"}, [{"file": "midi/t/01-bass.mid"}])
    done = get("t", "--format", kinds, "-o", "out/of/here")
    assert done.returncode == 0, done.stderr
    assert sorted(files(tmp_path / "out" / "of" / "here")) == names


def test_a_kind_that_there_is_not_is_refused(get, bucket, tmp_path):
    bucket.song("t")
    done = get("t", "--format", "wav")
    assert (done.returncode, files(tmp_path)) == (3, {})
    assert b"task t: there is no wav file; there are: json, mid, svg" in done.stderr
    assert get("t", "--format", "MID").returncode == 2


@pytest.mark.parametrize(
    ("state", "members", "code", "words"),
    [
        ("failed", {"failure": FAILURE}, 3, "there is no song: the provider reported a failure (code 500): Internal Error"),
        ("invalid", {"warnings": ["not JSON"]}, 3, "there is no song: not JSON"),
        (
            *("unreadable", {"warnings": ["no notes"], "members": ["code", "data.tracks"]}, 3),
            "there is no song: no notes\n  members: code, data.tracks",
        ),
        ("pending", {"warnings": ["not ended yet"]}, 1, "there is no song: not ended yet"),
        ("lost-in-transit", {}, 3, "there is no song: the state of the task is lost-in-transit"),
    ],
)
def test_a_result_without_a_song_says_why(get, bucket, tmp_path, state, members, code, words):
    bucket.result("t", state, **members)
    done = get("t")
    assert (done.returncode, done.stdout, files(tmp_path)) == (code, b"", {})
    assert f"task t: {words}\n  " in done.stderr.decode(), "and what to do"


def test_the_document_of_a_failure_can_be_had(get, bucket, tmp_path):
    bucket.callback("t")
    bucket.result("t", "failed", failure=FAILURE)
    assert get("t", "--format", "json,raw").returncode == 0
    assert sorted(files(tmp_path)) == ["t.json", "t/a.json"]
    done = get("t", "--format", "mid")
    assert done.returncode == 3 and b"(code 500): Internal Error" in done.stderr


def test_a_task_without_a_result_may_get_one(get, bucket):
    done = get("t")
    assert done.returncode == 1 and b"task t: no callback has come yet" in done.stderr
    bucket.callback("t")
    done = get("t")
    assert done.returncode == 1 and b"task t: a callback came at 20" in done.stderr and b"midihook replay t" in done.stderr


def test_some_tasks_do_not_wait_for_the_others(get, bucket, tmp_path):
    bucket.song("a")
    bucket.result("b", "failed", failure=FAILURE)
    done = get("c", "b", "a", "a")
    assert done.returncode == 1, "the song of c may come"
    assert sorted(files(tmp_path)) == ["a.json", "a.mid", "a.svg"] and len(done.stdout.splitlines()) == 3
    assert b"task b: there is no song" in done.stderr and b"task c: no callback" in done.stderr
    assert get("b", "a").returncode == 3


def test_it_waits_for_the_result(get, bucket, tmp_path):
    def arrive():
        time.sleep(1)
        bucket.callback("t")
        time.sleep(3)
        bucket.song("t")

    threading.Thread(target=arrive).start()
    done = get("t", "--wait", "--timeout", "30s")
    assert (done.returncode, done.stderr) == (0, b""), "no progress, because this is no terminal"
    assert sorted(files(tmp_path)) == ["t.json", "t.mid", "t.svg"]


def test_it_waits_through_an_outage(get, bucket, tmp_path):
    bucket.song("t")
    bucket.down = True
    done = get("t")
    assert done.returncode == 1 and b"S3 could not read midi/t.json" in done.stderr and b"Trying again may help." in done.stderr

    def recover():
        time.sleep(4)
        bucket.down = False

    threading.Thread(target=recover).start()
    done = get("t", "--wait", "--timeout", "30s")
    assert (done.returncode, done.stderr) == (0, b"")
    assert sorted(files(tmp_path)) == ["t.json", "t.mid", "t.svg"]


def test_it_does_not_wait_for_ever_nor_for_what_cannot_come(get, bucket):
    began = time.monotonic()
    done = get("t", "--wait", "--timeout", "1s")
    assert done.returncode == 1 and b"no callback has come yet" in done.stderr
    bucket.result("t", "failed", failure=FAILURE)
    assert get("t", "--wait").returncode == 3
    assert time.monotonic() - began < 10
    assert get("t", "--timeout", "1s").returncode == 2, "only with --wait"


def test_a_file_appears_when_it_is_complete(get, bucket, tmp_path):
    bucket.song("t")
    (tmp_path / "t.mid").write_bytes(b"of yesterday")
    del bucket.objects["midi/t.mid"]
    done = get("t", "--format", "mid")
    assert done.returncode == 3 and b"midi/t.mid is not in the bucket any more; midihook replay t" in done.stderr
    assert files(tmp_path) == {"t.mid": b"of yesterday"}
    (tmp_path / "t.svg").mkdir()
    done = get("t", "--format", "svg")
    assert done.returncode == 1 and b"cannot write ./t.svg" in done.stderr
    assert files(tmp_path) == {"t.mid": b"of yesterday"}, "nothing is left behind"


@pytest.mark.parametrize("name", ["midi/../../t.mid", "midi//etc/t.mid", "midi/t/.bashrc.mid", "t.mid", "midi/c:\\t.mid"])
def test_a_document_cannot_choose_a_place_outside_of_the_directory(get, bucket, tmp_path, name):
    bucket.result("t", "rendered", {"midi": ".mid"}, [{"file": name}])
    done = get("t", "-o", "out")
    assert done.returncode == 3 and b"is not a name for a file" in done.stderr
    assert files(tmp_path) == {}


def test_links_are_printed_instead(get, bucket, tmp_path):
    bucket.song("t")
    done = get("t", "--link", "--format", "mid,svg", "--expires", "1d")
    assert done.returncode == 0, done.stderr
    links = [urllib.parse.urlsplit(line) for line in done.stdout.decode().splitlines()]
    assert [link.path for link in links] == ["/bucket/midi/t.mid", "/bucket/midi/t.svg"]
    assert all(urllib.parse.parse_qs(link.query)["X-Amz-Expires"] == ["86400"] for link in links)
    assert urllib.request.urlopen(links[0].geturl()).read() == b"contents of midi/t.mid"
    assert files(tmp_path) == {}
    assert get("t", "--link", "--expires", "8d").returncode == 2
    assert get("t", "--link", "-o", "out").returncode == 2
    assert get("t", "--expires", "1d").returncode == 2


def test_an_error_of_s3_is_not_a_missing_song(midihook, bucket):
    environment = bucket.environment | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    done = midihook("get", "t", env=environment)
    assert done.returncode == 1 and b"S3 could not read midi/t.json" in done.stderr and b"Trying again may help." in done.stderr
