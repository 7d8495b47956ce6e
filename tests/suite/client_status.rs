//! What an authorization server asks and tells: the revocation barrier, and that a client is used.

use crate::support::{
    Fixture, RETENTION,
    door::Door,
    now,
    random::Random,
    wire::{Wire, wire::Fault},
};
use aws_sdk_dynamodb::{
    Client as Sdk,
    config::{Builder, ConfigBag, Intercept, RuntimeComponents, interceptors::FinalizerInterceptorContextRef},
    error::BoxError,
    types::AttributeValue,
};
use deregister::{
    deletion,
    dynamodb::{
        ClientsTable, GrantsTable,
        admin::{Creation, RestoreOutcome},
        item::Item,
    },
    functions::{Cascade, cascade::PurgeOutcome},
    invocation::Invocation,
    model::{ApiClient, Client, Deletion, Id, Idle, IdlePolicy, Kind, Metadata, OAuthClient, Restoration},
    rule::{Authorization, operator, sweep},
    store::{ClientStatus, Fault, Store, WriteOutcome},
};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};
use tokio::{
    sync::{Barrier, mpsc, oneshot},
    task::JoinSet,
    time::Instant,
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

fn id(id: &str) -> Id {
    Id::new(id).unwrap()
}

/// An OAuth client that was registered a day ago, by itself if it is `dynamic`, and never used.
fn oauth(dynamic: bool) -> Client {
    let (service_id, metadata) = (id("service"), Metadata::default());
    let client = OAuthClient { service_id, dynamic, registration_token_digest: None, metadata };
    let idle = dynamic.then(|| Idle::unused(now() - 24 * HOUR));
    Client { kind: Kind::OAuth(client), protected: false, version: None, idle }
}

fn api() -> Client {
    Client { kind: Kind::Api(ApiClient::default()), protected: false, version: None, idle: None }
}

/// A client of each kind.
fn kinds() -> [(&'static str, Client); 3] {
    [("api", api()), ("static", oauth(false)), ("dynamic", oauth(true))]
}

/// A table with this client under the id `a`.
async fn with(client: &Client) -> Fixture {
    let fixture = Fixture::empty().await;
    create(&fixture, "a", client).await;
    fixture
}

async fn create(fixture: &Fixture, client_id: &str, client: &Client) {
    assert_eq!(fixture.direct().create_client(&id(client_id), client).await, Ok(Creation::Done));
}

fn deletion(at: SystemTime) -> Deletion {
    let (by, via) = ("operator#jane".to_owned(), "deregisterctl".to_owned());
    Deletion { at, by, via, source_ip: None, request_id: format!("{at:?}") }
}

/// Deletes the client past the wire.
async fn write_tombstone(fixture: &Fixture, client_id: &str, at: SystemTime) {
    let (target, store) = (id(client_id), fixture.direct());
    let permit = Authorization { target: &target, preconditions: Vec::new() };
    assert_eq!(store.write_tombstone(&permit, &deletion(at)).await, Ok(WriteOutcome::Written));
}

/// Restores the client past the wire.
async fn restore(fixture: &Fixture, client_id: &str, at: SystemTime) {
    let restoration = Restoration { at, by: "operator#jane".to_owned() };
    let restored = fixture.direct().restore(&id(client_id), &restoration).await.unwrap();
    assert!(matches!(restored, RestoreOutcome::Done(_)), "{restored:?}");
}

async fn standing(fixture: &Fixture, client_id: &str) -> ClientStatus {
    fixture.clients.client_status(&id(client_id)).await.unwrap()
}

async fn honours(fixture: &Fixture, client_id: &str, issued_at: SystemTime) -> bool {
    standing(fixture, client_id).await.accepts(issued_at)
}

/// What a server does that uses the client now: it asks, and tells. Whether the client is live, and the calls.
async fn use_client(fixture: &Fixture, client_id: &str, at: SystemTime) -> (bool, Vec<String>) {
    let standing = fixture.direct().client_status(&id(client_id)).await.unwrap();
    note_use(fixture, client_id, &standing, at).await
}

async fn note_use(fixture: &Fixture, client_id: &str, standing: &ClientStatus, at: SystemTime) -> (bool, Vec<String>) {
    fixture.wire.take_calls();
    let live = fixture.clients.note_use(&id(client_id), standing, at).await.unwrap();
    (live, fixture.wire.take_calls())
}

async fn item(fixture: &Fixture, client_id: &str) -> Item {
    fixture.item(&format!("client#{client_id}")).await.unwrap()
}

/// Since when the client is idle, as its item says.
async fn idle(fixture: &Fixture, client_id: &str) -> Option<Idle> {
    let ClientStatus::Live { idle, .. } = fixture.direct().client_status(&id(client_id)).await.unwrap() else {
        return None;
    };
    idle
}

#[tokio::test]
async fn whether_a_client_stands_is_one_strongly_consistent_read_and_nothing_else() {
    let fixture = Fixture::empty().await;
    for client_id in ["live", "deleted", "restored"] {
        create(&fixture, client_id, &oauth(true)).await;
    }
    for client_id in ["deleted", "restored"] {
        bury(&fixture, client_id, now()).await;
    }
    restore(&fixture, "restored", now()).await;
    for client_id in ["live", "deleted", "restored", "nobody"] {
        fixture.wire.take_calls();
        let standing = standing(&fixture, client_id).await;
        assert_eq!(fixture.wire.take_calls(), ["GetItem"], "{client_id}");
        let body: serde_json::Value = serde_json::from_str(&fixture.wire.last_body()).unwrap();
        assert_eq!(body["ConsistentRead"], true, "{client_id}");
        assert_eq!(standing.is_live(), ["live", "restored"].contains(&client_id), "{client_id}");
    }
}

#[tokio::test]
async fn of_a_live_client_is_told_whether_it_registered_itself_and_since_when_it_is_idle() {
    let fixture = Fixture::empty().await;
    for (client_id, client) in kinds() {
        create(&fixture, client_id, &client).await;
        let expected = ClientStatus::Live { revoked_until: None, dynamic: client.is_dynamic(), idle: client.idle };
        assert_eq!(standing(&fixture, client_id).await, expected, "{client_id}");
    }
}

#[tokio::test]
async fn a_client_that_was_deleted_at_any_door_stands_no_longer_once_that_is_answered() {
    for door in Door::ALL {
        let fixture = Fixture::with_samples().await;
        let before = standing(&fixture, door.client()).await;
        assert!(before.is_live() && before.accepts(now()), "{door:?}");
        assert!(fixture.invoke(&door.event()).await.status().is_success());
        let after = standing(&fixture, door.client()).await;
        let ClientStatus::Deleted(deletion) = &after else { panic!("{door:?}: {after:?}") };
        assert_eq!(deletion.via, format!("{door:?}").to_lowercase());
        assert!(!after.is_live() && !after.accepts(now()) && !after.accepts(now() + HOUR), "{door:?}");
    }
}

#[tokio::test]
async fn nor_does_one_that_an_operator_or_the_sweep_deleted() {
    let fixture = Fixture::empty().await;
    for via in ["deregisterctl", "sweep"] {
        create(&fixture, via, &oauth(true)).await;
        let invocation = Invocation {
            now: now(),
            deadline: Instant::now() + Duration::from_secs(10),
            source_ip: None,
            request_id: "this".to_owned(),
        };
        if via == "sweep" {
            let policy = IdlePolicy { unused: HOUR, used: HOUR };
            let request = sweep::Request { target: id(via), idle: oauth(true).idle.unwrap(), policy };
            deletion::delete(&fixture.clients, request, &invocation).await.result.unwrap();
        } else {
            let request = operator::Request { operator: "operator#jane".to_owned(), target: id(via) };
            deletion::delete(&fixture.clients, request, &invocation).await.result.unwrap();
        }
        let after = standing(&fixture, via).await;
        assert!(matches!(&after, ClientStatus::Deleted(deletion) if deletion.via == via), "{after:?}");
        assert!(!after.accepts(now()));
    }
}

#[tokio::test]
async fn nothing_counts_of_an_id_that_is_nobodys_or_no_longer_anybodys() {
    let fixture = with(&oauth(true)).await;
    bury(&fixture, "a", now()).await;
    let key = AttributeValue::S("client#a".to_owned());
    fixture.sdk.delete_item().table_name(&fixture.table).key("pk", key).send().await.unwrap();
    for client_id in ["a", "nobody"] {
        let standing = standing(&fixture, client_id).await;
        assert_eq!(standing, ClientStatus::Unknown);
        assert!(!standing.is_live() && !standing.accepts(now()));
    }
}

#[tokio::test]
async fn an_item_that_cannot_be_read_is_a_fault_and_never_a_live_client() {
    let fixture = with(&oauth(true)).await;
    let whole = item(&fixture, "a").await;
    bury(&fixture, "a", now()).await;
    let tombstone = item(&fixture, "a").await;
    let (text, nothing) = (AttributeValue::S("text".to_owned()), AttributeValue::M(HashMap::new()));
    let not_dynamic = HashMap::from([("dynamic".to_owned(), text.clone())]);
    for (item, attribute, value) in [
        (&whole, "client", Some(text.clone())),
        (&whole, "client", Some(nothing.clone())),
        (&whole, "client", Some(AttributeValue::M(not_dynamic))),
        (&whole, "client", None),
        (&whole, "history", Some(text.clone())),
        (&whole, "history", Some(AttributeValue::L(vec![nothing]))),
        (&tombstone, "deleted", Some(text)),
        (&tombstone, "deleted", None),
    ] {
        let mut broken = item.clone();
        match &value {
            Some(value) => drop(broken.insert(attribute.to_owned(), value.clone())),
            None => drop(broken.remove(attribute)),
        }
        fixture.sdk.put_item().table_name(&fixture.table).set_item(Some(broken)).send().await.unwrap();
        let standing = fixture.clients.client_status(&id("a")).await;
        assert!(matches!(standing, Err(Fault::Unreadable(_))), "{attribute} {value:?}: {standing:?}");
    }
}

#[tokio::test]
async fn where_the_database_cannot_be_asked_nobody_knows() {
    let fixture = with(&oauth(true)).await;
    let live = standing(&fixture, "a").await;
    let throttled = || wire::Fault::error(400, "ThrottlingException");
    let denied = || wire::Fault::error(400, "AccessDeniedException");

    (0..4).for_each(|_| fixture.wire.plan("GetItem", throttled()));
    assert!(matches!(fixture.clients.client_status(&id("a")).await, Err(Fault::Unavailable(_))));
    fixture.wire.plan("GetItem", denied());
    assert!(matches!(fixture.clients.client_status(&id("a")).await, Err(Fault::Unexpected(_))));

    (0..4).for_each(|_| fixture.wire.plan("UpdateItem", throttled()));
    assert!(matches!(fixture.clients.note_use(&id("a"), &live, now()).await, Err(Fault::Unavailable(_))));
    fixture.wire.plan("UpdateItem", denied());
    assert!(matches!(fixture.clients.note_use(&id("a"), &live, now()).await, Err(Fault::Unexpected(_))));
    assert_eq!(standing(&fixture, "a").await, live);
}

#[tokio::test]
async fn of_a_client_that_was_never_deleted_everything_counts() {
    let fixture = Fixture::empty().await;
    for (client_id, client) in kinds() {
        create(&fixture, client_id, &client).await;
        for issued_at in [SystemTime::UNIX_EPOCH, now(), now() + HOUR] {
            assert!(honours(&fixture, client_id, issued_at).await, "{client_id}");
        }
    }
}

#[tokio::test]
async fn what_was_issued_before_a_deletion_is_refused_after_it_and_stays_so_after_a_restoration() {
    let fixture = Fixture::empty().await;
    for (client_id, client) in kinds() {
        create(&fixture, client_id, &client).await;
        let issued_at = now() - HOUR;
        assert!(honours(&fixture, client_id, issued_at).await, "{client_id}");
        bury(&fixture, client_id, now()).await;
        assert!(!honours(&fixture, client_id, issued_at).await, "{client_id}");
        restore(&fixture, client_id, now() + HOUR).await;
        assert!(!honours(&fixture, client_id, issued_at).await, "{client_id}");
        assert!(!honours(&fixture, client_id, SystemTime::UNIX_EPOCH).await, "{client_id}");
        assert!(honours(&fixture, client_id, now() + HOUR + SECOND).await, "{client_id}");
    }
}

#[tokio::test]
async fn of_the_second_of_the_restoration_nothing_counts_and_of_the_next_everything() {
    let fixture = with(&oauth(true)).await;
    let instant = Duration::from_nanos(1);
    let restored = now() + HOUR;
    bury(&fixture, "a", now()).await;
    restore(&fixture, "a", restored + SECOND / 2).await;
    for (issued_at, counts) in [
        (now() - instant, false),
        (now(), false),
        (now() + SECOND, false),
        (restored - instant, false),
        (restored, false),
        (restored + SECOND - instant, false),
        (restored + SECOND, true),
        (restored + SECOND + instant, true),
    ] {
        assert_eq!(honours(&fixture, "a", issued_at).await, counts, "{:?}", issued_at.duration_since(now()));
    }
}

#[tokio::test]
async fn a_deletion_and_its_undoing_in_one_second_revoke_what_was_issued_in_it() {
    let fixture = with(&oauth(true)).await;
    bury(&fixture, "a", now()).await;
    restore(&fixture, "a", now()).await;
    assert!(!honours(&fixture, "a", now()).await);
    assert!(honours(&fixture, "a", now() + SECOND).await);
}

/// The operator's clock and the function's are two.
#[tokio::test]
async fn a_restoration_that_is_dated_before_its_deletion_lets_nothing_of_before_the_deletion_count() {
    let fixture = with(&oauth(true)).await;
    bury(&fixture, "a", now()).await;
    restore(&fixture, "a", now() - HOUR).await;
    assert!(!honours(&fixture, "a", now()).await);
    assert!(honours(&fixture, "a", now() + SECOND).await);
}

#[tokio::test]
async fn the_latest_of_several_undone_deletions_counts_in_whatever_order_they_stand() {
    let fixture = with(&oauth(true)).await;
    // One more than a history has room for; the last of them is not the latest.
    for hours in (0..10).chain([5]) {
        bury(&fixture, "a", now() + hours * HOUR).await;
        restore(&fixture, "a", now() + hours * HOUR + SECOND).await;
    }
    let latest = now() + 9 * HOUR + SECOND;
    assert!(!honours(&fixture, "a", latest).await);
    assert!(honours(&fixture, "a", latest + SECOND).await);
}

#[tokio::test]
async fn a_use_is_one_write_and_none_within_the_hour_that_follows() {
    let fixture = with(&oauth(true)).await;
    let write = || vec!["UpdateItem".to_owned()];
    let first = now() + SECOND / 2;
    assert_eq!(use_client(&fixture, "a", first).await, (true, write()));
    assert_eq!(idle(&fixture, "a").await, Some(Idle::used(now())));
    for later in [0, 1, 1800, 3599].map(Duration::from_secs) {
        assert_eq!(use_client(&fixture, "a", now() + later).await, (true, vec![]), "{later:?}");
    }
    assert_eq!(idle(&fixture, "a").await, Some(Idle::used(now())));
    assert_eq!(use_client(&fixture, "a", now() + HOUR).await, (true, write()));
    assert_eq!(idle(&fixture, "a").await, Some(Idle::used(now() + HOUR)));
}

#[tokio::test]
async fn the_first_use_is_noted_also_within_the_hour_of_the_registration() {
    let fixture = with(&Client { idle: Some(Idle::unused(now() - SECOND)), ..oauth(true) }).await;
    assert_eq!(use_client(&fixture, "a", now()).await, (true, vec!["UpdateItem".to_owned()]));
    assert_eq!(idle(&fixture, "a").await, Some(Idle::used(now())));
}

#[tokio::test]
async fn a_use_changes_nothing_but_since_when_the_client_is_idle() {
    let fixture = with(&oauth(true)).await;
    let mut expected = item(&fixture, "a").await;
    use_client(&fixture, "a", now()).await;
    // SHA-256 of "a" begins with c.
    expected.insert("idle".to_owned(), AttributeValue::S("used#c".to_owned()));
    expected.insert("idle_since".to_owned(), AttributeValue::N("1800000000".to_owned()));
    assert_eq!(item(&fixture, "a").await, expected);
}

#[tokio::test]
async fn of_16_servers_that_use_a_client_within_one_hour_one_writes_and_all_are_told_that_it_is_live() {
    /// Counts the writes that took effect.
    #[derive(Debug, Clone, Default)]
    struct Written(Arc<AtomicU32>);

    impl Intercept for Written {
        fn name(&self) -> &'static str {
            "Written"
        }

        fn read_after_attempt(
            &self,
            context: &FinalizerInterceptorContextRef<'_>,
            _: &RuntimeComponents,
            _: &mut ConfigBag,
        ) -> Result<(), BoxError> {
            self.0.fetch_add(u32::from(context.output_or_error().is_some_and(|output| output.is_ok())), Relaxed);
            Ok(())
        }
    }

    let fixture = with(&oauth(true)).await;
    let written = Written::default();
    let config = fixture.sdk.config().to_builder().interceptor(written.clone());
    let store = ClientsTable::new(config, &fixture.table, RETENTION);
    for round in 0..3 {
        let (start, read) = (Arc::new(Barrier::new(16)), standing(&fixture, "a").await);
        let mut servers = JoinSet::new();
        for server in 0..16 {
            let (store, start, read) = (store.clone(), Arc::clone(&start), read.clone());
            servers.spawn(async move {
                start.wait().await;
                let at = now() + round * HOUR + server * Duration::from_mins(3);
                store.note_use(&id("a"), &read, at).await
            });
        }
        assert!(servers.join_all().await.into_iter().all(|live| live == Ok(true)));
        assert_eq!(written.0.swap(0, Relaxed), 1, "round {round}");
        let since = idle(&fixture, "a").await.unwrap().since;
        assert!((now() + round * HOUR..now() + (round + 1) * HOUR).contains(&since));
        // So that it is an hour before all of the next round.
        let put =
            fixture.sdk.update_item().table_name(&fixture.table).key("pk", AttributeValue::S("client#a".to_owned()));
        let put = put.update_expression("SET idle_since = :since");
        let long_ago = AttributeValue::N("1700000000".to_owned());
        put.expression_attribute_values(":since", long_ago).send().await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_knows_nothing_of_a_use_by_another_does_not_write_over_it() {
    let fixture = with(&oauth(true)).await;
    let read = standing(&fixture, "a").await;
    use_client(&fixture, "a", now()).await;
    let before = item(&fixture, "a").await;
    for at in [now() - HOUR, now() - SECOND, now(), now() + HOUR - SECOND] {
        let (live, calls) = note_use(&fixture, "a", &read, at).await;
        assert_eq!((live, calls), (true, vec!["UpdateItem".to_owned()]));
        assert_eq!(item(&fixture, "a").await, before);
    }
}

#[tokio::test]
async fn no_use_is_noted_of_static_and_api_clients() {
    let fixture = Fixture::empty().await;
    for (client_id, client) in kinds().into_iter().filter(|(_, client)| !client.is_dynamic()) {
        create(&fixture, client_id, &client).await;
        let before = item(&fixture, client_id).await;
        assert_eq!(use_client(&fixture, client_id, now()).await, (true, vec![]), "{client_id}");
        assert_eq!(item(&fixture, client_id).await, before);
    }
}

#[tokio::test]
async fn no_use_is_noted_of_a_client_that_does_not_stand() {
    let fixture = with(&oauth(true)).await;
    bury(&fixture, "a", now()).await;
    for client_id in ["a", "nobody"] {
        assert_eq!(use_client(&fixture, client_id, now()).await, (false, vec![]), "{client_id}");
    }
}

#[tokio::test]
async fn a_use_of_a_client_that_is_deleted_meanwhile_leaves_its_tombstone_alone() {
    let fixture = with(&oauth(true)).await;
    let read = standing(&fixture, "a").await;
    let bystander = fixture.clone();
    fixture.wire.plan("UpdateItem", wire::Fault::meanwhile(async move { bury(&bystander, "a", now()).await }));
    assert_eq!(note_use(&fixture, "a", &read, now()).await, (false, vec!["UpdateItem".to_owned()]));
    let tombstone = item(&fixture, "a").await;
    for attribute in ["client", "idle", "idle_since"] {
        assert!(!tombstone.contains_key(attribute), "{attribute}");
    }
    assert!(tombstone.contains_key("tombstone"));
}

#[tokio::test]
async fn a_use_of_a_client_whose_tombstone_is_gone_makes_no_item() {
    let fixture = with(&oauth(true)).await;
    let read = standing(&fixture, "a").await;
    let key = AttributeValue::S("client#a".to_owned());
    fixture.sdk.delete_item().table_name(&fixture.table).key("pk", key).send().await.unwrap();
    assert!(!note_use(&fixture, "a", &read, now()).await.0);
    assert_eq!(fixture.item("client#a").await, None);
}

#[tokio::test]
async fn a_use_whose_write_was_not_answered_is_noted_once_and_told_rightly() {
    for fault in [wire::Fault::AnswerLost, wire::Fault::Reset] {
        let fixture = with(&oauth(true)).await;
        let read = standing(&fixture, "a").await;
        fixture.wire.plan("UpdateItem", fault);
        let (live, calls) = note_use(&fixture, "a", &read, now()).await;
        assert_eq!((live, calls.len()), (true, 2));
        assert_eq!(idle(&fixture, "a").await, Some(Idle::used(now())));
    }
}

#[tokio::test]
async fn a_client_that_is_deleted_after_a_write_that_was_not_answered_is_told_to_be_gone() {
    for fault in [wire::Fault::AnswerLost, wire::Fault::Reset] {
        let fixture = with(&oauth(true)).await;
        let read = standing(&fixture, "a").await;
        fixture.wire.plan("UpdateItem", fault);
        let bystander = fixture.clone();
        fixture.wire.plan("UpdateItem", wire::Fault::meanwhile(async move { bury(&bystander, "a", now()).await }));
        assert!(!note_use(&fixture, "a", &read, now()).await.0);
        assert!(!item(&fixture, "a").await.contains_key("idle"));
    }
}

#[tokio::test]
async fn a_client_of_before_is_kept_track_of_from_its_next_use_on() {
    let fixture = with(&Client { idle: None, ..oauth(true) }).await;
    assert_eq!(idle(&fixture, "a").await, None);
    assert_eq!(use_client(&fixture, "a", now()).await, (true, vec!["UpdateItem".to_owned()]));
    assert_eq!(idle(&fixture, "a").await, Some(Idle::used(now())));
    assert_eq!(use_client(&fixture, "a", now()).await, (true, vec![]));
}

/// An authorization server.
#[derive(Clone)]
struct Server {
    clients: ClientsTable,
    sdk: Sdk,
    /// The seconds that have passed.
    clock: Arc<AtomicU32>,
    /// When it issued what it handed out.
    handed_out: Arc<Mutex<Vec<SystemTime>>>,
}

impl Server {
    /// An instant that nobody else has.
    fn tick(&self) -> SystemTime {
        now() + self.clock.fetch_add(1, Relaxed) * SECOND
    }

    /// Issues a grant as `docs/integrating.md` has it: it is stored, and handed out unless the client is gone by then.
    async fn issue(&self, client: &Id) {
        let at = self.tick();
        let key = [("client_id", client.as_str()), ("grant_id", &format!("{at:?}"))]
            .map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())));
        let key = Some(HashMap::from(key));
        self.sdk.put_item().table_name("grants").set_item(key.clone()).send().await.unwrap();
        let standing = self.clients.client_status(client).await.unwrap();
        if self.clients.note_use(client, &standing, at).await.unwrap() {
            self.handed_out.lock().unwrap().push(at);
        } else {
            self.sdk.delete_item().table_name("grants").set_key(key).send().await.unwrap();
        }
    }

    fn take_handed_out(&self) -> Vec<SystemTime> {
        std::mem::take(&mut self.handed_out.lock().unwrap())
    }
}

