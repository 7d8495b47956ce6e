"""The functions under `cargo lambda watch`, over HTTP and by `cargo lambda invoke`."""

import json
import subprocess

import pytest
import requests
from conftest import BY_HAND, EVENTS, FUNCTION, SWEEP

# The sample call of the Configuration API.
PATH = "config/htb8fuhxnf8e38jrzub3c7pfrr/clients/nmub5w3rru9k6rzupqaeb7bbwv6jn658"
BASIC = "Basic c2dueXZ1czZwYzRqbTdraHIybmVxNWdzODlnYnIyZXE6d3Q0YzN1bjl3a2tjZnZ5a25xeDQ0eW5jNDc2YWZzNjg"


@pytest.fixture(autouse=True)
def fresh_samples(database):
    database.refill()


def test_an_http_request_reaches_the_function(address):
    url = f"http://127.0.0.1:{address[-1]}/lambda-url/{FUNCTION}/{PATH}"
    # The first request waits for the build.
    answers = [requests.delete(url, headers={"authorization": BASIC}, timeout=300) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [204, 404]
    assert answers[0].content == b""
    assert answers[1].json() == {"errors": "Client ID not found."}


def invoke(address, name, event):
    command = ["cargo", "lambda", "invoke", name, *address, "--data-file", event]
    return json.loads(subprocess.check_output(command, timeout=300))


def answer_of(event):
    """The answer to this event, which is one of the table of cases."""
    answers = json.loads((EVENTS / "answers.json").read_text())
    return next(answer for case, answer in answers.items() if json.loads((EVENTS / case).read_text()) == event)


@pytest.mark.parametrize("endpoint", ["configuration", "registration", "authlete"])
def test_every_event_of_an_endpoint_gets_its_answer(address, database, endpoint):
    for event in sorted((BY_HAND / endpoint).glob("*.json")):
        database.refill()
        answer = invoke(address, FUNCTION, event)
        expected = answer_of(json.loads(event.read_text()))
        assert (answer["statusCode"], answer.get("body")) == (expected["status"], expected["body"]), event.name


def test_a_second_deletion_is_404(address):
    answers = [invoke(address, FUNCTION, BY_HAND / "configuration/deleted.json") for _ in range(2)]
    assert [answer["statusCode"] for answer in answers] == [204, 404]


def test_a_sweep_is_invoked_by_its_name(address):
    report = invoke(address, SWEEP, BY_HAND / "schedule/scheduler.json")
    assert (report["deletes"], report["complete"]) == (False, True)
