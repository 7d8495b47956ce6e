//! Which clients are due, and which are kept although the index lists them.

use super::{
    DAY, DELETES, OBSERVES, POLICY, SECOND, Sweep, create, delete, deletion_of, due, due_api_client, grants, idle,
    index, issue, issue_until, items, remove, report, run, s, set, sweep, table_with, take_calls,
};
use crate::support::{
    build::{id, oauth_client},
    now,
    wire::Fault,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    functions::sweep::Report,
    model::{Idle, IdlePolicy},
    settings::{self, Database, Variables},
};
use std::collections::BTreeMap;

#[tokio::test]
async fn a_client_is_due_from_the_second_at_which_its_idle_time_reaches_the_policy() {
    let unused = (Idle::unused as fn(_) -> _, now() - POLICY.unused);
    for (of, since) in [unused, (Idle::used, now() - POLICY.used)] {
        let fixture = table_with([("due", idle(of(since))), ("not-yet", idle(of(since + SECOND)))]).await;
        assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { swept: 1, ..report(1) });
        assert!(!fixture.lives("due").await && fixture.lives("not-yet").await);
    }
}

#[tokio::test]
async fn used_and_unused_clients_each_have_their_own_idle_time() {
    let ago = now() - 30 * DAY;
    let fixture = table_with([("unused", idle(Idle::unused(ago))), ("used", idle(Idle::used(ago)))]).await;
    let long = IdlePolicy { unused: POLICY.used, used: POLICY.used };
    assert_eq!(run(&sweep(&fixture, settings::Sweep { policy: long, ..OBSERVES })).await.swept, 0);
    let reversed = IdlePolicy { unused: POLICY.used, used: POLICY.unused };
    assert_eq!(run(&sweep(&fixture, settings::Sweep { policy: reversed, ..DELETES })).await.swept, 1);
    assert!(fixture.lives("unused").await && !fixture.lives("used").await);
    assert_eq!(run(&sweep(&fixture, DELETES)).await.swept, 1);
    assert!(!fixture.lives("unused").await);
}

#[tokio::test]
async fn a_client_whose_use_is_not_tracked_is_kept() {
    let fixture = table_with([("untracked", oauth_client())]).await;
    assert_eq!(run(&sweep(&fixture, DELETES)).await, report(0));
    assert!(fixture.lives("untracked").await);
}

#[tokio::test]
async fn a_protected_client_is_kept_while_it_is_protected() {
    let fixture = table_with([("a", due().protected())]).await;
    let before = items(&fixture).await;
    assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { protected: 1, ..report(1) });
    assert_eq!(items(&fixture).await, before);
    fixture.direct().set_protected(&id("a"), false).await.unwrap();
    assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { swept: 1, ..report(1) });
}

#[tokio::test]
async fn a_client_that_did_not_register_itself_is_kept_even_if_the_index_lists_it() {
    let fixture = table_with([("api", due_api_client()), ("static", due().not_dynamic())]).await;
    // An item of another kind with the keys of the index.
    let put = fixture.sdk.put_item().table_name(&fixture.table).item("pk", s("service#a")).item("idle", s("unused#0"));
    put.item("idle_since", AttributeValue::N("0".to_owned())).send().await.unwrap();
    let before = items(&fixture).await;
    assert_eq!(index(&fixture).await.len(), 3);
    assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { changed: 2, ..report(2) });
    assert_eq!(items(&fixture).await, before);
}

/// DynamoDB's index lags behind the table. The embedded index does not, so here the table changes after the index was
/// read.
#[tokio::test]
async fn a_listed_client_that_is_deleted_or_removed_already_is_not_deleted_again() {
    for operation in ["BatchGetItem", "UpdateItem"] {
        for tombstone in [true, false] {
            let fixture = table_with([("a", due())]).await;
            let other = fixture.clone();
            let event = async move { if tombstone { delete(&other, "a").await } else { remove(&other, "a").await } };
            fixture.wire.plan(operation, Fault::meanwhile(event));
            assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { changed: 1, ..report(1) }, "{operation}");
            if tombstone {
                assert_eq!(deletion_of(&fixture, "a").await.request_id, "another");
            } else {
                assert_eq!(fixture.item("client#a").await, None);
            }
        }
    }
}

