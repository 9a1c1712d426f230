"""`midihook doctor` over a fake account: a healthy stack, and each thing that can be wrong with it."""

import copy
import json
import os
import time
import urllib.parse
from xml.sax.saxutils import escape

import pytest

from tests.local_stack.stack import ROOT
from tests.programs.servers import Server
from tests.programs.template import OUTPUTS, TEMPLATE

DAY = 86_400
DENIAL = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
# Those that a stack with an API key and pushes has.
PRESENT = (None, "HasProviderApiKey", "Pushes")
RESOURCES = {name: resource["Type"] for name, resource in TEMPLATE["Resources"].items() if resource.get("Condition") in PRESENT}


def healthy():
    """The answers of an account in which nothing is wrong. A resource's physical id is its logical id in small letters."""
    return {
        "stack": {"StackStatus": "CREATE_COMPLETE"},
        "resources": list(RESOURCES),
        "outputs": {"Version": OUTPUTS["Version"]["Value"], "BucketName": "bucket"},
        "parameters": {"WebhookHmacKey": "****", "RenderOptions": "{}", "AlarmEmail": "me@example.com"},
        "defaults": {"WebhookHmacKey": "", "RenderOptions": "{}", "AlarmEmail": "me@example.com"},
        "queues": {name.lower(): {"ApproximateNumberOfMessages": "0", "QueueArn": f"arn:aws:sqs:{name}"} for name, kind in RESOURCES.items() if kind.endswith("::Queue")},
        "secrets": {name: {"LastChangedDate": time.time() - 3.5 * DAY, "VersionIdsToStages": {"1": ["AWSCURRENT"]}} for name in ("webhookkey", "providerkey", "pushkey")},
        "notification": "<EventBridgeConfiguration/>",
        "policy": {"Statement": [DENIAL]},
        "denied": None,
    }  # fmt: skip


