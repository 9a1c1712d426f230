"""Every command of the docs is run, or marked as not tried. CONTRIBUTING.md says how.

Here each one runs in a shell and a folder of its own. `midihook` and `events/sign.py` are the real ones, over services in
memory. In place of every other program a stand-in looks at the arguments: does what they name exist?"""

import functools
import importlib.util
import json
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request

import botocore.session
import botocore.validate
import jmespath
import pytest
from botocore import xform_name

from tests.deployed.aws_cli import OPTIONS, SERVICES
from tests.local_stack.provider import Provider
from tests.local_stack.stack import ROOT
from tests.programs.bucket import Bucket
from tests.programs.docs import ALL, PROGRAMS
from tests.programs.servers import Server
from tests.programs.template import OUTPUTS, PARAMETERS, TEMPLATE, properties
from tests.programs.test_doctor import Account
from tests.programs.test_redrive import Sqs

KEY, TASK = "the-key", "5c79c0ffeebe8e"
# What people put in place of `<…>`, besides the stack's outputs.
PLACEHOLDERS = {
    "taskId": TASK,
    "API key": KEY,
    "separation": "separation",
    "file": "callback.json",
    "directory": "man1",
    "name": "name",
    "this repository": "https://example.com/midihook",
    "owner": "owner",
    "repository": "midihook",
    "bucket": "bucket",
    "the bucket": "bucket",
    "old bucket": "old",
    "new bucket": "new",
    "queue ARN": "arn:aws:sqs:us-east-1:123456789012:queue",
    "object name": f"midi/{TASK}.mid",
    "object name of the false body": f"raw/{TASK}/b.json",
    "VersionId": "a-version",
    "UUID": "1234abcd-12ab-34cd-56ef-1234567890ab",
}
# What is cut short.
SHORT = {"https://….execute-api.us-east-1.amazonaws.com/callback": "$MIDIHOOK_CALLBACK_URL", "5c79…": TASK, "7d21…": "separation", "3f5c…": "stem", "…": "1"}
# What another test runs: the command, the file, and what stands there.
ELSEWHERE = [
    ("cargo test ", "Makefile", "cargo test --locked --workspace"),
    ("cargo doc ", "Makefile", "cargo doc --locked --workspace --no-deps"),
    ("make serve$", "tests/deployed/test_serve.py", '"tests.local_stack", "serve"'),
    ("make cost$", "tests/cost/test_cost.py", "differs from `make cost`"),
    (r"python -m pytest tests/(readers|programs|deployed|music|cost)", "Makefile", "python -m pytest tests --ignore tests/oracles"),
    ("sam deploy --guided$", "tests/deployed/test_release.py", '["sam", "deploy", "--guided"]'),
    ("sam deploy --tags ", "tests/deployed/test_account.py", "tags=["),
    ("aws s3api put-bucket-", "tests/deployed/test_account.py", 'commands("deploy.md", "s3api put-")'),
    ("aws sns subscribe ", "tests/deployed/test_account.py", 'commands("consume.md", "sns subscribe"'),
    ("aws sqs receive-message ", "tests/deployed/test_account.py", "sqs.receive_message(QueueUrl=account.outputs"),
    (r"aws sqs send-message .*WatchQueueUrl", "tests/deployed/test_watch.py", '"""The command in docs/consume.md."""'),
    ("aws events put-rule ", "tests/deployed/test_deployed.py", "put_rule("),
]
# Options that the AWS CLI has and the service has not.
CUSTOM = {
    "logs tail": {"since", "filter-pattern"},
    "s3 ls": set(),
    "s3 cp": set(),
    "s3 rm": {"recursive"},
    "s3 sync": set(),
    "cloudformation package": {"template-file", "s3-bucket", "output-template-file"},
    "cloudformation deploy": {"template-file", "stack-name", "s3-bucket", "capabilities", "parameter-overrides"},
}
# Options before other words that are not their values.
FLAGS = {"--recursive"}
SESSION = botocore.session.Session()


@functools.cache
def output(*command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, env=os.environ | {"SAM_CLI_TELEMETRY": "0"}).stdout


def options(words):
    """The options among words, with their values, and what belongs to none."""
    found, before, last = {}, [], None
    for word in words:
        if re.match(r"--?[a-zA-Z]", word):
            last, _, value = word.partition("=")
            found[last] = [value] if value else []
            last = last if last not in FLAGS else None
        else:
            (found[last] if last else before).append(word)
    return found, before


