"""Fixtures of all Python tests: the command line and the deployed stack."""

import secrets
import subprocess

import pytest

from tests.local_stack.stack import ROOT, LocalStack


# These have stacks of their own, or prove at length what others prove in short: `make test-all` only.
AT_LENGTH = {"test_account", "test_binaries", "test_budget", "test_lifecycle", "test_load", "test_release", "test_serve"}


def pytest_configure(config):
    config.addinivalue_line("markers", "all: in `make test-all` only")


def pytest_itemcollected(item):
    if item.path.stem in AT_LENGTH:
        item.add_marker("all")


@pytest.fixture(scope="session")
def midihook():
    """A function that runs the command line: midihook("render", …, input=bytes)."""
    program = ROOT / "target" / "debug" / "midihook"
    assert program.exists(), "build it first: cargo build --workspace --bins --tests, as make test does"

    def run(*arguments, **options):
        return subprocess.run([program, *arguments], capture_output=True, timeout=60, **options)

    run.program = program
    return run


@pytest.fixture(scope="session")
def stack():
    """The template, deployed on a local AWS stack. All tests of a worker share it."""
    # A function may fail if this computer stands still for some seconds. Its message comes back before a test gives up.
    with LocalStack(secrets.token_urlsafe(24)) as stack, stack.visibility_timeout(20) as usual:
        assert usual >= 6 * 60, "six times the renderer's timeout"
        yield stack


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Adds to a failed test of a stack what was logged last: the stack is gone when somebody reads the report."""
    report = yield
    stack = getattr(item, "funcargs", {}).get("stack")
    if report.failed and stack:
        complaints = [line for line in stack.log.read_text().splitlines() if "INFO" not in line]
        report.sections.append(("MiniStack's last complaints", "\n".join(complaints[-60:])))
        try:
            lines = stack.logs()[-60:]
        except Exception as error:  # whatever failed the test may fail this too
            lines = [repr(error)]
        report.sections.append(("the functions' last lines", "\n".join(lines)))
    return report
