"""The local run of deregister, and a client of DynamoDB that records its calls and checks them against the policy."""

from __future__ import annotations

import collections
import os
import pathlib
import re
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from deregister_clients import Clients
from policy import violations

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

ROOT = pathlib.Path(__file__).parents[3]
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
NOW = 1_800_000_000
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_REGION": "eu-central-1"}


@dataclass(frozen=True)
class Local:
    """The two addresses of the local run."""

    database: str
    front: str

    def dynamodb(self) -> DynamoDBClient:
        return connect(self.database)

    def delete(self, client_id: str, registration_access_token: str) -> int:
        """The status of the answer of the client configuration endpoint."""
        request = urllib.request.Request(f"{self.front}/register/{client_id}", method="DELETE")
        request.add_header("Authorization", f"Bearer {registration_access_token}")
        try:
            with urllib.request.urlopen(request) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    def operate(self, *command: str) -> str:
        """Runs the operator's tool, and returns its output."""
        environment = {**os.environ, **CREDENTIALS, "AWS_ENDPOINT_URL_DYNAMODB": self.database}
        run = [str(TARGET / "debug/deregisterctl"), *command]
        return subprocess.run(run, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


def connect(url: str) -> DynamoDBClient:
    return boto3.client(
        "dynamodb",
        endpoint_url=url,
        region_name="eu-central-1",
        aws_access_key_id="local",
        aws_secret_access_key="local",
        config=Config(connect_timeout=2, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 1}),
    )


@pytest.fixture(scope="session")
def local() -> Iterator[Local]:
    program = TARGET / "debug/examples/local"
    options = ["--port", "0", "--database-port", "0", "--empty", "--grants"]
    with subprocess.Popen([program, *options], stdout=subprocess.PIPE, text=True) as run:
        try:
            assert run.stdout
            lines = iter(run.stdout)
            found = dict[str, str]()
            while len(found) < 2:
                if match := re.match(r"(database|listening) on (\S+)", next(lines)):
                    found[match[1]] = match[2]
            # The rest is the log of the cascade. If the test does not read it, the program stops when the pipe is full.
            threading.Thread(target=collections.deque, args=(lines, 0), daemon=True).start()
            yield Local(found["database"], found["listening"])
        finally:
            run.terminate()


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass
class Calls:
    """The calls of one client of DynamoDB, with their parameters."""

    made: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def record(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.made.append((model.name, dict(params)))

    def take(self) -> list[str]:
        """The names of the calls since the last time."""
        names = [name for name, _ in self.made]
        self.made.clear()
        return names


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def clients(local: Local, clock: Clock, calls: Calls) -> Iterator[Clients]:
    """The clients table. At the end of each test, every call must be one that the server's policy permits."""
    dynamodb = local.dynamodb()
    dynamodb.meta.events.register("before-parameter-build.dynamodb.*", calls.record)
    every = Calls()
    dynamodb.meta.events.register("before-parameter-build.dynamodb.*", every.record)
    yield Clients(dynamodb, "clients", clock)
    assert [violations(name, params) for name, params in every.made] == [[]] * len(every.made)
    dynamodb.close()


@pytest.fixture
def database(local: Local) -> Iterator[DynamoDBClient]:
    """The database with all rights, to look at items and to write odd ones."""
    dynamodb = local.dynamodb()
    yield dynamodb
    dynamodb.close()
