//! Attempts of the write that arrive late, and writes that are made again.

use super::{plan_change, s, set, shown, update};
use crate::support::{
    Fixture,
    build::id,
    endpoint::Endpoint::{self, Authlete, Configuration, Registration},
    invocation, now,
    sample::{CLIENT, RFC_CLIENT, TARGET, UNUSED_CLIENT},
    wire::{Fault, Late},
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    deletion::{self, NotDeleted},
    dynamodb::admin::RestoreOutcome,
    invocation::Invocation,
    model::{IdlePolicy, Restoration},
    rule::{DeletionRequest, operator, sweep},
    snapshot::{Key, Record},
};
use std::time::Duration;

async fn restore(fixture: &Fixture, client_id: &str) {
    let restoration = Restoration { at: now(), by: "operator#jane".to_owned() };
    let restored = fixture.direct().restore(&id(client_id), &restoration).await.unwrap();
    assert!(matches!(restored, RestoreOutcome::Done(..)), "{restored:?}");
}

/// Asserts that the client lives, and that its history has one deletion.
async fn assert_restored_once(fixture: &Fixture, client_id: &str) {
    let deletions = fixture.direct().deletions(&id(client_id)).await.unwrap().unwrap();
    assert_eq!((deletions.current, deletions.past.len()), (None, 1), "{client_id}");
}

/// The first attempt stalls, the second deletes the client, an operator restores it, and the first arrives.
#[tokio::test]
async fn a_restoration_outlives_an_attempt_that_arrives_after_it() {
    let versions = [
        Some(AttributeValue::N("3".to_owned())),
        None,
        Some(AttributeValue::S("3".to_owned())),
        Some(AttributeValue::N("18446744073709551615".to_owned())),
    ];
    for endpoint in Endpoint::ALL {
        for version in &versions {
            let fixture = Fixture::anywhere_with_samples().await;
            if let Some(version) = version {
                set(&fixture, endpoint.client(), "version", version.clone()).await;
            } else {
                let remove = update(&fixture, endpoint.client()).update_expression("REMOVE client.version");
                remove.send().await.unwrap();
            }
            let late = Late::default();
            fixture.wire.plan("UpdateItem", Fault::Late(late.clone()));
            let answer = endpoint.delete(&fixture).await;
            assert!(endpoint.is_deleted(&answer), "{endpoint:?}: {}", shown(&answer));
            assert_eq!(fixture.wire.take_calls(), ["BatchGetItem", "UpdateItem", "UpdateItem"]);
            restore(&fixture, endpoint.client()).await;
            late.arrive().await;
            assert_restored_once(&fixture, endpoint.client()).await;
        }
    }
}

/// The same for those who delete without an endpoint.
#[tokio::test]
async fn a_restoration_outlives_a_late_attempt_of_an_operator_and_of_the_sweep() {
    let fixture = Fixture::anywhere_with_samples().await;
    let operator = operator::Request { operator: "operator#jane".to_owned(), target: id(TARGET), blocks: false };
    assert_restoration_lasts(&fixture, TARGET, operator).await;
    let Ok(Some(Record::Client(client))) = fixture.direct().find(&Key::Client(id(UNUSED_CLIENT))).await else {
        panic!("not a client")
    };
    let policy = IdlePolicy { unused: Duration::from_hours(24), used: Duration::from_hours(24) };
    let sweep = sweep::Request { target: id(UNUSED_CLIENT), idle: client.idle.unwrap(), policy, notice: None };
    assert_restoration_lasts(&fixture, UNUSED_CLIENT, sweep).await;
}

async fn assert_restoration_lasts<R: DeletionRequest>(fixture: &Fixture, client_id: &str, request: R) {
    let late = Late::default();
    fixture.wire.plan("UpdateItem", Fault::Late(late.clone()));
    let invocation = Invocation::new(&invocation(), now(), Duration::ZERO);
    let outcome = Box::pin(deletion::delete(&fixture.clients, request, &invocation)).await;
    assert!(outcome.result.is_ok());
    restore(fixture, client_id).await;
    late.arrive().await;
    assert_restored_once(fixture, client_id).await;
}

/// A 5xx of the first attempt may be wrong: the client was deleted, restored and protected.
#[tokio::test]
async fn no_refusal_follows_a_5xx_that_took_effect() {
    for endpoint in Endpoint::ALL {
        let fixture = Fixture::anywhere_with_samples().await;
        let other = fixture.clone();
        fixture.wire.plan("UpdateItem", Fault::Replaced(500, "{}"));
        fixture.wire.plan(
            "UpdateItem",
            Fault::meanwhile(async move {
                restore(&other, endpoint.client()).await;
                set(&other, endpoint.client(), "protected", AttributeValue::Bool(true)).await;
            }),
        );
        let answer = endpoint.delete(&fixture).await;
        let is_unavailable = answer.status() == 503 || shown(&answer).contains("A001101");
        assert!(is_unavailable, "{endpoint:?}: {}", shown(&answer));
        assert_restored_once(&fixture, endpoint.client()).await;
    }
}

