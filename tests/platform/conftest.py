"""The functions' release builds in AWS's Runtime Interface Emulator, over the embedded database."""

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
# The named requests of tests/cases, written by `cargo run --example events -- target/events`.
EVENTS = ROOT / "target/events"
# The events for an invocation by hand, and those of the stream and the schedule.
BY_HAND = ROOT / "events"
LOCAL = ROOT / "target/debug/examples/local"
FUNCTION, CASCADE, SWEEP = "deregister", "deregister-cascade", "deregister-sweep"

# The emulator that the AWS SAM CLI puts into its containers.
PROCESSOR = {"x86_64": "x86_64", "aarch64": "arm64"}[platform.machine()]
EMULATOR = pathlib.Path(samcli.__file__).parent / f"local/rapid/aws-lambda-rie-{PROCESSOR}"

SIGNATURE = (
    "AWS4-HMAC-SHA256 Credential=local/20270115/eu-central-1/dynamodb/aws4_request, "
    "SignedHeaders=host, Signature=none"
)


class Database:
    """The embedded database. It has the sample data, unless the options say otherwise. A refill keeps its port."""

    def __init__(self, *options):
        self.options = options
        self.port = 0
        self.fill()

    def fill(self):
        command = [LOCAL, "--port", "0", "--database-port", str(self.port), *self.options]
        self.run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        ready = (re.match(r"database on http://127\.0\.0\.1:(\d+)", line) for line in self.run.stdout)
        self.port = next(int(found[1]) for found in ready if found)

    def stop(self):
        self.run.terminate()
        self.run.communicate()

    def refill(self):
        self.stop()
        self.fill()

    @contextlib.contextmanager
    def stalled(self):
        """It accepts requests and answers none."""
        self.run.send_signal(signal.SIGSTOP)
        # It may answer until it has stopped.
        os.waitid(os.P_PID, self.run.pid, os.WSTOPPED)
        try:
            yield
        finally:
            self.run.send_signal(signal.SIGCONT)

    @contextlib.contextmanager
    def gone(self):
        """It refuses connections. Afterwards it runs again, with the data of its start."""
        self.stop()
        try:
            yield
        finally:
            self.fill()

    def call(self, operation, **request):
        """A call in DynamoDB's own JSON, in which the events have their items."""
        headers = {"x-amz-target": f"DynamoDB_20120810.{operation}", "content-type": "application/x-amz-json-1.0"}
        # The database wants a signature and does not check it.
        headers |= {"x-amz-date": "20270115T080000Z", "authorization": SIGNATURE}
        response = requests.post(f"http://127.0.0.1:{self.port}", json.dumps(request), headers=headers, timeout=30)
        response.raise_for_status()
        return response.json()


@pytest.fixture(scope="module")
def database():
    database = Database()
    yield database
    database.stop()


@dataclasses.dataclass
class Invocation:
    request_id: str
    answer: dict
    log: list[dict]


class Function:
    """A function in the emulator. The first invocation starts it."""

    def __init__(self, run, port):
        self.run = run
        self.url = f"http://127.0.0.1:{port}/2015-03-31/functions/function/invocations"

    def post(self, event):
        """Invokes the function with the event in this file of `target/events`, or at this absolute path."""
        return requests.post(self.url, data=(EVENTS / event).read_bytes(), timeout=30)

    def invoke(self, event):
        response = self.post(event)
        response.raise_for_status()
        # The emulator writes lines before and after the function's: START, END, REPORT.
        start, *log, _ = itertools.takewhile(lambda line: not line.startswith("REPORT "), self.run.stdout)
        return Invocation(start.split()[2], response.json(), [json.loads(line) for line in log])

    def start_error(self):
        """The message of a function that does not start."""
        assert self.post("configuration-deleted.2.0.json").status_code == 502
        [line] = [json.loads(line) for line in self.stop().splitlines() if not line.startswith("START ")]
        assert line["level"] == "ERROR"
        return line["message"]

    def kill(self):
        """Kills its process during an invocation. The emulator starts another process for the next one."""
        tasks = pathlib.Path(f"/proc/{self.run.pid}/task").iterdir()
        for child in itertools.chain(*((task / "children").read_text().split() for task in tasks)):
            os.kill(int(child), signal.SIGKILL)

    def stop(self):
        """Stops it, and returns its output that was not read."""
        self.run.terminate()
        unread = self.run.stdout.read()
        self.run.wait()
        return unread


def bootstrap(name):
    """The release build of the function with this name."""
    return ROOT / f"target/lambda/{name}/bootstrap"


@contextlib.contextmanager
def emulated(database_port, name=FUNCTION, **variables):
    """The function with this name, with these variables and those that Lambda sets."""
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
    """The variables that lead to the database."""
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
    """Returns when the port accepts connections."""
    for _ in range(1000):
        with contextlib.suppress(ConnectionRefusedError):
            return socket.create_connection(("127.0.0.1", port)).close()
        time.sleep(0.05)
    raise TimeoutError(f"port {port} accepts no connections")
