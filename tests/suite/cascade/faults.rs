//! Faults, the deadline, and runs that are killed at any point.

use super::{
    CONTENT, MAX_DURATION, PAGE, Tables, all_done, by_client, calls, deletion, event, failed, outcomes, purges, s,
};
use crate::support::{
    log::Captured,
    now,
    random::Random,
    wire::{Fault, Wire},
};
use aws_lambda_events::streams::DynamoDbEventResponse;
use deregister::{
    dynamodb::GrantsTable,
    functions::{Cascade, Environment},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, future::poll_fn, pin::pin, task::Poll, time::Duration};

#[tokio::test]
async fn a_call_that_fails_once_is_tried_again() {
    let tables = Tables::new().await;
    tables.issue("other", 0..3).await;
    for (nth, operation) in calls(&[1])[..3].iter().enumerate() {
        for (fault, throttles) in [
            (Fault::error(400, "ThrottlingException"), 1),
            (Fault::error(400, "ProvisionedThroughputExceededException"), 1),
            (Fault::error(500, "InternalServerError"), 0),
            (Fault::Reset, 0),
            (Fault::AnswerLost, 0),
        ] {
            let expected = tables.items().await;
            tables.issue("a", 0..1).await;
            tables.take_calls();
            tables.fixture.wire.plan(operation, fault);
            let log = Captured::at("INFO");
            assert_eq!(tables.deliver(&[deletion("1", "a")]).await, all_done(), "{operation}");
            let mut made = calls(&[1]);
            made.insert(nth, operation);
            assert_eq!(tables.take_calls(), made);
            let [purge] = purges(&log).try_into().unwrap();
            assert_eq!([&purge["outcome"], &purge["retries"]], [&json!("removed"), &json!(1)], "{operation} {purge}");
            assert_eq!(purge["throttles"], throttles, "{operation} {purge}");
            assert!(tables.items().await == expected, "{operation}");
        }
    }
}

/// Delivers the deletions of the clients `a`, `b` and `c`, which have two grants each. The purge of `b` meets the error
/// in as many calls of the operation.
async fn deliver_with_fault(
    tables: &Tables,
    operation: &str,
    error: (u16, &str),
    calls: usize,
) -> (DynamoDbEventResponse, Captured) {
    for client in ["a", "b", "c"] {
        tables.issue(client, 0..2).await;
    }
    tables.pass(operation, 1);
    (0..calls).for_each(|_| tables.fixture.wire.plan(operation, Fault::error(error.0, error.1)));
    let log = Captured::at("INFO");
    let response = tables.deliver(&[deletion("1", "a"), deletion("2", "b"), deletion("3", "c")]).await;
    assert!(!log.text().contains(CONTENT) && !log.text().contains("grant-0"));
    (response, log)
}

fn texts<'l>(lines: &'l [Value], name: &str) -> Vec<&'l str> {
    lines.iter().map(|line| line[name].as_str().unwrap()).collect()
}

