"""The instructions of the release build, counted by callgrind, against their budget, and its form.

A Runtime API and a DynamoDB that answer from memory, each answer in one piece, make the count the same every time.
"""

import http.server
import json
import os
import re
import signal
import struct
import subprocess
import threading
import time

import pytest
from conftest import CASCADE, EVENTS, FUNCTION, ROOT, SWEEP, aws, bootstrap

# A static build and a build for the machine's C library have different budgets.
BUILD = "static" if b"ld-linux" not in bootstrap(FUNCTION).read_bytes() else "for the C library"
BUDGET = json.loads((ROOT / "tests/platform/budget.json").read_text())[BUILD]
# From the ELF format.
POSITION_INDEPENDENT, INTERPRETER = 3, 3
GROWTH = 1.02
FEW, MANY = 10, 60

OWNER, TARGET = "sgnyvus6pc4jm7khr2neq5gs89gbr2eq", "nmub5w3rru9k6rzupqaeb7bbwv6jn658"
DELETED = (EVENTS / "configuration-deleted.2.0.json").read_text()
REFUSED = DELETED.replace("Basic ", "Digest ")


def client(client_id, features, digest):
    text = lambda value: {"S": value}
    return {
        "pk": text(f"client#{client_id}"),
        "client": {
            "M": {
                "kind": text("api"),
                "app_id": text("htb8fuhxnf8e38jrzub3c7pfrr"),
                "name": text("Budget"),
                "features": {"L": [text(feature) for feature in features]},
                "ip_allow_list": {"L": []},
                "secrets": {"L": [{"M": {"digest": {"B": digest}}}]},
                "protected": {"BOOL": False},
                "version": {"N": "1"},
            }
        },
    }


# The digest of the owner's secret in the sample call.
OWNERS_DIGEST = "mLpjSf4AnYeRKWCZHv0XIBuxLxnAcJsjmOkQ9TnoLq4="
FOUND = {"Responses": {"clients": [client(OWNER, ["owner"], OWNERS_DIGEST), client(TARGET, [], OWNERS_DIGEST)]}}


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers in one piece, so that the function makes the same number of reads every time."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def body(self):
        return self.rfile.read(int(self.headers["content-length"]))

    def log_message(self, *_):
        pass


class DynamoDb(Answering):
    def do_POST(self):
        self.body()
        answer = FOUND if self.headers["x-amz-target"].endswith("BatchGetItem") else {}
        self.answer(200, {"content-type": "application/x-amz-json-1.0"}, json.dumps(answer).encode())


class RuntimeApi(Answering):
    def do_GET(self):
        if not self.server.events:
            self.server.done.set()
            return time.sleep(3600)
        headers = {
            "lambda-runtime-aws-request-id": f"{len(self.server.events):08}",
            "lambda-runtime-deadline-ms": str(int(time.time() * 1000) + 3_600_000),
            "lambda-runtime-invoked-function-arn": "arn:aws:lambda:eu-central-1:123456789012:function:deregister",
        }
        self.answer(200, headers, self.server.events.pop().encode())

    def do_POST(self):
        self.server.answers.append(json.loads(self.body()).get("statusCode"))
        self.answer(202, {}, b"")


def serve(handler, **state):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    vars(server).update(state)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def of_lambda(runtime, database_port):
    """The environment of the function with this Runtime API. It opens no connection at its start."""
    return aws(database_port) | {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{runtime.server_port}",
        "AWS_LAMBDA_FUNCTION_NAME": FUNCTION,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "OPENING_TIMEOUT_MS": "0",
    }


def instructions(events, out):
    """How many instructions the function runs from its start until it has answered these events, and its answers."""
    database = serve(DynamoDb)
    runtime = serve(RuntimeApi, events=list(events), answers=[], done=threading.Event())
    variables = of_lambda(runtime, database.server_port) | {"PATH": os.environ["PATH"]}
    command = ["valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={out}", bootstrap(FUNCTION)]
    run = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL)
    assert runtime.done.wait(120)
    run.send_signal(signal.SIGTERM)
    run.wait()
    return int(re.search(r"^totals: (\d+)", out.read_text(), re.MULTILINE)[1]), runtime.answers


@pytest.fixture(scope="module")
def counted(tmp_path_factory):
    """The instructions of a start, of a request that is refused at parsing, and of a delete with its SDK calls."""
    out = tmp_path_factory.mktemp("callgrind") / "out"

    def each(event, status):
        (few, _), (many, answers) = (instructions([event] * times, out) for times in (FEW, MANY))
        assert answers == [status] * MANY
        return (many - few) // (MANY - FEW)

    return {"start": instructions([], out)[0], "refused": each(REFUSED, 401), "deleted": each(DELETED, 204)}


@pytest.mark.parametrize("what", BUDGET)
def test_no_more_instructions_than_the_budget(counted, what):
    ratio = counted[what] / BUDGET[what]
    print(f"{what}: {counted[what]} instructions, {ratio:.3f} of the budget")
    assert ratio <= GROWTH, "say why in the commit, and write the new figure into budget.json"


@pytest.mark.skipif(BUILD != "static", reason="this build is for the machine's C library")
@pytest.mark.parametrize("name", [FUNCTION, CASCADE, SWEEP])
def test_a_static_build_needs_no_loader_and_runs_at_a_random_address(name):
    program = bootstrap(name).read_bytes()
    [kind] = struct.unpack_from("<H", program, 16)
    [start] = struct.unpack_from("<Q", program, 32)
    size, count = struct.unpack_from("<2H", program, 54)
    segments = [struct.unpack_from("<I", program, start + n * size)[0] for n in range(count)]
    assert (kind, INTERPRETER in segments) == (POSITION_INDEPENDENT, False)
