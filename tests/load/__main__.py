"""How many callbacks are accepted each second, how soon they are answered, and whether each becomes a song.

    python -m tests.load

LOAD_CALLBACKS is their number, 5,000 if it is not set. Most go to one receiver process, over the Runtime API of Lambda
and with AWS in memory; a fifth go over HTTP to the template on the local stack. All this is on one computer, so the
figures say what a function needs and that nothing is lost, not how fast AWS is."""

import datetime
import os
import platform
import secrets
import sys
import time

from tests.load.callbacks import NOTES, SONG, Step, without_a_song
from tests.load.senders import to_a_stack, to_one_process
from tests.local_stack.__main__ import say
from tests.local_stack.stack import LocalStack, StackError
from tests.programs.account import Account, run

# Callbacks a second; None is as fast as they are answered.
PROCESS_RATES = [100, 200, 400, None]
STACK_RATES = [4, 8, 16, None]


def one_process(count):
    """Returns the steps, the tasks that were lost, and what to say about the functions."""
    account = Account()
    steps = [Step("process", rate) for rate in PROCESS_RATES]
    say(f"Sending {count * len(steps):,} callbacks to one receiver process")
    receiver = to_one_process(account, steps, count)
    jobs = account.waiting("render")
    say(f"Rendering {len(jobs):,} of them in one renderer process")
    began = time.monotonic()
    run(account, "RendererFunction", iter(jobs))
    took = time.monotonic() - began
    account.close()
    said = [
        f"The receiver used {1e3 * receiver.working / (count * len(steps)):.2f} ms of a processor for a callback.",
        f"One renderer process made {len(jobs) / took:.0f} songs a second.",
    ]
    return steps, without_a_song([task for step in steps for task in step.accepted], account.objects), said


def deployed(count):
    """Returns the steps, the tasks that were lost, and the number of dead letters."""
    steps = [Step("stack", rate) for rate in STACK_RATES]
    with LocalStack(secrets.token_urlsafe(24), say) as stack:
        for step in steps:
            pace = f"{step.rate} a second" if step.rate else "as fast as they are answered"
            say(f"Sending {count:,} callbacks over HTTP, {pace}")
            to_a_stack(stack, step, count)
        say("Looking for the songs")
        lost = without_a_song([task for step in steps for task in step.accepted], stack.object_names("midi/"))
        dead = sum(stack.queued(queue) for queue in ("RenderDeadLetterQueueUrl", "WatchDeadLetterQueueUrl"))
    return steps, lost, dead


def main():
    total = int(os.environ.get("LOAD_CALLBACKS", 5000))
    over_http = max(1, total // 5 // len(STACK_RATES))
    to_process = max(1, (total - over_http * len(STACK_RATES)) // len(PROCESS_RATES))
    process_steps, lost, said = one_process(to_process)
    stack_steps, lost_by_stack, dead = deployed(over_http)
    lost += lost_by_stack

    machine = f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} processors"
    print(f"\n{machine}; callbacks of {NOTES} notes, {len(SONG):,} bytes\n")
    print(f"{'':<24} {'sent/s':>8} {'callbacks':>10} {'accepted/s':>11} {'p50 ms':>9} {'p99 ms':>9} {'max ms':>9}")
    for name, steps in {"one receiver process": process_steps, "the stack over HTTP": stack_steps}.items():
        for step in steps:
            rate, *times = step.figures()
            times = " ".join(f"{time:>9.1f}" for time in times)
            print(f"{name:<24} {step.rate or 'all':>8} {len(step.callbacks):>10,} {rate:>11.1f} {times}")
    print("".join(f"\n{line}" for line in said))

    steps = process_steps + stack_steps
    sent, accepted = sum(len(step.callbacks) for step in steps), sum(len(step.accepted) for step in steps)
    print(f"\n{sent:,} callbacks: {accepted:,} answered 200, {accepted - len(lost):,} songs, {dead} dead letters")
    if sent > accepted or lost or dead:
        sys.exit(f"LOST: {sent - accepted} not accepted, without a song: {', '.join(lost[:10]) or 'none'}")
    print("Nothing is lost.")


if __name__ == "__main__":
    try:
        main()
    except (StackError, TimeoutError) as error:
        sys.exit(f"midihook: {error}")