/// What lets somebody go who waits for a turn; nothing, where somebody has done.
type Arrival = Option<oneshot::Sender<()>>;

/// Where three servers, and somebody who deletes, work on one table, one database call at a time; whose turn it is is
/// drawn.
struct Stage {
    fixture: Fixture,
    random: Random,
    servers: Vec<Server>,
    operator: Server,
    cascade: Cascade,
    /// Past the wire.
    grants: Grants,
    arrives: mpsc::UnboundedSender<Arrival>,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
}

impl Stage {
    const ROUNDS: usize = 64;

    async fn new() -> Self {
        let fixture = Fixture::empty().await;
        fixture.create_grants_table().await;
        let (arrives, arrivals) = mpsc::unbounded_channel();
        let clock = Arc::<AtomicU32>::default();
        let config = || {
            let config = fixture.sdk.config().to_builder();
            config.http_client(one_call_a_turn(Wire::over(support::wire::http()), &arrives))
        };
        let server = |config: Builder| Server {
            clients: ClientsTable::new(config.clone(), &fixture.table, RETENTION),
            sdk: Sdk::from_conf(config.build()),
            clock: Arc::clone(&clock),
            handed_out: Arc::default(),
        };
        let (servers, config) = ((0..3).map(|_| server(config())).collect(), config());
        let operator = server(config.clone());
        let open = async |config| Grants::open(config, "grants", "expires_at").await.unwrap();
        let cascade = Cascade::new(operator.clients.clone(), open(config).await, now);
        let grants = open(fixture.sdk.config().to_builder()).await;
        Self { fixture, random: Random::new(), servers, operator, cascade, grants, arrives, arrivals }
    }

