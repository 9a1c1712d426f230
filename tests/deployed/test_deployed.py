"""The whole product: callbacks over HTTP to the deployed template, with IAM enforced, and results from the bucket."""

import io
import json
import re
import time
import uuid

import jsonschema
import mido
import pytest

from tests.local_stack.stack import ROOT, sign, wait_for
from tests.programs.template import PARAMETERS, properties

EVENTS = ROOT / "events"


@pytest.fixture
def task_id():
    return uuid.uuid4().hex


def song(task_id, pitch=60, /, **more):
    note = {"pitch": pitch, "start": "0.5", "end": 1, "velocity": 1}
    data = {"taskId": task_id, "state": "complete", "instruments": [{"name": "Violin", "notes": [note]}]}
    return json.dumps({"code": 200, "msg": "success", "data": data | more}).encode()


def test_the_providers_sample_becomes_a_song(stack):
    body = (EVENTS / "callback-success.json").read_bytes()
    task_id = json.loads(body)["data"]["taskId"]
    answer = stack.post(body, task_id)
    assert (answer.status_code, answer.json()) == (200, {"status": "accepted", "taskId": task_id})
    assert answer.headers["content-type"] == "application/json"

    document = stack.result(task_id)
    assert document["state"] == "rendered"
    [raw] = stack.object_names(f"raw/{task_id}/")
    assert document["source"]["key"] == raw
    assert stack.read(raw) == body, "the archived body differs"
    file = mido.MidiFile(file=io.BytesIO(stack.read(f"midi/{task_id}.mid")))
    assert [track.name for track in file.tracks[1:]] == ["Drums", "Electric Bass (finger)"]
    assert sum(message.type == "note_on" for track in file.tracks for message in track) == 6


def test_the_same_callback_sent_five_times_makes_one_body_and_one_song(stack, task_id):
    for _ in range(5):
        assert stack.post(song(task_id), task_id).status_code == 200
    stack.result(task_id)
    wait_for("the queue to drain", lambda: stack.queued() == 0)
    assert len(stack.object_names(f"raw/{task_id}/")) == 1
    versions = stack.client("s3").list_object_versions(Bucket=stack.bucket, Prefix=f"midi/{task_id}.")["Versions"]
    assert sorted(version["Key"] for version in versions) == [f"midi/{task_id}.{kind}" for kind in ("json", "mid", "svg")]


def test_a_stranger_stores_nothing_and_queues_nothing(stack, task_id):
    now = str(int(time.time()))
    for why, arguments in {
        "another signing key": {"signing_key": "not the key"},
        "a stale timestamp": {"timestamp": str(int(now) - 301)},
        "a timestamp in the future": {"timestamp": str(int(now) + 330)},
        "no signature": {"headers": {"x-webhook-signature": None}},
        "no timestamp": {"headers": {"x-webhook-timestamp": None}},
        "another task's signature": {"headers": {"x-webhook-timestamp": now, "x-webhook-signature": sign(stack.signing_key, "other", now)}},
    }.items():
        answer = stack.post(song(task_id), task_id, **arguments)
        assert (answer.status_code, answer.json()) == (401, {"error": "unauthorized"}), why

    # If the stranger had queued a job, it would be rendered before the job of this later task.
    after = uuid.uuid4().hex
    assert stack.post(song(after), after).status_code == 200
    stack.result(after)
    wait_for("the queue to drain", lambda: stack.queued() == 0)
    assert not [name for name in stack.object_names() if task_id in name]
    assert not [line for line in stack.logs() if task_id in line]


def test_a_malformed_body_is_refused_with_the_reason(stack, task_id):
    assert stack.post(b"not json", task_id).json() == {"error": "malformed"}
    conflicting = stack.post(song(task_id, task_id="other"), task_id)
    assert (conflicting.status_code, conflicting.json()) == (400, {"error": "the body names more than one task id"})
    unfit = stack.post(song("../" + task_id), "../" + task_id)
    assert unfit.status_code == 400 and "the task id must be" in unfit.json()["error"]
    assert not [name for name in stack.object_names() if task_id in name]


