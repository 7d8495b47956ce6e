"""What AWS makes of the template, as far as AWS's own tools can tell without an account."""

import json
import re
import shutil
import subprocess
import sys
import tomllib

import click
import pytest
from cfnlint.helpers import REGIONS
from conftest import ROOT
from samcli.cli.cli_config_file import ConfigProvider
from samcli.cli.types import CfnParameterOverridesType
from samcli.commands.deploy.command import cli as deploy
from samcli.commands.deploy.deploy_context import DeployContext
from samcli.yamlhelper import yaml_parse
from samtranslator.translator.transform import transform

sys.path.insert(0, str(ROOT / "deploy"))
from rest_api import rest_api  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def source():
    return yaml_parse((ROOT / "template.yaml").read_text())


class NoManagedPolicies:
    """The template names managed policies by their ARN."""

    def load(self):
        return {}


@pytest.fixture(autouse=True)
def region(monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


def transformed(template, parameters=None):
    """The template that CloudFormation gets from SAM's translator."""
    template["Globals"]["Function"]["CodeUri"] = "s3://bucket/key"
    return transform(template, parameters or {}, NoManagedPolicies())


APIS = {"HTTP": source, "REST": lambda: rest_api(source())}


# The linter takes very long for many Regions at once.
CHUNK = 12


@pytest.mark.parametrize("regions", [REGIONS[first : first + CHUNK] for first in range(0, len(REGIONS), CHUNK)])
@pytest.mark.parametrize("api", APIS)
def test_the_transformed_template_has_no_finding_in_any_region(api, regions, tmp_path):
    path = tmp_path / "template.json"
    path.write_text(json.dumps(transformed(APIS[api]())))
    # The translator inserts the value of Deployment.
    command = ["cfn-lint", "--ignore-checks", "W2001", "--regions", *regions, "--", str(path)]
    lint = subprocess.run(command, capture_output=True, text=True)
    assert (lint.stdout, lint.returncode) == ("", 0)


@pytest.mark.parametrize("api", APIS)
def test_every_reference_of_the_transformed_template_is_resolved(api):
    template = transformed(APIS[api]())
    names = {*template["Resources"], *template["Parameters"], "AWS::NoValue"}
    assert [name for name in references(template) if name not in names and not name.startswith("AWS::")] == []


def references(value):
    """The names in every Ref, GetAtt and Sub."""
    if isinstance(value, list):
        for item in value:
            yield from references(item)
    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        if name == "Ref":
            yield inner
        elif name == "Fn::GetAtt":
            yield inner[0] if isinstance(inner, list) else inner.split(".")[0]
        elif name == "Fn::Sub":
            text, local = (inner, {}) if isinstance(inner, str) else inner
            found = re.findall(r"\$\{([^!}.]+)", text)
            yield from (reference for reference in found if reference not in local)
            yield from references(local)
        else:
            yield from references(inner)


def resolved(value, parameters, conditions):
    """The value as CloudFormation resolves it, as far as the API needs that."""
    if isinstance(value, list):
        return [resolved(item, parameters, conditions) for item in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Ref": name}:
            return parameters.get(name, name)
        case {"Fn::Equals": [one, other]}:
            return resolved(one, parameters, conditions) == resolved(other, parameters, conditions)
        case {"Fn::Not": [condition]}:
            return not resolved(condition, parameters, conditions)
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{([^}]+)\}", lambda name: str(parameters.get(name[1], name[1])), text)
        case {"Fn::If": [name, one, other]}:
            chosen = one if resolved(conditions[name], parameters, conditions) else other
            return resolved(chosen, parameters, conditions)
    return {name: resolved(inner, parameters, conditions) for name, inner in value.items()}


def routes(**parameters):
    """The routes of the API: each key, and where its requests go."""
    template = transformed(source())
    values = {name: it.get("Default") for name, it in template["Parameters"].items()} | parameters
    conditions, resources = template["Conditions"], template["Resources"]
    exists = {
        name: resolved(it.get("Properties"), values, conditions)
        for name, it in resources.items()
        if "Condition" not in it or resolved(conditions[it["Condition"]], values, conditions)
    }
    found = {}
    for name, route in exists.items():
        if resources[name]["Type"] == "AWS::ApiGatewayV2::Route":
            integration = exists[route["Target"].removeprefix("integrations/")]
            found[route["RouteKey"]] = integration["IntegrationUri"]
    return found


def test_one_url_has_three_methods():
    for path, server in [("/register", ""), ("/reg", "https://auth.example.com/reg")]:
        found = routes(RegistrationPath=path, RegistrationServerUrl=server)
        print(f"{path} {server}: {found}")
        of_clients = {key.split()[0]: uri for key, uri in found.items() if key.endswith(f" {path}/{{clientId+}}")}
        passed_on = {"GET": f"{server}/{{clientId}}", "PUT": f"{server}/{{clientId}}"} if server else {}
        assert of_clients == {"DELETE": "FunctionAliaslive"} | passed_on
        assert found["$default"] == "FunctionAliaslive"


@pytest.mark.parametrize("url", ["http://auth.example.com/reg", "https://auth.example.com/reg/", "https://a/{id}"])
def test_a_url_that_the_api_cannot_pass_requests_on_to_is_refused(url):
    pattern = source()["Parameters"]["RegistrationServerUrl"]["AllowedPattern"]
    assert re.fullmatch(pattern, "https://auth.example.com/connect/reg") and not re.fullmatch(pattern, url)


# A version of the function: what it runs with. A changed parameter must make another one.


VERSIONED = ["Architecture", "BasePath", "LogLevel", "MemorySize", "Realm", "RegistrationPath", "RetentionDays"]
VERSIONED += ["TableName", "Tracing"]


def version(parameters=None):
    """The logical id of the version of the endpoints' function, and its description as CloudFormation resolves it."""
    template = transformed(source())
    [(name, resource)] = [
        (name, resource)
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::Lambda::Version"
    ]
    values = {name: str(it["Default"]) for name, it in template["Parameters"].items()} | (parameters or {})
    description = resource["Properties"]["Description"]["Fn::Sub"]
    return name, re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], description)


