"""template.yaml agrees with the built programs, and its numbers agree with each other."""

import base64
import functools
import json
import re

import pytest
from cfnlint.api import ManualArgs, lint

from tests.local_stack.stack import REGION, ROOT
from tests.programs.expanded import Expanded
from tests.programs.functions import settings_error
from tests.programs.template import OUTPUTS, PARAMETERS, properties
from tests.programs.test_patience import LATE, PROVIDER_WAITS, answer

TEMPOS = {
    **dict.fromkeys(["auto", "off", "20", "20.5", "99.99", "400", "~92", "~92.5"], True),
    **dict.fromkeys(["~", "~19", "~~92", "", "fast", "AUTO", "-20", "19.9", "400.1", "1000"], False),
}
OPTIONS = {
    "{}": True,
    '{"steady":true,"split":"true"}': True,
    '{"quantize": "1/12", "quantizeStrength": 0.5}': True,
    '{"quantize":"off"}': True,
    "": False,
    "off": False,
    '{"split":true,}': False,
    '{"split":1}': False,
    '{"steady":"yes"}': False,
    '{"quantize":"1/4"}': False,
    '{"quantizeStrength":2}': False,
    '{"bpm":92}': False,
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
    "CallbackTrust": "hint",
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


def accepts_the_same_options(options, valid):
    by_template = re.search(PARAMETERS["RenderOptions"]["AllowedPattern"], options) is not None
    by_renderer = settings_error("RendererFunction", RENDER_OPTIONS=options)
    assert by_template == valid
    # An empty value is a missing one, which means the default.
    assert (by_renderer is None) == (valid or not options), by_renderer


@pytest.mark.parametrize(("tempo", "valid"), TEMPOS.items())
def test_the_template_the_command_and_the_renderer_accept_the_same_tempos(midihook, tempo, valid):
    by_command = midihook("render", "no-such-file", f"--bpm={tempo}")
    assert by_command.returncode == (1 if valid else 2), by_command.stderr
    accepts_the_same_options(json.dumps({"tempo": tempo}), valid)


@pytest.mark.parametrize(("options", "valid"), OPTIONS.items())
def test_the_template_and_the_renderer_accept_the_same_options(options, valid):
    accepts_the_same_options(options, valid)


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


@pytest.mark.parametrize(("queue", "function"), [("Render", "Renderer"), ("Watch", "Reconciler"), ("Push", "Pusher")])
def test_a_message_stays_hidden_for_six_times_the_timeout_of_its_function(queue, function):
    # AWS Lambda developer guide, "Using Lambda with Amazon SQS".
    assert properties(f"{queue}Queue")["VisibilityTimeout"] >= 6 * properties(f"{function}Function")["Timeout"]


def test_the_dashboard_is_json_with_and_without_pushes():
    for parameters, shown in ({}, False), (PUSHES, True):
        text, texts = stack_with(parameters).resources("AWS::CloudWatch::Dashboard")["OperationsDashboard"]["DashboardBody"]["Fn::Sub"]
        for name, value in texts.items():
            text = text.replace(f"${{{name}}}", value if isinstance(value, str) else value["Fn::Sub"])
        widgets = json.loads(text)["widgets"]
        assert ("Pushes" in [widget["properties"]["title"] for widget in widgets]) == shown
        assert {name in text for name in ("PushesFailAlarm", "PushesWaitAlarm", "PushDeadLetterAlarm", "PusherLog")} == {shown}


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
        *("AlarmTopic", "RequestSpikeAlarm", "AccountRefusedAlarm"),
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
        ({"CallbackTrust": "hint"}, "needs ProviderApiKey"),
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
    "more", [{}, {"ProviderApiKey": "a key", "CallbackTrust": "hint"}, EVERYTHING], ids=["alone", "with an API key", "everything"]
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


def test_the_stack_knows_its_version():
    [version] = re.findall(r'^version = "(.+)"$', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)
    assert OUTPUTS["Version"]["Value"] == version