    /// Has the servers issue two grants each to a new client, while somebody does this.
    async fn play(&mut self, client: &Id, work: impl Future<Output = ()> + Send + 'static) {
        create(&self.fixture, client.as_str(), &oauth(true)).await;
        let mut tasks = JoinSet::new();
        let mut waiting: Vec<_> = self.begin(&mut tasks, work).await.into_iter().collect();
        for server in self.servers.clone() {
            let client = client.clone();
            let issue = async move {
                server.issue(&client).await;
                server.issue(&client).await;
            };
            waiting.extend(self.begin(&mut tasks, issue).await);
        }
        // Who does the work is first in line. It has to wait, or would most often be done before anything is issued.
        let mut held = self.random.below(16);
        while !waiting.is_empty() {
            let first = usize::from(held > 0 && waiting.len() > 1);
            held = held.saturating_sub(1);
            let next = first + self.random.below(waiting.len() - first);
            waiting.swap_remove(next).send(()).unwrap();
            // Nobody else is at work: it is who was let go that waits again, or has done.
            waiting.extend(self.arrivals.recv().await.unwrap());
        }
        tasks.join_all().await;
    }

    /// Begins this work, up to its first call.
    async fn begin(&mut self, tasks: &mut JoinSet<()>, work: impl Future<Output = ()> + Send + 'static) -> Arrival {
        /// Tells that the work is done, or has panicked.
        struct Done(mpsc::UnboundedSender<Arrival>);

        impl Drop for Done {
            fn drop(&mut self) {
                let _ = self.0.send(None);
            }
        }

        let done = Done(self.arrives.clone());
        tasks.spawn(async move {
            let _done = done;
            work.await;
        });
        self.arrivals.recv().await.unwrap()
    }

