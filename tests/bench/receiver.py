"""What the receiver costs: its start, its first callback, a callback, a large one. Each against the least that does the
same, in the same run."""

import contextlib
import dataclasses
import json
import pathlib
import statistics
import tempfile
import time

from tests.local_stack.stack import wait_for
from tests.programs.account import Account, RuntimeApi, processor_seconds, request, small
from tests.programs.functions import running
from tests.programs.servers import certified

ROUNDS, CALLBACKS = 7, 200
LARGE = 4_000_000

# The part of a processor that 256 MB have: 1,769 MB have a whole one (AWS Lambda developer guide, "Configure Lambda
# function memory").
PART = 256 / 1769


PERIOD = 20_000  # microseconds


@contextlib.contextmanager
def part_of_a_processor():
    """The file that takes the ids of the processes that get only PART, as on Lambda; None, unless this is root. It belongs
    to a control group, of version 1 or 2."""
    first, second = pathlib.Path("/sys/fs/cgroup/cpu/midihook-bench"), pathlib.Path("/sys/fs/cgroup/midihook-bench")
    quota = int(PART * PERIOD)
    if (first.parent / "cpu.cfs_quota_us").exists():
        group, limits = first, {"cpu.cfs_period_us": PERIOD, "cpu.cfs_quota_us": quota}
    else:
        group, limits = second, {"cpu.max": f"{quota} {PERIOD}"}
    members = group / "cgroup.procs"
    try:
        group.mkdir(exist_ok=True)
        for name, limit in limits.items():
            (group / name).write_text(str(limit))
    except OSError:
        yield None
        return
    try:
        yield members
    finally:
        wait_for("the control group to be empty", lambda: not members.read_text())
        group.rmdir()


@dataclasses.dataclass
class Started:
    """What a process took, in seconds: the processor time until it connected to AWS or asked for an event, the time for each
    callback, the processor time for one of them. And its memory in bytes: before the callbacks, and at most."""

    starting: float
    callbacks: list
    working: float
    idle: int
    peak: int

    @property
    def above_idle(self):
        return self.peak - self.idle


def memory(process, name):
    """VmRSS or VmHWM of a process, in bytes."""
    lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))


def start(program, account, settings, events, members=None):
    """Starts a program, and sends it the events one after the other, with a part of a processor if there are `members`."""
    sent, answered, connected = [], [], []

    def timed():
        for event in events:
            sent.append(time.perf_counter())
            yield event

    api = RuntimeApi(timed(), lambda answer: answered.append((time.perf_counter(), answer)))
    with running("ReceiverFunction", api.address, account.settings("ReceiverFunction") | settings, [program]) as process:
        account.server.accepted = lambda: connected.append(processor_seconds(process))
        api.wait_for_start()
        starting, idle = processor_seconds(process), memory(process, "VmRSS")
        if members:
            members.write_text(str(process.pid))
        api.serve(process)
        working, peak = processor_seconds(process) - starting, memory(process, "VmHWM")
    api.close()
    assert all(answer["statusCode"] == 200 for _, answer in answered), f"{program}: {answered[-1]}\n{process.log[-2000:]}"
    callbacks = [end - begin for begin, (end, _) in zip(sent, answered)]
    return Started(min([starting, *connected]), callbacks, working / max(1, len(callbacks)), idle, peak)


def large():
    return request("bench", json.dumps({"code": 200, "msg": '"' * (LARGE // 4), "data": {"taskId": "bench", "x": "y" * (LARGE // 2)}}))


def rows(programs):
    """The rows of the table: what, pairs of the receiver's figure and its peer's, and their unit. `programs` is a directory
    with the receiver, `hello` and `put_and_send`."""
    receiver, hello, put_and_send = (programs / name / "bootstrap" for name in ("receiver", "hello", "put_and_send"))
    starts, callbacks, firsts = [], [], []
    with tempfile.TemporaryDirectory() as directory, part_of_a_processor() as members:
        tls, file = certified(directory)
        plain, secure, trust = Account(), Account(tls), {"SSL_CERT_FILE": file}
        for _ in range(ROUNDS):
            starts.append([1e3 * start(program, plain, trust, []).starting for program in (receiver, hello)])
            many = [small(f"bench{number}") for number in range(CALLBACKS)]
            callbacks.append([1e3 * start(program, plain, trust, many).working for program in (receiver, put_and_send)])
            if members:
                cold = start(receiver, secure, trust, many[:30], members)
                firsts.append([1e3 * cold.callbacks[0], 1e3 * statistics.median(cold.callbacks[1:])])
        event = large()
        above_idle = [start(program, plain, trust, [event]).above_idle / 1e6 for program in (receiver, hello)]
    yield "CPU from its start until it connects: a bare lambda_http", starts, "ms"
    yield "CPU for a 1 kB callback: only put and send", callbacks, "ms"
    size = len(json.dumps(event)) / 1e6
    yield f"memory for an event of {size:.1f} MB, above idle: the event", [(above_idle[0], size)], "MB"
    yield f"memory for an event of {size:.1f} MB, above idle: a bare lambda_http", [above_idle], "MB"
    if not members:
        print("(only root can give a process a part of a processor: the first callback was not measured)")
        return
    yield "first callback with 1/7 of a processor, over TLS: the next", firsts, "ms"
