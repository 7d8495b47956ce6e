//! Grants by an index: the table's key is the id of the grant, and the index lags behind the table.

use super::{
    EXPIRES_AT, MAX_DURATION, Tables, all_done, by_client, deletion, event, failed, outcomes, restore, s, scan,
};
use crate::support::{
    Fixture, authorization,
    build::{id, oauth_client},
    log::Captured,
    now,
    random::Random,
    sample::TARGET,
    wire::Fault,
};
use aws_lambda_events::streams::DynamoDbEventResponse;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType as Type,
};
use deregister::{
    dynamodb::{ClientsTable, GrantsTable, item::Item},
    functions::{Cascade, Environment, cascade::PurgeOutcome},
    model::{Deletion, Id},
    settings,
    store::{CallStatistics, ClientStatuses, Fault as StoreFault, Grants, Store},
};
use serde_json::{Value, json};
use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, SystemTime},
};
use tokio::task::JoinSet;

const PREFIX: &str = "CLIENT#";
/// Longer than any pause of the machine between two steps of the cascade.
const LAG: Duration = Duration::from_secs(2);

/// The keys of a grants table, and its index: a client id, and a sort key or none.
struct Layout {
    keys: &'static [(&'static str, Type)],
    index: &'static [(&'static str, Type)],
    prefix: &'static str,
}

const BY_ID: Layout = Layout { keys: &[("id", Type::S)], index: &[("client_id", Type::S)], prefix: "" };

/// The sample clients, a grants table with an index, and the cascade over both. The grants go over the fixture's wire.
struct Indexed {
    fixture: Fixture,
    layout: Layout,
    settings: settings::Grants,
    grants: GrantsTable,
    cascade: Cascade<ClientsTable, GrantsTable>,
}

impl Indexed {
    async fn new(lag: Duration) -> Self {
        Self::with(BY_ID, lag).await
    }

    async fn with(layout: Layout, index_lag: Duration) -> Self {
        let fixture = Fixture::with_samples().await;
        create_table(&fixture, "grants", &layout, ProjectionType::KeysOnly).await;
        let (index, key_prefix) = (Some("by-client".to_owned()), layout.prefix.to_owned());
        let settings = settings::Grants { index, key_prefix, index_lag, ..by_client() };
        let config = fixture.sdk.config().to_builder().http_client(fixture.wire.clone());
        let grants = GrantsTable::open(config, settings.clone()).await.unwrap();
        let cascade = Cascade::new(fixture.clients.clone(), grants.clone(), now, Environment::default());
        fixture.wire.take_calls();
        Self { fixture, layout, settings, grants, cascade }
    }

    /// The grant with this number, of this client.
    fn grant(&self, client: &str, number: usize) -> Item {
        let value = |name: &str, kind: &Type| match kind {
            _ if name == self.layout.index[0].0 => s(&[self.layout.prefix, client].concat()),
            Type::N => AttributeValue::N(number.to_string()),
            _ => s(&format!("{client} {number:05}")),
        };
        let attributes = self.layout.keys.iter().chain(self.layout.index);
        attributes.map(|(name, kind)| ((*name).to_owned(), value(name, kind))).collect()
    }

    async fn put(&self, grant: Item) {
        self.fixture.sdk.put_item().table_name("grants").set_item(Some(grant)).send().await.unwrap();
    }

    async fn issue(&self, client: &str, grants: std::ops::Range<usize>) {
        for number in grants {
            self.put(self.grant(client, number)).await;
        }
    }

    async fn items(&self) -> Vec<Item> {
        let keys: Vec<_> = self.layout.keys.iter().map(|(name, _)| *name).collect();
        scan(&self.fixture, "grants", &keys).await
    }

    async fn items_of(&self, client: &str) -> Vec<Item> {
        let mut items = self.items().await;
        items.retain(|item| item[self.layout.index[0].0] == s(&[self.layout.prefix, client].concat()));
        items
    }

    async fn deliver(&self, records: &[Value]) -> DynamoDbEventResponse {
        Box::pin(self.cascade.call(event(MAX_DURATION, records))).await.unwrap()
    }

