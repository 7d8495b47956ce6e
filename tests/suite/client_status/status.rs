//! The status of a client.

use super::{HOUR, client_status, delete, dynamic, item, kinds, remove_item, restore, with};
use crate::support::{
    Fixture,
    build::id,
    endpoint::Endpoint::{self, Authlete, Configuration, Registration},
    now,
    wire::Fault as Planned,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    deletion,
    invocation::Invocation,
    model::{Idle, IdlePolicy},
    rule::{DeletionRequest, operator, sweep},
    store::{ClientStatus, ClientStatuses, Fault},
};
use serde_json::Value;
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

#[tokio::test]
async fn is_one_strongly_consistent_read() {
    let fixture = Fixture::empty().await;
    for client_id in ["live", "deleted", "restored"] {
        fixture.create(client_id, dynamic()).await;
    }
    for client_id in ["deleted", "restored"] {
        delete(&fixture, client_id, now()).await;
    }
    restore(&fixture, "restored", now()).await;
    for (client_id, is_live) in [("live", true), ("deleted", false), ("restored", true), ("missing", false)] {
        let status = client_status(&fixture, client_id).await;
        assert_eq!(fixture.wire.take_calls(), ["GetItem"], "{client_id}");
        let body: Value = serde_json::from_str(&fixture.wire.last_body()).unwrap();
        assert_eq!(body["ConsistentRead"], true, "{client_id}");
        assert_eq!(status.is_live(), is_live, "{client_id}");
    }
}

#[tokio::test]
async fn of_a_live_client_says_whether_it_is_dynamic_and_how_long_it_is_idle() {
    let fixture = Fixture::empty().await;
    for (client_id, client) in kinds() {
        fixture.create(client_id, client.clone()).await;
        let client = client.build();
        let expected = ClientStatus::Live { revoked_until: None, dynamic: client.is_dynamic(), idle: client.idle };
        assert_eq!(client_status(&fixture, client_id).await, expected, "{client_id}");
    }
}

#[tokio::test]
async fn is_deleted_once_an_endpoint_answers() {
    for endpoint in Endpoint::ALL {
        let fixture = Fixture::with_samples().await;
        let before = client_status(&fixture, endpoint.client()).await;
        assert!(before.is_live() && before.accepts(now()), "{endpoint:?}");
        assert!(fixture.invoke(&endpoint.event()).await.status().is_success());
        let channel = match endpoint {
            Configuration => "configuration",
            Registration => "registration",
            Authlete => "authlete",
        };
        assert_deleted_by(channel, &client_status(&fixture, endpoint.client()).await);
    }
}

#[tokio::test]
async fn is_deleted_once_an_operator_or_the_sweep_deletes() {
    let fixture = Fixture::empty().await;
    let operator = operator::Request { operator: "operator#jane".to_owned(), target: id("operator"), blocks: false };
    delete_by(operator, &fixture).await;
    let policy = IdlePolicy { unused: HOUR, used: HOUR };
    let sweep = sweep::Request { target: id("sweep"), idle: Idle::unused(now() - 24 * HOUR), policy, notice: None };
    delete_by(sweep, &fixture).await;
    assert_deleted_by("deregisterctl", &client_status(&fixture, "operator").await);
    assert_deleted_by("sweep", &client_status(&fixture, "sweep").await);
}

/// Creates the client that the request names, and carries out the request.
async fn delete_by<R: DeletionRequest>(request: R, fixture: &Fixture) {
    fixture.create(request.target().unwrap().as_str(), dynamic()).await;
    let invocation = Invocation {
        now: now(),
        deadline: Instant::now() + Duration::from_secs(10),
        source_ip: None,
        request_id: "this".to_owned(),
    };
    deletion::delete(&fixture.clients, request, &invocation).await.result.unwrap();
}

fn assert_deleted_by(channel: &str, status: &ClientStatus) {
    let ClientStatus::Deleted(deletion) = status else { panic!("{channel}: {status:?}") };
    assert_eq!(deletion.via, channel);
    assert!(!status.is_live() && !status.accepts(now()) && !status.accepts(now() + HOUR), "{channel}");
}

#[tokio::test]
async fn is_unknown_without_an_item() {
    let fixture = with(dynamic()).await;
    delete(&fixture, "a", now()).await;
    remove_item(&fixture, "a").await;
    for client_id in ["a", "missing"] {
        let status = client_status(&fixture, client_id).await;
        assert_eq!(status, ClientStatus::Unknown);
        assert!(!status.is_live() && !status.accepts(now()));
    }
}

#[tokio::test]
async fn of_an_unreadable_item_is_a_fault() {
    let fixture = with(dynamic()).await;
    let live = item(&fixture, "a").await;
    delete(&fixture, "a", now()).await;
    let tombstone = item(&fixture, "a").await;
    let (text, nothing) = (AttributeValue::S("text".to_owned()), AttributeValue::M(HashMap::new()));
    let not_a_boolean = AttributeValue::M(HashMap::from([("dynamic".to_owned(), text.clone())]));
    for (item, attribute, value) in [
        (&live, "client", Some(text.clone())),
        (&live, "client", Some(nothing.clone())),
        (&live, "client", Some(not_a_boolean)),
        (&live, "client", None),
        (&live, "history", Some(text.clone())),
        (&live, "history", Some(AttributeValue::L(vec![nothing]))),
        (&tombstone, "deleted", Some(text)),
        (&tombstone, "deleted", None),
    ] {
        let mut broken = item.clone();
        match &value {
            Some(value) => drop(broken.insert(attribute.to_owned(), value.clone())),
            None => drop(broken.remove(attribute)),
        }
        fixture.sdk.put_item().table_name(&fixture.table).set_item(Some(broken)).send().await.unwrap();
        let status = fixture.clients.client_status(&id("a")).await;
        assert!(matches!(status, Err(Fault::Unreadable(_))), "{attribute} {value:?}: {status:?}");
    }
}

#[tokio::test]
async fn and_a_note_of_use_return_the_faults_of_the_database() {
    let fixture = with(dynamic()).await;
    let live = client_status(&fixture, "a").await;
    let throttled = || Planned::error(400, "ThrottlingException");
    let denied = || Planned::error(400, "AccessDeniedException");

    (0..4).for_each(|_| fixture.wire.plan("GetItem", throttled()));
    assert!(matches!(fixture.clients.client_status(&id("a")).await, Err(Fault::Unavailable(_))));
    fixture.wire.plan("GetItem", denied());
    assert!(matches!(fixture.clients.client_status(&id("a")).await, Err(Fault::Unexpected(_))));

    (0..4).for_each(|_| fixture.wire.plan("UpdateItem", throttled()));
    assert!(matches!(fixture.clients.note_use(&id("a"), &live, now()).await, Err(Fault::Unavailable(_))));
    fixture.wire.plan("UpdateItem", denied());
    assert!(matches!(fixture.clients.note_use(&id("a"), &live, now()).await, Err(Fault::Unexpected(_))));
    assert_eq!(client_status(&fixture, "a").await, live);
}