class Account:
    """The services that the command asks, with the answers in `says`."""

    def __init__(self):
        self.says = healthy()
        self.server = Server(self.answer)
        self.asked = []

    @property
    def environment(self):
        keys = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        return keys | {"PATH": os.environ["PATH"], "AWS_ENDPOINT_URL": f"http://{self.server.address}"}

    def answer(self, handler):
        path, _, query = handler.path.partition("?")
        if target := handler.headers.get("x-amz-target"):
            return self.asked_for(target.rpartition(".")[2], json.loads(handler.body))
        if handler.command == "POST":
            request = dict(urllib.parse.parse_qsl(handler.body.decode()))
            return self.asked_for(request["Action"], request)
        return self.asked_for("GetBucketNotification" if "notification" in query else "GetBucketPolicy", path)

    def asked_for(self, action, request):
        self.asked.append(action)
        if action == self.says["denied"]:
            return self.refusal(action)
        return getattr(self, action)(request)

    @staticmethod
    def refusal(action):
        """Access denied, as the service of this action says it."""
        if action in ("GetTemplateSummary", "GetBucketNotification", "GetBucketPolicy"):
            error = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
            return 403, {}, (f"<ErrorResponse>{error}</ErrorResponse>" if action == "GetTemplateSummary" else error).encode()
        return 403, {"x-amzn-errortype": "AccessDeniedException"}, b'{"message": "no"}'

    @staticmethod
    def xml(action, inside):
        return 200, {"content-type": "text/xml"}, f"<{action}Response><{action}Result>{inside}</{action}Result></{action}Response>".encode()

    @staticmethod
    def json(value):
        return 200, {"content-type": "application/json"}, json.dumps(value).encode()

    def DescribeStacks(self, request):
        stack = self.says["stack"] | {"StackName": request["StackName"], "CreationTime": "2026-11-25T00:00:00Z"}
        inside = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in stack.items())
        for kind, values in (("Output", self.says["outputs"]), ("Parameter", self.says["parameters"])):
            members = "".join(f"<member><{kind}Key>{key}</{kind}Key><{kind}Value>{value}</{kind}Value></member>" for key, value in values.items())
            inside += f"<{kind}s>{members}</{kind}s>"
        return self.xml("DescribeStacks", f"<Stacks><member>{inside}</member></Stacks>")

    def DescribeStackResources(self, _):
        ids = [(name, f"http://{self.server.address}/0/{name.lower()}" if RESOURCES[name].endswith("::Queue") else name.lower()) for name in self.says["resources"]]
        members = "".join(f"<member><LogicalResourceId>{a}</LogicalResourceId><PhysicalResourceId>{b}</PhysicalResourceId></member>" for a, b in ids)
        return self.xml("DescribeStackResources", f"<StackResources>{members}</StackResources>")

    def GetTemplateSummary(self, _):
        members = "".join(
            f"<member><ParameterKey>{key}</ParameterKey><DefaultValue>{value}</DefaultValue><NoEcho>{str(key == 'WebhookHmacKey').lower()}</NoEcho></member>"
            for key, value in self.says["defaults"].items()
        )
        return self.xml("GetTemplateSummary", f"<Parameters>{members}</Parameters>")

    def GetQueueAttributes(self, request):
        if attributes := self.says["queues"].get(request["QueueUrl"].rpartition("/")[2]):
            return self.json({"Attributes": attributes})
        # The code that counts is in a header (AWS query compatible protocols).
        code = {"x-amzn-query-error": "AWS.SimpleQueueService.NonExistentQueue;Sender"}
        return 400, code, json.dumps({"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no"}).encode()

    def DescribeSecret(self, request):
        if secret := self.says["secrets"].get(request["SecretId"]):
            return self.json(secret)
        return 400, {}, json.dumps({"__type": "ResourceNotFoundException", "message": "no"}).encode()

    def GetBucketNotification(self, _):
        if self.says["notification"] is None:
            return 404, {}, b"<Error><Code>NoSuchBucket</Code><Message>no</Message></Error>"
        return 200, {}, f"<NotificationConfiguration>{self.says['notification']}</NotificationConfiguration>".encode()

    def GetBucketPolicy(self, _):
        if self.says["policy"] is None:
            return 404, {}, b"<Error><Code>NoSuchBucketPolicy</Code><Message>no</Message></Error>"
        return self.json(self.says["policy"])


@pytest.fixture(scope="module")
def account():
    account = Account()
    yield account
    account.server.shutdown()
    assert account.server.errors == []


@pytest.fixture
def doctor(midihook, account):
    """Runs the command over an account of which this differs. Returns the outcome and its report."""

    def run(change=lambda says: None, *arguments):
        account.says = copy.deepcopy(healthy())
        change(account.says)
        done = midihook("doctor", *arguments, env=account.environment)
        return done

    return run


def report(done):
    return json.loads(done.stdout)


def test_a_healthy_stack(doctor, account):
    account.asked.clear()
    done = doctor()
    assert (done.returncode, done.stderr) == (0, b""), done
    lines = done.stdout.decode().splitlines()
    version = OUTPUTS["Version"]["Value"]
    assert lines[0] == f"midihook in us-east-1: CREATE_COMPLETE, version {version}" and lines[-1] == "nothing is wrong"
    assert any(line.split()[:2] == ["WebhookKey", "stored"] and line.endswith(" 3 days ago") for line in lines)
    assert any(line.split()[:2] == ["PushKey", "stored"] for line in lines)
    assert {f"  {queue:<21} 0 waiting, 0 in work, 0 delayed" for queue in ("RenderQueue", "PushQueue", "PushDeadLetterQueue")} <= set(lines)
    assert "aws cloudwatch describe-alarms --alarm-name-prefix midihook- --state-value ALARM" in done.stdout.decode()
    assert "\x1b" not in done.stdout.decode(), "colour only on a terminal"
    assert all(action.startswith(("Describe", "Get", "List")) and action != "GetSecretValue" for action in account.asked)


