//! The cascade: what was issued to a deleted client goes, and nothing else, wherever a run ends.

use crate::support::{
    Fixture,
    door::Door,
    log::Captured,
    now,
    random::Random,
    sample::{self, CLIENT, RFC_CLIENT, TARGET},
    stream::Stream,
    wire::{Wire, wire::Fault},
};
use aws_sdk_dynamodb::{
    primitives::Blob,
    types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, PutRequest, ScalarAttributeType,
        WriteRequest,
    },
};
use deregister::{
    cascade::Failures,
    dynamodb::{GrantsTable, admin::RestoreOutcome, item::Item},
    functions::{
        Cascade,
        cascade::{Batch, NoSequenceNumber},
    },
    model::{Id, Restoration, Service},
};
use lambda_http::LambdaEvent;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    future::poll_fn,
    ops::Range,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, SystemTime},
};
use tokio::sync::mpsc;

/// What stands in a grant beside its keys.
const CONTENT: &str = "what-only-the-server-may-know";
/// The attribute that says when it ends: a word that DynamoDB reserves.
const EXPIRES_AT: &str = "ttl";
/// How many grants a page of the cascade has, and how many items a write.
const PAGE: usize = 1000;
const WRITE: usize = 25;

/// The time that an invocation has at the most.
const ALL_THE_TIME: Duration = Duration::from_mins(15);

/// The key attributes of a table of grants, with their types.
type Keys = &'static [(&'static str, ScalarAttributeType)];

/// The cascade over the sample clients and a table of grants, both through the fixture's wire.
struct Tables {
    fixture: Fixture,
    keys: Keys,
    grants: Grants,
    cascade: Cascade,
}

impl Tables {
    async fn new() -> Self {
        Self::by(&[("client_id", ScalarAttributeType::S), ("grant_id", ScalarAttributeType::S)]).await
    }

    /// With these keys in the table of grants.
    async fn by(keys: Keys) -> Self {
        let fixture = Fixture::with_samples().await;
        create_table(&fixture, "grants", keys).await;
        let config = fixture.sdk.config().to_builder().http_client(fixture.wire.clone());
        let grants = Grants::open(config, "grants", EXPIRES_AT).await.unwrap();
        let cascade = Cascade::new(fixture.clients.clone(), grants.clone(), now);
        fixture.wire.take_calls();
        Self { fixture, keys, grants, cascade }
    }

    /// The cascade past the wire.
    async fn quiet_cascade(&self) -> Cascade {
        let config = self.fixture.sdk.config().to_builder();
        Cascade::new(self.fixture.direct(), Grants::open(config, "grants", EXPIRES_AT).await.unwrap(), now)
    }

    /// Issues these grants to the client.
    async fn issue(&self, client: &str, grants: Range<usize>) {
        for numbers in grants.collect::<Vec<_>>().chunks(WRITE) {
            let puts = numbers.iter().map(|number| {
                let mut item = key(self.keys, client, *number);
                item.insert("content".to_owned(), s(CONTENT));
                let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
                WriteRequest::builder().put_request(put).build()
            });
            write(&self.fixture, puts.collect()).await;
        }
    }

    async fn hand_over(&self, records: &[Value]) -> Failures {
        hand_over(&self.cascade, records, ALL_THE_TIME).await
    }

    async fn all_grants(&self) -> Vec<Item> {
        all(&self.fixture, "grants", &self.keys.iter().map(|(name, _)| *name).collect::<Vec<_>>()).await
    }

    /// The clients table and the table of grants, whole.
    async fn whole(&self) -> [Vec<Item>; 2] {
        [all(&self.fixture, &self.fixture.table, &["pk"]).await, self.all_grants().await]
    }

    /// The same, without the grants of this client.
    async fn without(&self, client: &str) -> [Vec<Item>; 2] {
        let [clients, mut grants] = self.whole().await;
        grants.retain(|grant| grant[self.keys[0].0] != s(client));
        [clients, grants]
    }

    /// How many grants the client has.
    async fn left(&self, client: &str) -> usize {
        self.all_grants().await.iter().filter(|grant| grant[self.keys[0].0] == s(client)).count()
    }

    /// Deletes the client, at the door that is for it.
    async fn delete(&self, client: &str) {
        let door = Door::ALL.into_iter().find(|door| door.client() == client).unwrap();
        assert!(self.fixture.invoke(&door.event()).await.status().is_success());
        assert!(!self.fixture.lives(client).await);
        self.fixture.wire.take_calls();
    }

    fn take_calls(&self) -> Vec<String> {
        self.fixture.wire.take_calls()
    }

    /// Has something else happen before the next call of the operation goes through.
    fn meanwhile(&self, operation: &str, event: impl Future<Output = ()> + Send + 'static) {
        // By somebody else, whose calls are not on the meter.
        self.fixture.wire.plan(operation, wire::Fault::meanwhile(async { tokio::spawn(event).await.unwrap() }));
    }

