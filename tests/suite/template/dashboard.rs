//! The dashboard, which searches for the metrics of the records.

use super::{sweep, template};
use crate::support::{Fixture, build::grants_settings, endpoint::Endpoint, invocation, log::Captured, now};
use deregister::{
    dynamodb::GrantsTable,
    functions::{Cascade, Environment},
    settings::{Metrics, Setting},
};
use lambda_http::LambdaEvent;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const METRICS: Setting = Metrics::TABLE[0];

fn dashboard() -> Value {
    let template = template();
    let body = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["!Sub"].as_str().unwrap();
    // The stack's name is the namespace of the metrics.
    serde_json::from_str(&body.replace("${AWS::StackName}", METRICS.default)).unwrap()
}

#[test]
fn it_is_json() {
    assert_eq!(dashboard()["widgets"].as_array().unwrap().len(), 8);
}

/// The metrics of the records of all functions: `namespace,dimension…` and the metric.
async fn metrics() -> BTreeSet<(String, String)> {
    let fixture = Fixture::with_samples().await;
    fixture.create_grants_table().await;
    let grants = GrantsTable::open(fixture.sdk.config().to_builder(), grants_settings()).await.unwrap();
    let log = Captured::at("INFO");
    fixture.invoke(&Endpoint::Configuration.event()).await;
    let record = json!({ "dynamodb": { "SequenceNumber": "1", "Keys": { "pk": { "S": "client#a" } } } });
    let batch = serde_json::from_value(json!({ "Records": [record] })).unwrap();
    let cascade = Cascade::new(fixture.clients.clone(), grants, now, Environment::default());
    Box::pin(cascade.call(LambdaEvent::new(batch, invocation()))).await.unwrap();
    sweep(&fixture, None, false, 1).await;

    let mut metrics = BTreeSet::new();
    let lines = log.lines();
    let directives = lines.iter().filter_map(|line| line["_aws"]["CloudWatchMetrics"].as_array()).flatten();
    for directive in directives {
        for dimensions in directive["Dimensions"].as_array().unwrap() {
            for metric in directive["Metrics"].as_array().unwrap() {
                let names = [&directive["Namespace"]].into_iter().chain(dimensions.as_array().unwrap());
                let names: Vec<_> = names.map(|name| name.as_str().unwrap()).collect();
                metrics.insert((names.join(","), metric["Name"].as_str().unwrap().to_owned()));
            }
        }
    }
    metrics
}

#[tokio::test]
async fn it_searches_for_metrics_that_the_records_have() {
    let metrics = metrics().await;
    let text = dashboard().to_string();
    let searches: Vec<_> = text.split("SEARCH('{").skip(1).map(|rest| rest.split("',").next().unwrap()).collect();
    assert_eq!(searches.len(), 3, "{text}");
    for search in searches {
        let (schema, condition) = search.split_once("} MetricName=").unwrap();
        // A namespace may need quotation marks.
        let schema = schema.replace(['\\', '"'], "");
        for name in condition.split(" OR ") {
            let name = name.trim_matches(['(', ')', '\\', '"']);
            assert!(metrics.contains(&(schema.clone(), name.to_owned())), "{schema} {name} is not in {metrics:?}");
        }
    }
}
