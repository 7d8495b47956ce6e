//! A long history: callers, owners, operators and faults work on one table at the same time. The test then compares the
//! answers with the records of the deletions.
//!
//! The steps are random, from a seed (`PROPTEST_RNG_SEED`, or a fixed one). The scheduler decides the order in which
//! they take effect. A step that restores a client or removes its tombstone reads the record first, and asserts in its
//! write that the record is still there, so that no record is lost. So do blocks, their ends and revocations. Both steps wait until the request has ended, as
//! people and the time to live do. The module `protocol` tests the other orders.

use crate::support::{self, Fixture, basic, bearer, wire};
use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    operation::update_item::builders::UpdateItemFluentBuilder,
    primitives::Blob,
    types::AttributeValue,
};
use deregister::{
    deletion::{self, NotDeleted},
    dynamodb::{
        ClientsTable,
        admin::{Creation, RevokeOutcome, UnblockOutcome},
        item::{self, Item},
    },
    invocation::Invocation,
    model::{
        ApiClient, Block, Client, Deletion, Digest, Id, Kind, OAuthClient, OWNER, Restoration, Revocation,
        StoredSecret, StoredVersion, Version,
    },
    rule::operator::{self, Refusal},
    snapshot::Record as Recorded,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    env,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};

const APPLICATION: &str = "application";
const WORKERS: u64 = 16;
const STEPS: u32 = 150;

/// Random numbers (splitmix64). A seed gives the same numbers in every version of the dependencies.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) >> 1).unwrap() % end
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// An id, with the clients that have it one after the other. They are all API clients, or all OAuth clients.
struct Succession {
    id: Id,
    api: bool,
    /// Every secret or registration access token that was ever in use.
    secrets: Mutex<Vec<String>>,
}

impl Succession {
    fn new(n: usize) -> Self {
        Self { id: Id::new(format!("client-{n}")).unwrap(), api: n.is_multiple_of(2), secrets: Mutex::default() }
    }

    fn key(&self) -> String {
        format!("client#{}", self.id)
    }

    /// A secret that no client had before.
    fn new_secret(&self) -> String {
        static SECRETS: AtomicU64 = AtomicU64::new(0);
        format!("{}-{}", self.id, SECRETS.fetch_add(1, Relaxed))
    }

    /// The current secret, or, less often, one of the former secrets.
    fn some_secret(&self, random: &mut Random) -> String {
        let secrets = self.secrets.lock().unwrap();
        secrets.iter().rev().cycle().nth(random.below(8).saturating_sub(4)).unwrap().clone()
    }

    /// The path of the secret's digest in the item.
    fn path(&self) -> &'static str {
        if self.api { "client.secrets[0].digest" } else { "client.registration_token_digest" }
    }

    fn client(&self, digest: Digest, owner: bool) -> Client {
        let kind = if self.api {
            let (features, secrets) = (vec![feature(owner)], vec![StoredSecret { digest, expires_at: None }]);
            Kind::Api(ApiClient { app_id: APPLICATION.to_owned(), features, secrets, ..ApiClient::default() })
        } else {
            let registration_token_digest = Some(digest);
            Kind::OAuth(OAuthClient { dynamic: true, registration_token_digest, ..OAuthClient::default() })
        };
        Client { version: StoredVersion::None, ..Client::new(kind) }
    }
}

fn feature(owner: bool) -> String {
    if owner { OWNER } else { "login_client" }.to_owned()
}

fn digest(secret: &str) -> Digest {
    Digest::of(secret)
}

fn digest_of(client: &Client) -> Digest {
    match &client.kind {
        Kind::Api(client) => client.secrets[0].digest,
        Kind::OAuth(client) => client.registration_token_digest.unwrap(),
    }
}

/// A request to delete a client, and its answer.
struct Request {
    channel: &'static str,
    caller: String,
    secret: Digest,
    /// Whether the secret had been replaced before the request.
    late: bool,
    target: String,
    status: u16,
}

/// A deletion, as its tombstone records it.
struct Record {
    key: String,
    client: Client,
    deletion: Deletion,
}

