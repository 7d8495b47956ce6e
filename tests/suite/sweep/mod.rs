//! The sweep: which clients it deletes, which it keeps, and what a run costs. The clock does not move.

mod changes;
mod concurrency;
mod deletion;
mod due;
mod faults;
mod index;
mod log;
mod notice;
mod run;

use crate::support::{
    Fixture, authorization,
    build::{ClientBuilder, api_client, grants_settings, id, oauth_client},
    invocation,
    log::Captured,
    now,
};
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use deregister::{
    dynamodb::{
        ClientsTable, GrantsTable,
        admin::{Creation, RestoreOutcome},
        item::{self, Item},
    },
    functions::{self, Environment, sweep::Report},
    model::{Client, Deletion, Idle, IdlePolicy, Restoration},
    settings,
    store::{ClientStatuses, Fault, Store, WriteOutcome},
};
use lambda_http::{Context, LambdaEvent};
use serde::de::IgnoredAny;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// The default policy.
const POLICY: IdlePolicy = IdlePolicy { unused: DAY, used: Duration::from_hours(90 * 24) };
const DELETES: settings::Sweep =
    settings::Sweep { deletes: true, policy: POLICY, notice: None, limit: 1000, concurrency: 8 };
const OBSERVES: settings::Sweep = settings::Sweep { deletes: false, ..DELETES };
const TOKEN: &str = "registration-token-of-a-test";

type Sweep = functions::Sweep<ClientsTable, GrantsTable>;

/// A client that registered itself and was never used. It has been due for an hour.
fn due() -> ClientBuilder {
    idle(Idle::unused(now() - DAY - HOUR))
}

/// A client that registered itself.
fn idle(idle: Idle) -> ClientBuilder {
    oauth_client().registration_token(TOKEN).name("Name for people").idle(idle)
}

/// An API client that the index lists, although it did not register itself.
fn due_api_client() -> ClientBuilder {
    api_client().idle(Idle::unused(now() - DAY - HOUR))
}

/// A table with these clients.
async fn table_with(clients: impl IntoIterator<Item = (&str, ClientBuilder)>) -> Fixture {
    let fixture = Fixture::empty().await;
    for (client_id, client) in clients {
        create(&fixture, client_id, client).await;
    }
    fixture
}

async fn create(fixture: &Fixture, client_id: &str, client: ClientBuilder) {
    let created = fixture.direct().create_client(&id(client_id), &client.build()).await;
    assert_eq!(created, Ok(Creation::Done), "{client_id}");
}

/// Creates many clients, 25 at a time.
async fn create_all(fixture: &Fixture, clients: impl IntoIterator<Item = (String, ClientBuilder)>) {
    let put = |client_id: &str, client: &Client| {
        let item = item::of_client(&id(client_id), client);
        WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(item)).build().unwrap()).build()
    };
    let puts: Vec<_> = clients.into_iter().map(|(client_id, client)| put(&client_id, &client.build())).collect();
    for puts in puts.chunks(25) {
        fixture.sdk.batch_write_item().request_items(&fixture.table, puts.to_vec()).send().await.unwrap();
    }
}

/// The sweep over the fixture's table, without grants.
fn sweep(fixture: &Fixture, settings: settings::Sweep) -> Sweep {
    let store = fixture.clients.clone();
    Sweep { store, grants: None, settings, clock: now, environment: Environment::default() }
}

/// A run with this much time, in addition to the time reserved for its report.
fn run_of(time: Duration) -> Context {
    let mut context = invocation();
    let end = now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + SECOND + time;
    context.deadline = end.as_millis().try_into().unwrap();
    context
}

async fn run_in(context: Context, sweep: &Sweep) -> Result<Report, Fault> {
    sweep.call(LambdaEvent::new(IgnoredAny, context)).await
}

async fn run(sweep: &Sweep) -> Report {
    run_in(run_of(HOUR), sweep).await.unwrap()
}

/// The report of a complete run that deletes and finds this many clients due.
fn report(due: usize) -> Report {
    Report { deletes: true, due, complete: true, ..Report::default() }
}

/// All items of the table, by their keys.
async fn items(fixture: &Fixture) -> BTreeMap<String, Item> {
    let mut items = BTreeMap::new();
    let mut pages = fixture.sdk.scan().table_name(&fixture.table).consistent_read(true).into_paginator().items().send();
    while let Some(item) = pages.next().await {
        let item = item.unwrap();
        items.insert(item["pk"].as_s().unwrap().clone(), item);
    }
    items
}

