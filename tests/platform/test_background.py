"""The background functions in AWS's Runtime Interface Emulator: their events, answers, writes and records.

The events are those of `events/stream` and `events/schedule`.
"""

import concurrent.futures
import json
import random
import threading
import time

import pytest
from conftest import BY_HAND, CASCADE, FUNCTION, SWEEP, Database, emulated

# A grants table with other key names than the local run's.
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
    """The outcome of each purge in the log, and the number of grants that it removed. Each record is a metric."""
    lines = [line for line in invocation.log if "outcome" in line]
    assert all(line["function_request_id"] == invocation.request_id and "_aws" in line for line in lines)
    return [(line["client_id"], line["outcome"], line["grants_removed"]) for line in lines]


def of_any_time(item):
    """The item that a deletion wrote, without its time and request, and how long the client can be restored."""
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


@pytest.mark.parametrize("by", DELETIONS)
def test_a_deletion_writes_the_record_and_the_cascade_removes_the_grants(database, cascade, by):
    [record] = records(by)
    client, images = client_of(record), record["dynamodb"]
    if "idle_since" in images["OldImage"]:
        # Long ago, at any time of the test.
        images["OldImage"]["idle_since"] = {"N": "0"}
    put(database, images["OldImage"])
    issue(database, client, 60)
    issue(database, "1140735078", 10)

    name, event, settings = DELETIONS[by]
    with emulated(database.port, name, **settings) as function:
        deletion = function.invoke(event)
    tombstone = found(database, client)
    assert tombstone["deleted"]["M"]["request_id"] == {"S": deletion.request_id}
    assert of_any_time(tombstone) == of_any_time(images["NewImage"])

    # The stream delivers a deletion at least once.
    for removed in [60, 0]:
        invocation = cascade.invoke(BY_HAND / f"stream/{by}.json")
        assert invocation.answer == ALL_DONE
        assert purges(invocation) == [(client, "removed", removed)]
        assert (issued(database, client), issued(database, "1140735078")) == (0, 10)


def test_each_client_of_a_batch_has_a_record(database, cascade):
    batch = records("several")
    for record in batch:
        put(database, record["dynamodb"]["NewImage"])
        issue(database, client_of(record), 3)
    invocation = cascade.invoke(BY_HAND / "stream/several.json")
    assert invocation.answer == ALL_DONE
    assert purges(invocation) == [(client_of(record), "removed", 3) for record in batch]


def test_a_poison_record_is_reported_alone(database, cascade):
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


def test_a_batch_with_a_record_that_cannot_be_reported_fails_whole(cascade):
    invocation = cascade.invoke(BY_HAND / "stream/no-sequence-number.json")
    assert invocation.answer["errorMessage"] == "a record of the stream has no sequence number"


def test_a_restored_client_keeps_its_grants(database, cascade):
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
    """The cascade with a time-out of five seconds, after an invocation that made it start."""
    settings = {"GRANTS_TABLE": GRANTS["TableName"], "AWS_LAMBDA_FUNCTION_TIMEOUT": "5"}
    with emulated(database.port, CASCADE, **settings) as cascade:
        cascade.invoke(BY_HAND / "stream/configuration.json")
        yield cascade


def test_a_purge_that_a_stalled_database_left_unfinished_is_finished_by_the_next_invocation(database, short_of_time):
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


def test_a_cascade_that_is_killed_ten_times_finishes_and_touches_no_other_client(database, cascade):
    [record] = records("registration")
    client = client_of(record)
    put(database, record["dynamodb"]["NewImage"])
    issue(database, client, 6000)
    issue(database, "1140735078", 1000)
    clients = whole(database)

    left = 6000
    for kills in range(10, 0, -1):
        # Killed after it removed some grants. Writes that it has sent may still take effect.
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