#[derive(Default)]
struct History {
    requests: HashMap<String, Request>,
    records: Vec<Record>,
    /// The digests of secrets that were replaced.
    replaced: HashSet<[u8; 32]>,
    tally: BTreeMap<String, u32>,
}

struct World {
    fixture: Fixture,
    /// The clients table, without the wire.
    clients: ClientsTable,
    successions: Vec<Succession>,
    history: Mutex<History>,
}

impl World {
    async fn new() -> Self {
        let fixture = Fixture::empty().await;
        let clients = fixture.direct();
        let successions = (0..10).map(Succession::new).collect();
        let world = Self { fixture, clients, successions, history: Mutex::default() };
        for (n, succession) in world.successions.iter().enumerate() {
            world.create(succession, n.is_multiple_of(4)).await;
        }
        world
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap()
    }

    fn count(&self, what: &str) {
        *self.history().tally.entry(what.to_owned()).or_default() += 1;
    }

    async fn step(&self, random: &mut Random) {
        let succession = &self.successions[random.below(self.successions.len())];
        match random.below(24) {
            0..12 => self.delete(succession, random).await,
            12 => self.set_owner(succession, random.coin()).await,
            13 => drop(self.clients.set_protected(&succession.id, random.below(4) == 0).await.unwrap()),
            14 => self.rotate(succession).await,
            15..19 => self.restore_or_replace(succession, random).await,
            19 => self.revoke(succession).await,
            20 => self.block(succession).await,
            21 | 22 => self.unblock(succession).await,
            _ => {
                let throttled = || wire::Fault::error(400, "ThrottlingException");
                let fault = [|| wire::Fault::AnswerLost, || wire::Fault::Reset, throttled][random.below(3)];
                self.fixture.wire.plan("UpdateItem", fault());
            }
        }
    }

    /// Deletes a client at the endpoint for its kind. The caller of an API client is any API client; an OAuth client
    /// deletes itself.
    async fn delete(&self, target: &Succession, random: &mut Random) {
        let api: Vec<_> = self.successions.iter().filter(|succession| succession.api).collect();
        let caller = if target.api { api[random.below(api.len())] } else { target };
        let secret = caller.some_secret(random);
        let (channel, path, authorization) = if target.api {
            let path = format!("/config/{APPLICATION}/clients/{}", target.id);
            ("configuration", path, basic((caller.id.as_str(), &secret)))
        } else {
            ("registration", format!("/register/{}", target.id), bearer(&secret))
        };
        let event = support::event("DELETE", &path, "", &[("authorization", &authorization)], "");
        let secret = digest(&secret);
        let late = self.history().replaced.contains(secret.as_bytes());
        let invocation = support::invocation();
        let id = invocation.request_id.clone();
        let status = self.fixture.invoke_in(invocation, &event).await.status().as_u16();
        let request = Request { channel, caller: caller.key(), secret, late, target: target.key(), status };
        self.history().requests.insert(id, request);
        self.count(&status.to_string());
        if status == 204 {
            self.restore_or_replace(target, random).await;
        }
    }

    /// Creates a client under a free id. If an operator blocks the id meanwhile, ends the block.
    async fn create(&self, succession: &Succession, owner: bool) {
        let secret = succession.new_secret();
        let client = succession.client(digest(&secret), owner);
        while self.clients.create_client(&succession.id, &client).await.unwrap() == Creation::Taken {
            let restoration = Restoration { at: support::now(), by: "operator".to_owned() };
            let outcome = self.clients.unblock(&succession.id, &restoration).await.unwrap();
            assert!(
                matches!(outcome, UnblockOutcome::Free | UnblockOutcome::NotBlocked | UnblockOutcome::Changed),
                "the id is free after the tombstone was removed: {outcome:?}",
            );
        }
        succession.secrets.lock().unwrap().push(secret);
    }

    async fn revoke(&self, succession: &Succession) {
        let (by, request_id) = ("operator".to_owned(), support::invocation().request_id);
        let revocation = Revocation { at: support::now(), by, request_id };
        // It gives up if others change the client all the time.
        if matches!(self.clients.revoke(&succession.id, &revocation).await, Ok(RevokeOutcome::Done(_))) {
            self.count("revoked");
        }
    }

