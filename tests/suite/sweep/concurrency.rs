//! Several clients at the same time.

use super::{
    DELETES, OBSERVES, SECOND, Sweep, create, create_all, due, due_api_client, grants, issue, items, named, names,
    record, report, run, run_in, run_of, s, set, sweep, take_calls, tombstones, use_client,
};
use crate::support::{Fixture, log::Captured, wire::Fault};
use deregister::{functions::sweep::Report, settings};
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use tokio::{sync::Barrier, task::yield_now};

fn ids(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|n| format!("client-{n}"))
}

async fn table_of(count: usize) -> Fixture {
    let fixture = Fixture::empty().await;
    create_all(&fixture, ids(count).map(|client_id| (client_id, due()))).await;
    fixture
}

/// Lets every call of the operation wait until this many are under way.
fn meet(fixture: &Fixture, operation: &str, count: usize) {
    let barrier = Arc::new(Barrier::new(count));
    fixture.wire.always(operation, move |_| {
        let barrier = Arc::clone(&barrier);
        Some(Fault::meanwhile(async move {
            barrier.wait().await;
        }))
    });
}

#[tokio::test]
async fn a_run_works_on_as_many_clients_at_once_as_the_setting_says() {
    for concurrency in [1, 3, 8, 64] {
        let fixture = table_of(2 * concurrency).await;
        // If fewer clients are under way, the run never ends.
        meet(&fixture, "UpdateItem", concurrency);
        let sweep = sweep(&fixture, settings::Sweep { concurrency, ..DELETES });
        let result = run_in(run_of(60 * SECOND), &sweep).await;
        assert_eq!(result, Ok(Report { swept: 2 * concurrency, ..report(2 * concurrency) }));
    }
}

