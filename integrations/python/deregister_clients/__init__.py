"""The clients table of deregister, for authorization servers.

:class:`Clients` registers and changes OAuth clients. It also makes the revocation check: a server calls it before it
accepts or issues a grant. So deregister can delete a client, and its grants stop working at once.

If the database fails, each method raises the exception of botocore. After a failure, no method reports a client
as live. The calls need only the rights of ``ServerPolicy``. No method reads or erases a tombstone.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, TypeVar

from botocore.exceptions import ClientError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = [
    "ClientExistsError",
    "ClientGoneError",
    "Clients",
    "Deleted",
    "Live",
    "Status",
    "Unknown",
    "UnreadableItemError",
]

Grant = TypeVar("Grant")

USE_GRANULARITY_SECONDS: Final = 3600
"""At most one use of a client is noted in this time."""
MAX_ID_BYTES: Final = 2040
"""The longest client id. It is the limit of deregister for a part of a key."""
YEAR_10000: Final = 253_402_300_800
"""The first second of the year 10000. A later number is no time in seconds."""
MEMBERS: Final = frozenset(
    {"kind", "service_id", "dynamic", "registration_token_digest", "metadata", "protected", "version"}
    | {"app_id", "features", "secrets", "ip_allow_list"}
)
"""The members of clients that deregister uses: of OAuth clients, and of API clients. A server must not use these names for
its own members."""


class ClientExistsError(Exception):
    """The client id is taken: by a live client, or by the tombstone of a deleted one. Register with another id."""


class ClientGoneError(Exception):
    """The client to change is deleted, or never existed."""


class UnreadableItemError(Exception):
    """A member that the revocation check needs cannot be read. Refuse the request. ``deregisterctl table check`` explains the item."""


@dataclass(frozen=True)
class Live:
    """A live client: what the revocation check needs, and its members."""

    dynamic: bool
    """Whether the client registered itself. The sweep deletes only such clients."""
    revoked_until: int | None
    """The latest second in the history, of a revocation, a restoration or a deletion. Everything that was issued up to it
    stays revoked."""
    used_at: int | None
    """The second of the last noted use. ``None`` if no use was noted."""
    client: Mapping[str, Any] = field(repr=False)
    """All members of the client. They can contain secrets, so ``repr`` leaves them out."""

    is_blocked: Final = False
    """A blocked client is not live."""

    def accepts(self, issued_at: float) -> bool:
        """Whether to accept what was issued at this time. Whole seconds count, as in ``iat``."""
        return self.revoked_until is None or int(issued_at) > self.revoked_until

    @property
    def metadata(self) -> dict[str, Any]:
        """The client metadata of RFC 7591. Empty if the client has none."""
        metadata = self.client.get("metadata")
        return dict(metadata) if isinstance(metadata, dict) else {}

    @property
    def own(self) -> dict[str, Any]:
        """The server's own members, such as a client secret. After a restoration of a nearly full item they can be
        missing. Do not give a client more rights because one is missing."""
        return {name: value for name, value in self.client.items() if name not in MEMBERS}


@dataclass(frozen=True)
class Deleted:
    """A deleted client or a blocked id, with the record of the deletion."""

    record: Mapping[str, Any] = field(repr=False)
    """The record of the deletion, for a log: ``at``, ``by``, ``via`` and others, as far as they are there."""

    @property
    def is_blocked(self) -> bool:
        """Whether an operator blocked the id. This is the check for a client that the server does not store, such as one
        whose id is the URL of its metadata document. For it, ``Unknown`` is usual, and only a block refuses it."""
        return "blocked" in self.record

    def accepts(self, issued_at: float) -> bool:
        """A deleted client has no valid grants."""
        return False


@dataclass(frozen=True)
class Unknown:
    """No OAuth client has this id."""

    is_blocked: Final = False
    """The item of a blocked id exists."""

    def accepts(self, issued_at: float) -> bool:
        """An unknown client has no valid grants."""
        return False


Status = Live | Deleted | Unknown


class Clients:
    """The OAuth clients in the clients table. Threads can share an instance, as they can share ``dynamodb``."""

    def __init__(self, dynamodb: DynamoDBClient, table: str, clock: Callable[[], float] = time.time) -> None:
        self._dynamodb = dynamodb
        self._table = table
        self._clock = clock

    def status(self, client_id: str) -> Status:
        """Reads the client status and the members of the client, with one strongly consistent call.

        :raises UnreadableItemError: if a member that the status needs cannot be read.
        """
        key = _key(client_id)
        if key is None:
            return Unknown()
        answer = self._dynamodb.get_item(
            TableName=self._table,
            Key=key,
            ConsistentRead=True,
            ProjectionExpression="client, deleted, history, idle, idle_since",
        )
        return _read(client_id, answer["Item"]) if "Item" in answer else Unknown()

    def note_use(self, client_id: str, status: Status) -> bool:
        """Notes that the client is used now. Returns whether it is still live.

        This is one write for each client and hour, and only for clients that registered themselves. Otherwise it makes
        no call. If the item has no room for the note, the use is not noted.
        """
        if not isinstance(status, Live):
            return False
        now = int(self._clock())
        an_hour_ago = now - USE_GRANULARITY_SECONDS
        if not status.dynamic or (status.used_at is not None and status.used_at > an_hour_ago):
            return True
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key={"pk": {"S": f"client#{client_id}"}},
                UpdateExpression="SET idle = :used, idle_since = :now",
                ConditionExpression="attribute_exists(client) AND (attribute_not_exists(idle) OR "
                "attribute_not_exists(idle_since) OR idle <> :used OR idle_since <= :an_hour_ago OR "
                "idle_since >= :year_10000)",
                ExpressionAttributeValues={
                    ":used": _idle(client_id, used=True),
                    ":now": {"N": str(now)},
                    ":an_hour_ago": {"N": str(an_hour_ago)},
                    ":year_10000": {"N": str(YEAR_10000)},
                },
            )
        except ClientError as error:
            # Another process noted a use, the client is deleted, or the item is full. The failed write does not return
            # the item, because the server must not read a tombstone. So this reads the status again.
            if error.response["Error"]["Code"] not in ("ConditionalCheckFailedException", "ValidationException"):
                raise
            return isinstance(self.status(client_id), Live)
        return True

    def accepts(self, client_id: str, issued_at: float) -> bool:
        """The revocation check: whether to accept a grant that was issued to the client at this time. Notes the use.

        A resource server that may not write calls ``status(client_id).accepts(issued_at)`` instead.
        """
        status = self.status(client_id)
        return status.accepts(issued_at) and self.note_use(client_id, status)

    def issue(
        self, client_id: str, basis_issued_at: float, store: Callable[[], Grant], withdraw: Callable[[Grant], object]
    ) -> Grant | None:
        """Issues a grant: stores it, makes the revocation check, and only then returns it. Otherwise withdraws it.

        :param basis_issued_at: when the basis of the grant was issued: the code, the consent or the refresh token.
        :param store: stores the grant under the client's id and returns it.
        :param withdraw: removes the grant again. It is also called if the check raises an exception.
        :returns: ``None`` if the client must not have the grant.
        """
        grant = store()
        accepted = False
        try:
            accepted = self.accepts(client_id, basis_issued_at)
        finally:
            if not accepted:
                withdraw(grant)
        return grant if accepted else None

    def register(
        self,
        client_id: str,
        metadata: Mapping[str, object],
        registration_access_token: str | None = None,
        *,
        dynamic: bool = True,
        service_id: str | None = None,
        own: Mapping[str, object] | None = None,
    ) -> None:
        """Registers a client (RFC 7591).

        :param client_id: a new id. Do not reuse the id of an earlier client while any of its grants is stored and valid.
        :param registration_access_token: the token with which the client can delete itself. Only its digest is stored.
        :param dynamic: whether the client registered itself. The sweep can delete it then.
        :param own: own members of the server, such as a client secret. Keep secrets out of ``metadata``.
        :raises ClientExistsError: if the id is taken. botocore repeats a call without an answer, and the repetition can
            find the item of the first attempt. In both cases, register with another id.
        """
        key = _key(client_id)
        if key is None:
            raise ValueError(f"a client id has 1 to {MAX_ID_BYTES} bytes of UTF-8")
        client = _changes(metadata, registration_access_token, own)
        client |= {"kind": "oauth", "service_id": service_id, "dynamic": dynamic, "version": 1}
        values = {":client": _value({name: value for name, value in client.items() if value is not None})}
        update = "SET client = :client"
        if dynamic:
            update += ", idle = :idle, idle_since = :now"
            values |= {":idle": _idle(client_id, used=False), ":now": {"N": str(int(self._clock()))}}
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=key,
                UpdateExpression=update,
                ConditionExpression="attribute_not_exists(pk)",
                ExpressionAttributeValues=values,
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            raise ClientExistsError(client_id) from None

    def update(
        self,
        client_id: str,
        metadata: Mapping[str, object],
        registration_access_token: str | None = None,
        *,
        own: Mapping[str, object] | None = None,
    ) -> None:
        """Replaces the metadata of a client (RFC 7592, section 2.2), and with a token its registration access token.

        :param own: own members to set. ``None`` as a value removes the member. All others stay.
        :raises ClientGoneError: if the client is not live.
        """
        self._change(client_id, _changes(metadata, registration_access_token, own))

    def rotate_registration_access_token(self, client_id: str, registration_access_token: str) -> None:
        """Replaces the registration access token. The old one stops working at once.

        :raises ClientGoneError: if the client is not live.
        """
        self._change(client_id, {"registration_token_digest": _digest(registration_access_token)})

    def verify_registration_access_token(self, client_id: str, registration_access_token: str) -> Live | None:
        """Authenticates a request to the client configuration endpoint (RFC 7592).

        :returns: the client, or ``None`` if the token is not the token of a live client. The answer is 401 then.
        :raises UnreadableItemError: if the digest of the token or the item cannot be read.
        """
        status = self.status(client_id)
        if not isinstance(status, Live) or "registration_token_digest" not in status.client:
            return None
        digest = status.client["registration_token_digest"]
        if not isinstance(digest, bytes) or len(digest) != hashlib.sha256().digest_size:
            raise _unreadable(client_id, "client.registration_token_digest")
        return status if hmac.compare_digest(digest, _digest(registration_access_token)) else None

    def _change(self, client_id: str, changes: Mapping[str, object]) -> None:
        """Sets members of the client, and removes those that are ``None``.

        Other members and those of other programs stay. The same write increments the version, so a deletion that is
        under way decides again.
        """
        key = _key(client_id)
        if key is None:
            raise ClientGoneError(client_id)
        names = {"#version": "version", "#kind": "kind"}
        values = {":zero": _value(0), ":one": _value(1), ":oauth": _value("oauth")}
        sets = ["client.#version = if_not_exists(client.#version, :zero) + :one"]
        removals = []
        for number, (name, value) in enumerate(changes.items()):
            names[f"#m{number}"] = name
            if value is None:
                removals.append(f"client.#m{number}")
            else:
                values[f":m{number}"] = _value(value)
                sets.append(f"client.#m{number} = :m{number}")
        try:
            self._dynamodb.update_item(
                TableName=self._table,
                Key=key,
                UpdateExpression="SET " + ", ".join(sets) + (" REMOVE " + ", ".join(removals) if removals else ""),
                ConditionExpression="client.#kind = :oauth",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )
        except self._dynamodb.exceptions.ConditionalCheckFailedException:
            raise ClientGoneError(client_id) from None


def _key(client_id: str) -> dict[str, Any] | None:
    """The key of a client's item. ``None`` if no client can have this id, so that such an id costs no call."""
    try:
        size = len(client_id.encode())
    except UnicodeEncodeError:
        return None
    return {"pk": {"S": f"client#{client_id}"}} if 1 <= size <= MAX_ID_BYTES else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()


