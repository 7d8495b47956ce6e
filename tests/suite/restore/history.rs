//! The records of past deletions, and the list of current ones.

use super::{SECOND, delete, delete_at_configuration, deletion, deletions, item, restore, write_tombstone};
use crate::support::{
    Fixture, RETENTION,
    build::{api_client, id},
    now,
    sample::{OWNER, OWNER_ELSEWHERE, TARGET},
};
use deregister::{
    dynamodb::admin::{ClientFilter, Deletions, Parent, Position, RestoreOutcome},
    model::Deletion,
    snapshot::{Key, Record},
    store::WriteOutcome,
};
use std::collections::HashSet;

#[tokio::test]
async fn keeps_the_last_ten_deletions() {
    let fixture = Fixture::anywhere().await;
    fixture.create("a", api_client()).await;
    for round in 0..12 {
        assert_eq!(delete(&fixture.clients, "a", &round.to_string()).await, WriteOutcome::Written);
        let Deletions { current, past, .. } = deletions(&fixture, "a").await;
        assert_eq!(current, Some((deletion(&round.to_string()), now() + RETENTION)));
        assert_eq!(past.len(), round.min(10));
        assert!(matches!(restore(&fixture, "a").await, RestoreOutcome::Done(_)));
    }
    let past = deletions(&fixture, "a").await.past;
    let requests: Vec<_> = past.iter().map(|past| past.deletion.request_id.as_str()).collect();
    assert_eq!(requests, ["2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]);
    let live = Record::Client(api_client().version(13).restored_from("11").build());
    assert_eq!(fixture.clients.find(&Key::Client(id("a"))).await, Ok(Some(live)));
}

#[tokio::test]
async fn is_not_lost_by_the_function_and_changes_no_answer() {
    let fixture = Fixture::anywhere_with_samples().await;
    delete(&fixture.clients, TARGET, "first").await;
    restore(&fixture, TARGET).await;
    let history = item(&fixture, TARGET).await["history"].clone();
    assert_eq!(delete_at_configuration(&fixture, OWNER, TARGET).await, 204);
    assert_eq!(item(&fixture, TARGET).await["history"], history);
    assert_eq!(delete_at_configuration(&fixture, OWNER_ELSEWHERE, TARGET).await, 403);
}

#[tokio::test]
async fn current_deletions_are_listed_since_a_time() {
    let fixture = Fixture::anywhere().await;
    for (client_id, ago) in [("old", 100), ("new", 10), ("live", 0)] {
        fixture.create(client_id, api_client()).await;
        let deletion = Deletion { at: now() - ago * SECOND, ..deletion(client_id) };
        assert_eq!(write_tombstone(&fixture.clients, client_id, &deletion).await, WriteOutcome::Written);
    }
    restore(&fixture, "live").await;
    let listed = async |since| {
        let parent = Some(Parent::Application("application".to_owned()));
        let filter = ClientFilter { parent, deleted_since: since, ..ClientFilter::default() };
        let page = fixture.clients.deleted_clients(&filter, Position::start()).await.unwrap();
        for (id, listed) in &page.entries {
            assert_eq!(*listed.as_ref().unwrap(), deletions(&fixture, id.as_str()).await);
        }
        page.entries.into_iter().map(|(id, _)| id.to_string()).collect::<HashSet<_>>()
    };
    assert_eq!(listed(None).await, HashSet::from(["old".to_owned(), "new".to_owned()]));
    assert_eq!(listed(Some(now() - 10 * SECOND)).await, HashSet::from(["new".to_owned()]));
    assert_eq!(listed(Some(now() - 9 * SECOND)).await, HashSet::new());
    let filter = ClientFilter { parent: Some(Parent::Service(id("application"))), ..ClientFilter::default() };
    let of_service = fixture.clients.deleted_clients(&filter, Position::start()).await.unwrap();
    assert_eq!(of_service.entries, []);
}
