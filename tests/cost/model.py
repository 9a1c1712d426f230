"""What callbacks cost, and which limits they meet: from prices.json and measured.json, without anything else."""

import collections
import dataclasses
import json
import math
import pathlib

from tests.programs.template import TEMPLATE, properties, usual

DIRECTORY = pathlib.Path(__file__).parent
PRICES = json.loads((DIRECTORY / "prices.json").read_text())["prices"]
FIGURES_FILE = DIRECTORY / "measured.json"
FIGURES = json.loads(FIGURES_FILE.read_text())
MEASURED, SIMULATED = FIGURES["measured"], FIGURES["simulated"]
KNOWN = {name: fact["value"] for part in ("documented", "assumed") for name, fact in FIGURES[part].items()}
FUNCTIONS = MEASURED["functions"]
MEMORY = {function: usual(properties(f"{function.capitalize()}Function")["MemorySize"]) for function in FUNCTIONS}
# How many messages a function sends for a callback.
SENDS = {"receiver": 1, "renderer": 1, "reconciler": 0}
# The queues that Lambda polls: the render queue and the watch queue.
POLLED = 2
METRICS, SECRETS = 10, 1

def alarms(condition=None):
    """The alarms that a stack has under a condition, or always."""
    return sum(it["Type"] == "AWS::CloudWatch::Alarm" and it.get("Condition") == condition for it in TEMPLATE["Resources"].values())


ALARMS = alarms()
PUSH_METRICS, PUSH_ALARMS = 3, alarms("Pushes")
MONTH = 30 * 86_400
REREAD = 300
GB = 2**30


@dataclasses.dataclass(frozen=True)
class Options:
    """What somebody might change."""

    picture: bool = True
    warn: bool = False
    arm64: bool = False
    batch: int = 1
    tracing: bool = True
    dashboard: bool = True
    pollers: int = KNOWN["pollers"]


USUAL = Options()


def price(name, quantity, free=0):
    """What so much costs, less what is free."""
    entry = PRICES[name]
    return max(0, quantity - free) * entry["usd"] / entry["per"]


def requests(function, options=USUAL):
    """The requests to S3 for a callback, by kind."""
    made = dict(FUNCTIONS[function]["s3"])
    if function == "renderer" and not options.picture:
        made["PUT"] -= 1
    return made


def milliseconds(function, options=USUAL, memory=None):
    """How long an invocation of a running process takes on Lambda: its share of a processor, and the calls it waits for."""
    calls = sum(requests(function, options).values()) + SENDS[function]
    return on_lambda(function, FUNCTIONS[function]["processor_ms"], memory) + calls * KNOWN["aws_call_ms"]


def on_lambda(function, processor_ms, memory=None):
    """With so many MB, or those of the template."""
    return processor_ms * KNOWN["lambda_mb_of_one_processor"] / (memory or MEMORY[function])


def with_memory(function, memory):
    """What an invocation takes with so many MB: milliseconds, and dollars."""
    time = milliseconds(function, memory=memory)
    return time, price("lambda_gb_second", math.ceil(time) / 1e3 * memory / 1024)


def gb_seconds(function, callbacks, options=USUAL):
    # A process that nobody needed for some minutes ends, so at most so many start in a month.
    starts = min(callbacks, MONTH / KNOWN["idle_seconds"])
    started = starts * on_lambda(function, FUNCTIONS[function]["start_processor_ms"])
    return (callbacks * math.ceil(milliseconds(function, options)) + started) / 1e3 * MEMORY[function] / 1024


def receives(messages, pollers):
    """How often pollers receive from a queue that gets so many messages a month, spread evenly. A long poll ends with the
    first message, or empty."""
    rate = messages / MONTH / pollers
    return messages / -math.expm1(-rate * KNOWN["poll_seconds"])


def log_bytes(options=USUAL):
    """What one callback writes to the logs."""
    lines = [(1, len(KNOWN["access_log_line"]))]
    for function in FUNCTIONS.values():
        lines.append((function["metrics"]["lines"], function["metrics"]["bytes"]))
        if not options.warn:
            lines.append((function["logs"]["lines"], function["logs"]["bytes"]))
            lines += [(1, len(line)) for line in KNOWN["platform_lines"]]
    return sum(count * KNOWN["log_event_bytes"] + size for count, size in lines)


def stored_bytes(options=USUAL):
    return sum(size for name, size in MEASURED["bytes"].items() if name != "svg" or options.picture)


