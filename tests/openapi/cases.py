"""The table of cases, `tests/cases`: its requests, as a client sends them, and their answers."""

import base64
import dataclasses
import json
import pathlib

FOLDER = pathlib.Path(__file__).parents[1] / "cases"
TABLES = {file.stem: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))}


@dataclasses.dataclass
class Answer:
    """An answer, with the headers that describe it beside those of its body."""

    status: int
    headers: dict[str, str]
    body: object


@dataclasses.dataclass
class Request:
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: str


def answers(endpoint):
    """The answers of an endpoint, by the name that the table gives them."""
    of_every_answer = {"cache-control": "no-store", "pragma": "no-cache"}
    return {
        name: Answer(answer["status"], of_every_answer | answer.get("headers", {}), answer.get("body"))
        for name, answer in TABLES[endpoint]["answers"].items()
    }


def request(endpoint, name):
    """The request of an endpoint with this name."""
    table = TABLES[endpoint]
    [found] = [request for case in table["cases"] for request in case["requests"] if request.get("name") == name]
    headers = dict(found.get("headers", {}))
    if "basic" in found:
        headers["authorization"] = "Basic " + base64.b64encode(":".join(found["basic"]).encode()).decode().rstrip("=")
    if "bearer" in found:
        headers["authorization"] = "Bearer " + found["bearer"]
    for member in ["authorization", "if_match", "content_type"]:
        if member in found:
            headers[member.replace("_", "-")] = found[member]
    body = json.dumps(found["json"]) if "json" in found else found.get("body", "")
    path = found.get("path", table["path"])
    return Request(found.get("method", table["method"]), path, found.get("query", ""), headers, body)
