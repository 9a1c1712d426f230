"""Fixtures of all Python tests: the command line and the deployed stack."""

import secrets
import subprocess

import pytest

from tests.local_stack.stack import ROOT, LocalStack


@pytest.fixture(scope="session")
def midihook():
    """A function that runs the command line: midihook("render", …, input=bytes)."""
    subprocess.run(["cargo", "build", "--quiet", "--package", "midihook-cli"], cwd=ROOT, check=True)
    program = ROOT / "target" / "debug" / "midihook"

    def run(*arguments, **options):
        return subprocess.run([program, *arguments], capture_output=True, timeout=60, **options)

    run.program = program
    return run


@pytest.fixture(scope="session")
def stack():
    """The template, deployed on a local AWS stack. All tests of a session share it."""
    with LocalStack(secrets.token_urlsafe(24)) as stack:
        yield stack
