"""The background functions in AWS's Runtime Interface Emulator: their events, answers, writes and logs.

The events are in `events/stream`, records of the clients table's stream, and in `events/schedule`, those of EventBridge
Scheduler.
"""

import concurrent.futures
import json
import random
import threading
import time

import pytest
from conftest import BY_HAND, CASCADE, FUNCTION, SWEEP, Database, emulated

# The grants table of an authorization server. Its names are not those of the sample.
GRANTS = {
    "TableName": "issued",
    "AttributeDefinitions": [
        {"AttributeName": "holder", "AttributeType": "S"},
        {"AttributeName": "number", "AttributeType": "N"},
    ],
    "KeySchema": [
        {"AttributeName": "holder", "KeyType": "HASH"},
        {"AttributeName": "number", "KeyType": "RANGE"},
    ],
    "BillingMode": "PAY_PER_REQUEST",
}
ALL_DONE = {"batchItemFailures": []}
HOUR = 3600
DAY = 24 * HOUR


def records(case):
    return json.loads((BY_HAND / f"stream/{case}.json").read_text())["Records"]


def client_of(record):
    return record["dynamodb"]["Keys"]["pk"]["S"].removeprefix("client#")


def failures(*records):
    return {"batchItemFailures": [{"itemIdentifier": record["dynamodb"]["SequenceNumber"]} for record in records]}


def put(database, item, table="clients"):
    database.call("PutItem", TableName=table, Item=item)


def found(database, client):
    return database.call("GetItem", TableName="clients", Key={"pk": {"S": f"client#{client}"}})["Item"]


def whole(database):
    """Every item of the clients table, by its key."""
    return {item["pk"]["S"]: item for item in database.call("Scan", TableName="clients")["Items"]}


def issue(database, client, count, **attributes):
    items = [{"holder": {"S": client}, "number": {"N": str(number)}, **attributes} for number in range(count)]
    puts = [{"PutRequest": {"Item": item}} for item in items]
    for first in range(0, count, 25):
        database.call("BatchWriteItem", RequestItems={GRANTS["TableName"]: puts[first : first + 25]})


def issued(database, client):
    """The number of the client's grants."""
    condition = {"KeyConditionExpression": "holder = :client", "ExpressionAttributeValues": {":client": {"S": client}}}
    return database.call("Query", TableName=GRANTS["TableName"], Select="COUNT", **condition)["Count"]


def purges(invocation):
    """The log's record of each client: its id, the outcome and the number of grants removed. Each record is a metric."""
    lines = [line for line in invocation.log if "outcome" in line]
    assert all(line["function_request_id"] == invocation.request_id and "_aws" in line for line in lines)
    return [(line["client_id"], line["outcome"], line["grants_removed"]) for line in lines]


def without_time(item):
    """The tombstone without the time and the request of the deletion, and for how long it can be restored."""
    deleted = item["deleted"]["M"]
    at, _ = deleted.pop("at"), deleted.pop("request_id")
    return item, int(item.pop("expires_at")["N"]) - int(at["N"])


@pytest.fixture
def database():
    """The sample clients, and a grants table."""
    database = Database()
    database.call("CreateTable", **GRANTS)
    yield database
    database.stop()


@pytest.fixture
def cascade(database):
    with emulated(database.port, CASCADE, GRANTS_TABLE=GRANTS["TableName"]) as cascade:
        yield cascade


DELETIONS = {
    "configuration": (FUNCTION, "configuration-deleted.2.0.json", {}),
    "registration": (FUNCTION, "registration-deleted.2.0.json", {}),
    "authlete": (FUNCTION, "authlete-deleted.2.0.json", {}),
    "sweep": (SWEEP, BY_HAND / "schedule/scheduler.json", {"SWEEP_DELETES": "true"}),
}


@pytest.mark.parametrize("channel", DELETIONS)
def test_a_record_is_that_of_a_deletion_and_the_cascade_removes_the_clients_grants(database, cascade, channel):
    [record] = records(channel)
    client, images = client_of(record), record["dynamodb"]
    if "idle_since" in images["OldImage"]:
        # Idle for longer than any policy, at any time.
        images["OldImage"]["idle_since"] = {"N": "0"}
    put(database, images["OldImage"])
    issue(database, client, 60)
    issue(database, "1140735078", 10)

    name, event, settings = DELETIONS[channel]
    with emulated(database.port, name, **settings) as function:
        deletion = function.invoke(event)
    tombstone = found(database, client)
    assert tombstone["deleted"]["M"]["request_id"] == {"S": deletion.request_id}
    assert without_time(tombstone) == without_time(images["NewImage"])

    # The stream delivers a record at least once.
    for removed in [60, 0]:
        invocation = cascade.invoke(BY_HAND / f"stream/{channel}.json")
        assert invocation.answer == ALL_DONE
        assert purges(invocation) == [(client, "removed", removed)]
        assert (issued(database, client), issued(database, "1140735078")) == (0, 10)


