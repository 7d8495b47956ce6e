//! Faults: no client stops a run. If the database is unavailable for one, it gets another turn after the others.

use super::{
    DELETES, HOUR, OBSERVES, Sweep, create_all, delete, due, grants_through_the_wire, index,
    index::{ids_in, run_from},
    issue, key, named, names, record, report, restore, run, run_in, run_of, s, set, sweep, table_with, take_calls,
    tombstones,
};
use crate::support::{Fixture, build::id, log::Captured, wire};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{dynamodb::item, functions::sweep::Report, settings, store::Fault};
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::Notify;

/// How many turns a client gets if the database is unavailable for it.
const TURNS: usize = 5;
/// The attempts of a call.
const ATTEMPTS: usize = 4;

/// Temporary faults. After the first three the write has certainly not taken effect.
const TEMPORARY: [(u16, &str); 5] = [
    (400, "TransactionConflictException"),
    (400, "ThrottlingException"),
    (400, "ProvisionedThroughputExceededException"),
    (500, "InternalServerError"),
    (503, "ServiceUnavailable"),
];

/// How many attempts the calls of this many turns make if all of them fail.
fn attempts_of(turns: usize, (_, error): (u16, &str)) -> usize {
    // The SDK does not repeat an attempt after a conflict or a refusal.
    let is_repeated = !["TransactionConflictException", "AccessDeniedException"].contains(&error);
    if is_repeated { turns * ATTEMPTS } else { turns }
}

/// The fault of each attempt that names the client, up to this many.
fn of_client(
    client_id: &'static str,
    mut attempts: usize,
    error: (u16, &'static str),
) -> impl FnMut(&str) -> Option<wire::Fault> {
    move |body| {
        let is_hit = attempts > 0 && names(body, client_id);
        attempts -= usize::from(is_hit);
        is_hit.then(|| wire::Fault::error(error.0, error.1))
    }
}

/// The fault of each attempt whose body contains the text.
fn of_all(text: &'static str, error: (u16, &'static str)) -> impl FnMut(&str) -> Option<wire::Fault> {
    move |body| body.contains(text).then(|| wire::Fault::error(error.0, error.1))
}

/// A table with this many due clients whose ids begin with `a-`, and of others with `b-`.
async fn table_of(a: u64, b: u64) -> Fixture {
    let fixture = Fixture::empty().await;
    let ids = (0..a).map(|n| format!("a-{n}")).chain((0..b).map(|n| format!("b-{n}")));
    create_all(&fixture, ids.map(|client_id| (client_id, due()))).await;
    fixture
}

#[tokio::test]
async fn a_client_in_a_lasting_conflict_fails_after_its_turns_and_the_others_are_swept() {
    let fixture = table_of(0, 50).await;
    create_all(&fixture, [("stuck".to_owned(), due())]).await;
    fixture.wire.always("UpdateItem", of_client("stuck", usize::MAX, (400, "TransactionConflictException")));
    let log = Captured::at("INFO");
    let result = run_in(run_of(HOUR), &sweep(&fixture, DELETES)).await;
    assert_eq!(result, Err(Fault::Unavailable("TransactionConflictException in UpdateItem".to_owned())));
    let record = record(&log);
    assert_eq!([&record["due"], &record["swept"], &record["failed"]], [51, 50, 1]);
    assert_eq!([&record["level"], &record["complete"]], [&json!("ERROR"), &json!(true)]);
    assert!(record["reason"].as_str().unwrap().contains("TransactionConflictException"), "{record}");
    assert_eq!(named(&log, "TransactionConflictException"), ["stuck"]);
    assert_eq!(take_calls(&fixture)["UpdateItem"], 50 + TURNS);
    assert_eq!(index(&fixture).await.into_keys().collect::<Vec<_>>(), ["stuck"]);
}

