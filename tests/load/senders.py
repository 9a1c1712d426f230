"""Sends callbacks to one receiver process, and to a deployed stack."""

import concurrent.futures
import time

from tests.local_stack.stack import wait_for
from tests.programs.account import request, run

# How many callbacks are on their way to the stack at once.
AT_ONCE = 8


def to_one_process(account, steps, count):
    """Sends so many callbacks in each step to one receiver process. Returns its Run."""
    sent = []

    def events():
        for step in steps:
            for callback in step.send(count):
                sent.append(callback)
                yield request(callback.task_id, callback.body)

    def answered(answer):
        sent[-1].status, sent[-1].answered = answer["statusCode"], time.monotonic()

    return run(account, "ReceiverFunction", events(), answered)


def to_a_stack(stack, step, count):
    """Sends so many callbacks to a stack over HTTP, and waits until their jobs are done."""

    def send(callback):
        if not step.rate:
            callback.due = time.monotonic()
        try:
            callback.status = stack.post(callback.body.encode(), callback.task_id).status_code
        except OSError as error:
            print(f"    {callback.task_id}: {error}")
        callback.answered = time.monotonic()

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(send, step.send(count)))
    wait_for("the jobs to be done", lambda: stack.queued() == 0, seconds=600)