def test_each_client_of_a_batch_has_a_record_in_the_log(database, cascade):
    batch = records("several")
    for record in batch:
        put(database, record["dynamodb"]["NewImage"])
        issue(database, client_of(record), 3)
    invocation = cascade.invoke(BY_HAND / "stream/several.json")
    assert invocation.answer == ALL_DONE
    assert purges(invocation) == [(client_of(record), "removed", 3) for record in batch]


def test_only_the_poison_record_of_a_batch_is_reported(database, cascade):
    first, poison, last = records("poison")
    for record in [first, last]:
        put(database, record["dynamodb"]["NewImage"])
        issue(database, client_of(record), 3)
    invocation = cascade.invoke(BY_HAND / "stream/poison.json")
    assert invocation.answer == failures(poison)
    assert purges(invocation) == [(client_of(first), "removed", 3), (client_of(last), "removed", 3)]
    [error] = [line for line in invocation.log if line["level"] == "ERROR"]
    assert error["message"] == "a record of the stream has no key of the clients table"
    assert error["sequence_number"] == poison["dynamodb"]["SequenceNumber"]
    assert error["function_request_id"] == invocation.request_id
    assert "_aws" not in error


def test_a_batch_with_a_record_that_cannot_be_reported_fails_as_a_whole(cascade):
    invocation = cascade.invoke(BY_HAND / "stream/no-sequence-number.json")
    assert invocation.answer["errorMessage"] == "a record of the stream has no sequence number"


def test_a_client_that_is_live_again_keeps_its_grants(database, cascade):
    [record] = records("registration")
    client = client_of(record)
    put(database, record["dynamodb"]["OldImage"])
    issue(database, client, 60)
    invocation = cascade.invoke(BY_HAND / "stream/registration.json")
    assert invocation.answer == ALL_DONE
    assert purges(invocation) == [(client, "kept", 0)]
    assert issued(database, client) == 60


@pytest.fixture
def short_of_time(database):
    """The cascade with a time-out of five seconds. A first invocation has read the grants table's keys."""
    settings = {"GRANTS_TABLE": GRANTS["TableName"], "AWS_LAMBDA_FUNCTION_TIMEOUT": "5"}
    with emulated(database.port, CASCADE, **settings) as cascade:
        cascade.invoke(BY_HAND / "stream/configuration.json")
        yield cascade


def test_a_record_that_is_unfinished_because_of_a_stalled_database_is_finished_by_the_next_invocation(database, short_of_time):
    [record] = records("registration")
    client = client_of(record)
    put(database, record["dynamodb"]["NewImage"])
    issue(database, client, 60)

    with database.stalled():
        invocation = short_of_time.invoke(BY_HAND / "stream/registration.json")
    assert invocation.answer == failures(record)
    assert purges(invocation) == [(client, "unfinished", 0)]
    assert [line["level"] for line in invocation.log] == ["ERROR"]

    invocation = short_of_time.invoke(BY_HAND / "stream/registration.json")
    assert invocation.answer == ALL_DONE
    assert purges(invocation) == [(client, "removed", 60)]
    assert issued(database, client) == 0


def test_a_function_that_is_killed_ten_times_continues_and_changes_nothing_else(database, cascade):
    [record] = records("registration")
    client = client_of(record)
    put(database, record["dynamodb"]["NewImage"])
    issue(database, client, 6000)
    issue(database, "1140735078", 1000)
    clients = whole(database)

    left = 6000
    for kills in range(10, 0, -1):
        # Kill it when it has removed some. The database may still carry out its last calls.
        few = left - random.randrange(1, left // (2 * kills))
        invocation = threading.Thread(target=cascade.post, args=[BY_HAND / "stream/registration.json"])
        invocation.start()
        while (left := issued(database, client)) > few and invocation.is_alive():
            pass
        cascade.kill()
        invocation.join()
        print(f"killed with {left} left")
        assert left > 0

    assert cascade.post(BY_HAND / "stream/registration.json").json() == ALL_DONE
    assert (issued(database, client), issued(database, "1140735078")) == (0, 1000)
    assert whole(database) == clients


def test_without_a_database_every_record_is_reported(database, short_of_time):
    batch = records("several")
    with database.gone():
        invocation = short_of_time.invoke(BY_HAND / "stream/several.json")
    assert invocation.answer == failures(*batch)
    assert purges(invocation) == [(client_of(record), "unfinished", 0) for record in batch]


def test_a_database_that_stalls_for_longer_than_a_call_s_time_out_delays_the_cascade_only(database):
    [record] = records("registration")
    client = client_of(record)
    put(database, record["dynamodb"]["NewImage"])
    issue(database, client, 60)
    limits = {"DATABASE_ATTEMPT_TIMEOUT_MS": "400", "DATABASE_CALL_TIMEOUT_MS": "600"}
    with (
        emulated(database.port, CASCADE, GRANTS_TABLE=GRANTS["TableName"], **limits) as cascade,
        concurrent.futures.ThreadPoolExecutor() as executor,
    ):
        cascade.invoke(BY_HAND / "stream/configuration.json")
        with database.stalled():
            running = executor.submit(cascade.invoke, BY_HAND / "stream/registration.json")
            with pytest.raises(concurrent.futures.TimeoutError):
                running.result(timeout=1)
        invocation = running.result()
    assert invocation.answer == ALL_DONE
    assert purges(invocation) == [(client, "removed", 60)]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (CASCADE, {}, "GRANTS_TABLE must be the name of a DynamoDB table, and is empty"),
        (CASCADE, {"GRANTS_TABLE": "nowhere"}, "the database call failed: ResourceNotFoundException"),
        (SWEEP, {"GRANTS_TABLE": "nowhere"}, "the database call failed: ResourceNotFoundException"),
        (SWEEP, {"SWEEP_UNUSED_HOURS": "0"}, "SWEEP_UNUSED_HOURS must be a whole number of hours from 1 to 8760"),
        (SWEEP, {"SWEEP_DELETES": "yes"}, "SWEEP_DELETES must be true or false"),
    ],
    ids=["no grants table", "unknown grants table", "unknown grants table of the sweep", "no idle time", "not a boolean"],
)
def test_an_invalid_setting_stops_the_start_with_a_message(database, name, settings, message):
    with emulated(database.port, name, **settings) as function:
        assert function.start_error().startswith(f"the function stopped: {message}")


