//! A long history: callers, clients, operators and faults work on one table at the same time. Afterwards the answers and the
//! records of the deletions are checked against each other.
//!
//! The steps are random, with a fixed seed unless `PROPTEST_RNG_SEED` has another one. The scheduler chooses the order in which
//! they take effect. A restoration reads the record of the deletion first, and so does the removal of a tombstone. Both assert
//! that record in their write, so that no record is lost. Both wait until the request of the deletion has ended, as operators
//! and the time to live do. `protocol` checks what follows without that wait.

use crate::support::{Fixture, basic, bearer, event, invocation, wire::Fault};
use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    operation::update_item::builders::UpdateItemFluentBuilder,
    primitives::Blob,
    types::AttributeValue,
};
use deregister::{
    dynamodb::{ClientsTable, admin::Creation},
    model::{ApiClient, Client, Deletion, Digest, Id, Kind, Metadata, OAuthClient, OWNER, StoredSecret},
};
use serde_dynamo::aws_sdk_dynamodb_1::from_attribute_value;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    env,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};
use tokio::task::JoinSet;

const APPLICATION: &str = "application";
const WORKERS: u64 = 16;
const STEPS: u32 = 150;
const SEED: u64 = 20_261_122;

/// A generator of random numbers (splitmix64). Each worker has one, so that its steps depend on the seed alone.
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

/// An id and the clients that have it, one after the other: all API clients, or all OAuth clients.
struct Slot {
    id: Id,
    is_api: bool,
    /// Every secret or registration access token that was ever valid.
    secrets: Mutex<Vec<String>>,
}

impl Slot {
    fn new(n: usize) -> Self {
        Self { id: Id::new(format!("client-{n}")).unwrap(), is_api: n.is_multiple_of(2), secrets: Mutex::default() }
    }

    fn key(&self) -> String {
        format!("client#{}", self.id)
    }

    /// A secret that was never used.
    fn new_secret(&self) -> String {
        static SECRETS: AtomicU64 = AtomicU64::new(0);
        format!("{}-{}", self.id, SECRETS.fetch_add(1, Relaxed))
    }

    /// The valid secret, or, less often, one of the last before it.
    fn some_secret(&self, random: &mut Random) -> String {
        let secrets = self.secrets.lock().unwrap();
        secrets.iter().rev().cycle().nth(random.below(8).saturating_sub(4)).unwrap().clone()
    }

    /// The path of the digest in the item.
    fn digest_path(&self) -> &'static str {
        if self.is_api { "client.secrets[0].digest" } else { "client.registration_token_digest" }
    }

    fn client(&self, digest: Digest, is_owner: bool) -> Client {
        let kind = if self.is_api {
            let (features, secrets) = (vec![feature(is_owner)], vec![StoredSecret { digest, expires_at: None }]);
            Kind::Api(ApiClient { app_id: APPLICATION.to_owned(), features, secrets, ..ApiClient::default() })
        } else {
            let (service_id, registration_token_digest) = (Id::new("service").unwrap(), Some(digest));
            let metadata = Metadata::default();
            Kind::OAuth(OAuthClient { service_id, dynamic: true, registration_token_digest, metadata })
        };
        Client { kind, protected: false, version: None, idle: None }
    }
}

fn feature(is_owner: bool) -> String {
    if is_owner { OWNER } else { "login_client" }.to_owned()
}

fn digest_of(client: &Client) -> Digest {
    match &client.kind {
        Kind::Api(client) => client.secrets[0].digest,
        Kind::OAuth(client) => client.registration_token_digest.unwrap(),
    }
}

/// A request to delete, and the status of its answer.
struct Request {
    endpoint: &'static str,
    caller: String,
    secret: Digest,
    /// Whether no client had the secret any more when the request was sent.
    is_spent: bool,
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
    /// The digests of secrets that a client had and that no client has any more.
    spent: HashSet<[u8; 32]>,
    counts: BTreeMap<String, u32>,
}

struct World {
    fixture: Fixture,
    /// The clients table, without the wire.
    clients: ClientsTable,
    slots: Vec<Slot>,
    history: Mutex<History>,
}