/// The clients in the index, each with its partition and the time since which it is idle.
async fn index(fixture: &Fixture) -> BTreeMap<String, (String, String)> {
    let items = fixture.sdk.scan().table_name(&fixture.table).index_name("idle").send().await.unwrap().items.unwrap();
    let entry = |item: Item| {
        let [key, partition] = ["pk", "idle"].map(|name| item[name].as_s().unwrap().clone());
        (key.trim_start_matches("client#").to_owned(), (partition, item["idle_since"].as_n().unwrap().clone()))
    };
    items.into_iter().map(entry).collect()
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn key(client_id: &str) -> AttributeValue {
    s(&format!("client#{client_id}"))
}

fn seconds(time: SystemTime) -> String {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().to_string()
}

/// Sets a member of a client, without the wire.
async fn set(fixture: &Fixture, client_id: &str, member: &str, value: AttributeValue) {
    let update = fixture.sdk.update_item().table_name(&fixture.table).key("pk", key(client_id));
    let update = update.update_expression("SET client.#member = :value").expression_attribute_names("#member", member);
    update.expression_attribute_values(":value", value).send().await.unwrap();
}

/// Another request deletes the client, without the wire.
async fn delete(fixture: &Fixture, client_id: &str) {
    let target = id(client_id);
    let (by, via) = ("operator#jane".to_owned(), "deregisterctl".to_owned());
    let deletion = Deletion {
        at: now(),
        by,
        via,
        source_ip: None,
        request_id: "another".to_owned(),
        lacks: Vec::new(),
        blocked: None,
    };
    let clients = fixture.direct();
    let authorization = authorization(&clients, &target, &[]).await;
    assert_eq!(clients.write_tombstone(&authorization, &deletion).await, Ok(WriteOutcome::Written));
}

/// Restores a client, without the wire.
async fn restore(fixture: &Fixture, client_id: &str) {
    let restoration = Restoration { at: now(), by: "operator#jane".to_owned() };
    let restored = fixture.direct().restore(&id(client_id), &restoration).await.unwrap();
    assert!(matches!(restored, RestoreOutcome::Done(_)), "{restored:?}");
}

/// Uses a client, without the wire, as an authorization server does.
async fn use_client(fixture: &Fixture, client_id: &str) {
    let (client, store) = (id(client_id), fixture.direct());
    let status = store.client_status(&client).await.unwrap();
    assert_eq!(store.note_use(&client, &status, now()).await, Ok(true));
}

/// Removes the item of a client.
async fn remove(fixture: &Fixture, client_id: &str) {
    fixture.sdk.delete_item().table_name(&fixture.table).key("pk", key(client_id)).send().await.unwrap();
}

/// The record of a client's deletion.
async fn deletion_of(fixture: &Fixture, client_id: &str) -> Deletion {
    fixture.direct().deletions(&id(client_id)).await.unwrap().unwrap().current.unwrap().0
}

/// An empty grants table, without the wire.
async fn grants(fixture: &Fixture) -> GrantsTable {
    fixture.create_grants_table().await;
    GrantsTable::open(fixture.sdk.config().to_builder(), grants_settings()).await.unwrap()
}

/// Issues a grant to the client. `None`: the grant does not end.
async fn issue(fixture: &Fixture, client_id: &str, grant_id: &str, end: Option<SystemTime>) {
    issue_until(fixture, client_id, grant_id, end.map(|end| AttributeValue::N(seconds(end)))).await;
}

async fn issue_until(fixture: &Fixture, client_id: &str, grant_id: &str, end: Option<AttributeValue>) {
    let put = fixture.sdk.put_item().table_name("grants");
    let put = put.item("client_id", s(client_id)).item("grant_id", s(grant_id));
    end.into_iter().fold(put, |put, end| put.item("expires_at", end)).send().await.unwrap();
}

/// The grants table, through the wire.
async fn grants_through_the_wire(fixture: &Fixture) -> GrantsTable {
    fixture.create_grants_table().await;
    let config = fixture.sdk.config().to_builder().http_client(fixture.wire.clone());
    GrantsTable::open(config, grants_settings()).await.unwrap()
}

/// Whether the call with this body names the client.
fn names(body: &str, client_id: &str) -> bool {
    body.contains(&format!("\"client#{client_id}\"")) || body.contains(&format!("\"{client_id}\""))
}

/// The ids of the clients that the log names with this text, in order.
fn named(log: &Captured, text: &str) -> Vec<String> {
    let lines = log.lines().into_iter().filter(|line| line["message"].as_str().is_some_and(|it| it.contains(text)));
    lines.map(|line| line["client_id"].as_str().unwrap().to_owned()).collect()
}

/// The ids of the clients that are tombstones.
async fn tombstones(fixture: &Fixture) -> Vec<String> {
    let items = items(fixture).await.into_iter().filter(|(_, item)| item.contains_key("tombstone"));
    items.map(|(key, _)| key.trim_start_matches("client#").to_owned()).collect()
}

/// The record of the only run.
fn record(log: &Captured) -> Value {
    let records = log.lines().into_iter().filter(|line| line.get("mode").is_some());
    let [record] = records.collect::<Vec<_>>().try_into().unwrap();
    record
}

/// How often each operation was called after the last look.
fn take_calls(fixture: &Fixture) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    fixture.wire.take_calls().into_iter().for_each(|call| *calls.entry(call).or_default() += 1);
    calls
}
