"""The tables of docs/cost.md."""

from tests.cost.model import (
    FUNCTIONS,
    KNOWN,
    MEMORY,
    MONTH,
    PRICES,
    PUSH_ALARMS,
    PUSH_METRICS,
    SIMULATED,
    Options,
    bill,
    looked_at,
    milliseconds,
    on_lambda,
    price,
    receives,
    rendered_again,
    requests,
    total,
    total_beyond_free,
    with_memory,
)
from tests.programs.template import properties, usual

MONTHS = {"1 thousand": 1_000, "1 million": 1_000_000, "100 million": 100_000_000}


def table(head, rows):
    lines = [head, ["---:" if cell in MONTHS else "---" for cell in head], *rows]
    return "".join(f"| {' | '.join(str(cell) for cell in line)} |\n" for line in lines)


def dollars(amount):
    return f"{amount:,.2f}" if abs(amount) < 1000 else f"{amount:,.0f}"


def month():
    """The bill of a month."""
    bills = [bill(callbacks) for callbacks in MONTHS.values()]
    rows = [[what, *(dollars(of[what]) for of in bills)] for what in bills[0]]
    rows.append(["**total**", *(f"**{dollars(sum(of.values()))}**" for of in bills)])
    rows.append(["total, less the always-free tier", *(dollars(total_beyond_free(callbacks)) for callbacks in MONTHS.values())])
    largest = [max(of, key=of.get) for of in bills]
    rows.append(["largest line", *(f"{what}, {of[what] / sum(of.values()):.0%}" for what, of in zip(largest, bills))])
    return table(["dollars a month, at list prices", *MONTHS], rows)


def callback():
    """What one callback takes in each function."""
    rows = []
    for function, figures in FUNCTIONS.items():
        there, start = (on_lambda(function, figures[name]) for name in ("processor_ms", "start_processor_ms"))
        asked = ", ".join(f"{count:.0f} {kind}" for kind, count in requests(function).items())
        logs = figures["logs"]["bytes"] + figures["metrics"]["bytes"]
        row = [function, f"{MEMORY[function]} MB", f"{figures['processor_ms']:.1f} ms", f"{there:.0f} ms"]
        rows.append([*row, asked, f"{milliseconds(function):.0f} ms", f"{start:.0f} ms", f"{logs:,} bytes"])
    return table(["", "memory", "processor, here", "on Lambda", "S3", "billed", "a start", "logs"], rows)


def memory_sizes():
    """What one callback takes with more memory and with less."""
    functions = ["receiver", "renderer"]

    def row(memory):
        figures = [with_memory(function, memory) for function in functions]
        cells = [cell for time, cost in figures for cell in (f"{time:.0f} ms", dollars(1e6 * cost))]
        used = [function for function in functions if MEMORY[function] == memory]
        return [f"{memory} MB" + "".join(f" ({function})" for function in used), *cells]

    head = [cell for function in functions for cell in (f"{function}, billed", "a million, dollars")]
    return table(["memory", *head], [row(memory) for memory in (128, 256, 512, 1024, KNOWN["lambda_mb_of_one_processor"])])


def savings():
    """What each change saves in a month."""

    def saved(what, **changed):
        return [what, *(dollars(total(callbacks) - total(callbacks, Options(**changed))) for callbacks in MONTHS.values())]

    return table(
        ["dollars saved a month", *MONTHS],
        [
            saved("tracing off (`Tracing: PassThrough` in `Globals`)", tracing=False),
            saved("`Dashboard=false`", dashboard=False),
            saved("`Architecture=arm64`, if it is as fast", arm64=True),
            saved("log level WARN, for the functions and Lambda's own lines (not a parameter; needs `LogFormat: JSON`)", warn=True),
            saved("no picture (not a parameter)", picture=False),
            saved("batches of 10 messages, if all are full (`BatchSize` is 1 by design)", batch=10),
            saved("no `MaximumConcurrency`, so that two pollers are enough", pollers=KNOWN["pollers_without_maximum_concurrency"]),
        ],
    )


def watched():
    """What make simulate counts of watched tasks."""
    columns = [SIMULATED["over a day"], SIMULATED["all at once"]]

    def row(what, text):
        return [what, *(text(of) for of in columns)]

    return table(
        ["10,000 watched tasks", "over a day", "all at once"],
        [
            row("questions to the provider for a task", lambda of: f"{of['questions']:.1f}"),
            row("questions in any second, at most", lambda of: of["questions_in_a_second"]),
            row("from the end at the provider to the result: median, 99 %", lambda of: f"{of['median']}, {of['p99']}"),
            row("looks at a task", lambda of: f"{of['looks']:.1f}"),
            row("S3 requests for a task: PUT, GET, HEAD, LIST", lambda of: ", ".join(map(str, of["s3"].values()))),
            row("Lambda for a task", lambda of: f"{of['lambda_seconds']:.1f} s of {MEMORY['reconciler']} MB"),
            row("a thousand tasks", lambda of: f"{1e5 * looked_at(of):.0f} cents"),
        ],
    )


