//! A long history: callers, owners, operators and accidents at work on one table at the same time, judged afterwards by
//! the answers that were given and the records that the deletions left.
//!
//! What is done is random, from a seed (`PROPTEST_RNG_SEED`, or always the same); the order in which it takes effect is up
//! to the scheduler. Whoever restores a client or removes its tombstone reads the record first, and writes on condition
//! that it still stands, so that no record gets lost. Both wait until the request has ended, as people and the time to
//! live do; `tests/model.rs` has the rest.

use crate::support::{Fixture, basic, bearer, wire::Fault};
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

/// Random numbers (splitmix64), so that a seed means the same for ever.
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

/// An id, and who goes by it one after the other: always API clients, or always OAuth clients.
struct Line {
    id: Id,
    api: bool,
    /// Every secret or registration access token that was ever in use.
    secrets: Mutex<Vec<String>>,
}

impl Line {
    fn new(n: usize) -> Self {
        Self { id: Id::new(format!("client-{n}")).unwrap(), api: n.is_multiple_of(2), secrets: Mutex::default() }
    }

    fn key(&self) -> String {
        format!("client#{}", self.id)
    }

    /// A secret that nobody ever had.
    fn new_secret(&self) -> String {
        static SECRETS: AtomicU64 = AtomicU64::new(0);
        format!("{}-{}", self.id, SECRETS.fetch_add(1, Relaxed))
    }

    /// The secret in use, or, less often, one of the last before it.
    fn some_secret(&self, random: &mut Random) -> String {
        let secrets = self.secrets.lock().unwrap();
        secrets.iter().rev().cycle().nth(random.below(8).saturating_sub(4)).unwrap().clone()
    }