def _idle(client_id: str, *, used: bool) -> dict[str, str]:
    """The partition of the index of idle clients."""
    return {"S": ("used#" if used else "unused#") + _digest(client_id).hex()[0]}


def _changes(
    metadata: Mapping[str, object], registration_access_token: str | None, own: Mapping[str, object] | None
) -> dict[str, object]:
    changes = dict(own or {})
    if taken := sorted(MEMBERS & changes.keys()):
        raise ValueError(f"deregister uses these members: {', '.join(taken)}")
    changes["metadata"] = metadata
    if registration_access_token is not None:
        changes["registration_token_digest"] = _digest(registration_access_token)
    return changes


def _unreadable(client_id: str, member: str) -> UnreadableItemError:
    return UnreadableItemError(f"{member} of the client {client_id} cannot be read")


def _read(client_id: str, item: Mapping[str, Any]) -> Status:
    """Reads the members that the status needs, by their types. An absent member is unreadable too."""

    def typed(holder: Mapping[str, Any], name: str, type_: str, place: str = "") -> Any:
        value = holder.get(name, {})
        if type_ not in value:
            raise _unreadable(client_id, place + name)
        return value[type_]

    if "client" not in item:
        record = typed(item, "deleted", "M")
        if "blocked" in record:
            typed(record, "blocked", "M", "deleted.")
        return Deleted(_plain({"M": record}))
    client = typed(item, "client", "M")
    kind = typed(client, "kind", "S", "client.")
    if kind not in ("api", "oauth"):
        raise _unreadable(client_id, "client.kind")
    if kind == "api":
        # A client of the Configuration API is in the same table. It is no OAuth client.
        return Unknown()
    dynamic = "dynamic" in client and typed(client, "dynamic", "BOOL", "client.")
    revoked_until = None
    for number, entry in enumerate(typed(item, "history", "L") if "history" in item else []):
        place = f"history[{number}]"
        if "M" not in entry:
            raise _unreadable(client_id, place)
        restored = typed(typed(entry["M"], "restored", "M", f"{place}."), "at", "N", f"{place}.restored.")
        restored_at = _seconds(restored, fraction=False)
        if restored_at is None:
            raise _unreadable(client_id, f"{place}.restored.at")
        # The time of the deletion only describes. If it cannot be read, it counts as absent.
        deleted_at = _seconds(entry["M"].get("at", {}).get("N", ""), fraction=False) or 0
        revoked_until = max(revoked_until or 0, restored_at, deleted_at)
    is_used = item.get("idle", {}).get("S", "").startswith("used#")
    used_at = _seconds(item.get("idle_since", {}).get("N", ""), fraction=True) if is_used else None
    return Live(dynamic=dynamic, revoked_until=revoked_until, used_at=used_at, client=_plain({"M": client}))


