//! Two restorations, a new client under the same id and another deletion, at the same time.

use super::{delete, deletions, item};
use crate::support::{
    Fixture,
    build::{api_client, id},
    now,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    dynamodb::admin::{Creation, Deletions, RestoreOutcome},
    model::{Digest, Restoration},
    store::WriteOutcome,
};
use std::{collections::HashSet, sync::Arc};
use tokio::{sync::Barrier, task::JoinSet};

/// What a racer did.
#[derive(Debug, PartialEq, Eq)]
enum Effect {
    Restored,
    Replaced,
    DeletedAgain,
    Nothing,
}

/// Removes the tombstone of the first deletion, as the time to live does, and creates another client under its id.
async fn replace(fixture: &Fixture, client_id: &str) -> Effect {
    let key = AttributeValue::S(format!("client#{client_id}"));
    let collect = fixture.sdk.delete_item().table_name(&fixture.table).key("pk", key);
    let collect = collect.condition_expression("attribute_exists(tombstone) AND deleted.request_id = :first");
    let first = AttributeValue::S("first".to_owned());
    if collect.expression_attribute_values(":first", first).send().await.is_err() {
        return Effect::Nothing;
    }
    let created = fixture.clients.create_client(&id(client_id), &api_client().secret("new").build()).await;
    assert_eq!(created, Ok(Creation::Done));
    Effect::Replaced
}

async fn delete_again(fixture: &Fixture, client_id: &str) -> Effect {
    match delete(&fixture.clients, client_id, "second").await {
        WriteOutcome::Written => Effect::DeletedAgain,
        WriteOutcome::ConditionFailed(_) => Effect::Nothing,
    }
}

async fn restore_as(operator: &str, fixture: &Fixture, client_id: &str) -> Effect {
    let restoration = Restoration { at: now(), by: operator.to_owned() };
    match fixture.clients.restore(&id(client_id), &restoration).await.unwrap() {
        RestoreOutcome::Done(_) => Effect::Restored,
        _ => Effect::Nothing,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_item_and_its_history_agree_with_what_each_racer_did() {
    let fixture = Fixture::anywhere().await;
    let mut endings = HashSet::new();
    for round in 0..1000 {
        let client_id = format!("client-{round}");
        fixture.create(&client_id, api_client().secret("old")).await;
        delete(&fixture.clients, &client_id, "first").await;

        let (start, mut racers) = (Arc::new(Barrier::new(4)), JoinSet::new());
        for racer in 0..4 {
            let (fixture, start, client_id) = (fixture.clone(), Arc::clone(&start), client_id.clone());
            racers.spawn(async move {
                start.wait().await;
                match racer {
                    0 => replace(&fixture, &client_id).await,
                    1 => delete_again(&fixture, &client_id).await,
                    2 => restore_as("operator#jane", &fixture, &client_id).await,
                    _ => restore_as("operator#john", &fixture, &client_id).await,
                }
            });
        }
        let effects = racers.join_all().await;
        let count = |effect| effects.iter().filter(|known| **known == effect).count();
        let (restored, replaced, again) =
            (count(Effect::Restored), count(Effect::Replaced), count(Effect::DeletedAgain));

        let item = item(&fixture, &client_id).await;
        let Deletions { current, past, .. } = deletions(&fixture, &client_id).await;
        assert_eq!(item.contains_key("client"), !item.contains_key("tombstone"), "{effects:?}");
        let past: Vec<_> = past.iter().map(|past| past.deletion.request_id.as_str()).collect();
        let current = current.as_ref().map(|(deletion, _)| deletion.request_id.as_str());
        let expected = match (restored, replaced, again) {
            (1, 0, 0) => (vec!["first"], None),
            (1, 0, 1) => (vec!["first"], Some("second")),
            // The other operator reads after the second deletion, and ends that too.
            (2, 0, 1) => (vec!["first", "second"], None),
            (0, 1, 0) => (vec![], None),
            (0, 1, 1) => (vec![], Some("second")),
            (1, 1, 1) => (vec!["second"], None),
            _ => panic!("{effects:?}"),
        };
        assert_eq!((past, current), expected, "{effects:?}");
        let secret = if replaced == 1 { "new" } else { "old" };
        let client = item.get("client").or(item.get("tombstone")).unwrap().as_m().unwrap();
        let digest = client["secrets"].as_l().unwrap()[0].as_m().unwrap()["digest"].as_b().unwrap();
        assert_eq!(digest.as_ref(), Digest::of(secret).as_bytes());
        assert_eq!(client["version"], AttributeValue::N((1 + restored).to_string()));
        endings.insert((restored, replaced, again));
    }
    println!("{endings:?}");
    assert!(endings.len() > 1, "{endings:?}");
}
