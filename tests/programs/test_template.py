"""template.yaml agrees with the built programs, and its numbers agree with each other."""

import json
import re

import pytest

from tests.local_stack.stack import ROOT
from tests.programs.functions import settings_error
from tests.programs.template import OUTPUTS, PARAMETERS, TEMPLATE, properties
from tests.programs.test_binaries import NEWEST_GLIBC
from tests.programs.test_patience import LATE, PROVIDER_WAITS, answer

SAMPLE = ROOT / "events" / "callback-success.json"
TEMPOS = {
    "auto": True,
    "off": True,
    "20": True,
    "20.0": True,
    "20.5": True,
    "92.5": True,
    "99.99": True,
    "100": True,
    "399.9": True,
    "400": True,
    "~92": True,
    "~92.5": True,
    "~400": True,
    "~": False,
    "~19": False,
    "~~92": False,
    "~auto": False,
    "": False,
    "fast": False,
    "AUTO": False,
    "-20": False,
    "2": False,
    "19": False,
    "19.9": False,
    "400.1": False,
    "401": False,
    "1000": False,
}
URLS = {
    "https://api.kie.ai": True,
    "https://api.kie.ai/": True,
    "https://proxy.example:8443/kie/v2": True,
    "http://127.0.0.1:8080": True,
    "http://localhost:1": True,
    "": False,
    "api.kie.ai": False,
    "http://api.kie.ai": False,
    "http://localhost.example": False,
    "https://user:password@api.kie.ai": False,
    "https://api.kie.ai?key=x": False,
    "https://-api.kie.ai": False,
}
WORDS = {"three": 3, "four": 4, "five": 5, "six": 6, "seven": 7}


@pytest.mark.parametrize(("tempo", "valid"), TEMPOS.items())
def test_the_template_the_command_and_the_renderer_accept_the_same_tempos(midihook, tempo, valid):
    by_template = re.search(PARAMETERS["Tempo"]["AllowedPattern"], tempo) is not None
    by_command = midihook("render", SAMPLE, "-o", "-", f"--bpm={tempo}")
    by_renderer = settings_error("RendererFunction", TEMPO=tempo)
    assert by_template == valid
    assert by_command.returncode == (0 if valid else 2), by_command.stderr
    assert (by_renderer is None) == valid, by_renderer


@pytest.mark.parametrize("text", ["Description", "ConstraintDescription"])
def test_the_texts_about_the_tempo_give_its_bounds(midihook, text):
    slowest, fastest = map(int, re.search(r"from (\d+) to (\d+)", PARAMETERS["Tempo"][text]).groups())
    for bpm, code in {slowest: 0, fastest: 0, slowest - 1: 2, fastest + 1: 2}.items():
        assert midihook("render", SAMPLE, "-o", "-", f"--bpm={bpm}").returncode == code, bpm


@pytest.mark.parametrize("parameter", ["Steady", "Split", "Quantize"])
def test_the_template_the_command_and_the_renderer_accept_the_same_values(midihook, parameter):
    allowed = PARAMETERS[parameter]["AllowedValues"]
    assert PARAMETERS[parameter]["Default"] in allowed
    for value in [*allowed, "on", "1/4", "TRUE"]:
        by_command = midihook("render", "no-such-file", f"--{parameter.lower()}={value}")
        by_renderer = settings_error("RendererFunction", **{parameter.upper(): value})
        assert by_command.returncode == (1 if value in allowed else 2), (value, by_command.stderr)
        assert (by_renderer is None) == (value in allowed), (value, by_renderer)


def test_the_template_the_command_and_the_renderer_accept_the_same_strengths(midihook):
    bounds = PARAMETERS["QuantizeStrength"]
    lowest, highest = bounds["MinValue"], bounds["MaxValue"]
    for strength, valid in {lowest: True, bounds["Default"]: True, 0.5: True, highest: True, lowest - 0.1: False, highest + 0.1: False}.items():
        by_command = midihook("render", "no-such-file", f"--quantize-strength={strength}")
        by_renderer = settings_error("RendererFunction", QUANTIZE_STRENGTH=str(strength))
        assert by_command.returncode == (1 if valid else 2), (strength, by_command.stderr)
        assert (by_renderer is None) == valid, (strength, by_renderer)


def test_the_template_and_the_receiver_accept_the_same_tolerance():
    bounds = PARAMETERS["ToleranceSeconds"]
    lowest, highest = bounds["MinValue"], bounds["MaxValue"]
    for seconds in (lowest, bounds["Default"], highest):
        assert settings_error("ReceiverFunction", TOLERANCE_SECONDS=str(seconds)) is None
    for seconds in (lowest - 1, highest + 1):
        error = settings_error("ReceiverFunction", TOLERANCE_SECONDS=str(seconds))
        assert error and "TOLERANCE_SECONDS" in error
        assert f"from {lowest} to {highest}" in error


@pytest.mark.parametrize(("url", "valid"), URLS.items())
def test_the_template_and_the_reconciler_accept_the_same_urls(url, valid):
    by_template = re.search(PARAMETERS["ProviderApiUrl"]["AllowedPattern"], url) is not None
    by_reconciler = settings_error("ReconcilerFunction", PROVIDER_API_URL=url)
    assert by_template == valid
    assert (by_reconciler is None) == valid, by_reconciler
    assert "password" not in (by_reconciler or "")


