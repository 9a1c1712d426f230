"""Each result document fits docs/result.schema.json, and its counts fit the file."""

import json
import xml.etree.ElementTree as ElementTree

import jsonschema
import pytest

from tests.readers.callbacks import callback
from tests.local_stack.stack import ROOT

SCHEMA = json.loads((ROOT / "docs" / "result.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def document(midihook, directory, sent, *options):
    files = ["-o", directory / "song.mid", "--svg", directory / "song.svg"]
    done = midihook("render", "-", "--json", *files, *options, input=json.dumps(sent).encode())
    assert done.returncode in (0, 3), done.stderr.decode()
    return json.loads(done.stdout)


def test_the_schema_is_valid():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_document_of_a_song(midihook, tmp_path):
    for seed in range(1, 101):
        result = document(midihook, tmp_path, callback(seed))
        VALIDATOR.validate(result)
        tracks = result.get("song", {}).get("instruments", [])
        assert result["song"]["notes"] == sum(track["notes"] for track in tracks)
        sent = [len(instrument["notes"] or []) for instrument in callback(seed)["data"]["instruments"]]
        kept = [track["notes"] + track.get("merged", 0) + sum(track.get("skipped", {}).values()) for track in tracks]
        assert kept == sent, f"seed {seed}: a sent note is neither in the file nor counted"
        # The picture is well-formed and has a description.
        picture = ElementTree.parse(tmp_path / "song.svg").getroot()
        assert picture.find("{http://www.w3.org/2000/svg}desc").text.startswith("Piano roll of ")


def test_the_document_of_a_song_that_is_split_and_quantized(midihook, tmp_path):
    for seed in range(1, 21):
        directory = tmp_path / str(seed)
        directory.mkdir()
        result = document(midihook, directory, callback(seed), "--split", "--quantize", "1/16")
        VALIDATOR.validate(result)
        named = [result["files"]["quantized"], *(track["file"] for track in result["song"]["instruments"])]
        assert len(set(named)) == len(named)
        # The command writes them beside the song.
        written = {path.name for path in directory.iterdir()} - {"song.mid", "song.svg"}
        assert written == {f"song-{name.rsplit('/', 1)[1]}" for name in named}, f"seed {seed}"


@pytest.mark.parametrize(
    "sent",
    [
        {"code": 500, "msg": "no", "data": None, "taskId": "t"},
        {"code": "strange", "data": {}},
        {"code": 501},
        {"code": 200, "data": {"audioWavUrl": "u"}},
        {"data": {"instruments": 1}},
        {"code": 200, "data": {"instruments": []}},
    ],
)
def test_the_document_of_a_task_without_a_song(midihook, tmp_path, sent):
    VALIDATOR.validate(document(midihook, tmp_path, sent))