#[tokio::test]
async fn no_number_of_clients_that_cannot_be_deleted_keeps_the_others_from_being_swept() {
    for (error, refused, others) in [
        ((400, "AccessDeniedException"), 160, 500),
        ((400, "TransactionConflictException"), 40, 50),
        ((500, "InternalServerError"), 40, 50),
    ] {
        let fixture = table_of(refused, others).await;
        fixture.wire.always("UpdateItem", of_all("client#a-", error));
        let log = Captured::at("INFO");
        run_in(run_of(HOUR), &sweep(&fixture, DELETES)).await.unwrap_err();
        let record = record(&log);
        let counts = ["due", "swept", "failed"].map(|name| record[name].as_u64().unwrap());
        assert_eq!(counts, [refused + others, others, refused], "{error:?}");
        assert_eq!(record["complete"], true);
        assert_eq!(named(&log, error.1).len() as u64, refused);
        assert!(index(&fixture).await.into_keys().all(|client_id| client_id.starts_with("a-")));
    }
}

/// Items that have no room for the record of a deletion are swept like the others, beside one in a lasting conflict.
#[tokio::test]
async fn nearly_full_clients_and_a_lasting_conflict_keep_no_other_client_from_being_swept() {
    const LIMIT: usize = 409_600;
    let fixture = table_of(0, 500).await;
    for number in 0..160 {
        let client_id = format!("full-{number:03}");
        let room = LIMIT - 40 - item::size(&item::of_client(&id(&client_id), &due().name("").build()));
        let full = item::of_client(&id(&client_id), &due().name(&"x".repeat(room)).build());
        fixture.sdk.put_item().table_name(&fixture.table).set_item(Some(full)).send().await.unwrap();
    }
    create_all(&fixture, [("stuck".to_owned(), due())]).await;
    fixture.wire.always("UpdateItem", of_client("stuck", usize::MAX, (400, "TransactionConflictException")));
    let log = Captured::at("INFO");
    run_in(run_of(HOUR), &sweep(&fixture, DELETES)).await.unwrap_err();
    let record = record(&log);
    assert_eq!([&record["due"], &record["swept"], &record["failed"]], [661, 660, 1]);
    assert_eq!(record["complete"], true);
    assert_eq!(index(&fixture).await.into_keys().collect::<Vec<_>>(), ["stuck"]);
}

#[tokio::test]
async fn if_very_many_clients_wait_they_get_their_turns_before_the_next_client_and_the_others_are_swept_all_the_same() {
    let fixture = table_of(1200, 100).await;
    // How many clients had a turn before one had its second.
    let (first_turns, mut seen) = (Arc::new(Mutex::new(None)), BTreeSet::new());
    let turns = Arc::clone(&first_turns);
    fixture.wire.always("BatchGetItem", move |body| {
        let (_, client_id) = body.split_once("client#a-")?;
        if !seen.insert(client_id.split('"').next()?.to_owned()) {
            turns.lock().unwrap().get_or_insert(seen.len());
        }
        Some(wire::Fault::error(400, "TransactionConflictException"))
    });
    let log = Captured::at("INFO");
    run_in(run_of(HOUR), &sweep(&fixture, OBSERVES)).await.unwrap_err();
    let record = record(&log);
    assert_eq!([&record["due"], &record["swept"], &record["failed"]], [1300, 100, 1200]);
    assert_eq!(record["complete"], true);
    assert_eq!(*first_turns.lock().unwrap(), Some(1000));
}