@pytest.mark.parametrize("path", ["", "/", "/other"])
def test_other_paths_are_answered_404(stack, task_id, path, monkeypatch):
    monkeypatch.setattr(stack, "callback_url", stack.callback_url.removesuffix("/callback") + path)
    assert stack.post(song(task_id), task_id).status_code == 404


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ({"code": 500, "msg": "Internal Error", "data": None}, "failed"),
        ({"code": 200, "data": {"instruments": []}}, "empty"),
        ({"code": 200, "data": {"instruments": [{"name": "Drums", "notes": None}]}}, "empty"),
        ({"code": 200, "data": {"audioWavUrl": "https://example.com/a.wav"}}, "unsupported"),
        ({"code": 200, "data": {"instruments": "none"}}, "unreadable"),
    ],
)
def test_each_kind_of_callback_has_its_state(stack, task_id, body, state):
    assert stack.post(json.dumps(body | {"task_id": task_id}), task_id).status_code == 200
    assert stack.result(task_id)["state"] == state
    assert (f"midi/{task_id}.mid" in stack.object_names("midi/")) == (state == "empty")


def test_a_failure_after_a_song_does_not_replace_it(stack, task_id):
    assert stack.post(song(task_id), task_id).status_code == 200
    stack.result(task_id)
    failure = json.dumps({"code": 500, "msg": "no", "taskId": task_id, "data": None})
    assert stack.post(failure, task_id, timestamp=str(int(time.time()) + 5)).status_code == 200
    wait_for("the queue to drain", lambda: stack.queued() == 0)
    assert stack.result(task_id)["state"] == "rendered"
    assert len(stack.object_names(f"raw/{task_id}/")) == 2


def test_an_s3_event_is_a_job(stack, task_id):
    name = f"raw/{task_id}/by hand.json"
    stack.client("s3").put_object(Bucket=stack.bucket, Key=name, Body=song(task_id))
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put"}
    event = {"Records": [record | {"s3": {"bucket": {"name": stack.bucket}, "object": {"key": name.replace(" ", "+")}}}]}
    stack.client("sqs").send_message(QueueUrl=stack.outputs["RenderQueueUrl"], MessageBody=json.dumps(event))
    assert stack.result(task_id)["source"]["key"] == name


def test_an_eventbridge_rule_may_feed_the_render_queue(stack, task_id):
    events = stack.client("events")
    pattern = {"source": ["aws.s3"], "detail": {"object": {"key": [{"prefix": f"raw/{task_id}/"}]}}}
    events.put_rule(Name="jobs", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="jobs", Targets=[{"Id": "queue", "Arn": stack.outputs["RenderQueueArn"]}])
    name = f"raw/{task_id}/dropped.json"
    stack.client("s3").put_object(Bucket=stack.bucket, Key=name, Body=song(task_id))
    assert stack.result(task_id)["source"]["key"] == name


def test_an_unparseable_message_ends_in_the_dead_letter_queue(stack):
    sqs = stack.client("sqs")
    with stack.visibility_timeout(1):
        sqs.send_message(QueueUrl=stack.outputs["RenderQueueUrl"], MessageBody="poison")
        wait_for("the dead letter", lambda: stack.queued("RenderDeadLetterQueueUrl") == 1)
    sqs.purge_queue(QueueUrl=stack.outputs["RenderDeadLetterQueueUrl"])


def watched(widget):
    """The metrics in midihook's namespace that a widget shows.

    In a widget, "." stands for the value above it, and "..." for all values above that are left out."""
    names, above = set(), [""] * 4
    for metric in widget["properties"].get("metrics", []):
        words = [word for word in metric if isinstance(word, str)]
        if words[0] == "...":
            words = above[: len(above) - len(words) + 1] + words[1:]
        above = [previous if word == "." else word for word, previous in zip(words, above, strict=True)]
        names |= {above[1]} if above[0] == "midihook" else set()
    return names


def emitted(stack):
    """The metrics that were emitted so far, each with its function."""
    found = set()
    for line in (json.loads(line) for line in stack.logs() if "_aws" in line):
        [directive] = line["_aws"]["CloudWatchMetrics"]
        assert (directive["Namespace"], directive["Dimensions"]) == ("midihook", [["FunctionName"]])
        found |= {(metric["Name"], line["FunctionName"]) for metric in directive["Metrics"]}
    return found


