"""`make run` and `make serve`: `python -m tests.local_stack run` or `serve`."""

import json
import os
import pathlib
import secrets
import signal
import sys
import time

from tests.local_stack.follow import SongFollower, copy
from tests.local_stack.stack import ROOT, LocalStack, StackError

SAMPLE = ROOT / "events" / "callback-success.json"
OUT = pathlib.Path("out")
# What a shell and the functions need to use the stack, for as long as it is there.
SHELL, FUNCTIONS = (ROOT / ".aws-sam" / name for name in ("shell.env", "local.env"))

POLLING = """The stack asks the provider for songs. In a second terminal that has PROVIDER_API_KEY too:

    . {shell} && midihook submit --task-id <separation>

submit names a callback URL that only this computer can reach. The provider's calls to it fail, and the stack asks for the
song instead. With a tunnel to the callback URL above, add --callback-url https://<tunnel>/callback.
"""
TUNNEL = """Point a tunnel at the callback URL. Or set PROVIDER_API_KEY first: then the stack asks for songs, and needs no tunnel.
For midihook in a second terminal: . {shell}
"""


def say(line):
    print(f"==> {line}", flush=True)


def summary(document):
    """A result document as text for people."""
    lines = [f"task {document['taskId']}: {document['state']}"]
    if failure := document.get("failure"):
        lines.append(f"  the provider says: {failure.get('code', '')} {failure['message']}")
    if song := document.get("song"):
        lines.append(f"  {song['notes']} notes, {song['seconds']:.1f} s, {song['tempo']['bpm']:g} BPM")
        lines += [
            f"  {instrument['name']:<26} {instrument['notes']:>5} notes  channel {instrument['channel']:>2}"
            for instrument in song["instruments"]
        ]
    return "\n".join(lines + [f"  note: {warning}" for warning in document["warnings"]])


def run():
    began = time.monotonic()
    body = SAMPLE.read_bytes()
    task_id = json.loads(body)["data"]["taskId"]
    with LocalStack(secrets.token_urlsafe(24), say) as stack:
        print(f"    callback URL  {stack.outputs['CallbackUrl']}")
        print(f"    bucket        {stack.bucket}")
        say(f"Sending {SAMPLE.relative_to(ROOT)}, signed")
        answer = stack.post(body, task_id)
        print(f"    {answer.status_code} {answer.text}")
        if answer.status_code != 200:
            raise StackError(f"the callback was refused. The functions logged:\n{''.join(stack.logs())}")
        say("Waiting for the song")
        document = stack.result(task_id)
        OUT.mkdir(exist_ok=True)
        paths = [copy(stack, name, OUT) for name in stack.object_names(f"midi/{task_id}.")]
        say("Stopping the stack")
    print(f"\n{summary(document)}\n")
    for path in paths:
        print(f"  {path}  ({path.stat().st_size:,} bytes)")
    print(f"\nDone in {time.monotonic() - began:.0f} s.")


def serve():
    signing_key, api_key, api_url = (os.environ.get(name) for name in ("MIDIHOOK_KEY", "PROVIDER_API_KEY", "PROVIDER_API_URL"))
    provider = {name: value for name, value in {"ProviderApiKey": api_key, "ProviderApiUrl": api_url}.items() if value}
    with LocalStack(signing_key or secrets.token_urlsafe(24), say, **provider) as stack, SongFollower(stack, OUT) as songs:
        port = stack.front(int(os.environ.get("PORT", 0))).server_address[1]
        FUNCTIONS.parent.mkdir(exist_ok=True)
        FUNCTIONS.write_text(stack.function_environment())
        # Without the API key: whoever submits a task has it already.
        SHELL.write_text(stack.shell({"PROVIDER_API_URL": api_url} if api_url else {}))
        print(f"\n    callback URL  http://127.0.0.1:{port}/callback")
        print(f"    signing key   {'(from MIDIHOOK_KEY)' if signing_key else stack.signing_key}")
        print(f"    functions     {FUNCTIONS.relative_to(ROOT)}, for cargo lambda watch --env-file")
        print(f"\n{(POLLING if api_key else TUNNEL).format(shell=SHELL.relative_to(ROOT))}")
        print(f"New songs are copied to {OUT}/. Ctrl-C stops and deletes the stack.\n", flush=True)
        try:
            while True:
                for path in songs.copy_next():
                    print(path, flush=True)
        except KeyboardInterrupt:
            say("Stopping the stack")
        finally:
            SHELL.unlink()
            FUNCTIONS.unlink()


if __name__ == "__main__":
    # A shell starts commands in the background with SIGINT ignored; and SIGTERM alone would leave MiniStack behind.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        {"run": run, "serve": serve}[sys.argv[1]]()
    except (StackError, TimeoutError) as error:
        sys.exit(f"midihook: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