/// Counts one down when it is dropped.
struct Count(Arc<AtomicUsize>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[tokio::test]
async fn a_run_never_works_on_more_clients_at_once_than_the_setting_says() {
    for concurrency in [1, 3, 8] {
        let fixture = table_of(40).await;
        let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for operation in ["BatchGetItem", "UpdateItem"] {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            fixture.wire.always(operation, move |_| {
                most.fetch_max(running.fetch_add(1, Relaxed) + 1, Relaxed);
                let count = Count(Arc::clone(&running));
                Some(Fault::during(async move {
                    for _ in 0..10 {
                        yield_now().await;
                    }
                    count
                }))
            });
        }
        run(&sweep(&fixture, settings::Sweep { concurrency, ..DELETES })).await;
        assert_eq!((running.load(Relaxed), most.load(Relaxed)), (0, concurrency));
    }
}

#[tokio::test]
async fn a_run_deletes_exactly_its_limit_however_many_clients_it_works_on_at_once() {
    for settings in [DELETES, OBSERVES] {
        for concurrency in [1, 8, 64] {
            let (fixture, deletes) = (table_of(40).await, settings.deletes);
            let sweep = sweep(&fixture, settings::Sweep { concurrency, limit: 10, ..settings.clone() });
            assert_eq!(run(&sweep).await, Report { deletes, swept: 10, complete: false, ..report(10) });
            assert_eq!(tombstones(&fixture).await.len(), if deletes { 10 } else { 0 });
        }
    }
}

#[tokio::test]
async fn a_client_that_is_kept_leaves_its_place_within_the_limit_to_another() {
    for concurrency in [1, 8] {
        let fixture = table_of(10).await;
        create_all(&fixture, (0..40).map(|n| (format!("protected-{n}"), due().protected()))).await;
        let sweep = sweep(&fixture, settings::Sweep { concurrency, limit: 11, ..DELETES });
        assert_eq!(run(&sweep).await, Report { swept: 10, protected: 40, ..report(50) });
    }
}

#[tokio::test]
async fn a_run_gives_the_same_report_and_the_same_table_however_many_clients_it_works_on_at_once() {
    let run_with = async |concurrency| {
        let fixture = table_of(30).await;
        create_all(&fixture, (0..5).map(|n| (format!("protected-{n}"), due().protected()))).await;
        for (client_id, client) in [("granted", due()), ("unreadable", due()), ("api", due_api_client())] {
            create(&fixture, client_id, client).await;
        }
        set(&fixture, "unreadable", "kind", s("nonsense")).await;
        let grants = grants(&fixture).await;
        issue(&fixture, "granted", "1", None).await;
        fixture.wire.always("UpdateItem", |body| {
            let error = match body {
                _ if names(body, "client-3") => "ValidationException",
                _ if names(body, "client-4") => "TransactionConflictException",
                _ => return None,
            };
            Some(Fault::error(400, error))
        });
        let log = Captured::at("INFO");
        let settings = settings::Sweep { concurrency, ..DELETES };
        run_in(run_of(60 * SECOND), &Sweep { grants: Some(grants), ..sweep(&fixture, settings) }).await.unwrap_err();
        let report = ["due", "swept", "protected", "granted", "changed", "unreadable", "failed", "complete"];
        let record = record(&log);
        let report = report.map(|name| record[name].to_string());
        let mut named = [named(&log, "swept a client"), named(&log, "cannot be swept")];
        for named in &mut named {
            named.sort();
        }
        let members = |(key, item): (String, _)| {
            let mut members: Vec<_> = std::collections::HashMap::into_keys(item).collect();
            members.sort();
            (key, members)
        };
        let items: BTreeMap<_, _> = items(&fixture).await.into_iter().map(members).collect();
        (report, record["database_calls"].clone(), named, items)
    };
    let one = run_with(1).await;
    assert_eq!(one.0, ["38", "28", "5", "1", "1", "1", "2", "true"]);
    assert_eq!(run_with(8).await, one);
}

#[tokio::test]
async fn the_record_counts_the_calls_of_all_clients_however_many_are_under_way() {
    let fixture = table_of(40).await;
    meet(&fixture, "BatchGetItem", 8);
    // Every client's first write is throttled.
    let mut seen = std::collections::HashSet::new();
    fixture.wire.always("UpdateItem", move |body| {
        seen.insert(body.to_owned()).then(|| Fault::error(400, "ProvisionedThroughputExceededException"))
    });
    let log = Captured::at("INFO");
    assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { swept: 40, ..report(40) });
    let record = record(&log);
    let counted = ["database_calls", "retries", "throttles"].map(|name| record[name].as_u64().unwrap());
    assert_eq!(counted, [64 + 3 * 40, 40, 40]);
    assert_eq!(take_calls(&fixture).into_values().sum::<usize>(), 64 + 3 * 40);
}

/// Eight writes are under way at once, and one of them had an attempt without an answer. All clients were used after they
/// were read, so the condition of each write fails.
#[tokio::test]
async fn an_ambiguous_attempt_of_one_client_does_not_make_the_writes_of_the_others_ambiguous() {
    let fixture = table_of(8).await;
    let (barrier, other, mut attempts) = (Arc::new(Barrier::new(8)), fixture.clone(), BTreeMap::new());
    fixture.wire.always("UpdateItem", move |body| {
        let client_id = ids(8).find(|client_id| names(body, client_id))?;
        let attempt: &mut u32 = attempts.entry(client_id.clone()).or_default();
        *attempt += 1;
        if client_id == "client-5" && *attempt == 1 {
            return Some(Fault::Reset);
        }
        let (barrier, other) = (Arc::clone(&barrier), other.clone());
        let event = async move {
            use_client(&other, &client_id).await;
            barrier.wait().await;
        };
        // A separate task, so that the call statistics do not count its calls.
        Some(Fault::meanwhile(async { tokio::spawn(event).await.unwrap() }))
    });
    let log = Captured::at("INFO");
    assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { changed: 8, ..report(8) });
    // Only that client gets another turn: it looks for its tombstone, and then reads the use.
    let calls = take_calls(&fixture);
    assert_eq!([calls["BatchGetItem"], calls["UpdateItem"]], [8 + 2, 8 + 1]);
    assert_eq!(record(&log)["retries"], 1);
}
