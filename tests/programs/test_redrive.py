"""`midihook redrive` over an SQS that answers from a list: SQS itself moves the messages."""

import json
import os

import pytest

from tests.programs.servers import Server

ARN = "arn:aws:sqs:us-east-1:0:dead"


@pytest.fixture
def redrive(midihook):
    """Runs the command over a dead-letter queue with so many messages. Returns the outcome and the calls."""

    def run(count, *arguments, denied=None):
        calls = []

        def answer(handler):
            action = handler.headers["x-amz-target"].rpartition(".")[2]
            calls.append((action, json.loads(handler.body)))
            if action == denied:
                return 403, {"x-amzn-errortype": "AccessDenied"}, b'{"message": "no"}'
            attributes = {"QueueArn": ARN, "ApproximateNumberOfMessages": str(count)}
            return 200, {}, json.dumps({"Attributes": attributes, "TaskHandle": "a task"}).encode()

        server = Server(answer)
        url = f"http://{server.address}"
        keys = {"AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_ENDPOINT_URL": url}
        names = {"PATH": os.environ["PATH"], "MIDIHOOK_BUCKET": "bucket", "MIDIHOOK_DEAD_LETTER_QUEUE_URL": f"{url}/0/dead"}
        done = midihook("redrive", *arguments, env=keys | names)
        server.shutdown()
        assert server.errors == []
        return done, calls

    return run


def test_sqs_moves_the_messages_back_to_where_they_came_from(redrive):
    done, calls = redrive(3)
    assert done.returncode == 0 and b"SQS moves 3 messages back" in done.stderr, done.stderr
    assert calls[-1] == ("StartMessageMoveTask", {"SourceArn": ARN}), "without a destination: the queue that they came from"


@pytest.mark.parametrize(("count", "arguments"), [(3, ["--dry-run"]), (0, [])])
def test_nothing_is_moved_if_there_is_nothing_or_only_a_count_is_wanted(redrive, count, arguments):
    done, calls = redrive(count, *arguments)
    assert done.returncode == 0 and f"messages in the dead-letter queue: {count}".encode() in done.stderr
    assert [action for action, _ in calls] == ["GetQueueAttributes"]


@pytest.mark.parametrize("action", ["GetQueueAttributes", "StartMessageMoveTask"])
def test_a_refusal_of_sqs_is_told(redrive, action):
    done, _ = redrive(3, denied=action)
    assert done.returncode == 1 and b"SQS could not" in done.stderr and b"AccessDenied" in done.stderr
