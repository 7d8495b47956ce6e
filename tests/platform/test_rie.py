"""Every event of the table of cases in AWS's Runtime Interface Emulator, and how the function starts and times out."""

import json
import socket
import time

import pytest
from conftest import EVENTS, emulated

ANSWERS = json.loads((EVENTS / "answers.json").read_text())


@pytest.fixture(scope="module")
def function(database):
    with emulated(database.port) as function:
        yield function


@pytest.fixture
def invoke(function, database):
    """Invokes the function with an event, over new sample data."""

    def invoke(event):
        invocation = function.invoke(event)
        if any(line.get("outcome") == "deleted" for line in invocation.log):
            database.refill()
        return invocation

    return invoke


def expected(event):
    """The response, in the form that API Gateway takes."""
    answer = ANSWERS[event]
    whole = {"statusCode": answer["status"], "headers": answer["headers"], "isBase64Encoded": False}
    if answer["body"] is not None:
        whole["body"] = answer["body"]
    if ".2.0." in event:
        whole["cookies"] = []
    return whole


@pytest.mark.parametrize("event", [pytest.param(event, id=f"{event} {ANSWERS[event]['status']}") for event in ANSWERS])
def test_an_event_gets_its_answer_and_one_line_in_the_log(invoke, event):
    invocation = invoke(event)
    answer = invocation.answer
    assert answer == expected(event)
    [line] = invocation.log
    assert (line["function_request_id"], line["status"]) == (invocation.request_id, answer["statusCode"])
    assert "_aws" in line


def test_a_wrong_setting_stops_the_start_with_a_message(database):
    with emulated(database.port, REALM='the "realm"') as function:
        why = function.start_error()
    assert why.startswith("the function stopped: REALM must be one or more printable ASCII characters")


def test_a_database_that_never_answers_is_503_before_the_functions_time_out():
    timeout = 3
    with (
        socket.create_server(("127.0.0.1", 0)) as silence,
        emulated(silence.getsockname()[1], AWS_LAMBDA_FUNCTION_TIMEOUT=str(timeout)) as function,
    ):
        # The first invocation waits for the connection too.
        for _ in range(2):
            started = time.monotonic()
            invocation = function.invoke("configuration-deleted.2.0.json")
            assert time.monotonic() - started < timeout
            assert (invocation.answer["statusCode"], invocation.answer["headers"]["retry-after"]) == (503, "1")
            [line] = invocation.log
            assert (line["level"], line["outcome"]) == ("ERROR", "failed")
