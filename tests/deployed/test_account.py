"""A stack in an account that asks for much: its own bucket and key, a boundary, tags, a domain, a topic, all at once.

What must be there before is made as docs/deploy.md and docs/consume.md say: with their policies and their commands."""

import functools
import json
import re
import secrets
import shlex
import uuid

import pytest
from standardwebhooks import Webhook

from tests.deployed.aws_cli import aws
from tests.deployed.test_deployed import song
from tests.deployed.test_push import SECRET
from tests.local_stack.stack import REGION, ROOT, LocalStack, StackError, wait_for
from tests.programs.servers import Server

ACCOUNT, BUCKET, DOMAIN = "000000000000", "songs-of-mine", "midi.example.com"
TAGS = {"team": "music", "cost-centre": "7"}
ROLES = ("ReceiverRole", "RendererRole", "ReconcilerRole", "PusherRole")


def filled(text, **values):
    """A text of the docs with what stands in `<…>` replaced."""
    for name, value in ({"account": ACCOUNT, "region": REGION, "bucket": BUCKET} | values).items():
        text = text.replace(f"<{name}>", value)
    assert "<" not in text, text
    return text


def policy(page, name, **values):
    """A policy of the docs."""
    text = re.search(rf"```json {name}\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL).group(1)
    return json.dumps(json.loads(filled(text, **values)))


def commands(page, word, **values):
    """The words after `aws` of the docs' commands with this word."""
    lines = re.findall(r"^    (aws .*(?:\n {6}.*)*)", (ROOT / "docs" / page).read_text(), re.MULTILINE)
    return [shlex.split(filled(line, **values).replace("\\\n", ""))[1:] for line in lines if word in line]


def prepare(stack, push_url):
    """Makes what the account has before the stack. Returns the parameters that name it."""
    s3, iam = stack.client("s3"), stack.client("iam")
    s3.create_bucket(Bucket=BUCKET)
    for command in commands("deploy.md", "s3api put-"):
        aws(stack, *command)
    zone = stack.client("route53").create_hosted_zone(Name="example.com", CallerReference="zone")["HostedZone"]["Id"]
    boundary = iam.create_policy(PolicyName="boundary", PolicyDocument=policy("deploy.md", "boundary"))["Policy"]["Arn"]
    return {
        "BucketName": BUCKET,
        "KmsKeyArn": stack.client("kms").create_key(Policy=policy("deploy.md", "key"))["KeyMetadata"]["Arn"],
        "PermissionsBoundaryArn": boundary,
        "RolePath": "/midi/",
        "DomainName": DOMAIN,
        "CertificateArn": stack.client("acm").request_certificate(DomainName=DOMAIN)["CertificateArn"],
        "HostedZoneId": zone.removeprefix("/hostedzone/"),
        "CloseExecuteApi": "true",
        "ThrottlingRate": 7,
        "ThrottlingBurst": 8,
        "ReceiverConcurrency": 3,
        "RendererConcurrency": 2,
        "ResultsTopic": "true",
        "RequestSpikeThreshold": 1000,
        "AlarmTopicArn": stack.client("sns").create_topic(Name="alarms")["TopicArn"],
        "AlarmEmail": "somebody@example.com",
        "ProviderApiKey": "a key",
        "PushUrl": push_url,
        "PushSecret": SECRET,
    }


@pytest.fixture(scope="module")
def pushed():
    """The receiver of pushes, with the documents that it took, by their tasks."""

    def take(handler):
        document = Webhook(SECRET).verify(handler.body, dict(handler.headers))
        server.documents[document["taskId"]] = document
        return 204, {}, b""

    server = Server(take)
    server.documents = {}
    yield server
    server.shutdown()
    assert not server.errors


@pytest.fixture(scope="module")
def account(pushed):
    ready = functools.partial(prepare, push_url=f"http://{pushed.address}/hook")
    with LocalStack(secrets.token_urlsafe(24), prepare=ready, tags=[f"{name}={value}" for name, value in TAGS.items()]) as stack:
        # The local CloudFormation leaves boundaries out. IAM knows them.
        put_boundary(stack, "boundary")
        yield stack


def put_boundary(stack, name):
    for role in ROLES:
        arn = f"arn:aws:iam::{ACCOUNT}:policy/{name}"
        stack.client("iam").put_role_permissions_boundary(RoleName=stack.resource(role), PermissionsBoundary=arn)


@pytest.fixture
def consumer(account):
    """The URL of a queue that subscribes to the results topic."""
    sqs, topic = account.client("sqs"), account.outputs["ResultsTopicArn"]
    url = sqs.create_queue(QueueName="consumer")["QueueUrl"]
    values = {"queue ARN": f"arn:aws:sqs:{REGION}:{ACCOUNT}:consumer", "ResultsTopicArn": topic}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy("consume.md", "queue", **values)})
    [subscribe] = commands("consume.md", "sns subscribe", **values)
    aws(account, *subscribe)
    yield url
    sqs.delete_queue(QueueUrl=url)


def test_a_callback_becomes_a_song_and_everybody_hears_of_it(account, consumer, pushed):
    task_id, sqs = uuid.uuid4().hex, account.client("sqs")
    assert account.post(song(task_id), task_id).status_code == 200
    assert account.result(task_id)["state"] == "rendered"
    assert f"midi/{task_id}.mid" in account.object_names("midi/")
    [message] = sqs.receive_message(QueueUrl=consumer, WaitTimeSeconds=20)["Messages"]
    detail = json.loads(message["Body"])["detail"]
    assert (detail["bucket"]["name"], detail["object"]["key"]) == (BUCKET, f"midi/{task_id}.json")
    [announced] = sqs.receive_message(QueueUrl=account.outputs["ResultsQueueUrl"], WaitTimeSeconds=20)["Messages"]
    assert json.loads(announced["Body"])["taskId"] == task_id, "the results queue has it too"
    wait_for("the push", lambda: task_id in pushed.documents)
    assert pushed.documents[task_id]["state"] == "rendered"