    /// Deletes the client and clears away what was issued to it. What was handed out, and how many grants are left.
    async fn delete(&mut self, client: &Id) -> (Vec<SystemTime>, usize) {
        let (operator, cascade, target) = (self.operator.clone(), self.cascade.clone(), client.clone());
        let work = async move {
            let permit = Authorization { target: &target, preconditions: Vec::new() };
            let deletion = deletion(operator.tick());
            operator.clients.write_tombstone(&permit, &deletion).await.unwrap();
            // The stream tells of it, once it is done.
            let fate = cascade.remove_grants(&target, &mut 0).await;
            assert_eq!(fate, Ok(Fate::Removed));
        };
        self.play(client, Box::pin(work)).await;
        let handed_out = self.servers.iter().flat_map(Server::take_handed_out).collect();
        (handed_out, self.grants.count(client, 100).await.unwrap())
    }

    /// Deletes the client and restores it. What was handed out, and when it was restored.
    async fn delete_and_restore(&mut self, client: &Id) -> (Vec<SystemTime>, SystemTime) {
        let (operator, target) = (self.operator.clone(), client.clone());
        let restored = Arc::new(Mutex::new(None));
        let done = Arc::clone(&restored);
        let work = async move {
            let permit = Authorization { target: &target, preconditions: Vec::new() };
            let deletion = deletion(operator.tick());
            operator.clients.write_tombstone(&permit, &deletion).await.unwrap();
            let at = operator.tick();
            let restoration = Restoration { at, by: "operator#jane".to_owned() };
            let restored = operator.clients.restore(&target, &restoration).await.unwrap();
            assert!(matches!(restored, RestoreOutcome::Done(_)), "{restored:?}");
            *done.lock().unwrap() = Some(at);
        };
        self.play(client, Box::pin(work)).await;
        let handed_out = self.servers.iter().flat_map(Server::take_handed_out).collect();
        (handed_out, restored.lock().unwrap().unwrap())
    }
}

