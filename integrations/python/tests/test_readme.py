"""The snippets of the README, as they are."""

from __future__ import annotations

import asyncio
import pathlib
import re
from typing import Any

import pytest
from conftest import CREDENTIALS, Local

from deregister_clients import ClientExistsError

ROOT = pathlib.Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text()
ID, TOKEN = "s6BhdRkqt3", "reg-23410913-abewfq.123483"


def test_every_snippet_works(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**CREDENTIALS, "AWS_DEFAULT_REGION": "eu-central-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", local.database)
    names: dict[str, Any] = {"asyncio": asyncio}
    for snippet in re.findall(r"^```python\n(.*?)^```$", TEXT, flags=re.M | re.S):
        exec(compile(snippet, "README.md", "exec"), names)

    clients, load_token, exchange, put = (names[name] for name in ("clients", "load_token", "exchange", "put"))
    with pytest.raises(ClientExistsError):
        clients.register(ID, {})
    assert load_token("token", ID, 1) == "token"
    tokens: set[str] = set()
    assert exchange(ID, 1, tokens, "new") == "new" and tokens == {"new"}
    assert put(ID, "wrong", {}, "reg-2") == 401
    assert put(ID, TOKEN, {"client_name": "New"}, "reg-2") == 200
    assert clients.status(ID).metadata == {"client_name": "New"}

    (call,) = re.findall(r"`(await [^`]+)`", TEXT)
    exec(f"async def accepts(client_id, issued_at):\n    return {call}", names)
    assert asyncio.run(names["accepts"](ID, 1)) is True
    assert (local.delete(ID, TOKEN), local.delete(ID, "reg-2")) == (401, 204)
    assert asyncio.run(names["accepts"](ID, 1)) is False
    assert load_token("token", ID, 1) is None
    assert exchange(ID, 1, tokens, "newer") is None and tokens == {"new"}
    assert put(ID, "reg-2", {}, "reg-3") == 401


def test_it_names_the_version_of_the_sdk() -> None:
    (version,) = re.findall(r"`mcp` ([\d.]+)", TEXT)
    assert f"mcp=={version}\n" in (ROOT / "requirements.txt").read_text()
