//! Blocked ids: refused, stored or not, until the block ends.

use super::{HOUR, SECOND, client_status, delete, dynamic, item, kinds, restore, with};
use crate::support::{
    Fixture, RETENTION,
    build::{api_client, id, oauth_client},
    endpoint::Endpoint,
    now,
    wire::{Fault as Planned, Late},
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    deletion::{self, NotDeleted},
    dynamodb::{
        ClientsTable,
        admin::{BlockOutcome, ClientFilter, Creation, Position, RestoreOutcome, Restored, UnblockOutcome},
        item::Item,
    },
    invocation::Invocation,
    model::{Block, Restoration},
    rule::operator::{self, Refusal},
    store::{ClientStatus, ClientStatuses, Fault},
};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

const URL: &str = "https://client.example/metadata.json?a=b#c";

fn block_of(at: SystemTime) -> Block {
    Block { at, by: "operator#jane".to_owned(), request_id: format!("block-{at:?}") }
}

/// Blocks an id without a live client.
async fn block(clients: &ClientsTable, client_id: &str, at: SystemTime) -> BlockOutcome {
    clients.block(&id(client_id), &block_of(at)).await.unwrap()
}

/// Deletes a live client and blocks its id, by the operator's rule.
async fn block_live(clients: &ClientsTable, client_id: &str, at: SystemTime) -> Result<(), NotDeleted<Refusal>> {
    let Block { by, request_id, .. } = block_of(at);
    let request = operator::Request { operator: by, target: id(client_id), blocks: true };
    let deadline = Instant::now() + Duration::from_secs(10);
    deletion::delete(clients, request, &Invocation { now: at, deadline, source_ip: None, request_id }).await.result
}

async fn unblock(clients: &ClientsTable, client_id: &str, at: SystemTime) -> UnblockOutcome {
    let restoration = Restoration { at, by: "operator#john".to_owned() };
    clients.unblock(&id(client_id), &restoration).await.unwrap()
}

async fn assert_blocked(fixture: &Fixture, client_id: &str) {
    let status = client_status(fixture, client_id).await;
    assert!(status.is_blocked() && !status.is_live() && !status.accepts(now() + HOUR), "{client_id}: {status:?}");
    let created = fixture.clients.create_client(&id(client_id), &oauth_client().build()).await;
    assert_eq!(created, Ok(Creation::Taken), "{client_id}");
    let item = item(fixture, client_id).await;
    let end = AttributeValue::N("253402300799".to_owned());
    assert_eq!(item["expires_at"], end, "time to live removes the block: {item:?}");
}

#[tokio::test]
async fn an_id_that_was_never_stored_is_refused_until_the_block_ends_and_then_free() {
    let fixture = Fixture::empty().await;
    for client_id in [URL, "never-stored", "-x"] {
        assert_eq!(client_status(&fixture, client_id).await, ClientStatus::Unknown);
        assert!(!client_status(&fixture, client_id).await.is_blocked());
        fixture.wire.take_calls();
        assert_eq!(block(&fixture.clients, client_id, now()).await, BlockOutcome::Done);
        assert_eq!(fixture.wire.take_calls(), ["GetItem", "UpdateItem"]);
        assert_blocked(&fixture, client_id).await;
        assert_eq!(block(&fixture.clients, client_id, now() + HOUR).await, BlockOutcome::AlreadyBlocked);

        let ClientStatus::Deleted(deletion) = client_status(&fixture, client_id).await else { panic!("deleted") };
        assert_eq!((deletion.blocked, deletion.via.as_str()), (Some(block_of(now())), "deregisterctl"));
        let restoration = Restoration { at: now(), by: "operator#john".to_owned() };
        assert_eq!(fixture.clients.restore(&id(client_id), &restoration).await, Ok(RestoreOutcome::Blocked));

        fixture.wire.take_calls();
        assert_eq!(unblock(&fixture.clients, client_id, now()).await, UnblockOutcome::Free);
        assert_eq!(fixture.wire.take_calls(), ["GetItem", "DeleteItem"]);
        assert_eq!(client_status(&fixture, client_id).await, ClientStatus::Unknown);
        assert_eq!(unblock(&fixture.clients, client_id, now()).await, UnblockOutcome::NotBlocked);
        fixture.create(client_id, dynamic()).await;
        assert!(client_status(&fixture, client_id).await.accepts(now()));
        assert_eq!(block(&fixture.clients, client_id, now()).await, BlockOutcome::Changed, "it is live");
    }
}

