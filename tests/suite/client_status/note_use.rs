//! The note that a client is used: at most one write an hour, on a live client that registered itself.

use super::{HOUR, SECOND, client_status, delete, dynamic, item, kinds, remove_item, with};
use crate::support::{
    Fixture, RETENTION,
    build::{id, oauth_client},
    now,
    wire::Fault,
};
use aws_sdk_dynamodb::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::FinalizerInterceptorContextRef},
    error::BoxError,
    types::AttributeValue,
};
use aws_smithy_runtime_api::client::orchestrator::Metadata;
use deregister::{
    dynamodb::ClientsTable,
    model::Idle,
    store::{ClientStatus, ClientStatuses},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};
use tokio::{sync::Barrier, task::JoinSet};

/// Whether the client is live, and the calls that the note cost.
type Noted = (bool, Vec<String>);

fn without_a_call(is_live: bool) -> Noted {
    (is_live, vec![])
}

fn with_a_write(is_live: bool) -> Noted {
    (is_live, vec!["UpdateItem".to_owned()])
}

/// The write had no effect, and a read found out why.
fn with_a_write_and_a_read(is_live: bool) -> Noted {
    (is_live, ["UpdateItem", "GetItem"].map(str::to_owned).to_vec())
}

/// Reads the client's status and notes a use.
async fn use_client(fixture: &Fixture, client_id: &str, at: SystemTime) -> Noted {
    let status = client_status(fixture, client_id).await;
    note_use(fixture, client_id, &status, at).await
}

/// Notes a use, with a status that was read before.
async fn note_use(fixture: &Fixture, client_id: &str, status: &ClientStatus, at: SystemTime) -> Noted {
    fixture.wire.take_calls();
    let is_live = fixture.clients.note_use(&id(client_id), status, at).await.unwrap();
    (is_live, fixture.wire.take_calls())
}

async fn idle(fixture: &Fixture, client_id: &str) -> Option<Idle> {
    let ClientStatus::Live { idle, .. } = fixture.direct().client_status(&id(client_id)).await.unwrap() else {
        return None;
    };
    idle
}

#[tokio::test]
async fn writes_at_most_once_in_an_hour() {
    let fixture = with(dynamic()).await;
    assert_eq!(use_client(&fixture, "a", now() + SECOND / 2).await, with_a_write(true));
    assert_eq!(idle(&fixture, "a").await, Some(Idle::used(now())));
    for later in [0, 1, 1800, 3599].map(Duration::from_secs) {
        assert_eq!(use_client(&fixture, "a", now() + later).await, without_a_call(true), "{later:?}");
    }
    assert_eq!(idle(&fixture, "a").await, Some(Idle::used(now())));
    assert_eq!(use_client(&fixture, "a", now() + HOUR).await, with_a_write(true));
    assert_eq!(idle(&fixture, "a").await, Some(Idle::used(now() + HOUR)));
}

#[tokio::test]
async fn writes_the_first_use_even_in_the_hour_of_the_registration() {
    let fixture = with(oauth_client().idle(Idle::unused(now() - SECOND))).await;
    assert_eq!(use_client(&fixture, "a", now()).await, with_a_write(true));
    assert_eq!(idle(&fixture, "a").await, Some(Idle::used(now())));
}

#[tokio::test]
async fn starts_to_track_a_client_that_is_not_tracked() {
    let fixture = with(oauth_client()).await;
    assert_eq!(idle(&fixture, "a").await, None);
    assert_eq!(use_client(&fixture, "a", now()).await, with_a_write(true));
    assert_eq!(idle(&fixture, "a").await, Some(Idle::used(now())));
    assert_eq!(use_client(&fixture, "a", now()).await, without_a_call(true));
}

#[tokio::test]
async fn changes_the_idle_time_and_nothing_else() {
    let fixture = with(dynamic()).await;
    let mut expected = item(&fixture, "a").await;
    use_client(&fixture, "a", now()).await;
    // The SHA-256 digest of "a" begins with c.
    expected.insert("idle".to_owned(), AttributeValue::S("used#c".to_owned()));
    expected.insert("idle_since".to_owned(), AttributeValue::N("1800000000".to_owned()));
    assert_eq!(item(&fixture, "a").await, expected);
}

#[tokio::test]
async fn costs_nothing_for_static_and_api_clients() {
    let fixture = Fixture::empty().await;
    for (client_id, client) in kinds().into_iter().filter(|(name, _)| *name != "dynamic") {
        fixture.create(client_id, client).await;
        let before = item(&fixture, client_id).await;
        assert_eq!(use_client(&fixture, client_id, now()).await, without_a_call(true), "{client_id}");
        assert_eq!(item(&fixture, client_id).await, before);
    }
}

#[tokio::test]
async fn costs_nothing_for_deleted_and_missing_clients() {
    let fixture = with(dynamic()).await;
    delete(&fixture, "a", now()).await;
    for client_id in ["a", "missing"] {
        assert_eq!(use_client(&fixture, client_id, now()).await, without_a_call(false), "{client_id}");
    }
}