    /// Where the secret's digest stands in the item.
    fn path(&self) -> &'static str {
        if self.api { "client.secrets[0].digest" } else { "client.registration_token_digest" }
    }

    fn client(&self, digest: Digest, owner: bool) -> Client {
        let kind = if self.api {
            let (features, secrets) = (vec![feature(owner)], vec![StoredSecret { digest, expires_at: None }]);
            Kind::Api(ApiClient { app_id: APPLICATION.to_owned(), features, secrets, ..ApiClient::default() })
        } else {
            let (service_id, registration_token_digest) = (Id::new("service").unwrap(), Some(digest));
            let metadata = Metadata::default();
            Kind::OAuth(OAuthClient { service_id, dynamic: true, registration_token_digest, metadata })
        };
        Client { kind, protected: false, version: None, idle: None }
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

/// A request to delete, and its answer.
struct Request {
    door: &'static str,
    caller: String,
    secret: Digest,
    /// Whether the secret was nobody's any more when the request was made.
    late: bool,
    target: String,
    status: u16,
}

/// A deletion, as its tombstone tells of it.
struct Record {
    key: String,
    client: Client,
    deletion: Deletion,
}

#[derive(Default)]
struct History {
    requests: HashMap<String, Request>,
    records: Vec<Record>,
    /// The digests of secrets that were somebody's and are nobody's any more.
    spent: HashSet<[u8; 32]>,
    tally: BTreeMap<String, u32>,
}

struct World {
    fixture: Fixture,
    /// Past the wire.
    store: ClientsTable,
    lines: Vec<Line>,
    history: Mutex<History>,
}

impl World {
    async fn new() -> Self {
        let fixture = Fixture::empty().await;
        let store = fixture.direct();
        let world = Self { fixture, store, lines: (0..10).map(Line::new).collect(), history: Mutex::default() };
        for (n, line) in world.lines.iter().enumerate() {
            world.create(line, n.is_multiple_of(4)).await;
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
        let line = &self.lines[random.below(self.lines.len())];
        match random.below(20) {
            0..12 => self.delete(line, random).await,
            12 => self.set_owner(line, random.coin()).await,
            13 => drop(self.store.set_protected(&line.id, random.below(4) == 0).await.unwrap()),
            14 => self.rotate(line).await,
            15..19 => self.undo(line, random).await,
            _ => {
                let throttled = || wire::Fault::error(400, "ThrottlingException");
                let fault = [|| wire::Fault::AnswerLost, || wire::Fault::Reset, throttled][random.below(3)];
                self.fixture.wire.plan("UpdateItem", fault());
            }
        }
    }

    /// Deletes a client at the door for its kind: an API client in the name of any other, an OAuth client in its own.
    async fn delete(&self, target: &Line, random: &mut Random) {
        let api: Vec<_> = self.lines.iter().filter(|line| line.api).collect();
        let caller = if target.api { api[random.below(api.len())] } else { target };
        let secret = caller.some_secret(random);
        let (door, path, authorization) = if target.api {
            let path = format!("/config/{APPLICATION}/clients/{}", target.id);
            ("configuration", path, basic((caller.id.as_str(), &secret)))
        } else {
            ("registration", format!("/register/{}", target.id), bearer(&secret))
        };
        let event = support::event("DELETE", &path, "", &[("authorization", &authorization)], "");
        let secret = digest(&secret);
        let late = self.history().spent.contains(secret.as_bytes());
        let invocation = support::invocation();
        let id = invocation.request_id.clone();
        let status = self.fixture.invoke_in(invocation, &event).await.status().as_u16();
        let request = Request { door, caller: caller.key(), secret, late, target: target.key(), status };
        self.history().requests.insert(id, request);
        self.count(&status.to_string());
        if status == 204 {
            self.undo(target, random).await;
        }
    }

    async fn create(&self, line: &Line, owner: bool) {
        let secret = line.new_secret();
        let created = self.store.create_client(&line.id, &line.client(digest(&secret), owner)).await.unwrap();
        assert_eq!(created, Creation::Done, "who removed the tombstone has the id to give away");
        line.secrets.lock().unwrap().push(secret);
    }

    /// An update of the item, past the wire.
    fn update(&self, line: &Line) -> UpdateItemFluentBuilder {
        self.fixture.sdk.update_item().table_name("clients").key("pk", AttributeValue::S(line.key()))
    }

    async fn set_owner(&self, line: &Line, owner: bool) {
        let update = self.update(line).update_expression("SET client.features[0] = :feature");
        let update = update.condition_expression("attribute_exists(client.features)");
        done(&update.expression_attribute_values(":feature", AttributeValue::S(feature(owner))).send().await);
    }

    /// Replaces the secret.
    async fn rotate(&self, line: &Line) {
        let Some(mut item) = self.fixture.item(&line.key()).await else { return };
        let Some(client) = item.remove("client") else { return };
        let (old, new) = (digest_of(&from_attribute_value(client).unwrap()), line.new_secret());
        let binary = |digest: Digest| AttributeValue::B(Blob::new(digest.as_bytes()));
        let update = self.update(line).update_expression(format!("SET {} = :new", line.path()));
        let update = update.condition_expression(format!("{} = :old", line.path()));
        let update = update.expression_attribute_values(":old", binary(old));
        if done(&update.expression_attribute_values(":new", binary(digest(&new))).send().await) {
            line.secrets.lock().unwrap().push(new);
            self.history().spent.insert(*old.as_bytes());
            self.count("rotated");
        }
    }

    /// The record of a deletion whose request has ended.
    async fn record(&self, line: &Line) -> Option<Record> {
        let mut item = self.fixture.item(&line.key()).await?;
        let client = from_attribute_value(item.remove("tombstone")?).unwrap();
        let deletion: Deletion = from_attribute_value(item.remove("deleted")?).unwrap();
        let has_ended = self.history().requests.contains_key(&deletion.request_id);
        has_ended.then_some(Record { key: line.key(), client, deletion })
    }

    /// Restores a deleted client; or removes its tombstone, as the time to live does, and creates another client in its
    /// place.
    async fn undo(&self, line: &Line, random: &mut Random) {
        const STANDS: &str = "attribute_exists(tombstone) AND deleted.request_id = :request";
        let Some(record) = self.record(line).await else { return };
        let request = AttributeValue::S(record.deletion.request_id.clone());
        let spent = digest_of(&record.client);
        if random.coin() {
            let restore = "SET client = tombstone REMOVE tombstone, deleted, expires_at";
            let update = self.update(line).update_expression(restore).condition_expression(STANDS);
            if done(&update.expression_attribute_values(":request", request).send().await) {
                self.history().records.push(record);
                self.count("restored");
            }
        } else {
            let delete = self.fixture.sdk.delete_item().table_name("clients").key("pk", AttributeValue::S(line.key()));
            let delete = delete.condition_expression(STANDS).expression_attribute_values(":request", request);
            if done(&delete.send().await) {
                self.history().records.push(record);
                self.history().spent.insert(*spent.as_bytes());
                self.create(line, random.coin()).await;
                self.count("given away");
            }
        }
    }
}

/// Whether the write took effect. Nothing but its condition may have prevented that.
fn done<T, E: ProvideErrorMetadata>(written: &Result<T, SdkError<E>>) -> bool {
    let code = written.as_ref().err().map(|error| error.code().unwrap_or("no code"));
    assert!(matches!(code, None | Some("ConditionalCheckFailedException")), "{code:?}");
    written.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_long_history_answers_and_records_agree_and_no_record_breaks_a_rule() {
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
    for line in &world.lines {
        let last = world.record(line).await;
        world.history().records.extend(last);
    }

    let history = world.history();
    println!("{:?}, {} records", history.tally, history.records.len());
    let mut deletions: HashMap<&str, u32> = HashMap::new();
    for Record { key, client, deletion } in &history.records {
        let Request { door, caller, secret, target, .. } = &history.requests[&deletion.request_id];
        *deletions.entry(&deletion.request_id).or_default() += 1;
        assert_eq!([key, &deletion.by, &deletion.via], [target, caller, *door], "the record says who deleted what");
        assert!(!client.protected, "a protected client was deleted: {deletion:?}");
        match &client.kind {
            Kind::Api(client) => assert!(!client.is_owner(), "an owner was deleted: {deletion:?}"),
            Kind::OAuth(_) => assert_eq!(digest_of(client), *secret, "another's token deleted it: {deletion:?}"),
        }
    }
    for (id, Request { status, late, .. }) in &history.requests {
        match (status, deletions.get(id.as_str()).copied().unwrap_or_default()) {
            (204, 1) | (401 | 403 | 404, 0) | (503, 0 | 1) => {}
            (status, deletions) => panic!("{id} was told {status}, and there are {deletions} records of it"),
        }
        assert!(!*late || *status == 401, "{id} came with a spent secret, and was told {status}");
    }
    for what in ["204", "401", "403", "404", "restored", "rotated", "given away"] {
        assert!(history.tally.contains_key(what), "{what} never happened");
    }
}
