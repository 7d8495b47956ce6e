"""`just smoke`: against the function behind several gateways, and against gateways that break a promise."""

import contextlib
import dataclasses
import http.client
import http.server
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.parse

import pytest
import requests
from conftest import FUNCTION, ROOT, TOOL, aws, emulated

SMOKE = ROOT / "tests/smoke/smoke.py"


@dataclasses.dataclass
class Request:
    method: str
    path: str
    query: str
    lines: list[tuple[str, str]]
    body: bytes
    address: str

    def joined(self):
        """The header fields; the lines of one name are joined with commas."""
        names = {name.lower() for name, _ in self.lines}
        return {name: ",".join(value for other, value in self.lines if other.lower() == name) for name in names}


@dataclasses.dataclass
class Answer:
    status: int
    lines: list[tuple[str, str]]
    body: bytes


@contextlib.contextmanager
def gateway(answer_to):
    """The URL of a server that answers each request with `answer_to`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_DELETE(self):
            path, _, query = self.path.partition("?")
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            lines = list(self.headers.items())
            answer = answer_to(Request(self.command, path, query, lines, body, self.client_address[0]))
            self.send_response_only(answer.status)
            for name, value in answer.lines:
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_PATCH = do_POST = do_DELETE

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


@pytest.fixture(scope="module")
def local(database):
    """Passes a request on to the local run, from the address in it."""

    def pass_on(request):
        connection = http.client.HTTPConnection("127.0.0.1", database.http_port, source_address=(request.address, 0))
        with contextlib.closing(connection):
            target = f"{request.path}?{request.query}" if request.query else request.path
            connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
            for line in request.lines:
                connection.putheader(*line)
            connection.endheaders(request.body)
            response = connection.getresponse()
            return Answer(response.status, response.getheaders(), response.read())

    return pass_on


# A PATH without the AWS CLI, which would remove what the report names.
NO_PROGRAMS = "/nonexistent"


@dataclasses.dataclass
class Report:
    code: int
    text: str

    def lines(self, word):
        """The lines with this word: the details, by the titles of the checks."""
        found = re.findall(rf"^{word} +(.+?)(?:  +(.*))?$", self.text, re.MULTILINE)
        return dict(found)


@pytest.fixture(scope="module")
def smoke(database):
    def smoke(url, *options, path=NO_PROGRAMS):
        command = [sys.executable, SMOKE, url, "--tool", TOOL, "--address", "127.0.0.1", *options]
        environment = os.environ | aws(database.port) | {"PATH": path}
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        print(run.stdout, run.stderr)
        assert run.stderr == ""
        return Report(run.returncode, run.stdout)

    return smoke


def expect_success(report):
    assert report.lines("FAIL") == {}
    assert report.code == 0
    assert list(report.lines("note")) == ["the first request", "further requests"]
    assert len(report.lines("ok")) == 30


def expect_failures(report, failures):
    found = report.lines("FAIL")
    assert found.keys() == failures.keys()
    for title, part in failures.items():
        assert part in found[title]
    assert report.code == 1


def test_the_local_run_keeps_every_promise(smoke, database):
    expect_success(smoke(f"http://127.0.0.1:{database.http_port}"))


def test_the_address_is_a_note_if_the_caller_does_not_say_it(database):
    command = [sys.executable, SMOKE, f"http://127.0.0.1:{database.http_port}/", "--tool", TOOL]
    text = subprocess.check_output(command, env=os.environ | aws(database.port), text=True)
    assert Report(0, text).lines("note")["the address of the caller"].startswith("the function saw 127.0.0.1;")


def test_the_report_names_what_cargo_lambda_watch_does_not_do(smoke, address):
    url = f"http://127.0.0.1:{address[-1]}/lambda-url/{FUNCTION}"
    # The first request waits for the build.
    requests.get(url, timeout=300)
    # It passes the path on as the client sent it, in an event that is not one of a function URL. Of the lines with one
    # name it passes one on.
    expect_failures(smoke(url), WITHOUT_DECODING | WITH_ONE_LINE)


# The release build in the emulator. These functions make events as gateways do.


def http_api(request):
    path = urllib.parse.unquote(request.path)
    return payload_2(request, path, "r3pmxmplak.execute-api.eu-central-1.amazonaws.com")


def function_url(request):
    return payload_2(request, request.path, "x7k2m9qv4b6t3n8w.lambda-url.eu-central-1.on.aws")


def payload_2(request, path, domain):
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": request.query,
        "queryStringParameters": dict(urllib.parse.parse_qsl(request.query)),
        "headers": request.joined(),
        "requestContext": {
            "domainName": domain,
            "http": {"method": request.method, "path": path, "sourceIp": request.address},
            "stage": "$default",
        },
        "body": request.body.decode(),
        "isBase64Encoded": False,
    }


def rest_api(request):
    query, lines = {}, {}
    for name, value in urllib.parse.parse_qsl(request.query):
        query.setdefault(name, []).append(value)
    for name, value in request.lines:
        lines.setdefault(name, []).append(value)
    return {
        "resource": "/{proxy+}",
        "path": request.path.removeprefix("/prod"),
        "httpMethod": request.method,
        "headers": {name: values[-1] for name, values in lines.items()},
        "multiValueHeaders": lines,
        "queryStringParameters": {name: values[-1] for name, values in query.items()},
        "multiValueQueryStringParameters": query,
        "requestContext": {"stage": "prod", "identity": {"sourceIp": request.address}},
        "body": request.body.decode(),
        "isBase64Encoded": False,
    }


@pytest.fixture(scope="module")
def function(database):
    with emulated(database.port) as function:
        yield function


def emulator(function, event_of):
    def answer_to(request):
        answer = function.invoke(event_of(request)).answer
        return Answer(answer["statusCode"], list(answer["headers"].items()), answer.get("body", "").encode())

    return answer_to


@pytest.mark.parametrize(("event_of", "stage"), [(http_api, ""), (function_url, ""), (rest_api, "/prod")])
def test_the_release_build_keeps_every_promise(smoke, function, event_of, stage):
    with gateway(emulator(function, event_of)) as url:
        expect_success(smoke(url + stage))


# Gateways that break a promise, each with the checks that must fail.


def renames_the_challenge(request, pass_on):
    answer = pass_on(request)
    new = {"www-authenticate": "x-amzn-Remapped-WWW-Authenticate"}
    answer.lines = [(new.get(name.lower(), name), value) for name, value in answer.lines]
    return answer


def decodes_the_path(request, pass_on):
    return pass_on(dataclasses.replace(request, path=urllib.parse.unquote(request.path)))


def encodes_the_path(request, pass_on):
    return pass_on(dataclasses.replace(request, path=request.path.replace("%", "%25")))


def passes_one_line_of_a_name(request, pass_on):
    return pass_on(dataclasses.replace(request, lines=list(dict(request.lines).items())))


def drops_the_query(request, pass_on):
    return pass_on(dataclasses.replace(request, query=""))


def drops_preconditions(request, pass_on):
    kept = [(name, value) for name, value in request.lines if name.lower() != "if-match"]
    return pass_on(dataclasses.replace(request, lines=kept))


def calls_from_its_own_address(request, pass_on):
    return pass_on(dataclasses.replace(request, address="127.0.0.2"))


def trusts_x_forwarded_for(request, pass_on):
    return pass_on(dataclasses.replace(request, address=dict(request.lines).get("X-Forwarded-For", request.address)))


def drops_cache_control(request, pass_on):
    answer = pass_on(request)
    answer.lines = [(name, value) for name, value in answer.lines if name.lower() != "cache-control"]
    return answer


def has_its_own_page_for_404(request, pass_on):
    answer = pass_on(request)
    return Answer(404, [("Content-Type", "text/html")], b"<h1>Not found</h1>") if answer.status == 404 else answer


WITHOUT_DECODING = {
    "/register: a path is decoded once": "the path was not decoded",
    "/config: a path is decoded once": "the path was not decoded",
    "/register: an id with an encoded slash": "401 instead of 204",
    "/register: an id that is a URL": "401 instead of 204",
}
WITH_ONE_LINE = {
    "/register: two Authorization lines are refused": "204: the client was deleted",
    "/config: two Authorization lines are refused": "204: the client was deleted",
    "/api: two Authorization lines are refused": "200: the client was deleted",
}

BROKEN = [
    (
        renames_the_challenge,
        {
            "/register: a 401 has the challenge": "renames WWW-Authenticate to x-amzn-remapped-www-authenticate",
            "/config: a 401 has the challenge": "renames WWW-Authenticate to x-amzn-remapped-www-authenticate",
            "/api: a 401 has the challenge": "renames WWW-Authenticate to x-amzn-remapped-www-authenticate",
        },
    ),
    (
        decodes_the_path,
        {
            "/register: a path is decoded once": "the path was decoded twice",
            "/config: a path is decoded once": "the path was decoded twice",
        },
    ),
    (encodes_the_path, WITHOUT_DECODING),
    (passes_one_line_of_a_name, WITH_ONE_LINE),
    (
        drops_the_query,
        {
            "/config: a token in the query is refused": "204: the client was deleted",
            "/api: a token in the query is refused": "200: the client was deleted",
        },
    ),
    (drops_preconditions, {"/register: If-Match reaches the function": "204: the client was deleted"}),
    (
        calls_from_its_own_address,
        {
            "the address of the caller": "the function saw 127.0.0.2, not 127.0.0.1",
            "/config: an owner may call from its allow list": "403 instead of 204: the allow list is 127.0.0.1",
        },
    ),
    (drops_cache_control, {"every answer has Cache-Control: no-store": "not DELETE /register/smoke-"}),
    (
        has_its_own_page_for_404,
        {
            "another path: 404": "the body is not that of the function",
            "every refusal is JSON": "not DELETE /config/smoke-",
        },
    ),
]


@pytest.mark.parametrize(("fault", "failures"), BROKEN, ids=[fault.__name__ for fault, _ in BROKEN])
def test_a_broken_promise_is_named(smoke, local, fault, failures):
    with gateway(lambda request: fault(request, local)) as url:
        expect_failures(smoke(url), failures)


def test_a_trusted_x_forwarded_for_is_named(smoke, function):
    with gateway(lambda request: trusts_x_forwarded_for(request, emulator(function, http_api))) as url:
        report = smoke(url)
    expect_failures(report, {"/config: X-Forwarded-For is not trusted": "204: the client was deleted"})


def test_a_refusal_of_the_gateway_is_a_note(smoke, local):
    def refuses_two_lines(request):
        names = [name for name, _ in request.lines]
        if names.count("Authorization") == 2:
            return Answer(400, [("Content-Type", "application/json")], b'{"message":"Bad Request"}')
        return local(request)

    with gateway(refuses_two_lines) as url:
        report = smoke(url)
    assert report.code == 0
    assert "/config: two Authorization lines are refused" in report.lines("note")


def test_no_secret_is_printed(database, local, tmp_path):
    """The gateway repeats the credentials in its answers. The tool's output goes through a file."""
    tool, printed = tmp_path / "tool", tmp_path / "printed"
    tool.write_text(f'#!/bin/sh\n"{TOOL}" "$@" | tee -a "{printed}"\n')
    tool.chmod(0o755)

    def repeats_the_credentials(request):
        answer = local(request)
        return Answer(403, request.lines, str(request).encode()) if answer.status < 300 else answer

    with gateway(repeats_the_credentials) as url:
        command = [sys.executable, SMOKE, url, "--tool", tool]
        run = subprocess.run(command, env=os.environ | aws(database.port), capture_output=True, text=True, timeout=300)
    assert "FAIL  /config: 204, and the client is dead" in run.stdout
    names = ["client_secret", "registration_access_token", "access_token"]
    lines = [json.loads(line) for line in printed.read_text().splitlines()]
    secrets = [line[name] for line in lines for name in names if name in line]
    assert len(secrets) > 20
    assert [secret for secret in secrets if secret in run.stdout + run.stderr] == []
    assert "Basic" not in run.stdout + run.stderr


