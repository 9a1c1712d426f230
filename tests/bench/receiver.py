"""What the receiver costs: its start, its first callback, a callback, a large one. Each against the least that does the
same, in the same run."""

import contextlib
import dataclasses
import json
import os
import pathlib
import ssl
import statistics
import tempfile
import threading
import time

import trustme

from tests.programs.account import Account, RuntimeApi, processor_seconds, request
from tests.local_stack.stack import wait_for
from tests.programs.functions import running

ROUNDS, CALLBACKS = 7, 200
LARGE = 4_000_000

# The part of a processor that 256 MB have: 1,769 MB have a whole one (AWS Lambda developer guide, "Configure Lambda
# function memory").
PART = 256 / 1769


class Share:
    """A control group whose processes get a part of one processor, as Lambda gives it. Only root can make one."""

    PERIOD = 20_000  # microseconds

    def __init__(self, part):
        quota = str(int(part * self.PERIOD))
        first, second = pathlib.Path("/sys/fs/cgroup/cpu/midihook-bench"), pathlib.Path("/sys/fs/cgroup/midihook-bench")
        version_1 = (first.parent / "cpu.cfs_quota_us").exists()
        self.group = first if version_1 else second
        self.group.mkdir(exist_ok=True)
        limits = {"cpu.cfs_period_us": str(self.PERIOD), "cpu.cfs_quota_us": quota} if version_1 else {"cpu.max": f"{quota} {self.PERIOD}"}
        for name, limit in limits.items():
            (self.group / name).write_text(limit)

    def take(self, process):
        (self.group / "cgroup.procs").write_text(str(process.pid))

    def close(self):
        self.group.rmdir()


@contextlib.contextmanager
def share():
    """A Share, or None where this process may not make one."""
    try:
        made = Share(PART)
    except OSError:
        yield None
        return
    try:
        yield made
    finally:
        wait_for("the control group to be empty", lambda: not (made.group / "cgroup.procs").read_text())
        made.close()


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


def start(program, account, settings, events, share=None):
    """Starts a program, and sends it the events one after the other, with its share of a processor if there is one."""
    begin, sent, answered, connected = threading.Event(), [], [], []

    def paced():
        begin.wait()
        for event in events:
            sent.append(time.perf_counter())
            yield event

    api = RuntimeApi(paced(), lambda answer: answered.append((time.perf_counter(), answer)))
    with running("ReceiverFunction", api.address, account.settings("ReceiverFunction") | settings, [program]) as process:
        account.server.accepted = lambda: connected.append(processor_seconds(process))
        wait_for("the program to start", api.asked.is_set, every=0.001)
        starting, idle = processor_seconds(process), memory(process, "VmRSS")
        if share:
            share.take(process)
        begin.set()
        wait_for("the answers", lambda: api.over.is_set() or process.poll() is not None, every=0.001)
        working, peak = processor_seconds(process) - starting, memory(process, "VmHWM")
    api.server.shutdown()
    assert all(answer["statusCode"] == 200 for _, answer in answered), f"{program}: {answered[-1]}\n{process.log[-2000:]}"
    callbacks = [end - begin for begin, (end, _) in zip(sent, answered)]
    return Started(min([starting, *connected]), callbacks, working / max(1, len(callbacks)), idle, peak)


def small(number):
    return request(f"bench{number}", json.dumps({"code": 200, "msg": "x" * 900, "data": {"taskId": f"bench{number}"}}))


def large():
    return request("bench", json.dumps({"code": 200, "msg": '"' * (LARGE // 4), "data": {"taskId": "bench", "x": "y" * (LARGE // 2)}}))


def trusted(directory):
    """A TLS context for a server, and the settings of a program that trusts it."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(file := os.path.join(directory, "ca.pem"))
    return context, {"SSL_CERT_FILE": file}


def rows(programs):
    """The rows of the table: what, pairs of the receiver's figure and its peer's, and their unit. `programs` is a directory
    with the receiver, `hello` and `put_and_send`."""
    receiver, hello, put_and_send = (programs / name / "bootstrap" for name in ("receiver", "hello", "put_and_send"))
    starts, callbacks, firsts = [], [], []
    with tempfile.TemporaryDirectory() as directory, share() as part:
        context, trust = trusted(directory)
        plain, secure = Account(), Account(tls=context)
        for _ in range(ROUNDS):
            starts.append([1e3 * start(program, plain, trust, []).starting for program in (receiver, hello)])
            many = [small(number) for number in range(CALLBACKS)]
            callbacks.append([1e3 * start(program, plain, trust, many).working for program in (receiver, put_and_send)])
            if part:
                cold = start(receiver, secure, trust, many[:30], part)
                firsts.append([1e3 * cold.callbacks[0], 1e3 * statistics.median(cold.callbacks[1:])])
        event = large()
        memory = [start(program, plain, trust, [event]).above_idle / 1e6 for program in (receiver, hello)]
    yield "CPU from its start until it connects: a bare lambda_http", starts, "ms"
    yield "CPU for a 1 kB callback: only put and send", callbacks, "ms"
    size = len(json.dumps(event)) / 1e6
    yield f"memory for an event of {size:.1f} MB, above idle: the event", [(memory[0], size)], "MB"
    yield f"memory for an event of {size:.1f} MB, above idle: a bare lambda_http", [memory], "MB"
    if not part:
        print("(only root can give a process a part of a processor: the first callback was not measured)")
        return
    yield "first callback with 1/7 of a processor, over TLS: the next", firsts, "ms"
