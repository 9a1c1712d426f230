"""The work of a conversion and of the receiver, in instructions: a budget without a clock, which a busy machine does not
change.

Each may take a tenth more than what is written here. If it takes more for a reason, write the new number and say
why in the commit; if it takes less, write the new number too."""

import platform
import re
import shutil
import signal
import subprocess

import pytest

from tests.bench.callbacks import callback
from tests.local_stack.stack import ROOT
from tests.programs.account import Account, RuntimeApi, small
from tests.programs.functions import bootstrap, running
from tests.programs.servers import certified

# Millions of instructions of `midihook render` for 10,000 notes on x86_64, by tempo. Some 46 of each are the hash of the
# body, for which valgrind has no instructions of the processor.
BUDGET = {"off": 84, "auto": 175}
# Millions of instructions of the receiver on x86_64: until it asks for the first event, with the connections that it opens,
# and for one callback of 1 kB. AWS is in memory and speaks plain HTTP.
START, CALLBACK = 4.3, 1.45
ALLOWED = 1.1
VALGRIND = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]

pytestmark = [
    pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed: the budget is not checked"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the budget was measured on x86_64"),
]


@pytest.fixture(scope="module")
def program():
    arguments = ["--quiet", "--locked", "--profile", "dist", "--package", "midihook-cli", "--no-default-features"]
    subprocess.run(["cargo", "build", *arguments], cwd=ROOT, check=True)
    return ROOT / "target" / "dist" / "midihook"


@pytest.mark.parametrize("tempo", BUDGET)
def test_a_conversion_keeps_to_its_budget(program, tempo, tmp_path):
    song = tmp_path / "song.json"
    song.write_text(callback(10_000))
    command = [*VALGRIND, program, "render", song, "--bpm", tempo, "-o", tmp_path / "song.mid"]
    said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stderr
    keeps_to(BUDGET[tempo], collected(said))


def collected(said):
    """The millions of instructions that valgrind says it has counted."""
    return int(re.search(r"Collected : (\d+)", said)[1]) / 1e6


def keeps_to(budget, taken):
    print(f"{taken:.2f} million instructions")
    assert taken < ALLOWED * budget, f"{taken:.2f} million instructions, {budget} are the budget"


def receiver(callbacks, trusted):
    """The millions of instructions of a receiver that starts and answers so many callbacks."""
    account, answers = Account(), []
    api = RuntimeApi((small(str(number)) for number in range(callbacks)), answers.append)
    settings = account.settings("ReceiverFunction") | {"SSL_CERT_FILE": trusted}
    with running("ReceiverFunction", api.address, settings, [*VALGRIND, bootstrap("ReceiverFunction")]) as process:
        api.serve(process)
        process.send_signal(signal.SIGTERM)
        process.wait()
    api.close()
    account.close()
    assert [answer["statusCode"] for answer in answers] == [200] * callbacks
    return collected(process.log)


@pytest.fixture
def trusted(tmp_path):
    # One certificate, because a program reads all that it trusts, and each computer has others.
    return certified(tmp_path)[1]


def test_the_receiver_keeps_to_its_budget(trusted):
    keeps_to(START, receiver(0, trusted))
    keeps_to(CALLBACK, (receiver(11, trusted) - receiver(1, trusted)) / 10)
