"""Every method of `Clients`, over the local run."""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from botocore.exceptions import EndpointConnectionError
from conftest import NOW, Calls, Clock, Local, connect
from policy import violations

from deregister_clients import ClientExistsError, ClientGoneError, Clients, Deleted, Live, Unknown, UnreadableItemError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

METADATA = {
    "client_name": "My client",
    "redirect_uris": ["http://127.0.0.1:1/callback"],
    "jwks": {"keys": [{"kty": "EC", "alg": None, "ok": True}]},
    "default_max_age": 60,
    "ratio": 0.25,
}
TOKEN = "reg-1"
HOUR = 3600


@pytest.fixture
def client_id() -> str:
    return str(uuid4())


@pytest.fixture
def registered(clients: Clients, client_id: str, calls: Calls) -> str:
    clients.register(client_id, METADATA, TOKEN, own={"client_secret": "s3cret"})
    calls.take()
    return client_id


def item(database: DynamoDBClient, client_id: str) -> dict[str, Any]:
    answer = database.get_item(TableName="clients", Key={"pk": {"S": f"client#{client_id}"}}, ConsistentRead=True)
    return dict(answer.get("Item", {}))


def write(database: DynamoDBClient, client_id: str, **attributes: Any) -> None:
    database.put_item(TableName="clients", Item={"pk": {"S": f"client#{client_id}"}, **attributes})


def live(clients: Clients, client_id: str) -> Live:
    status = clients.status(client_id)
    assert isinstance(status, Live)
    return status


def delete(local: Local, client_id: str) -> None:
    assert local.delete(client_id, TOKEN) == 204


# Registration


def test_it_registers_a_client_that_registered_itself(
    clients: Clients, database: DynamoDBClient, client_id: str, calls: Calls
) -> None:
    clients.register(client_id, METADATA, TOKEN, service_id="s-1", own={"client_secret": "s3cret", "absent": None})
    assert calls.take() == ["UpdateItem"]
    shard = hashlib.sha256(client_id.encode()).hexdigest()[0]
    stored = item(database, client_id)
    metadata = stored["client"]["M"].pop("metadata")["M"]
    assert metadata["jwks"] == {
        "M": {"keys": {"L": [{"M": {"kty": {"S": "EC"}, "alg": {"NULL": True}, "ok": {"BOOL": True}}}]}}
    }
    assert stored == {
        "pk": {"S": f"client#{client_id}"},
        "client": {
            "M": {
                "kind": {"S": "oauth"},
                "service_id": {"S": "s-1"},
                "dynamic": {"BOOL": True},
                "registration_token_digest": {"B": hashlib.sha256(TOKEN.encode()).digest()},
                "version": {"N": "1"},
                "client_secret": {"S": "s3cret"},
            }
        },
        "idle": {"S": f"unused#{shard}"},
        "idle_since": {"N": str(NOW)},
    }


def test_deregister_reads_the_item(local: Local, clients: Clients, registered: str) -> None:
    shown = json.loads(local.operate("client", "show", registered, "--json"))
    names = ("client_name", "redirect_uris", "dynamic", "has_registration_token", "version", "registered_at")
    assert {name: shown[name] for name in names} == {
        "client_name": METADATA["client_name"],
        "redirect_uris": METADATA["redirect_uris"],
        "dynamic": True,
        "has_registration_token": True,
        "version": 1,
        "registered_at": "2027-01-15T08:00:00Z",
    }
    assert clients.accepts(registered, NOW)
    assert json.loads(local.operate("client", "show", registered, "--json"))["last_used_at"] == "2027-01-15T08:00:00Z"


def test_a_static_client_is_not_tracked(clients: Clients, database: DynamoDBClient, client_id: str) -> None:
    clients.register(client_id, {}, dynamic=False)
    assert item(database, client_id).keys() == {"pk", "client"}
    assert not live(clients, client_id).dynamic