#[tokio::test]
async fn a_client_with_a_live_grant_is_kept_until_all_its_grants_have_ended() {
    let clients = ["without-end", "not-ended", "ended", "without"];
    let fixture = table_with(clients.map(|client_id| (client_id, due()))).await;
    let grants = Some(grants(&fixture).await);
    issue(&fixture, "without-end", "1", None).await;
    issue(&fixture, "not-ended", "1", Some(now() - DAY)).await;
    issue(&fixture, "not-ended", "2", Some(now() + SECOND)).await;
    issue(&fixture, "ended", "1", Some(now() - DAY)).await;
    issue(&fixture, "ended", "2", Some(now())).await;
    let sweep = Sweep { grants, ..sweep(&fixture, DELETES) };
    assert_eq!(run(&sweep).await, Report { granted: 2, swept: 2, ..report(4) });
    assert!(fixture.lives("without-end").await && fixture.lives("not-ended").await);
    assert!(!fixture.lives("ended").await && !fixture.lives("without").await);

    let later = Sweep { clock: || now() + SECOND, ..sweep };
    assert_eq!(run(&later).await, Report { granted: 1, swept: 1, ..report(2) });
    assert!(fixture.lives("without-end").await && !fixture.lives("not-ended").await);
}

#[tokio::test]
async fn a_grant_whose_end_cannot_be_read_is_live() {
    let fixture = table_with([("a", due())]).await;
    let grants = Some(grants(&fixture).await);
    issue_until(&fixture, "a", "1", Some(s("2026-01-15T08:00:01Z"))).await;
    let sweep = Sweep { grants, ..sweep(&fixture, DELETES) };
    assert_eq!(run(&sweep).await, Report { granted: 1, ..report(1) });
}

#[test]
fn by_default_the_sweep_does_not_delete_and_has_no_grants_table() {
    let settings::Sweep { deletes, policy, .. } = settings::Sweep::read(&Variables::default()).unwrap();
    assert_eq!((deletes, policy), (false, POLICY));
    let clients = Database::read(&Variables::default()).unwrap();
    assert_eq!(settings::Grants::read(&Variables::default(), &clients).unwrap(), None);
}

#[tokio::test]
async fn a_run_that_observes_changes_nothing_and_reports_what_it_would_delete() {
    let clients = [("1", due()), ("2", due()), ("3", due().protected()), ("4", due_api_client())];
    let fixture = table_with(clients.into_iter().chain([("5", due()), ("6", due())])).await;
    create(&fixture, "7", idle(Idle::unused(now()))).await;
    let grants = grants(&fixture).await;
    issue(&fixture, "5", "1", None).await;
    set(&fixture, "6", "kind", s("nonsense")).await;
    let before = items(&fixture).await;

    take_calls(&fixture);
    let observed = run(&Sweep { grants: Some(grants.clone()), ..sweep(&fixture, OBSERVES) }).await;
    assert_eq!(take_calls(&fixture), BTreeMap::from([("Query".to_owned(), 64), ("BatchGetItem".to_owned(), 5)]));
    assert_eq!(items(&fixture).await, before);

    let swept = run(&Sweep { grants: Some(grants), ..sweep(&fixture, DELETES) }).await;
    assert_eq!(swept, Report { swept: 2, protected: 1, granted: 1, changed: 1, unreadable: 1, ..report(6) });
    assert_eq!(observed, Report { deletes: false, ..swept });
    let changed = items(&fixture).await.into_iter().filter(|(key, item)| before[key] != *item);
    assert_eq!(changed.map(|(key, _)| key).collect::<Vec<_>>(), ["client#1", "client#2"]);
}