def test_a_body_that_arrives_in_the_bucket_is_watched(account):
    # Without a result, the reconciler writes what it knows of the task.
    task_id = uuid.uuid4().hex
    with account.changed_queue("WatchQueueUrl", "DelaySeconds", 0):
        account.client("s3").put_object(Bucket=BUCKET, Key=f"raw/{task_id}/a.json", Body=b"{}")
        wait_for("the watch", lambda: account.object_names(f"watch/{task_id}.json"))


def test_the_boundary_bounds_the_functions(account):
    nothing = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "s3:*", "Resource": "*"}]}
    account.client("iam").create_policy(PolicyName="nothing", PolicyDocument=json.dumps(nothing))
    task_id = uuid.uuid4().hex
    put_boundary(account, "nothing")
    try:
        assert account.post(song(task_id), task_id).status_code == 503
    finally:
        put_boundary(account, "boundary")
    assert account.post(song(task_id), task_id).status_code == 200


def test_what_the_parameters_ask_for_is_there(account):
    client, outputs = account.client, account.outputs
    api = account.resource("Api")
    assert outputs["CallbackUrl"] == f"https://{DOMAIN}/callback" and f"MIDIHOOK_CALLBACK_URL=https://{DOMAIN}/callback" in outputs["CommandLine"]
    assert outputs["BucketName"] == BUCKET and "Bucket" not in resources(account)
    [mapping] = client("apigatewayv2").get_api_mappings(DomainName=DOMAIN)["Items"]
    assert (mapping["ApiId"], mapping["Stage"]) == (api, "$default")
    assert client("apigatewayv2").get_api(ApiId=api)["DisableExecuteApiEndpoint"] is True
    zone = client("route53").list_hosted_zones()["HostedZones"][0]["Id"]
    records = client("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    assert outputs["DomainTarget"] in [record.get("AliasTarget", {}).get("DNSName", "").rstrip(".") for record in records]
    mappings = client("lambda").list_event_source_mappings(FunctionName=outputs["RendererFunctionName"])["EventSourceMappings"]
    assert [mapping["ScalingConfig"]["MaximumConcurrency"] for mapping in mappings] == [2]
    assert all(client("iam").get_role(RoleName=account.resource(role))["Role"]["Path"] == "/midi/" for role in ROLES)
    alarms = client("cloudwatch").describe_alarms()["MetricAlarms"]
    assert len(alarms) == 13 and all(len(alarm["AlarmActions"]) == 2 for alarm in alarms)


def resources(stack):
    described = stack.client("cloudformation").describe_stack_resources(StackName="midihook")["StackResources"]
    return {resource["LogicalResourceId"] for resource in described}


def test_everything_that_is_kept_has_the_key(account):
    client = account.client
    [key] = [key["KeyArn"] for key in client("kms").list_keys()["Keys"]]
    for name in [name for name in account.outputs if name.endswith("QueueUrl")]:
        attributes = client("sqs").get_queue_attributes(QueueUrl=account.outputs[name], AttributeNames=["KmsMasterKeyId"])
        assert attributes["Attributes"]["KmsMasterKeyId"] == key
    groups = client("logs").describe_log_groups(logGroupNamePrefix="/aws/cloudformation/midihook/")["logGroups"]
    assert [group["kmsKeyId"] for group in groups] == [key] * 5
    for secret in ("WebhookKey", "ProviderKey", "PushKey"):
        assert client("secretsmanager").describe_secret(SecretId=account.resource(secret))["KmsKeyId"] == key


def test_tags_are_on_functions_queues_topics_roles_and_secrets(account):
    client = account.client
    filters = [{"Key": name, "Values": [value]} for name, value in TAGS.items()]
    found = client("resourcegroupstaggingapi").get_resources(TagFilters=filters)["ResourceTagMappingList"]
    kinds = [mapping["ResourceARN"].split(":")[2] for mapping in found]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {"lambda": 4, "sqs": 7, "sns": 2}
    api = client("apigatewayv2").get_api(ApiId=account.resource("Api"))["Tags"]
    stage = client("apigatewayv2").get_stage(ApiId=account.resource("Api"), StageName="$default")["Tags"]
    roles = [client("iam").list_role_tags(RoleName=account.resource(role))["Tags"] for role in ROLES]
    kept = [secret["Tags"] for secret in client("secretsmanager").list_secrets()["SecretList"]]
    assert all(TAGS.items() <= tags.items() for tags in (api, stage))
    assert all(TAGS.items() <= {tag["Key"]: tag["Value"] for tag in tags}.items() for tags in roles + kept)


def test_what_does_not_fit_together_is_not_deployed(account):
    with pytest.raises(StackError, match="RawRetentionDays is for a new bucket"):
        account.deploy(RawRetentionDays=1)


def test_a_missing_bucket_is_named_in_the_log(account):
    s3, task_id = account.client("s3"), uuid.uuid4().hex
    for name in account.object_names():
        s3.delete_object(Bucket=BUCKET, Key=name)
    s3.delete_bucket(Bucket=BUCKET)
    assert account.post(song(task_id), task_id).status_code == 503
    words = f"in the bucket {BUCKET}, which is not in this region (check the stack's parameter BucketName)"
    wait_for("the line", lambda: [line for line in account.logs() if words in line and task_id in line])
