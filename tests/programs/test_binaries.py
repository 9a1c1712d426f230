"""The built functions run on Lambda's operating system."""

import json
import re
import subprocess

import pytest

from tests.programs.functions import bootstrap

# provided.al2023 has glibc 2.34 (AWS Lambda developer guide, "OS-only runtimes").
NEWEST_GLIBC = (2, 34)
FUNCTIONS = ["ReceiverFunction", "RendererFunction", "ReconcilerFunction", "PusherFunction"]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_newer_glibc_is_needed(function):
    versions = subprocess.run(["readelf", "--version-info", bootstrap(function)], capture_output=True, text=True, check=True).stdout
    needed = {tuple(map(int, version.split("."))) for version in re.findall(r"GLIBC_([0-9.]+)", versions)}
    assert needed and max(needed) <= NEWEST_GLIBC


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_without_settings_names_the_missing_one(function):
    done = subprocess.run([bootstrap(function)], env={}, capture_output=True, text=True, timeout=10)
    line = json.loads(done.stdout)
    assert done.returncode == 1 and (line["level"], line["message"]) == ("ERROR", "cannot start")
    assert "is not set: deploy with template.yaml" in line["error"]