def test_it_tells_programs(doctor):
    told = report(doctor(lambda says: says["parameters"].update(RenderOptions='{"split":true}'), "--json"))
    assert (told["stack"], told["status"], told["parameters"], told["findings"]) == ("midihook", "CREATE_COMPLETE", {"RenderOptions": '{"split":true}'}, [])
    assert told["keys"]["WebhookKey"]["days"] == 3
    assert told["queues"]["ResultsQueue"] == {"waiting": 0, "inWork": 0, "delayed": 0}


def status(name):
    return lambda says: says["stack"].update(StackStatus=name, StackStatusReason="the <reason>")


def changed(kind, name, **members):
    return lambda says: says[kind].setdefault(name, {}).update(members)


def gone(kind, name):
    return lambda says: says[kind].pop(name)


def said(kind, value):
    return lambda says: says.update({kind: value})


UNDO = "docs/runbook.md#undo-a-change-made-by-hand"
PROBLEMS = {
    "rolled back": (status("UPDATE_ROLLBACK_COMPLETE"), "the <reason>", "aws cloudformation describe-stack-events --stack-name midihook"),
    "roll back failed": (status("UPDATE_ROLLBACK_FAILED"), "UPDATE_ROLLBACK_FAILED", "aws cloudformation continue-update-rollback --stack-name midihook"),
    "update failed": (status("UPDATE_FAILED"), "UPDATE_FAILED", "aws cloudformation rollback-stack --stack-name midihook"),
    "never created": (status("ROLLBACK_COMPLETE"), "the stack is in ROLLBACK_COMPLETE", "aws cloudformation delete-stack --stack-name midihook"),
    "an old stack": (lambda says: says["resources"].remove("ArrivalsRule"), "no ArrivalsRule", "make deploy"),
    "dead jobs": (changed("queues", "renderdeadletterqueue", ApproximateNumberOfMessages="2"), "five times: 2", "midihook redrive --stack midihook"),
    "dead checks": (
        changed("queues", "watchdeadletterqueue", ApproximateNumberOfMessagesNotVisible="1"),
        "checks that failed five times: 1",
        "aws sqs start-message-move-task --source-arn arn:aws:sqs:WatchDeadLetterQueue",
    ),
    "dead pushes": (
        changed("queues", "pushdeadletterqueue", ApproximateNumberOfMessages="3"),
        "pushes that failed for more than a day: 3",
        "aws sqs start-message-move-task --source-arn arn:aws:sqs:PushDeadLetterQueue",
    ),
    "a lost push queue": (gone("queues", "pushqueue"), "PushQueue is gone", UNDO),
    "a lost push key": (gone("secrets", "pushkey"), "PushKey is gone", "docs/runbook.md#change-the-secret-of-the-pushes"),
    "an empty push key": (
        changed("secrets", "pushkey", VersionIdsToStages={}),
        "PushKey holds no key",
        "docs/runbook.md#change-the-secret-of-the-pushes",
    ),
    "a lost queue": (gone("queues", "renderqueue"), "RenderQueue is gone", UNDO),
    "a lost key": (gone("secrets", "webhookkey"), "WebhookKey is gone", "docs/runbook.md#rejectedcallbacksalarm"),
    "a deleted key": (
        changed("secrets", "webhookkey", DeletedDate=time.time()),
        "marked for deletion",
        "aws secretsmanager restore-secret --secret-id webhookkey",
    ),
    "an empty key": (changed("secrets", "webhookkey", VersionIdsToStages={"1": ["AWSPREVIOUS"]}), "holds no key", "docs/runbook.md#change-the-signing-key"),
    "no arrivals": (
        said("notification", ""),
        "does not tell EventBridge",
        "aws s3api put-bucket-notification-configuration --notification-configuration '{\"EventBridgeConfiguration\": {}}' --bucket bucket",
    ),
    "no arrivals, but others": (
        said("notification", "<QueueConfiguration><Queue>q</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration>"),
        "does not tell EventBridge",
        UNDO,
    ),
    "a lost bucket": (said("notification", None), "the bucket bucket is gone", UNDO),
    "no policy": (said("policy", None), "without TLS", UNDO),
    "another policy": (said("policy", {"Statement": [DENIAL | {"Effect": "Allow"}]}), "without TLS", UNDO),
}  # fmt: skip