#[tokio::test]
async fn a_live_client_is_deleted_and_live_again_after_the_block() {
    let fixture = Fixture::empty().await;
    for (client_id, client) in kinds() {
        fixture.create(client_id, client.clone()).await;
        fixture.wire.take_calls();
        assert_eq!(block_live(&fixture.clients, client_id, now()).await, Ok(()));
        assert_eq!(fixture.wire.take_calls(), ["BatchGetItem", "UpdateItem"], "{client_id}");
        assert_blocked(&fixture, client_id).await;
        let refused = block_live(&fixture.clients, client_id, now()).await;
        assert_eq!(refused, Err(NotDeleted::Refused(Refusal::DeletedClient)));
        let restoration = Restoration { at: now(), by: "operator#john".to_owned() };
        assert_eq!(fixture.clients.restore(&id(client_id), &restoration).await, Ok(RestoreOutcome::Blocked));

        let long_after = now() + 10 * RETENTION;
        let outcome = unblock(&fixture.clients, client_id, long_after).await;
        let UnblockOutcome::Restored(Restored { client: restored, lacks }) = outcome else { panic!("{outcome:?}") };
        assert_eq!((&restored.kind, lacks.is_empty()), (&client.build().kind, true));
        assert_eq!(restored.version.version().unwrap().0, 2);
        let status = client_status(&fixture, client_id).await;
        assert!(!status.accepts(long_after) && status.accepts(long_after + SECOND), "{client_id}");
        let past = fixture.clients.deletions(&id(client_id)).await.unwrap().unwrap().past;
        assert_eq!(past[0].deletion.blocked, Some(block_of(now())), "{client_id}");
    }
}

#[tokio::test]
async fn an_owner_and_a_protected_client_are_not_blocked() {
    let fixture = Fixture::empty().await;
    fixture.create("owner", api_client().owner()).await;
    fixture.create("protected", oauth_client().protected()).await;
    for (client_id, reason) in [("owner", Refusal::TargetIsOwner), ("protected", Refusal::Protected)] {
        assert_eq!(block_live(&fixture.clients, client_id, now()).await, Err(NotDeleted::Refused(reason)));
        assert!(fixture.lives(client_id).await);
    }
}

#[tokio::test]
async fn a_deleted_client_stays_deleted_after_the_block_and_can_be_restored() {
    let fixture = with(dynamic()).await;
    delete(&fixture, "a", now()).await;
    let tombstone = item(&fixture, "a").await;
    fixture.wire.take_calls();
    assert_eq!(block(&fixture.clients, "a", now() + HOUR).await, BlockOutcome::Done);
    assert_eq!(fixture.wire.take_calls(), ["GetItem", "UpdateItem"]);
    assert_blocked(&fixture, "a").await;
    assert_eq!(block(&fixture.clients, "a", now() + HOUR).await, BlockOutcome::AlreadyBlocked);

    let later = now() + RETENTION + HOUR;
    assert_eq!(unblock(&fixture.clients, "a", later).await, UnblockOutcome::Deleted(later + RETENTION));
    let mut unblocked = item(&fixture, "a").await;
    unblocked.insert("expires_at".to_owned(), tombstone["expires_at"].clone());
    assert_eq!(unblocked, tombstone);
    assert!(!client_status(&fixture, "a").await.is_blocked());
    restore(&fixture, "a", later).await;
}

/// An expired tombstone counts as removed. Without that, a block would make its client restorable again.
#[tokio::test]
async fn the_client_of_an_expired_tombstone_is_gone_after_the_block() {
    let fixture = with(dynamic()).await;
    delete(&fixture, "a", now()).await;
    assert_eq!(block(&fixture.clients, "a", now() + RETENTION).await, BlockOutcome::Done);
    assert_blocked(&fixture, "a").await;
    assert_eq!(unblock(&fixture.clients, "a", now()).await, UnblockOutcome::Free);
    assert_eq!(fixture.item("client#a").await, None);
}

