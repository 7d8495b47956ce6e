"""The database of the local run: it answers programs, and no page of a browser."""

import http.client
import pathlib
import re
import subprocess

import pytest

LOCAL = pathlib.Path(__file__).parents[2] / "target/debug/examples/local"
CALL = {
    "Content-Type": "application/x-amz-json-1.0",
    "X-Amz-Target": "DynamoDB_20120810.ListTables",
    "X-Amz-Date": "20270115T080000Z",
    "Authorization": "AWS4-HMAC-SHA256 Credential=local/20270115/eu-central-1/dynamodb/aws4_request, "
    "SignedHeaders=host, Signature=0",
}


@pytest.fixture(scope="module")
def database():
    """The host and port of the database."""
    command = [LOCAL, "--port", "0", "--database-port", "0", "--empty"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        ready = (re.match(r"database on http://(\S+)", line) for line in run.stdout)
        yield next(found[1] for found in ready if found)
    finally:
        run.terminate()
        run.wait()


def send(database, method, headers, body=b"{}"):
    connection = http.client.HTTPConnection(database, timeout=30)
    connection.request(method, "/", body, headers)
    answer = connection.getresponse()
    return answer, answer.read().decode()


def test_a_program_uses_one_connection_for_many_calls(database):
    connection = http.client.HTTPConnection(database, timeout=30)
    for _ in range(3):
        connection.request("POST", "/", b"{}", CALL)
        assert "clients" in connection.getresponse().read().decode()


def test_the_fetch_of_a_program_is_answered(database):
    """Node.js sends this member of fetch, and no Origin."""
    answer, text = send(database, "POST", CALL | {"Sec-Fetch-Mode": "cors"})
    assert (answer.status, "clients" in text) == (200, True)


@pytest.mark.parametrize("header", [("Origin", "https://page.example"), ("ORIGIN", "null")])
def test_a_page_reads_and_writes_nothing(database, header):
    answer, text = send(database, "POST", CALL | dict([header]))
    assert answer.status == 403
    assert "clients" not in text
    assert answer.getheader("Access-Control-Allow-Origin") is None


def test_a_page_is_not_allowed_to_ask_first(database):
    preflight = {"Origin": "https://page.example", "Access-Control-Request-Method": "POST"}
    answer, _ = send(database, "OPTIONS", preflight, None)
    assert answer.status == 403
    assert answer.getheader("Access-Control-Allow-Origin") is None


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_a_connection_begins_with_a_post(database, method):
    """An older browser sends a GET without Origin. The next request of its connection can be a page's POST."""
    answer, _ = send(database, method, CALL, None)
    assert answer.status == 403
    assert answer.getheader("Connection") == "close"
