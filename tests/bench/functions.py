"""What the receiver costs: its start, its first callback, a callback, a large one. Each against the least that does the
same, in the same run."""

import contextlib
import dataclasses
import json
import os
import pathlib
import ssl
import statistics
import threading
import time

import trustme

from tests.programs.account import Account, RuntimeApi, processor_seconds, request
from tests.local_stack.stack import ROOT, wait_for
from tests.programs.functions import running

RELEASE = ROOT / "target" / "release"
RECEIVER, HELLO, PUT_AND_SEND = RELEASE / "receiver", RELEASE / "examples" / "hello", RELEASE / "examples" / "put_and_send"
STARTS, CALLBACKS = 7, 200
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
    """What a process took, in seconds: the processor time until it connected to AWS or asked for an event, the time until
    it asked, the time for each callback, the processor time for one of them. And its memory in bytes: before the callbacks,
    and at most."""

    starting: float
    init: float
    callbacks: list
    working: float
    idle: int
    peak: int


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
    began = time.perf_counter()
    with running("ReceiverFunction", api.address, account.settings("ReceiverFunction") | settings, program) as process:
        account.server.accepted = lambda: connected.append(processor_seconds(process))
        wait_for("the program to start", api.asked.is_set, every=0.001)
        init = time.perf_counter() - began
        starting, idle = processor_seconds(process), memory(process, "VmRSS")
        if share:
            share.take(process)
        begin.set()
        wait_for("the answers", lambda: api.over.is_set() or process.poll() is not None, every=0.001)
        working, peak = processor_seconds(process) - starting, memory(process, "VmHWM")
    api.server.shutdown()
    assert all(answer["statusCode"] == 200 for _, answer in answered), f"{program}: {answered[-1]}\n{process.log[-2000:]}"
    callbacks = [end - begin for begin, (end, _) in zip(sent, answered)]
    return Started(min([starting, *connected]), init, callbacks, working / max(1, len(callbacks)), idle, peak)


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


def rows(directory):
    """The rows of the table: what, and the receiver's figure, the other one, and their unit for each round."""
    context, trust = trusted(directory)
    plain, secure = Account(), Account(tls=context)
    cold, cpu, first, whole = [], [], [], []
    with share() as part:
        for _ in range(STARTS):
            hello, receiver = (start(program, plain, trust, []) for program in (HELLO, RECEIVER))
            cold.append((1e3 * receiver.starting, 1e3 * hello.starting))
            both = [start(program, plain, trust, map(small, range(CALLBACKS))) for program in (RECEIVER, PUT_AND_SEND)]
            cpu.append(tuple(1e3 * program.working for program in both))
            if part:
                throttled = start(RECEIVER, secure, trust, map(small, range(21)), part)
                first.append((1e3 * throttled.callbacks[0], 1e3 * statistics.median(throttled.callbacks[1:])))
                whole.append(1e3 * (throttled.init + throttled.callbacks[0]))
    event = large()
    one = start(RECEIVER, plain, trust, [event])
    size = len(json.dumps(event))
    yield "receiver, CPU until it connects: a bare lambda_http hello", cold, "ms"
    yield "receiver, CPU for a 1 kB callback: only put and send", cpu, "ms"
    if part:
        yield "receiver, first callback with 1/7 of a processor: the next", first, "ms"
        print(f"(from the start of the process to the answer of its first callback: {statistics.median(whole):.1f} ms)")
    else:
        print("(the receiver's first callback was not measured: only root can give a process a part of a processor)")
    yield f"receiver, peak memory above idle for {size / 1e6:.1f} MB: the event", [((one.peak - one.idle) / 1e6, size / 1e6)], "MB"