def asking():
    """What the questions to the provider cost."""
    # One of the looks takes place without VerifyBodies too.
    look = {"looks": 1, "s3": requests("reconciler"), "lambda_seconds": milliseconds("reconciler") / 1e3}
    verified = looked_at(SIMULATED["all at once"]) - looked_at(look) + rendered_again()
    fixed = price("secret", 1) + price("metric", 1) + price("alarm", 1)
    return table(
        ["", "dollars"],
        [
            ["`ProviderApiKey`: another secret, metric and alarm", f"{dollars(fixed)} a month"],
            ["a watched task that nobody calls back for", f"{dollars(1e3 * looked_at(SIMULATED['over a day']))} for a thousand"],
            ["`VerifyBodies`: a question, two more looks and a second rendering", f"{dollars(1e3 * verified)} for a thousand callbacks"],
        ],
    )


def pushing():
    """What pushes cost while there are none."""
    fixed = price("secret", 1) + price("metric", PUSH_METRICS) + price("alarm", PUSH_ALARMS)
    polls = price("sqs_request", receives(1, KNOWN["pollers"]))
    return table(
        ["", "dollars a month"],
        [
            [f"`PushUrl`: another secret, {PUSH_METRICS} metrics and {PUSH_ALARMS} alarms", dollars(fixed)],
            ["empty polls of the push queue", dollars(polls)],
        ],
    )


def limits():
    """The limits, in the order in which more callbacks meet them."""
    seconds = {function: milliseconds(function) / 1e3 for function in FUNCTIONS}
    puts = sum(requests(function).get("PUT", 0) for function in FUNCTIONS)
    renderers, reconcilers = at_once("renderer"), at_once("reconciler")
    throttle = usual(properties("Stage")["DefaultRouteSettings"]["ThrottlingRateLimit"])
    again, processes = "the provider calls again", "the quota Concurrent executions (Lambda)"
    # The callbacks a second that meet it, the limit, what happens, what lifts it.
    found = [
        (
            reconcilers,
            f"with `VerifyBodies`: {reconcilers} questions a second",
            "songs are confirmed later",
            "nothing: it spares your account at the provider",
        ),
        (
            reconcilers / seconds["reconciler"],
            f"{reconcilers} reconcilers at once",
            "looks come later. After 14 days SQS deletes those that wait, and lost jobs are not repaired",
            "`MaximumConcurrency` of `Looks` in template.yaml, which allows more questions, too",
        ),
        (
            renderers / seconds["renderer"],
            f"{renderers} renderers at once",
            "songs come later, and RenderQueueAgeAlarm rings. After 14 days SQS deletes the jobs that wait",
            "`RendererConcurrency`",
        ),
        (throttle, f"the stage's throttle, {throttle} a second", f"429: {again}", "`ThrottlingRate`, `ThrottlingBurst`"),
        (
            (10 - renderers - reconcilers) / seconds["receiver"],
            "10 processes at once, in a new account, of which renderers and reconcilers take theirs",
            f"503: {again}",
            f"{processes}. `ReceiverConcurrency` reserves a part of it",
        ),
        ((1000 - renderers - reconcilers) / seconds["receiver"], "1,000 processes at once", f"503: {again}", processes),
        (3500 / puts, "S3: 3,500 PUT a second in a prefix", "503: the functions try again", "S3 splits a busy prefix by itself"),
        (
            5000 / len(FUNCTIONS),
            "CloudWatch Logs: 5,000 PutLogEvents a second, if each invocation is one",
            "log lines are lost",
            "the quota PutLogEvents (CloudWatch Logs)",
        ),
        (10_000, "API Gateway: 10,000 requests a second", f"429: {again}", "the quota Throttle rate (API Gateway)"),
    ]
    rows = []
    for rate, what, then, lift in sorted(found):
        met = ["met" if rate <= times * 1_000_000 / MONTH else "" for times in (10, 100)]
        rows.append([what, f"{rate:,.0f}", *met, then, lift])
    return table(["limit", "callbacks a second", "10 ×", "100 ×", "what happens", "what lifts it"], rows)


def at_once(function):
    """How many processes of a function its queue may start."""
    [event] = properties(f"{function.capitalize()}Function")["Events"].values()
    return usual(event["Properties"]["ScalingConfig"]["MaximumConcurrency"])


def prices():
    """The prices."""
    rows = []
    for entry in PRICES.values():
        per = f" for {entry['per']:,.0f}" if entry["per"] > 1 else ""
        free = f"{entry['free']:,.0f}" if entry["free"] else ""
        rows.append([f"{entry['usd']:.10f}".rstrip("0").rstrip(".") + per, entry["unit"], free, f"<{entry['source']}>"])
    return table(["dollars", "unit", "always free", "source"], rows)


TABLES = {
    "A month": month,
    "What one callback takes": callback,
    "Memory": memory_sizes,
    "What a change saves": savings,
    "What the questions to the provider cost": asking,
    "What pushes cost": pushing,
    "What a watched task takes": watched,
    "Limits": limits,
    "Prices": prices,
}
