"""The example: an MCP server, the client of the MCP SDK, and deregister."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import uvicorn
from conftest import Calls, Clock, Local, connect
from mcp import Client
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.provider import TokenError
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from mcp_server import Code, Grants, Provider, application, grant_id
from pydantic import AnyUrl

from deregister_clients import Clients

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CALLBACK = "http://127.0.0.1:1/callback"
VERIFIER = "v" * 64
CHALLENGE = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "add", "arguments": {"a": 1, "b": 2}}}


@contextmanager
def serving(provider: Provider, local: Local) -> Iterator[str]:
    """Serves the example, and yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(application(provider, url, f"{local.front}/register"), log_level="critical")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        try:
            yield url
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def clock() -> Clock:
    return Clock(int(time.time()))


@pytest.fixture
def provider(clients: Clients, clock: Clock, database: DynamoDBClient) -> Provider:
    return Provider(clients, Grants(database, "grants", clock), clock)


@pytest.fixture
def url(provider: Provider, local: Local) -> Iterator[str]:
    with serving(provider, local) as url:
        yield url


class Browser:
    """Follows the redirect of the authorization endpoint in place of a browser."""

    location = ""

    async def open(self, url: str) -> None:
        async with httpx2.AsyncClient() as http:
            answer = await http.get(url)
        if answer.status_code != 302:
            raise ConnectionRefusedError(f"{answer.status_code} {answer.json()['error']}")
        self.location = answer.headers["location"]

    async def callback(self) -> AuthorizationCodeResult:
        query = parse_qs(urlsplit(self.location).query)
        return AuthorizationCodeResult(code=query["code"][0], state=query["state"][0])