/// Another writer renames the client, with a new version, before the write. The deletion is still permitted.
#[tokio::test]
async fn a_deletion_that_is_still_permitted_is_written_again() {
    for (endpoint, member) in [(Configuration, "name"), (Registration, "name"), (Authlete, "name")] {
        let fixture = Fixture::anywhere_with_samples().await;
        plan_renaming(&fixture, endpoint.client(), member, 4);
        let answer = endpoint.delete(&fixture).await;
        assert!(endpoint.is_deleted(&answer), "{endpoint:?}: {}", shown(&answer));
        assert_eq!(fixture.wire.take_calls(), ["BatchGetItem", "UpdateItem", "UpdateItem"], "{endpoint:?}");
        let tombstone = fixture.item(&format!("client#{}", endpoint.client())).await.unwrap();
        assert_eq!(tombstone["tombstone"].as_m().unwrap()["version"], AttributeValue::N("4".to_owned()));
    }
}

fn plan_renaming(fixture: &Fixture, client_id: &'static str, member: &'static str, version: u64) {
    let other = fixture.clone();
    let rename = async move {
        set(&other, client_id, member, s("renamed")).await;
        set(&other, client_id, "version", AttributeValue::N(version.to_string())).await;
    };
    fixture.wire.plan("UpdateItem", Fault::meanwhile(rename));
}

#[tokio::test]
async fn a_client_that_changes_before_each_write_is_a_503() {
    for endpoint in Endpoint::ALL {
        let fixture = Fixture::anywhere_with_samples().await;
        let writes = u64::from(deletion::MAX_WRITES);
        (0..writes).for_each(|write| plan_renaming(&fixture, endpoint.client(), "name", 10 + write));
        let answer = endpoint.delete(&fixture).await;
        let is_unavailable = answer.status() == 503 || shown(&answer).contains("A001101");
        assert!(is_unavailable, "{endpoint:?}: {}", shown(&answer));
        assert_eq!(fixture.wire.take_calls().len(), 1 + usize::try_from(writes).unwrap());
        assert!(fixture.lives(endpoint.client()).await);
    }
}

/// Another request deletes the client, and an operator restores it, before the write. The request came before that.
#[tokio::test]
async fn a_client_that_was_restored_meanwhile_is_not_deleted() {
    for endpoint in Endpoint::ALL {
        let fixture = Fixture::anywhere_with_samples().await;
        let other = fixture.clone();
        let delete_and_restore = async move {
            let operator =
                operator::Request { operator: "operator".to_owned(), target: id(endpoint.client()), blocks: false };
            let invocation = Invocation::new(&invocation(), now(), Duration::ZERO);
            assert!(Box::pin(deletion::delete(&other.direct(), operator, &invocation)).await.result.is_ok());
            restore(&other, endpoint.client()).await;
        };
        fixture.wire.plan("UpdateItem", Fault::meanwhile(delete_and_restore));
        let answer = endpoint.delete(&fixture).await;
        let is_unavailable = answer.status() == 503 || shown(&answer).contains("A001101");
        assert!(is_unavailable, "{endpoint:?}: {}", shown(&answer));
        assert_restored_once(&fixture, endpoint.client()).await;
    }
}

/// A member that decides gets another type before the write: the answer is clear, and there is no second write.
#[tokio::test]
async fn a_member_that_becomes_unreadable_before_the_write_is_answered_at_once() {
    let bytes = || AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new("owner"));
    let cases = [
        (Configuration, "features", AttributeValue::Bs(vec![aws_sdk_dynamodb::primitives::Blob::new("owner")])),
        (Configuration, "features", AttributeValue::L(vec![bytes()])),
        (Configuration, "features", bytes()),
        (Configuration, "app_id", bytes()),
        (Configuration, "kind", bytes()),
        (Configuration, "protected", AttributeValue::Null(true)),
        (Registration, "kind", bytes()),
        (Registration, "kind", s("api")),
        (Registration, "registration_token_digest", s("a text")),
        (Registration, "protected", s("false")),
        (Authlete, "service_id", bytes()),
        (Authlete, "dynamic", s("true")),
        (Authlete, "kind", s("nonsense")),
    ];
    for (endpoint, member, value) in cases {
        let fixture = Fixture::anywhere_with_samples().await;
        plan_change(&fixture, endpoint.client(), member, value.clone());
        let answer = endpoint.delete(&fixture).await;
        assert!(!endpoint.is_deleted(&answer), "{endpoint:?} {member} {value:?}: {}", shown(&answer));
        assert_ne!(answer.status(), 503, "{endpoint:?} {member} {value:?}");
        assert_eq!(fixture.wire.take_calls(), ["BatchGetItem", "UpdateItem"], "{endpoint:?} {member} {value:?}");
        assert!(fixture.lives(endpoint.client()).await, "{endpoint:?} {member} {value:?}");
    }
}

#[tokio::test]
async fn an_operator_is_refused_once_if_the_features_cannot_be_read() {
    for client_id in [TARGET, RFC_CLIENT.0, CLIENT.0] {
        let fixture = Fixture::anywhere_with_samples().await;
        plan_change(&fixture, client_id, "kind", AttributeValue::Null(true));
        let operator = operator::Request { operator: "operator".to_owned(), target: id(client_id), blocks: false };
        let invocation = Invocation::new(&invocation(), now(), Duration::ZERO);
        let result = Box::pin(deletion::delete(&fixture.clients, operator, &invocation)).await.result;
        assert!(matches!(result, Err(NotDeleted::ReadFailed(_))), "{client_id}: {result:?}");
        assert!(fixture.lives(client_id).await);
    }
}
