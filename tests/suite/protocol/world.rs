//! The function over the embedded database, which a trace of the model drives step by step.

use super::{
    item::{self, APPLICATION, BLOCK, Blocked, ClientItem, Item, Tombstone, policy},
    model::{Action, Answer, CONFIGURATION, Delivery, Protocol, REGISTRATION, Request, SWEEP, State},
    script::{Call, Reply, Script, carry_out},
};
use crate::support::{RETENTION, basic, bearer, endpoints, event, log::Captured, now};
use aws_sdk_dynamodb::{
    Client as Sdk,
    config::{
        AsyncSleep, BehaviorVersion, Builder, Config, Credentials, Region, Sleep, StalledStreamProtectionConfig,
        retry::{RetryConfig, RetryPartition, TokenBucket},
    },
    operation::update_item::builders::UpdateItemFluentBuilder,
    types::AttributeValue,
};
use deregister::{
    deletion::{self, NotDeleted},
    dynamodb::{
        ClientsTable,
        admin::{BlockOutcome, Creation, RestoreOutcome, RevokeOutcome, UnblockOutcome},
        item as table_item,
    },
    functions::{Delete, Environment},
    invocation::Invocation,
    model::{Block, Digest, IdlePartition, Restoration, Revocation},
    rule::{operator, sweep},
    snapshot::Record,
    store::{ClientStatuses, IdleClients},
};
use dynoxide::Database;
use lambda_http::{LambdaEvent, lambda_runtime::Context};
use serde_json::{Value, json};
use std::{
    mem,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    runtime::{self, Runtime},
    task::JoinHandle,
    time::Instant,
};

const TABLE: &str = "clients";
const DELETED: &str = "deleted";
const UNAVAILABLE: &str = "unavailable";

/// The function and the table. One world runs many traces, one after the other.
pub struct World {
    database: Database,
    sdk: Sdk,
    clients: ClientsTable,
    slots: Vec<Slot>,
    log: Captured,
    runtime: Arc<Runtime>,
}

/// What carries out one request of a trace.
struct Slot {
    script: Script,
    clients: ClientsTable,
    function: Delete<ClientsTable>,
    running: Option<JoinHandle<Ended>>,
    /// The answers to the parts of a read, key by key.
    parts: Vec<Value>,
    /// An attempt that its sender gave up and that may still arrive.
    delayed: Option<Call>,
    /// The answer, or the reason of a refusal.
    answer: Option<String>,
}

/// How a request ended: the status of the answer, or the result of a sweep.
enum Ended {
    Status(u16),
    Sweep(String),
}

