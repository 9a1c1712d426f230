"""Each result is pushed to a URL: on the deployed template, to a receiver on this computer."""

import contextlib
import json
import uuid

import pytest
from standardwebhooks import Webhook

from tests.deployed.aws_cli import aws
from tests.deployed.test_deployed import emitted, song, watched
from tests.local_stack.stack import wait_for
from tests.programs.servers import Server

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver(Server):
    """The receiver of the stack's pushes. It refuses the first ones of each task."""

    def __init__(self):
        super().__init__(self.take)
        self.received, self.refusals = [], {}

    def take(self, handler):
        self.received.append((dict(handler.headers), handler.body))
        task_id = json.loads(handler.body)["taskId"]
        self.refusals[task_id] = self.refusals.get(task_id, 0) - 1
        return 500 if self.refusals[task_id] >= 0 else 204, {}, b""

    def pushes(self, task_id):
        """The headers and bodies about a task."""
        return [(headers, body) for headers, body in self.received if json.loads(body)["taskId"] == task_id]


@contextlib.contextmanager
def pushing(stack, url):
    """The stack pushes its results to this URL within a `with` block."""
    stack.change(PushUrl=url, PushSecret=SECRET)
    yield
    stack.change(PushUrl="", PushSecret="")


@pytest.fixture(scope="module")
def receiver(stack):
    server = Receiver()
    with pushing(stack, f"http://{server.address}/a-token"):
        yield server
    server.shutdown()
    assert not server.errors


def pushed(stack, receiver, refusals):
    """A new task, and what was pushed about it until it was taken."""
    task_id = uuid.uuid4().hex
    receiver.refusals[task_id] = refusals
    assert stack.post(song(task_id), task_id).status_code == 200
    # The waits between the tries are about 5 s and 15 s.
    wait_for("the result to be taken", lambda: len(receiver.pushes(task_id)) > refusals, seconds=60)
    return task_id, receiver.pushes(task_id)


def test_a_result_is_pushed_until_it_is_taken(stack, receiver):
    task_id, pushes = pushed(stack, receiver, refusals=2)
    assert len({headers["webhook-id"] for headers, _ in pushes}) == 1
    assert len({headers["webhook-timestamp"] for headers, _ in pushes}) == 3
    for headers, body in pushes:
        Webhook(SECRET).verify(body, headers)
        assert body == stack.read(f"midi/{task_id}.json")


def test_alarm_and_dashboard_watch_what_is_emitted(stack, receiver):
    pushed(stack, receiver, refusals=1)
    ours = {"Pushes", "FailedPushes", "FailedPushAge"}
    wait_for("the metrics", lambda: {name for name, _ in emitted(stack)} >= ours)
    cloudwatch = stack.client("cloudwatch")
    [alarm] = cloudwatch.describe_alarms(AlarmNames=[stack.resource("PushesFailAlarm")])["MetricAlarms"]
    assert (alarm["MetricName"], alarm["Dimensions"][0]["Value"]) in emitted(stack)
    body = cloudwatch.get_dashboard(DashboardName="midihook-us-east-1")["DashboardBody"]
    assert "${" not in body and ours <= set().union(*map(watched, json.loads(body)["widgets"]))
    assert alarm["AlarmArn"] in body and stack.outputs["PusherLogGroup"] in body


def test_a_result_is_pushed_again_by_one_message_and_dead_pushes_have_a_command(stack, midihook, receiver):
    task_id, _ = pushed(stack, receiver, refusals=0)
    names = stack.command_line()
    message = json.dumps({"detail": {"object": {"key": f"midi/{task_id}.json"}}})
    aws(stack, "sqs", "send-message", "--queue-url", names["MIDIHOOK_PUSH_QUEUE_URL"], "--message-body", message)
    wait_for("the second push", lambda: len(receiver.pushes(task_id)) == 2)

    stack.client("sqs").send_message(QueueUrl=stack.outputs["PushDeadLetterQueueUrl"], MessageBody=message)
    report = json.loads(midihook("doctor", "--json", env=names).stdout)
    [mend] = [finding["mend"] for finding in report["findings"] if "pushes that failed" in finding["what"]]
    assert mend.startswith(f"aws sqs start-message-move-task --source-arn {names['MIDIHOOK_PUSH_DEAD_LETTER_QUEUE_ARN']}")
    # The local stack has no StartMessageMoveTask: only AWS can run the command.
