"""Measures what one callback takes: processor time, requests, bytes."""

import collections
import datetime
import json
import os
import platform
import statistics

from tests.bench.callbacks import callback
from tests.load.callbacks import Step
from tests.load.senders import to_one_process
from tests.local_stack.stack import ROOT
from tests.programs.account import Account, message, run

NOTES = 3000
EVENT = json.loads(json.loads((ROOT / "events" / "sqs-eventbridge.json").read_text())["Records"][0]["body"])


def arrival(name):
    """The event of a new body."""
    return message(json.dumps(EVENT | {"detail": EVENT["detail"] | {"bucket": {"name": "bucket"}, "object": {"key": name}}}))


def kind(request):
    method, path = request
    return "LIST" if (method, path.strip("/")) == ("GET", "bucket") else method


def logged(lines, callbacks):
    """The lines and bytes for one callback."""
    return {"lines": len(lines) / callbacks, "bytes": round(sum(map(len, lines)) / callbacks)}


def measured(callbacks=500, starts=9):
    """What one callback takes in each function, and the sizes of its objects."""
    account, song = Account(), callback(NOTES)
    # A task id of 32 letters, as the provider's.
    step = Step("t" * 20, None, song)

    def arrivals():
        return [arrival(name) for name in account.objects if name.startswith("raw/")]

    runs = {
        "receiver": lambda: to_one_process(account, [step], callbacks),
        "renderer": lambda: run(account, "RendererFunction", iter(account.waiting("render"))),
        "reconciler": lambda: run(account, "ReconcilerFunction", iter(arrivals())),
    }
    figures = {}
    for function, do in runs.items():
        account.requests.clear()
        done = do()
        requests = collections.Counter(map(kind, account.requests))
        begun = [run(account, f"{function.capitalize()}Function", iter([])).starting for _ in range(starts)]
        lines = done.log.splitlines()
        figures[function] = {
            "processor_ms": round(1e3 * done.working / callbacks, 2),
            "start_processor_ms": round(1e3 * statistics.median(begun), 1),
            "s3": {kind: count / callbacks for kind, count in sorted(requests.items()) if kind != "POST"},
            "logs": logged([line for line in lines if "_aws" not in line], callbacks),
            "metrics": logged([line for line in lines if "_aws" in line], callbacks),
        }
    account.close()
    task = step.callbacks[0].task_id
    sizes = {end: len(account.objects[f"midi/{task}.{end}"][0]) for end in ("mid", "svg", "json")}
    return {
        "how": "python -m tests.cost measure: the built functions over the Runtime API, with AWS in memory; "
        f"{callbacks} callbacks of {NOTES:,} notes, one after the other",
        "when": f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} processors",
        "functions": figures,
        "bytes": {"callback": len(step.callbacks[0].body)} | sizes,
    }