    /// Lets so many calls of the operation through, before what is planned next.
    fn pass(&self, operation: &str, calls: usize) {
        (0..calls).for_each(|_| self.fixture.wire.plan(operation, wire::Fault::meanwhile(async {})));
    }
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn id(id: &str) -> Id {
    Id::new(id).unwrap()
}

/// The key of a grant.
fn key(keys: Keys, client: &str, number: usize) -> Item {
    let value = |kind: &ScalarAttributeType| match kind {
        ScalarAttributeType::N => AttributeValue::N(number.to_string()),
        ScalarAttributeType::B => AttributeValue::B(Blob::new(number.to_be_bytes())),
        _ => s(&format!("grant-{number:05}")),
    };
    let mut key = Item::from([(keys[0].0.to_owned(), s(client))]);
    key.extend(keys[1..].iter().map(|(name, kind)| ((*name).to_owned(), value(kind))));
    key
}

async fn create_table(fixture: &Fixture, table: &str, keys: Keys) {
    let mut create = fixture.sdk.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
    for ((name, kind), role) in keys.iter().zip([KeyType::Hash, KeyType::Range]) {
        let attribute = AttributeDefinition::builder().attribute_name(*name).attribute_type(kind.clone()).build();
        let key = KeySchemaElement::builder().attribute_name(*name).key_type(role).build();
        create = create.attribute_definitions(attribute.unwrap()).key_schema(key.unwrap());
    }
    create.send().await.unwrap();
}

/// Makes these writes in the table of grants, past the wire.
async fn write(fixture: &Fixture, requests: Vec<WriteRequest>) {
    fixture.sdk.batch_write_item().request_items("grants", requests).send().await.unwrap();
}

/// All items of the table, in the order of their keys.
async fn all(fixture: &Fixture, table: &str, keys: &[&str]) -> Vec<Item> {
    let mut pages = fixture.sdk.scan().table_name(table).consistent_read(true).into_paginator().items().send();
    let mut items = Vec::new();
    while let Some(item) = pages.next().await {
        items.push(item.unwrap());
    }
    items.sort_by_cached_key(|item| format!("{:?}", keys.iter().map(|key| &item[*key]).collect::<Vec<_>>()));
    items
}

/// The record of a client's deletion, as far as it is read.
fn record(number: &str, client: &str) -> Value {
    json!({
        "eventName": "MODIFY",
        "dynamodb": { "Keys": { "pk": { "S": format!("client#{client}") } }, "SequenceNumber": number },
    })
}

async fn hand_over(cascade: &Cascade, records: &[Value], time: Duration) -> Failures {
    Box::pin(cascade.call(event(records, time))).await.unwrap()
}

/// The event of an invocation that has so much time.
fn event(records: &[Value], time: Duration) -> LambdaEvent<Batch> {
    let mut context = support::invocation();
    let end = (now() + time).duration_since(SystemTime::UNIX_EPOCH).unwrap();
    context.deadline = end.as_millis().try_into().unwrap();
    LambdaEvent::new(serde_json::from_value(json!({ "Records": records })).unwrap(), context)
}

/// The sequence numbers of the records that failed.
fn numbers(failures: &Failures) -> Vec<&str> {
    failures.batch_item_failures.iter().map(|failure| failure.item_identifier.as_str()).collect()
}

/// The calls of a run that removes pages of so many grants.
fn calls(pages: &[usize]) -> Vec<&'static str> {
    let page = |grants: &usize| {
        ["Query", "GetItem"].into_iter().chain(std::iter::repeat_n("BatchWriteItem", grants.div_ceil(WRITE)))
    };
    pages.iter().flat_map(page).chain(["Query"]).collect()
}

/// Restores the client, past the wire.
async fn restore(fixture: &Fixture, client: &str) {
    let restoration = Restoration { at: now(), by: "operator#jane".to_owned() };
    let restored = fixture.direct().restore(&id(client), &restoration).await.unwrap();
    assert!(matches!(restored, RestoreOutcome::Done(_)), "{restored:?}");
}

/// Drops the work as soon as it has sent its n-th call, whose answer it never sees. What came of it, if it was done before.
async fn killed_at<T>(nth: usize, wire: &Wire, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut calls) = (pin!(work), 0);
    poll_fn(|context| {
        let polled = work.as_mut().poll(context).map(Some);
        calls += wire.take_calls().len();
        if polled.is_pending() && calls >= nth { Poll::Ready(None) } else { polled }
    })
    .await
}

/// The lines that tell of clients. The SDK has some of its own.
fn lines(log: &Captured) -> Vec<Value> {
    log.lines().into_iter().filter(|line| line.get("_aws").is_some()).collect()
}

/// The outcome, the grants removed and the database calls that they tell of.
fn told(log: &Captured) -> Vec<(String, u64, u64)> {
    let number = |line: &Value, name: &str| line[name].as_u64().unwrap();
    let told = |line: &Value| {
        let outcome = line["outcome"].as_str().unwrap().to_owned();
        (outcome, number(line, "grants_removed"), number(line, "database_calls"))
    };
    lines(log).iter().map(told).collect()
}