def versioned():
    """The parameters in the properties that Lambda keeps with a version."""
    function = transformed(source())["Resources"]["Function"]["Properties"]
    kept = ["Architectures", "Environment", "LoggingConfig", "MemorySize", "Timeout", "TracingConfig"]
    found = set(references([function.get(name) for name in kept]))
    return sorted(found & set(source()["Parameters"]))


def test_the_parameters_of_a_version_are_known():
    assert versioned() == VERSIONED


@pytest.mark.parametrize("parameter", VERSIONED)
def test_a_changed_parameter_makes_another_version(parameter):
    (name, description), (same_name, changed) = version(), version({parameter: "changed"})
    # The translator alone sees no change.
    assert name == same_name
    assert description != changed
    print(f"{name}: {description!r}, with another {parameter}: {changed!r}")


def test_the_longest_description_of_a_version_fits():
    parameters = source()["Parameters"]

    def longest(name):
        it = parameters[name]
        choices = ["x" * it["MaxLength"]] if "MaxLength" in it else it.get("AllowedValues") or [it["MaxValue"]]
        return max(map(str, choices), key=len)

    _, description = version({name: longest(name) for name in VERSIONED})
    assert len(description) <= 256


# What the SAM CLI sends


def sent(path):
    """The parameters of a change set that a plain `sam deploy` sends for a stack that exists."""
    with click.Context(deploy):
        settings = ConfigProvider(section="parameters")(ROOT / "samconfig.toml", "default", ["deploy"])
    assert settings["parameter_overrides"] == "file://parameters.yaml"
    overrides = CfnParameterOverridesType().convert(f"file://{path}", None, None)
    return {it["ParameterKey"]: it.get("ParameterValue") for it in DeployContext.merge_parameters(source(), overrides)}


def test_a_second_deployment_sends_the_same_parameters_and_switches_no_option_off(tmp_path):
    path = tmp_path / "parameters.yaml"
    options = 'GrantsTable: grants\nSweepSchedule: rate(1 hour)\nSweepDeletes: "true"\n'
    path.write_text((ROOT / "parameters.yaml").read_text() + options)
    first, second = sent(path), sent(path)
    named = {name: value for name, value in first.items() if value is not None}
    assert first == second
    assert named.items() >= {"GrantsTable": "grants", "SweepSchedule": "rate(1 hour)", "SweepDeletes": "true"}.items()
    # The others keep the values that the stack has.
    assert set(first) == set(source()["Parameters"])
    print({name: value or "the value that the stack has" for name, value in second.items()})


def test_the_parameters_file_names_parameters_and_accepted_values():
    text = (ROOT / "parameters.yaml").read_text()
    for line in [line.removeprefix("# ") for line in text.splitlines() if re.match(r"(# )?[A-Z]\w+: ", line)]:
        [(name, value)] = yaml_parse(line).items()
        parameter = source()["Parameters"][name]
        assert re.fullmatch(parameter.get("AllowedPattern", ".*"), str(value)), line
        assert value in parameter.get("AllowedValues", [value]), line


# Alarms


# The metrics and their dimensions, as AWS documents them: "Types of metrics for Lambda functions", "Amazon API Gateway
# dimensions and metrics", "WebSocket and HTTP API metrics", "DynamoDB metrics and dimensions", "Available CloudWatch
# metrics for Amazon SQS", "EventBridge Pipes: monitoring".
DOCUMENTED = {
    "AWS/Lambda Duration": ["FunctionName", "FunctionName Resource"],
    "AWS/Lambda Errors": ["FunctionName", "FunctionName Resource"],
    "AWS/Lambda Invocations": ["FunctionName", "FunctionName Resource"],
    "AWS/Lambda IteratorAge": ["FunctionName"],
    "AWS/Lambda PolledEventCount": ["EventSourceMappingUUID"],
    "AWS/Lambda Throttles": ["FunctionName", "FunctionName Resource"],
    "AWS/ApiGateway 5xx": ["ApiId"],
    "AWS/ApiGateway 5XXError": ["ApiName", "ApiName Stage"],
    "AWS/DynamoDB ReadThrottleEvents": ["TableName"],
    "AWS/DynamoDB WriteThrottleEvents": ["TableName", "TableName GlobalSecondaryIndexName"],
    "AWS/SQS ApproximateNumberOfMessagesVisible": ["QueueName"],
    "AWS/EventBridge/Pipes ExecutionFailed": ["PipeName"],
}


