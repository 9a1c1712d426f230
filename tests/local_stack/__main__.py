"""`make run` and `make serve`: `python -m tests.local_stack run` or `serve`."""

import json
import os
import pathlib
import secrets
import sys
import time

from tests.local_stack.follow import SongFollower, copy
from tests.local_stack.stack import ROOT, LocalStack, StackError

SAMPLE = ROOT / "events" / "callback-success.json"
OUT = pathlib.Path("out")
ENVIRONMENT = ROOT / ".aws-sam" / "local.env"


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
    signing_key = os.environ.get("MIDIHOOK_KEY") or secrets.token_urlsafe(24)
    with LocalStack(signing_key, say) as stack, SongFollower(stack, OUT) as songs:
        port = stack.front(int(os.environ.get("PORT", 0))).server_address[1]
        print(f"\n    callback URL  http://127.0.0.1:{port}/callback")
        print(f"    signing key   {'(from MIDIHOOK_KEY)' if os.environ.get('MIDIHOOK_KEY') else signing_key}")
        ENVIRONMENT.write_text(stack.function_environment())
        print(f"    environment   {ENVIRONMENT.relative_to(ROOT)}, for cargo lambda watch --env-file")
        print("\nPoint a tunnel at the callback URL. New songs are copied to out/. Ctrl-C stops and deletes the stack.\n", flush=True)
        try:
            while True:
                for path in songs.copy_next():
                    print(path, flush=True)
        except KeyboardInterrupt:
            say("Stopping the stack")
        finally:
            ENVIRONMENT.unlink()


if __name__ == "__main__":
    try:
        {"run": run, "serve": serve}[sys.argv[1]]()
    except (StackError, TimeoutError) as error:
        sys.exit(f"midihook: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
