"""`openapi.yaml`, the function and the events say the same.

An example in the document has the name of the event that holds its request: `events/<door>-<name>.2.0.json`.
"""

import base64
import http.client
import json
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse

import jsonschema
import pytest
import yaml

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
DOCUMENT = yaml.safe_load((ROOT / "openapi.yaml").read_text())
ANSWERS = json.loads((ROOT / "events/answers.json").read_text())

OPERATIONS = {
    operation["tags"][0]: (path, operation) for path, item in DOCUMENT["paths"].items() for operation in item.values()
}
RESPONSES = {door: operation["responses"] for door, (_, operation) in OPERATIONS.items()}
# No operation has it.
RESPONSES["nowhere"] = {"404": DOCUMENT["components"]["responses"]["NothingHere"]}

# A failing database needs a wire that misbehaves: tests/contract_document.rs has it.
FAULTS = {"throttled", "broken", "broken-write"}
FAULT_STATUSES = {"500", "503"}

BODIES = {
    "application/json": json.loads,
    "application/x-www-form-urlencoded": lambda body: dict(urllib.parse.parse_qsl(body)),
}


def resolved(node):
    """The node, or what it refers to."""
    found = node
    if "$ref" in node:
        found = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
    return found


def examples(node):
    """Every example in the node, as its name."""
    if isinstance(node, list):
        return set().union(*map(examples, node))
    if not isinstance(node, dict):
        return set()
    node = resolved(node)
    return set(node.get("examples", {})).union(*map(examples, node.values()))


def embedded(validator, schema, text, _):
    """`contentSchema`, which JSON Schema leaves to whoever decodes the text."""
    yield from validator.descend(json.loads(text), schema)


Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"contentSchema": embedded})


def validate(value, schema):
    """Within the document, so that the schema's references lead somewhere."""
    Validator({**DOCUMENT, **schema}).validate(value)


def is_documented(door, status, headers, body):
    """The answer's status, its headers and no others, and its body. An error is one of the examples."""
    response = resolved(RESPONSES[door][str(status)])
    documented = {name.lower(): resolved(header) for name, header in response["headers"].items()}
    assert headers.keys() == documented.keys()
    for name, value in headers.items():
        validate(value, documented[name]["schema"])
    if body is None:
        assert "content" not in response
        return
    content = response["content"]["application/json"]
    validate(body, content["schema"])
    assert status == 200 or body in [example["value"] for example in content["examples"].values()]


@pytest.mark.parametrize("file", ANSWERS)
def test_every_answer_is_documented(file):
    answer = ANSWERS[file]
    of_every_answer = {"cache-control": "no-store", "pragma": "no-cache"}
    door = file.partition("-")[0]
    is_documented(door, answer["status"], of_every_answer | answer.get("headers", {}), answer.get("body"))


@pytest.mark.parametrize("door", RESPONSES)
def test_every_documented_status_is_an_answer(door):
    answered = {str(answer["status"]) for file, answer in ANSWERS.items() if file.startswith(f"{door}-")}
    assert RESPONSES[door].keys() - FAULT_STATUSES == answered


def event_of(door, name):
    return json.loads((ROOT / f"events/{door}-{name}.2.0.json").read_text())


def body_of(event):
    body = event.get("body") or ""
    return base64.b64decode(body).decode() if event["isBase64Encoded"] else body


def send(base_url, event):
    """Sends an event's request as it stands, and returns the status, the headers and the body of the answer."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(base_url).netloc)
    target = urllib.parse.urlunsplit(("", "", event["rawPath"], event["rawQueryString"], ""))
    connection.request(event["requestContext"]["http"]["method"], target, body_of(event), event["headers"])
    response = connection.getresponse()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


EXAMPLES = [(door, name) for door in OPERATIONS for name in sorted(examples(OPERATIONS[door][1]) - FAULTS)]


@pytest.mark.parametrize(("door", "name"), [*EXAMPLES, ("nowhere", "unknown-path")])
def test_every_example_is_answered_so(local, door, name):
    status, headers, text = send(local, event_of(door, name))
    body = json.loads(text) if text else None
    # These are the transport's, and of the body: no body, no type and no length.
    del headers["date"]
    assert headers.pop("content-type", None) == (body and "application/json")
    assert headers.pop("content-length", None) == (body and str(len(text)))
    is_documented(door, status, headers, body)

    for documented_status, response in RESPONSES[door].items():
        response = resolved(response)
        shown = response.get("content", {}).get("application/json", {}).get("examples", {})
        if name in shown:
            assert (documented_status, shown[name]["value"]) == (str(status), body)
            for header, definition in response["headers"].items():
                definition = resolved(definition)
                value = definition["examples"][name]["value"] if "examples" in definition else definition["example"]
                assert headers[header.lower()] == value


@pytest.mark.parametrize(("door", "name"), EXAMPLES)
def test_every_example_is_asked_so(door, name):
    path, operation = OPERATIONS[door]
    event = event_of(door, name)
    ids = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path), event["rawPath"]).groupdict()
    for parameter in map(resolved, operation["parameters"]):
        if name in parameter["examples"]:
            given = ids if parameter["in"] == "path" else event["headers"]
            key = parameter["name"] if parameter["in"] == "path" else parameter["name"].lower()
            assert given[key] == parameter["examples"][name]["value"]
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        if name in content["examples"]:
            assert event["headers"]["content-type"] == media_type
            assert BODIES[media_type](body_of(event)) == content["examples"][name]["value"]


def test_schemathesis_finds_nothing(local, tmp_path, capfd):
    schemathesis = pathlib.Path(sys.executable).with_name("schemathesis")
    command = [schemathesis, "--config-file", HERE / "schemathesis.toml", "run", ROOT / "openapi.yaml", "--url", local]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": str(HERE / "credentials.py")}
    with capfd.disabled():
        # It keeps files in its working directory.
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)
