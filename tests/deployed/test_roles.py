"""Each function may do what it needs, and no more: IAM is asked about each call that a function's role could be used for."""

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.deployed.test_push import pushing
from tests.local_stack.stack import REGION, STACK_NAME

QUEUES = ("RenderQueue", "RenderDeadLetterQueue", "WatchQueue", "WatchDeadLetterQueue", "ResultsQueue", "PushQueue", "PushDeadLetterQueue")
SECRETS = {"WebhookKey": "WebhookKeyArn", "PushKey": "PushSecretArn"}
OBJECTS = ("raw/none/a", "midi/none.json", "midi/none.mid", "watch/none.json", "none.json")

MAY = {
    "Receiver": {
        "find the bucket",
        "put raw/none/a",
        *("look at RenderQueue", "send to RenderQueue"),
        "read WebhookKey",
    },
    "Renderer": {
        *("list the bucket", "get raw/none/a"),
        *("get midi/none.json", "put midi/none.json", "get midi/none.mid", "put midi/none.mid"),
        "delete midi/none.mid",
        *("look at RenderQueue", "receive from RenderQueue", "send to ResultsQueue"),
    },
    "Reconciler": {
        *("list the bucket", "put raw/none/a"),
        *("get midi/none.json", "put midi/none.json", "get watch/none.json", "put watch/none.json"),
        *("look at WatchQueue", "receive from WatchQueue", "send to WatchQueue"),
        *("send to RenderQueue", "send to ResultsQueue"),
    },
    "Pusher": {
        *("list the bucket", "get midi/none.json"),
        *("look at PushQueue", "receive from PushQueue"),
        "read PushKey",
    },
}


@pytest.fixture(scope="module", autouse=True)
def pushes(stack):
    """The stack has all roles. Nobody listens at the URL."""
    with pushing(stack, "http://127.0.0.1:9/"):
        yield


@pytest.fixture
def acts_as(stack):
    """A function that gives the clients of somebody who has a role's policies."""
    iam = stack.client("iam")
    with stack.user("impostor") as (keys, allow):
        session = boto3.Session(*keys.values(), region_name=REGION)

        def of(role):
            name = stack.resource(role)
            assert iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
            for policy in iam.list_role_policies(RoleName=name)["PolicyNames"]:
                allow(iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"], policy)
            return lambda service: session.client(service, endpoint_url=stack.endpoint, verify=stack.ca)

        yield of


def calls(stack, client, elsewhere):
    """Everything that is tried: a name for it, and the call. No message means anything to its reader."""
    s3, sqs, secrets, logs = map(client, ("s3", "sqs", "secretsmanager", "logs"))
    yield "list the bucket", lambda: s3.list_objects_v2(Bucket=stack.bucket)
    yield "find the bucket", lambda: s3.get_bucket_location(Bucket=stack.bucket)
    yield "list another bucket", lambda: s3.list_objects_v2(Bucket=elsewhere)
    yield "change the bucket's policy", lambda: s3.delete_bucket_policy(Bucket=stack.bucket)
    for name in OBJECTS:
        yield f"get {name}", lambda: s3.get_object(Bucket=stack.bucket, Key=name)
        yield f"put {name}", lambda: s3.put_object(Bucket=stack.bucket, Key=name, Body=b"{}")
        yield f"delete {name}", lambda: s3.delete_object(Bucket=stack.bucket, Key=name)
        yield f"get {name} elsewhere", lambda: s3.get_object(Bucket=elsewhere, Key=name)
        yield f"put {name} elsewhere", lambda: s3.put_object(Bucket=elsewhere, Key=name, Body=b"{}")
    for queue in QUEUES:
        url = stack.outputs[f"{queue}Url"]
        yield f"look at {queue}", lambda: sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        yield f"send to {queue}", lambda: sqs.send_message(QueueUrl=url, MessageBody='{"Event": "s3:TestEvent"}')
        yield f"receive from {queue}", lambda: sqs.receive_message(QueueUrl=url)
        yield f"purge {queue}", lambda: sqs.purge_queue(QueueUrl=url)
    for secret, output in SECRETS.items():
        arn = stack.outputs[output]
        yield f"read {secret}", lambda: secrets.get_secret_value(SecretId=arn)
        yield f"change {secret}", lambda: secrets.put_secret_value(SecretId=arn, SecretString="none")
    yield "read another secret", lambda: secrets.get_secret_value(SecretId=elsewhere)
    for function in MAY:
        group, name = stack.outputs[f"{function}LogGroup"], stack.outputs[f"{function}FunctionName"]
        yield f"read the log of {function}", lambda: logs.filter_log_events(logGroupName=group)
        yield f"invoke {function}", lambda: client("lambda").invoke(FunctionName=name, Payload=b"{}")
    yield "describe the stack", lambda: client("cloudformation").describe_stacks(StackName=STACK_NAME)


def is_allowed(call):
    try:
        call()
    except ClientError as error:
        return error.response["Error"]["Code"] not in ("AccessDenied", "AccessDeniedException")
    return True


@pytest.fixture
def elsewhere(stack):
    """The name of a bucket and of a secret that are not the stack's. At the end, what was tried is undone."""
    s3, secrets, name = stack.client("s3"), stack.client("secretsmanager"), "elsewhere"
    s3.create_bucket(Bucket=name)
    secrets.create_secret(Name=name, SecretString="none")
    yield name
    for tried in OBJECTS:
        s3.delete_object(Bucket=stack.bucket, Key=tried)
    stack.client("sqs").purge_queue(QueueUrl=stack.outputs["ResultsQueueUrl"])
    secrets.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)
    s3.delete_bucket(Bucket=name)


@pytest.mark.parametrize("function", MAY)
def test_a_function_may_do_what_it_needs_and_no_more(stack, acts_as, elsewhere, function):
    client = acts_as(f"{function}Role")
    assert {name for name, call in calls(stack, client, elsewhere) if is_allowed(call)} == MAY[function]