/// Has each call over the wire wait for its turn.
fn one_call_a_turn(wire: Wire, arrives: &mpsc::UnboundedSender<Arrival>) -> Wire {
    const OPERATIONS: [&str; 6] = ["BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"];
    for operation in OPERATIONS.repeat(10 * Stage::ROUNDS) {
        let arrives = arrives.clone();
        let turn = async move {
            let (go, gone) = oneshot::channel();
            arrives.send(Some(go)).unwrap();
            gone.await.unwrap();
        };
        wire.plan(operation, wire::Fault::meanwhile(turn));
    }
    wire
}

#[tokio::test]
async fn in_64_orders_of_issuing_deleting_and_clearing_away_no_token_and_no_grant_outlives_its_client() {
    let mut stage = Stage::new().await;
    let mut all = 0;
    for round in 0..Stage::ROUNDS {
        let client = id(&format!("client-{round}"));
        let (handed_out, grants) = stage.delete(&client).await;
        let standing = standing(&stage.fixture, client.as_str()).await;
        assert!(handed_out.iter().all(|issued_at| !standing.accepts(*issued_at)), "round {round}");
        assert_eq!(grants, 0, "round {round}");
        all += handed_out.len();
    }
    assert!((1..Stage::ROUNDS * 6).contains(&all), "{all}: some are handed out, and some are not");
}