class Memory(TokenStorage):
    """What the client of the SDK keeps."""

    tokens: OAuthToken | None = None
    client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class SdkClient:
    """The client of the MCP SDK. It registers itself, and asks for authorization when it must."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.memory = Memory()
        self.registration: dict[str, Any] = {}
        self.refreshes: list[tuple[int, str]] = []

    async def _watch(self, answer: httpx2.Response) -> None:
        if answer.request.url.path == "/register":
            await answer.aread()
            self.registration = answer.json()
        if answer.request.url.path == "/token" and b"grant_type=refresh_token" in answer.request.content:
            await answer.aread()
            self.refreshes.append((answer.status_code, answer.json().get("error", "")))

    def add(self, *, expired: bool = False) -> object:
        """Calls the tool."""

        async def run() -> object:
            browser = Browser()
            oauth = OAuthClientProvider(
                f"{self.url}/mcp",
                OAuthClientMetadata(redirect_uris=[AnyUrl(CALLBACK)], client_name="SDK"),
                self.memory,
                browser.open,
                browser.callback,
            )
            if expired:
                await oauth._initialize()
                oauth.context.token_expiry_time = 1
            async with (
                httpx2.AsyncClient(auth=oauth, event_hooks={"response": [self._watch]}) as http,
                Client(streamable_http_client(f"{self.url}/mcp", http_client=http)) as client,
            ):
                result = await client.call_tool("add", {"a": 1, "b": 2})
                return result.structured_content

        return asyncio.run(run())


def call(url: str, access_token: str) -> int:
    """The status with which the MCP endpoint answers a call of the tool with this token."""
    answer = httpx2.post(f"{url}/mcp", json=CALL, headers={"Authorization": f"Bearer {access_token}"})
    assert answer.status_code != 200 or answer.json()["result"]["structuredContent"] == {"result": 3}
    return answer.status_code


def items(database: DynamoDBClient, client_id: str) -> list[dict[str, Any]]:
    answer = database.query(
        TableName="grants",
        KeyConditionExpression="client_id = :id",
        ExpressionAttributeValues={":id": {"S": client_id}},
        ConsistentRead=True,
    )
    return [dict(item) for item in answer["Items"]]


def await_cascade(database: DynamoDBClient, client_id: str) -> None:
    deadline = time.monotonic() + 20
    while items(database, client_id):
        assert time.monotonic() < deadline, "the cascade did not remove the grants"
        time.sleep(0.05)


def test_a_deletion_ends_the_access_of_the_sdk_client(
    url: str, local: Local, clients: Clients, database: DynamoDBClient, clock: Clock
) -> None:
    sdk = SdkClient(url)
    assert sdk.add() == {"result": 3}
    client_id = sdk.registration["client_id"]
    assert sdk.registration["registration_client_uri"] == f"{local.front}/register/{client_id}"
    old = sdk.memory.tokens
    assert old and old.refresh_token and call(url, old.access_token) == 200

    # The tables have digests of the tokens.
    grants = items(database, client_id)
    assert sorted(grant["grant_id"]["S"].split("#")[0] for grant in grants) == ["access", "refresh"]
    secrets = [old.access_token, old.refresh_token, sdk.registration["registration_access_token"]]
    assert not [secret for secret in secrets if secret in json.dumps(grants) + str(clients.status(client_id))]

    assert sdk.add(expired=True) == {"result": 3}
    assert sdk.refreshes == [(200, "")]
    assert call(url, old.access_token) == 401
    old = sdk.memory.tokens
    assert old and old.refresh_token and call(url, old.access_token) == 200
    grants = items(database, client_id)

    # The client deletes itself. The SDK does not keep the registration access token, so the test does.
    assert local.delete(client_id, sdk.registration["registration_access_token"]) == 204
    assert call(url, old.access_token) == 401
    for expired in (False, True):
        with pytest.RaisesGroup(
            pytest.RaisesExc(ConnectionRefusedError, match="400 invalid_request"), flatten_subgroups=True
        ):
            sdk.add(expired=expired)
    assert sdk.refreshes[1:] == [(401, "invalid_client")]
    await_cascade(database, client_id)

    # A restored client is live. Its grants stay refused, even if the table has them again.
    local.operate("client", "restore", client_id, "--by", "jane")
    for grant in grants:
        database.put_item(TableName="grants", Item=grant)
    clock.now = getattr(clients.status(client_id), "revoked_until") + 1
    assert call(url, old.access_token) == 401
    assert refresh(url, sdk.registration, old.refresh_token) == (400, "invalid_grant")
    assert sdk.add() == {"result": 3}
    assert sdk.memory.client and sdk.memory.client.client_id == client_id


def test_the_sdk_client_registers_again_if_its_registration_is_removed(url: str, local: Local) -> None:
    sdk = SdkClient(url)
    sdk.add()
    first = sdk.registration
    local.operate("client", "delete", first["client_id"], "--by", "jane", "--yes")
    sdk.memory = Memory()
    assert sdk.add() == {"result": 3}
    assert sdk.registration["client_id"] != first["client_id"]


# The endpoints without the client of the SDK


def register(url: str, **metadata: object) -> dict[str, Any]:
    answer = httpx2.post(f"{url}/register", json={"redirect_uris": [CALLBACK], **metadata})
    assert answer.status_code == 201 and answer.headers["cache-control"] == "no-store"
    return dict(answer.json())


def authorize(url: str, client: dict[str, Any], **more: str) -> dict[str, str]:
    """The parameters of the redirect."""
    query = {
        "response_type": "code", "client_id": client["client_id"], "redirect_uri": CALLBACK,
        "code_challenge": CHALLENGE, "code_challenge_method": "S256", "resource": f"{url}/mcp", **more,
    }  # fmt: skip
    answer = httpx2.get(f"{url}/authorize", params=query)
    assert answer.status_code == 302
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


def token(url: str, client: dict[str, Any], **form: str) -> httpx2.Response:
    credentials = {name: client[name] for name in ("client_id", "client_secret")}
    return httpx2.post(f"{url}/token", data={**credentials, **form})


def exchange(url: str, client: dict[str, Any], code: str) -> httpx2.Response:
    return token(
        url, client, grant_type="authorization_code", code=code, redirect_uri=CALLBACK, code_verifier=VERIFIER
    )


def refresh(url: str, client: dict[str, Any], refresh_token: str) -> tuple[int, str]:
    answer = token(url, client, grant_type="refresh_token", refresh_token=refresh_token)
    return answer.status_code, answer.json().get("error", "")


def test_a_code_is_used_once(url: str) -> None:
    client = register(url)
    code = authorize(url, client)["code"]
    assert exchange(url, client, code).status_code == 200
    again = exchange(url, client, code)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")


def test_only_one_of_several_simultaneous_exchanges_gets_tokens(url: str, provider: Provider) -> None:
    client = register(url)
    token = authorize(url, client)["code"]
    code = provider.load(Code, client["client_id"], token)
    assert code and provider.load(Code, client["client_id"], token)
    assert provider.exchange(code, grant_id(Code, token), [])
    with pytest.raises(TokenError, match="invalid_grant"):
        provider.exchange(code, grant_id(Code, token), [])


def test_a_token_for_another_resource_is_refused(url: str) -> None:
    client = register(url)
    code = authorize(url, client, resource="http://127.0.0.1:1/mcp")["code"]
    assert call(url, exchange(url, client, code).json()["access_token"]) == 401


def test_a_code_of_another_client_is_refused(url: str) -> None:
    client, other = register(url), register(url)
    code = authorize(url, client)["code"]
    assert exchange(url, other, code).json()["error"] == "invalid_grant"


def test_an_expired_grant_is_refused(url: str, clock: Clock) -> None:
    client = register(url)
    code = authorize(url, client)["code"]
    clock.now += 60
    assert exchange(url, client, code).json()["error"] == "invalid_grant"


def test_a_code_from_before_a_restoration_is_refused(
    url: str, local: Local, clients: Clients, database: DynamoDBClient, clock: Clock
) -> None:
    client = register(url)
    code = authorize(url, client)["code"]
    (grant,) = items(database, client["client_id"])
    assert local.delete(client["client_id"], client["registration_access_token"]) == 204
    await_cascade(database, client["client_id"])
    local.operate("client", "restore", client["client_id"], "--by", "jane")
    database.put_item(TableName="grants", Item=grant)
    clock.now = getattr(clients.status(client["client_id"]), "revoked_until") + 1
    assert exchange(url, client, code).json()["error"] == "invalid_grant"


def test_a_refresh_token_is_used_once(url: str) -> None:
    client = register(url)
    tokens = exchange(url, client, authorize(url, client)["code"]).json()
    assert refresh(url, client, tokens["refresh_token"]) == (200, "")
    assert refresh(url, client, tokens["refresh_token"]) == (400, "invalid_grant")
    assert call(url, tokens["access_token"]) == 401


@pytest.mark.parametrize("revoked", ["access_token", "refresh_token"])
def test_a_revocation_ends_both_tokens(url: str, revoked: str) -> None:
    client = register(url)
    tokens = exchange(url, client, authorize(url, client)["code"]).json()
    credentials = {name: client[name] for name in ("client_id", "client_secret")}
    assert httpx2.post(f"{url}/revoke", data={**credentials, "token": tokens[revoked]}).status_code == 200
    assert call(url, tokens["access_token"]) == 401
    assert refresh(url, client, tokens["refresh_token"]) == (400, "invalid_grant")


@pytest.mark.parametrize("odd", ["x", ".x", f"{'x' * 3000}.x", "client#1.x"])
def test_an_odd_access_token_is_refused(url: str, odd: str) -> None:
    assert call(url, odd) == 401


def test_a_refresh_token_is_no_access_token(url: str) -> None:
    client = register(url)
    tokens = exchange(url, client, authorize(url, client)["code"]).json()
    assert call(url, tokens["access_token"]) == 200
    assert call(url, tokens["refresh_token"]) == 401


def test_a_registration_that_is_refused_has_no_token(url: str) -> None:
    answer = httpx2.post(f"{url}/register", json={"redirect_uris": []})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")
    large = httpx2.post(f"{url}/register", content=b"x" * 5_000_000)
    assert large.status_code == 413


def delete_before_check(local: Local, database: DynamoDBClient, client: dict[str, Any], writes: int) -> Calls:
    """Deletes the client after this many writes of grants, before the check. Returns the calls from then on."""
    calls = Calls()

    def after_write(**_: Any) -> None:
        if [name for name, _ in calls.made].count("PutItem") == writes:
            assert local.delete(client["client_id"], client["registration_access_token"]) == 204
            calls.take()

    database.meta.events.register("before-parameter-build.dynamodb.*", calls.record)
    database.meta.events.register("after-call.dynamodb.PutItem", after_write)
    return calls


def test_a_client_that_is_deleted_during_the_authorization_gets_no_code(
    url: str, local: Local, database: DynamoDBClient
) -> None:
    client = register(url)
    calls = delete_before_check(local, database, client, 1)
    assert authorize(url, client) == {"error": "unauthorized_client"}
    assert calls.take() == ["DeleteItem"]
    assert items(database, client["client_id"]) == []


def test_a_client_that_is_deleted_during_the_exchange_gets_no_tokens(
    url: str, local: Local, database: DynamoDBClient
) -> None:
    client = register(url)
    code = authorize(url, client)["code"]
    calls = delete_before_check(local, database, client, 2)
    answer = exchange(url, client, code)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert calls.take() == ["DeleteItem", "DeleteItem"]
    assert items(database, client["client_id"]) == []


def test_a_client_that_is_deleted_and_restored_during_the_exchange_gets_no_tokens(
    url: str, local: Local, database: DynamoDBClient, clock: Clock
) -> None:
    client = register(url)
    code = authorize(url, client)["code"]
    calls = Calls()

    def after_write(**_: Any) -> None:
        if [name for name, _ in calls.made].count("PutItem") == 2:
            assert local.delete(client["client_id"], client["registration_access_token"]) == 204
            local.operate("client", "restore", client["client_id"], "--by", "jane")
            calls.take()

    database.meta.events.register("before-parameter-build.dynamodb.*", calls.record)
    database.meta.events.register("after-call.dynamodb.PutItem", after_write)
    # The tokens are later than the restoration. Their code is not.
    clock.now += 30
    answer = exchange(url, client, code)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    assert items(database, client["client_id"]) == []


def test_a_database_that_is_down_is_no_permission(url: str, local: Local, provider: Provider, clock: Clock) -> None:
    client = register(url)
    tokens = exchange(url, client, authorize(url, client)["code"]).json()
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        clients = Clients(connect(f"http://127.0.0.1:{closed.getsockname()[1]}"), "clients", clock)
        with serving(Provider(clients, provider.grants, clock), local) as down:
            assert call(down, tokens["access_token"]) == 500
            answer = token(down, client, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
            assert answer.status_code == 500