#[tokio::test]
async fn everything_under_the_id_goes_whatever_the_keys_are_called_and_nothing_of_others() {
    let longest = "x".repeat(Id::MAX_BYTES);
    let plain = ["a", "ab", "A", "1", "01", "1.0", "null", &longest];
    let odd = [" a", "a ", "a#b", "client#a", "a/b%2F?", "\"a\"", "a\nb", "\u{e4}", "a\u{308}", "\u{1f980}"];
    let ids = [&plain[..], &odd].concat();
    let tables: [(Keys, usize); 4] = [
        (&[("client_id", ScalarAttributeType::S)], 1),
        (&[("client_id", ScalarAttributeType::S), ("grant_id", ScalarAttributeType::S)], 3),
        // Words that DynamoDB reserves, and what looks like a placeholder.
        (&[("token", ScalarAttributeType::S), ("dynamic", ScalarAttributeType::N)], 3),
        (&[("#sort", ScalarAttributeType::S), ("a.b[0]", ScalarAttributeType::B)], 3),
    ];
    for (keys, grants) in tables {
        let tables = Tables::by(keys).await;
        for id in &ids {
            tables.issue(id, 0..grants).await;
        }
        let mut expected = tables.whole().await;
        for (deleted, id) in ids.iter().enumerate() {
            expected[1].retain(|grant| grant[keys[0].0] != s(id));
            assert_eq!(expected[1].len(), (ids.len() - deleted - 1) * grants);
            assert_eq!(tables.hand_over(&[record("1", id)]).await, Failures::default(), "{keys:?} {id}");
            assert!(tables.whole().await == expected, "{keys:?} {id}");
        }
    }
}

#[tokio::test]
async fn a_page_costs_a_query_a_question_and_a_write_for_25_and_the_end_one_query_more() {
    let tables = Tables::new().await;
    tables.issue("other", 0..30).await;
    for (client, pages) in [
        ("none", vec![]),
        ("one", vec![1]),
        ("25", vec![25]),
        ("26", vec![26]),
        ("a page", vec![PAGE]),
        ("more", vec![PAGE, 1]),
    ] {
        tables.issue(client, 0..pages.iter().sum()).await;
        tables.take_calls();
        let log = Captured::at("INFO");
        assert_eq!(tables.hand_over(&[record("1", client)]).await, Failures::default());
        let made = tables.take_calls();
        assert_eq!(made, calls(&pages), "{client}");
        let [removed, cost] = [pages.iter().sum(), made.len()].map(|number: usize| number as u64);
        assert_eq!(told(&log), [("removed".to_owned(), removed, cost)], "{client}");
        assert_eq!(tables.left(client).await, 0, "{client}");
    }
    assert_eq!(tables.left("other").await, 30);
}

/// Else a grant that was stored just before the deletion could be overlooked, and those of a client removed that was
/// restored just before.
#[tokio::test]
async fn all_that_is_read_is_read_strongly_consistent_and_of_the_grants_nothing_but_their_keys() {
    let tables = Tables::new().await;
    tables.issue("a", 0..1).await;
    let (tell, mut bodies) = mpsc::unbounded_channel();
    for operation in ["Query", "GetItem"] {
        let (wire, tell) = (tables.fixture.wire.clone(), tell.clone());
        let look = async move { tell.send(serde_json::from_str::<Value>(&wire.last_body()).unwrap()).unwrap() };
        tables.fixture.wire.plan(operation, wire::Fault::meanwhile(look));
    }
    tables.hand_over(&[record("1", "a")]).await;
    let [query, get] = [bodies.try_recv().unwrap(), bodies.try_recv().unwrap()];
    assert_eq!([&query["ConsistentRead"], &get["ConsistentRead"]], [&json!(true), &json!(true)]);
    assert_eq!(query["ProjectionExpression"], "#client, #sort");
    assert_eq!(query["ExpressionAttributeNames"], json!({ "#client": "client_id", "#sort": "grant_id" }));
}

#[tokio::test]
async fn what_is_left_unprocessed_is_written_again_until_it_is_processed_and_nothing_else_is() {
    let tables = Tables::new().await;
    tables.issue("a", 0..3).await;
    tables.issue("b", 0..26).await;
    let keys = [0, 1, 2].map(|number| key(tables.keys, "a", number));
    tables.fixture.wire.plan("BatchWriteItem", wire::Fault::OnlyFirst);
    let mut removed = 0;
    tables.grants.remove(keys.to_vec(), &mut removed).await.unwrap();
    assert_eq!(removed, 3);
    assert_eq!(tables.take_calls(), ["BatchWriteItem", "BatchWriteItem"]);
    let body: Value = serde_json::from_str(&tables.fixture.wire.last_body()).unwrap();
    let writes = body["RequestItems"]["grants"].as_array().unwrap();
    let written: Vec<_> = writes.iter().map(|write| &write["DeleteRequest"]["Key"]["grant_id"]["S"]).collect();
    assert_eq!(written, ["grant-00001", "grant-00002"]);
    assert_eq!([tables.left("a").await, tables.left("b").await], [0, 26]);

    (0..3).for_each(|_| tables.fixture.wire.plan("BatchWriteItem", wire::Fault::OnlyFirst));
    assert_eq!(tables.hand_over(&[record("1", "b")]).await, Failures::default());
    let mut expected = calls(&[26]);
    expected.splice(2..2, ["BatchWriteItem"; 3]);
    assert_eq!(tables.take_calls(), expected);
    assert_eq!(tables.left("b").await, 0);
}

