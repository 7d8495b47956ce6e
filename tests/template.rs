//! What `template.yaml` deploys is what the program expects.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests fail so")]

mod support;

use deregister::{
    settings::Settings,
    store::table::{definition, time_to_live},
};
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use support::{Lab, basic, bearer, event, sample};

fn template() -> Value {
    let documents = Yaml::load_from_str(include_str!("../template.yaml")).unwrap();
    as_json(&documents[0])
}

/// YAML as JSON: `!Ref Table` becomes `{"!Ref": "Table"}`.
fn as_json(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Value(Scalar::Integer(number)) => json!(number),
        Yaml::Value(Scalar::Boolean(yes)) => json!(yes),
        Yaml::Sequence(items) => items.iter().map(as_json).collect(),
        Yaml::Mapping(members) => members.iter().map(|(key, value)| (key.as_str().unwrap(), as_json(value))).collect(),
        Yaml::Tagged(tag, value) => json!({ tag.to_string(): as_json(value) }),
        other => panic!("this has no place in a template: {other:?}"),
    }
}

#[test]
fn the_table_is_the_one_that_the_store_is_made_for() {
    let table = &template()["Resources"]["Table"]["Properties"];
    let definition = definition("clients").unwrap();
    let attributes: Value = definition
        .attribute_definitions()
        .iter()
        .map(|it| json!({ "AttributeName": it.attribute_name(), "AttributeType": it.attribute_type().as_str() }))
        .collect();
    let keys: Value = definition
        .key_schema()
        .iter()
        .map(|it| json!({ "AttributeName": it.attribute_name(), "KeyType": it.key_type().as_str() }))
        .collect();
    let time_to_live = time_to_live().unwrap();

    assert_eq!(table["AttributeDefinitions"], attributes);
    assert_eq!(table["KeySchema"], keys);
    assert_eq!(table["BillingMode"], definition.billing_mode().unwrap().as_str());
    assert_eq!(
        table["TimeToLiveSpecification"],
        json!({ "AttributeName": time_to_live.attribute_name(), "Enabled": time_to_live.enabled() })
    );
}

#[tokio::test]
async fn each_route_leads_to_a_deletion_and_the_role_allows_its_calls_alone() {
    let lab = Lab::with_samples().await;
    let function = &template()["Resources"]["Function"]["Properties"];
    let body = json!({ "clientId": sample::CLIENT.0, "token": sample::CLIENT.1 }).to_string();
    let mut calls = BTreeSet::new();
    for (route, authorization, ids, body, status) in [
        (
            "Configuration",
            basic(sample::OWNER),
            vec![("{appId}", sample::APPLICATION), ("{apiClientId}", sample::TARGET)],
            "",
            204,
        ),
        ("Registration", bearer(sample::RFC_CLIENT.1), vec![("{clientId}", sample::RFC_CLIENT.0)], "", 204),
        ("Authlete", bearer(sample::SERVICE_TOKEN), vec![("{serviceId}", sample::SERVICE)], &body, 200),
    ] {
        let route = &function["Events"][route]["Properties"];
        let path =
            ids.iter().fold(route["Path"].as_str().unwrap().to_owned(), |path, (name, id)| path.replace(name, id));
        let headers = [("authorization", &*authorization), ("content-type", "application/json")];
        let answer = lab.invoke(&event(route["Method"].as_str().unwrap(), &path, "", &headers, body)).await;
        assert_eq!(answer.status(), status, "{path}: {answer:?}");
        calls.extend(lab.wire.take_calls().into_iter().map(|call| format!("dynamodb:{call}")));
    }
    for client in [sample::TARGET, sample::RFC_CLIENT.0, sample::CLIENT.0] {
        assert!(!lab.lives(client).await, "{client}");
    }

    let policies = function["Policies"].as_array().unwrap();
    let of_the_table = json!([{ "Effect": "Allow", "Action": calls, "Resource": { "!GetAtt": "Table.Arn" } }]);
    assert_eq!(policies[0]["Statement"], of_the_table);
    // The other policy is that of the table's key.
    assert_eq!((policies.len(), &policies[1]["!If"][0]), (2, &json!("HasTableKey")));
    let of_the_key = policies[1]["!If"][1]["Statement"].as_array().unwrap();
    let actions = of_the_key.iter().flat_map(|statement| statement["Action"].as_array().unwrap());
    assert_eq!(actions.filter(|action| !action.as_str().unwrap().starts_with("kms:")).count(), 0);
}

#[test]
fn every_setting_can_be_set_and_has_its_default() {
    let template = template();
    let variables = template["Resources"]["Function"]["Properties"]["Environment"]["Variables"].as_object().unwrap();
    // AWS's own variables are not settings.
    let names: BTreeSet<_> = variables.keys().map(String::as_str).filter(|name| !name.starts_with("AWS_")).collect();
    assert_eq!(names, Settings::TABLE.iter().map(|setting| setting.name).collect());

    for setting in Settings::TABLE.iter().filter(|setting| setting.name != "CLIENTS_TABLE") {
        let parameter = variables[setting.name]["!Ref"].as_str().unwrap();
        let default = &template["Parameters"][parameter]["Default"];
        let default = default.as_str().map_or_else(|| default.to_string(), ToOwned::to_owned);
        assert_eq!(default, setting.default, "{}", setting.name);
    }
    assert_eq!(variables["CLIENTS_TABLE"], json!({ "!Ref": "Table" }));
}

#[test]
fn two_database_calls_fit_into_the_functions_time() {
    let template = template();
    let milliseconds = template["Resources"]["Function"]["Properties"]["Timeout"].as_u64().unwrap() * 1000;
    let longest_call = template["Parameters"]["DatabaseCallTimeoutMs"]["MaxValue"].as_u64().unwrap();
    let alarm = template["Resources"]["DurationAlarm"]["Properties"]["Threshold"].as_u64().unwrap();
    assert!(2 * longest_call < milliseconds, "{longest_call} ms twice");
    assert!(alarm < milliseconds, "the alarm at {alarm} ms");
}

#[test]
fn the_access_log_is_json_without_credentials() {
    let template = template();
    let format = template["Resources"]["Api"]["Properties"]["AccessLogSettings"]["Format"].as_str().unwrap();
    assert!(!format.to_lowercase().contains("authorization"), "{format}");
    let line: serde_json::Map<String, Value> = serde_json::from_str(format).unwrap();
    for (name, value) in line {
        assert!(value.as_str().unwrap().starts_with("$context."), "{name}");
    }
}

#[test]
fn the_dashboard_is_json() {
    let template = template();
    let body = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["!Sub"].as_str().unwrap();
    let dashboard: Value = serde_json::from_str(body).unwrap();
    assert_eq!(dashboard["widgets"].as_array().unwrap().len(), 6);
}