impl World {
    async fn new() -> Self {
        let fixture = Fixture::empty().await;
        let clients = fixture.direct();
        let world = Self { fixture, clients, slots: (0..10).map(Slot::new).collect(), history: Mutex::default() };
        for (n, slot) in world.slots.iter().enumerate() {
            world.create(slot, n.is_multiple_of(4)).await;
        }
        world
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap()
    }

    fn count(&self, what: &str) {
        *self.history().counts.entry(what.to_owned()).or_default() += 1;
    }

    async fn step(&self, random: &mut Random) {
        let slot = &self.slots[random.below(self.slots.len())];
        match random.below(20) {
            0..12 => self.delete(slot, random).await,
            12 => self.set_owner(slot, random.coin()).await,
            13 => drop(self.clients.set_protected(&slot.id, random.below(4) == 0).await.unwrap()),
            14 => self.rotate(slot).await,
            15..19 => self.restore_or_replace(slot, random).await,
            _ => {
                let throttled = || Fault::error(400, "ThrottlingException");
                let fault = [|| Fault::AnswerLost, || Fault::Reset, throttled][random.below(3)];
                self.fixture.wire.plan("UpdateItem", fault());
            }
        }
    }

    /// Deletes a client at an endpoint. Any API client is the caller for an API client. An OAuth client deletes itself.
    async fn delete(&self, target: &Slot, random: &mut Random) {
        let api: Vec<_> = self.slots.iter().filter(|slot| slot.is_api).collect();
        let caller = if target.is_api { api[random.below(api.len())] } else { target };
        let secret = caller.some_secret(random);
        let (endpoint, path, authorization) = if target.is_api {
            let path = format!("/config/{APPLICATION}/clients/{}", target.id);
            ("configuration", path, basic((caller.id.as_str(), &secret)))
        } else {
            ("registration", format!("/register/{}", target.id), bearer(&secret))
        };
        let event = event("DELETE", &path, "", &[("authorization", &authorization)], "");
        let secret = Digest::of(&secret);
        let is_spent = self.history().spent.contains(secret.as_bytes());
        let invocation = invocation();
        let id = invocation.request_id.clone();
        let status = self.fixture.invoke_in(invocation, &event).await.status().as_u16();
        let request = Request { endpoint, caller: caller.key(), secret, is_spent, target: target.key(), status };
        self.history().requests.insert(id, request);
        self.count(&status.to_string());
        if status == 204 {
            self.restore_or_replace(target, random).await;
        }
    }

    async fn create(&self, slot: &Slot, is_owner: bool) {
        let secret = slot.new_secret();
        let client = slot.client(Digest::of(&secret), is_owner);
        let created = self.clients.create_client(&slot.id, &client).await;
        assert_eq!(created, Ok(Creation::Done), "only the worker that removed the tombstone creates the next client");
        slot.secrets.lock().unwrap().push(secret);
    }

    /// An update of the item, without the wire.
    fn update(&self, slot: &Slot) -> UpdateItemFluentBuilder {
        let key = AttributeValue::S(slot.key());
        self.fixture.sdk.update_item().table_name(&self.fixture.table).key("pk", key)
    }

    async fn set_owner(&self, slot: &Slot, is_owner: bool) {
        let update = self.update(slot).update_expression("SET client.features[0] = :feature");
        let update = update.condition_expression("attribute_exists(client.features)");
        took_effect(&update.expression_attribute_values(":feature", AttributeValue::S(feature(is_owner))).send().await);
    }

    /// Replaces the secret.
    async fn rotate(&self, slot: &Slot) {
        let Some(mut item) = self.fixture.item(&slot.key()).await else { return };
        let Some(client) = item.remove("client") else { return };
        let (old, new) = (digest_of(&from_attribute_value(client).unwrap()), slot.new_secret());
        let binary = |digest: Digest| AttributeValue::B(Blob::new(digest.as_bytes()));
        let update = self.update(slot).update_expression(format!("SET {} = :new", slot.digest_path()));
        let update = update.condition_expression(format!("{} = :old", slot.digest_path()));
        let update = update.expression_attribute_values(":old", binary(old));
        if took_effect(&update.expression_attribute_values(":new", binary(Digest::of(&new))).send().await) {
            slot.secrets.lock().unwrap().push(new);
            self.history().spent.insert(*old.as_bytes());
            self.count("rotated");
        }
    }