def test_it_refuses_the_id_of_a_live_client(clients: Clients, registered: str) -> None:
    with pytest.raises(ClientExistsError, match=registered):
        clients.register(registered, {"client_name": "Another"})
    assert live(clients, registered).metadata == METADATA


def test_it_refuses_the_id_of_a_deleted_client(local: Local, clients: Clients, registered: str) -> None:
    delete(local, registered)
    with pytest.raises(ClientExistsError):
        clients.register(registered, METADATA)
    assert isinstance(clients.status(registered), Deleted)


@pytest.mark.parametrize("odd", ["", "x" * 2041, "\udc80"])
def test_no_client_can_have_an_id_that_is_no_key(clients: Clients, calls: Calls, odd: str) -> None:
    assert clients.status(odd) == Unknown()
    with pytest.raises(ValueError):
        clients.register(odd, METADATA)
    with pytest.raises(ClientGoneError):
        clients.update(odd, METADATA)
    assert calls.take() == []


def test_the_longest_id_is_registered(clients: Clients, client_id: str) -> None:
    longest = client_id.ljust(2040, "x")
    clients.register(longest, METADATA)
    assert live(clients, longest).metadata == METADATA


def test_own_members_cannot_have_the_names_of_deregister(clients: Clients, client_id: str) -> None:
    with pytest.raises(ValueError, match="dynamic, version"):
        clients.register(client_id, METADATA, own={"version": 7, "dynamic": False, "client_secret": "x"})


def test_the_error_for_an_odd_value_does_not_contain_it(clients: Clients, client_id: str) -> None:
    class Secret:
        def __repr__(self) -> str:
            return "s3cret"

    with pytest.raises(TypeError) as error:
        clients.register(client_id, METADATA, own={"client_secret": Secret()})
    assert "s3cret" not in str(error.value) and error.value.__context__ is None


# Status


def test_a_registered_client_is_live(clients: Clients, registered: str, calls: Calls) -> None:
    status = live(clients, registered)
    assert calls.take() == ["GetItem"]
    assert (status.dynamic, status.revoked_until, status.used_at) == (True, None, None)
    assert status.metadata == METADATA
    assert status.own == {"client_secret": "s3cret"}
    assert status.accepts(0)


def test_a_client_shows_no_secret(clients: Clients, registered: str) -> None:
    assert "s3cret" not in repr(live(clients, registered))


def test_an_unknown_client_has_no_grants(clients: Clients, client_id: str) -> None:
    assert clients.status(client_id) == Unknown()
    assert not clients.status(client_id).accepts(NOW)
    assert not clients.accepts(client_id, NOW)


def test_a_deleted_client_has_no_grants(local: Local, clients: Clients, registered: str) -> None:
    delete(local, registered)
    status = clients.status(registered)
    assert isinstance(status, Deleted)
    assert status.record["via"] == "registration"
    assert not status.accepts(NOW * 2)
    assert not clients.accepts(registered, NOW * 2)


def test_a_restored_client_has_only_later_grants(
    local: Local, clients: Clients, registered: str, database: DynamoDBClient
) -> None:
    delete(local, registered)
    local.operate("client", "restore", registered, "--by", "jane")
    restored_at = int(item(database, registered)["history"]["L"][0]["M"]["restored"]["M"]["at"]["N"])
    status = live(clients, registered)
    assert status.revoked_until == restored_at
    assert status.metadata == METADATA and status.own == {"client_secret": "s3cret"}
    assert not clients.accepts(registered, restored_at - 1)
    assert not clients.accepts(registered, restored_at)
    assert not clients.accepts(registered, restored_at + 0.9)
    assert clients.accepts(registered, restored_at + 1)


