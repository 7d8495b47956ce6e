//! The deletions that a run makes: their tombstones, and restorations after them.

use super::{
    DELETES, HOUR, POLICY, SECOND, Sweep, deletion_of, due, report, restore, run, run_in, run_of, sweep, table_with,
};
use crate::support::{now, wire::Fault};
use deregister::{functions::sweep::Report, model::Deletion};
use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

#[tokio::test]
async fn a_swept_client_is_a_tombstone_like_any_other_with_the_sweep_as_its_channel() {
    let fixture = table_with([("a", due())]).await;
    let context = run_of(HOUR);
    let request_id = context.request_id.clone();
    let client = fixture.item("client#a").await.unwrap()["client"].clone();
    run_in(context, &sweep(&fixture, DELETES)).await.unwrap();

    let (by, via) = ("sweep".to_owned(), "sweep".to_owned());
    assert_eq!(
        deletion_of(&fixture, "a").await,
        Deletion { at: now(), by, via, source_ip: None, request_id, lacks: Vec::new(), blocked: None }
    );
    let item = fixture.item("client#a").await.unwrap();
    assert_eq!(item["tombstone"], client);
    let attributes: BTreeSet<&str> = item.keys().map(String::as_str).collect();
    assert_eq!(attributes, BTreeSet::from(["pk", "tombstone", "deleted", "expires_at"]));
}

#[tokio::test]
async fn each_deletion_has_its_own_time_however_long_the_run_is() {
    static TICKS: AtomicU32 = AtomicU32::new(0);
    let fixture = table_with([("a", due()), ("b", due())]).await;
    run(&Sweep { clock: || now() + TICKS.fetch_add(1, Relaxed) * HOUR, ..sweep(&fixture, DELETES) }).await;
    let mut times = [deletion_of(&fixture, "a").await.at, deletion_of(&fixture, "b").await.at];
    times.sort();
    assert_eq!(times, [now() + HOUR, now() + 2 * HOUR]);
}

#[tokio::test]
async fn a_swept_client_that_is_restored_counts_as_used_at_that_time() {
    let fixture = table_with([("a", due())]).await;
    run(&sweep(&fixture, DELETES)).await;
    restore(&fixture, "a").await;
    let too_early = Sweep { clock: || now() + POLICY.used - SECOND, ..sweep(&fixture, DELETES) };
    assert_eq!(run(&too_early).await, report(0));
    assert!(fixture.lives("a").await);
    let due_again = Sweep { clock: || now() + POLICY.used, ..sweep(&fixture, DELETES) };
    assert_eq!(run(&due_again).await, Report { swept: 1, ..report(1) });
}

#[tokio::test]
async fn a_deletion_whose_answer_is_lost_counts_once() {
    let fixture = table_with([("a", due())]).await;
    fixture.wire.plan("UpdateItem", Fault::AnswerLost);
    assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { swept: 1, ..report(1) });
    assert!(!fixture.lives("a").await);
}
