//! `template.yaml` deploys what the program expects.

mod dashboard;
mod events;
mod resources;
mod roles;
mod schema;
mod settings;

use crate::support::{Fixture, invocation, now};
use deregister::{
    dynamodb::GrantsTable,
    functions::{Environment, Sweep, sweep::Report},
    model::{IdlePolicy, NoticePolicy},
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

/// How long before the deletion the sweep announces it in these tests.
const NOTICE_PERIOD: Duration = Duration::from_hours(14 * 24);

/// Runs the sweep. Both idle sample clients are due.
async fn sweep(fixture: &Fixture, grants: Option<GrantsTable>, deletes: bool, limit: usize) -> Report {
    run_sweep(fixture, grants, deletes, limit, None).await
}

/// Runs the sweep with a notice period.
async fn announce(fixture: &Fixture, limit: usize) -> Report {
    let notice = NoticePolicy { period: NOTICE_PERIOD, client_name: true, contacts: true };
    run_sweep(fixture, None, true, limit, Some(notice)).await
}

async fn run_sweep(
    fixture: &Fixture,
    grants: Option<GrantsTable>,
    deletes: bool,
    limit: usize,
    notice: Option<NoticePolicy>,
) -> Report {
    let policy = IdlePolicy { unused: Duration::from_hours(24), used: Duration::from_hours(90 * 24) };
    let settings = deregister::settings::Sweep { deletes, policy, notice, limit, concurrency: 8 };
    let (store, environment) = (fixture.clients.clone(), Environment::default());
    let sweep = Sweep { store, grants, settings, clock: now, environment };
    Box::pin(sweep.call(LambdaEvent::new(IgnoredAny, invocation()))).await.unwrap()
}
