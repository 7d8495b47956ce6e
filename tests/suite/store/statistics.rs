//! Call statistics: what a call cost, and which scope collects it.

use super::{key, load, write_tombstone};
use crate::support::{
    Fixture,
    build::{api_client, id},
    wire::Fault as Planned,
};
use deregister::{
    rule::Precondition,
    store::{CallStatistics, ClientStatuses, WriteOutcome},
};
use std::{future::pending, sync::Arc, time::Duration};
use tokio::sync::{Barrier, Notify};

/// The statistics without the duration, which differs from run to run.
fn counts(statistics: CallStatistics) -> CallStatistics {
    CallStatistics { duration: Duration::ZERO, ..statistics }
}

fn throttled() -> Planned {
    Planned::error(400, "ThrottlingException")
}

/// Plans an attempt that waits until the other call is on its way too.
fn plan_meeting(fixture: &Fixture, operation: &str, barrier: &Arc<Barrier>) {
    let barrier = Arc::clone(barrier);
    let meet = async move {
        barrier.wait().await;
    };
    fixture.wire.plan(operation, Planned::meanwhile(meet));
}

#[tokio::test]
async fn an_attempt_is_counted_by_its_answer() {
    let one = CallStatistics { calls: 1, attempts: 1, ..CallStatistics::default() };
    let retried = CallStatistics { attempts: 2, ..one };
    let throttled = CallStatistics { throttles: 1, ..retried };
    let ambiguous = CallStatistics { ambiguous: 1, ..retried };
    for (case, fault, expected) in [
        ("no fault", None, one),
        ("clock skew", Some(Planned::Skewed), retried),
        ("capacity", Some(Planned::error(400, "ProvisionedThroughputExceededException")), throttled),
        ("quota", Some(Planned::error(400, "RequestLimitExceeded")), throttled),
        ("rate", Some(Planned::error(400, "ThrottlingException")), throttled),
        ("conflict", Some(Planned::error(400, "TransactionConflictException")), one),
        ("denied", Some(Planned::error(400, "AccessDeniedException")), one),
        ("500", Some(Planned::error(500, "InternalServerError")), ambiguous),
        ("503", Some(Planned::error(503, "ServiceUnavailable")), ambiguous),
        ("lost answer", Some(Planned::AnswerLost), ambiguous),
        ("lost request", Some(Planned::Reset), ambiguous),
        ("not JSON", Some(Planned::Replaced(200, "{")), CallStatistics { ambiguous: 1, ..one }),
    ] {
        let fixture = Fixture::empty().await;
        fixture.create("a", api_client()).await;
        if let Some(fault) = fault {
            fixture.wire.plan("UpdateItem", fault);
        }
        let (_, statistics) = CallStatistics::collect(write_tombstone(&fixture, "a", &[])).await;
        assert_eq!(counts(statistics), expected, "{case}");
        assert_eq!(statistics.retries(), expected.attempts - 1, "{case}");
    }
}

#[tokio::test]
async fn a_failed_condition_is_neither_a_throttle_nor_ambiguous() {
    let fixture = Fixture::empty().await;
    let write = write_tombstone(&fixture, "a", &[]);
    let (outcome, statistics) = CallStatistics::collect(write).await;
    assert_eq!(outcome, Ok(WriteOutcome::ConditionFailed(None)));
    assert_eq!(counts(statistics), CallStatistics { calls: 1, attempts: 1, ..CallStatistics::default() });
}

#[tokio::test]
async fn unprocessed_keys_are_a_throttle_and_a_retry() {
    let fixture = Fixture::empty().await;
    fixture.wire.plan("BatchGetItem", Planned::Unprocessed);
    fixture.wire.plan("BatchGetItem", Planned::Unprocessed);
    let (_, statistics) = CallStatistics::collect(load(&fixture.clients, &[key("a")])).await;
    let expected = CallStatistics { calls: 1, attempts: 3, throttles: 2, ..CallStatistics::default() };
    assert_eq!(counts(statistics), expected);
    assert_eq!(statistics.retries(), 2);
}