def test_a_revocation_refuses_earlier_grants_and_keeps_the_client(local: Local, clients: Clients, registered: str) -> None:
    revoked = json.loads(local.operate("--json", "client", "revoke", registered))
    revoked_until = live(clients, registered).revoked_until
    assert revoked_until is not None and revoked["outcome"] == "revoked"
    assert not clients.accepts(registered, revoked_until)
    assert clients.accepts(registered, revoked_until + 1)
    assert clients.verify_registration_access_token(registered, TOKEN)


def test_a_blocked_id_is_refused_stored_or_not(local: Local, clients: Clients, registered: str) -> None:
    url = f"https://{registered}.example/metadata.json"
    assert isinstance(clients.status(url), Unknown)
    assert not clients.status(url).is_blocked and not clients.status(registered).is_blocked
    local.operate("client", "block", url, registered)
    for client_id in (url, registered):
        assert clients.status(client_id).is_blocked
        assert isinstance(clients.status(client_id), Deleted)
        assert not clients.accepts(client_id, NOW * 2)
        with pytest.raises(ClientExistsError):
            clients.register(client_id, METADATA)
    local.operate("client", "unblock", url, registered)
    assert isinstance(clients.status(url), Unknown) and live(clients, registered).revoked_until
    clients.register(url, METADATA)


def test_a_deleted_client_is_not_blocked(local: Local, clients: Clients, registered: str) -> None:
    delete(local, registered)
    assert not clients.status(registered).is_blocked


def entry(at: Any, restored: Any) -> dict[str, Any]:
    return {"M": {"at": at, "restored": {"M": {"at": restored}}}}


def number(value: object) -> dict[str, str]:
    return {"N": str(value)}


CLIENT: dict[str, Any] = {"M": {"kind": {"S": "oauth"}, "dynamic": {"BOOL": True}}}


@pytest.mark.parametrize(
    ("history", "revoked_until"),
    [
        ([entry(number(10), number(20)), entry(number(5), number(15))], 20),
        ([entry(number(30), number(20))], 30),
        ([entry({"S": "odd"}, number(20))], 20),
        ([], None),
    ],
)
def test_the_latest_time_of_the_history_counts(
    clients: Clients, database: DynamoDBClient, client_id: str, history: Any, revoked_until: int | None
) -> None:
    write(database, client_id, client=CLIENT, history={"L": history})
    assert live(clients, client_id).revoked_until == revoked_until


UNREADABLE: list[tuple[str, dict[str, Any]]] = [
    ("client", {"client": {"S": "odd"}}),
    ("client.kind", {"client": {"M": {"kind": {"S": "odd"}}}}),
    ("client.kind", {"client": {"M": {"kind": {"N": "1"}}}}),
    ("client.kind", {"client": {"M": {}}}),
    ("client.dynamic", {"client": {"M": {"kind": {"S": "oauth"}, "dynamic": {"S": "true"}}}}),
    ("history", {"client": CLIENT, "history": {"M": {}}}),
    ("history[1]", {"client": CLIENT, "history": {"L": [entry(number(1), number(2)), {"S": "odd"}]}}),
    ("history[0].restored", {"client": CLIENT, "history": {"L": [{"M": {"at": number(1)}}]}}),
    ("history[0].restored", {"client": CLIENT, "history": {"L": [{"M": {"at": number(1), "restored": number(2)}}]}}),
    ("history[0].restored.at", {"client": CLIENT, "history": {"L": [{"M": {"restored": {"M": {}}}}]}}),
    ("history[0].restored.at", {"client": CLIENT, "history": {"L": [entry(number(1), {"S": "2"})]}}),
    ("history[0].restored.at", {"client": CLIENT, "history": {"L": [entry(number(1), number(253402300800))]}}),
    ("history[0].restored.at", {"client": CLIENT, "history": {"L": [entry(number(1), number(1.5))]}}),
    ("deleted", {"deleted": {"S": "odd"}}),
    ("deleted", {}),
    ("deleted.blocked", {"deleted": {"M": {"blocked": {"BOOL": True}}}}),
]


