"""`midihook redrive` with an SQS that returns errors, drops connections, does only half of a batch, and kills the command.

No job is lost. REDRIVE_SEED is the first seed; a failure names its seed."""

import json
import os
import random
import subprocess
import threading

import pytest

from tests.programs.servers import Server

FIRST = int(os.environ.get("REDRIVE_SEED", 1))
BUCKET = "bucket"


class Sqs:
    """Two queues in memory. A message that was received and not deleted stays hidden until `time_passes`."""

    def __init__(self, rng, dead):
        self.rng, self.dead, self.render = rng, dict(enumerate(dead)), []
        self.hidden, self.receives, self.chance, self.hides = set(), 0, 0.0, True
        self.lock, self.command = threading.Lock(), None
        self.server = Server(self.answer)

    @property
    def environment(self):
        url = f"http://{self.server.address}"
        return {
            "PATH": os.environ["PATH"],
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_ENDPOINT_URL": url,
            "MIDIHOOK_BUCKET": BUCKET,
            "MIDIHOOK_RENDER_QUEUE_URL": f"{url}/0/render",
            "MIDIHOOK_DEAD_LETTER_QUEUE_URL": f"{url}/0/dead",
        }

    def redrive(self, program, *arguments):
        """Runs the command. Returns its exit code (negative if it was killed), its output and its errors."""
        with self.lock:  # so that a fault cannot kill the command before it is known
            self.command = subprocess.Popen([program, "redrive", *arguments], env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        output, errors = self.command.communicate(timeout=60)
        assert self.server.errors == []
        return self.command.returncode, output.decode(), errors.decode()

    def time_passes(self):
        self.hidden.clear()

    def answer(self, handler):
        operation = handler.headers["x-amz-target"].removeprefix("AmazonSQS.")
        request = json.loads(handler.body)
        with self.lock:
            fault = self.rng.choice(["error", "throttled", "lost", "cut off", "killed", "killed after"]) if self.rng.random() < self.chance else None
            if fault == "killed":
                self.command.kill()
            if fault == "error":
                return self.json(500, {"__type": "InternalFailure"})
            if fault == "throttled":
                return self.json(400, {"__type": "RequestThrottled"})
            if fault in ("lost", "killed"):
                return None
            answer = getattr(self, operation)(request)
            if fault == "killed after":
                self.command.kill()
            return None if fault else self.json(200, answer)

    def json(self, status, answer):
        return status, {"content-type": "application/x-amz-json-1.0"}, json.dumps(answer).encode()

    def GetQueueAttributes(self, _):
        visible = len(self.dead) - len(self.hidden)
        return {"Attributes": {"ApproximateNumberOfMessages": str(visible), "ApproximateNumberOfMessagesNotVisible": str(len(self.hidden))}}

    def ReceiveMessage(self, request):
        assert request["QueueUrl"].endswith("/dead")
        visible = [number for number in self.dead if number not in self.hidden]
        received = self.rng.sample(visible, min(len(visible), self.rng.randint(1, 10)))
        self.receives += 1
        if self.hides:
            self.hidden |= set(received)
        messages = [{"MessageId": f"m{number}", "ReceiptHandle": f"{number} {self.receives}", "Body": self.dead[number]} for number in received]
        return {"Messages": messages} if messages else {}

    def batch(self, request, act):
        """Acts on each entry. Some may fail instead; the status of the answer is 200 all the same."""
        failed, done = [], []
        for entry in request["Entries"]:
            if self.rng.random() < self.chance:
                failed.append({"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"})
            else:
                act(entry)
                done.append({"Id": entry["Id"], "MessageId": "m", "MD5OfMessageBody": ""})
        return {"Successful": done, "Failed": failed}

    def SendMessageBatch(self, request):
        assert request["QueueUrl"].endswith("/render")
        return self.batch(request, lambda entry: self.render.append(entry["MessageBody"]))

    def DeleteMessageBatch(self, request):
        def delete(entry):
            number = int(entry["ReceiptHandle"].split()[0])
            self.dead.pop(number, None)
            self.hidden.discard(number)

        return self.batch(request, delete)

    def ChangeMessageVisibilityBatch(self, request):
        return self.batch(request, lambda entry: self.hidden.discard(int(entry["ReceiptHandle"].split()[0])))


def job(number):
    return json.dumps({"version": 1, "taskId": f"t{number}", "bucket": BUCKET, "key": f"raw/t{number}/a.json"})


@pytest.fixture(scope="session")
def program(midihook):
    """The path of the command-line program."""
    return midihook.program


@pytest.mark.parametrize("seed", range(FIRST, FIRST + 20))
def test_no_fault_loses_a_job(program, seed):
    rng = random.Random(seed)
    sent, poison = [job(number) for number in range(rng.randint(1, 40))], ["poison"] * rng.randint(0, 3)
    jobs, sqs = set(sent), Sqs(rng, sent + poison)
    sqs.chance = rng.choice([0.05, 0.2, 0.4])
    for _ in range(4):
        code, _, errors = sqs.redrive(program)
        assert jobs <= set(sqs.dead.values()) | set(sqs.render), f"seed {seed}: a job is lost"
        assert code or not sqs.dead, f"seed {seed}: exit code 0, but messages are left: {errors}"
        sqs.time_passes()
    sqs.chance = 0
    code, _, errors = sqs.redrive(program)
    assert (code, list(sqs.dead.values()), set(sqs.render)) == (3 if poison else 0, poison, jobs), f"seed {seed}: {errors}"


def test_messages_that_reappear_at_once_do_not_make_it_run_for_ever(program):
    poison = [f"poison {number}" for number in range(25)]
    sqs = Sqs(random.Random(1), [*poison, job(1)])
    sqs.hides = False
    code, output, _ = sqs.redrive(program, "--dry-run")
    assert (code, len(output.splitlines())) == (0, 26), "each message once"
    code, output, errors = sqs.redrive(program)
    assert (code, sqs.render) == (3, [job(1)]) and "and were left: 25;" in errors


def test_messages_hidden_by_an_interrupted_run_are_reported(program):
    sqs = Sqs(random.Random(1), [job(1), job(2)])
    sqs.hidden = {0}
    code, output, errors = sqs.redrive(program, "--dry-run")
    assert (code, output) == (0, "raw/t2/a.json\n") and "counted 2 messages and gave 1" in errors
    assert sqs.hidden == {0}, "a dry run leaves its messages visible"
    code, _, errors = sqs.redrive(program)
    assert (code, sqs.render) == (1, [job(2)]) and "run this again" in errors
