"""Each result is pushed to a URL: on the deployed template, to a receiver on this computer."""

import json
import uuid

import pytest
from standardwebhooks import Webhook

from tests.deployed.test_deployed import song
from tests.local_stack.stack import wait_for
from tests.programs.servers import Server

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture(scope="module")
def pushes(stack):
    """The requests to the receiver of the stack's pushes, as headers and body. It refuses the first two with 500."""
    received = []

    def answer(handler):
        received.append((dict(handler.headers), handler.body))
        return 500 if len(received) <= 2 else 204, {}, b""

    server = Server(answer)
    stack.deploy(PushUrl=f"http://{server.address}/a-token", PushSecret=SECRET)
    yield received
    stack.deploy(PushUrl="", PushSecret="")
    server.shutdown()
    assert not server.errors


def test_a_result_is_pushed_until_it_is_taken(stack, pushes):
    task_id = uuid.uuid4().hex
    assert stack.post(song(task_id), task_id).status_code == 200
    # The waits between the tries are 5 s and 15 s.
    wait_for("three tries", lambda: len(pushes) >= 3, seconds=50)
    assert len({headers["webhook-id"] for headers, _ in pushes}) == 1
    assert len({headers["webhook-timestamp"] for headers, _ in pushes}) == 3
    for headers, body in pushes:
        Webhook(SECRET).verify(body, headers)
        assert body == stack.read(f"midi/{task_id}.json") and json.loads(body)["taskId"] == task_id
