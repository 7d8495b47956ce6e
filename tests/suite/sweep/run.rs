//! How a run ends: at its limit, at its deadline, or with a fault.

use super::{
    DELETES, HOUR, OBSERVES, SECOND, create_all, due, index, record, report, run, run_in, run_of, s, set, sweep,
    table_with,
};
use crate::support::{Fixture, log::Captured, wire};
use deregister::{functions::sweep::Report, settings, store::Fault};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_run_deletes_at_most_its_limit_and_the_next_continues() {
    let fixture = table_with(["1", "2", "3", "4", "5"].map(|client_id| (client_id, due()))).await;
    let limited = Report { swept: 2, complete: false, ..report(2) };
    let observes = sweep(&fixture, settings::Sweep { limit: 2, ..OBSERVES });
    assert_eq!(run(&observes).await, Report { deletes: false, ..limited.clone() });
    let deletes = sweep(&fixture, settings::Sweep { limit: 2, ..DELETES });
    assert_eq!(run(&deletes).await, limited);
    assert_eq!(run(&deletes).await, limited);
    assert_eq!(run(&deletes).await, Report { swept: 1, ..report(1) });
    assert_eq!(run(&deletes).await, report(0));
}

#[tokio::test]
async fn a_run_whose_last_client_reaches_the_limit_is_complete() {
    let fixture = table_with([("1", due()), ("2", due())]).await;
    let sweep = sweep(&fixture, settings::Sweep { limit: 2, ..DELETES });
    assert_eq!(run(&sweep).await, Report { swept: 2, ..report(2) });
}

/// The first client takes half of the time. The deadline is on the runtime's clock, which does not stop.
#[tokio::test]
async fn a_run_that_is_out_of_time_reports_and_the_next_continues() {
    const TIME: Duration = Duration::from_secs(6);
    let fixture = table_with([("1", due()), ("2", due()), ("3", due())]).await;
    fixture.wire.plan("UpdateItem", wire::Fault::meanwhile(tokio::time::sleep(TIME / 2)));
    let result = run_in(run_of(TIME), &sweep(&fixture, DELETES)).await;
    assert_eq!(result, Ok(Report { swept: 1, complete: false, ..report(1) }));
    assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { swept: 2, ..report(2) });
}

#[tokio::test]
async fn a_database_that_does_not_answer_ends_the_run_at_its_deadline() {
    for operation in ["Query", "BatchGetItem", "UpdateItem"] {
        let fixture = table_with([("a", due())]).await;
        fixture.wire.plan(operation, wire::Fault::Silence);
        let log = Captured::at("INFO");
        let result = run_in(run_of(SECOND), &sweep(&fixture, DELETES)).await;
        assert!(matches!(result, Err(Fault::Unavailable(_))), "{operation}: {result:?}");
        assert_eq!(record(&log)["level"], "ERROR", "{operation}");
        assert!(fixture.lives("a").await);
    }
}

#[tokio::test]
async fn a_client_that_cannot_be_read_is_logged_and_the_others_are_deleted() {
    let fixture = table_with([("1", due()), ("2", due()), ("3", due())]).await;
    set(&fixture, "2", "kind", s("nonsense")).await;
    let log = Captured::at("INFO");
    assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { swept: 2, unreadable: 1, ..report(3) });
    let errors = log.lines().into_iter().filter(|line| line["level"] == "ERROR");
    let [error] = errors.collect::<Vec<_>>().try_into().unwrap();
    assert!(error["message"].as_str().unwrap().starts_with("the item client#2 cannot be read"), "{error}");
    assert_eq!(record(&log)["level"], "INFO");
    assert!(fixture.lives("2").await);
}

#[tokio::test]
async fn a_fault_ends_the_run_with_an_error_and_a_record_of_what_it_did() {
    let unexpected: fn(String) -> Fault = Fault::Unexpected;
    let denied = "the role or user may not make this call";
    for (operation, passing_calls, attempts, error, words, fault) in [
        ("Query", 0, 1, "AccessDeniedException", denied, unexpected),
        ("BatchGetItem", 1, 1, "AccessDeniedException", denied, unexpected),
        ("UpdateItem", 1, 4, "ThrottlingException", "DynamoDB throttles the call", Fault::Unavailable),
    ] {
        let fixture = table_with([("1", due()), ("2", due()), ("3", due())]).await;
        (0..passing_calls).for_each(|_| fixture.wire.plan(operation, wire::Fault::meanwhile(async {})));
        (0..attempts).for_each(|_| fixture.wire.plan(operation, wire::Fault::error(400, error)));
        let log = Captured::at("INFO");
        let result = run_in(run_of(HOUR), &sweep(&fixture, DELETES)).await;
        assert_eq!(result, Err(fault(format!("{error} in {operation}: {words}"))), "{operation}");
        let record = record(&log);
        assert_eq!([&record["level"], &record["complete"]], [&json!("ERROR"), &json!(false)]);
        assert_eq!(record["message"], "the sweep failed");
        assert_eq!([&record["due"], &record["swept"]], [passing_calls; 2], "{operation}");
        assert!(record["reason"].as_str().unwrap().contains(error), "{record}");
    }
}

#[tokio::test]
async fn a_client_whose_deletion_the_database_refuses_is_logged_and_fails_the_run_after_the_others() {
    let fixture = table_with([("1", due()), ("2", due()), ("3", due())]).await;
    // DynamoDB's error for an item that is too large for the record of its deletion.
    fixture.wire.plan("UpdateItem", wire::Fault::error(400, "ValidationException"));
    let log = Captured::at("INFO");
    let result = run_in(run_of(HOUR), &sweep(&fixture, DELETES)).await;
    assert!(matches!(result, Err(Fault::Unexpected(_))), "{result:?}");
    let record = record(&log);
    assert_eq!([&record["due"], &record["swept"], &record["failed"]], [3, 2, 1]);
    assert_eq!([&record["level"], &record["complete"]], [&json!("ERROR"), &json!(true)]);
    let [left] = index(&fixture).await.into_keys().collect::<Vec<_>>().try_into().unwrap();
    let lines: Vec<_> = log.lines().into_iter().filter(|line| line["client_id"] == left).collect();
    assert!(lines[0]["message"].as_str().unwrap().contains("ValidationException"), "{lines:?}");
    assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { swept: 1, ..report(1) });
}

#[tokio::test]
async fn after_ten_refused_deletions_the_run_ends() {
    let fixture = Fixture::empty().await;
    create_all(&fixture, (0..30).map(|n| (format!("due-{n}"), due()))).await;
    (0..30).for_each(|_| fixture.wire.plan("UpdateItem", wire::Fault::error(400, "AccessDeniedException")));
    let log = Captured::at("INFO");
    run_in(run_of(HOUR), &sweep(&fixture, DELETES)).await.unwrap_err();
    let record = record(&log);
    assert_eq!([&record["due"], &record["failed"], &record["complete"]], [&json!(10), &json!(10), &json!(false)]);
}

#[tokio::test]
async fn a_throttled_run_continues() {
    let fixture = table_with([("1", due()), ("2", due())]).await;
    for operation in ["Query", "BatchGetItem", "UpdateItem"] {
        fixture.wire.plan(operation, wire::Fault::error(400, "ThrottlingException"));
    }
    let log = Captured::at("INFO");
    assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { swept: 2, ..report(2) });
    let record = record(&log);
    assert_eq!([&record["throttles"], &record["retries"]], [3, 3]);
}
