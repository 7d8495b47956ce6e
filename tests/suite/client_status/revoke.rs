//! Revocations: what was issued before is refused, and the client stays live.

use super::{HOUR, SECOND, client_status, delete, dynamic, item, kinds, restore, revoke, with};
use crate::support::{
    Fixture,
    build::{api_client, id},
    endpoint::Endpoint,
    now,
    wire::Fault as Planned,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    dynamodb::admin::RevokeOutcome,
    model::{Id, Version},
    snapshot::{Key, Record},
    store::ClientStatus,
};

/// The request ids of the past deletions, and of the revocations.
async fn history(fixture: &Fixture, client_id: &str) -> [Vec<String>; 2] {
    let deletions = fixture.clients.deletions(&id(client_id)).await.unwrap().unwrap();
    let past = deletions.past.into_iter().map(|past| past.deletion.request_id).collect();
    [past, deletions.revocations.into_iter().map(|revocation| revocation.request_id).collect()]
}

#[tokio::test]
async fn the_second_of_a_revocation_and_what_is_before_is_refused_and_the_next_second_accepted() {
    let fixture = Fixture::empty().await;
    for (client_id, client) in kinds() {
        fixture.create(client_id, client).await;
        let at = now() + SECOND / 2;
        assert!(client_status(&fixture, client_id).await.accepts(now() - HOUR));
        assert_eq!(revoke(&fixture.clients, client_id, at, "this").await, RevokeOutcome::Done(Version(2)));
        let status = client_status(&fixture, client_id).await;
        assert!(status.is_live() && !status.is_blocked(), "{client_id}");
        for (issued_at, is_accepted) in
            [(now() - HOUR, false), (now(), false), (now() + SECOND - SECOND / 4, false), (now() + SECOND, true)]
        {
            assert_eq!(status.accepts(issued_at), is_accepted, "{client_id} {issued_at:?}");
        }
    }
}

#[tokio::test]
async fn is_one_read_and_one_write_and_changes_only_the_version_and_the_history() {
    let fixture = with(dynamic()).await;
    let mut before = item(&fixture, "a").await;
    fixture.wire.take_calls();
    revoke(&fixture.clients, "a", now(), "this").await;
    assert_eq!(fixture.wire.take_calls(), ["GetItem", "UpdateItem"]);
    let mut after = item(&fixture, "a").await;
    let history = after.remove("history").unwrap();
    for item in [&mut before, &mut after] {
        let Some(AttributeValue::M(client)) = item.get_mut("client") else { panic!("a client") };
        client.remove("version");
    }
    assert_eq!(after, before);

    // Readers that do not know revocations need these two times.
    let entry = history.as_l().unwrap()[0].as_m().unwrap();
    let at = AttributeValue::N(now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap().as_secs().to_string());
    assert_eq!((&entry["at"], &entry["restored"].as_m().unwrap()["at"]), (&at, &at));
}

#[tokio::test]
async fn a_client_that_is_not_live_is_not_changed() {
    let fixture = with(dynamic()).await;
    delete(&fixture, "a", now()).await;
    let before = item(&fixture, "a").await;
    assert_eq!(revoke(&fixture.clients, "a", now(), "this").await, RevokeOutcome::Deleted);
    assert_eq!(revoke(&fixture.clients, "missing", now(), "this").await, RevokeOutcome::Unknown);
    assert_eq!((item(&fixture, "a").await, fixture.item("client#missing").await), (before, None));
}

#[tokio::test]
async fn a_lost_answer_and_another_writer_make_no_second_entry() {
    for fault in [
        || Planned::AnswerLost,
        || Planned::Replaced(500, "{}"),
        || Planned::error(400, "ConditionalCheckFailedException"),
    ] {
        let fixture = with(dynamic()).await;
        fixture.wire.plan("UpdateItem", fault());
        assert_eq!(revoke(&fixture.clients, "a", now(), "this").await, RevokeOutcome::Done(Version(2)));
        assert_eq!(history(&fixture, "a").await, [vec![], vec!["this".to_owned()]]);
    }
    // A change of the version alone. The versions of both changes must differ.
    let fixture = with(dynamic()).await;
    let other = fixture.direct();
    let event = async move { drop(other.set_protected(&id("a"), true).await.unwrap()) };
    fixture.wire.plan("UpdateItem", Planned::meanwhile(event));
    assert_eq!(revoke(&fixture.clients, "a", now(), "this").await, RevokeOutcome::Done(Version(3)));

    let fixture = with(dynamic()).await;
    let other = fixture.direct();
    let event = async move {
        assert_eq!(revoke(&other, "a", now() + HOUR, "other").await, RevokeOutcome::Done(Version(2)));
        other.set_protected(&id("a"), true).await.unwrap();
    };
    fixture.wire.plan("UpdateItem", Planned::meanwhile(event));
    assert_eq!(revoke(&fixture.clients, "a", now(), "this").await, RevokeOutcome::Done(Version(4)));
    assert_eq!(history(&fixture, "a").await[1], ["other", "this"]);
    assert!(!client_status(&fixture, "a").await.accepts(now() + HOUR));
}

