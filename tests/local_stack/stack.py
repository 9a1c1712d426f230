"""A local AWS stack: MiniStack on the loopback interface, with TLS and with IAM enforced. `sam deploy` deploys the same
template.yaml to it that goes to AWS."""

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time

import boto3
import requests
import trustme

ROOT = pathlib.Path(__file__).resolve().parents[2]
REGION = "us-east-1"
STACK_NAME = "midihook"
# The built functions: those that `cargo build` makes anyway, or with FUNCTIONS=lambda those that are deployed.
BUILT = ROOT / "target" / os.environ.get("FUNCTIONS", "local")
# The pusher is there only with PushUrl.
FUNCTIONS = ("Receiver", "Renderer", "Reconciler", "Pusher")


class StackError(Exception):
    """The stack did not start; the text says why."""


def wait_for(what, condition, seconds=60, every=0.1):
    """Calls condition() until its value is true, and returns the value. If it takes too long, the error names `what`."""
    deadline = time.monotonic() + seconds
    while True:
        if value := condition():
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(every)


@contextlib.contextmanager
def repeated(action, pause=0):
    """Calls action() again and again in a thread of its own, within a `with` block."""
    over = threading.Event()

    def repeat():
        while not over.wait(pause):
            action()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def sign(signing_key, task_id, timestamp):
    """The provider's signature. A second implementation, so that it checks the product's."""
    mac = hmac.new(signing_key.encode(), f"{task_id}.{timestamp}".encode(), hashlib.sha256)
    return base64.b64encode(mac.digest()).decode()


def usual_certificates():
    """The certificates that this computer trusts, in PEM."""
    return pathlib.Path(ssl.get_default_verify_paths().cafile or requests.certs.where()).read_bytes()