#[tokio::test]
async fn a_call_that_is_throttled_or_fails_once_is_made_again() {
    let tables = Tables::new().await;
    tables.issue("other", 0..3).await;
    for (nth, operation) in calls(&[1])[..3].iter().enumerate() {
        for (fault, throttles) in [
            (wire::Fault::error(400, "ThrottlingException"), 1),
            (wire::Fault::error(400, "ProvisionedThroughputExceededException"), 1),
            (wire::Fault::error(500, "InternalServerError"), 0),
            (wire::Fault::Reset, 0),
            (wire::Fault::AnswerLost, 0),
        ] {
            let expected = tables.whole().await;
            tables.issue("a", 0..1).await;
            tables.take_calls();
            tables.fixture.wire.plan(operation, fault);
            let log = Captured::at("INFO");
            assert_eq!(tables.hand_over(&[record("1", "a")]).await, Failures::default(), "{operation}");
            let mut made = calls(&[1]);
            made.insert(nth, operation);
            assert_eq!(tables.take_calls(), made);
            let [line] = lines(&log).try_into().unwrap();
            assert_eq!([&line["outcome"], &line["retries"]], [&json!("removed"), &json!(1)], "{operation} {line}");
            assert_eq!(line["throttles"], throttles, "{operation} {line}");
            assert!(tables.whole().await == expected, "{operation}");
        }
    }
}

/// Three clients with two grants each, of which the second meets `tries` such answers to the operation, handed over at once.
/// The records that failed, and the lines that tell of them.
async fn a_fault_in_the_middle(
    tables: &Tables,
    operation: &str,
    fault: (u16, &str),
    tries: usize,
) -> (Failures, Captured) {
    for client in ["a", "b", "c"] {
        tables.issue(client, 0..2).await;
    }
    tables.pass(operation, if operation == "Query" { 2 } else { 1 });
    (0..tries).for_each(|_| tables.fixture.wire.plan(operation, wire::Fault::error(fault.0, fault.1)));
    let log = Captured::at("INFO");
    let failures = tables.hand_over(&[record("1", "a"), record("2", "b"), record("3", "c")]).await;
    assert!(!log.text().contains(CONTENT) && !log.text().contains("grant-0"));
    (failures, log)
}

