//! Clients that change between the index and the write, and runs at the same time.

use super::{
    DAY, DELETES, HOUR, Sweep, TOKEN, create, create_all, delete, deletion_of, due, idle, remove, report, restore, run,
    run_in, run_of, s, set, sweep, table_with, use_client,
};
use crate::support::{Fixture, bearer, build::id, now, wire::Fault};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    functions::sweep::Report,
    model::{Digest, Idle},
};
use std::{
    collections::{BTreeSet, HashMap},
    time::SystemTime,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Event {
    Used,
    Protected,
    Restored,
    NotDynamic,
    RegisteredAgain,
}

async fn happen(event: Event, fixture: Fixture) {
    match event {
        Event::Used => use_client(&fixture, "a").await,
        Event::Protected => drop(fixture.direct().set_protected(&id("a"), true).await.unwrap()),
        Event::Restored => {
            delete(&fixture, "a").await;
            restore(&fixture, "a").await;
        }
        Event::NotDynamic => set(&fixture, "a", "dynamic", AttributeValue::Bool(false)).await,
        Event::RegisteredAgain => {
            remove(&fixture, "a").await;
            create(&fixture, "a", idle(Idle::unused(now()))).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_changes_before_the_read_or_the_write_is_kept() {
    for operation in ["BatchGetItem", "UpdateItem"] {
        for event in [Event::Used, Event::Protected, Event::Restored, Event::NotDynamic, Event::RegisteredAgain] {
            let fixture = table_with([("a", due())]).await;
            fixture.wire.plan(operation, Fault::meanwhile(happen(event, fixture.clone())));
            let expected = match event {
                Event::Protected => Report { protected: 1, ..report(1) },
                _ => Report { changed: 1, ..report(1) },
            };
            assert_eq!(run(&sweep(&fixture, DELETES)).await, expected, "{event:?} before {operation}");
            assert!(fixture.lives("a").await, "{event:?} before {operation}");
        }
    }
}

#[tokio::test]
async fn a_client_that_is_used_again_before_the_read_or_the_write_is_kept() {
    for operation in ["BatchGetItem", "UpdateItem"] {
        let fixture = table_with([("a", idle(Idle::used(now() - 91 * DAY)))]).await;
        fixture.wire.plan(operation, Fault::meanwhile(happen(Event::Used, fixture.clone())));
        assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { changed: 1, ..report(1) }, "{operation}");
        assert!(fixture.lives("a").await);
    }
}

#[tokio::test]
async fn a_change_that_the_decision_does_not_use_does_not_stop_the_sweep() {
    let fixture = table_with([("a", due())]).await;
    let other = fixture.clone();
    fixture.wire.plan("UpdateItem", Fault::meanwhile(async move { set(&other, "a", "name", s("renamed")).await }));
    assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { swept: 1, ..report(1) });
}

/// Creates 24 clients that are due, and returns their ids.
async fn create_24(fixture: &Fixture) -> Vec<String> {
    let ids: Vec<_> = (0..24).map(|n| format!("client-{n}")).collect();
    create_all(fixture, ids.iter().map(|client_id| (client_id.clone(), due()))).await;
    ids
}

#[tokio::test]
async fn of_two_runs_at_once_each_reports_the_deletions_that_it_made() {
    let fixture = Fixture::empty().await;
    let ids = create_24(&fixture).await;
    let contexts = [run_of(HOUR), run_of(HOUR)];
    let requests = contexts.clone().map(|context| context.request_id);
    let [one, other] = contexts;
    let sweep = sweep(&fixture, DELETES);
    let (one, other) = tokio::join!(run_in(one, &sweep), run_in(other, &sweep));
    let swept = [one, other].map(|report| report.unwrap().swept);

    let mut recorded = HashMap::new();
    for client_id in &ids {
        *recorded.entry(deletion_of(&fixture, client_id).await.request_id).or_default() += 1;
    }
    assert_eq!(requests.map(|request| recorded.get(&request).copied().unwrap_or(0)), swept);
    assert_eq!(swept.iter().sum::<usize>(), ids.len());
}

#[tokio::test]
async fn either_the_sweep_or_the_client_itself_makes_the_deletion_and_reports_it() {
    let fixture = Fixture::empty().await;
    let ids = create_24(&fixture).await;
    // In the order of the index, so that the two meet.
    let mut in_order = ids.clone();
    in_order.sort_by_key(|client_id| Digest::of(client_id).to_hex().remove(0));
    let sweep = Sweep { clock: || SystemTime::UNIX_EPOCH + 32 * 20_000 * HOUR, ..sweep(&fixture, DELETES) };
    let clients = async {
        let mut deleted = BTreeSet::new();
        for client_id in in_order {
            let answer = fixture.send("DELETE", &format!("/register/{client_id}"), Some(&bearer(TOKEN)), "").await;
            match answer.status().as_u16() {
                204 => drop(deleted.insert(client_id)),
                status => assert_eq!(status, 401),
            }
        }
        deleted
    };
    let (report, by_clients) = tokio::join!(run(&sweep), clients);
    assert_eq!(report.swept + by_clients.len(), ids.len(), "{report:?}");
    for client_id in ids {
        let via = if by_clients.contains(&client_id) { "registration" } else { "sweep" };
        assert_eq!(deletion_of(&fixture, &client_id).await.via, via, "{client_id}");
    }
}