/// Counts the writes that took effect.
#[derive(Debug, Clone, Default)]
struct Successes(Arc<AtomicU32>);

impl Intercept for Successes {
    fn name(&self) -> &'static str {
        "Successes"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let is_write = config.load::<Metadata>().is_some_and(|call| call.name() == "UpdateItem");
        let took_effect = context.output_or_error().is_some_and(|output| output.is_ok());
        self.0.fetch_add(u32::from(is_write && took_effect), Relaxed);
        Ok(())
    }
}

#[tokio::test]
async fn writes_once_for_16_servers_in_one_hour() {
    let fixture = with(dynamic()).await;
    let writes = Successes::default();
    let config = fixture.sdk.config().to_builder().interceptor(writes.clone());
    let clients = ClientsTable::new(config, &fixture.table, RETENTION);
    for round in 0..3 {
        let (start, read) = (Arc::new(Barrier::new(16)), client_status(&fixture, "a").await);
        let mut servers = JoinSet::new();
        for server in 0..16 {
            let (clients, start, read) = (clients.clone(), Arc::clone(&start), read.clone());
            servers.spawn(async move {
                start.wait().await;
                let at = now() + round * HOUR + server * Duration::from_mins(3);
                clients.note_use(&id("a"), &read, at).await
            });
        }
        assert!(servers.join_all().await.into_iter().all(|is_live| is_live == Ok(true)));
        assert_eq!(writes.0.swap(0, Relaxed), 1, "round {round}");
        let since = idle(&fixture, "a").await.unwrap().since;
        assert!((now() + round * HOUR..now() + (round + 1) * HOUR).contains(&since));
        set_idle_since(&fixture, "1700000000").await;
    }
}

/// Dates the last use back, so that more than an hour passes before every use of the next round.
async fn set_idle_since(fixture: &Fixture, seconds: &str) {
    let update =
        fixture.sdk.update_item().table_name(&fixture.table).key("pk", AttributeValue::S("client#a".to_owned()));
    let update = update.update_expression("SET idle_since = :since");
    update.expression_attribute_values(":since", AttributeValue::N(seconds.to_owned())).send().await.unwrap();
}

#[tokio::test]
async fn does_not_overwrite_the_note_of_another_server() {
    let fixture = with(dynamic()).await;
    let read = client_status(&fixture, "a").await;
    use_client(&fixture, "a", now()).await;
    let before = item(&fixture, "a").await;
    for at in [now() - HOUR, now() - SECOND, now(), now() + HOUR - SECOND] {
        assert_eq!(note_use(&fixture, "a", &read, at).await, with_a_write_and_a_read(true));
        assert_eq!(item(&fixture, "a").await, before);
    }
}

#[tokio::test]
async fn does_not_change_a_tombstone() {
    let fixture = with(dynamic()).await;
    let read = client_status(&fixture, "a").await;
    let bystander = fixture.clone();
    fixture.wire.plan("UpdateItem", Fault::meanwhile(async move { delete(&bystander, "a", now()).await }));
    assert_eq!(note_use(&fixture, "a", &read, now()).await, with_a_write_and_a_read(false));
    let tombstone = item(&fixture, "a").await;
    for attribute in ["client", "idle", "idle_since"] {
        assert!(!tombstone.contains_key(attribute), "{attribute}");
    }
    assert!(tombstone.contains_key("tombstone"));
}

#[tokio::test]
async fn does_not_create_an_item() {
    let fixture = with(dynamic()).await;
    let read = client_status(&fixture, "a").await;
    remove_item(&fixture, "a").await;
    assert_eq!(note_use(&fixture, "a", &read, now()).await, with_a_write_and_a_read(false));
    assert_eq!(fixture.item("client#a").await, None);
}

#[tokio::test]
async fn takes_effect_once_after_an_ambiguous_attempt() {
    // If the first attempt took effect, the condition of the second one fails.
    for (fault, expected) in
        [(Fault::AnswerLost, vec!["UpdateItem", "UpdateItem", "GetItem"]), (Fault::Reset, vec!["UpdateItem"; 2])]
    {
        let fixture = with(dynamic()).await;
        let read = client_status(&fixture, "a").await;
        fixture.wire.plan("UpdateItem", fault);
        let (is_live, calls) = note_use(&fixture, "a", &read, now()).await;
        assert_eq!((is_live, calls), (true, expected.into_iter().map(str::to_owned).collect()));
        assert_eq!(idle(&fixture, "a").await, Some(Idle::used(now())));
    }
}

#[tokio::test]
async fn says_that_the_client_is_not_live_if_it_is_deleted_after_an_ambiguous_attempt() {
    for fault in [Fault::AnswerLost, Fault::Reset] {
        let fixture = with(dynamic()).await;
        let read = client_status(&fixture, "a").await;
        fixture.wire.plan("UpdateItem", fault);
        let bystander = fixture.clone();
        fixture.wire.plan("UpdateItem", Fault::meanwhile(async move { delete(&bystander, "a", now()).await }));
        assert!(!note_use(&fixture, "a", &read, now()).await.0);
        assert!(!item(&fixture, "a").await.contains_key("idle"));
    }
}