/// Why the order matters.
#[tokio::test]
async fn a_server_that_asks_before_it_stores_can_store_behind_the_cascades_back() {
    let fixture = with(&oauth(true)).await;
    fixture.create_grants_table().await;
    let config = fixture.sdk.config().to_builder();
    let grants = Grants::open(config.clone(), "grants", "expires_at").await.unwrap();
    let cascade = Cascade::new(fixture.direct(), grants.clone(), now);
    let put = Sdk::from_conf(config.http_client(fixture.wire.clone()).build()).put_item().table_name("grants");
    let put =
        ["client_id", "grant_id"].iter().fold(put, |put, name| put.item(*name, AttributeValue::S("a".to_owned())));

    let read = standing(&fixture, "a").await;
    assert!(note_use(&fixture, "a", &read, now()).await.0);
    let bystander = fixture.clone();
    let deleted_and_cleared_away = async move {
        bury(&bystander, "a", now()).await;
        assert_eq!(cascade.remove_grants(&id("a"), &mut 0).await, Ok(Fate::Removed));
    };
    fixture.wire.plan("PutItem", wire::Fault::meanwhile(deleted_and_cleared_away));
    put.send().await.unwrap();
    assert_eq!(grants.count(&id("a"), 100).await, Ok(1));
}

#[tokio::test]
async fn in_64_orders_of_issuing_deleting_and_restoring_only_what_was_issued_after_the_restoration_counts() {
    let mut stage = Stage::new().await;
    let (mut refused, mut honoured) = (0, 0);
    for round in 0..Stage::ROUNDS {
        let client = id(&format!("client-{round}"));
        let (handed_out, restored) = stage.delete_and_restore(&client).await;
        let standing = standing(&stage.fixture, client.as_str()).await;
        for issued_at in handed_out {
            let counts = standing.accepts(issued_at);
            assert_eq!(counts, issued_at > restored, "round {round}");
            *(if counts { &mut honoured } else { &mut refused }) += 1;
        }
    }
    assert!(refused > 0 && honoured > 0, "{refused} {honoured}");
}
