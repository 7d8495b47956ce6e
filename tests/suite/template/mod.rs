//! `template.yaml` deploys what the program expects.

mod dashboard;
mod events;
mod resources;
mod roles;
mod settings;

use crate::support::{Fixture, invocation, now};
use deregister::{
    dynamodb::GrantsTable,
    functions::{Environment, Sweep, sweep::Report},
    model::IdlePolicy,
};
use lambda_http::LambdaEvent;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::time::Duration;

fn template() -> Value {
    let documents = Yaml::load_from_str(include_str!("../../../template.yaml")).unwrap();
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
        other => panic!("the template has a value that this test does not know: {other:?}"),
    }
}

/// Runs the sweep. Both idle sample clients are due.
async fn sweep(fixture: &Fixture, grants: Option<GrantsTable>, deletes: bool, limit: usize) -> Report {
    let policy = IdlePolicy { unused: Duration::from_hours(24), used: Duration::from_hours(90 * 24) };
    let settings = deregister::settings::Sweep { deletes, policy, notice: None, limit, concurrency: 8 };
    let (store, environment) = (fixture.clients.clone(), Environment::default());
    let sweep = Sweep { store, grants, settings, clock: now, environment };
    Box::pin(sweep.call(LambdaEvent::new(IgnoredAny, invocation()))).await.unwrap()
}