/// What the lines say under this name.
fn named<'l>(lines: &'l [Value], name: &str) -> Vec<&'l str> {
    lines.iter().map(|line| line[name].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_fault_that_does_not_pass_fails_its_record_and_says_so_and_the_others_are_done() {
    let tables = Tables::new().await;
    for operation in ["Query", "GetItem", "BatchWriteItem"] {
        let (failures, log) = a_fault_in_the_middle(&tables, operation, (400, "AccessDeniedException"), 1).await;
        assert_eq!(numbers(&failures), ["2"], "{operation}");
        let lines = lines(&log);
        assert_eq!(named(&lines, "outcome"), ["removed", "unfinished", "removed"]);
        assert_eq!(named(&lines, "level"), ["INFO", "ERROR", "INFO"]);
        assert_eq!(named(&lines, "client_id"), ["a", "b", "c"]);
        assert!(lines[1]["reason"].as_str().unwrap().contains("AccessDeniedException"), "{}", lines[1]);
        assert_eq!([&lines[1]["retries"], &lines[1]["grants_removed"]], [&json!(0), &json!(0)]);
        assert_eq!([tables.left("a").await, tables.left("b").await, tables.left("c").await], [0, 2, 0]);

        assert_eq!(tables.hand_over(&[record("2", "b")]).await, Failures::default());
        assert_eq!(tables.left("b").await, 0);
    }
}

#[tokio::test]
async fn a_fault_that_passes_is_waited_out_while_the_others_are_done() {
    let tables = Tables::new().await;
    for operation in ["Query", "GetItem", "BatchWriteItem"] {
        for fault in [(400, "ThrottlingException"), (500, "InternalServerError")] {
            // All the tries of two calls.
            let (failures, log) = a_fault_in_the_middle(&tables, operation, fault, 8).await;
            assert_eq!(failures, Failures::default(), "{operation} {fault:?}");
            let lines = lines(&log);
            assert_eq!(named(&lines, "outcome"), ["removed"; 3], "{operation}");
            // The first eight that are asked for after the first client meet it: both others, in turn.
            assert_eq!(named(&lines, "client_id")[0], "a", "{operation}");
            assert_eq!(lines.iter().map(|line| line["retries"].as_u64().unwrap()).sum::<u64>(), 6, "{operation}");
            assert_eq!(
                lines.iter().map(|line| line["grants_removed"].as_u64().unwrap()).sum::<u64>(),
                6,
                "{operation}"
            );
            assert_eq!([tables.left("a").await, tables.left("b").await, tables.left("c").await], [0; 3]);
        }
    }
}

#[tokio::test]
async fn a_fault_that_lasts_until_the_time_is_over_fails_every_record_that_it_meets_and_says_so_once() {
    let tables = Tables::new().await;
    for client in ["a", "b"] {
        tables.issue(client, 0..2).await;
    }
    (0..1000).for_each(|_| tables.fixture.wire.plan("BatchWriteItem", wire::Fault::error(400, "ThrottlingException")));
    let batch = [record("1", "a"), record("2", "b")];
    let log = Captured::at("INFO");
    let failures = hand_over(&tables.cascade, &batch, Duration::from_secs(5)).await;
    assert_eq!(numbers(&failures), ["1", "2"]);
    let lines = lines(&log);
    assert_eq!([named(&lines, "client_id"), named(&lines, "outcome")], [["a", "b"], ["unfinished", "unfinished"]]);
    // More than one turn each.
    assert!(lines.iter().all(|line| line["throttles"].as_u64().unwrap() >= 8), "{lines:?}");
    assert!(named(&lines, "reason").iter().any(|reason| reason.contains("ThrottlingException")), "{lines:?}");
    assert_eq!([tables.left("a").await, tables.left("b").await], [2, 2]);
}

#[tokio::test]
async fn an_unfinished_run_tells_what_it_has_removed() {
    let tables = Tables::new().await;
    tables.issue("a", 0..60).await;
    tables.pass("BatchWriteItem", 1);
    tables.fixture.wire.plan("BatchWriteItem", wire::Fault::OnlyFirst);
    tables.fixture.wire.plan("BatchWriteItem", wire::Fault::error(400, "AccessDeniedException"));
    let log = Captured::at("INFO");
    assert_eq!(numbers(&tables.hand_over(&[record("1", "a")]).await), ["1"]);
    assert_eq!(told(&log), [("unfinished".to_owned(), 26, 5)]);
    assert_eq!(tables.left("a").await, 60 - 26);
}

#[tokio::test]
async fn a_run_that_is_killed_at_ten_random_points_is_resumed_with_what_is_left() {
    let tables = Tables::new().await;
    tables.issue("a", 0..3 * PAGE).await;
    tables.issue("ab", 0..30).await;
    let expected = tables.without("a").await;
    // Ten of the calls that it takes. To begin again takes more, so that it is not done before.
    let calls = calls(&[PAGE; 3]).len();
    let (mut random, mut points) = (Random::new(), BTreeSet::from([0]));
    while points.len() <= 10 {
        points.insert(1 + random.below(calls - 1));
    }
    tables.take_calls();
    let (points, batch) = (points.into_iter().collect::<Vec<_>>(), [record("1", "a")]);
    for between in points.windows(2) {
        let run = killed_at(between[1] - between[0], &tables.fixture.wire, tables.hand_over(&batch)).await;
        assert_eq!(run, None, "{points:?}");
    }
    assert_eq!(tables.hand_over(&batch).await, Failures::default());
    assert!(tables.whole().await == expected, "{points:?}");
}

#[tokio::test]
async fn where_the_time_runs_out_the_record_and_all_after_it_fail_and_the_next_invocation_goes_on() {
    for (operation, pass) in [("Query", 0), ("GetItem", 0), ("BatchWriteItem", 1)] {
        let tables = Tables::new().await;
        tables.issue("a", 0..60).await;
        tables.issue("b", 0..1).await;
        tables.issue("ab", 0..1).await;
        let [clients, mut grants] = tables.whole().await;
        grants.retain(|grant| grant["client_id"] == s("ab"));
        tables.pass(operation, pass);
        tables.fixture.wire.plan(operation, wire::Fault::Silence);
        let batch = [record("1", "a"), record("2", "b")];
        let log = Captured::at("INFO");
        // Two seconds are kept to tell of it.
        let failures = hand_over(&tables.cascade, &batch, Duration::from_millis(2_300)).await;
        assert_eq!(numbers(&failures), ["1", "2"], "{operation}");
        assert!(told(&log).iter().all(|(outcome, ..)| outcome == "unfinished"), "{operation}");
        assert!(log.text().contains("no answer in the time that the invocation has"), "{operation}");
        assert!((1..=60).contains(&tables.left("a").await), "{operation}");

        let next = tables.quiet_cascade().await;
        assert_eq!(hand_over(&next, &batch, ALL_THE_TIME).await, Failures::default(), "{operation}");
        assert!(tables.whole().await == [clients, grants], "{operation}");
    }
}

#[tokio::test]
async fn two_that_are_handed_the_same_record_at_the_same_time_do_no_harm_to_each_other() {
    let tables = Tables::new().await;
    tables.issue("a", 0..PAGE + 30).await;
    tables.issue("ab", 0..30).await;
    let expected = tables.without("a").await;
    let batch = [record("1", "a")];
    let (one, other) = tokio::join!(tables.hand_over(&batch), tables.hand_over(&batch));
    assert_eq!([one, other], [Failures::default(), Failures::default()]);
    assert!(tables.whole().await == expected);
}

#[tokio::test]
async fn a_client_that_was_restored_keeps_what_it_has() {
    let tables = Tables::new().await;
    tables.issue(TARGET, 0..30).await;
    tables.delete(TARGET).await;
    restore(&tables.fixture, TARGET).await;
    let expected = tables.whole().await;
    let log = Captured::at("INFO");
    assert_eq!(tables.hand_over(&[record("1", TARGET)]).await, Failures::default());
    assert_eq!(tables.take_calls(), ["Query", "GetItem"]);
    assert_eq!(told(&log), [("kept".to_owned(), 0, 2)]);
    assert!(tables.whole().await == expected);
}

#[tokio::test]
async fn a_client_that_is_restored_meanwhile_keeps_what_is_left() {
    for operation in ["Query", "GetItem"] {
        let tables = Tables::new().await;
        tables.issue(TARGET, 0..PAGE + 30).await;
        tables.delete(TARGET).await;
        let fixture = tables.fixture.clone();
        tables.pass(operation, 1);
        tables.meanwhile(operation, async move { restore(&fixture, TARGET).await });
        let log = Captured::at("INFO");
        assert_eq!(tables.hand_over(&[record("1", TARGET)]).await, Failures::default());
        let made = tables.take_calls();
        assert_eq!(made, [&calls(&[PAGE])[..], &["GetItem"]].concat(), "{operation}");
        assert_eq!(told(&log), [("kept".to_owned(), PAGE as u64, made.len() as u64)], "{operation}");
        assert_eq!(tables.left(TARGET).await, 30, "{operation}");
    }
}

#[tokio::test]
async fn what_is_issued_to_a_client_once_it_is_restored_is_never_removed() {
    for operation in ["Query", "GetItem", "BatchWriteItem"] {
        let tables = Arc::new(Tables::new().await);
        tables.issue(TARGET, 0..30).await;
        tables.delete(TARGET).await;
        let server = Arc::clone(&tables);
        tables.meanwhile(operation, async move {
            restore(&server.fixture, TARGET).await;
            server.issue(TARGET, 30..35).await;
        });
        assert_eq!(tables.hand_over(&[record("1", TARGET)]).await, Failures::default());
        // What was read before the restoration may go.
        let first = if operation == "BatchWriteItem" { 30 } else { 0 };
        let left: Vec<_> = tables.all_grants().await.iter().map(|grant| grant["grant_id"].clone()).collect();
        assert_eq!(left, (first..35).map(|number| s(&format!("grant-{number:05}"))).collect::<Vec<_>>(), "{operation}");
    }
}

#[tokio::test]
async fn a_record_that_is_handed_over_again_costs_one_query_and_does_nothing() {
    let tables = Tables::new().await;
    tables.issue(TARGET, 0..3).await;
    tables.issue("other", 0..3).await;
    tables.delete(TARGET).await;
    tables.hand_over(&[record("1", TARGET)]).await;
    let expected = tables.whole().await;
    tables.take_calls();
    assert_eq!(tables.hand_over(&[record("1", TARGET)]).await, Failures::default());
    assert_eq!(tables.take_calls(), ["Query"]);
    assert!(tables.whole().await == expected);
}

#[tokio::test]
async fn records_that_are_not_about_clients_cost_nothing_and_say_nothing() {
    let tables = Tables::new().await;
    for client in ["a", "service#a", "token#a"] {
        tables.issue(client, 0..1).await;
    }
    let expected = tables.whole().await;
    tables.take_calls();
    let too_long = format!("client#{}", "x".repeat(Id::MAX_BYTES + 1));
    let keys = ["service#a", "token#a", "client#", "Client#a", "a", "", &too_long];
    let record = |key: &&str| json!({ "dynamodb": { "Keys": { "pk": { "S": key } }, "SequenceNumber": "1" } });
    let log = Captured::at("INFO");
    assert_eq!(tables.hand_over(&keys.iter().map(record).collect::<Vec<_>>()).await, Failures::default());
    assert_eq!(tables.take_calls(), [""; 0]);
    assert_eq!(log.text(), "");
    assert!(tables.whole().await == expected);
}

#[tokio::test]
async fn records_that_cannot_be_read_fail_and_the_others_are_done() {
    let tables = Tables::new().await;
    for client in ["a", "b"] {
        tables.issue(client, 0..1).await;
    }
    let poison = |number: &str, keys: Value| json!({ "dynamodb": { "Keys": keys, "SequenceNumber": number } });
    let batch = [
        poison("1", json!({ "pk": { "N": "1" } })),
        record("2", "a"),
        poison("3", json!({ "id": { "S": "client#a" } })),
        poison("4", json!(null)),
        record("5", "b"),
        json!({ "dynamodb": { "SequenceNumber": "6" } }),
    ];
    let log = Captured::at("INFO");
    let failures = tables.hand_over(&batch).await;
    // As Lambda expects it.
    let expected = ["1", "3", "4", "6"].map(|number| json!({ "itemIdentifier": number }));
    assert_eq!(serde_json::to_value(&failures).unwrap(), json!({ "batchItemFailures": expected }));
    assert_eq!([tables.left("a").await, tables.left("b").await], [0, 0]);
    let told: Vec<_> = log.lines().iter().map(|line| line["sequence_number"].clone()).collect();
    assert_eq!(told, [json!("1"), json!("3"), json!("4"), json!("6"), Value::Null, Value::Null]);
}

#[tokio::test]
async fn a_record_without_a_sequence_number_fails_the_batch() {
    let tables = Tables::new().await;
    for nameless in [
        json!({}),
        json!(null),
        json!({ "dynamodb": { "Keys": { "pk": { "S": "client#a" } } } }),
        json!({ "dynamodb": { "SequenceNumber": 1 } }),
    ] {
        let event = event(&[record("1", "b"), nameless.clone()], ALL_THE_TIME);
        let failed = Box::pin(tables.cascade.call(event)).await;
        assert!(matches!(failed, Err(NoSequenceNumber)), "{nameless}");
    }
}

#[tokio::test]
async fn an_empty_batch_is_no_failure_and_costs_nothing() {
    let tables = Tables::new().await;
    let failures = tables.hand_over(&[]).await;
    assert_eq!(serde_json::to_value(failures).unwrap(), json!({ "batchItemFailures": [] }));
    assert_eq!(tables.take_calls(), [""; 0]);
}

#[tokio::test]
async fn the_record_of_a_deletion_at_any_door_removes_the_clients_grants() {
    let tables = Tables::new().await;
    let mut stream = Stream::of(&tables.fixture).await;
    for door in Door::ALL {
        tables.issue(door.client(), 0..3).await;
    }
    for door in Door::ALL {
        tables.delete(door.client()).await;
        let expected = tables.without(door.client()).await;
        let records = stream.records().await;
        let keys: Vec<_> = records.iter().map(|record| &record["dynamodb"]["Keys"]["pk"]["S"]).collect();
        assert_eq!(keys, [&format!("client#{}", door.client())], "{door:?}");
        assert_eq!(tables.hand_over(&records).await, Failures::default(), "{door:?}");
        assert!(tables.whole().await == expected, "{door:?}");
    }
}

#[tokio::test]
async fn records_of_every_kind_are_understood_and_only_deleted_clients_lose_their_grants() {
    let tables = Tables::new().await;
    let (fixture, store) = (&tables.fixture, tables.fixture.direct());
    let mut stream = Stream::of(fixture).await;
    for client in ["new", CLIENT.0, RFC_CLIENT.0, TARGET] {
        tables.issue(client, 0..3).await;
    }
    store.create_client(&id("new"), &sample::owner()).await.unwrap();
    store.create_service(&id("new"), &Service::default()).await.unwrap();
    for client in [CLIENT.0, RFC_CLIENT.0, TARGET] {
        tables.delete(client).await;
    }
    restore(fixture, TARGET).await;
    // As the time to live does.
    let collect = fixture.sdk.delete_item().table_name(&fixture.table).key("pk", s(&format!("client#{}", CLIENT.0)));
    collect.send().await.unwrap();

    let records = stream.records().await;
    let names: Vec<_> = records.iter().map(|record| record["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["INSERT", "INSERT", "MODIFY", "MODIFY", "MODIFY", "MODIFY", "REMOVE"]);
    assert_eq!(tables.hand_over(&records).await, Failures::default());
    for (client, left) in [("new", 3), (CLIENT.0, 0), (RFC_CLIENT.0, 0), (TARGET, 3)] {
        assert_eq!(tables.left(client).await, left, "{client}");
    }
}

#[tokio::test]
async fn a_clients_line_says_what_became_of_its_grants_and_nothing_of_what_they_were() {
    let tables = Tables::new().await;
    tables.issue(TARGET, 0..3).await;
    tables.issue(RFC_CLIENT.0, 0..26).await;
    for client in [TARGET, RFC_CLIENT.0] {
        tables.delete(client).await;
    }
    let mut event = event(&[record("1", TARGET), record("2", RFC_CLIENT.0)], ALL_THE_TIME);
    event.context.xray_trace_id = Some("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1".to_owned());
    let invocation = event.context.request_id.clone();
    // Also where the level silences all else.
    let log = Captured::at("ERROR");
    Box::pin(tables.cascade.call(event)).await.unwrap();
    let lines = log.lines();
    assert_eq!(lines.len(), 2);
    for (line, (client, removed, calls)) in lines.iter().zip([(TARGET, 3, 4), (RFC_CLIENT.0, 26, 5)]) {
        for (name, value) in [
            ("level", json!("INFO")),
            ("timestamp", json!("2027-01-15T08:00:00Z")),
            ("service", json!("deregister")),
            ("message", json!("removed a deleted client's grants")),
            ("outcome", json!("removed")),
            ("reason", Value::Null),
            ("client_id", json!(client)),
            ("grants_removed", json!(removed)),
            ("function_request_id", json!(invocation)),
            ("xray_trace_id", json!("1-5759e988-bd862e3fe1be46a994272793")),
            ("database_calls", json!(calls)),
            ("retries", json!(0)),
            ("throttles", json!(0)),
        ] {
            assert_eq!(line[name], value, "{name} in {line}");
        }
        assert!(line["duration_ms"].as_f64() >= line["database_ms"].as_f64(), "{line}");
    }
    for told in [CONTENT, "grant-0"] {
        assert!(!log.text().contains(told));
    }
}

#[tokio::test]
async fn the_line_is_its_own_metrics_in_the_embedded_format() {
    let tables = Tables::new().await;
    tables.issue("a", 0..3).await;
    let log = Captured::at("INFO");
    tables.hand_over(&[record("1", "a")]).await;
    let [line] = log.lines().try_into().unwrap();
    assert_eq!(line["_aws"]["Timestamp"], 1_800_000_000_000_u64);
    let metrics = [("grants_removed", "Count"), ("duration_ms", "Milliseconds")]
        .map(|(name, unit)| json!({ "Name": name, "Unit": unit }));
    let directive = json!({ "Namespace": "deregister", "Dimensions": [["outcome"]], "Metrics": metrics });
    assert_eq!(line["_aws"]["CloudWatchMetrics"], json!([directive]));
    assert!(line["grants_removed"].is_number() && line["duration_ms"].is_number() && line["outcome"].is_string());
}

#[tokio::test]
async fn a_table_of_grants_is_opened_by_one_call_and_refused_unless_its_partition_key_is_a_string() {
    let fixture = Fixture::empty().await;
    create_table(&fixture, "good", &[("id", ScalarAttributeType::S), ("at", ScalarAttributeType::N)]).await;
    create_table(&fixture, "number", &[("id", ScalarAttributeType::N), ("client", ScalarAttributeType::S)]).await;
    create_table(&fixture, "binary", &[("id", ScalarAttributeType::B)]).await;
    let open = async |table: &str| {
        let config = fixture.sdk.config().to_builder().http_client(fixture.wire.clone());
        let opened = Grants::open(config, table, EXPIRES_AT).await;
        assert_eq!(fixture.wire.take_calls(), ["DescribeTable"], "{table}");
        opened.map(|grants| grants.table().to_owned()).map_err(|fault| fault.to_string())
    };
    assert_eq!(open("good").await, Ok("good".to_owned()));
    for table in ["number", "binary"] {
        let sentence = format!("the partition key of the table {table} is no string, as a client id is");
        assert_eq!(open(table).await, Err(format!("the database call failed: {sentence}")));
    }
    assert!(open("missing").await.unwrap_err().contains("ResourceNotFoundException"));
}

/// A content so large that two grants with it fill a page of DynamoDB's.
fn large() -> String {
    "x".repeat(390_000)
}

/// Issues grants with this content and each of these ends to the client.
async fn issue_until(tables: &Tables, client: &str, content: &str, ends: &[Option<u64>]) {
    for (number, end) in ends.iter().enumerate() {
        let mut item = key(tables.keys, client, number);
        item.insert("content".to_owned(), s(content));
        item.extend(end.map(|end| (EXPIRES_AT.to_owned(), AttributeValue::N(end.to_string()))));
        let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
        write(&tables.fixture, vec![WriteRequest::builder().put_request(put).build()]).await;
    }
    tables.take_calls();
}

#[tokio::test]
async fn grants_are_counted_up_to_the_bound_and_no_further() {
    let tables = Tables::new().await;
    tables.issue("a", 0..5).await;
    tables.issue("ab", 0..5).await;
    issue_until(&tables, "large", &large(), &[None; 5]).await;
    for (client, bound, counted, calls) in [
        ("nobody", 0, 0, 1),
        ("nobody", 10, 0, 1),
        ("a", 0, 1, 1),
        ("a", 3, 4, 1),
        ("a", 4, 5, 1),
        ("a", 5, 5, 1),
        ("a", usize::MAX, 5, 1),
        ("large", 1, 2, 1),
        ("large", 4, 5, 3),
        ("large", 100, 5, 3),
    ] {
        let meter = Meter::default();
        assert_eq!(tables.grants.count(&id(client), bound, &meter).await, Ok(counted), "{client} {bound}");
        assert_eq!(tables.take_calls(), vec!["Query"; calls], "{client} {bound}");
        assert_eq!(usize::try_from(meter.tries()), Ok(calls));
    }
}

#[tokio::test]
async fn a_grant_without_an_end_or_with_one_in_the_future_is_live_and_one_that_ends_this_second_is_not() {
    let tables = Tables::new().await;
    let seconds = now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for (client, ends, live) in [
        ("nobody", vec![], false),
        ("without", vec![None], true),
        ("future", vec![Some(seconds + 1)], true),
        ("now", vec![Some(seconds)], false),
        ("past", vec![Some(seconds - 1), Some(0)], false),
        ("both", vec![Some(0), Some(seconds), None], true),
    ] {
        issue_until(&tables, client, CONTENT, &ends).await;
        assert_eq!(tables.grants.is_any_live(&id(client), now()).await, Ok(live), "{client}");
        assert_eq!(tables.take_calls(), ["Query"], "{client}");
    }
}

#[tokio::test]
async fn a_live_grant_is_found_behind_pages_of_grants_that_have_ended_and_none_is_looked_for_behind_it() {
    let tables = Tables::new().await;
    let ended = [Some(0); 5];
    for (client, ends, live, calls) in [
        ("none", &ended[..], false, 3),
        ("last", &[&ended[..], &[None]].concat(), true, 3),
        ("first", &[&[None], &ended[..]].concat(), true, 1),
    ] {
        issue_until(&tables, client, &large(), ends).await;
        assert_eq!(tables.grants.is_any_live(&id(client), now()).await, Ok(live), "{client}");
        assert_eq!(tables.take_calls(), vec!["Query"; calls], "{client}");
    }
}

#[tokio::test]
async fn a_grant_whose_end_cannot_be_read_is_live() {
    let tables = Tables::new().await;
    for (n, end) in
        [s("2030-01-01T00:00:00Z"), AttributeValue::Null(true), AttributeValue::Bool(true)].into_iter().enumerate()
    {
        let client = format!("c{n}");
        let mut item = key(tables.keys, &client, 0);
        item.insert(EXPIRES_AT.to_owned(), end.clone());
        let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
        write(&tables.fixture, vec![WriteRequest::builder().put_request(put).build()]).await;
        let live = tables.grants.is_any_live(&id(&client), now()).await;
        assert_eq!(live, Ok(true), "{end:?}");
    }
}

#[tokio::test]
async fn an_answer_without_items_is_no_end() {
    let tables = Tables::new().await;
    tables.issue("a", 0..3).await;
    tables.fixture.wire.plan("Query", wire::Fault::Answer(200, "{}".to_owned()));
    assert_eq!(tables.hand_over(&[record("1", "a")]).await, Failures::default());
    assert_eq!(tables.take_calls(), ["Query", "Query", "GetItem", "BatchWriteItem", "Query"]);
    assert_eq!(tables.left("a").await, 0);
}

#[tokio::test]
async fn an_empty_page_with_more_behind_it_is_no_end() {
    let tables = Tables::new().await;
    tables.issue("a", 0..3).await;
    let page = r#"{"Items":[],"Count":0,"ScannedCount":0,"LastEvaluatedKey":{"client_id":{"S":"a"},"grant_id":{"S":"grant-00000"}}}"#;
    tables.fixture.wire.plan("Query", wire::Fault::Answer(200, page.to_owned()));
    let failed = tables.hand_over(&[record("1", "a")]).await;
    assert_eq!((numbers(&failed), tables.left("a").await), (vec![], 0));
}