impl World {
    /// A world in which each write has this many attempts.
    pub fn new(attempts: u8) -> Self {
        let runtime = runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let database = Database::memory().unwrap();
        let config = |script: Script| {
            let partition = RetryPartition::custom("traces").token_bucket(TokenBucket::unlimited()).build();
            Config::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .endpoint_url("http://127.0.0.1:1")
                .region(Region::new("eu-central-1"))
                .credentials_provider(Credentials::for_tests())
                .retry_partition(partition)
                .retry_config(RetryConfig::standard().with_max_attempts(attempts.into()))
                .sleep_impl(NoWait)
                .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
                .http_client(script)
        };
        let table = |config: Builder| ClientsTable::new(config, TABLE, RETENTION);
        let slot = || {
            let script = Script::stepwise(&database);
            let clients = table(config(script.clone()));
            let function = Delete::new(clients.clone(), endpoints(), now, Environment::default());
            Slot { script, clients, function, running: None, parts: Vec::new(), delayed: None, answer: None }
        };
        let slots = (0..3).map(|_| slot()).collect();
        let sdk = Sdk::from_conf(config(Script::direct(&database)).build());
        let definition = json!({
            "TableName": TABLE,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                { "AttributeName": "pk", "AttributeType": "S" },
                { "AttributeName": "idle", "AttributeType": "S" },
                { "AttributeName": "idle_since", "AttributeType": "N" },
            ],
            "KeySchema": [{ "AttributeName": "pk", "KeyType": "HASH" }],
            "GlobalSecondaryIndexes": [{
                "IndexName": "idle",
                "KeySchema": [
                    { "AttributeName": "idle", "KeyType": "HASH" },
                    { "AttributeName": "idle_since", "KeyType": "RANGE" },
                ],
                "Projection": { "ProjectionType": "KEYS_ONLY" },
            }],
        });
        database.create_table(serde_json::from_value(definition).unwrap()).unwrap();
        let clients = table(config(Script::direct(&database)));
        Self { clients, sdk, slots, log: Captured::at("INFO"), database, runtime: Arc::new(runtime) }
    }

    /// Runs a trace. After each step, the answers and the table must be those of the model. The error names the
    /// difference.
    pub fn run(&mut self, protocol: &Protocol, trace: &[(Action, State)]) -> Result<(), String> {
        Arc::clone(&self.runtime).block_on(self.run_steps(protocol, trace))
    }

    async fn run_steps(&mut self, protocol: &Protocol, trace: &[(Action, State)]) -> Result<(), String> {
        for number in 0..protocol.clients.len() {
            self.carry_out("DeleteItem", json!({ "TableName": TABLE, "Key": key(number) }));
            let created = self.clients.create_client(&item::id(number), &protocol.clients[number].client()).await;
            assert_eq!(created, Ok(Creation::Done));
        }
        for slot in &mut self.slots {
            if let Some(running) = slot.running.take() {
                running.abort();
                // The task drops its attempt.
                let _ = running.await;
            }
            (slot.parts, slot.delayed, slot.answer) = (Vec::new(), None, None);
        }
        for (step, (action, expected)) in trace.iter().enumerate() {
            self.step(protocol, *action, expected).await;
            self.compare(protocol, expected).map_err(|difference| format!("step {step}, {action:?}: {difference}"))?;
        }
        Ok(())
    }

    async fn step(&mut self, protocol: &Protocol, action: Action, expected: &State) {
        match action {
            Action::Read { request, item } => self.read(protocol, request, item).await,
            Action::Attempt { request, delivery } => {
                let call = self.slots[request].script.waiting().expect("a write that waits");
                assert_eq!(call.operation, "UpdateItem");
                let carried_out = delivery.arrives().then(|| carry_out(&self.database, &call));
                let slot = &mut self.slots[request];
                let reply = match (delivery, carried_out) {
                    (Delivery::Answered, Some(reply)) => reply,
                    (Delivery::ServerError | Delivery::DelayedAfterServerError, _) => Reply::server_error(),
                    (Delivery::Delayed, _) => Reply::TimeOut,
                    _ => Reply::Reset,
                };
                if matches!(delivery, Delivery::Delayed | Delivery::DelayedAfterServerError) {
                    slot.delayed = Some(call);
                }
                slot.script.reply(reply);
                self.settle(request).await;
            }
            Action::ArriveLate { request } => {
                let call = self.slots[request].delayed.take().expect("a delayed attempt");
                carry_out(&self.database, &call);
            }
            Action::Change { item, into } => self.change(item, into, expected).await,
        }
    }

    /// Reads an item for a request. The database reads the keys of one call one after the other.
    async fn read(&mut self, protocol: &Protocol, request: usize, item: usize) {
        if self.slots[request].running.is_none() && !self.start(protocol, request).await {
            return;
        }
        let call = self.slots[request].script.waiting().expect("a read that waits");
        assert_eq!(call.operation, "BatchGetItem");
        let keys = call.body["RequestItems"][TABLE]["Keys"].as_array().unwrap().clone();
        let mut one = call.clone();
        one.body["RequestItems"][TABLE]["Keys"] = json!([key(item)]);
        let Reply::Answer(200, answer) = carry_out(&self.database, &one) else { panic!("a read fails") };
        let slot = &mut self.slots[request];
        slot.parts.push(serde_json::from_str(&answer).unwrap());
        if slot.parts.len() == keys.len() {
            let items = mem::take(&mut slot.parts).into_iter();
            let items: Vec<_> = items.flat_map(|part| part["Responses"][TABLE].as_array().unwrap().clone()).collect();
            let all = json!({ "Responses": { TABLE: items }, "UnprocessedKeys": {} });
            slot.script.reply(Reply::Answer(200, all.to_string()));
            self.settle(request).await;
        }
    }

    /// Starts a request. Returns whether it reads: a sweep does only if the index lists its target.
    async fn start(&mut self, protocol: &Protocol, request: usize) -> bool {
        let Request { endpoint, caller, credential, target, if_match } = protocol.requests[request];
        let slot = &self.slots[request];
        if endpoint == SWEEP {
            let listed = self.listed(target).await;
            let (clients, target) = (slot.clients.clone(), item::id(target));
            let Some(idle) = listed else {
                self.slots[request].answer = Some("not_listed".to_owned());
                return false;
            };
            let invocation = Invocation {
                request_id: request.to_string(),
                now: now(),
                deadline: Instant::now() + Duration::from_hours(1),
                source_ip: None,
            };
            self.slots[request].running = Some(tokio::spawn(async move {
                let request = sweep::Request { target, idle, policy: policy(), notice: None };
                let answer = match deletion::delete(&clients, request, &invocation).await.result {
                    Ok(()) => DELETED,
                    Err(NotDeleted::Refused(reason)) => reason.into(),
                    Err(_) => UNAVAILABLE,
                };
                Ended::Sweep(answer.to_owned())
            }));
        } else {
            let secret = item::secret(credential);
            let (path, authorization) = if endpoint == CONFIGURATION {
                let authorization = basic((item::id(caller).as_str(), &secret));
                (format!("/config/{APPLICATION}/clients/{target}"), authorization)
            } else {
                assert_eq!(endpoint, REGISTRATION);
                (format!("/register/{target}"), bearer(&secret))
            };
            let tag = if_match.map(|version| format!("\"{version}\""));
            let mut headers = vec![("authorization", authorization.as_str())];
            headers.extend(tag.as_deref().map(|tag| ("if-match", tag)));
            let event = serde_json::from_str(&event("DELETE", &path, "", &headers, "")).unwrap();
            let mut context = Context::default();
            context.request_id = request.to_string();
            let end = now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + Duration::from_hours(1);
            context.deadline = end.as_millis().try_into().unwrap();
            let function = slot.function.clone();
            self.slots[request].running = Some(tokio::spawn(async move {
                let response = Box::pin(function.call(LambdaEvent::new(event, context))).await.unwrap().response;
                Ended::Status(response.status().as_u16())
            }));
        }
        self.settle(request).await;
        true
    }

    /// How long the client is idle, if the index lists it as due.
    async fn listed(&self, client: usize) -> Option<deregister::model::Idle> {
        let id = item::id(client);
        let shard = Digest::of(id.as_str()).to_hex().chars().next().unwrap();
        let since = policy().due_since(false, now());
        let page = self.clients.idle_clients(IdlePartition { used: false, shard }, since, None).await.unwrap();
        page.clients.into_iter().find_map(|(listed, idle)| (listed == id).then_some(idle))
    }

    /// Waits until the request waits for the script or has ended.
    async fn settle(&mut self, request: usize) {
        loop {
            let slot = &mut self.slots[request];
            if slot.script.waiting().is_some() {
                return;
            }
            if slot.running.as_ref().is_some_and(JoinHandle::is_finished) {
                let ended = slot.running.take().unwrap().await.unwrap();
                slot.answer = Some(match ended {
                    Ended::Sweep(answer) => answer,
                    Ended::Status(status) => answer(status, &self.log),
                });
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Another writer changes an item, as the calls of the library do where it has one.
    async fn change(&self, number: usize, into: Item, expected: &State) {
        let id = item::id(number);
        let operator = "operator".to_owned();
        let restoration = Restoration { at: now(), by: operator.clone() };
        let block = Block { at: now(), by: operator.clone(), request_id: BLOCK.to_owned() };
        let found = self.read_item(number);
        let is_blocked = matches!(found.clone().map(table_item::read), Some(Record::Deleted(d)) if d.blocked.is_some());
        match (found, into) {
            (Some(_), into) if is_blocked => match (self.clients.unblock(&id, &restoration).await.unwrap(), into) {
                (UnblockOutcome::Free, Item::Free(_))
                | (UnblockOutcome::Restored(_), Item::Live(_))
                | (UnblockOutcome::Deleted(_), Item::Deleted(_)) => {}
                other => panic!("{other:?}"),
            },
            (_, Item::Blocked(Blocked::Live(_))) => {
                let target = id.clone();
                let request = operator::Request { operator, target, blocks: true };
                let invocation = Invocation {
                    request_id: BLOCK.to_owned(),
                    now: now(),
                    deadline: Instant::now() + Duration::from_hours(1),
                    source_ip: None,
                };
                deletion::delete(&self.clients, request, &invocation).await.result.unwrap();
            }
            (_, Item::Blocked(_)) => {
                assert_eq!(self.clients.block(&id, &block).await, Ok(BlockOutcome::Done));
            }
            (None, Item::Live(client)) => {
                assert_eq!(self.clients.create_client(&id, &client.client()).await, Ok(Creation::Done));
            }
            (Some(_), Item::Free(_)) => {
                self.carry_out("DeleteItem", json!({ "TableName": TABLE, "Key": key(number) }));
            }
            (Some(found), Item::Live(client)) if client.revocations > revocations(&found) => {
                let request_id = client.revocations.to_string();
                let revocation = Revocation { at: now(), by: operator, request_id };
                let revoked = self.clients.revoke(&id, &revocation).await.unwrap();
                assert!(matches!(revoked, RevokeOutcome::Done(_)), "{revoked:?}");
            }
            (Some(found), Item::Live(client)) => match table_item::read(found) {
                Record::Deleted(_) => {
                    let restored = self.clients.restore(&id, &restoration).await.unwrap();
                    assert!(matches!(restored, RestoreOutcome::Done(..)), "{restored:?}");
                }
                Record::Client(old) if client.is_used && old.idle.is_some_and(|idle| !idle.used) => {
                    let status = self.clients.client_status(&id).await.unwrap();
                    assert_eq!(self.clients.note_use(&id, &status, now()).await, Ok(true));
                }
                _ => self.overwrite(number, client).await,
            },
            (found, into) => panic!("{found:?} cannot become {into:?}: {expected:?}"),
        }
    }

    /// Sets the members in which clients of the model differ.
    async fn overwrite(&self, number: usize, client: ClientItem) {
        let update = |update: UpdateItemFluentBuilder| {
            update.table_name(TABLE).key("pk", AttributeValue::S(format!("client#{number}")))
        };
        let mut members = table_item::of_client(&item::id(number), &client.client());
        let Some(AttributeValue::M(mut members)) = members.remove("client") else { panic!("not a client") };
        let [secret, name] = if client.is_api { ["secrets", "features"] } else { ["registration_token_digest"; 2] };
        let update = update(self.sdk.update_item())
            .update_expression(format!(
                "SET client.version = :version, client.protected = :protected, client.{secret} = :secret{}",
                if client.is_api { ", client.features = :features" } else { "" }
            ))
            .expression_attribute_values(":version", members["version"].clone())
            .expression_attribute_values(":protected", members["protected"].clone())
            .expression_attribute_values(":secret", members[secret].clone());
        let update = match client.is_api.then(|| members.remove(name)).flatten() {
            Some(features) => update.expression_attribute_values(":features", features),
            None => update,
        };
        update.send().await.unwrap();
    }

    fn carry_out(&self, operation: &str, body: Value) -> Value {
        let Reply::Answer(200, answer) = carry_out(&self.database, &Call { operation: operation.to_owned(), body })
        else {
            panic!("{operation} fails")
        };
        serde_json::from_str(&answer).unwrap()
    }

    fn read_item(&self, number: usize) -> Option<table_item::Item> {
        let found = self.carry_out("GetItem", json!({ "TableName": TABLE, "Key": key(number) }));
        let item: serde_dynamo::Item = serde_json::from_value(found.get("Item")?.clone()).unwrap();
        Some(item.into())
    }

    fn compare(&self, protocol: &Protocol, expected: &State) -> Result<(), String> {
        for (request, progress) in expected.requests.iter().enumerate() {
            let found = self.slots[request].answer.as_deref();
            let expected = progress.answer().map(|answer| match answer {
                Answer::Deleted => DELETED,
                Answer::Refused(reason) => reason,
                Answer::Unavailable => UNAVAILABLE,
            });
            if found != expected {
                return Err(format!("the answer to request {request} is {found:?}, in the model {expected:?}"));
            }
        }
        for (number, expected) in expected.table.iter().enumerate() {
            let found = self.read_item(number);
            if !is_same(protocol, found.clone(), expected) {
                return Err(format!("item {number} is {found:?}, in the model {expected:?}"));
            }
        }
        Ok(())
    }
}

/// Whether the item in the table is that of the model.
fn is_same(protocol: &Protocol, found: Option<table_item::Item>, expected: &Item) -> bool {
    match (found, *expected) {
        (None, Item::Free(_)) => true,
        (Some(item), Item::Live(client)) => {
            let entries = item.get("history").map_or(0, |history| history.as_l().unwrap().len());
            let revocations = revocations(&item);
            match table_item::read(item) {
                Record::Client(found) => {
                    let restored_from = found.restored_from.clone();
                    let expected = deregister::model::Client { restored_from, ..client.client() };
                    let restorations = entries - usize::from(revocations);
                    found == expected && (restorations, revocations) == (client.restorations.into(), client.revocations)
                }
                _ => false,
            }
        }
        (Some(item), Item::Blocked(blocked)) => {
            let Record::Deleted(record) = table_item::read(item.clone()) else { return false };
            let is_blocked = record.blocked.is_some_and(|block| block.request_id == BLOCK);
            let mut unblocked = item.clone();
            is_blocked
                && item.get("expires_at") == Some(&AttributeValue::N("253402300799".to_owned()))
                && match blocked {
                    Blocked::Free(_) => record.request_id == BLOCK && !item.contains_key("tombstone"),
                    Blocked::Live(client) => {
                        let mut live = table_item::of_client(&item::id(0), &client.client());
                        record.request_id == BLOCK && unblocked.remove("tombstone") == live.remove("client")
                    }
                    Blocked::Deleted(tombstone) => is_same(protocol, Some(unblocked), &Item::Deleted(tombstone)),
                }
        }
        (Some(mut item), Item::Deleted(Tombstone { client, request, .. })) => {
            let Request { endpoint, caller, .. } = protocol.requests[request];
            let by = if endpoint == SWEEP { SWEEP.to_owned() } else { format!("client#{caller}") };
            let mut live = table_item::of_client(&item::id(0), &client.client());
            let is_client = item.remove("tombstone") == live.remove("client");
            let is_unlisted = !item.contains_key("idle") && !item.contains_key("idle_since");
            match table_item::read(item) {
                Record::Deleted(deletion) => {
                    let is_recorded = deletion.by == by && deletion.via == endpoint;
                    is_client && is_unlisted && is_recorded && deletion.request_id == request.to_string()
                }
                _ => false,
            }
        }
        _ => false,
    }
}

/// The number of revocations in an item's history.
fn revocations(item: &table_item::Item) -> u8 {
    let history = item.get("history").map_or(&[][..], |history| history.as_l().unwrap());
    let revocations = history.iter().filter(|entry| entry.as_m().unwrap().contains_key("revoked"));
    revocations.count().try_into().unwrap()
}

/// The answer with this status. The log has the reason of a refusal.
fn answer(status: u16, log: &Captured) -> String {
    let line = log.lines().into_iter().rfind(|line| line.get("endpoint").is_some()).expect("a record");
    let _ = log.take();
    match (status, line["outcome"].as_str().unwrap()) {
        (204, "deleted") => DELETED.to_owned(),
        (503, "failed") => UNAVAILABLE.to_owned(),
        (401 | 403 | 404 | 412, "refused") => line["reason"].as_str().unwrap().to_owned(),
        (status, outcome) => panic!("{status} {outcome}"),
    }
}

/// Waits for nothing: the script decides the order of everything.
#[derive(Debug, Clone)]
struct NoWait;

impl AsyncSleep for NoWait {
    fn sleep(&self, _: Duration) -> Sleep {
        Sleep::new(std::future::ready(()))
    }
}

fn key(number: usize) -> Value {
    json!({ "pk": { "S": format!("client#{number}") } })
}