# The table.


def items_of(database, report):
    """The items of the run, by their keys."""
    [name] = set(re.findall(r"smoke-[0-9a-f]{10}", report.text))
    items = database.call("Scan", TableName="clients")["Items"]
    return {item["pk"]["S"]: item for item in items if name in str(item)}


def expect_only_what_is_named(database, report):
    live = [key for key, item in items_of(database, report).items() if "client" in item or "service" in item]
    named = re.findall(r'"pk": \{"S": "([^"]+)"', report.text)
    assert sorted(live) == sorted(named)


def test_only_what_the_report_names_remains(smoke, database):
    expect_only_what_is_named(database, smoke(f"http://127.0.0.1:{database.http_port}"))


@pytest.mark.parametrize(
    ("output", "is_done"),
    [('{"UnprocessedItems": {}}', True), ('{"UnprocessedItems": {"clients": [{}]}}', False), ("", False)],
)
def test_the_aws_cli_removes_owners_and_the_service_if_it_is_there(smoke, database, tmp_path, output, is_done):
    """This one only notes its arguments. Without output it fails."""
    program, noted = tmp_path / "aws", tmp_path / "noted"
    lines = [f'printf "%s\\n" "$@" > {noted}', f"printf '%s' '{output}'", f"exit {0 if output else 1}"]
    program.write_text("\n".join(["#!/bin/sh", *lines]))
    program.chmod(0o755)
    report = smoke(f"http://127.0.0.1:{database.http_port}", path=str(tmp_path))
    *command, requests, option, form = noted.read_text().splitlines()
    assert [*command, option, form] == ["dynamodb", "batch-write-item", "--request-items", "--output", "json"]
    keys = [request["DeleteRequest"]["Key"]["pk"]["S"] for request in json.loads(requests)["clients"]]
    items = items_of(database, Report(0, requests)).items()
    live = [key for key, item in items if "client" in item or "service" in item]
    assert sorted(keys) == sorted(live) and len(keys) == 4
    # If it failed, the report has the command.
    assert (requests in report.text, "an owner, whose" in report.text) == (not is_done, not is_done)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_removes_its_clients(database, number):
    command = [sys.executable, SMOKE, f"http://127.0.0.1:{database.http_port}", "--tool", TOOL]
    environment = os.environ | aws(database.port) | {"PATH": NO_PROGRAMS}
    run = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    first = "".join(iter(run.stdout.readline, "ok    /api: a 401 has the challenge\n"))
    run.send_signal(number)
    report = Report(run.wait(), first + run.stdout.read())
    assert report.code == 130
    assert ", interrupted" in report.text
    expect_only_what_is_named(database, report)


def test_another_table_ends_the_run(smoke, database):
    """The local run has the table `clients`; the tool writes to another."""
    definition = {
        "TableName": "others",
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    database.call("CreateTable", **definition)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("CLIENTS_TABLE", "others")
        report = smoke(f"http://127.0.0.1:{database.http_port}")
    expect_failures(report, {"/register: 204, and the client is dead": "check that CLIENTS_TABLE and the Region name"})
    assert '{"others": [' in report.text


def test_another_server_ends_the_run_before_it_writes(smoke):
    with gateway(lambda _: Answer(404, [], b"")) as url:
        report = smoke(url)
    expect_failures(report, {"the first request": "404 instead of 401"})
    assert "remain" not in report.text


@pytest.mark.parametrize("url", ["ftp://localhost", "http://localhost:x", "http://me@localhost", "http://localhost?q"])
def test_a_wrong_command_line_is_2(url):
    run = subprocess.run([sys.executable, SMOKE, url, "--tool", TOOL], capture_output=True, text=True)
    assert (run.returncode, run.stdout) == (2, "")