    /// Blocks an id, live or not.
    async fn block(&self, succession: &Succession) {
        let (operator, request_id) = ("operator".to_owned(), support::invocation().request_id);
        let block = Block { at: support::now(), by: operator.clone(), request_id: request_id.clone() };
        let request = operator::Request { operator, target: succession.id.clone(), blocks: true };
        let deadline = Instant::now() + Duration::from_mins(1);
        let invocation = Invocation { now: support::now(), deadline, source_ip: None, request_id };
        match deletion::delete(&self.clients, request, &invocation).await.result {
            Ok(()) => self.count("blocked, live"),
            Err(NotDeleted::Refused(Refusal::UnknownClient | Refusal::DeletedClient)) => {
                let outcome = self.clients.block(&succession.id, &block).await.unwrap();
                self.count(&format!("block, not live: {outcome:?}"));
            }
            Err(NotDeleted::Refused(_) | NotDeleted::WriteFailed(_)) => {}
            Err(NotDeleted::ReadFailed(fault)) => panic!("{fault}"),
        }
    }

    async fn unblock(&self, succession: &Succession) {
        let restoration = Restoration { at: support::now(), by: "operator".to_owned() };
        match self.clients.unblock(&succession.id, &restoration).await.unwrap() {
            UnblockOutcome::Restored(_) => self.count("unblocked, live"),
            UnblockOutcome::Deleted(_) => self.count("unblocked, deleted"),
            // `create` is about to use the id.
            UnblockOutcome::Free => self.count("unblocked, free"),
            UnblockOutcome::NotBlocked | UnblockOutcome::Changed => {}
        }
    }

    /// An update of the item, without the wire.
    fn update(&self, succession: &Succession) -> UpdateItemFluentBuilder {
        self.fixture.sdk.update_item().table_name(&self.fixture.table).key("pk", AttributeValue::S(succession.key()))
    }

    async fn set_owner(&self, succession: &Succession, owner: bool) {
        let update = self.update(succession).update_expression("SET client.features[0] = :feature");
        let update = update.condition_expression("attribute_exists(client.features)");
        done(&update.expression_attribute_values(":feature", AttributeValue::S(feature(owner))).send().await);
    }

    /// Replaces the secret.
    async fn rotate(&self, succession: &Succession) {
        let Some(item) = self.fixture.item(&succession.key()).await else { return };
        if !item.contains_key("client") {
            return;
        }
        let (old, new) = (digest_of(&client_of(item)), succession.new_secret());
        let binary = |digest: Digest| AttributeValue::B(Blob::new(digest.as_bytes()));
        let update = self.update(succession).update_expression(format!("SET {} = :new", succession.path()));
        let update = update.condition_expression(format!("{} = :old", succession.path()));
        let update = update.expression_attribute_values(":old", binary(old));
        if done(&update.expression_attribute_values(":new", binary(digest(&new))).send().await) {
            succession.secrets.lock().unwrap().push(new);
            self.history().replaced.insert(*old.as_bytes());
            self.count("rotated");
        }
    }

    /// The record of a deletion, if its request has ended and the id is not blocked.
    async fn record(&self, succession: &Succession) -> Option<Record> {
        let mut item = self.fixture.item(&succession.key()).await?;
        let tombstone = item.remove("tombstone")?;
        let Recorded::Deleted(deletion) = item::read(item) else { panic!("not a tombstone") };
        let client = client_of(HashMap::from([("client".to_owned(), tombstone)]));
        let has_ended = self.history().requests.contains_key(&deletion.request_id);
        (has_ended && deletion.blocked.is_none()).then_some(Record { key: succession.key(), client, deletion })
    }

