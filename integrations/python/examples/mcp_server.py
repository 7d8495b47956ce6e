"""An MCP server whose clients deregister can delete, with the MCP Python SDK.

The SDK serves the endpoints. :class:`Provider` keeps the clients in the clients table, and codes and tokens in a grants
table. Set ``CLIENTS_TABLE``, ``GRANTS_TABLE`` and ``REGISTRATION_URL``, the URL of the client configuration endpoint of
deregister without the client id. Then run this file.

The server signs no user in: it issues a code to every client that asks. Add your sign-in to ``authorize``.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeVar

import boto3
import uvicorn
from botocore.config import Config
from mcp.server.auth.handlers.register import RegistrationHandler
from mcp.server.auth.provider import (
    AccessToken,
    AuthorizationCode,
    AuthorizationParams,
    AuthorizeError,
    OAuthAuthorizationServerProvider,
    RefreshToken,
    TokenError,
    construct_redirect_uri,
)
from mcp.server.auth.routes import REGISTRATION_PATH, cors_middleware
from mcp.server.auth.settings import AuthSettings, ClientRegistrationOptions, RevocationOptions
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import DEFAULT_MAX_REQUEST_BODY_SIZE, RequestBodyLimitMiddleware
from mcp.shared.auth import OAuthClientInformationFull, OAuthToken
from pydantic import AnyHttpUrl
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from deregister_clients import Clients, Live

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

CODE_SECONDS: Final = 60
ACCESS_TOKEN_SECONDS: Final = 600
REFRESH_TOKEN_SECONDS: Final = 30 * 24 * 3600
MAX_TOKEN: Final = 512
"""The longest token that is looked up. A key of DynamoDB has a limit."""
CREDENTIALS: Final = {"client_secret", "client_secret_expires_at", "client_id_issued_at"}
"""The members of a registration that are not client metadata."""


class Code(AuthorizationCode):
    issued_at: int


class Access(AccessToken):
    issued_at: int
    pair: str
    """The grant id of the refresh token that was issued with this token."""


class Refresh(RefreshToken):
    issued_at: int
    pair: str
    """The grant id of the access token that was issued with this token."""


Stored = TypeVar("Stored", Code, Access, Refresh)


def new_token(client_id: str) -> str:
    """A token from which the server can tell the client. The client id is the partition key of the grants."""
    return f"{client_id}.{secrets.token_urlsafe(32)}"


def grant_id(model: type[Code | Access | Refresh], token: str) -> str:
    """The sort key. It has the digest of the token, so the table has no token. Each grant has a key of its own."""
    return f"{model.__name__.lower()}#{hashlib.sha256(token.encode()).hexdigest()}"


@dataclass(frozen=True)
class Grants:
    """Codes and tokens in the grants table, by client id and grant id. The cascade removes those of deleted clients."""

    dynamodb: DynamoDBClient
    table: str
    clock: Callable[[], float]

    def store(self, token: str, grant: Code | Access | Refresh) -> None:
        content = grant.model_dump_json(exclude={"code", "token"})
        self.dynamodb.put_item(
            TableName=self.table,
            Item={
                "client_id": {"S": grant.client_id},
                "grant_id": {"S": grant_id(type(grant), token)},
                "expires_at": {"N": str(int(grant.expires_at or 0))},
                "content": {"S": content},
            },
        )

    def load(self, model: type[Stored], client_id: str, token: str) -> Stored | None:
        """The grant, if it is there and has not expired. Time to live removes expired items late."""
        answer = self.dynamodb.get_item(
            TableName=self.table,
            Key={"client_id": {"S": client_id}, "grant_id": {"S": grant_id(model, token)}},
            ConsistentRead=True,
        )
        item = answer.get("Item")
        if item is None or int(item["expires_at"]["N"]) <= self.clock():
            return None
        return model.model_validate(json.loads(item["content"]["S"]) | {"code": token, "token": token})

    def take(self, client_id: str, grant: str) -> bool:
        """Removes the grant. Of several calls for one grant, only one returns true."""
        try:
            self.dynamodb.delete_item(
                TableName=self.table,
                Key={"client_id": {"S": client_id}, "grant_id": {"S": grant}},
                ConditionExpression="attribute_exists(grant_id)",
            )
        except self.dynamodb.exceptions.ConditionalCheckFailedException:
            return False
        return True


@dataclass(frozen=True)
class Provider(OAuthAuthorizationServerProvider[Code, Refresh, Access]):
    """The authorization server of the SDK, over the two tables.

    boto3 blocks, so each method runs its calls in one thread. An exception of the database becomes a 500.
    """

    clients: Clients
    grants: Grants
    clock: Callable[[], float] = time.time
    registration_access_token: str | None = None
    """The registration access token of the client that is being registered."""

    async def get_client(self, client_id: str) -> OAuthClientInformationFull | None:
        status = await asyncio.to_thread(self.clients.status, client_id)
        if not isinstance(status, Live):
            return None
        credentials = {name: value for name, value in status.own.items() if name in CREDENTIALS}
        return OAuthClientInformationFull.model_validate(status.metadata | credentials | {"client_id": client_id})

    async def register_client(self, client_info: OAuthClientInformationFull) -> None:
        # The SDK compares the client secret as text, so the table must have the text.
        await asyncio.to_thread(
            self.clients.register,
            client_info.client_id,
            client_info.model_dump(mode="json", exclude_none=True, exclude={*CREDENTIALS, "client_id"}),
            self.registration_access_token,
            own=client_info.model_dump(mode="json", exclude_none=True, include=CREDENTIALS),
        )

    async def authorize(self, client: OAuthClientInformationFull, params: AuthorizationParams) -> str:
        token, now = new_token(client.client_id), int(self.clock())
        code = Code(
            code=token,
            client_id=client.client_id,
            scopes=params.scopes or [],
            code_challenge=params.code_challenge,
            redirect_uri=params.redirect_uri,
            redirect_uri_provided_explicitly=params.redirect_uri_provided_explicitly,
            resource=params.resource,
            issued_at=now,
            expires_at=now + CODE_SECONDS,
        )

        def store() -> str:
            self.grants.store(token, code)
            return token

        # The basis of a code is the consent of the user, which is given now.
        issued = await asyncio.to_thread(
            self.clients.issue,
            client.client_id,
            now,
            store,
            lambda _: self.grants.take(client.client_id, grant_id(Code, token)),
        )
        if issued is None:
            raise AuthorizeError("unauthorized_client")
        return construct_redirect_uri(str(params.redirect_uri), code=issued, state=params.state)

    async def load_authorization_code(self, client: OAuthClientInformationFull, authorization_code: str) -> Code | None:
        return await asyncio.to_thread(self.load, Code, client.client_id, authorization_code)

    async def exchange_authorization_code(
        self, client: OAuthClientInformationFull, authorization_code: Code
    ) -> OAuthToken:
        return await asyncio.to_thread(
            self.exchange, authorization_code, grant_id(Code, authorization_code.code), authorization_code.scopes
        )

    async def load_refresh_token(self, client: OAuthClientInformationFull, refresh_token: str) -> Refresh | None:
        return await asyncio.to_thread(self.load, Refresh, client.client_id, refresh_token)

    async def exchange_refresh_token(
        self, client: OAuthClientInformationFull, refresh_token: Refresh, scopes: list[str]
    ) -> OAuthToken:
        return await asyncio.to_thread(
            self.exchange, refresh_token, grant_id(Refresh, refresh_token.token), scopes
        )

    async def load_access_token(self, token: str) -> Access | None:
        return await asyncio.to_thread(self.load, Access, token.rpartition(".")[0], token)

    async def revoke_token(self, token: Access | Refresh) -> None:
        for grant in (grant_id(type(token), token.token), token.pair):
            await asyncio.to_thread(self.grants.take, token.client_id, grant)

    def load(self, model: type[Stored], client_id: str, token: str) -> Stored | None:
        """The code or token, if the client still has it."""
        if not client_id or len(token) > MAX_TOKEN:
            return None
        grant = self.grants.load(model, client_id, token)
        return grant if grant and self.clients.accepts(client_id, grant.issued_at) else None

    def exchange(self, basis: Code | Refresh, basis_id: str, scopes: list[str]) -> OAuthToken:
        """Issues a pair of tokens for a code or a refresh token, which cannot be used again."""
        client_id, now = basis.client_id, int(self.clock())
        if not self.grants.take(client_id, basis_id):
            raise TokenError("invalid_grant")
        if isinstance(basis, Refresh):
            self.grants.take(client_id, basis.pair)
        access, refresh = new_token(client_id), new_token(client_id)
        access_id, refresh_id = grant_id(Access, access), grant_id(Refresh, refresh)

        def store() -> OAuthToken:
            for kind, token, seconds, pair in (
                (Access, access, ACCESS_TOKEN_SECONDS, refresh_id),
                (Refresh, refresh, REFRESH_TOKEN_SECONDS, access_id),
            ):
                grant = kind(
                    token=token,
                    client_id=client_id,
                    scopes=scopes,
                    resource=basis.resource,
                    issued_at=now,
                    expires_at=now + seconds,
                    pair=pair,
                )
                self.grants.store(token, grant)
            return OAuthToken(
                access_token=access, refresh_token=refresh, expires_in=ACCESS_TOKEN_SECONDS, scope=" ".join(scopes)
            )

        def withdraw(_: OAuthToken) -> None:
            self.grants.take(client_id, access_id)
            self.grants.take(client_id, refresh_id)

        issued = self.clients.issue(client_id, basis.issued_at, store, withdraw)
        if issued is None:
            raise TokenError("invalid_grant")
        return issued


def registration_route(provider: Provider, options: ClientRegistrationOptions, registration_url: str) -> Route:
    """Registration with a registration access token, which the SDK does not have (RFC 7592, section 3)."""

    async def register(request: Request) -> Response:
        token = secrets.token_urlsafe(32)
        handler = RegistrationHandler(replace(provider, registration_access_token=token), options)
        response = await handler.handle(request)
        if response.status_code != 201:
            return response
        information = json.loads(bytes(response.body))
        information["registration_access_token"] = token
        information["registration_client_uri"] = f"{registration_url}/{information['client_id']}"
        return JSONResponse(information, 201, {"Cache-Control": "no-store"})

    limited = RequestBodyLimitMiddleware(cors_middleware(register, ["POST", "OPTIONS"]), DEFAULT_MAX_REQUEST_BODY_SIZE)
    return Route(REGISTRATION_PATH, limited, methods=["POST", "OPTIONS"])


def application(provider: Provider, url: str, registration_url: str) -> Starlette:
    """The MCP server with its authorization server, at this URL."""
    options = ClientRegistrationOptions(enabled=True)
    server = MCPServer(
        "example",
        auth_server_provider=provider,
        auth=AuthSettings(
            issuer_url=AnyHttpUrl(url),
            resource_server_url=AnyHttpUrl(f"{url}/mcp"),
            validate_token_resource=True,
            client_registration_options=options,
            revocation_options=RevocationOptions(enabled=True),
        ),
    )

    @server.tool()
    def add(a: int, b: int) -> int:
        """Adds two numbers."""
        return a + b

    starlette = server.streamable_http_app(json_response=True, stateless_http=True)
    # The first route that matches is used, so this one replaces the route of the SDK.
    starlette.router.routes.insert(0, registration_route(provider, options, registration_url))
    return starlette


def main() -> None:
    # The defaults of botocore wait for minutes. There is one connection for each thread of asyncio.to_thread.
    config = Config(
        connect_timeout=1,
        read_timeout=1,
        retries={"mode": "standard", "total_max_attempts": 4},
        max_pool_connections=32,
    )
    dynamodb = boto3.client("dynamodb", config=config)
    clients = Clients(dynamodb, os.environ["CLIENTS_TABLE"])
    provider = Provider(clients, Grants(dynamodb, os.environ["GRANTS_TABLE"], time.time))
    uvicorn.run(application(provider, "http://127.0.0.1:3000", os.environ["REGISTRATION_URL"]), port=3000)


if __name__ == "__main__":
    main()