#[tokio::test]
async fn the_calls_in_a_scope_add_up() {
    let fixture = Fixture::empty().await;
    fixture.create("a", api_client()).await;
    fixture.wire.plan("BatchGetItem", throttled());
    fixture.wire.plan("UpdateItem", Planned::AnswerLost);
    let ((), statistics) = CallStatistics::collect(async {
        load(&fixture.clients, &[key("a")]).await.unwrap();
        write_tombstone(&fixture, "a", &[]).await.unwrap();
        fixture.clients.client_status(&id("a")).await.unwrap();
    })
    .await;
    let expected = CallStatistics { calls: 3, attempts: 5, throttles: 1, ambiguous: 1, duration: Duration::ZERO };
    assert_eq!(counts(statistics), expected);
    assert_eq!(fixture.wire.take_calls().len(), 5);
}

#[tokio::test]
async fn the_calls_in_a_nested_scope_count_in_both() {
    let fixture = Fixture::empty().await;
    let ((_, inner), outer) = CallStatistics::collect(async {
        load(&fixture.clients, &[key("a")]).await.unwrap();
        fixture.wire.plan("BatchGetItem", throttled());
        CallStatistics::collect(load(&fixture.clients, &[key("b")])).await
    })
    .await;
    let one = CallStatistics { calls: 1, attempts: 2, throttles: 1, ..CallStatistics::default() };
    assert_eq!(counts(inner), one);
    assert_eq!(counts(outer), CallStatistics { calls: 2, attempts: 3, ..one });
}

#[tokio::test]
async fn two_scopes_at_the_same_time_do_not_mix() {
    let fixture = Fixture::empty().await;
    fixture.create("a", api_client()).await;
    let barrier = Arc::new(Barrier::new(2));
    plan_meeting(&fixture, "BatchGetItem", &barrier);
    fixture.wire.plan("UpdateItem", throttled());
    plan_meeting(&fixture, "UpdateItem", &barrier);

    let keys = [key("a")];
    let ((_, read), (_, written)) = tokio::join!(
        CallStatistics::collect(load(&fixture.clients, &keys)),
        CallStatistics::collect(write_tombstone(&fixture, "a", &[])),
    );

    let one = CallStatistics { calls: 1, attempts: 1, ..CallStatistics::default() };
    assert_eq!(counts(read), one);
    assert_eq!(counts(written), CallStatistics { attempts: 2, throttles: 1, ..one });
}

#[tokio::test]
async fn an_ambiguous_attempt_of_another_call_in_the_scope_does_not_make_a_refusal_ambiguous() {
    let fixture = Fixture::empty().await;
    fixture.create("a", api_client()).await;
    fixture.create("b", api_client()).await;
    fixture.wire.plan("UpdateItem", Planned::AnswerLost);
    let ((), statistics) = CallStatistics::collect(async {
        let first = write_tombstone(&fixture, "a", &[]).await.unwrap();
        assert!(matches!(first, WriteOutcome::ConditionFailed(Some(_))), "its own tombstone is found: {first:?}");
        let second = write_tombstone(&fixture, "b", &[Precondition::Application("another")]).await;
        assert_eq!(second, Ok(WriteOutcome::ConditionFailed(Some(api_client().into()))));
    })
    .await;
    assert_eq!(statistics.ambiguous, 1);
}

#[tokio::test]
async fn a_call_that_is_abandoned_is_counted_with_its_duration() {
    let fixture = Fixture::empty().await;
    let silent = Arc::new(Notify::new());
    let reached = Arc::clone(&silent);
    fixture.wire.plan("BatchGetItem", throttled());
    let never = async move {
        reached.notify_one();
        pending::<()>().await;
    };
    fixture.wire.plan("BatchGetItem", Planned::meanwhile(never));
    let keys = [key("a")];
    let ((), statistics) = CallStatistics::collect(async {
        tokio::select! {
            answer = load(&fixture.clients, &keys) => panic!("{answer:?}"),
            () = silent.notified() => {}
        }
    })
    .await;
    let expected = CallStatistics { calls: 1, attempts: 2, throttles: 1, ..CallStatistics::default() };
    assert_eq!(counts(statistics), expected);
    assert!(statistics.duration > Duration::ZERO);
}
