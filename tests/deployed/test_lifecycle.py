"""The life of a stack: it is upgraded from an earlier release, examined, mended, and deleted. The tests run in this order."""

import json
import re
import secrets
import shlex
import uuid

import pytest

from release.package import prebuilt
from tests.deployed.aws_cli import aws
from tests.deployed.test_deployed import song
from tests.local_stack.stack import ROOT, STACK_NAME, LocalStack, wait_for
from tests.programs.functions import bootstrap

# The last version before tasks were watched.
OLD = ROOT / "tests" / "deployed" / "releases" / "0.1.0-before-watching"
SONG = "5c79c0ffeebe8e"


def old_objects():
    """What the earlier version had stored: the bytes and the metadata of each object, by its name."""
    metadata = json.loads((OLD / "metadata.json").read_text())
    return {name: ((OLD / "bucket" / name).read_bytes(), its) for name, its in metadata.items()}


def old_job(stack):
    """A job as the earlier version queued it."""
    return (OLD / "job.json").read_text().replace("<bucket>", stack.bucket)


def trigger(stack):
    """The id of the mapping from the render queue to the renderer."""
    name = stack.outputs["RendererFunctionName"]
    [mapping] = stack.client("lambda").list_event_source_mappings(FunctionName=name)["EventSourceMappings"]
    return mapping["UUID"]


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory):
    """The stack after the upgrade. `before` has the outputs that it had."""
    template = tmp_path_factory.mktemp("old") / "template.yaml"
    code = {name: bootstrap(f"{name.capitalize()}Function").parent for name in ("receiver", "renderer")}
    template.write_text(prebuilt((OLD / "template.yaml").read_text(), code))
    with LocalStack(secrets.token_urlsafe(24), template=template, Tempo="~92") as stack:
        for name, (contents, metadata) in old_objects().items():
            stack.client("s3").put_object(Bucket=stack.bucket, Key=name, Body=contents, Metadata=metadata)
        # Nobody takes the job before the upgrade.
        stack.client("lambda").update_event_source_mapping(UUID=trigger(stack), Enabled=False)
        stack.client("sqs").send_message(QueueUrl=stack.outputs["RenderQueueUrl"], MessageBody=old_job(stack))
        stack.before = stack.outputs
        stack.deploy()
        stack.client("lambda").update_event_source_mapping(UUID=trigger(stack), Enabled=True)
        yield stack


def test_every_callback_and_every_song_is_still_there(upgraded):
    assert old_objects().keys() >= {f"midi/{SONG}.{kind}" for kind in ("json", "mid", "svg")}
    for name, (contents, metadata) in old_objects().items():
        found = upgraded.client("s3").get_object(Bucket=upgraded.bucket, Key=name)
        assert (found["Body"].read(), found["Metadata"]) == (contents, metadata), name


def test_names_and_parameters_stay(upgraded):
    # The variables of a person's shell may become more.
    before = {name: value for name, value in upgraded.before.items() if name != "CommandLine"}
    assert "WatchQueueUrl" not in before and before.items() <= upgraded.outputs.items()
    stack = upgraded.client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"][0]
    parameters = {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in stack["Parameters"]}
    assert (stack["StackStatus"], parameters["Tempo"]) == ("UPDATE_COMPLETE", "~92")


def test_a_job_that_the_earlier_version_queued_is_rendered(upgraded):
    task_id = json.loads(old_job(upgraded))["taskId"]
    assert f"midi/{task_id}.json" not in old_objects()
    assert upgraded.result(task_id)["state"] == "rendered"


def test_songs_of_the_earlier_version_are_found_and_rendered_again(upgraded, midihook, tmp_path):
    environment = upgraded.command_line()
    listed = [json.loads(line) for line in midihook("list", "--json", env=environment).stdout.splitlines()]
    assert (SONG, "rendered") in [(line["taskId"], line["state"]) for line in listed]
    assert midihook("get", SONG, "-o", tmp_path, env=environment).returncode == 0
    for kind in ("json", "mid", "svg"):
        assert (tmp_path / f"{SONG}.{kind}").read_bytes() == old_objects()[f"midi/{SONG}.{kind}"][0]

    before = upgraded.result(SONG)
    assert midihook("replay", SONG, env=environment).returncode == 0
    wait_for("the queue to drain", lambda: upgraded.queued() == 0)
    after = upgraded.result(SONG)
    assert (after["state"], after["source"]["key"], after["song"]["notes"]) == ("rendered", before["source"]["key"], before["song"]["notes"])