/// The client is deleted and restored between the read of the revocation and its write.
#[tokio::test]
async fn a_revocation_that_meets_a_restoration_keeps_its_entry() {
    let fixture = with(dynamic()).await;
    let bystander = fixture.clone();
    let event = async move {
        delete(&bystander, "a", now()).await;
        restore(&bystander, "a", now()).await;
    };
    fixture.wire.plan("UpdateItem", Planned::meanwhile(event));
    assert_eq!(revoke(&fixture.clients, "a", now() + HOUR, "this").await, RevokeOutcome::Done(Version(3)));
    let [past, revocations] = history(&fixture, "a").await;
    assert_eq!((past.len(), revocations.len()), (1, 1));
    assert!(!client_status(&fixture, "a").await.accepts(now() + HOUR));
}

/// A restoration that a revocation hid would let a request delete the restored client.
#[tokio::test]
async fn revocations_do_not_push_deletions_out_of_the_history() {
    let fixture = with(api_client()).await;
    for round in 0..9 {
        delete(&fixture, "a", now() + round * SECOND).await;
        restore(&fixture, "a", now() + round * SECOND).await;
    }
    let [deletions, _] = history(&fixture, "a").await;
    for round in 0..12 {
        revoke(&fixture.clients, "a", now() + HOUR + round * SECOND, &round.to_string()).await;
    }
    assert_eq!(history(&fixture, "a").await, [deletions.clone(), vec!["11".to_owned()]]);
    let Some(Record::Client(client)) = fixture.clients.find(&Key::Client(id("a"))).await.unwrap() else { panic!() };
    assert_eq!(client.restored_from.as_ref(), deletions.last());
    let latest = now() + HOUR + 11 * SECOND;
    let ClientStatus::Live { revoked_until, .. } = client_status(&fixture, "a").await else { panic!("live") };
    assert_eq!(revoked_until, Some(latest));
}

#[tokio::test]
async fn an_endpoint_deletes_a_client_whose_grants_are_revoked_meanwhile() {
    for endpoint in Endpoint::ALL {
        let fixture = Fixture::with_samples().await;
        let target: Id = id(endpoint.client());
        let clients = fixture.direct();
        let event = async move {
            for number in 0..2 {
                let outcome = revoke(&clients, target.as_str(), now(), &number.to_string()).await;
                assert!(matches!(outcome, RevokeOutcome::Done(_)));
            }
        };
        fixture.wire.plan("UpdateItem", Planned::meanwhile(event));
        assert!(fixture.invoke(&endpoint.event()).await.status().is_success(), "{endpoint:?}");
        assert!(!fixture.lives(endpoint.client()).await, "{endpoint:?}");
        assert_eq!(history(&fixture, endpoint.client()).await[1], ["0", "1"], "{endpoint:?}");
    }
}

#[tokio::test]
async fn a_nearly_full_item_keeps_its_latest_deletion_and_a_full_one_is_not_changed() {
    let fixture = Fixture::empty().await;
    fixture.create("a", api_client()).await;
    for round in 0..3 {
        delete(&fixture, "a", now() + round * SECOND).await;
        restore(&fixture, "a", now() + round * SECOND).await;
    }
    let fill = async |length: usize| {
        let update = fixture.sdk.update_item().table_name(&fixture.table).update_expression("SET filler = :filler");
        let update = update.key("pk", AttributeValue::S("client#a".to_owned()));
        let filler = AttributeValue::S("x".repeat(length));
        update.expression_attribute_values(":filler", filler).send().await.is_ok()
    };
    let mut length = 409_600;
    while !fill(length).await {
        length -= 10;
    }
    let [deletions, _] = history(&fixture, "a").await;
    assert_eq!(revoke(&fixture.clients, "a", now() + HOUR, "this").await, RevokeOutcome::Done(Version(5)));
    assert_eq!(history(&fixture, "a").await, [vec![deletions[2].clone()], vec!["this".to_owned()]]);
    assert!(!client_status(&fixture, "a").await.accepts(now() + HOUR));

    let mut length = 409_600;
    while !fill(length).await {
        length -= 10;
    }
    let before = item(&fixture, "a").await;
    // The latest deletion and a longer name have no room.
    let revocation = deregister::model::Revocation {
        at: now() + HOUR,
        by: format!("operator#{}", "x".repeat(1000)),
        request_id: "that".to_owned(),
    };
    assert_eq!(fixture.clients.revoke(&id("a"), &revocation).await, Ok(RevokeOutcome::Full));
    assert_eq!(item(&fixture, "a").await, before);
}