@pytest.mark.parametrize(("member", "attributes"), UNREADABLE)
def test_an_unreadable_member_is_an_error(
    clients: Clients, database: DynamoDBClient, client_id: str, member: str, attributes: dict[str, Any]
) -> None:
    write(database, client_id, **attributes)
    with pytest.raises(UnreadableItemError) as error:
        clients.status(client_id)
    assert str(error.value) == f"{member} of the client {client_id} cannot be read"
    with pytest.raises(UnreadableItemError):
        clients.accepts(client_id, NOW)


def test_a_member_that_only_describes_counts_as_absent(
    clients: Clients, database: DynamoDBClient, client_id: str
) -> None:
    client = {"kind": {"S": "oauth"}, "metadata": {"S": "odd"}}
    write(database, client_id, client={"M": client}, idle={"S": "used#0"}, idle_since={"N": "-1"})
    status = live(clients, client_id)
    assert (status.dynamic, status.metadata, status.used_at) == (False, {}, None)


def test_a_token_whose_digest_begins_like_that_of_the_right_one_is_refused(clients: Clients, client_id: str) -> None:
    def first(token: str) -> int:
        return hashlib.sha256(token.encode()).digest()[0]

    alike = next(token for token in map(str, range(10_000)) if first(token) == first("right"))
    clients.register(client_id, {}, "right")
    assert clients.verify_registration_access_token(client_id, "right")
    assert clients.verify_registration_access_token(client_id, alike) is None


def test_a_client_of_the_configuration_api_is_unknown_and_not_changed(
    clients: Clients, database: DynamoDBClient, client_id: str
) -> None:
    write(database, client_id, client={"M": {"kind": {"S": "api"}, "dynamic": {"S": "odd"}}})
    assert clients.status(client_id) == Unknown()
    assert not clients.accepts(client_id, NOW)
    with pytest.raises(ClientGoneError):
        clients.update(client_id, {})
    with pytest.raises(ClientGoneError):
        clients.rotate_registration_access_token(client_id, "token")


def test_a_client_without_a_mark_is_static(clients: Clients, database: DynamoDBClient, client_id: str) -> None:
    write(database, client_id, client={"M": {"kind": {"S": "oauth"}}})
    assert not live(clients, client_id).dynamic


def test_values_of_every_type_are_read(clients: Clients, database: DynamoDBClient, client_id: str) -> None:
    own = {
        "set": {"SS": ["a"]}, "numbers": {"NS": ["1.5"]}, "bytes": {"B": b"\0"}, "all": {"BS": [b"\1"]},
        "whole": {"N": "7"}, "null": {"NULL": True},
    }  # fmt: skip
    write(database, client_id, client={"M": {**CLIENT["M"], **own}})
    assert live(clients, client_id).own == {
        "set": ["a"], "numbers": [1.5], "bytes": b"\0", "all": [b"\1"], "whole": 7, "null": None,
    }  # fmt: skip


