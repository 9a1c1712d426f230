"""The life of a stack: it is examined, mended, and deleted. The tests run in this order."""

import json
import re
import secrets
import shlex

import pytest

from tests.deployed.aws_cli import aws
from tests.deployed.test_deployed import song
from tests.local_stack.stack import ROOT, STACK_NAME, LocalStack, wait_for

SONG = "5c79c0ffeebe8e"


@pytest.fixture(scope="module")
def own():
    """A stack for these tests alone."""
    with LocalStack(secrets.token_urlsafe(24), RenderOptions='{"tempo":"~92"}') as stack:
        assert stack.post(song(SONG), SONG).status_code == 200
        assert stack.result(SONG)["state"] == "rendered"
        yield stack


@pytest.fixture
def doctor(own, midihook):
    """Runs `midihook doctor` as a person who may do no more than docs/operate.md says. Returns its exit code and its report."""
    [row] = [line for line in (ROOT / "docs" / "operate.md").read_text().splitlines() if line.startswith("| `doctor` |")]
    allowed = [{"Effect": "Allow", "Action": re.findall(r"`(\w+:\w+)`", row), "Resource": "*"}]
    with own.user("doctor") as (keys, allow):
        allow({"Version": "2012-10-17", "Statement": allowed})

        def run():
            done = midihook("doctor", "--json", env=own.command_line() | keys)
            assert done.stdout, done.stderr
            return done.returncode, json.loads(done.stdout)

        yield run


@pytest.fixture
def shell(own, midihook):
    """Runs a command of ours or of the AWS CLI, as somebody who may do everything."""

    def run(line):
        program, *words = shlex.split(line)
        if program == "midihook":
            done = midihook(*words, env=own.command_line())
            assert done.returncode == 0, done.stderr
            return
        aws(own, *words)

    return run


def test_a_healthy_stack_is_healthy(own, doctor):
    wait_for("the queue to drain", lambda: own.queued() == 0)
    code, report = doctor()
    assert (code, report["status"], report["parameters"]) == (0, "CREATE_COMPLETE", {"RenderOptions": '{"tempo":"~92"}'}), report["findings"]
    assert report["version"] == own.outputs["Version"] and report["keys"]["WebhookKey"]["days"] == 0
    assert [finding["level"] for finding in report["findings"]] == ["note", "note"], "no API key, and nobody hears the alarms"
    assert own.signing_key not in json.dumps(report)


def test_the_printed_commands_mend_what_is_wrong(own, doctor, shell):
    own.client("s3").put_bucket_notification_configuration(Bucket=own.bucket, NotificationConfiguration={})

    code, report = doctor()
    commands = [finding["mend"] for finding in report["findings"] if finding["level"] == "problem"]
    assert (code, len(commands)) == (3, 1), report["findings"]
    for command in commands:
        shell(command)
    code, report = doctor()
    assert code == 0, report["findings"]


def test_deleting_the_stack_keeps_the_bucket_and_nothing_else(own):
    before = own.object_names()
    cloudformation = own.client("cloudformation")
    cloudformation.delete_stack(StackName=STACK_NAME)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=STACK_NAME, WaiterConfig={"Delay": 1})
    assert own.object_names() == before and f"midi/{SONG}.mid" in before
    assert own.client("sqs").list_queues().get("QueueUrls", []) == []
    assert own.client("logs").describe_log_groups()["logGroups"] == []
    assert own.client("lambda").list_functions()["Functions"] == []
    assert [secret["ARN"] for secret in own.client("secretsmanager").list_secrets()["SecretList"]] == []