#[tokio::test]
async fn no_endpoint_finds_a_blocked_client() {
    for endpoint in Endpoint::ALL {
        let fixture = Fixture::with_samples().await;
        let (event, client_id) = (endpoint.event(), endpoint.client());
        block_live(&fixture.clients, client_id, now()).await.unwrap();
        let before = item(&fixture, client_id).await;
        let answer = fixture.invoke(&event).await;
        assert!(!fixture.lives(client_id).await && answer.status() != 204, "{endpoint:?}");
        assert_eq!(item(&fixture, client_id).await, before, "{endpoint:?}");
    }
}

#[tokio::test]
async fn an_unreadable_block_is_a_fault_and_never_a_free_id() {
    let fixture = Fixture::empty().await;
    block(&fixture.clients, "a", now()).await;
    let update = fixture.sdk.update_item().table_name(&fixture.table).update_expression("SET deleted.blocked = :text");
    let update = update.key("pk", AttributeValue::S("client#a".to_owned()));
    update.expression_attribute_values(":text", AttributeValue::S("yes".to_owned())).send().await.unwrap();
    assert!(matches!(fixture.clients.client_status(&id("a")).await, Err(Fault::Unreadable(_))));
}

/// The three items that a block and its end can meet.
const CASES: [&str; 3] = ["never stored", "live", "deleted"];

async fn prepared(case: &str) -> Fixture {
    let fixture = Fixture::empty().await;
    if case != "never stored" {
        fixture.create("a", dynamic()).await;
    }
    if case == "deleted" {
        delete(&fixture, "a", now()).await;
    }
    fixture
}

async fn block_any(clients: &ClientsTable, case: &str) -> bool {
    match case {
        "live" => block_live(clients, "a", now()).await.is_ok(),
        _ => block(clients, "a", now()).await == BlockOutcome::Done,
    }
}

#[tokio::test]
async fn a_lost_answer_is_recognized() {
    for case in CASES {
        let fixture = prepared(case).await;
        fixture.wire.plan("UpdateItem", Planned::AnswerLost);
        assert!(block_any(&fixture.clients, case).await, "{case}");
        assert_blocked(&fixture, "a").await;
        for operation in ["UpdateItem", "DeleteItem"] {
            fixture.wire.plan(operation, Planned::AnswerLost);
        }
        let outcome = unblock(&fixture.clients, "a", now()).await;
        let is_expected = match case {
            "never stored" => outcome == UnblockOutcome::Free,
            "live" => matches!(outcome, UnblockOutcome::Restored(_)),
            _ => outcome == UnblockOutcome::Deleted(now() + RETENTION),
        };
        assert!(is_expected, "{case}: {outcome:?}");
    }
}

#[tokio::test]
async fn of_two_ends_of_a_block_one_takes_effect() {
    for case in CASES {
        let fixture = prepared(case).await;
        assert!(block_any(&fixture.clients, case).await, "{case}");
        let other = fixture.direct();
        let event = move || {
            Planned::meanwhile(async move {
                assert_ne!(unblock(&other, "a", now()).await, UnblockOutcome::Changed);
            })
        };
        fixture.wire.plan(if case == "never stored" { "DeleteItem" } else { "UpdateItem" }, event());
        let outcome = unblock(&fixture.clients, "a", now() + SECOND).await;
        assert_eq!(outcome, UnblockOutcome::Changed, "{case}");
        assert_eq!(unblock(&fixture.clients, "a", now()).await, UnblockOutcome::NotBlocked, "{case}");
    }
}

