"""The server's policy, ``ServerPolicy`` of ``template.yaml``, applied to the parameters of a call."""

from __future__ import annotations

import pathlib
import re
from fnmatch import fnmatchcase
from typing import Any

TEMPLATE = pathlib.Path(__file__).parents[3] / "template.yaml"
EXPRESSIONS = ("ProjectionExpression", "UpdateExpression", "ConditionExpression")
WORDS = {"SET", "REMOVE", "AND", "OR", "NOT", "attribute_exists", "attribute_not_exists", "if_not_exists"}


def statements() -> dict[str, str]:
    """The text of the statement for each action."""
    text = re.split(r"^  ServerPolicy:$", TEMPLATE.read_text(), flags=re.M)[1]
    policy = re.split(r"^  \w+:$", text, flags=re.M)[0]
    found = {}
    for statement in policy.split("- Effect: Allow")[1:]:
        for action in re.findall(r"dynamodb:(\w+)", re.findall(r"Action: (.*)", statement)[0]):
            found[action] = statement
    return found


def listed(statement: str, key: str) -> list[str] | None:
    """The values of a condition's key."""
    found = re.search(rf"dynamodb:{key}: (\[[^]]*\]|\S+)", statement)
    return re.findall(r"[\w#*]+", found[1]) if found else None


def attributes(params: dict[str, Any]) -> set[str]:
    """The top-level attributes that the call names."""
    names = params.get("ExpressionAttributeNames", {})
    found = set(params.get("Key", {})) | set(params.get("Item", {}))
    for expression in EXPRESSIONS:
        words = re.findall(r"(?<![.\w#:])#?[A-Za-z]\w*", params.get(expression, ""))
        found |= {names.get(word, word) for word in words}
    return found - WORDS


def violations(action: str, params: dict[str, Any]) -> list[str]:
    """What the policy, and the rule that a failed write returns no item, do not permit."""
    statement = statements().get(action)
    if statement is None:
        return [action]
    found = sorted(attributes(params) - set(listed(statement, "Attributes") or ()))
    if "SPECIFIC_ATTRIBUTES" in (listed(statement, "Select") or ()) and "ProjectionExpression" not in params:
        found.append("Select")
    permitted = listed(statement, "ReturnValues")
    if permitted is not None and params.get("ReturnValues", "NONE") not in permitted:
        found.append("ReturnValues")
    keys = listed(statement, "LeadingKeys")
    if keys is not None and not any(fnmatchcase(params["Key"]["pk"]["S"], key) for key in keys):
        found.append("LeadingKeys")
    if params.get("ReturnValuesOnConditionCheckFailure", "NONE") != "NONE":
        found.append("ReturnValuesOnConditionCheckFailure")
    return found