    /// Restores a deleted client, or removes its tombstone, as the time to live does, and creates another client with
    /// its id.
    async fn restore_or_replace(&self, succession: &Succession, random: &mut Random) {
        const UNCHANGED: &str = "attribute_exists(tombstone) AND deleted.request_id = :request \
                                 AND attribute_not_exists(deleted.blocked)";
        let Some(record) = self.record(succession).await else { return };
        let request = AttributeValue::S(record.deletion.request_id.clone());
        let replaced = digest_of(&record.client);
        if random.coin() {
            let restore = "SET client = :client REMOVE tombstone, deleted, expires_at";
            let update = self.update(succession).update_expression(restore).condition_expression(UNCHANGED);
            let version = Version(record.client.version.version().map_or(0, |version| version.0) + 1);
            let client = Client { version: version.into(), ..record.client.clone() };
            let client = item::of_client(&Id::new("any").unwrap(), &client).remove("client").unwrap();
            let update = update.expression_attribute_values(":client", client);
            if done(&update.expression_attribute_values(":request", request).send().await) {
                self.history().records.push(record);
                self.count("restored");
            }
        } else {
            let delete = self
                .fixture
                .sdk
                .delete_item()
                .table_name(&self.fixture.table)
                .key("pk", AttributeValue::S(succession.key()));
            let delete = delete.condition_expression(UNCHANGED).expression_attribute_values(":request", request);
            if done(&delete.send().await) {
                self.history().records.push(record);
                self.history().replaced.insert(*replaced.as_bytes());
                self.create(succession, random.coin()).await;
                self.count("replaced");
            }
        }
    }
}

/// The live client in an item.
fn client_of(item: Item) -> Client {
    let Recorded::Client(client) = item::read(item) else { panic!("not a client") };
    client
}

/// Whether the write took effect. Only its condition may prevent that.
fn done<T, E: ProvideErrorMetadata>(written: &Result<T, SdkError<E>>) -> bool {
    let code = written.as_ref().err().map(|error| error.code().unwrap_or("no code"));
    assert!(matches!(code, None | Some("ConditionalCheckFailedException")), "{code:?}");
    written.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_and_records_agree_and_no_record_breaks_a_rule() {
    let seed = env::var("PROPTEST_RNG_SEED").map_or(20_261_122, |seed| seed.parse().unwrap());
    println!("PROPTEST_RNG_SEED={seed}");
    let world = Arc::new(World::new().await);
    let mut workers = JoinSet::new();
    for worker in 0..WORKERS {
        let (world, mut random) = (Arc::clone(&world), Random(seed ^ worker << 32));
        workers.spawn(async move {
            for _ in 0..STEPS {
                world.step(&mut random).await;
            }
        });
    }
    workers.join_all().await;
    for succession in &world.successions {
        world.unblock(succession).await;
        let last = world.record(succession).await;
        world.history().records.extend(last);
    }

    let history = world.history();
    println!("{:?}, {} records", history.tally, history.records.len());
    let mut deletions: HashMap<&str, u32> = HashMap::new();
    for Record { key, client, deletion } in &history.records {
        let Request { channel, caller, secret, target, .. } = &history.requests[&deletion.request_id];
        *deletions.entry(&deletion.request_id).or_default() += 1;
        assert_eq!([key, &deletion.by, &deletion.via], [target, caller, *channel], "the record names another request");
        assert!(!client.protected, "a protected client was deleted: {deletion:?}");
        match &client.kind {
            Kind::Api(client) => assert!(!client.is_owner(), "an owner was deleted: {deletion:?}"),
            Kind::OAuth(_) => assert_eq!(digest_of(client), *secret, "another's token deleted it: {deletion:?}"),
        }
    }
    for (id, Request { status, late, .. }) in &history.requests {
        match (status, deletions.get(id.as_str()).copied().unwrap_or_default()) {
            (204, 1) | (401 | 403 | 404, 0) | (503, 0 | 1) => {}
            (status, deletions) => panic!("the answer to {id} is {status}, and it has {deletions} records"),
        }
        assert!(!*late || *status == 401, "the answer to {id} with a replaced secret is {status}");
    }
    for what in ["204", "401", "403", "404", "restored", "rotated", "replaced", "revoked"].into_iter().chain([
        "blocked, live",
        "block, not live: Done",
        "unblocked, live",
        "unblocked, deleted",
    ]) {
        assert!(history.tally.contains_key(what), "{what} never happened");
    }
}
