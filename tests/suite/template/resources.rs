//! The table, the functions and the API.

use super::template;
use aws_sdk_dynamodb::types::KeySchemaElement;
use deregister::{
    dynamodb::schema::{definition, time_to_live},
    settings::{Database, Variables},
};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

#[test]
fn the_table_has_the_schema_of_the_adapter() {
    let table = &template()["Resources"]["Table"]["Properties"];
    let definition = definition("clients").unwrap();
    let attributes: Value = definition
        .attribute_definitions()
        .iter()
        .map(|it| json!({ "AttributeName": it.attribute_name(), "AttributeType": it.attribute_type().as_str() }))
        .collect();
    let keys = |schema: &[KeySchemaElement]| -> Value {
        let key =
            |it: &KeySchemaElement| json!({ "AttributeName": it.attribute_name(), "KeyType": it.key_type().as_str() });
        schema.iter().map(key).collect()
    };
    let indexes: Value = definition
        .global_secondary_indexes()
        .iter()
        .map(|it| {
            let projection = it.projection().and_then(|it| it.projection_type()).unwrap().as_str();
            json!({
                "IndexName": it.index_name(),
                "KeySchema": keys(it.key_schema()),
                "Projection": { "ProjectionType": projection },
            })
        })
        .collect();
    let time_to_live = time_to_live().unwrap();

    assert_eq!(table["AttributeDefinitions"], attributes);
    assert_eq!(table["KeySchema"], keys(definition.key_schema()));
    assert_eq!(table["GlobalSecondaryIndexes"], indexes);
    assert_eq!(table["StreamSpecification"], json!({ "StreamViewType": "NEW_AND_OLD_IMAGES" }));
    assert_eq!(table["BillingMode"], definition.billing_mode().unwrap().as_str());
    assert_eq!(
        table["TimeToLiveSpecification"],
        json!({ "AttributeName": time_to_live.attribute_name(), "Enabled": time_to_live.enabled() })
    );
}

#[test]
fn each_function_is_a_binary_of_the_package() {
    let template = template();
    let script = include_str!("../../../deploy/build/build.sh");
    let resources = template["Resources"].as_object().unwrap();
    for (name, _) in resources.iter().filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function") {
        let case = script.lines().find_map(|line| line.strip_prefix(&format!("{name}) binary="))).unwrap();
        let binary = case.strip_suffix(" ;;").unwrap();
        assert!(include_str!("../../../Cargo.toml").contains(&format!("[[bin]]\nname = \"{binary}\"\n")), "{binary}");
    }
}

/// A template in which a resource and a parameter have the same name cannot be deployed. No linter sees the resources
/// that SAM makes of events.
#[test]
fn no_resource_has_the_name_of_a_parameter() {
    let template = template();
    let resources = template["Resources"].as_object().unwrap();
    let of_events = resources.iter().flat_map(|(function, resource)| {
        let events = resource["Properties"]["Events"].as_object().into_iter().flatten();
        events.map(move |(event, _)| format!("{function}{event}"))
    });
    let parameters = template["Parameters"].as_object().unwrap();
    let shared: Vec<_> =
        resources.keys().cloned().chain(of_events).filter(|name| parameters.contains_key(name)).collect();
    assert_eq!(shared, [""; 0]);
}

#[test]
fn two_database_calls_fit_into_the_functions_time_out() {
    let template = template();
    let milliseconds = template["Resources"]["Function"]["Properties"]["Timeout"].as_u64().unwrap() * 1000;
    let database = Database::read(&Variables::default()).unwrap();
    let longest_call = u64::try_from(database.call_timeout.as_millis()).unwrap();
    let alarm = template["Resources"]["DurationAlarm"]["Properties"]["Threshold"].as_u64().unwrap();
    assert!(2 * longest_call < milliseconds, "{longest_call} ms twice");
    assert!(alarm < milliseconds, "the alarm at {alarm} ms");
}

/// The routes of the template: each key, and what answers it.
fn routes(template: &Value) -> BTreeMap<String, (String, Option<String>)> {
    let path = template["Parameters"]["RegistrationPath"]["Default"].as_str().unwrap();
    let text = |value: &Value| value.as_str().or_else(|| value["!Sub"].as_str()).unwrap().to_owned();
    let resources = template["Resources"].as_object().unwrap().values();
    let routes = resources.filter(|resource| resource["Type"] == "AWS::ApiGatewayV2::Route").map(|route| {
        let properties = &route["Properties"];
        assert_eq!(properties["ApiId"], json!({ "!Ref": "HttpApi" }));
        let condition = route["Condition"].as_str().map(ToOwned::to_owned);
        let key = text(&properties["RouteKey"]).replace("${RegistrationPath}", path);
        (key, (text(&properties["Target"]), condition))
    });
    routes.collect()
}

/// A client id can contain slashes.
#[test]
fn the_function_gets_every_path_and_the_authorization_server_only_reads_and_updates_of_a_client() {
    let template = template();
    let function = || ("integrations/${Integration}".to_owned(), None);
    let server = || ("integrations/${RegistrationServer}".to_owned(), Some("HasRegistrationServer".to_owned()));
    let expected = [
        ("$default", function()),
        ("DELETE /config/{appId}/clients/{apiClientId}", function()),
        ("DELETE /register/{clientId+}", function()),
        ("GET /register/{clientId+}", server()),
        ("POST /api/{serviceId}/client/registration/delete", function()),
        ("PUT /register/{clientId+}", server()),
    ];
    let expected = expected.map(|(key, target)| (key.to_owned(), target));
    assert_eq!(routes(&template), BTreeMap::from(expected));

    let condition = json!({ "!Not": [{ "!Equals": [{ "!Ref": "RegistrationServerUrl" }, ""] }] });
    assert_eq!(template["Conditions"]["HasRegistrationServer"], condition);
    let methods = &template["Resources"]["HttpApi"]["Properties"]["CorsConfiguration"]["!If"][1]["AllowMethods"];
    let methods_of = json!([["DELETE", "GET", "POST", "PUT"], ["DELETE", "POST"]]);
    assert_eq!(*methods, json!({ "!If": ["HasRegistrationServer", methods_of[0], methods_of[1]] }));
    let server = &template["Resources"]["RegistrationServer"];
    assert_eq!(server["Condition"], "HasRegistrationServer");
    let properties = json!({
        "ApiId": { "!Ref": "HttpApi" },
        "IntegrationType": "HTTP_PROXY",
        "IntegrationMethod": "ANY",
        "IntegrationUri": { "!Sub": "${RegistrationServerUrl}/{clientId}" },
        "PayloadFormatVersion": "1.0",
    });
    assert_eq!(server["Properties"], properties);
}

#[test]
fn the_access_log_is_json_without_credentials() {
    let template = template();
    let format = template["Resources"]["Stage"]["Properties"]["AccessLogSettings"]["Format"].as_str().unwrap();
    assert!(!format.to_lowercase().contains("authorization"), "{format}");
    let line: Map<String, Value> = serde_json::from_str(format).unwrap();
    for (name, value) in line {
        assert!(value.as_str().unwrap().starts_with("$context."), "{name}");
    }
}
