"""fluidsynth turns the files into sound without a warning. midicsv, which reads strictly, accepts them."""

import csv
import io
import json
import subprocess
import wave

import pytest

from tests.readers.callbacks import callback
from tests.local_stack.stack import ROOT
from tests.oracles.conftest import SOUNDFONT

SEEDS = range(1, 41)


def render(midihook, directory, seed):
    path = directory / f"{seed}.mid"
    body = json.dumps(callback(seed)).encode() if seed else (ROOT / "events" / "callback-success.json").read_bytes()
    assert midihook("render", "-", "-o", path, input=body).returncode == 0
    return path


@pytest.mark.parametrize("seed", [0, 3, 8, 21])
def test_fluidsynth_plays_it_without_a_warning(midihook, tmp_path, seed):
    song = render(midihook, tmp_path, seed)
    sound = tmp_path / "song.wav"
    command = ["fluidsynth", "-ni", "-q", "-F", sound, "-T", "wav", SOUNDFONT, song]
    played = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert played.returncode == 0
    complaints = [line for line in (played.stdout + played.stderr).splitlines() if "warning" in line or "error" in line]
    assert not complaints
    with wave.open(str(sound)) as file:
        frames = file.readframes(file.getnframes())
    assert any(frames), "silence"


def test_midicsv_reads_every_event(midihook, tmp_path):
    for seed in SEEDS:
        read = subprocess.run(["midicsv", render(midihook, tmp_path, seed)], capture_output=True, timeout=60)
        assert (read.returncode, read.stderr) == (0, b""), f"seed {seed}"
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(read.stdout.decode("latin-1")))]
        kinds = [row[2] for row in rows]
        assert kinds.count("Note_on_c") == kinds.count("Note_off_c"), f"seed {seed}"
        assert kinds.count("Start_track") == kinds.count("End_track") == len(callback(seed)["data"]["instruments"]) + 1