def test_alarms_and_dashboard_watch_what_is_emitted(stack, task_id):
    assert stack.post(song(task_id), task_id).status_code == 200
    assert stack.post(song(task_id), task_id, signing_key="wrong").status_code == 401
    stack.result(task_id)
    wait_for("the log", lambda: any("RenderTime" in line and task_id in line for line in stack.logs()))
    usual = emitted(stack)
    cloudwatch = stack.client("cloudwatch")
    alarms = cloudwatch.describe_alarms()["MetricAlarms"]
    for alarm in (alarm for alarm in alarms if alarm["Namespace"] == "midihook"):
        [dimension] = alarm["Dimensions"]
        # What the receiver never saw is counted in the gateway's log.
        counted = {("UnseenCallbacks", stack.resource("Api"))} if dimension["Name"] == "ApiId" else usual
        assert (alarm["MetricName"], dimension["Value"]) in counted
    body = cloudwatch.get_dashboard(DashboardName="midihook-us-east-1")["DashboardBody"]
    assert "${" not in body
    shown = set().union(*map(watched, json.loads(body)["widgets"]))
    # The tests of what they count see that these are emitted.
    rare = {"UnavailableAnswers", "UnsignedCallbacks", "AccountRefusals", "UnreadableBodies"}
    assert shown - {name for name, _ in usual} <= rare


def test_the_bucket_is_encrypted_versioned_private_and_tls_only(stack):
    s3 = stack.client("s3")
    bucket = {"Bucket": stack.bucket}
    rules = s3.get_bucket_encryption(**bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert s3.get_bucket_versioning(**bucket)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(**bucket)["PublicAccessBlockConfiguration"].values())
    assert '"aws:SecureTransport"' in s3.get_bucket_policy(**bucket)["Policy"]


def test_the_command_line_sends_as_the_provider_does(stack, midihook, task_id):
    front = stack.front()
    url = f"http://127.0.0.1:{front.server_address[1]}/callback"
    try:
        sent = midihook("send", url, "-", "--key", stack.signing_key, input=song(task_id))
        assert (sent.returncode, sent.stderr) == (0, b"")
        assert stack.result(task_id)["state"] == "rendered"
        refused = midihook("send", url, "-", "--key", "wrong", input=song(task_id))
        assert refused.returncode == 3 and b"401" in refused.stderr and b"key" in refused.stderr
    finally:
        front.shutdown()


def test_nothing_secret_is_logged(stack, task_id):
    timestamp = str(int(time.time()))
    marked = song(task_id, secret="body-text")
    assert stack.post(marked, task_id, timestamp=timestamp).status_code == 200
    assert stack.post(marked, task_id, signing_key="wrong-key", timestamp=timestamp).status_code == 401
    stack.result(task_id)
    wait_for("the log", lambda: any(task_id in line and "accepted" in line for line in stack.logs()))
    log = "\n".join(stack.logs())
    signatures = [sign(signing_key, task_id, timestamp) for signing_key in (stack.signing_key, "wrong-key")]
    for secret in [stack.signing_key, "wrong-key", "body-text", *signatures]:
        assert secret not in log


def received(stack, queue_url, wanted, count=1):
    """Receives from a queue until `wanted` has accepted `count` messages, and returns those."""
    sqs, found = stack.client("sqs"), []

    def receive():
        for message in sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", []):
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
            body = json.loads(message["Body"])
            if wanted(body):
                found.append(body)
        return len(found) >= count

    wait_for("a message", receive)
    return found


def test_a_result_is_announced_on_the_results_queue(stack, task_id):
    assert stack.post(song(task_id), task_id).status_code == 200
    [message] = received(stack, stack.outputs["ResultsQueueUrl"], lambda body: body["taskId"] == task_id)
    schema = json.loads((ROOT / "docs" / "result.schema.json").read_text())
    jsonschema.validate(message, schema)
    assert message.pop("bucket") == stack.bucket
    assert message == stack.result(task_id), "the document is stored before it is announced"
    assert sorted(stack.object_names(f"midi/{task_id}.")) == sorted(message["files"].values())