/// Another writer changes the item between the read of a block and its write.
#[tokio::test]
async fn a_block_never_overwrites_a_change_that_it_has_not_read() {
    for (case, change) in [
        ("never stored", "registered"),
        ("never stored", "blocked"),
        ("deleted", "restored"),
        ("deleted", "removed"),
        ("deleted", "blocked"),
        ("deleted", "deleted again"),
    ] {
        let fixture = prepared(case).await;
        let bystander = fixture.clone();
        let event = async move {
            let key = AttributeValue::S("client#a".to_owned());
            match change {
                "registered" => bystander.create("a", dynamic()).await,
                "restored" => restore(&bystander, "a", now()).await,
                // In the same second, by another request.
                "deleted again" => {
                    restore(&bystander, "a", now()).await;
                    delete(&bystander, "a", now() + Duration::from_millis(1)).await;
                }
                "blocked" => assert_eq!(block(&bystander.direct(), "a", now() + HOUR).await, BlockOutcome::Done),
                _ => {
                    drop(bystander.sdk.delete_item().table_name(&bystander.table).key("pk", key).send().await.unwrap());
                }
            }
        };
        fixture.wire.plan("UpdateItem", Planned::meanwhile(event));
        assert_eq!(block(&fixture.clients, "a", now()).await, BlockOutcome::Changed, "{case}, {change}");
        let status = client_status(&fixture, "a").await;
        assert_eq!(status.is_live(), ["registered", "restored"].contains(&change), "{case}, {change}");
        assert_eq!(status.is_blocked(), change == "blocked", "{case}, {change}");
    }
    // A deletion, and the block of the tombstone, between the read of a block of a live client and its write.
    let fixture = prepared("live").await;
    let bystander = fixture.clone();
    let event = async move { delete(&bystander, "a", now()).await };
    fixture.wire.plan("UpdateItem", Planned::meanwhile(event));
    let refused = block_live(&fixture.clients, "a", now() + SECOND).await;
    assert_eq!(refused, Err(NotDeleted::Refused(Refusal::DeletedClient)));
    assert!(!client_status(&fixture, "a").await.is_blocked());
}

/// A restoration reads the tombstone, an operator blocks it, and the restoration writes.
#[tokio::test]
async fn a_restoration_does_not_end_a_block_that_it_has_not_read() {
    let fixture = prepared("deleted").await;
    let other = fixture.direct();
    let event = async move { assert_eq!(block(&other, "a", now()).await, BlockOutcome::Done) };
    fixture.wire.plan("UpdateItem", Planned::meanwhile(event));
    let restoration = Restoration { at: now(), by: "operator#john".to_owned() };
    assert_eq!(fixture.clients.restore(&id("a"), &restoration).await, Ok(RestoreOutcome::Changed));
    assert_blocked(&fixture, "a").await;
}

/// The first attempt of a block is given up, the second takes effect, the block ends, and then the first arrives.
#[tokio::test]
async fn an_attempt_that_arrives_after_the_end_of_the_block_changes_no_client() {
    for case in ["live", "deleted"] {
        let fixture = prepared(case).await;
        let late = Late::default();
        fixture.wire.plan("UpdateItem", Planned::Late(late.clone()));
        assert!(block_any(&fixture.clients, case).await, "{case}");
        let outcome = unblock(&fixture.clients, "a", now() + SECOND).await;
        assert!(matches!(outcome, UnblockOutcome::Restored(_) | UnblockOutcome::Deleted(_)), "{case}: {outcome:?}");
        let before: Item = item(&fixture, "a").await;
        late.arrive().await;
        assert_eq!(item(&fixture, "a").await, before, "{case}");
    }
}

#[tokio::test]
async fn blocked_ids_are_listed_and_nothing_else() {
    let fixture = Fixture::empty().await;
    for client_id in ["live", "deleted", "tombstone", "blocked"] {
        fixture.create(client_id, dynamic()).await;
    }
    for client_id in ["deleted", "tombstone"] {
        delete(&fixture, client_id, now()).await;
    }
    block(&fixture.clients, "tombstone", now()).await;
    block(&fixture.clients, URL, now()).await;
    block_live(&fixture.clients, "blocked", now()).await.unwrap();
    let page = fixture.clients.blocked_ids(Position::start()).await.unwrap();
    let mut ids: Vec<_> = page.entries.iter().map(|(id, _)| id.as_str()).collect();
    ids.sort_unstable();
    assert_eq!(ids, ["blocked", URL, "tombstone"]);
    // An id that was never stored is no deletion.
    let deletions = fixture.clients.deleted_clients(&ClientFilter::default(), Position::start()).await.unwrap();
    assert_eq!(deletions.entries.len(), 3);
    assert_eq!(fixture.clients.check(Position::start()).await.unwrap().entries, []);
}
