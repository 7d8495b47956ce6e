//! The table, the functions and the API.

use super::template;
use aws_sdk_dynamodb::types::KeySchemaElement;
use deregister::{
    dynamodb::schema::{definition, time_to_live},
    settings::{Database, Variables},
};
use serde_json::{Map, Value, json};

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
    for function in ["Function", "Cascade", "Sweep"] {
        let binary = template["Resources"][function]["Metadata"]["BuildProperties"]["Binary"].as_str().unwrap();
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

/// A client id can contain slashes. Paths that no route has, as those of another `RegistrationPath`, take the default
/// route.
#[test]
fn the_function_gets_every_path_and_each_endpoint_has_a_route() {
    let template = template();
    let events = template["Resources"]["Function"]["Properties"]["Events"].as_object().unwrap();
    let route = |event: &Value| {
        let properties = &event["Properties"];
        Some(format!("{} {}", properties.get("Method")?.as_str()?, properties.get("Path")?.as_str()?))
    };
    let mut routes: Vec<_> = events.values().map(route).collect();
    routes.sort();
    let registration_path = template["Parameters"]["RegistrationPath"]["Default"].as_str().unwrap();
    let registration = format!("DELETE {registration_path}/{{clientId+}}");
    let named = [
        "DELETE /config/{appId}/clients/{apiClientId}",
        &registration,
        "POST /api/{serviceId}/client/registration/delete",
    ];
    assert_eq!(routes, [None].into_iter().chain(named.map(|route| Some(route.to_owned()))).collect::<Vec<_>>());
    assert!(events.values().all(|event| event["Type"] == "HttpApi"));
}

#[test]
fn the_access_log_is_json_without_credentials() {
    let template = template();
    let format = template["Resources"]["Api"]["Properties"]["AccessLogSettings"]["Format"].as_str().unwrap();
    assert!(!format.to_lowercase().contains("authorization"), "{format}");
    let line: Map<String, Value> = serde_json::from_str(format).unwrap();
    for (name, value) in line {
        assert!(value.as_str().unwrap().starts_with("$context."), "{name}");
    }
}
