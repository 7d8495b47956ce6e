//! The background functions: the cascade on the clients table's stream, with a grants table, and the sweep.
//!
//! On AWS, Lambda reads the stream's many shards, and sends records that fail for long to a queue. Here the stream has
//! one shard, and this process polls it, beginning with the next change. A batch with a failed record is delivered
//! again until it succeeds. The records are those of Lambda, without `eventSourceARN`.

use crate::{
    front::invocation,
    sample::{CLIENT, IDLE_CLIENT, RFC_CLIENT},
};
use aws_sdk_dynamodb::config;
use deregister::{
    dynamodb::{ClientsTable, GrantsTable},
    functions::{self, Environment, sweep::Report},
    settings,
    store::Fault,
};
use dynoxide::{Database, DynoxideError, actions::get_records::GetRecordsRequest, streams};
use lambda_http::{Error, LambdaEvent};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

/// The functions over the local tables.
pub(crate) type Cascade = functions::Cascade<ClientsTable, GrantsTable>;
pub(crate) type Sweep = functions::Sweep<ClientsTable, GrantsTable>;

/// The grants table.
pub(crate) const GRANTS: &str = "grants";
/// Its index by client, in that layout.
const INDEX: &str = "client";
/// The index of the embedded database has no lag. The cascade waits as if it had.
const INDEX_LAG: Duration = Duration::from_secs(2);
/// The attribute with the time at which a grant ends.
const EXPIRES_AT: &str = "expires_at";

/// The sample grants: the client, the id of the grant, and the hours until its end.
const SAMPLES: [(&str, &str, u64); 5] = [
    (RFC_CLIENT.0, "consent", 365 * 24),
    (RFC_CLIENT.0, "refresh-token-1", 30 * 24),
    (RFC_CLIENT.0, "access-token-1", 1),
    (CLIENT.0, "refresh-token-1", 30 * 24),
    (IDLE_CLIENT, "consent", 365 * 24),
];

/// The time-out of an invocation.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The time between two reads of the stream. Lambda polls as often.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// The time between two runs of the sweep.
const SWEEP_INTERVAL: Duration = Duration::from_mins(1);

/// What the transcript needs of the background functions.
pub(crate) struct Background {
    pub(crate) grants: GrantsTable,
    pub(crate) trigger: Trigger,
    pub(crate) sweep: Sweep,
}

/// The layout of the grants table.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Layout {
    /// The partition key is the client id.
    ByClient,
    /// The key is the id of the grant, and an index has the client id.
    ByIndex,
}