class LocalStack:
    """`with LocalStack(signing_key) as stack:` starts MiniStack and deploys the template, or another one, with more
    parameters if any are given. `prepare` makes what the account must have before that, and returns the parameters that
    name it. At the end the stack is stopped and deleted."""

    def __init__(self, signing_key, say=lambda line: None, prepare=lambda stack: {}, tags=(), template=None, **parameters):
        self.signing_key = signing_key
        self.say = say
        self.prepare = prepare
        self.tags = tags
        self.template = template
        self.parameters = parameters
        self.outputs = {}
        self.clients = {}

    def __enter__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="midihook-"))
        try:
            self._start()
            self.say("Deploying template.yaml with sam deploy")
            self.deploy(self.template, **self.parameters, **self.prepare(self))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if process := getattr(self, "process", None):
            # The functions are MiniStack's children, in the same process group. We send SIGKILL because after SIGTERM
            # MiniStack takes 30 s to stop, and it has nothing to save.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self):
        self.say("Starting the local AWS stack (loopback only, IAM enforced, TLS)")
        ca = trustme.CA()
        server = ca.issue_cert("localhost", "127.0.0.1")
        files = {name: self.directory / f"{name}.pem" for name in ("ca", "cert", "key")}
        # SSL_CERT_FILE replaces what a program trusts. The functions and the command line also call the real provider.
        files["ca"].write_bytes(ca.cert_pem.bytes() + usual_certificates())
        server.cert_chain_pems[0].write_to_path(files["cert"])
        server.private_key_pem.write_to_path(files["key"])
        self.ca = str(files["ca"])
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.endpoint = f"https://127.0.0.1:{self.port}"

        # The caller's own settings and keys must not reach the stack, and no request may reach the caller's account.
        private = ("AWS_", "MIDIHOOK_", "PROVIDER_")
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith(private)} | {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_CA_BUNDLE": self.ca,
            "SAM_CLI_TELEMETRY": "0",
            # sam and MiniStack leave temporary files behind.
            "TMPDIR": str(self.directory),
        }
        ministack = self.environment | {
            "AUTH": "true",
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(self.port),
            "IOT_MTLS_ENABLED": "0",
            "CLOUDTRAIL_RECORDING": "1",
            "CLOUDTRAIL_MAX_EVENTS": "100000",
            # Without TLS, the bucket's policy would refuse the functions. They inherit the CA.
            "USE_SSL": "1",
            "MINISTACK_SSL_CERT": str(files["cert"]),
            "MINISTACK_SSL_KEY": str(files["key"]),
            "SSL_CERT_FILE": self.ca,
        }
        self.log = self.directory / "ministack.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["ministack"], env=ministack, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        wait_for("MiniStack to answer", self._is_up)

    def _is_up(self):
        if self.process.poll() is not None:
            raise StackError(f"MiniStack stopped while it started:\n{self.log.read_text()[-2000:]}")
        try:
            return requests.get(f"{self.endpoint}/_ministack/health", verify=self.ca, timeout=2).ok
        except requests.RequestException:
            return False

    def deploy(self, template=None, **parameters):
        """Deploys the template, or another one, with more parameters if any are given. A parameter that is not given keeps
        its value."""
        # In a file of ours, because everybody on this computer may read a command line. JSON is YAML.
        file = self.directory / "parameters.yaml"
        file.write_text(json.dumps({"WebhookHmacKey": self.signing_key} | parameters))
        command = ["sam", "deploy", "--config-env", "local", "--parameter-overrides", f"file://{file}"]
        command += ["--config-file", ROOT / "samconfig.toml", "--template-file", template or self._template()]
        if self.tags:
            command += ["--tags", *self.tags]
        try:
            done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True)
        finally:
            file.unlink()
        if done.returncode:
            raise StackError(f"sam deploy failed:\n{done.stdout[-4000:]}{done.stderr[-2000:]}")
        self.look()

    def change(self, **parameters):
        """Changes parameters of the deployed stack. Unlike `deploy`, it takes a moment: nothing is packaged."""
        cloudformation = self.client("cloudformation")
        known = cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"][0]["Parameters"]
        given = {"WebhookHmacKey": self.signing_key} | {name: str(value) for name, value in parameters.items()}
        kept = [{"ParameterKey": it["ParameterKey"], "UsePreviousValue": True} for it in known if it["ParameterKey"] not in given]
        changed = [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()]
        cloudformation.update_stack(
            StackName=STACK_NAME,
            UsePreviousTemplate=True,
            Parameters=kept + changed,
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
        )
        cloudformation.get_waiter("stack_update_complete").wait(StackName=STACK_NAME, WaiterConfig={"Delay": 1})
        self.look()

    def _template(self):
        """template.yaml with the functions of this run."""
        text = (ROOT / "template.yaml").read_text()
        # The local functions are large, and zipped by make: to zip them for each deployment takes longer than the rest.
        text = re.sub(r"CodeUri: target/lambda/(\w+)", rf"CodeUri: {BUILT}/\1{'.zip' if BUILT.name == 'local' else ''}", text)
        text = text.replace("Url: LICENSE", f"Url: {ROOT}/LICENSE").replace("Url: README.md", f"Url: {ROOT}/README.md")
        file = self.directory / "template.yaml"
        file.write_text(text)
        return file

    def look(self):
        """Finds out what a deployment has made."""
        # MiniStack takes a number that comes from a parameter for text, and its poller then stops.
        client = self.client("lambda")
        for mapping in client.list_event_source_mappings()["EventSourceMappings"]:
            if "ScalingConfig" in mapping:
                scaling = {"MaximumConcurrency": int(mapping["ScalingConfig"]["MaximumConcurrency"])}
                client.update_event_source_mapping(UUID=mapping["UUID"], ScalingConfig=scaling)
        described = self.client("cloudformation").describe_stacks(StackName=STACK_NAME)["Stacks"][0]
        self.outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
        # The host name in the output resolves only on systems that resolve *.localhost, or is a domain of the user.
        self.callback_url = f"{self.endpoint}/_aws/execute-api/{self.resource('Api')}/$default/callback"
        self.bucket = self.outputs["BucketName"]

    def resource(self, name):
        """The physical id of a resource of the template."""
        described = self.client("cloudformation").describe_stack_resource(StackName=STACK_NAME, LogicalResourceId=name)
        return described["StackResourceDetail"]["PhysicalResourceId"]

    def processes(self):
        """The ids of the running functions' processes."""
        found = []
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                name, _, rest = stat.read_text().rpartition(")")
            except OSError:
                continue
            state, _, group = rest.split()[:3]
            if int(group) == self.process.pid and name.endswith("(bootstrap") and state != "Z":
                found.append(int(stat.parent.name))
        return found

    def queued(self, queue="RenderQueueUrl"):
        """The number of messages in a queue, including those that were received and not yet deleted."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.client("sqs").get_queue_attributes(QueueUrl=self.outputs[queue], AttributeNames=names)["Attributes"]
        return sum(int(attributes[name]) for name in names)

    @contextlib.contextmanager
    def changed_queue(self, queue, attribute, seconds):
        """Changes an attribute of a queue within a `with` block; gives the usual value."""
        sqs, url = self.client("sqs"), self.outputs[queue]
        usual = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[attribute])["Attributes"]
        sqs.set_queue_attributes(QueueUrl=url, Attributes={attribute: str(seconds)})
        try:
            yield int(usual[attribute])
        finally:
            sqs.set_queue_attributes(QueueUrl=url, Attributes=usual)

    def visibility_timeout(self, seconds, queue="RenderQueueUrl"):
        """Changes a queue's visibility timeout within a `with` block; gives the usual one."""
        return self.changed_queue(queue, "VisibilityTimeout", seconds)

    def command_line(self):
        """An environment in which the command line uses this stack."""
        return self.environment | self._variables()

    def shell(self, more):
        """Lines that do the same in a person's shell, with more variables."""
        # The person may have set these for another account.
        lines = ["unset AWS_PROFILE AWS_SESSION_TOKEN"]
        lines += [f"export {name}={shlex.quote(value)}" for name, value in (self._variables() | more).items()]
        return "".join(f"{line}\n" for line in lines)

    def _variables(self):
        pairs = (word.split("=", 1) for word in self.outputs["CommandLine"].removeprefix("export ").split())
        ours = {name: value for name, value in self.environment.items() if name.startswith("AWS_")}
        return ours | dict(pairs) | {"SSL_CERT_FILE": self.ca}

    def client(self, service):
        """A boto3 client with the rights of the account's root user."""
        if service not in self.clients:  # making one takes a tenth of a second
            session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
            self.clients[service] = session.client(service, endpoint_url=self.endpoint, verify=self.ca)
        return self.clients[service]

    @contextlib.contextmanager
    def user(self, name):
        """A user of the account within a `with` block: the variables with the keys, and a function that takes a policy of
        the user, perhaps one of several by their names."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        key = iam.create_access_key(UserName=name)["AccessKey"]

        def allow(document, policy="p"):
            iam.put_user_policy(UserName=name, PolicyName=policy, PolicyDocument=json.dumps(document))

        try:
            yield {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}, allow
        finally:
            for policy in iam.list_user_policies(UserName=name)["PolicyNames"]:
                iam.delete_user_policy(UserName=name, PolicyName=policy)
            iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
            iam.delete_user(UserName=name)

    def post(self, body, task_id, signing_key=None, timestamp=None, headers=None):
        """Posts a body as the provider does. `headers` replaces the usual headers; the value None removes one."""
        timestamp = str(int(time.time())) if timestamp is None else timestamp
        usual = {
            "content-type": "application/json",
            "x-webhook-timestamp": timestamp,
            "x-webhook-signature": sign(self.signing_key if signing_key is None else signing_key, task_id, timestamp),
        }
        return requests.post(self.callback_url, data=body, headers=usual | (headers or {}), verify=self.ca, timeout=20)

    def object_names(self, prefix=""):
        """The names of all objects in the bucket, or of those under a prefix."""
        pages = self.client("s3").get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def read(self, name):
        """An object's bytes."""
        return self.client("s3").get_object(Bucket=self.bucket, Key=name)["Body"].read()

    def result(self, task_id, seconds=60):
        """Waits for a task's result document and returns it."""
        name = f"midi/{task_id}.json"
        wait_for(name, lambda: name in self.object_names(name), seconds)
        return json.loads(self.read(name))

    def functions(self):
        """The functions that the stack has."""
        return [function for function in FUNCTIONS if f"{function}FunctionName" in self.outputs]

    def function_environment(self):
        """The functions' environment variables as NAME=value lines, for `cargo lambda watch --env-file`."""
        names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"]
        ours = {name: self.environment[name] for name in names} | {"AWS_REGION": REGION, "SSL_CERT_FILE": self.ca}
        for function in self.functions():
            name = self.outputs[f"{function}FunctionName"]
            ours |= self.client("lambda").get_function_configuration(FunctionName=name)["Environment"]["Variables"]
        return "".join(f"{name}={value}\n" for name, value in ours.items())

    def logs(self):
        """All lines that the functions have logged."""
        logs = self.client("logs")
        groups = [self.outputs[f"{function}LogGroup"] for function in self.functions()]
        pages = [page for group in groups for page in logs.get_paginator("filter_log_events").paginate(logGroupName=group)]
        return [event["message"] for page in pages for event in page["events"]]

    def front(self, port=0):
        """Starts a proxy from http://127.0.0.1:<port>/callback to the stack's own https URL. It runs until shutdown()."""
        stack = self

        class Front(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                if self.path.split("?")[0] != "/callback":
                    return self.send_error(404)
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                passed = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
                answer = requests.post(stack.callback_url, data=body, headers=passed, verify=stack.ca, timeout=20)
                self.send_response(answer.status_code)
                self.send_header("content-type", answer.headers.get("content-type", "text/plain"))
                self.send_header("content-length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Front)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server