def test_callbacks_come_to_the_same_url(upgraded):
    task_id = uuid.uuid4().hex
    assert upgraded.post(song(task_id), task_id).status_code == 200
    assert upgraded.result(task_id)["state"] == "rendered"


@pytest.fixture
def doctor(upgraded, midihook):
    """Runs `midihook doctor` as a person who may do no more than docs/operate.md says. Returns its exit code and its report."""
    [row] = [line for line in (ROOT / "docs" / "operate.md").read_text().splitlines() if line.startswith("| `doctor` |")]
    # The local stack asks for lambda:PutFunctionConcurrency where AWS asks for lambda:GetFunctionConcurrency.
    actions = [*re.findall(r"`(\w+:\w+)`", row), "lambda:PutFunctionConcurrency"]
    allowed = [{"Effect": "Allow", "Action": actions, "Resource": "*"}]
    with upgraded.user("doctor") as (keys, allow):
        allow({"Version": "2012-10-17", "Statement": allowed})

        def run():
            done = midihook("doctor", "--json", env=upgraded.command_line() | keys)
            assert done.stdout, done.stderr
            return done.returncode, json.loads(done.stdout)

        yield run


@pytest.fixture
def shell(upgraded, midihook):
    """Runs a command of ours or of the AWS CLI, as somebody who may do everything."""

    def run(line):
        program, *words = shlex.split(line)
        if program == "midihook":
            done = midihook(*words, env=upgraded.command_line())
            assert done.returncode == 0, done.stderr
            return
        aws(upgraded, *words)

    return run


def test_a_healthy_stack_is_healthy(upgraded, doctor):
    wait_for("the queue to drain", lambda: upgraded.queued() == 0)
    code, report = doctor()
    assert (code, report["status"], report["parameters"]) == (0, "UPDATE_COMPLETE", {"Tempo": "~92"}), report["findings"]
    assert report["version"] == upgraded.outputs["Version"] and report["keys"]["WebhookKey"]["days"] == 0
    assert [finding["level"] for finding in report["findings"]] == ["note", "note"], "no API key, and nobody hears the alarms"
    assert upgraded.signing_key not in json.dumps(report)


def test_the_printed_commands_mend_what_is_wrong(upgraded, doctor, shell):
    functions, sqs, outputs = upgraded.client("lambda"), upgraded.client("sqs"), upgraded.outputs
    functions.update_event_source_mapping(UUID=trigger(upgraded), Enabled=False)
    functions.put_function_concurrency(FunctionName=outputs["ReceiverFunctionName"], ReservedConcurrentExecutions=0)
    sqs.send_message(QueueUrl=outputs["RenderDeadLetterQueueUrl"], MessageBody=old_job(upgraded))
    upgraded.client("s3").put_bucket_notification_configuration(Bucket=upgraded.bucket, NotificationConfiguration={})

    code, report = doctor()
    commands = [finding["mend"] for finding in report["findings"] if finding["level"] == "problem"]
    assert (code, len(commands)) == (3, 4), report["findings"]
    for command in commands:
        shell(command)
    wait_for("the job to be moved", lambda: upgraded.queued("RenderDeadLetterQueueUrl") == 0)
    code, report = doctor()
    assert code == 0, report["findings"]


def test_deleting_the_stack_keeps_the_bucket_and_nothing_else(upgraded):
    before = upgraded.object_names()
    cloudformation = upgraded.client("cloudformation")
    cloudformation.delete_stack(StackName=STACK_NAME)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=STACK_NAME, WaiterConfig={"Delay": 1})
    assert upgraded.object_names() == before and f"midi/{SONG}.mid" in before
    assert upgraded.client("sqs").list_queues().get("QueueUrls", []) == []
    assert upgraded.client("logs").describe_log_groups()["logGroups"] == []
    assert upgraded.client("lambda").list_functions()["Functions"] == []
    assert [secret["ARN"] for secret in upgraded.client("secretsmanager").list_secrets()["SecretList"]] == []