/// Opens the grants table, as an authorization server might have it. If there is none, creates one, with or without the
/// samples.
pub(crate) async fn open_grants(
    database: &Database,
    config: config::Builder,
    layout: Layout,
    samples: bool,
) -> Result<GrantsTable, Error> {
    let attribute = |name| json!({ "AttributeName": name, "AttributeType": "S" });
    let key = |name, role| json!({ "AttributeName": name, "KeyType": role });
    let by_client = json!([key("client_id", "HASH"), key("grant_id", "RANGE")]);
    let mut settings = settings::Grants {
        table: GRANTS.to_owned(),
        index: None,
        key_prefix: String::new(),
        index_lag: INDEX_LAG,
        expires_at: EXPIRES_AT.to_owned(),
    };
    let definition = if layout == Layout::ByClient {
        json!({
            "TableName": GRANTS,
            "AttributeDefinitions": [attribute("client_id"), attribute("grant_id")],
            "KeySchema": by_client,
            "BillingMode": "PAY_PER_REQUEST",
        })
    } else {
        settings.index = Some(INDEX.to_owned());
        json!({
            "TableName": GRANTS,
            "AttributeDefinitions": [attribute("id"), attribute("client_id"), attribute("grant_id")],
            "KeySchema": [key("id", "HASH")],
            "GlobalSecondaryIndexes": [{
                "IndexName": INDEX,
                "KeySchema": by_client,
                "Projection": { "ProjectionType": "INCLUDE", "NonKeyAttributes": [EXPIRES_AT] },
            }],
            "BillingMode": "PAY_PER_REQUEST",
        })
    };
    match database.create_table(serde_json::from_value(definition)?) {
        Ok(_) if samples => write_grants(database)?,
        Ok(_) | Err(DynoxideError::ResourceInUseException(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(GrantsTable::open(config, settings).await?.require_expiry()?)
}

fn write_grants(database: &Database) -> Result<(), Error> {
    for (client, grant, hours) in SAMPLES {
        let end = (super::now() + Duration::from_hours(hours)).duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let item = json!({
            "id": { "S": format!("{client} {grant}") },
            "client_id": { "S": client },
            "grant_id": { "S": grant },
            EXPIRES_AT: { "N": end.to_string() },
        });
        database.put_item(serde_json::from_value(json!({ "TableName": GRANTS, "Item": item }))?)?;
    }
    Ok(())
}

/// The trigger of the cascade: it reads the clients table's stream as `template.yaml` configures Lambda.
pub(crate) struct Trigger {
    database: Database,
    cascade: Cascade,
    position: String,
}

impl Trigger {
    /// Switches the stream on if it is off. The first record will be the next change of the table.
    pub(crate) fn new(database: Database, store: ClientsTable, grants: GrantsTable) -> Result<Self, Error> {
        let table = store.name().to_owned();
        let stream = || -> Result<_, Error> {
            let listed = database.list_streams(serde_json::from_value(json!({ "TableName": table }))?)?;
            Ok(listed.streams.into_iter().next())
        };
        if stream()?.is_none() {
            let switch_on = json!({
                "TableName": table,
                "StreamSpecification": { "StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES" },
            });
            database.update_table(serde_json::from_value(switch_on)?)?;
        }
        let end = json!({
            "StreamArn": stream()?.ok_or("the table has no stream")?.stream_arn,
            "ShardId": streams::shard_id(&table),
            "ShardIteratorType": "LATEST",
        });
        let position = database.get_shard_iterator(serde_json::from_value(end)?)?.shard_iterator;
        let position = position.ok_or("the stream has no shard")?;
        Ok(Self {
            database,
            cascade: functions::Cascade::new(store, grants, super::now, Environment::default()),
            position,
        })
    }

    /// Invokes the cascade with the new deletions, as one batch. Returns whether it is done with all of them. If not,
    /// the next call delivers them again.
    pub(crate) async fn pull(&mut self) -> Result<bool, Error> {
        let request = GetRecordsRequest { shard_iterator: self.position.clone(), limit: None };
        let page = self.database.get_records(request)?;
        let mut records = page.records.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
        records.retain(is_listened_to);
        if !records.is_empty() {
            let batch = serde_json::from_value(json!({ "Records": records }))?;
            let response = self.cascade.call(LambdaEvent::new(batch, invocation(TIMEOUT))).await?;
            if !response.batch_item_failures.is_empty() {
                return Ok(false);
            }
        }
        self.position = page.next_shard_iterator.ok_or("the stream has ended")?;
        Ok(true)
    }

    /// Polls the stream until the process ends.
    pub(crate) async fn run(mut self) {
        let mut polls = tokio::time::interval(POLL_INTERVAL);
        loop {
            polls.tick().await;
            if let Err(error) = self.pull().await {
                eprintln!("local: the stream cannot be read: {error}");
            }
        }
    }
}

/// The filter of the event source in `template.yaml`: a live client became a tombstone, or an id is blocked.
fn is_listened_to(record: &Value) -> bool {
    let has = |pointer| record.pointer(pointer).is_some();
    has("/dynamodb/OldImage/client") && has("/dynamodb/NewImage/deleted") || has("/dynamodb/NewImage/deleted/M/blocked")
}

/// Runs the sweep once.
pub(crate) async fn sweep_once(sweep: &Sweep) -> Result<Report, Fault> {
    sweep.call(LambdaEvent::new(IgnoredAny, invocation(TIMEOUT))).await
}

/// Runs the sweep until the process ends. The log has the report of each run.
pub(crate) async fn sweep_on_schedule(sweep: Sweep) {
    let mut schedule = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        schedule.tick().await;
        let _ = sweep_once(&sweep).await;
    }
}