def traces(callbacks):
    """Each function is a trace of its own."""
    rate, every = callbacks / MONTH, KNOWN["traces_a_second"]
    return len(FUNCTIONS) * MONTH * (min(rate, every) + max(0, rate - every) * KNOWN["share_of_further_traces"])


def secret_calls(callbacks):
    """Two stages, in each process every five minutes."""
    processes = math.ceil(callbacks / MONTH * milliseconds("receiver") / 1e3)
    return 2 * min(callbacks, processes * MONTH / REREAD)


def lines(callbacks, options=USUAL):
    """The bill of a month: what, the name of its price, how much of it."""
    count = sum((collections.Counter(requests(function, options)) for function in FUNCTIONS), collections.Counter())
    second = "lambda_gb_second_arm64" if options.arm64 else "lambda_gb_second"
    batches = callbacks / options.batch
    received = receives(batches, options.pollers)
    logs = callbacks * log_bytes(options) / GB
    return [
        ("gateway: requests", "gateway_request", callbacks * math.ceil(MEASURED["bytes"]["callback"] / (512 * 1024))),
        ("Lambda: requests", "lambda_request", callbacks + POLLED * batches),
        *((f"Lambda: time of the {function}", second, gb_seconds(function, callbacks, options)) for function in FUNCTIONS),
        ("S3: PUT and LIST", "s3_put_or_list", callbacks * (count["PUT"] + count["LIST"])),
        ("S3: GET and HEAD", "s3_get_or_head", callbacks * (count["GET"] + count["HEAD"])),
        ("S3: storage of this month's songs", "s3_gb_month", callbacks * stored_bytes(options) / GB),
        # Each polled queue: send, receive, delete. And the announcement.
        ("SQS: messages", "sqs_request", callbacks * (POLLED + 1) + POLLED * 2 * batches),
        ("SQS: empty polls", "sqs_request", POLLED * (received - batches)),
        ("EventBridge: an event for each object", "event", callbacks * count["PUT"]),
        ("Secrets Manager: the secret", "secret", SECRETS),
        ("Secrets Manager: calls", "secret_call", secret_calls(callbacks)),
        ("CloudWatch: logs written", "log_gb", logs),
        ("CloudWatch: logs kept", "log_gb_month", logs * usual("LogRetentionDays") / 30),
        ("CloudWatch: metrics", "metric", METRICS),
        ("CloudWatch: alarms", "alarm", ALARMS),
        ("CloudWatch: dashboard", "dashboard", int(options.dashboard)),
        ("X-Ray: traces", "trace", traces(callbacks) if options.tracing else 0),
        ("answers sent; callbacks received are free", "gb_out", callbacks * KNOWN["answer_bytes"] / GB),
    ]


def bill(callbacks, options=USUAL):
    """The dollars of each line, at list prices."""
    return {what: price(name, quantity) for what, name, quantity in lines(callbacks, options)}


def total(callbacks, options=USUAL):
    return sum(bill(callbacks, options).values())


def total_beyond_free(callbacks):
    """The dollars of a month, in an account that uses nothing else of its always-free tier."""
    used = {}
    for _, name, quantity in lines(callbacks):
        used[name] = used.get(name, 0) + quantity
    return sum(price(name, quantity, PRICES[name]["free"]) for name, quantity in used.items())


def looked_at(task):
    """The dollars of the looks at a task, which has their requests and seconds."""
    s3, looks = collections.Counter(task["s3"]), task["looks"]
    return (
        price("s3_put_or_list", s3["PUT"] + s3["LIST"])
        + price("s3_get_or_head", s3["GET"] + s3["HEAD"])
        + price("event", s3["PUT"])
        + price("sqs_request", 3 * looks)
        + price("lambda_request", looks)
        + price("lambda_gb_second", task["lambda_seconds"] * MEMORY["reconciler"] / 1024)
    )


def rendered_again():
    """The dollars of another rendering, which asks S3 what is there before each of its writes."""
    puts = requests("renderer")["PUT"]
    time = milliseconds("renderer") + puts * KNOWN["aws_call_ms"]
    return (
        price("s3_put_or_list", puts)
        + price("s3_get_or_head", requests("renderer")["GET"] + puts)
        + price("event", puts)
        + price("sqs_request", 4)
        + price("lambda_request", 1)
        + price("lambda_gb_second", time / 1e3 * MEMORY["renderer"] / 1024)
    )