    fn take_calls(&self) -> Vec<String> {
        self.fixture.wire.take_calls()
    }

    /// Deletes [`TARGET`], without the wire.
    async fn delete(&self) {
        let (clients, target) = (self.fixture.direct(), id(TARGET));
        clients.write_tombstone(&authorization(&clients, &target, &[]).await, &record()).await.unwrap();
    }
}

/// The answer of the index with these grants, on its last page.
fn page(grants: impl IntoIterator<Item = Item>) -> Fault {
    let key = |grant: Item| json!({ "id": { "S": grant["id"].as_s().unwrap() } });
    let keys: Vec<Value> = grants.into_iter().map(key).collect();
    Fault::Answer(200, json!({ "Items": keys, "Count": keys.len(), "ScannedCount": keys.len() }).to_string())
}

fn record() -> Deletion {
    Deletion {
        at: now(),
        by: "operator#jane".to_owned(),
        via: "deregisterctl".to_owned(),
        source_ip: None,
        request_id: "request-of-a-test".to_owned(),
        lacks: Vec::new(),
        blocked: None,
    }
}

async fn create_table(fixture: &Fixture, table: &str, layout: &Layout, projection: ProjectionType) {
    let schema = |keys: &[(&str, Type)]| -> Vec<_> {
        let key = |(name, role): (&(&str, Type), KeyType)| {
            KeySchemaElement::builder().attribute_name(name.0).key_type(role).build().unwrap()
        };
        keys.iter().zip([KeyType::Hash, KeyType::Range]).map(key).collect()
    };
    let included = (projection == ProjectionType::Include).then(|| vec![EXPIRES_AT.to_owned()]);
    let projection = Projection::builder().projection_type(projection).set_non_key_attributes(included).build();
    let index = GlobalSecondaryIndex::builder().index_name("by-client").set_key_schema(Some(schema(layout.index)));
    let mut attributes: Vec<_> = layout.keys.iter().chain(layout.index).cloned().collect();
    attributes.dedup_by_key(|(name, _)| *name);
    let attribute = |(name, kind): (&str, Type)| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap()
    };
    let create = fixture.sdk.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
    let create = create.set_attribute_definitions(Some(attributes.into_iter().map(attribute).collect()));
    let create = create.set_key_schema(Some(schema(layout.keys)));
    create.global_secondary_indexes(index.projection(projection).build().unwrap()).send().await.unwrap();
}

#[tokio::test]
async fn opening_requires_the_index_and_a_string_as_its_key_and_the_sweep_requires_the_end_of_a_grant() {
    const NUMBER: Layout = Layout { keys: &[("id", Type::S)], index: &[("client_id", Type::N)], prefix: "" };
    const ENDS: Layout =
        Layout { keys: &[("id", Type::S)], index: &[("client_id", Type::S), (EXPIRES_AT, Type::N)], prefix: "" };
    let fixture = Fixture::empty().await;
    let open = async |table: &str, index: &str| {
        let index = (!index.is_empty()).then(|| index.to_owned());
        let settings = settings::Grants { table: table.to_owned(), index, ..by_client() };
        GrantsTable::open(fixture.sdk.config().to_builder(), settings).await
    };
    for (table, layout, projection) in [
        ("keys-only", &BY_ID, ProjectionType::KeysOnly),
        ("include", &BY_ID, ProjectionType::Include),
        ("all", &BY_ID, ProjectionType::All),
        ("number", &NUMBER, ProjectionType::All),
        ("ends", &ENDS, ProjectionType::KeysOnly),
    ] {
        create_table(&fixture, table, layout, projection).await;
    }
    for table in ["include", "all"] {
        assert!(open(table, "by-client").await.unwrap().require_expiry().is_ok(), "{table}");
    }
    let keys_only = open("keys-only", "by-client").await.unwrap();
    let ends = open("ends", "by-client").await.unwrap();
    let must = "must project ttl, the end of a grant, and not have it as a key";
    for (why, fault) in [
        (&*format!("the index by-client of the table keys-only {must}"), keys_only.require_expiry()),
        (&*format!("the index by-client of the table ends {must}"), ends.require_expiry()),
        (
            "the table all has indexes, and its key is one attribute, so GRANTS_INDEX must name the index by client id",
            open("all", "").await,
        ),
        ("the table all has no global secondary index other", open("all", "other").await),
        (
            "the partition key of the index by-client of the table number must be a string, the client id",
            open("number", "by-client").await,
        ),
    ] {
        assert_eq!(fault.unwrap_err().to_string(), format!("the database call failed: {why}"));
    }
}

