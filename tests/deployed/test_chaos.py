"""Kills the functions' processes while callbacks arrive at the deployed template. No callback that got a 200 is lost.

CHAOS_DEPLOYED is the number of schedules, CHAOS_SEED the first seed. A failure names the task, whose id contains the seed.
A seed determines what is sent, but not when a process is killed.
"""

import concurrent.futures
import hashlib
import io
import json
import os
import random
import signal
import threading
import time

import mido
import pytest

from tests.local_stack.stack import wait_for

COUNT = int(os.environ.get("CHAOS_DEPLOYED", 40))
FIRST = int(os.environ.get("CHAOS_SEED", 1))


class Schedule:
    """One task: its bodies, and which of them were accepted."""

    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.task_id = f"chaos-{seed}"
        self.bodies = [self.body() for _ in range(self.rng.randint(1, 3))]
        self.sent = self.accepted = ()
        self.tries = 0

    def body(self):
        kind = self.rng.choice(["song", "song", "song", "empty", "failure", "unsupported"])
        note = {"pitch": self.rng.randint(50, 60), "start": "0.5", "end": 1, "velocity": 1}
        data = {
            "song": {"instruments": [{"name": "Violin", "notes": [note]}]},
            "empty": {"instruments": []},
            "unsupported": {"audioWavUrl": "https://example.com/a.wav"},
        }
        if kind == "failure":
            return json.dumps({"code": 500, "msg": "no", "taskId": self.task_id, "data": None}).encode()
        return json.dumps({"code": 200, "data": {"taskId": self.task_id} | data[kind]}).encode()

    def play(self, stack):
        """Sends each body in up to three tries, as the provider does. Some are sent again although they were accepted."""
        began = int(time.time()) - 60
        self.sent, self.accepted = set(self.bodies), set()
        for number, body in enumerate(self.bodies):
            # Timestamps are not always in the order of sending.
            timestamp = str(began + self.rng.choice([number, -number]))
            for _ in range(3):
                self.tries += 1
                try:
                    status = stack.post(body, self.task_id, timestamp=timestamp).status_code
                except OSError:
                    continue
                assert status == 200 or status >= 500, f"{self.task_id}: {status}"
                if status == 200:
                    self.accepted.add(body)
                    if self.rng.random() < 0.8:
                        break
        return self


def kill_until(over, stack, rng):
    """Kills a function's process now and then. Returns the number of kills."""
    killed = 0
    while not over.wait(rng.uniform(0.02, 0.25)):
        if processes := stack.processes():
            try:
                os.kill(rng.choice(processes), signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                pass
    return killed


def rank(stack, name):
    """The precedence of a body among those of its task, as docs/consume.md has it.

    A song comes before an empty song, and that before all others; then the newest comes first."""
    head = stack.client("s3").head_object(Bucket=stack.bucket, Key=name)
    body = json.loads(stack.read(name))
    data = body.get("data") or {}
    kind = 0 if body["code"] != 200 or "instruments" not in data else 2 if data["instruments"] else 1
    return kind, int(head["Metadata"]["webhook-timestamp"]), name


def check(stack, schedule):
    task_id = schedule.task_id
    raw = {name: stack.read(name) for name in stack.object_names(f"raw/{task_id}/")}
    names = {body: f"raw/{task_id}/{hashlib.sha256(body).hexdigest()}.json" for body in schedule.sent}
    assert all(raw.get(names[body]) == body for body in schedule.accepted), f"{task_id}: a body is lost"
    assert set(raw.values()) <= schedule.sent, f"{task_id}: a body in raw/ was never sent"
    if not schedule.accepted:
        return
    document = json.loads(stack.read(f"midi/{task_id}.json"))
    # A body that was answered 5xx may have a job. So the document may be of a body that outranks all accepted ones.
    decides = document["source"]["key"]
    assert rank(stack, decides) >= max(rank(stack, names[body]) for body in schedule.accepted), f"{task_id}: the wrong body decides"
    assert sorted(stack.object_names(f"midi/{task_id}.")) == sorted(document["files"].values())
    if document["state"] == "rendered":
        [pitch] = [note["pitch"] for part in json.loads(raw[decides])["data"]["instruments"] for note in part["notes"]]
        file = mido.MidiFile(file=io.BytesIO(stack.read(f"midi/{task_id}.mid")))
        assert [message.note for track in file.tracks for message in track if message.type == "note_on"] == [pitch]


def move_back(stack):
    """Does what `midihook redrive` has SQS do. The local stack has no move tasks."""
    sqs, dead = stack.client("sqs"), stack.outputs["RenderDeadLetterQueueUrl"]
    while messages := sqs.receive_message(QueueUrl=dead, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            sqs.send_message(QueueUrl=stack.outputs["RenderQueueUrl"], MessageBody=message["Body"])
            sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])


def drained(stack):
    return stack.queued() == 0


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc to find the functions' processes")
def test_nothing_is_lost_while_processes_are_killed(stack):
    print(f"chaos: {COUNT} schedules from seed {FIRST}")
    over = threading.Event()
    with stack.visibility_timeout(2), concurrent.futures.ThreadPoolExecutor(9) as pool:
        killer = pool.submit(kill_until, over, stack, random.Random(FIRST))
        try:
            schedules = list(pool.map(lambda seed: Schedule(seed).play(stack), range(FIRST, FIRST + COUNT)))
            wait_for("the queue to drain", lambda: drained(stack), seconds=120)
        finally:
            over.set()
        killed = killer.result()
        dead = stack.queued("RenderDeadLetterQueueUrl")
        move_back(stack)
        wait_for("the queue to drain again", lambda: drained(stack), seconds=120)
    accepted = sum(len(schedule.accepted) for schedule in schedules)
    tries = sum(schedule.tries for schedule in schedules)
    print(f"chaos: {tries} requests, {accepted} bodies accepted, {killed} processes killed, {dead} jobs moved back")
    assert stack.queued("RenderDeadLetterQueueUrl") == 0
    assert killed > COUNT / 20
    for schedule in schedules:
        check(stack, schedule)
