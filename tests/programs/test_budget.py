"""The work of a conversion, in instructions: a budget without a clock, which a busy machine does not change.

A conversion may take a tenth more than what is written here. If it takes more for a reason, write the new number and say
why in the commit; if it takes less, write the new number too."""

import platform
import re
import shutil
import subprocess

import pytest

from tests.bench.callbacks import callback
from tests.local_stack.stack import ROOT

# Millions of instructions of `midihook render` for 10,000 notes on x86_64, by tempo. Some 46 of each are the hash of the
# body, for which valgrind has no instructions of the processor.
BUDGET = {"off": 84, "auto": 198}
ALLOWED = 1.1

pytestmark = [
    pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed: the budget is not checked"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the budget was measured on x86_64"),
]


@pytest.fixture(scope="module")
def program():
    arguments = ["--quiet", "--locked", "--release", "--package", "midihook-cli", "--no-default-features"]
    subprocess.run(["cargo", "build", *arguments], cwd=ROOT, check=True)
    return ROOT / "target" / "release" / "midihook"


@pytest.mark.parametrize("tempo", BUDGET)
def test_a_conversion_keeps_to_its_budget(program, tempo, tmp_path):
    song = tmp_path / "song.json"
    song.write_text(callback(10_000))
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    command = [*valgrind, program, "render", song, "--bpm", tempo, "-o", tmp_path / "song.mid"]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stderr
    taken = int(re.search(r"Collected : (\d+)", said)[1]) / 1e6
    print(f"{tempo}: {taken:.1f} million instructions")
    assert taken < ALLOWED * BUDGET[tempo], f"{taken:.1f} million instructions, {BUDGET[tempo]} are the budget"