def with_all_options(value):
    """The value if every condition is true."""
    if isinstance(value, list):
        return [with_all_options(item) for item in value]
    match value:
        case {"Fn::If": [_, one, _]}:
            return with_all_options(one)
        case {"Fn::Sub": [text, local]}:
            values = with_all_options(local)
            return re.sub(r"\$\{(\w+)\}", lambda name: values[name[1]], text)
        case dict():
            return {name: with_all_options(inner) for name, inner in value.items()}
    return value


def alarms(template):
    return {
        name: with_all_options(resource["Properties"])
        for name, resource in template["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }


def metrics(alarm):
    return [it["MetricStat"]["Metric"] for it in alarm.get("Metrics", []) if "MetricStat" in it] or [alarm]


@pytest.mark.parametrize("api", APIS)
def test_each_alarm_has_a_documented_metric_with_its_dimensions(api):
    template = APIS[api]()
    for name, alarm in alarms(template).items():
        for metric in metrics(alarm):
            dimensions = " ".join(dimension["Name"] for dimension in metric.get("Dimensions", []))
            if metric["Namespace"] == {"Ref": "AWS::StackName"}:
                filters = template["Resources"]["Failures"]["Properties"]["MetricTransformations"]
                assert metric["MetricName"] in [it["MetricName"] for it in filters], name
            else:
                assert dimensions in DOCUMENTED[f"{metric['Namespace']} {metric['MetricName']}"], name


def test_the_sum_of_an_alarm_has_each_of_its_metrics():
    for name, alarm in alarms(source()).items():
        expressions = [it["Expression"] for it in alarm.get("Metrics", []) if "Expression" in it]
        ids = [it["Id"] for it in alarm.get("Metrics", []) if "MetricStat" in it]
        assert expressions == ([f"SUM([{', '.join(ids)}])"] if ids else []), name


def test_each_alarm_says_when_it_begins_and_ends_and_none_rings_in_a_new_stack():
    for name, alarm in alarms(source()).items():
        assert alarm["OKActions"] == [{"Ref": "AlarmTopic"}], name
        if alarm["ComparisonOperator"] == "LessThanThreshold":
            # The state of silence is that of a new alarm, so a new alarm sends nothing.
            assert (alarm["TreatMissingData"], alarm["Threshold"], alarm.get("AlarmActions")) == ("missing", 0, None), name
            assert alarm["InsufficientDataActions"] == [{"Ref": "AlarmTopic"}], name
        else:
            assert alarm["TreatMissingData"] == "notBreaching", name
            assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}], name


# Names


def test_no_name_is_shared_by_the_stacks_of_two_regions_or_of_one():
    template = source()
    assert template["Resources"]["Dashboard"]["Properties"]["DashboardName"] == {
        "Fn::Sub": "${AWS::StackName}-${AWS::Region}"
    }
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Logs::LogGroup":
            assert "${AWS::StackName}" in resource["Properties"]["LogGroupName"]["Fn::Sub"], name
    assert "FindInMap" not in json.dumps({**template, "Resources": template["Outputs"]})


def test_every_role_has_the_boundary_and_the_path():
    resources = transformed(source())["Resources"]
    roles = {name: it["Properties"] for name, it in resources.items() if it["Type"] == "AWS::IAM::Role"}
    assert len(roles) == 6
    for name, role in roles.items():
        assert role["Path"] == {"Ref": "RolePath"}, name
        assert role["PermissionsBoundary"]["Fn::If"][:2] == ["HasBoundary", {"Ref": "PermissionsBoundary"}], name
    policies = {name: it["Properties"] for name, it in resources.items() if it["Type"] == "AWS::IAM::ManagedPolicy"}
    assert len(policies) == 5
    for name, policy in policies.items():
        assert policy["Path"] == {"Ref": "RolePath"}, name


def test_the_application_has_the_version_of_the_package():
    cargo = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
    application = source()["Metadata"]["AWS::ServerlessRepo::Application"]
    names = {"SemanticVersion": "version", "SpdxLicenseId": "license", "SourceCodeUrl": "repository"}
    assert {name: application[name] for name in names} == {name: cargo[key] for name, key in names.items()}
    assert len(application["Description"]) <= 256 and len(application["Labels"]) <= 10


@pytest.mark.parametrize(("name", "code"), [("GrantsTable", 0), ("GrantTable", 1)])
def test_an_unknown_parameter_is_refused_before_a_deployment(name, code, tmp_path):
    for path in ["deploy/check_parameters.py", "template.yaml"]:
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    (tmp_path / "parameters.yaml").write_text(f"{name}: grants\n")
    check = subprocess.run([sys.executable, tmp_path / "deploy/check_parameters.py"], capture_output=True, text=True)
    assert (check.returncode, name in check.stderr) == (code, code == 1)
