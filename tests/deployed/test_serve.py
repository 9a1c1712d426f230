"""`make serve` without an AWS account and without a tunnel: what it prints is done in a second terminal."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import uuid

from tests.deployed.test_watch import finish
from tests.local_stack.__main__ import SHELL
from tests.local_stack.provider import Provider
from tests.local_stack.stack import ROOT, repeated, wait_for
from tests.programs.servers import certified

API_KEY, SIGNING_KEY = uuid.uuid4().hex, uuid.uuid4().hex


@contextlib.contextmanager
def https_provider(directory):
    """A provider whose certificate is trusted by those whose SSL_CERT_FILE it is; gives both."""
    tls, file = certified(directory)
    with Provider(API_KEY, tls) as provider:
        yield provider, file


@contextlib.contextmanager
def command_lines():
    """All command lines that anybody on this computer can see within a `with` block."""
    seen = set()

    def look():
        for file in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                seen.add(file.read_bytes())

    with repeated(look, pause=0.02):
        yield seen


@contextlib.contextmanager
def served(directory, environment):
    """`make serve` within a `with` block; gives a function that returns what it has printed. Ctrl-C ends it."""
    said = directory / "said"
    # Only SSL_CERT_FILE says whom to trust.
    environment = {name: value for name, value in os.environ.items() if name != "SSL_CERT_DIR"} | environment | {"PYTHONPATH": str(ROOT)}
    with said.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "tests.local_stack", "serve"], cwd=directory, env=environment, stdout=output, stderr=output)

    def printed():
        assert process.poll() is None, said.read_text()
        return said.read_text()

    try:
        yield printed
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0, said.read_text()


def test_a_task_is_submitted_in_a_second_terminal_and_its_song_arrives_in_out(midihook, tmp_path):
    with https_provider(tmp_path) as (provider, certificates), command_lines() as seen:
        first = {"PROVIDER_API_KEY": API_KEY, "PROVIDER_API_URL": provider.url, "MIDIHOOK_KEY": SIGNING_KEY, "SSL_CERT_FILE": certificates}
        path = f"{midihook.program.parent}{os.pathsep}{os.environ['PATH']}"
        second = {"PATH": path, "PROVIDER_API_KEY": API_KEY, "AWS_PROFILE": "work", "AWS_SESSION_TOKEN": "of another account"}

        def terminal(command):
            return subprocess.run(["sh", "-c", command], cwd=ROOT, env=second, capture_output=True, text=True, timeout=60)

        with served(tmp_path, first) as printed:
            [begin, submit] = wait_for("the words", lambda: re.findall(r"^    (\. \S+) && (midihook submit .*)$", printed(), re.M), seconds=120)[0]
            provider.separations.add("separation")
            submitted = terminal(f"{begin} && {submit.replace('<separation>', 'separation')}")
            assert submitted.returncode == 0, submitted.stderr
            task_id = submitted.stdout.strip()
            finish(provider, task_id)
            files = [tmp_path / "out" / f"{task_id}.{kind}" for kind in ("json", "mid", "svg")]
            wait_for("the song", lambda: all(file.exists() for file in files), seconds=120)
            assert "rendered" in terminal(f"{begin} && midihook status {task_id}").stdout
            assert terminal(f"{begin} && midihook get {task_id} -o {tmp_path}").returncode == 0
            assert API_KEY not in printed() + SHELL.read_text() and SIGNING_KEY not in printed() + SHELL.read_text()
    assert not SHELL.exists()
    assert any(b"deploy" in line for line in seen)
    assert not [line for line in seen if API_KEY.encode() in line or SIGNING_KEY.encode() in line]
