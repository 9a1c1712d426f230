"""template.yaml agrees with the built programs, and its numbers agree with each other."""

import base64
import functools
import json
import pathlib
import re

import cfnlint
import pytest
from cfnlint.api import ManualArgs, lint

from tests.local_stack.stack import REGION, ROOT
from tests.programs.expanded import Expanded
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
PUSH_URLS = {
    "https://example.com": True,
    "https://example.com:8443/hooks/a-token?key=a%20token&x=1": True,
    "http://127.0.0.1:8080/": True,
    "http://localhost:1/x": True,
    "http://example.com/a-token": False,
    "https://user:a-token@example.com/": False,
    "https://example.com?a-token": False,
    "https://example.com/#a-token": False,
    "https://example.com/a-token x": False,
}
ACCOUNT = "123456789012"
# Everything that an account may ask for, at once.
EVERYTHING = {
    "ProviderApiKey": "a key",
    "VerifyBodies": "true",
    "UnsignedCallbacks": "ask",
    "DomainName": "midi.example.com",
    "CertificateArn": f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/1234abcd-12ab-34cd-56ef-1234567890ab",
    "HostedZoneId": "Z0123456789ABCDEFGHIJ",
    "CloseExecuteApi": "true",
    "ThrottlingRate": 10,
    "ThrottlingBurst": 20,
    "ReceiverConcurrency": 5,
    "RendererConcurrency": 2,
    "ResultsTopic": "true",
    "PushUrl": "https://example.com/hook",
    "PushSecret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "BucketName": "songs.example.com",
    "KmsKeyArn": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    "PermissionsBoundaryArn": f"arn:aws:iam::{ACCOUNT}:policy/boundary",
    "RolePath": "/midi/",
    "RequestSpikeThreshold": 1000,
    "AlarmEmail": "somebody@example.com",
    "AlarmTopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:alarms",
}
DEPLOY = (ROOT / "docs" / "deploy.md").read_text()
KEY = {"KmsKeyArn": EVERYTHING["KmsKeyArn"]}
PUSHES = {name: EVERYTHING[name] for name in ("PushUrl", "PushSecret")}
# Which call to which service needs what of the key that encrypts there (the services' guides, "Encryption").
NEEDS = {
    "s3:PutObject": {"kms:GenerateDataKey s3"},
    "s3:GetObject": {"kms:Decrypt s3"},
    "sqs:SendMessage": {"kms:GenerateDataKey sqs", "kms:Decrypt sqs"},
    "sqs:ReceiveMessage": {"kms:Decrypt sqs"},
    "secretsmanager:GetSecretValue": {"kms:Decrypt secretsmanager"},
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


def accepts_the_same_url(parameter, function, variable, url, valid, secret):
    by_template = re.search(PARAMETERS[parameter]["AllowedPattern"], url) is not None
    by_function = settings_error(function, **{variable: url})
    assert by_template == valid
    assert (by_function is None) == valid, by_function
    assert secret not in (by_function or "")


@pytest.mark.parametrize(("url", "valid"), URLS.items())
def test_the_template_and_the_reconciler_accept_the_same_urls(url, valid):
    accepts_the_same_url("ProviderApiUrl", "ReconcilerFunction", "PROVIDER_API_URL", url, valid, secret="password")


@pytest.mark.parametrize(("url", "valid"), PUSH_URLS.items())
def test_the_template_and_the_pusher_accept_the_same_urls(url, valid):
    accepts_the_same_url("PushUrl", "PusherFunction", "PUSH_URL", url, valid, secret="a-token")


@pytest.mark.parametrize(("size", "valid"), {23: False, 24: True, 25: True, 26: True, 64: True, 67: False}.items())
def test_a_secret_of_pushes_is_the_base64_of_24_to_64_bytes(size, valid):
    # The program knows the bounds exactly (src/webhooks.rs).
    secret = f"whsec_{base64.b64encode(bytes(size)).decode()}"
    assert (re.search(PARAMETERS["PushSecret"]["AllowedPattern"], secret) is not None) == valid


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


def test_a_push_stays_hidden_for_six_times_the_pushers_timeout():
    assert properties("PushQueue")["VisibilityTimeout"] >= 6 * properties("PusherFunction")["Timeout"]


def test_a_push_is_tried_as_often_as_the_tests_in_memory_say():
    assert constant("pusher.rs", "TRIES") == properties("PushQueue")["RedrivePolicy"]["maxReceiveCount"]


@pytest.mark.parametrize(("queue", "alarm"), [("Render", "DeadLetterAlarm"), ("Watch", "WatchDeadLetterAlarm")])
def test_texts_about_dead_letters_give_the_number_of_tries(queue, alarm):
    tries = properties(f"{queue}Queue")["RedrivePolicy"]["maxReceiveCount"]
    for text in (properties(alarm)["AlarmDescription"], OUTPUTS[f"{queue}DeadLetterQueueUrl"]["Description"]):
        assert WORDS[re.search(r"failed (\w+) times", text).group(1)] == tries


def test_the_alarm_of_pushes_outlasts_the_wait_for_the_next_try():
    alarm = properties("PushesFailAlarm")
    assert constant("pusher.rs", "ALARM_AGE") == alarm["Threshold"] == 30 * 60 and "half an hour" in alarm["AlarmDescription"]
    # CloudWatch may count the hour that has just begun.
    assert (alarm["EvaluationPeriods"] - 1) * alarm["Period"] > constant("pusher.rs", "LONGEST_WAIT")


@pytest.mark.parametrize(("alarm", "queue"), [("LooksWaitAlarm", "WatchQueue"), ("PushesWaitAlarm", "PushQueue")])
def test_an_alarm_rings_if_nobody_empties_a_queue_for_half_an_hour(alarm, queue):
    alarm = properties(alarm)
    assert alarm["EvaluationPeriods"] * alarm["Period"] == 30 * 60 and "half an hour" in alarm["AlarmDescription"]
    assert queue in json.dumps(alarm["Dimensions"]) and (alarm["Statistic"], alarm["Threshold"]) == ("Minimum", 1)


def test_the_dashboard_is_json_with_and_without_pushes():
    for parameters, shown in ({}, False), (PUSHES, True):
        text, texts = stack_with(parameters).resources("AWS::CloudWatch::Dashboard")["OperationsDashboard"]["DashboardBody"]["Fn::Sub"]
        for name, value in texts.items():
            text = text.replace(f"${{{name}}}", value if isinstance(value, str) else value["Fn::Sub"])
        widgets = json.loads(text)["widgets"]
        assert ("Pushes" in [widget["properties"]["title"] for widget in widgets]) == shown
        assert {name in text for name in ("PushesFailAlarm", "PushesWaitAlarm", "PushDeadLetterAlarm", "PusherLog")} == {shown}


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


@functools.cache
def expanded(*parameters):
    return Expanded(**dict(parameters))


def stack_with(parameters):
    return expanded(*parameters.items())


@pytest.mark.parametrize("parameters", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_the_expanded_template_has_no_mistake(parameters):
    mistakes = lint(json.dumps(stack_with(parameters).template), config=ManualArgs(regions=[REGION], ignore_checks=["W2001"]))
    assert not mistakes, "\n".join(map(str, mistakes))


def test_without_parameters_nothing_is_there_that_nobody_asked_for():
    plain, everything = (set(stack_with(parameters).template["Resources"]) for parameters in ({}, EVERYTHING))
    assert plain - everything == {"Bucket", "BucketPolicy"}
    assert everything - plain == {
        *("Domain", "DomainMapping", "DnsRecord", "ProviderKey"),
        *("AnnouncementTopic", "AnnouncementRule", "AnnouncementTopicPolicy"),
        *("PusherFunction", "PusherFunctionResults", "PusherRole", "PusherLog", "PushKey", "PushRule"),
        *("PushQueue", "PushQueuePolicy", "PushDeadLetterQueue", "PushDeadLetterQueuePolicy"),
        *("PushDeadLetterAlarm", "PushesFailAlarm", "PushesWaitAlarm"),
        *("AlarmTopic", "RequestSpikeAlarm", "AccountRefusedAlarm", "ContradictedCallbackAlarm"),
    }
    text = json.dumps(stack_with({}).template["Resources"])
    assert "kms:" not in text and "KmsKeyArn" not in text and "PermissionsBoundary" not in text


@pytest.mark.parametrize(
    ("parameters", "refusal"),
    [
        (EVERYTHING, None),
        ({"DomainName": "a.example"}, "DomainName needs CertificateArn"),
        ({"CertificateArn": "arn:aws:acm:x"}, "need DomainName"),
        ({"HostedZoneId": "Z1"}, "need DomainName"),
        ({"CloseExecuteApi": "true"}, "need DomainName"),
        ({"BucketName": "mine", "RawRetentionDays": 1}, "RawRetentionDays is for a new bucket"),
        ({"RawRetentionDays": 1}, None),
        ({"VerifyBodies": "true"}, "needs ProviderApiKey"),
        ({"PushUrl": "https://example.com"}, "PushUrl needs PushSecret"),
    ],
)
def test_parameters_that_do_not_fit_together_are_refused(parameters, refusal):
    refusals = stack_with(parameters).refusals()
    assert len(refusals) == (refusal is not None) and all(refusal in said for said in refusals)


def test_without_a_hosted_zone_there_is_a_domain_but_no_record():
    names = stack_with(EVERYTHING | {"HostedZoneId": ""}).template["Resources"]
    assert "Domain" in names and "DnsRecord" not in names


@pytest.mark.parametrize(("parameters", "url"), [({}, "${Api.ApiEndpoint}/callback"), (EVERYTHING, "https://${DomainName}/callback")])
def test_the_callback_url_has_the_domain_if_there_is_one(parameters, url):
    outputs = stack_with(parameters).template["Outputs"]
    assert outputs["CallbackUrl"]["Value"] == {"Fn::Sub": url}
    assert outputs["CommandLine"]["Value"]["Fn::Sub"][1]["url"] == {"Fn::Sub": url}


def test_one_key_encrypts_all_that_is_kept():
    stack, key = stack_with(KEY), {"Ref": "KmsKeyArn"}
    of_kind = {
        "AWS::SQS::Queue": "KmsMasterKeyId",
        "AWS::Logs::LogGroup": "KmsKeyId",
        "AWS::SecretsManager::Secret": "KmsKeyId",
    }
    for kind, member in of_kind.items():
        assert stack.resources(kind) and all(resource[member] == key for resource in stack.resources(kind).values())
    assert not any("SqsManagedSseEnabled" in queue for queue in stack.resources("AWS::SQS::Queue").values())
    [rule] = stack.resources("AWS::S3::Bucket")["Bucket"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    assert stack_with(EVERYTHING).resources("AWS::SNS::Topic")["AnnouncementTopic"]["KmsMasterKeyId"] == key


def statements(role):
    return [statement for policy in role["Policies"] for statement in policy["PolicyDocument"]["Statement"]]


def actions(statement):
    return {statement["Action"]} if isinstance(statement["Action"], str) else set(statement["Action"])


@pytest.mark.parametrize(
    "more", [{}, {"ProviderApiKey": "a key", "UnsignedCallbacks": "ask"}, EVERYTHING], ids=["alone", "with an API key", "everything"]
)
@pytest.mark.parametrize("function", ["Receiver", "Renderer", "Reconciler", "Pusher"])
def test_a_role_may_use_the_key_for_what_else_it_may_do_and_for_nothing_more(function, more):
    needed, granted = set(), set()
    for statement in statements(stack_with(KEY | PUSHES | more).resources("AWS::IAM::Role")[f"{function}Role"]):
        for action in actions(statement):
            needed |= NEEDS.get(action, set())
            if action.startswith("kms:"):
                assert statement["Resource"] == {"Ref": "KmsKeyArn"}
                services = statement["Condition"]["StringEquals"]["kms:ViaService"]
                granted |= {f"{action} {service['Fn::Sub'].split('.')[0]}" for service in services}
    assert granted == needed


def test_each_role_has_the_path_and_the_boundary():
    roles = stack_with(EVERYTHING).resources("AWS::IAM::Role").values()
    assert roles and all(role["Path"] == {"Ref": "RolePath"} for role in roles)
    assert all(role["PermissionsBoundary"] == {"Ref": "PermissionsBoundaryArn"} for role in roles)


def test_alarms_go_to_the_address_and_to_the_topic():
    email, topic = {"Ref": "AlarmTopic"}, {"Ref": "AlarmTopicArn"}
    for parameters, receivers in {
        (): [],
        ("AlarmEmail",): [email],
        ("AlarmTopicArn",): [topic],
        ("AlarmEmail", "AlarmTopicArn"): [email, topic],
    }.items():
        alarms = stack_with({name: EVERYTHING[name] for name in parameters}).resources("AWS::CloudWatch::Alarm").values()
        assert alarms and all(alarm["AlarmActions"] == alarm["OKActions"] == receivers for alarm in alarms)


def test_numbers_reach_the_gateway_and_the_functions():
    stack = stack_with(EVERYTHING)
    route = stack.resources("AWS::ApiGatewayV2::Stage")["Stage"]["DefaultRouteSettings"]
    assert route == {"ThrottlingRateLimit": {"Ref": "ThrottlingRate"}, "ThrottlingBurstLimit": {"Ref": "ThrottlingBurst"}}
    receiver = stack.resources("AWS::Lambda::Function")["ReceiverFunction"]
    assert receiver["ReservedConcurrentExecutions"] == {"Ref": "ReceiverConcurrency"}
    jobs = stack.resources("AWS::Lambda::EventSourceMapping")["RendererFunctionJobs"]
    assert jobs["ScalingConfig"] == {"MaximumConcurrency": {"Ref": "RendererConcurrency"}}
    assert "ReservedConcurrentExecutions" not in stack_with({}).resources("AWS::Lambda::Function")["ReceiverFunction"]


def test_the_access_log_has_what_the_alarm_reads():
    line = json.loads(properties("Stage")["AccessLogSettings"]["Format"])
    transformation = properties("UnseenCallbacks")["MetricTransformations"][0]
    used = re.findall(r"\$\.(\w+)", properties("UnseenCallbacks")["FilterPattern"] + transformation["Dimensions"][0]["Value"])
    assert set(used) == {"status", "lambdaRequestId", "apiId"} and set(used) <= set(line)
    alarm = properties("UnseenCallbacksAlarm")
    assert (alarm["Namespace"], alarm["MetricName"]) == (transformation["MetricNamespace"], transformation["MetricName"])
    assert alarm["Dimensions"][0]["Name"] == transformation["Dimensions"][0]["Key"]


@pytest.mark.parametrize(
    ("status", "function", "counted"),
    [("413", "-", True), ("429", "-", True), ("404", "-", False), ("413", "a-request", False), ("401", "a-request", False)],
)
def test_only_what_the_receiver_never_saw_is_counted(status, function, counted):
    # The local CloudWatch does not read such patterns. As Python, this one means the same.
    pattern = properties("UnseenCallbacks")["FilterPattern"].strip("{} ")
    python = re.sub(r"\$\.(\w+)", r'line["\1"]', pattern).replace(" = ", " == ").replace("&&", "and").replace("||", "or")
    assert eval(python, {"line": {"status": status, "lambdaRequestId": function}}) == counted


def schema(kind):
    """What CloudFormation says about a type of resource, as cfn-lint has it."""
    schemas = pathlib.Path(cfnlint.__file__).parent / "data" / "schemas"
    digest = json.loads((schemas / "providers" / f"{REGION}.json").read_text())[kind]
    return json.loads((schemas / "resources" / f"{digest}.json").read_text())


def test_tags_reach_each_resource_that_takes_them():
    kinds = {resource["Type"] for parameters in ({}, EVERYTHING) for resource in stack_with(parameters).template["Resources"].values()}
    untagged = {kind for kind in kinds if "Tags" not in schema(kind)["properties"]}
    assert len(kinds - untagged) > 10
    # docs/deploy.md names those that have no tags at all. All others take them from the stack.
    named = re.search(r"CloudFormation has no tags for\s(.*?)\.\s", DEPLOY, re.DOTALL).group(1)
    assert untagged == {f"AWS::{kind}" for kind in re.findall(r"`([\w:]+)`", named)}


def test_the_boundary_in_the_docs_allows_what_the_roles_may_do():
    boundary = json.loads(re.search(r"```json boundary\n(.*?)```", DEPLOY, re.DOTALL).group(1))
    [statement] = boundary["Statement"]
    roles = stack_with(EVERYTHING).resources("AWS::IAM::Role").values()
    assert actions(statement) == {action for role in roles for it in statements(role) for action in actions(it)}


def test_the_docs_have_each_parameter_with_its_default():
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*?)\|", DEPLOY, re.MULTILINE))
    assert set(rows) == set(PARAMETERS)
    for name, parameter in PARAMETERS.items():
        assert rows[name].strip(" `").removesuffix(" MB") == str(parameter.get("Default", "")), name


def test_lambda_does_not_take_a_chain_of_looks_for_an_infinite_loop():
    assert properties("ReconcilerFunction")["RecursiveLoop"] == "Allow"


def test_the_stack_knows_its_version():
    [version] = re.findall(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert OUTPUTS["Version"]["Value"] == version