fn sum(lines: &[Value], name: &str) -> u64 {
    lines.iter().map(|line| line[name].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn a_permanent_fault_fails_its_own_record_only() {
    let tables = Tables::new().await;
    for operation in ["Query", "GetItem", "BatchWriteItem"] {
        let (response, log) = deliver_with_fault(&tables, operation, (400, "AccessDeniedException"), 1).await;
        assert_eq!(failed(&response), ["2"], "{operation}");
        let purges = purges(&log);
        assert_eq!(texts(&purges, "outcome"), ["removed", "unfinished", "removed"]);
        assert_eq!(texts(&purges, "level"), ["INFO", "ERROR", "INFO"]);
        assert_eq!(texts(&purges, "client_id"), ["a", "b", "c"]);
        let unfinished = &purges[1];
        assert_eq!(unfinished["message"], "left grants of a deleted client for a later attempt");
        assert!(unfinished["reason"].as_str().unwrap().contains("AccessDeniedException"), "{unfinished}");
        assert_eq!([&unfinished["retries"], &unfinished["grants_removed"]], [&json!(0), &json!(0)]);
        assert_eq!([tables.count("a").await, tables.count("b").await, tables.count("c").await], [0, 2, 0]);

        assert_eq!(tables.deliver(&[deletion("2", "b")]).await, all_done());
        assert_eq!(tables.count("b").await, 0);
    }
}

#[tokio::test]
async fn a_temporary_fault_is_retried_after_the_other_purges() {
    let tables = Tables::new().await;
    for operation in ["Query", "GetItem", "BatchWriteItem"] {
        for error in [(400, "ThrottlingException"), (500, "InternalServerError")] {
            // All attempts of two calls fail: one of `b`, one of `c`.
            let (response, log) = deliver_with_fault(&tables, operation, error, 8).await;
            assert_eq!(response, all_done(), "{operation} {error:?}");
            let purges = purges(&log);
            assert_eq!(texts(&purges, "outcome"), ["removed"; 3], "{operation}");
            assert_eq!(texts(&purges, "client_id")[0], "a", "{operation}");
            assert_eq!(sum(&purges, "retries"), 6, "{operation}");
            assert_eq!(sum(&purges, "grants_removed"), 6, "{operation}");
            assert_eq!([tables.count("a").await, tables.count("b").await, tables.count("c").await], [0; 3]);
        }
    }
}

#[tokio::test]
async fn a_fault_until_the_deadline_fails_each_record_with_one_log_line() {
    let tables = Tables::new().await;
    for client in ["a", "b"] {
        tables.issue(client, 0..2).await;
    }
    (0..1000).for_each(|_| tables.fixture.wire.plan("BatchWriteItem", Fault::error(400, "ThrottlingException")));
    let log = Captured::at("INFO");
    let batch = [deletion("1", "a"), deletion("2", "b")];
    let response = tables.deliver_within(Duration::from_secs(5), &batch).await;
    assert_eq!(failed(&response), ["1", "2"]);
    let purges = purges(&log);
    assert_eq!([texts(&purges, "client_id"), texts(&purges, "outcome")], [["a", "b"], ["unfinished", "unfinished"]]);
    // Each purge was tried more than once.
    assert!(purges.iter().all(|purge| purge["throttles"].as_u64().unwrap() >= 8), "{purges:?}");
    assert!(texts(&purges, "reason").iter().any(|reason| reason.contains("ThrottlingException")), "{purges:?}");
    assert_eq!([tables.count("a").await, tables.count("b").await], [2, 2]);
}

#[tokio::test]
async fn an_unfinished_purge_logs_how_many_grants_it_removed() {
    let tables = Tables::new().await;
    tables.issue("a", 0..60).await;
    tables.pass("BatchWriteItem", 1);
    tables.fixture.wire.plan("BatchWriteItem", Fault::OnlyFirst);
    tables.fixture.wire.plan("BatchWriteItem", Fault::error(400, "AccessDeniedException"));
    let log = Captured::at("INFO");
    assert_eq!(failed(&tables.deliver(&[deletion("1", "a")]).await), ["1"]);
    assert_eq!(outcomes(&log), [("unfinished".to_owned(), 26, 5)]);
    assert_eq!(tables.count("a").await, 60 - 26);
}

/// Drops `work` as soon as it has made its n-th call, before it sees the answer. Returns its output if it ends earlier.
async fn dropped_at<T>(nth: usize, wire: &Wire, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut calls) = (pin!(work), 0);
    poll_fn(|context| {
        let polled = work.as_mut().poll(context).map(Some);
        calls += wire.take_calls().len();
        if polled.is_pending() && calls >= nth { Poll::Ready(None) } else { polled }
    })
    .await
}

#[tokio::test]
async fn after_ten_runs_that_are_killed_at_random_calls_the_next_run_finishes() {
    let tables = Tables::new().await;
    tables.issue("a", 0..3 * PAGE).await;
    tables.issue("ab", 0..30).await;
    let expected = tables.items_without("a").await;
    // Ten of the calls of an undisturbed run. Runs that begin again need more calls, so none of them finishes.
    let calls = calls(&[PAGE; 3]).len();
    let (mut random, mut points) = (Random::new(), BTreeSet::from([0]));
    while points.len() <= 10 {
        points.insert(1 + random.below(calls - 1));
    }
    tables.take_calls();
    let (points, batch) = (points.into_iter().collect::<Vec<_>>(), [deletion("1", "a")]);
    for between in points.windows(2) {
        let run = dropped_at(between[1] - between[0], &tables.fixture.wire, tables.deliver(&batch)).await;
        assert_eq!(run, None, "{points:?}");
    }
    assert_eq!(tables.deliver(&batch).await, all_done());
    assert!(tables.items().await == expected, "{points:?}");
}

#[tokio::test]
async fn at_the_deadline_the_record_and_those_after_it_fail_and_the_next_invocation_continues() {
    for (operation, pass) in [("Query", 0), ("GetItem", 0), ("BatchWriteItem", 1)] {
        let tables = Tables::new().await;
        tables.issue("a", 0..60).await;
        tables.issue("b", 0..1).await;
        tables.issue("ab", 0..1).await;
        let [clients, mut grants] = tables.items().await;
        grants.retain(|grant| grant["client_id"] == s("ab"));
        tables.pass(operation, pass);
        tables.fixture.wire.plan(operation, Fault::Silence);
        let batch = [deletion("1", "a"), deletion("2", "b")];
        let log = Captured::at("INFO");
        // Two seconds of it are reserved for the response.
        let response = tables.deliver_within(Duration::from_millis(2_300), &batch).await;
        assert_eq!(failed(&response), ["1", "2"], "{operation}");
        assert!(outcomes(&log).iter().all(|(outcome, ..)| outcome == "unfinished"), "{operation}");
        assert!(log.text().contains("no answer before the deadline of the invocation"), "{operation}");
        assert!((1..=60).contains(&tables.count("a").await), "{operation}");

        let config = tables.fixture.sdk.config().to_builder();
        let grants_without_the_wire = GrantsTable::open(config, by_client()).await.unwrap();
        let next = Cascade::new(tables.fixture.direct(), grants_without_the_wire, now, Environment::default());
        let response = Box::pin(next.call(event(MAX_DURATION, &batch))).await.unwrap();
        assert_eq!(response, all_done(), "{operation}");
        assert!(tables.items().await == [clients, grants], "{operation}");
    }
}

#[tokio::test]
async fn two_runs_with_the_same_record_at_once_do_no_harm() {
    let tables = Tables::new().await;
    tables.issue("a", 0..PAGE + 30).await;
    tables.issue("ab", 0..30).await;
    let expected = tables.items_without("a").await;
    let batch = [deletion("1", "a")];
    let (one, other) = tokio::join!(tables.deliver(&batch), tables.deliver(&batch));
    assert_eq!([one, other], [all_done(), all_done()]);
    assert!(tables.items().await == expected);
}