def sample(shape):
    """A value of a shape of botocore."""
    if shape.type_name == "structure":
        return {name: sample(member) for name, member in shape.members.items()}
    if shape.type_name in ("list", "map"):
        return [sample(shape.member)] if shape.type_name == "list" else {"key": sample(shape.value)}
    return shape.enum[-1] if getattr(shape, "enum", None) else {"boolean": True, "integer": 1, "long": 1, "blob": b"1"}.get(shape.type_name, "1")


def value(shape, words):
    """What the AWS CLI reads in the words after an option."""
    if words and words[0].startswith("file://"):
        return sample(shape)
    if shape.type_name == "list":
        return [value(shape.member, [word]) for word in words]
    [word] = words or ["true"]
    if shape.type_name in ("structure", "map"):
        pairs = dict(pair.split("=", 1) for pair in word.split(",")) if not word.startswith("{") else None
        members = shape.members if shape.type_name == "structure" else {name: shape.value for name in pairs or {}}
        return json.loads(word) if pairs is None else {name: value(members[name], [text]) for name, text in pairs.items()}
    assert word in (getattr(shape, "enum", None) or [word]), word
    read = {"boolean": {"true": True, "false": False}.get, "integer": int, "long": int, "double": float}
    return read.get(shape.type_name, str)(word)


class Programs:
    """The stand-ins, and what midihook asks. `calls` has what the stand-ins were called with; they answer in `answer`."""

    def __init__(self, names):
        self.calls, self.errors, self.names, self.provider = [], [], names, None
        self.server = Server(self.called)

    def called(self, handler):
        if handler.path == "/callback":
            return 200, {}, b"{}"
        program, *arguments = json.loads(handler.body)
        try:
            repeated = [program, *arguments] in self.calls
            self.calls.append([program, *arguments])
            answer = getattr(self, program, lambda *_: "")(*arguments)
        except Exception as error:
            self.errors.append(f"{shlex.join([program, *arguments])}: {error!r}")
            answer = ""
        # So that a loop ends.
        return 200, {}, ("" if repeated else answer or "").encode()

    def aws(self, service, operation, *words):
        found, before = options(words)
        found = {name.removeprefix("--"): words for name, words in found.items()}
        query = found.pop("query", [None])[0]
        assert found.pop("output", ["json"])[0] in ("text", "json")
        if (allowed := CUSTOM.get(f"{service} {operation}")) is not None:
            assert set(found) <= allowed, found
            assert len(before) == {"tail": 1, "ls": 1, "cp": 2, "rm": 1, "sync": 2}.get(operation, 0), before
            if operation == "tail":
                self.tailed(*before, *found.get("filter-pattern", [""]))
            return ""
        model = SESSION.get_service_model(SERVICES.get(service, service))
        [shape] = [model.operation_model(name) for name in model.operation_names if xform_name(name, "-") == operation]
        members = {xform_name(name, "-"): name for name in shape.input_shape.members}
        if operation == "list-object-versions":
            members["max-items"] = "MaxKeys"  # the CLI's own, for pages
        given = {}
        for option, said in found.items():
            name = members[OPTIONS.get(option, option)]
            given[name] = value(shape.input_shape.members[name], said)
        assert not before, before
        errors = botocore.validate.ParamValidator().validate(given, shape.input_shape)
        assert not errors.has_errors(), errors.generate_report()
        for parameter in given.get("Parameters", []):
            assert parameter["ParameterKey"] in PARAMETERS, parameter
        assert given.get("LogicalResourceId") in (None, *TEMPLATE["Resources"]), given
        if query:
            return self.queried(query, sample(shape.output_shape))

    def queried(self, query, answer):
        if stacks := answer.get("Stacks"):
            values = {name: name for name in OUTPUTS} | {"CommandLine": "export " + " ".join(f"{name}={text}" for name, text in self.names.items())}
            stacks[0]["Outputs"] = [{"OutputKey": name, "OutputValue": text} for name, text in values.items()]
            stacks[0]["Parameters"] = [{"ParameterKey": name, "ParameterValue": "1"} for name in PARAMETERS]
        found = jmespath.search(query, answer)
        assert found, f"{query} finds nothing"
        if isinstance(found, str):
            return found
        return "\t".join(found) if isinstance(found, list) and isinstance(found[0], str) else json.dumps(found)

    def tailed(self, group, pattern):
        assert "LOG" in group.upper(), group
        fields = set(re.findall(r"\$\.(\w+)", pattern))
        known = json.loads(properties("Stage")["AccessLogSettings"]["Format"]) if "ACCESS" in group.upper() else {"message", "level"}
        assert fields <= set(known), fields

    def sam(self, command, *words):
        names = [command, words[0]] if command == "local" else [command]
        found, before = options(words[len(names) - 1 :])
        known = re.findall(r"(?<![\w-])--?[a-z][\w-]*", output("sam", *names, "--help"))
        assert set(found) <= set(known), found
        assert set(before) <= set(TEMPLATE["Resources"]), before

    def cargo(self, command, *words):
        names = [command, words[0]] if command == "lambda" else [command]
        words = words[len(names) - 1 :]
        found, before = options(words[: words.index("--")] if "--" in words else words)
        known = re.findall(r"(?<![\w-])--?[a-z][\w-]*", output("cargo", *names, "--help"))
        assert set(found) <= set(known), found
        packages = {package["name"]: package for package in json.loads(output("cargo", "metadata", "--no-deps", "--offline", "--format-version=1"))["packages"]}
        package = packages[found.get("-p", ["midihook"])[0]]
        for kind in ("test", "example"):
            for name in found.get(f"--{kind}", [])[:1]:
                assert any(target["name"] == name and kind in target["kind"] for target in package["targets"]), name
        for path in [*found.get("--path", []), *found.get("--manifest-path", [])]:
            assert (ROOT / path / "Cargo.toml").exists() or (ROOT / path).is_file(), path

    def make(self, *words):
        makefile = (ROOT / "Makefile").read_text()
        if words == ("help",):
            assert "make build" in output("make", "help")
        for word in words:
            name, is_variable, _ = word.partition("=")
            assert re.search(rf"\b{name}\b" if is_variable else rf"^{name}:", makefile, re.MULTILINE), word

    def python(self, flag, module, *words):
        assert flag == "-m" and (module == "pytest" or importlib.util.find_spec(module)), module
        for word in words if module == "pytest" else []:
            assert (ROOT / word).exists(), word

    def curl(self, *words):
        url = words[-1]
        if not url.startswith(PARAMETERS["ProviderApiUrl"]["Default"]):
            return (ROOT / "events" / "record-info.json").read_text()
        header = words[words.index("-sSH") + 1].split(": ")
        request = urllib.request.Request(url.replace(PARAMETERS["ProviderApiUrl"]["Default"], self.provider.url), headers=dict([header]))
        return urllib.request.urlopen(request).read().decode()


