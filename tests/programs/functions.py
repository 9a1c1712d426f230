"""Runs the built functions as Lambda does: with a runtime API to ask for events, and settings in the environment."""

import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time

from tests.local_stack.stack import BUILT, wait_for
from tests.programs.servers import Server
from tests.programs.template import properties

FOREVER = 3600.0


def bootstrap(function):
    """The path of a built function, such as "ReceiverFunction"."""
    return BUILT / function.removesuffix("Function").lower() / "bootstrap"


@contextlib.contextmanager
def running(function, runtime_api, settings, command=None):
    """Runs a function, or another command in its place; gives its process. At the end it is killed and its `log` holds what
    it wrote."""
    environment = {
        "PATH": os.environ["PATH"],
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
        "AWS_LAMBDA_FUNCTION_NAME": function,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    # A file, because a pipe that nobody reads stops a function that logs much.
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command or [bootstrap(function)], env=environment | settings, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            log.seek(0)
            process.log = log.read()


def settings(function, known):
    """The variables that template.yaml sets for a function: those that are known, and usual values for the others."""
    names = properties(function)["Environment"]["Variables"]
    usual = {name: "https://example.com/" for name in names} | {
        "TOLERANCE_SECONDS": "300",
        "RENDER_OPTIONS": "{}",
        "CALLBACK_TRUST": "body",
    }
    return {name: (usual | known)[name] for name in names}


def settings_error(function, **changed):
    """Starts a function with the variables that template.yaml sets, some of them changed.

    Returns its error, or None if it starts."""
    variables = settings(function, changed)
    assert changed.items() <= variables.items()
    asked = threading.Event()

    def runtime(_):
        asked.set()
        time.sleep(FOREVER)

    server = Server(runtime)
    with running(function, server.address, variables) as process:
        wait_for("the function to start or stop", lambda: asked.is_set() or process.poll() is not None, seconds=10, every=0.01)
    server.shutdown()
    if asked.is_set():
        return None
    line = json.loads(process.log.splitlines()[0])
    assert (line["level"], line["message"]) == ("ERROR", "cannot start")
    return line["error"]
