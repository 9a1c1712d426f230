"""`midihook submit` and `midihook watch` on the deployed template: songs without a callback."""

import json
import uuid

from tests.deployed.test_watch import API_KEY, finish, provider_of
from tests.local_stack.stack import wait_for


def test_tasks_that_are_submitted_or_watched_become_songs_though_nobody_calls_back(stack, midihook):
    with provider_of(stack) as provider:
        environment = stack.command_line() | {"PROVIDER_API_KEY": API_KEY, "PROVIDER_API_URL": provider.url}
        provider.separations.add("separation")
        submitted = midihook("submit", "--task-id", "separation", env=environment)
        assert submitted.returncode == 0, submitted.stderr
        started, elsewhere = submitted.stdout.decode().strip(), uuid.uuid4().hex
        [request] = [request for request in provider.requests if request.method == "POST"]
        assert json.loads(request.body)["callBackUrl"] == stack.outputs["CallbackUrl"]

        for task_id in (started, elsewhere):
            finish(provider, task_id)
        watched = midihook("watch", elsewhere, env=stack.command_line())
        assert watched.returncode == 0, watched.stderr
        for task_id in (started, elsewhere):
            assert stack.result(task_id, seconds=120)["state"] == "rendered"

        def ends():
            said = midihook("status", started, elsewhere, "--json", env=stack.command_line())
            return [json.loads(line)["watch"]["state"] for line in said.stdout.splitlines()] == ["done", "done"]

        wait_for("the end of the watches", ends, seconds=120, every=2)
        resumed = midihook("watch", "--resume", "--dry-run", env=stack.command_line())
        assert resumed.returncode == 0 and not any(task_id.encode() in resumed.stdout for task_id in (started, elsewhere))