/// While an index is being created, queries fail or do not find every grant.
#[tokio::test]
async fn an_index_that_is_being_created_makes_the_table_unavailable() {
    let tables = Indexed::new(Duration::ZERO).await;
    for (status, backfilling, opens) in [
        ("ACTIVE", json!(null), true),
        ("UPDATING", json!(false), true),
        ("CREATING", json!(false), false),
        ("CREATING", json!(true), false),
        ("UPDATING", json!(true), false),
        ("DELETING", json!(null), false),
    ] {
        let key = json!([{ "AttributeName": "client_id", "KeyType": "HASH" }]);
        let index = json!({
            "IndexName": "by-client", "KeySchema": key, "IndexStatus": status, "Backfilling": backfilling,
        });
        let description = json!({ "Table": {
            "AttributeDefinitions": [{ "AttributeName": "client_id", "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
            "GlobalSecondaryIndexes": [index],
        } });
        tables.fixture.wire.plan("DescribeTable", Fault::Answer(200, description.to_string()));
        let config = tables.fixture.sdk.config().to_builder().http_client(tables.fixture.wire.clone());
        match GrantsTable::open(config, tables.settings.clone()).await {
            Ok(_) => assert!(opens, "{status} {backfilling}"),
            Err(fault) => {
                let why = "the index by-client of the table grants is being created or deleted";
                assert_eq!((fault, opens), (StoreFault::Unavailable(why.to_owned()), false), "{status} {backfilling}");
            }
        }
    }
}

#[tokio::test]
async fn removes_all_grants_of_the_client_and_no_others_in_any_layout() {
    for layout in [
        BY_ID,
        Layout { prefix: PREFIX, ..BY_ID },
        Layout { keys: &[("number", Type::N)], index: &[("token", Type::S), ("dynamic", Type::S)], prefix: "" },
        Layout { keys: &[("pk", Type::S), ("sk", Type::N)], index: &[("#client", Type::S)], prefix: PREFIX },
    ] {
        let by_number = layout.keys[0].0 == "number";
        let tables = Indexed::with(layout, Duration::ZERO).await;
        let ids = ["a", "A", "ab", "client#a", "CLIENT#a", " a", "\u{1f980}"];
        for (position, client) in ids.iter().enumerate() {
            let first = if by_number { position * 3 } else { 0 };
            tables.issue(client, first..first + 3).await;
        }
        for (deleted, client) in ids.iter().enumerate() {
            assert_eq!(tables.items_of(client).await.len(), 3);
            let mut expected = tables.items().await;
            let of_client = tables.items_of(client).await;
            expected.retain(|item| !of_client.contains(item));
            assert_eq!(expected.len(), 3 * (ids.len() - deleted - 1), "{client}");
            assert_eq!(tables.deliver(&[deletion("1", client)]).await, all_done(), "{client}");
            assert!(tables.items().await == expected, "{client}");
        }
    }
}

#[tokio::test]
async fn a_prefix_precedes_the_client_id_in_the_partition_key_of_a_table() {
    let tables = Tables::new().await;
    tables.issue("a", 0..2).await;
    tables.issue("CLIENT#a", 0..3).await;
    let settings = settings::Grants { key_prefix: PREFIX.to_owned(), ..by_client() };
    let grants = GrantsTable::open(tables.fixture.sdk.config().to_builder(), settings).await.unwrap();
    assert_eq!(grants.count(&id("a"), 10).await, Ok(3));
    let cascade = Cascade::new(tables.fixture.clients.clone(), grants, now, Environment::default());
    let mut removed = 0;
    assert_eq!(cascade.purge(&id("a"), &mut removed).await, Ok(PurgeOutcome::Removed));
    assert_eq!((removed, tables.count("a").await, tables.count("CLIENT#a").await), (3, 2, 0));
}

#[tokio::test]
async fn a_client_id_that_is_too_long_for_a_key_with_the_prefix_has_no_grants() {
    let tables = Indexed::with(Layout { prefix: PREFIX, ..BY_ID }, Duration::ZERO).await;
    let longest = "x".repeat(Id::MAX_BYTES);
    let client = id(&longest);
    for prefix in [PREFIX.to_owned(), "p".repeat(255)] {
        let settings = settings::Grants { key_prefix: prefix, ..tables.settings.clone() };
        let config = tables.fixture.sdk.config().to_builder();
        let grants = GrantsTable::open(config, settings.clone()).await.unwrap();
        let has_room = settings.key_prefix.len() + longest.len() <= 2048;
        let (answers, statistics) = CallStatistics::collect(async {
            let page = grants.page(&client, None).await.unwrap();
            assert!(page.keys.is_empty() && page.next.is_none());
            (grants.count(&client, 1).await, grants.is_any_live(&client, now()).await)
        })
        .await;
        assert_eq!(answers, (Ok(0), Ok(false)), "{}", settings.key_prefix.len());
        assert_eq!(statistics.calls, if has_room { 3 } else { 0 });
    }
}

#[tokio::test]
async fn costs_a_query_a_read_and_a_write_for_each_grant_and_a_second_query_after_the_lag() {
    for (client, grants) in [("none", 0), ("one", 1), ("many", 30)] {
        let tables = Indexed::new(LAG).await;
        tables.issue(client, 0..grants).await;
        tables.issue("other", 0..3).await;
        tables.take_calls();
        let log = Captured::at("INFO");
        assert_eq!(tables.deliver(&[deletion("1", client)]).await, all_done());
        let read = if grants == 0 { vec![] } else { vec!["GetItem"] };
        let expected = [&["Query"], &read[..], &vec!["DeleteItem"; grants], &["Query"]].concat();
        assert_eq!(tables.take_calls(), expected);
        assert_eq!(outcomes(&log), [("removed".to_owned(), grants, expected.len())]);
        assert_eq!((tables.items_of(client).await.len(), tables.items_of("other").await.len()), (0, 3));
    }
}

#[tokio::test]
async fn the_reads_name_the_index_and_each_removal_asserts_the_client() {
    let tables = Indexed::with(Layout { prefix: PREFIX, ..BY_ID }, Duration::ZERO).await;
    tables.issue("a", 0..1).await;
    let last_body = || serde_json::from_str::<Value>(&tables.fixture.wire.last_body()).unwrap();
    let page = tables.grants.page(&id("a"), None).await.unwrap();
    let query = last_body();
    assert_eq!([&query["IndexName"], &query["ConsistentRead"]], [&json!("by-client"), &json!(false)]);
    assert_eq!(query["ExpressionAttributeValues"], json!({ ":client": { "S": "CLIENT#a" } }));
    tables.grants.remove(&id("a"), page.keys, &mut 0).await.unwrap();
    let removal = last_body();
    assert_eq!(removal["Key"], json!({ "id": { "S": "a 00000" } }));
    assert_eq!(removal["ConditionExpression"], "#client = :client");
    assert_eq!(removal["ExpressionAttributeNames"], json!({ "#client": "client_id" }));
    assert_eq!(removal["ExpressionAttributeValues"], query["ExpressionAttributeValues"]);
}

#[tokio::test]
async fn a_grant_that_the_index_does_not_show_at_first_is_removed_after_the_lag() {
    let tables = Indexed::new(LAG).await;
    tables.issue("a", 0..3).await;
    tables.issue("other", 0..3).await;
    tables.fixture.wire.plan("Query", page([tables.grant("a", 1)]));
    assert_eq!(tables.deliver(&[deletion("1", "a"), deletion("2", "none")]).await, all_done());
    assert_eq!((tables.items_of("a").await.len(), tables.items_of("other").await.len()), (0, 3));
}

#[tokio::test]
async fn a_deletion_that_is_older_than_the_lag_is_purged_once() {
    let seconds = now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for (age, passes) in [(0, 2), (2, 2), (4, 1), (3600, 1)] {
        for created in [json!(seconds - age), serde_json::from_str(&format!("{}.5", seconds - age)).unwrap()] {
            let tables = Indexed::new(LAG).await;
            let mut record = deletion("1", "a");
            record["dynamodb"]["ApproximateCreationDateTime"] = created;
            tables.take_calls();
            assert_eq!(tables.deliver(&[record]).await, all_done());
            assert_eq!(tables.take_calls(), vec!["Query"; passes], "{age}");
        }
    }
}

#[tokio::test]
async fn a_grant_that_the_index_still_shows_is_not_counted_and_fails_nothing() {
    let tables = Indexed::new(Duration::ZERO).await;
    tables.issue("a", 0..2).await;
    tables.fixture.wire.plan("Query", page((0..4).map(|number| tables.grant("a", number))));
    let log = Captured::at("INFO");
    assert_eq!(tables.deliver(&[deletion("1", "a")]).await, all_done());
    assert_eq!(outcomes(&log), [("removed".to_owned(), 2, 2 + 4)]);
    assert_eq!(tables.items().await, Vec::<Item>::new());
}

#[tokio::test]
async fn a_grant_that_another_client_has_by_then_survives() {
    let tables = Arc::new(Indexed::new(Duration::ZERO).await);
    tables.issue("a", 0..3).await;
    let moved = Item::from([("id".to_owned(), s("a 00001")), ("client_id".to_owned(), s("b"))]);
    let (server, item) = (Arc::clone(&tables), moved.clone());
    tables.fixture.wire.plan("GetItem", Fault::meanwhile(async move { server.put(item).await }));
    assert_eq!(tables.deliver(&[deletion("1", "a")]).await, all_done());
    assert_eq!(tables.items().await, [moved]);
}

#[tokio::test]
async fn a_client_that_is_restored_before_the_second_pass_keeps_what_is_issued_after_it() {
    let tables = Arc::new(Indexed::new(LAG).await);
    tables.issue(TARGET, 0..3).await;
    tables.delete().await;
    tables.fixture.wire.plan("Query", Fault::meanwhile(async {}));
    let server = Arc::clone(&tables);
    let event = async move {
        let event = async move {
            restore(&server.fixture, TARGET).await;
            server.issue(TARGET, 3..5).await;
        };
        tokio::spawn(event).await.unwrap();
    };
    tables.fixture.wire.plan("Query", Fault::meanwhile(event));
    let log = Captured::at("INFO");
    assert_eq!(tables.deliver(&[deletion("1", TARGET)]).await, all_done());
    assert_eq!(outcomes(&log), [("kept".to_owned(), 3, 7)]);
    assert_eq!(tables.items_of(TARGET).await, [3, 4].map(|number| tables.grant(TARGET, number)));
}

#[tokio::test]
async fn without_time_for_the_second_pass_the_record_is_delivered_again() {
    let tables = Indexed::new(Duration::from_mins(1)).await;
    tables.issue("a", 0..2).await;
    let batch = [deletion("1", "a")];
    let log = Captured::at("INFO");
    // Two seconds of it are reserved for the response.
    let response = Box::pin(tables.cascade.call(event(Duration::from_millis(2_800), &batch))).await.unwrap();
    assert_eq!(failed(&response), ["1"]);
    assert_eq!(outcomes(&log)[0].0, "unfinished");
    assert_eq!(tables.items_of("a").await, Vec::<Item>::new(), "the first pass removes what the index shows");
}

#[tokio::test]
async fn a_call_that_fails_once_is_tried_again() {
    for fault in [
        || Fault::error(400, "ThrottlingException"),
        || Fault::error(500, "InternalServerError"),
        || Fault::Reset,
        || Fault::AnswerLost,
    ] {
        let tables = Indexed::new(Duration::ZERO).await;
        tables.issue("a", 0..3).await;
        tables.fixture.wire.plan("DeleteItem", fault());
        assert_eq!(tables.deliver(&[deletion("1", "a")]).await, all_done());
        assert_eq!(tables.items().await, Vec::<Item>::new());
    }
}

#[tokio::test]
async fn a_permanent_fault_fails_its_own_record_only() {
    let tables = Indexed::new(Duration::ZERO).await;
    for client in ["a", "b", "c"] {
        tables.issue(client, 0..1).await;
    }
    tables.fixture.wire.plan("DeleteItem", Fault::meanwhile(async {}));
    tables.fixture.wire.plan("DeleteItem", Fault::error(400, "AccessDeniedException"));
    let response = tables.deliver(&["a", "b", "c"].map(|client| deletion(client, client))).await;
    assert_eq!(failed(&response), ["b"]);
    assert_eq!(tables.items().await, [tables.grant("b", 0)]);
}

#[tokio::test]
async fn after_ten_runs_that_are_killed_at_random_calls_the_next_run_finishes() {
    let tables = Indexed::new(Duration::ZERO).await;
    tables.issue("a", 0..300).await;
    tables.issue("ab", 0..30).await;
    let (mut random, batch) = (Random::new(), [deletion("1", "a")]);
    for _ in 0..10 {
        tables.take_calls();
        let calls = 1 + random.below(25);
        let (mut run, mut made) = (pin!(tables.deliver(&batch)), 0);
        // The run is dropped at this call, before it sees the answer.
        let killed = poll_fn(|context| {
            let polled = run.as_mut().poll(context).map(|_| false);
            made += tables.take_calls().len();
            if polled.is_pending() && made >= calls { Poll::Ready(true) } else { polled }
        })
        .await;
        assert!(killed, "the run ended");
    }
    assert!(!tables.items_of("a").await.is_empty());
    assert_eq!(tables.deliver(&batch).await, all_done());
    assert_eq!((tables.items_of("a").await.len(), tables.items_of("ab").await.len()), (0, 30));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_grant_outlives_its_client_while_servers_issue_grants() {
    let tables = Arc::new(Indexed::new(Duration::ZERO).await);
    let mut servers = JoinSet::new();
    for server in 0..3 {
        let tables = Arc::clone(&tables);
        servers.spawn(async move {
            for number in server * 1_000.. {
                let grant = tables.grant(TARGET, number);
                tables.put(grant.clone()).await;
                if !tables.fixture.direct().client_status(&id(TARGET)).await.unwrap().is_live() {
                    let withdraw = tables.fixture.sdk.delete_item().table_name("grants");
                    withdraw.key("id", grant["id"].clone()).send().await.unwrap();
                    return number - server * 1_000;
                }
            }
            0
        });
    }
    while tables.items().await.len() < 30 {}
    tables.delete().await;
    assert_eq!(tables.deliver(&[deletion("1", TARGET)]).await, all_done());
    let handed_out: usize = servers.join_all().await.into_iter().sum();
    assert!(handed_out >= 27, "{handed_out}");
    assert_eq!(tables.items().await, Vec::<Item>::new());
}

#[tokio::test]
async fn the_sweep_finds_live_grants_by_the_index_and_the_tool_counts_them() {
    let fixture = Fixture::empty().await;
    fixture.create("a", oauth_client()).await;
    create_table(&fixture, "grants", &BY_ID, ProjectionType::Include).await;
    let settings = settings::Grants { index: Some("by-client".to_owned()), ..by_client() };
    let grants =
        GrantsTable::open(fixture.sdk.config().to_builder(), settings).await.unwrap().require_expiry().unwrap();
    let seconds = now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for (number, end) in [seconds - 1, seconds, seconds + 1].into_iter().enumerate() {
        let put = fixture.sdk.put_item().table_name("grants").item("id", s(&number.to_string()));
        let put = put.item("client_id", s("a")).item(EXPIRES_AT, AttributeValue::N(end.to_string()));
        put.send().await.unwrap();
        assert_eq!(grants.is_any_live(&id("a"), now()).await, Ok(number == 2), "{number}");
        assert_eq!(grants.count(&id("a"), 10).await, Ok(number + 1));
    }
    assert_eq!(grants.is_any_live(&id("b"), now()).await, Ok(false));
}