    /// The record of the current deletion, if its request has ended.
    async fn record(&self, slot: &Slot) -> Option<Record> {
        let mut item = self.fixture.item(&slot.key()).await?;
        let client = from_attribute_value(item.remove("tombstone")?).unwrap();
        let deletion: Deletion = from_attribute_value(item.remove("deleted")?).unwrap();
        let has_ended = self.history().requests.contains_key(&deletion.request_id);
        has_ended.then_some(Record { key: slot.key(), client, deletion })
    }

    /// Restores a deleted client, or removes its tombstone, as the time to live does, and creates another client.
    async fn restore_or_replace(&self, slot: &Slot, random: &mut Random) {
        const SAME_RECORD: &str = "attribute_exists(tombstone) AND deleted.request_id = :request";
        let Some(record) = self.record(slot).await else { return };
        let request = AttributeValue::S(record.deletion.request_id.clone());
        let spent = digest_of(&record.client);
        if random.coin() {
            let restore = "SET client = tombstone REMOVE tombstone, deleted, expires_at";
            let update = self.update(slot).update_expression(restore).condition_expression(SAME_RECORD);
            if took_effect(&update.expression_attribute_values(":request", request).send().await) {
                self.history().records.push(record);
                self.count("restored");
            }
        } else {
            let delete = self.fixture.sdk.delete_item().table_name(&self.fixture.table);
            let delete = delete.key("pk", AttributeValue::S(slot.key())).condition_expression(SAME_RECORD);
            if took_effect(&delete.expression_attribute_values(":request", request).send().await) {
                self.history().records.push(record);
                self.history().spent.insert(*spent.as_bytes());
                self.create(slot, random.coin()).await;
                self.count("replaced");
            }
        }
    }
}

/// Whether the write took effect. Only its condition may have prevented that.
fn took_effect<T, E: ProvideErrorMetadata>(written: &Result<T, SdkError<E>>) -> bool {
    let code = written.as_ref().err().map(|error| error.code().unwrap_or("no code"));
    assert!(matches!(code, None | Some("ConditionalCheckFailedException")), "{code:?}");
    written.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answers_and_the_records_agree_and_no_deletion_breaks_a_rule() {
    let seed = env::var("PROPTEST_RNG_SEED").map_or(SEED, |seed| seed.parse().unwrap());
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
    for slot in &world.slots {
        let last = world.record(slot).await;
        world.history().records.extend(last);
    }

    let history = world.history();
    println!("{:?}, {} records", history.counts, history.records.len());
    let mut deletions: HashMap<&str, u32> = HashMap::new();
    for Record { key, client, deletion } in &history.records {
        let Request { endpoint, caller, secret, target, .. } = &history.requests[&deletion.request_id];
        *deletions.entry(&deletion.request_id).or_default() += 1;
        assert_eq!([key, &deletion.by, &deletion.via], [target, caller, *endpoint], "the record names its request");
        assert!(!client.protected, "a protected client was deleted: {deletion:?}");
        match &client.kind {
            Kind::Api(client) => assert!(!client.is_owner(), "an owner was deleted: {deletion:?}"),
            Kind::OAuth(_) => assert_eq!(digest_of(client), *secret, "another token deleted the client: {deletion:?}"),
        }
    }
    for (id, Request { status, is_spent, .. }) in &history.requests {
        match (status, deletions.get(id.as_str()).copied().unwrap_or_default()) {
            (204, 1) | (401 | 403 | 404, 0) | (503, 0 | 1) => {}
            (status, deletions) => panic!("the answer to {id} is {status}, and there are {deletions} records of it"),
        }
        assert!(!*is_spent || *status == 401, "{id} presented a spent secret, and the answer is {status}");
    }
    for what in ["204", "401", "403", "404", "restored", "rotated", "replaced"] {
        assert!(history.counts.contains_key(what), "{what} did not happen");
    }
}