@pytest.fixture
def empty():
    """No clients, and a grants table."""
    database = Database("--empty")
    database.call("CreateTable", **GRANTS)
    yield database
    database.stop()


def register(database, client, idle, age, **members):
    """Adds a client that registered itself to one of the lists of idle clients, since `age` seconds ago."""
    text, flag = (lambda value: {"S": value}), (lambda value: {"BOOL": value})
    members = {"kind": text("oauth"), "service_id": text("715948317"), "dynamic": flag(True), **members}
    since = {"N": str(int(time.time()) - age)}
    put(database, {"pk": text(f"client#{client}"), "client": {"M": members}, "idle": text(idle), "idle_since": since})


def register_some(database):
    """Adds clients on both sides of the idle policy. The sweep may delete two of those that are due."""
    register(database, "never-used", "unused#0", 25 * HOUR)
    register(database, "new", "unused#0", 23 * HOUR)
    register(database, "idle", "used#f", 91 * DAY)
    register(database, "in-use", "used#f", 89 * DAY)
    register(database, "protected", "unused#0", 25 * HOUR, protected={"BOOL": True})


def report(**members):
    counts = dict.fromkeys(["due", "swept", "protected", "granted", "changed", "unreadable", "failed"], 0)
    return {"deletes": False, "complete": True, **counts, **members}


def swept(invocation):
    """The clients in the log, each with its message. The last record is the run's, and is a metric."""
    *lines, last = invocation.log
    assert (last["function_request_id"], last["swept"]) == (invocation.request_id, len(lines))
    assert "_aws" in last
    return {line["client_id"]: line["message"] for line in lines}


@pytest.mark.parametrize("event", sorted((BY_HAND / "schedule").glob("*.json")), ids=lambda event: event.stem)
def test_a_sweep_observes_by_default_and_changes_nothing(empty, event):
    register_some(empty)
    before = whole(empty)
    with emulated(empty.port, SWEEP) as sweep:
        invocation = sweep.invoke(event)
    assert invocation.answer == report(due=3, swept=2, protected=1)
    assert swept(invocation) == dict.fromkeys(["never-used", "idle"], "would sweep a client")
    assert whole(empty) == before


def test_a_sweep_with_sweep_deletes_deletes_the_clients_that_are_due(empty):
    register_some(empty)
    before = whole(empty)
    with emulated(empty.port, SWEEP, SWEEP_DELETES="true") as sweep:
        invocation, again = [sweep.invoke(BY_HAND / "schedule/scheduler.json") for _ in range(2)]
    assert invocation.answer == report(deletes=True, due=3, swept=2, protected=1)
    assert swept(invocation) == dict.fromkeys(["never-used", "idle"], "swept a client")
    assert again.answer == report(deletes=True, due=1, protected=1)

    after = whole(empty)
    for client in ["client#never-used", "client#idle"]:
        was, tombstone = before.pop(client), after.pop(client)
        deleted = tombstone["deleted"]["M"]
        assert (deleted["by"], deleted["via"]) == ({"S": "sweep"}, {"S": "sweep"})
        assert deleted["request_id"] == {"S": invocation.request_id}
        assert tombstone["tombstone"] == was["client"]
    assert after == before


def test_a_client_with_a_live_grant_stays(empty):
    now = int(time.time())
    for client, ends in [("holder", now + HOUR), ("former-holder", now - HOUR)]:
        register(empty, client, "used#f", 91 * DAY)
        issue(empty, client, 1, ends={"N": str(ends)})
    settings = {"GRANTS_TABLE": GRANTS["TableName"], "GRANTS_EXPIRE_AT": "ends"}
    with emulated(empty.port, SWEEP, **settings) as sweep:
        invocation = sweep.invoke(BY_HAND / "schedule/scheduler.json")
    assert invocation.answer == report(due=2, swept=1, granted=1)
    assert list(swept(invocation)) == ["former-holder"]