#[tokio::test]
async fn a_client_that_meets_a_temporary_fault_is_swept_after_the_others() {
    for settings in [DELETES, OBSERVES] {
        for operation in ["Query", "BatchGetItem", "UpdateItem"] {
            for error in TEMPORARY {
                if operation == "UpdateItem" && !settings.deletes {
                    continue;
                }
                let fixture = table_with([("1", due()), ("2", due()), ("3", due())]).await;
                let grants = Some(grants_through_the_wire(&fixture).await);
                fixture.wire.always(operation, of_client("2", attempts_of(2, error), error));
                let log = Captured::at("INFO");
                let deletes = settings.deletes;
                let report = Report { deletes, swept: 3, ..report(3) };
                let sweep = Sweep { grants, ..sweep(&fixture, settings.clone()) };
                assert_eq!(run(&sweep).await, report, "{operation} {error:?}");
                assert_eq!(named(&log, if deletes { "swept a client" } else { "would sweep a client" })[2], "2");
                assert_eq!(record(&log)["level"], "INFO");
                assert_eq!(tombstones(&fixture).await.len(), if deletes { 3 } else { 0 });
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_meets_a_lasting_fault_fails_and_the_others_are_swept() {
    for operation in ["Query", "BatchGetItem", "UpdateItem"] {
        for (attempts, error) in [(1, (400, "AccessDeniedException")), (usize::MAX, (400, "ThrottlingException"))] {
            let fixture = table_with([("1", due()), ("2", due()), ("3", due())]).await;
            let grants = Some(grants_through_the_wire(&fixture).await);
            fixture.wire.always(operation, of_client("2", attempts, error));
            let log = Captured::at("INFO");
            let sweep = Sweep { grants, ..sweep(&fixture, DELETES) };
            let fault = run_in(run_of(HOUR), &sweep).await.unwrap_err();
            assert!(fault.to_string().contains(error.1), "{operation} {error:?}: {fault}");
            let record = record(&log);
            assert_eq!([&record["due"], &record["swept"], &record["failed"]], [3, 2, 1], "{operation} {error:?}");
            assert_eq!([&record["level"], &record["complete"]], [&json!("ERROR"), &json!(true)]);
            assert_eq!(named(&log, error.1), ["2"], "{operation}");
            assert!(fixture.lives("2").await);

            fixture.wire.repair();
            assert_eq!(run(&sweep).await, Report { swept: 1, ..report(1) });
        }
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
async fn a_client_whose_idle_time_cannot_be_read_is_counted_and_named_and_the_others_are_swept() {
    for since in ["-1", "1700000000000"] {
        let fixture = table_with([("1", due()), ("2", due()), ("3", due())]).await;
        let update = fixture.sdk.update_item().table_name(&fixture.table).key("pk", key("2"));
        let update = update.update_expression("SET idle_since = :since");
        update.expression_attribute_values(":since", AttributeValue::N(since.to_owned())).send().await.unwrap();
        for settings in [OBSERVES, DELETES] {
            let log = Captured::at("INFO");
            let deletes = settings.deletes;
            let expected = Report { deletes, swept: 2, unreadable: 1, ..report(3) };
            assert_eq!(run(&sweep(&fixture, settings)).await, expected, "{since}");
            let errors = log.lines().into_iter().filter(|line| line["level"] == "ERROR");
            let [error] = errors.collect::<Vec<_>>().try_into().unwrap();
            let message = "the item client#2 cannot be read: idle_since must be a number of seconds from 1970 to 9999, since 1970-01-01T00:00:00Z";
            assert_eq!(error["message"], message);
        }
        assert!(fixture.lives("2").await);
    }
}

#[tokio::test]
async fn the_run_fails_with_the_first_fault() {
    let fixture = table_with([("1", due()), ("2", due())]).await;
    fixture.wire.plan("UpdateItem", wire::Fault::error(400, "ResourceNotFoundException"));
    fixture.wire.plan("UpdateItem", wire::Fault::error(400, "AccessDeniedException"));
    let sweep = sweep(&fixture, settings::Sweep { concurrency: 1, ..DELETES });
    let fault = run_in(run_of(HOUR), &sweep).await;
    assert!(
        matches!(&fault, Err(Fault::Unexpected(text)) if text.starts_with("ResourceNotFoundException")),
        "{fault:?}"
    );
}

#[tokio::test]
async fn the_log_names_at_most_a_thousand_clients_that_failed_and_counts_all() {
    let fixture = table_of(1012, 1).await;
    fixture.wire.always("BatchGetItem", of_all("client#a-", (400, "AccessDeniedException")));
    let log = Captured::at("INFO");
    run_in(run_of(HOUR), &sweep(&fixture, OBSERVES)).await.unwrap_err();
    let record = record(&log);
    assert_eq!([&record["due"], &record["swept"], &record["failed"]], [1013, 1, 1012]);
    assert_eq!(named(&log, "AccessDeniedException").len(), 1000);
    let lines = log.lines().into_iter().filter(|line| line["clients"].is_number());
    let [rest] = lines.collect::<Vec<_>>().try_into().unwrap();
    assert_eq!([&rest["level"], &rest["clients"]], [&json!("ERROR"), &json!(12)]);
}

/// The client's first turn takes half of the time. The deadline is on the runtime's clock, which does not stop.
#[tokio::test]
async fn a_client_that_waits_when_the_time_is_over_fails_and_the_run_is_not_complete() {
    const TIME: Duration = Duration::from_secs(6);
    let fixture = table_with([("1", due()), ("2", due()), ("3", due())]).await;
    let slow = |body: &str| names(body, "2").then(|| wire::Fault::meanwhile(tokio::time::sleep(TIME / 2)));
    fixture.wire.always("BatchGetItem", slow);
    fixture.wire.always("UpdateItem", of_client("2", usize::MAX, (400, "TransactionConflictException")));
    let log = Captured::at("INFO");
    run_in(run_of(TIME), &sweep(&fixture, DELETES)).await.unwrap_err();
    let record = record(&log);
    assert_eq!([&record["due"], &record["swept"], &record["failed"]], [3, 2, 1]);
    assert_eq!(record["complete"], false);
    assert_eq!(named(&log, "TransactionConflictException"), ["2"]);
    assert_eq!(take_calls(&fixture)["UpdateItem"], 3);
}

#[tokio::test]
async fn a_page_of_the_index_that_cannot_be_read_at_once_is_read_again() {
    for error in TEMPORARY {
        let fixture = Fixture::empty().await;
        create_all(&fixture, ids_in('7').take(501).map(|client_id| (client_id, due()))).await;
        // Two reads of each page of the partition.
        let mut attempts = [0, 0];
        fixture.wire.always("Query", move |body| {
            let attempt = &mut attempts[usize::from(body.contains("ExclusiveStartKey"))];
            let is_hit = body.contains("unused#7") && *attempt < attempts_of(2, error);
            *attempt += usize::from(is_hit);
            is_hit.then(|| wire::Fault::error(error.0, error.1))
        });
        let observed = run(&sweep(&fixture, OBSERVES)).await;
        assert_eq!(observed, Report { deletes: false, swept: 501, ..report(501) }, "{error:?}");
        assert_eq!(take_calls(&fixture)["Query"], 65 + 2 * attempts_of(2, error));
    }
}

#[tokio::test]
async fn if_the_index_cannot_be_read_the_run_ends_with_that_fault_after_the_clients_under_way() {
    for (error, turns) in [((400, "AccessDeniedException"), 1), ((400, "ThrottlingException"), TURNS)] {
        // SHA-256 of "a" begins with c, too.
        let refused = ids_in('c').next().unwrap();
        let fixture = table_with([("a", due()), (&refused, due())]).await;
        let failed = Arc::new(Notify::new());
        let has_failed = Arc::clone(&failed);
        // One write is refused. The other waits until the index has failed.
        fixture.wire.always("UpdateItem", move |body| {
            if names(body, &refused) {
                return Some(wire::Fault::error(400, "ValidationException"));
            }
            let failed = Arc::clone(&failed);
            Some(wire::Fault::meanwhile(async move { failed.notified().await }))
        });
        let mut left = attempts_of(turns, error);
        fixture.wire.always("Query", move |body| {
            if body.contains("unused#c") {
                return None;
            }
            left -= 1;
            if left == 0 {
                has_failed.notify_one();
            }
            Some(wire::Fault::error(error.0, error.1))
        });
        let context = run_from(0xc).await;
        let log = Captured::at("INFO");
        let fault = run_in(context, &sweep(&fixture, DELETES)).await.unwrap_err();
        assert!(fault.to_string().contains(error.1), "{fault}");
        let record = record(&log);
        assert_eq!([&record["due"], &record["swept"], &record["failed"]], [2, 1, 1], "{error:?}");
        assert_eq!([&record["level"], &record["complete"]], [&json!("ERROR"), &json!(false)]);
        assert_eq!(record["message"], "the sweep failed");
        assert!(record["reason"].as_str().unwrap().contains(error.1), "{record}");
        assert!(!fixture.lives("a").await);
    }
}

/// Plans a write that takes effect without an answer: the answer of the first attempt is lost, and the further attempts
/// do not arrive.
fn lose_all_answers(fixture: &Fixture) {
    fixture.wire.plan("UpdateItem", wire::Fault::AnswerLost);
    (1..ATTEMPTS).for_each(|_| fixture.wire.plan("UpdateItem", wire::Fault::Reset));
}

#[tokio::test]
async fn a_deletion_whose_answers_are_all_lost_is_found_in_the_next_turn_and_counts_once() {
    let fixture = table_with([("a", due())]).await;
    lose_all_answers(&fixture);
    let log = Captured::at("INFO");
    assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { swept: 1, ..report(1) });
    assert_eq!(named(&log, "swept a client"), ["a"]);
    assert_eq!(log.lines().len(), 2);
    let calls = take_calls(&fixture);
    assert_eq!([calls["BatchGetItem"], calls["UpdateItem"]], [2, ATTEMPTS]);
}

#[tokio::test]
async fn a_deletion_whose_answers_are_all_lost_is_found_even_if_the_client_has_a_grant_since() {
    let fixture = table_with([("a", due())]).await;
    let grants = Some(grants_through_the_wire(&fixture).await);
    lose_all_answers(&fixture);
    let other = fixture.clone();
    fixture.wire.plan("BatchGetItem", wire::Fault::meanwhile(async move { issue(&other, "a", "1", None).await }));
    let sweep = Sweep { grants, ..sweep(&fixture, DELETES) };
    assert_eq!(run(&sweep).await, Report { swept: 1, ..report(1) });
}

#[tokio::test]
async fn a_client_that_another_request_deletes_or_an_operator_restores_before_the_next_turn_is_not_swept() {
    for restored in [false, true] {
        let fixture = table_with([("a", due())]).await;
        let other = fixture.clone();
        let event = async move { if restored { restore(&other, "a").await } else { delete(&other, "a").await } };
        if restored {
            lose_all_answers(&fixture);
        } else {
            (0..ATTEMPTS).for_each(|_| fixture.wire.plan("UpdateItem", wire::Fault::Reset));
        }
        fixture.wire.plan("BatchGetItem", wire::Fault::meanwhile(async {}));
        fixture.wire.plan("BatchGetItem", wire::Fault::meanwhile(event));
        assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { changed: 1, ..report(1) }, "{restored}");
        assert_eq!(fixture.lives("a").await, restored);
    }
}

#[tokio::test]
async fn a_write_of_the_last_turn_that_took_effect_is_found() {
    let fixture = table_with([("a", due())]).await;
    (1..TURNS).for_each(|_| fixture.wire.plan("UpdateItem", wire::Fault::error(400, "TransactionConflictException")));
    lose_all_answers(&fixture);
    assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { swept: 1, ..report(1) });
}

#[tokio::test]
async fn a_write_of_the_last_turn_that_did_not_take_effect_fails_with_its_own_fault() {
    let fixture = table_with([("a", due())]).await;
    fixture.wire.always("UpdateItem", |_| Some(wire::Fault::error(500, "InternalServerError")));
    let result = run_in(run_of(HOUR), &sweep(&fixture, DELETES)).await;
    assert_eq!(result, Err(Fault::Unavailable("InternalServerError in UpdateItem: DynamoDB has a fault".to_owned())));
    // Each turn after the first looks whether the write before it took effect. The last does nothing else.
    let calls = take_calls(&fixture);
    assert_eq!([calls["BatchGetItem"], calls["UpdateItem"]], [2 * TURNS, TURNS * ATTEMPTS]);
}

#[tokio::test]
async fn a_write_that_may_have_taken_effect_counts_towards_the_limit() {
    let fixture = table_of(20, 0).await;
    lose_all_answers(&fixture);
    let sweep = sweep(&fixture, settings::Sweep { limit: 1, ..DELETES });
    assert_eq!(run(&sweep).await, Report { swept: 1, complete: false, ..report(1) });
    assert_eq!(tombstones(&fixture).await.len(), 1);
}

#[tokio::test]
async fn a_client_that_may_be_deleted_keeps_its_place_while_another_waits_too() {
    let fixture = table_of(20, 0).await;
    // The first client waits without a place, the second with one.
    fixture.wire.plan("UpdateItem", wire::Fault::error(400, "TransactionConflictException"));
    lose_all_answers(&fixture);
    let sweep = sweep(&fixture, settings::Sweep { limit: 1, ..DELETES });
    assert_eq!(run(&sweep).await, Report { swept: 1, complete: false, ..report(1) });
    assert_eq!(tombstones(&fixture).await.len(), 1);
}

/// A turn after the lost answers ends without a decision, and then the write takes effect.
#[tokio::test]
async fn a_client_that_may_be_deleted_keeps_its_place_if_its_next_turn_decides_nothing() {
    let fixture = table_of(20, 0).await;
    let late = wire::Late::default();
    fixture.wire.plan("UpdateItem", wire::Fault::Late(late.clone()));
    (1..ATTEMPTS).for_each(|_| fixture.wire.plan("UpdateItem", wire::Fault::Reset));
    // The read of the first turn, and the look and the read of the second.
    (0..2).for_each(|_| fixture.wire.plan("BatchGetItem", wire::Fault::meanwhile(async {})));
    fixture.wire.plan("BatchGetItem", wire::Fault::error(400, "TransactionConflictException"));
    fixture.wire.plan("BatchGetItem", wire::Fault::meanwhile(async move { late.arrive().await }));
    let sweep = sweep(&fixture, settings::Sweep { limit: 1, ..DELETES });
    assert_eq!(run(&sweep).await, Report { swept: 1, complete: false, ..report(1) });
    assert_eq!(tombstones(&fixture).await.len(), 1);
}

/// The write takes effect between the look and the read of the next turn.
#[tokio::test]
async fn a_write_that_takes_effect_after_the_look_counts_as_swept() {
    let fixture = table_with([("a", due())]).await;
    let late = wire::Late::default();
    fixture.wire.plan("UpdateItem", wire::Fault::Late(late.clone()));
    (1..ATTEMPTS).for_each(|_| fixture.wire.plan("UpdateItem", wire::Fault::Reset));
    (0..2).for_each(|_| fixture.wire.plan("BatchGetItem", wire::Fault::meanwhile(async {})));
    fixture.wire.plan("BatchGetItem", wire::Fault::meanwhile(async move { late.arrive().await }));
    assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { swept: 1, ..report(1) });
}

#[tokio::test]
async fn a_client_that_failed_and_may_be_deleted_counts_towards_the_limit() {
    let fixture = table_of(20, 0).await;
    (1..TURNS).for_each(|_| (0..ATTEMPTS).for_each(|_| fixture.wire.plan("UpdateItem", wire::Fault::Reset)));
    lose_all_answers(&fixture);
    // The look after the last turn cannot read.
    (0..2 * TURNS - 1).for_each(|_| fixture.wire.plan("BatchGetItem", wire::Fault::meanwhile(async {})));
    fixture.wire.plan("BatchGetItem", wire::Fault::error(400, "TransactionConflictException"));
    let log = Captured::at("INFO");
    run_in(run_of(HOUR), &sweep(&fixture, settings::Sweep { limit: 1, ..DELETES })).await.unwrap_err();
    let record = record(&log);
    assert_eq!([&record["due"], &record["swept"], &record["failed"]], [1, 0, 1]);
    assert_eq!(record["complete"], false);
    assert_eq!(tombstones(&fixture).await.len(), 1);
}

#[tokio::test]
async fn writes_that_did_not_take_effect_do_not_use_up_the_limit() {
    let fixture = table_of(30, 30).await;
    fixture.wire.always("UpdateItem", of_all("client#a-", (500, "InternalServerError")));
    let log = Captured::at("INFO");
    let _ = run_in(run_of(HOUR), &sweep(&fixture, settings::Sweep { limit: 10, ..DELETES })).await;
    assert_eq!(record(&log)["swept"], 10);
    assert_eq!(tombstones(&fixture).await.len(), 10);
}

#[tokio::test]
async fn a_client_that_waits_when_the_limit_is_reached_stays_due() {
    let fixture = table_with([("1", due()), ("2", due()), ("3", due())]).await;
    // The client of the first write.
    fixture.wire.plan("UpdateItem", wire::Fault::error(400, "TransactionConflictException"));
    let sweep = sweep(&fixture, settings::Sweep { limit: 2, ..DELETES });
    assert_eq!(run(&sweep).await, Report { swept: 2, complete: false, ..report(2) });
    // DynamoDB says that it wrote nothing. So the client keeps no place, and needs no look.
    let calls = take_calls(&fixture);
    assert_eq!([calls["BatchGetItem"], calls["UpdateItem"]], [3, 3]);
    assert_eq!(run(&sweep).await, Report { swept: 1, ..report(1) });
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