STAND_IN = """#!{python} -S
import http.client, json, os, sys
connection = http.client.HTTPConnection("{address}")
connection.request("POST", "/", json.dumps([os.path.basename(sys.argv[0]), *sys.argv[1:]]))
sys.stdout.buffer.write(connection.getresponse().read())
"""
# The services of these commands are those of their tests.
MIDIHOOK = """#!/bin/sh
case $1 in doctor) AWS_ENDPOINT_URL={doctor} exec env -u MIDIHOOK_BUCKET {program} "$@";; redrive) export AWS_ENDPOINT_URL={redrive};; esac
exec {program} "$@"
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder that each command begins with."""
    folder = tmp_path_factory.mktemp("docs")
    shutil.copytree(ROOT / "events", folder / "events")
    shutil.copy(ROOT / "events" / "callback-success.json", folder / "callback.json")
    (folder / "tasks.txt").write_text(f"{TASK}\n")
    for name in (".aws-sam/shell.env", "parameters.json"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("")
    return folder


@pytest.fixture(scope="module")
def environment(folder, midihook):
    """Everything that the commands ask. Gives their environment, and the stand-ins."""
    bucket, doctor, sqs = Bucket(), Account(), Sqs(random.Random(1), [])
    bucket.song(TASK)
    programs = Programs({})
    names = re.findall(r"(MIDIHOOK_\w+)=", json.dumps(OUTPUTS["CommandLine"]["Value"]))
    programs.names |= {name: f"{bucket.url}/0/{name.lower()}" if name.endswith("QUEUE_URL") else name.lower() for name in names}
    programs.names |= {"MIDIHOOK_BUCKET": "bucket", "MIDIHOOK_CALLBACK_URL": f"http://{programs.server.address}/callback"}
    redrive = sqs.environment["AWS_ENDPOINT_URL"]
    programs.names |= {"MIDIHOOK_DEAD_LETTER_QUEUE_URL": f"{redrive}/0/dead"}
    (folder / "bin").mkdir()
    stand_in = STAND_IN.format(python=sys.executable, address=programs.server.address)
    real = MIDIHOOK.format(doctor=doctor.environment["AWS_ENDPOINT_URL"], redrive=redrive, program=midihook.program)
    for name in {program.rpartition("/")[2] for program in PROGRAMS} - {"sign.py"}:
        (folder / "bin" / name).write_text(real if name == "midihook" else stand_in)
        (folder / "bin" / name).chmod(0o755)
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(folder / "bin")
    with Provider(KEY) as provider:
        provider.generate = lambda _: {"code": 200, "msg": "success", "data": {"taskId": TASK}}
        provider.script(TASK, json.loads((ROOT / "events" / "record-info.json").read_text()))
        programs.provider = provider
        keys = {"MIDIHOOK_STACK": "midihook", "PROVIDER_API_KEY": KEY, "PROVIDER_API_URL": provider.url, "MIDIHOOK_KEY": KEY, "KEY": KEY}
        yield bucket.environment | programs.names | keys | {"PATH": f"{folder}/bin:{os.environ['PATH']}"}, programs
    bucket.close()
    for server in (programs.server, doctor.server, sqs.server):
        server.shutdown()
        assert server.errors == []


def filled(text):
    """A text of the docs as somebody pastes it."""
    for short, long in SHORT.items():
        text = text.replace(short, long)
    named = {name: name for name in OUTPUTS} | PLACEHOLDERS
    return re.sub(r"<([^<>\n]+)>", lambda match: named[match[1]], text)


# A folder that is not there, a long sequence and a long wait have no part in what is tested.
PRELUDE = "set -eu\ncd() { :; }\nseq() { echo 1; }\nsleep() { :; }\n"


@pytest.fixture(scope="module")
def paste(environment, folder, tmp_path_factory):
    """Runs commands of the docs. Returns the outcome, what the stand-ins were called with, and what was wrong with it."""
    variables, programs = environment

    @functools.cache
    def run(text):
        programs.calls, programs.errors = [], []
        copy = tmp_path_factory.mktemp("pasted") / "folder"
        shutil.copytree(folder, copy, symlinks=True)
        words = ["bash", "-c", PRELUDE + text]
        done = subprocess.run(words, cwd=copy, env=variables, input=f"{KEY}\n{KEY}\n", capture_output=True, text=True, timeout=60)
        return done, [shlex.join(call) for call in programs.calls], programs.errors

    return run


@functools.cache
def by_hand():
    """How the commands begin that people run, as CONTRIBUTING.md says."""
    sentence = re.search(r"^No test runs these.*?\.\s", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL)[0]
    return [" ".join(name.split()) for name in re.findall(r"`([^`]+)`", sentence)]


@functools.cache
def elsewhere():
    """How the commands look that another test or the CI runs."""
    for pattern, file, text in ELSEWHERE:
        assert text in (ROOT / file).read_text(), f"{file} no longer has what runs {pattern}"
    ci = (ROOT / ".ci/run").read_text() + (ROOT / ".github/workflows/ci.yml").read_text()
    targets = set(re.findall(r"^(?:      - run: )?(make \w+)", ci, re.MULTILINE))
    prerequisites = re.search(r"^test: (.*?) ##", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    return [*(rf"{make}( |$)" for make in targets | {f"make {name}" for name in prerequisites}), *(pattern for pattern, _, _ in ELSEWHERE)]


def unmarked(commands, calls):
    """The calls that no test makes and nothing marks."""
    known = [*elsewhere(), *(rf"{re.escape(command)}( |$)" for command in by_hand()), "curl ", "make help$"]
    return [call for call in calls if not any(re.match(pattern, call) for pattern in known) and not commands.is_marked(call.split()[0])]


@pytest.mark.parametrize("commands", ALL, ids=str)
def test_a_command_of_the_docs_runs(paste, commands):
    is_ours = commands.is_name and commands.text.startswith("midihook")
    done, calls, errors = paste(filled(commands.text) + (" --help" if is_ours else ""))
    assert not errors, "\n".join(errors)
    assert done.returncode == 0, done.stderr
    if not commands.is_name:
        assert unmarked(commands, calls) == [], "no test runs it: mark it, as CONTRIBUTING.md says"


def test_what_no_test_runs_is_in_the_docs():
    texts = [filled(commands.text) for commands in ALL]
    for command in by_hand():
        having = [text for text in texts if re.search(rf"{re.escape(command)}( |$)", text, re.MULTILINE)]
        # One of more than one word is a command in that list itself.
        assert len(having) > (" " in command), f"CONTRIBUTING.md lists {command}, and no page has it"