def test_the_cascade_waits_for_a_database_that_stalls_longer_than_the_time_out_of_a_call(database):
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
    ("name", "settings", "why"),
    [
        (CASCADE, {}, "GRANTS_TABLE must be the name of a DynamoDB table, and is empty"),
        (CASCADE, {"GRANTS_TABLE": "nowhere"}, "the database call failed: ResourceNotFoundException"),
        (SWEEP, {"GRANTS_TABLE": "nowhere"}, "the database call failed: ResourceNotFoundException"),
        (SWEEP, {"SWEEP_UNUSED_HOURS": "0"}, "SWEEP_UNUSED_HOURS must be a whole number of hours from 1 to 8760"),
        (SWEEP, {"SWEEP_DELETES": "yes"}, "SWEEP_DELETES must be true or false"),
    ],
    ids=["no grants table", "another grants table", "another grants table of the sweep", "no idle time", "neither true nor false"],
)
def test_a_wrong_setting_stops_the_start_with_a_message(database, name, settings, why):
    with emulated(database.port, name, **settings) as function:
        assert function.start_error().startswith(f"the function stopped: {why}")


@pytest.fixture
def empty():
    """No clients, and a grants table."""
    database = Database("--empty")
    database.call("CreateTable", **GRANTS)
    yield database
    database.stop()


def register(database, client, idle, age, **members):
    """Writes a client that registered itself into a partition of the index, idle for this long."""
    text, flag = (lambda value: {"S": value}), (lambda value: {"BOOL": value})
    members = {"kind": text("oauth"), "service_id": text("715948317"), "dynamic": flag(True), **members}
    since = {"N": str(int(time.time()) - age)}
    put(database, {"pk": text(f"client#{client}"), "client": {"M": members}, "idle": text(idle), "idle_since": since})


def register_some(database):
    """Clients that are due and clients that are not. Two of those that are due can be deleted."""
    register(database, "never-used", "unused#0", 25 * HOUR)
    register(database, "new", "unused#0", 23 * HOUR)
    register(database, "idle", "used#f", 91 * DAY)
    register(database, "in-use", "used#f", 89 * DAY)
    register(database, "protected", "unused#0", 25 * HOUR, protected={"BOOL": True})


def report(**members):
    counts = ["due", "swept", "announced", "noticed", "protected", "granted", "full", "changed", "unreadable", "failed"]
    return {"deletes": False, "complete": True, **dict.fromkeys(counts, 0), **members}


def swept(invocation):
    """The clients in the log, each with its message. The last line is the record of the run."""
    *lines, last = invocation.log
    assert (last["function_request_id"], last["swept"]) == (invocation.request_id, len(lines))
    assert "_aws" in last
    return {line["client_id"]: line["message"] for line in lines}


@pytest.mark.parametrize("event", sorted(BY_HAND.glob("schedule/*.json")), ids=lambda event: event.stem)
def test_by_default_the_sweep_observes_and_changes_nothing(empty, event):
    register_some(empty)
    before = whole(empty)
    with emulated(empty.port, SWEEP) as sweep:
        invocation = sweep.invoke(event)
    assert invocation.answer == report(due=3, swept=2, protected=1)
    assert swept(invocation) == dict.fromkeys(["never-used", "idle"], "would sweep a client")
    assert whole(empty) == before


def test_a_sweep_that_deletes_deletes_the_clients_that_are_due(empty):
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


def test_a_client_with_a_live_grant_is_kept(empty):
    now = int(time.time())
    for client, ends in [("holder", now + HOUR), ("former-holder", now - HOUR)]:
        register(empty, client, "used#f", 91 * DAY)
        issue(empty, client, 1, ends={"N": str(ends)})
    settings = {"GRANTS_TABLE": GRANTS["TableName"], "GRANTS_EXPIRE_AT": "ends"}
    with emulated(empty.port, SWEEP, **settings) as sweep:
        invocation = sweep.invoke(BY_HAND / "schedule/scheduler.json")
    assert invocation.answer == report(due=2, swept=1, granted=1)
    assert list(swept(invocation)) == ["former-holder"]
