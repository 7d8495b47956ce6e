"""Writes template.yaml with a REST API instead of an HTTP API to the standard output. It needs the packages of the SAM CLI."""

import sys
from pathlib import Path

from samcli.yamlhelper import yaml_dump, yaml_parse

STAGE = "prod"
# A domain name, CORS and the way to the authorization server are not translated. The access log would need a role in the
# account's settings: without it, API Gateway refuses the stage.
ROUTES = ["DefaultRoute", "ConfigurationRoute", "RegistrationRoute", "AuthleteRoute", "ReadRoute", "UpdateRoute"]
WITHOUT = {
    "Parameters": ["CorsOrigins", "DomainName", "CertificateArn", "RegistrationServerUrl"],
    "Rules": ["DomainNameNeedsCertificate"],
    "Conditions": ["HasCorsOrigins", "HasDomainName", "HasRegistrationServer"],
    "Resources": [
        *ROUTES,
        "Integration",
        "RegistrationServer",
        "ApiPermission",
        "Domain",
        "DomainMapping",
        "AccessLog",
    ],
    "Outputs": ["DomainTarget", "AccessLogGroup"],
}
# The metrics have other names.
DASHBOARD = {'"ApiId", "${HttpApi}"': '"ApiName", "${AWS::StackName}"', '"4xx"': '"4XXError"', '"5xx"': '"5XXError"'}


def replaced(text, names):
    for name, other in names.items():
        assert name in text, f"{name} is not in the template"
        text = text.replace(name, other)
    return text


def rest_api(template):
    """The template with a REST API."""
    for section, names in WITHOUT.items():
        for name in names:
            del template[section][name]
    resources = template["Resources"]
    name = resources.pop("HttpApi")["Properties"]["Name"]
    throttling = resources.pop("Stage")["Properties"]["DefaultRouteSettings"]
    # Another name, because CloudFormation does not change the type of a resource.
    resources["RestApi"] = {
        "Type": "AWS::Serverless::Api",
        "Properties": {
            "Name": name,
            "StageName": STAGE,
            # Without it, SAM makes another stage.
            "OpenApiVersion": "3.0.1",
            "EndpointConfiguration": "REGIONAL",
            "MethodSettings": [{"HttpMethod": "*", "ResourcePath": "/*", **throttling}],
        },
    }
    resources["Function"]["Properties"]["Events"] = {
        "Everything": {
            "Type": "Api",
            "Properties": {"RestApiId": {"Ref": "RestApi"}, "Method": "ANY", "Path": "/{proxy+}"},
        }
    }
    resources["ApiAlarm"]["Properties"].update(
        MetricName="5XXError",
        Dimensions=[{"Name": "ApiName", "Value": {"Ref": "AWS::StackName"}}, {"Name": "Stage", "Value": STAGE}],
    )
    dashboard = resources["Dashboard"]["Properties"]
    dashboard["DashboardBody"] = {"Fn::Sub": replaced(dashboard["DashboardBody"]["Fn::Sub"], DASHBOARD)}
    url = f"https://${{RestApi}}.execute-api.${{AWS::Region}}.${{AWS::URLSuffix}}/{STAGE}"
    template["Outputs"]["ApiUrl"]["Value"] = {"Fn::Sub": url}
    return template


if __name__ == "__main__":
    path = Path(__file__).parent.parent / "template.yaml"
    sys.stdout.write("# Made of template.yaml by `just rest-api`.\n")
    sys.stdout.write(yaml_dump(rest_api(yaml_parse(path.read_text()))))
