"""`openapi.yaml`, the function and the table of cases agree.

An example in the document has the name of its request in the table, `tests/cases/<endpoint>.json`.
"""

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
from cases import TABLES, answers, request

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
DOCUMENT = yaml.safe_load((ROOT / "openapi.yaml").read_text())

OPERATIONS = {
    operation["tags"][0]: (path, operation) for path, item in DOCUMENT["paths"].items() for operation in item.values()
}
RESPONSES = {endpoint: operation["responses"] for endpoint, (_, operation) in OPERATIONS.items()}
# No operation has this response.
RESPONSES["elsewhere"] = {"404": DOCUMENT["components"]["responses"]["NothingHere"]}

# The examples of a failing database. tests/suite/openapi.rs injects the faults and compares them.
FAULTS = {"throttled", "broken", "broken-write"}
FAULT_STATUSES = {"500", "503"}

BODIES = {
    "application/json": json.loads,
    "application/x-www-form-urlencoded": lambda body: dict(urllib.parse.parse_qsl(body)),
}


def resolved(node):
    """The node, or the node that it refers to."""
    found = node
    if "$ref" in node:
        found = DOCUMENT
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
    return found


def examples(node):
    """The names of the examples in the node."""
    if isinstance(node, list):
        return set().union(*map(examples, node))
    if not isinstance(node, dict):
        return set()
    node = resolved(node)
    return set(node.get("examples", {})).union(*map(examples, node.values()))


def embedded(validator, schema, text, _):
    """Checks `contentSchema`. JSON Schema leaves that to the program that decodes the text."""
    yield from validator.descend(json.loads(text), schema)


Validator = jsonschema.validators.extend(jsonschema.Draft202012Validator, {"contentSchema": embedded})


def validate(value, schema):
    """Validates within the document, so that the schema's references resolve."""
    Validator({**DOCUMENT, **schema}).validate(value)


def is_documented(endpoint, status, headers, body):
    """Checks the status, the headers (no other is allowed) and the body. An error is one of the examples."""
    response = resolved(RESPONSES[endpoint][str(status)])
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


@pytest.mark.parametrize(("endpoint", "name"), [(endpoint, name) for endpoint in TABLES for name in answers(endpoint)])
def test_every_answer_is_documented(endpoint, name):
    answer = answers(endpoint)[name]
    is_documented(endpoint, answer.status, answer.headers, answer.body)


@pytest.mark.parametrize("endpoint", TABLES)
def test_every_answer_of_the_table_has_a_case(endpoint):
    assert answers(endpoint).keys() == {case["answer"] for case in TABLES[endpoint]["cases"]}


@pytest.mark.parametrize("endpoint", RESPONSES)
def test_every_documented_status_is_an_answer(endpoint):
    answered = {str(answer.status) for answer in answers(endpoint).values()}
    assert RESPONSES[endpoint].keys() - FAULT_STATUSES == answered


def send(base_url, request):
    """Sends a request, and returns the status, the headers and the body of the answer."""
    connection = http.client.HTTPConnection(urllib.parse.urlsplit(base_url).netloc)
    target = urllib.parse.urlunsplit(("", "", request.path, request.query, ""))
    connection.request(request.method, target, request.body, request.headers)
    response = connection.getresponse()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


EXAMPLES = [(endpoint, name) for endpoint in OPERATIONS for name in sorted(examples(OPERATIONS[endpoint][1]) - FAULTS)]


@pytest.mark.parametrize(("endpoint", "name"), [*EXAMPLES, ("elsewhere", "unknown-path")])
def test_every_example_is_the_answer(local, endpoint, name):
    status, headers, text = send(local, request(endpoint, name))
    body = json.loads(text) if text else None
    # The transport adds the date, and describes the body: without a body there is no type and no length.
    del headers["date"]
    assert headers.pop("content-type", None) == (body and "application/json")
    assert headers.pop("content-length", None) == (body and str(len(text)))
    is_documented(endpoint, status, headers, body)

    for documented_status, response in RESPONSES[endpoint].items():
        response = resolved(response)
        shown = response.get("content", {}).get("application/json", {}).get("examples", {})
        if name in shown:
            assert (documented_status, shown[name]["value"]) == (str(status), body)
            for header, definition in response["headers"].items():
                definition = resolved(definition)
                value = definition["examples"][name]["value"] if "examples" in definition else definition["example"]
                assert headers[header.lower()] == value


@pytest.mark.parametrize(("endpoint", "name"), EXAMPLES)
def test_every_example_is_the_request(endpoint, name):
    path, operation = OPERATIONS[endpoint]
    sent = request(endpoint, name)
    ids = re.fullmatch(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path), sent.path).groupdict()
    for parameter in map(resolved, operation["parameters"]):
        if name in parameter["examples"]:
            given = ids if parameter["in"] == "path" else sent.headers
            key = parameter["name"] if parameter["in"] == "path" else parameter["name"].lower()
            assert given[key] == parameter["examples"][name]["value"]
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        if name in content["examples"]:
            assert sent.headers["content-type"] == media_type
            assert BODIES[media_type](sent.body) == content["examples"][name]["value"]


def test_schemathesis_finds_no_difference(local, tmp_path, capfd):
    schemathesis = pathlib.Path(sys.executable).with_name("schemathesis")
    command = [schemathesis, "--config-file", HERE / "schemathesis.toml", "run", ROOT / "openapi.yaml", "--url", local]
    environment = os.environ | {"SCHEMATHESIS_HOOKS": str(HERE / "credentials.py")}
    with capfd.disabled():
        # Schemathesis writes files into its working directory.
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)
