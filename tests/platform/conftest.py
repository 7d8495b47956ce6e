"""The functions as AWS runs them: their release builds in AWS's emulator of Lambda, over the embedded database."""

import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import platform
import re
import signal
import socket
import subprocess
import time

import pytest
import requests
import samcli

ROOT = pathlib.Path(__file__).parents[2]
# Every named request of tests/cases, written by `cargo run --example events -- target/events`.
EVENTS = ROOT / "target/events"
# Those that are invoked by hand, and the events of the stream and the schedule.
BY_HAND = ROOT / "events"
LOCAL = ROOT / "target/debug/examples/local"
TOOL = ROOT / "target/debug/deregisterctl"
FUNCTION, CASCADE, SWEEP = "deregister", "deregister-cascade", "deregister-sweep"

# The emulator that the AWS SAM CLI puts into its containers.
PROCESSOR = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
EMULATOR = pathlib.Path(samcli.__file__).parent / f"local/rapid/aws-lambda-rie-{PROCESSOR}"

SIGNATURE = (
    "AWS4-HMAC-SHA256 Credential=local/20270115/eu-central-1/dynamodb/aws4_request, "
    "SignedHeaders=host, Signature=none"
)


class Database:
    """The local run with the sample data, or as the options say. A refilled database keeps its port."""

    def __init__(self, *options):
        self.options = options
        self.port = 0
        self.fill()

    def fill(self):
        command = [LOCAL, "--port", "0", "--database-port", str(self.port), *self.options]
        self.run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.port = self.printed("database")
        self.http_port = self.printed("listening")

    def printed(self, word):
        ready = (re.match(rf"{word} on http://127\.0\.0\.1:(\d+)", line) for line in self.run.stdout)
        return next(int(found[1]) for found in ready if found)

    def stop(self):
        self.run.terminate()
        self.run.communicate()

    def refill(self):
        self.stop()
        self.fill()

    @contextlib.contextmanager
    def stalled(self):
        """The database accepts requests and answers none."""
        self.run.send_signal(signal.SIGSTOP)
        # It may still answer until it has stopped.
        os.waitid(os.P_PID, self.run.pid, os.WSTOPPED)
        try:
            yield
        finally:
            self.run.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def gone(self):
        """The database is stopped. It is refilled afterwards."""
        self.stop()
        try:
            yield
        finally:
            self.fill()

    def call(self, operation, **request):
        """Calls DynamoDB in its own JSON, so that items have the form that they have in events."""
        headers = {"x-amz-target": f"DynamoDB_20120810.{operation}", "content-type": "application/x-amz-json-1.0"}
        # The database requires a signature and does not verify it.
        headers |= {"x-amz-date": "20270115T080000Z", "authorization": SIGNATURE}
        response = requests.post(f"http://127.0.0.1:{self.port}", json.dumps(request), headers=headers, timeout=30)
        response.raise_for_status()
        return response.json()


@pytest.fixture(scope="module")
def database():
    database = Database()
    yield database
    database.stop()


@pytest.fixture(scope="module")
def address(database):
    """The options with the address of `cargo lambda watch`."""
    port = free_port()
    address = ["--invoke-address", "127.0.0.1", "--invoke-port", str(port)]
    command = ["cargo", "lambda", "watch", "--offline", "--ignore-changes", "--features", "background", *address]
    # A session of its own, so that its child processes end with it.
    run = subprocess.Popen(command, cwd=ROOT, env=os.environ | aws(database.port), start_new_session=True)
    try:
        wait_for(port)
        yield address
    finally:
        os.killpg(run.pid, signal.SIGTERM)
        run.wait()


@dataclasses.dataclass
class Invocation:
    request_id: str
    answer: dict
    log: list[dict]


class Function:
    """A function in the emulator. The emulator starts it with the first invocation."""

    def __init__(self, run, port):
        self.run = run
        self.url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"

    def post(self, event):
        """Invokes the function with an event, or with the file of one."""
        data = json.dumps(event) if isinstance(event, dict) else (EVENTS / event).read_bytes()
        return requests.post(self.url, data=data, timeout=30)

    def invoke(self, event):
        response = self.post(event)
        response.raise_for_status()
        # The emulator writes START before the lines of the function, END and REPORT after them.
        start, *log, _ = itertools.takewhile(lambda line: not line.startswith("REPORT "), self.run.stdout)
        return Invocation(start.split()[2], response.json(), [json.loads(line) for line in log])

    def start_error(self):
        """The message of a function that does not start."""
        assert self.post("configuration-deleted.2.0.json").status_code == 502
        [line] = [json.loads(line) for line in self.stop().splitlines() if not line.startswith("START ")]
        assert line["level"] == "ERROR"
        return line["message"]

    def kill(self):
        """Kills the function's process. The emulator starts another with the next invocation."""
        tasks = pathlib.Path(f"/proc/{self.run.pid}/task").iterdir()
        for child in itertools.chain(*((task / "children").read_text().split() for task in tasks)):
            os.kill(int(child), signal.SIGKILL)

    def stop(self):
        """Stops the function, and returns its output that was not read yet."""
        self.run.terminate()
        unread = self.run.stdout.read()
        self.run.wait()
        return unread


def bootstrap(name):
    """The release build of the function with this name."""
    return ROOT / f"target/lambda/{name}/bootstrap"


@contextlib.contextmanager
def emulated(database_port, name=FUNCTION, **variables):
    """The function with this name, with Lambda's environment and these variables."""
    variables |= aws(database_port) | {"AWS_LAMBDA_FUNCTION_NAME": name}
    with emulated_in(variables, name) as function:
        yield function


@contextlib.contextmanager
def emulated_in(environment, name):
    """The function with this name, with this environment and no other."""
    port = free_port()
    listen = ["--runtime-interface-emulator-address", f"127.0.0.1:{port}"]
    listen += ["--runtime-api-address", f"127.0.0.1:{free_port()}"]
    run = subprocess.Popen([EMULATOR, *listen, bootstrap(name)], env=environment, stdout=subprocess.PIPE, text=True)
    function = Function(run, port)
    try:
        wait_for(port)
        yield function
    finally:
        function.stop()


def aws(database_port):
    """The variables that name the database."""
    return {
        "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{database_port}",
        "AWS_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
    }


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_for(port):
    """Waits until a server listens on the port."""
    for _ in range(1000):
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port)).close()
        time.sleep(0.05)
    raise TimeoutError(f"no server listens on port {port}")