@pytest.mark.parametrize("problem", PROBLEMS)
def test_what_is_wrong_and_what_mends_it(doctor, problem):
    change, what, mend = PROBLEMS[problem]
    done = doctor(change, "--json")
    assert done.returncode == 3, done
    findings = [finding for finding in report(done)["findings"] if finding["level"] == "problem"]
    assert len(findings) == 1 or problem == "a lost bucket", findings
    assert what in findings[0]["what"] and mend in findings[0]["mend"], findings
    if findings[0]["mend"].startswith(("aws ", "midihook ")):
        assert findings[0]["mend"].endswith(" --region us-east-1")


NOTES = {
    "no API key": (lambda says: says["resources"].remove("ProviderKey"), "no API key", "docs/runbook.md#change-the-api-key"),
    "no e-mail": (gone("parameters", "AlarmEmail"), "the alarms have no action", "AlarmEmail"),
    "another release": (lambda says: says["outputs"].update(Version="0.0.1"), "the stack is midihook 0.0.1", "make deploy"),
    "before releases": (gone("outputs", "Version"), "older than this command", "make deploy"),
}


@pytest.mark.parametrize("note", NOTES)
def test_what_to_know(doctor, note):
    change, what, mend = NOTES[note]
    done = doctor(change, "--json")
    assert done.returncode == 0, done
    [finding] = report(done)["findings"]
    assert finding["level"] == "note" and what in finding["what"] and mend in finding["mend"]


DENIED = (
    "GetTemplateSummary", "GetQueueAttributes", "DescribeSecret", "GetBucketNotification", "GetBucketPolicy",
)  # fmt: skip


@pytest.mark.parametrize("action", DENIED)
def test_what_may_not_be_looked_at_is_named_and_the_rest_is_told(doctor, action):
    done = doctor(said("denied", action), "--json")
    assert done.returncode == 1, done
    [finding] = report(done)["findings"]
    assert finding["level"] == "unknown" and f":{action})" in finding["what"] and "AccessDenied" in finding["what"]


def test_what_is_wrong_counts_more_than_what_is_unknown(doctor):
    def wrong_and_unknown(says):
        says["denied"] = "DescribeSecret"
        says["stack"]["StackStatus"] = "UPDATE_ROLLBACK_FAILED"

    done = doctor(wrong_and_unknown)
    assert done.returncode == 3 and b"\nunknown: could not look (secretsmanager:DescribeSecret)" in done.stdout


def test_a_deployment_that_runs_is_waited_for(doctor):
    done = doctor(status("UPDATE_IN_PROGRESS"))
    assert done.returncode == 1 and b"unknown: the stack is in UPDATE_IN_PROGRESS" in done.stdout


def test_the_runbook_has_what_the_command_names(doctor):
    headings = {line.lstrip("# ").lower().replace(" ", "-") for line in (ROOT / "docs/runbook.md").read_text().splitlines() if line.startswith("## ")}
    named = {mend.partition("docs/runbook.md#")[2].partition(",")[0] for _, _, mend in PROBLEMS.values() if "docs/runbook.md#" in mend}
    source = "".join(path.read_text() for path in (ROOT / "crates/cli/src/stack/doctor").glob("*.rs"))
    named |= {part.partition("\"")[0].partition(",")[0] for part in source.split("docs/runbook.md#")[1:] if not part.startswith("{")}
    assert named and named <= headings