def test_a_database_that_is_down_is_an_exception(client_id: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        clients = Clients(connect(f"http://127.0.0.1:{closed.getsockname()[1]}"), "clients")
        withdrawn: list[str] = []
        calls: list[Callable[[], object]] = [
            lambda: clients.status(client_id),
            lambda: clients.accepts(client_id, NOW),
            lambda: clients.note_use(client_id, Live(dynamic=True, revoked_until=None, used_at=None, client={})),
            lambda: clients.issue(client_id, NOW, lambda: "grant", withdrawn.append),
            lambda: clients.register(client_id, METADATA),
            lambda: clients.update(client_id, METADATA),
            lambda: clients.rotate_registration_access_token(client_id, TOKEN),
            lambda: clients.verify_registration_access_token(client_id, TOKEN),
        ]
        for call in calls:
            with pytest.raises(EndpointConnectionError):
                call()
        assert withdrawn == ["grant"]


# Uses


def used(database: DynamoDBClient, client_id: str) -> tuple[str, str]:
    stored = item(database, client_id)
    return stored["idle"]["S"], stored["idle_since"]["N"]


def test_a_use_is_noted_once_an_hour(
    clients: Clients, database: DynamoDBClient, registered: str, calls: Calls, clock: Clock
) -> None:
    shard = hashlib.sha256(registered.encode()).hexdigest()[0]
    for passed, made in [
        (0, ["GetItem", "UpdateItem"]),
        (0, ["GetItem"]),
        (HOUR - 1, ["GetItem"]),
        (HOUR, ["GetItem", "UpdateItem"]),
        (HOUR + 1, ["GetItem"]),
        (2 * HOUR, ["GetItem", "UpdateItem"]),
    ]:
        clock.now = NOW + passed
        assert clients.accepts(registered, NOW)
        assert calls.take() == made
        if len(made) == 2:
            assert used(database, registered) == (f"used#{shard}", str(NOW + passed))


def test_a_use_of_a_static_client_is_not_noted(clients: Clients, client_id: str, calls: Calls) -> None:
    clients.register(client_id, {}, dynamic=False)
    calls.take()
    assert clients.accepts(client_id, NOW)
    assert calls.take() == ["GetItem"]


@pytest.mark.parametrize(
    "idle",
    [
        {},
        {"idle": {"S": "unused#0"}, "idle_since": {"N": str(NOW)}},
        {"idle": {"S": "used#0"}, "idle_since": {"N": str(NOW * 1000)}},
        {"idle": {"S": "used#0"}},
        {"idle_since": {"N": str(NOW)}},
    ],
)
def test_a_use_is_noted_over_attributes_that_say_no_use(
    clients: Clients, database: DynamoDBClient, client_id: str, idle: Any
) -> None:
    if idle.get("idle") == {"S": "used#0"}:
        idle = {**idle, "idle": {"S": f"used#{hashlib.sha256(client_id.encode()).hexdigest()[0]}"}}
    write(database, client_id, client=CLIENT, **idle)
    assert clients.accepts(client_id, NOW)
    assert used(database, client_id)[1] == str(NOW)


def test_a_use_that_another_process_noted_is_enough(
    clients: Clients, database: DynamoDBClient, registered: str, calls: Calls, clock: Clock
) -> None:
    status = clients.status(registered)
    assert clients.note_use(registered, status)
    calls.take()
    clock.now = NOW + 1
    assert clients.note_use(registered, status)
    assert calls.take() == ["UpdateItem", "GetItem"]
    assert used(database, registered)[1] == str(NOW)


def test_a_client_that_is_deleted_before_its_use_is_noted_is_refused(
    local: Local, clients: Clients, registered: str, database: DynamoDBClient, calls: Calls
) -> None:
    status = clients.status(registered)
    delete(local, registered)
    calls.take()
    assert not clients.note_use(registered, status)
    assert calls.take() == ["UpdateItem", "GetItem"]
    assert "client" not in item(database, registered)


def test_a_client_that_is_not_live_is_not_noted(clients: Clients, client_id: str, calls: Calls) -> None:
    assert not clients.note_use(client_id, Unknown())
    assert not clients.note_use(client_id, Deleted({}))
    assert calls.take() == []


def fill(database: DynamoDBClient, client_id: str) -> None:
    """Fills the item up to the last byte that the database takes."""
    low, high = 0, 410 * 1024
    while low < high:
        middle = (low + high + 1) // 2
        try:
            write(database, client_id, client={"M": {**CLIENT["M"], "padding": {"S": "x" * middle}}})
            low = middle
        except database.exceptions.ClientError as error:
            assert error.response["Error"]["Code"] == "ValidationException"
            high = middle - 1
    write(database, client_id, client={"M": {**CLIENT["M"], "padding": {"S": "x" * low}}})


def test_a_client_whose_item_is_full_is_live(
    clients: Clients, database: DynamoDBClient, client_id: str, calls: Calls
) -> None:
    fill(database, client_id)
    assert clients.accepts(client_id, NOW)
    assert calls.take() == ["GetItem", "UpdateItem", "GetItem"]
    assert "idle" not in item(database, client_id)


# Issuing


def test_a_grant_is_stored_before_the_check(clients: Clients, registered: str, calls: Calls) -> None:
    stored: list[list[str]] = []

    def store() -> str:
        stored.append(calls.take())
        return "grant"

    withdrawn: list[str] = []
    assert clients.issue(registered, NOW, store, withdrawn.append) == "grant"
    assert (stored, calls.take(), withdrawn) == ([[]], ["GetItem", "UpdateItem"], [])


def test_a_grant_is_withdrawn_if_the_client_is_deleted_before_the_check(
    local: Local, clients: Clients, registered: str
) -> None:
    def store() -> str:
        delete(local, registered)
        return "grant"

    withdrawn: list[str] = []
    assert clients.issue(registered, NOW, store, withdrawn.append) is None
    assert withdrawn == ["grant"]


def test_a_grant_is_withdrawn_if_its_basis_is_from_before_a_restoration(
    local: Local, clients: Clients, registered: str
) -> None:
    delete(local, registered)
    local.operate("client", "restore", registered, "--by", "jane")
    restored_at = live(clients, registered).revoked_until or 0
    withdrawn: list[str] = []
    assert clients.issue(registered, restored_at, lambda: "old", withdrawn.append) is None
    assert clients.issue(registered, restored_at + 1, lambda: "new", withdrawn.append) == "new"
    assert withdrawn == ["old"]


# Changes


def protect(database: DynamoDBClient, client_id: str) -> None:
    database.update_item(
        TableName="clients",
        Key={"pk": {"S": f"client#{client_id}"}},
        UpdateExpression="SET client.protected = :false, client.extra = :extra",
        ExpressionAttributeValues={":false": {"BOOL": False}, ":extra": {"S": "of another program"}},
    )


def test_an_update_replaces_the_metadata_and_keeps_the_rest(
    clients: Clients, database: DynamoDBClient, registered: str, calls: Calls
) -> None:
    protect(database, registered)
    before = item(database, registered)
    clients.update(registered, {"client_name": "New"})
    assert calls.take() == ["UpdateItem"]
    members = {**before["client"]["M"], "metadata": {"M": {"client_name": {"S": "New"}}}, "version": {"N": "2"}}
    assert item(database, registered) == {**before, "client": {"M": members}}


def test_an_update_sets_and_removes_own_members(clients: Clients, registered: str) -> None:
    clients.update(registered, METADATA, own={"client_secret": None, "software": {"major": 2}})
    assert live(clients, registered).own == {"software": {"major": 2}}


def test_an_update_without_a_version_begins_at_one(
    clients: Clients, database: DynamoDBClient, client_id: str
) -> None:
    write(database, client_id, client=CLIENT)
    clients.update(client_id, METADATA)
    assert item(database, client_id)["client"]["M"]["version"] == {"N": "1"}


def test_a_rotation_replaces_the_token_at_the_endpoint(
    local: Local, clients: Clients, database: DynamoDBClient, registered: str
) -> None:
    protect(database, registered)
    before = item(database, registered)
    clients.rotate_registration_access_token(registered, "reg-2")
    digest = {"B": hashlib.sha256(b"reg-2").digest()}
    members = {**before["client"]["M"], "registration_token_digest": digest, "version": {"N": "2"}}
    assert item(database, registered) == {**before, "client": {"M": members}}
    assert local.delete(registered, TOKEN) == 401
    assert local.delete(registered, "reg-2") == 204


def test_an_update_can_replace_the_token(local: Local, clients: Clients, registered: str) -> None:
    clients.update(registered, METADATA, "reg-2")
    assert local.delete(registered, TOKEN) == 401
    assert local.delete(registered, "reg-2") == 204


def test_a_deleted_client_is_not_changed(
    local: Local, clients: Clients, database: DynamoDBClient, registered: str, client_id: str
) -> None:
    delete(local, registered)
    before = item(database, registered)
    unknown = f"{client_id}-unknown"
    for gone in (registered, unknown):
        with pytest.raises(ClientGoneError, match=gone):
            clients.update(gone, METADATA)
        with pytest.raises(ClientGoneError, match=gone):
            clients.rotate_registration_access_token(gone, "reg-2")
    assert item(database, registered) == before
    assert item(database, unknown) == {}


def test_the_registration_access_token_authenticates(
    local: Local, clients: Clients, registered: str, client_id: str, calls: Calls
) -> None:
    found = clients.verify_registration_access_token(registered, TOKEN)
    assert found is not None and found.metadata == METADATA
    assert clients.verify_registration_access_token(registered, "reg-2") is None
    assert clients.verify_registration_access_token(registered, "\udc80") is None
    assert calls.take() == ["GetItem"] * 3
    delete(local, registered)
    assert clients.verify_registration_access_token(registered, TOKEN) is None
    assert clients.verify_registration_access_token(f"{client_id}-unknown", TOKEN) is None


def test_a_client_without_a_token_cannot_authenticate(
    clients: Clients, database: DynamoDBClient, client_id: str
) -> None:
    clients.register(client_id, METADATA)
    assert clients.verify_registration_access_token(client_id, "") is None
    for odd in ({"S": "x" * 32}, {"B": b"short"}, {"NULL": True}):
        write(database, client_id, client={"M": {**CLIENT["M"], "registration_token_digest": odd}})
        with pytest.raises(UnreadableItemError, match="registration_token_digest"):
            clients.verify_registration_access_token(client_id, TOKEN)


# The policy


def test_the_policy_permits_every_call(clients: Clients, client_id: str, calls: Calls) -> None:
    clients.register(client_id, METADATA, TOKEN, own={"client_secret": "s3cret"})
    assert clients.accepts(client_id, NOW)
    clients.update(client_id, METADATA, own={"client_secret": None, "software": "x"})
    clients.rotate_registration_access_token(client_id, "reg-2")
    assert clients.verify_registration_access_token(client_id, "reg-2")
    assert [violations(name, params) for name, params in calls.made] == [[]] * 6
    assert all(params.get("ConsistentRead") for name, params in calls.made if name == "GetItem")


KEY = {"pk": {"S": "client#1"}}
FAILURE = "ReturnValuesOnConditionCheckFailure"


@pytest.mark.parametrize(
    ("action", "params", "violation"),
    [
        ("PutItem", {"Item": KEY}, "PutItem"),
        ("GetItem", {"Key": KEY}, "Select"),
        ("GetItem", {"Key": KEY, "ProjectionExpression": "client.kind, tombstone"}, "tombstone"),
        ("GetItem", {"Key": KEY, "ProjectionExpression": "#a", "ExpressionAttributeNames": {"#a": "hidden"}}, "hidden"),
        ("UpdateItem", {"Key": KEY, "UpdateExpression": "SET history = :history"}, "history"),
        ("UpdateItem", {"Key": KEY, "ConditionExpression": "attribute_not_exists(deleted)"}, "deleted"),
        ("UpdateItem", {"Key": KEY, "ReturnValues": "ALL_OLD"}, "ReturnValues"),
        ("UpdateItem", {"Key": {"pk": {"S": "token#1"}}}, "LeadingKeys"),
        ("UpdateItem", {"Key": KEY, FAILURE: "ALL_OLD"}, FAILURE),
    ],
)  # fmt: skip
def test_the_policy_refuses_others(action: str, params: dict[str, Any], violation: str) -> None:
    assert violations(action, params) == [violation]