def _seconds(number: str, *, fraction: bool) -> int | None:
    """The time in whole seconds since the epoch. ``None`` if the number is no time from 1970 to 9999."""
    try:
        value = Decimal(number)
    except InvalidOperation:
        return None
    return int(value) if 0 <= value < YEAR_10000 and (fraction or value == int(value)) else None


def _value(value: object) -> dict[str, Any]:
    """The value in the types of DynamoDB. The error does not contain the value, because it can be a secret."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int() | float():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case bytes():
            return {"B": value}
        case Mapping():
            return {"M": {name: _value(member) for name, member in value.items()}}
        case list() | tuple():
            return {"L": [_value(member) for member in value]}
    raise TypeError(f"{type(value).__name__} is not a type of JSON, and not bytes")


def _plain(value: Mapping[str, Any]) -> Any:
    """The value in the types of JSON, and ``bytes``. A set becomes a list."""
    ((type_, content),) = value.items()
    match type_:
        case "NULL":
            return None
        case "N":
            number = Decimal(content)
            return int(number) if number == number.to_integral_value() else float(number)
        case "M":
            return {name: _plain(member) for name, member in content.items()}
        case "L":
            return [_plain(member) for member in content]
        case "NS":
            return [_plain({"N": member}) for member in content]
    return content