def test_each_timeout_on_the_way_in_is_longer_than_the_one_inside_it():
    # AWS answers so late that the receiver's own deadline ends the request. The log says which deadline that was.
    _, _, log = answer(LATE, LATE, LATE)
    deadline = int(re.search(r"within (\d+) s\b", log).group(1))
    function = properties("ReceiverFunction")["Timeout"]
    gateway = properties("Integration")["TimeoutInMillis"] / 1000
    assert deadline < function < gateway < PROVIDER_WAITS


def test_a_job_stays_hidden_for_six_times_the_renderers_timeout():
    # AWS Lambda developer guide, "Using Lambda with Amazon SQS".
    assert properties("RenderQueue")["VisibilityTimeout"] >= 6 * properties("RendererFunction")["Timeout"]


def test_a_look_stays_hidden_for_six_times_the_reconcilers_timeout():
    assert properties("WatchQueue")["VisibilityTimeout"] >= 6 * properties("ReconcilerFunction")["Timeout"]


@pytest.mark.parametrize(("queue", "alarm"), [("Render", "DeadLetterAlarm"), ("Watch", "WatchDeadLetterAlarm")])
def test_texts_about_dead_letters_give_the_number_of_tries(queue, alarm):
    tries = properties(f"{queue}Queue")["RedrivePolicy"]["maxReceiveCount"]
    for text in (properties(alarm)["AlarmDescription"], OUTPUTS[f"{queue}DeadLetterQueueUrl"]["Description"]):
        assert WORDS[re.search(r"failed (\w+) times", text).group(1)] == tries


def test_texts_about_alarms_give_their_thresholds():
    age = properties("RenderQueueAgeAlarm")
    assert int(re.search(r"(\d+) minutes", age["AlarmDescription"]).group(1)) * 60 == age["Threshold"]
    # The alarm must ring before the third receive of a message, because SQS does not count the message after that.
    assert age["Threshold"] < 2 * properties("RenderQueue")["VisibilityTimeout"]
    refused = PARAMETERS["RejectedCallbacksThreshold"]["Description"]
    assert int(re.search(r"(\d+) minutes", refused).group(1)) * 60 == properties("RejectedCallbacksAlarm")["Period"]


def test_the_functions_are_linked_against_the_glibc_they_are_tested_for():
    glibc = re.search(r"^GLIBC +:= (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE).group(1)
    assert tuple(map(int, glibc.split("."))) == NEWEST_GLIBC


def test_the_schema_and_the_help_give_the_bounds_of_the_tempo(midihook):
    source = json.loads((ROOT / "docs" / "result.schema.json").read_text())["properties"]["source"]["properties"]
    asked = source["asked"]["properties"]["options"]["properties"]["tempo"]["description"]
    text = PARAMETERS["Tempo"]["ConstraintDescription"]
    slowest, fastest = map(int, re.search(r"from (\d+) to (\d+)", text).groups())
    assert f"from {slowest} to {fastest}" in asked
    assert f"from {slowest} to {fastest}" in " ".join(midihook("render", "--help").stdout.decode().split())


def constant(file, name):
    """A number in the sources of the tests in memory."""
    source = (ROOT / "tests" / "aws" / file).read_text()
    return float(re.search(rf"const {name}: \w+ = (?:Duration::from_secs\()?([\d.]+)\)?;", source).group(1))


@pytest.mark.parametrize(("queue", "function"), [("RenderQueue", "RendererFunction"), ("WatchQueue", "ReconcilerFunction")])
def test_the_chaos_in_memory_has_the_queues_and_the_timeouts_of_the_template(queue, function):
    assert constant("queue.rs", "VISIBILITY_TIMEOUT") == properties(queue)["VisibilityTimeout"]
    assert constant("queue.rs", "MAX_RECEIVES") == properties(queue)["RedrivePolicy"]["maxReceiveCount"]
    assert constant("chaos/world.rs", "TIMEOUT") == properties(function)["Timeout"]


def test_the_simulation_has_the_reconciler_of_the_template():
    reconciler = properties("ReconcilerFunction")
    trigger = reconciler["Events"]["Looks"]["Properties"]
    assert constant("ten_thousand.rs", "RECONCILERS") == trigger["ScalingConfig"]["MaximumConcurrency"]
    assert constant("ten_thousand.rs", "RECONCILER_GB") * 1024 == reconciler["MemorySize"]
    for file in ("ten_thousand.rs", "chaos/world.rs"):
        assert constant(file, "WATCH_DELAY") == properties("WatchQueue")["DelaySeconds"]


def test_the_runbook_has_a_section_for_each_alarm():
    # Some alarms exist only with a parameter.
    alarms = {name for name, resource in TEMPLATE["Resources"].items() if resource["Type"] == "AWS::CloudWatch::Alarm"}
    runbook, operate = ((ROOT / path).read_text() for path in ("docs/runbook.md", "docs/operate.md"))
    assert alarms and alarms == {line.removeprefix("## ") for line in runbook.splitlines() if line.startswith("## ") and line.endswith("Alarm")}
    assert all(f"| [{alarm}](runbook.md#{alarm.lower()})" in operate for alarm in alarms)