def test_an_eventbridge_rule_sees_each_song(stack, task_id):
    """The consumer in the documentation: an EventBridge rule whose target is a queue."""
    sqs, events = stack.client("sqs"), stack.client("events")
    queue_url = sqs.create_queue(QueueName="songs")["QueueUrl"]
    queue_arn = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allow = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": queue_arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": policy})
    pattern = {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [stack.bucket]}, "object": {"key": [{"wildcard": "midi/*.json"}]}},
    }
    events.put_rule(Name="songs", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="songs", Targets=[{"Id": "queue", "Arn": queue_arn}])

    assert stack.post(song(task_id), task_id).status_code == 200
    [event] = received(stack, queue_url, lambda body: task_id in body["detail"]["object"]["key"])
    assert event["detail"]["object"]["key"] == f"midi/{task_id}.json"


def test_the_environment_for_cargo_lambda_is_that_of_the_functions(stack):
    ours = dict(line.split("=", 1) for line in stack.function_environment().splitlines())
    for function in stack.functions():
        assert ours.keys() >= properties(f"{function}Function")["Environment"]["Variables"].keys()
    for name in ("ToleranceSeconds", "CallbackTrust", "RenderOptions"):
        variable = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()
        assert ours[variable] == str(PARAMETERS[name]["Default"]), variable


def test_deploying_again_keeps_results_and_changes_settings(stack, task_id):
    assert stack.post(song(task_id), task_id).status_code == 200
    before = stack.result(task_id)
    stack.deploy()
    try:
        stack.change(RenderOptions='{"tempo":"97"}')
        assert stack.result(task_id) == before
        again = uuid.uuid4().hex
        assert stack.post(song(again), again).status_code == 200
        tempo = stack.result(again)["song"]["tempo"]
        assert (tempo["bpm"], tempo["inferred"], tempo["downbeat"]) == (97, False, 0.5)
    finally:
        stack.change(RenderOptions="{}")


def test_logs_and_metrics_report_each_step_of_a_task(stack, task_id):
    assert stack.post(song(task_id), task_id).status_code == 200
    assert stack.post(song(task_id), task_id).status_code == 200
    stack.result(task_id)

    def lines():
        found = [json.loads(line) for line in stack.logs() if task_id in line]
        return found if sum("Results" in line for line in found) == 2 else None

    logged = wait_for("the log", lines)
    metrics = [line for line in logged if "_aws" in line]
    assert sorted(line["DuplicateCallbacks"] for line in metrics if "AcceptedCallbacks" in line) == [0, 1]
    for result in (line for line in metrics if "Results" in line):
        assert (result["state"], result["Notes"], result["SkippedNotes"]) == ("rendered", 1, 0)
        assert result["RenderTime"] > 0
    declared = {metric["Name"] for line in metrics for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert declared == {"AcceptedCallbacks", "DuplicateCallbacks", "AckTime", "Results", "RenderTime", "Notes", "SkippedNotes"}
    assert any("QueueAge" in line for line in stack.logs())
    assert not [line for line in stack.logs() if "not prepared" in line], "the receiver may open its connections"
    for line in (line for line in logged if "_aws" not in line):
        assert line["level"] == "INFO" and line["taskId"] == task_id
        assert line["spans"][0]["requestId"]


def test_the_log_names_the_task_of_a_refused_callback_only_if_it_is_signed(stack, task_id):
    cut_off = song(task_id)[:-3]
    assert stack.post(cut_off, task_id, signing_key="wrong").status_code == 401
    assert stack.post(cut_off, task_id).status_code == 400

    def refused():
        lines = [json.loads(line) for line in stack.logs() if '"refused"' in line]
        return [line for line in lines if line.get("taskId") == task_id]

    [line] = wait_for("the log", refused)
    assert (line["level"], line["reason"]) == ("WARN", "Malformed") and line["error"].startswith("the body is not JSON (line 1")
    assert line["spans"][0]["requestId"]
