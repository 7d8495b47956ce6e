//! What stands behind the doors: a table of grants, the cascade on the clients table's stream, and the sweep.
//!
//! On AWS the stream has many shards, Lambda reads them, and a record that nobody could handle ends in a queue. Here it
//! is one shard, which this process polls, from the moment on that it begins to; and what fails is handed over again,
//! with all that was read with it, until it succeeds. What it reads are Lambda's records, but for `eventSourceARN`.

use crate::{
    front::invocation,
    sample::{CLIENT, IDLE_CLIENT, RFC_CLIENT},
};
use aws_sdk_dynamodb::config;
use deregister::{
    dynamodb::{ClientsTable, GrantsTable},
    functions::{self, Environment, sweep::Report},
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

/// The table of grants.
pub(crate) const GRANTS: &str = "grants";
/// The attribute that says when a grant ends.
const EXPIRES_AT: &str = "expires_at";

/// The sample grants: whose, which, and in how many hours it ends.
const SAMPLES: [(&str, &str, u64); 5] = [
    (RFC_CLIENT.0, "consent", 365 * 24),
    (RFC_CLIENT.0, "refresh-token-1", 30 * 24),
    (RFC_CLIENT.0, "access-token-1", 1),
    (CLIENT.0, "refresh-token-1", 30 * 24),
    (IDLE_CLIENT, "consent", 365 * 24),
];

/// The time that an invocation of the cascade and of the sweep has.
const TIMEOUT: Duration = Duration::from_mins(1);
/// How often the stream is read: as often as Lambda does.
const BETWEEN_POLLS: Duration = Duration::from_millis(250);
/// How often the sweep runs.
const BETWEEN_SWEEPS: Duration = Duration::from_mins(1);

/// All of it, for the transcript.
pub(crate) struct Background {
    pub(crate) grants: GrantsTable,
    pub(crate) trigger: Trigger,
    pub(crate) sweep: Sweep,
}

/// The table of grants, as an authorization server might have it. If it is not there it is created, with the samples or
/// without.
pub(crate) async fn open_grants(
    database: &Database,
    config: config::Builder,
    samples: bool,
) -> Result<GrantsTable, Error> {
    let definition = json!({
        "TableName": GRANTS,
        "AttributeDefinitions": [
            { "AttributeName": "client_id", "AttributeType": "S" },
            { "AttributeName": "grant_id", "AttributeType": "S" },
        ],
        "KeySchema": [
            { "AttributeName": "client_id", "KeyType": "HASH" },
            { "AttributeName": "grant_id", "KeyType": "RANGE" },
        ],
        "BillingMode": "PAY_PER_REQUEST",
    });
    match database.create_table(serde_json::from_value(definition)?) {
        Ok(_) if samples => write_grants(database)?,
        Ok(_) | Err(DynoxideError::ResourceInUseException(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(GrantsTable::open(config, GRANTS, EXPIRES_AT).await?)
}

fn write_grants(database: &Database) -> Result<(), Error> {
    for (client, grant, hours) in SAMPLES {
        let end = (super::now() + Duration::from_hours(hours)).duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
        let item = json!({
            "client_id": { "S": client },
            "grant_id": { "S": grant },
            EXPIRES_AT: { "N": end.to_string() },
        });
        database.put_item(serde_json::from_value(json!({ "TableName": GRANTS, "Item": item }))?)?;
    }
    Ok(())
}

/// What triggers the cascade: the clients table's stream, read as the template has Lambda read it.
pub(crate) struct Trigger {
    database: Database,
    cascade: Cascade,
    position: String,
}

impl Trigger {
    /// Switches the stream on, where it is off, and begins with the next change of the table.
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

    /// Hands the deletions since the last time to the cascade, as one batch. Whether it has handled all of them; else
    /// they are handed over again the next time.
    pub(crate) async fn pull(&mut self) -> Result<bool, Error> {
        let request = GetRecordsRequest { shard_iterator: self.position.clone(), limit: None };
        let page = self.database.get_records(request)?;
        let mut records = page.records.iter().map(serde_json::to_value).collect::<Result<Vec<_>, _>>()?;
        records.retain(is_deletion);
        if !records.is_empty() {
            let batch = serde_json::from_value(json!({ "Records": records }))?;
            let failures = self.cascade.call(LambdaEvent::new(batch, invocation(TIMEOUT))).await?;
            if !failures.batch_item_failures.is_empty() {
                return Ok(false);
            }
        }
        self.position = page.next_shard_iterator.ok_or("the stream has ended")?;
        Ok(true)
    }

    /// Polls the stream for ever.
    pub(crate) async fn run(mut self) {
        let mut polls = tokio::time::interval(BETWEEN_POLLS);
        loop {
            polls.tick().await;
            if let Err(error) = self.pull().await {
                eprintln!("local: the stream cannot be read: {error}");
            }
        }
    }
}

/// The filter of the event source mapping: a live client became a tombstone.
fn is_deletion(record: &Value) -> bool {
    record.get("eventName").is_some_and(|name| name == "MODIFY")
        && record.pointer("/dynamodb/OldImage/client").is_some()
        && record.pointer("/dynamodb/NewImage/deleted").is_some()
}

/// Makes one run of the sweep.
pub(crate) async fn sweep_once(sweep: &Sweep) -> Result<Report, Fault> {
    sweep.call(LambdaEvent::new(IgnoredAny, invocation(TIMEOUT))).await
}

/// Sweeps for ever. How a run ended, its line in the log says.
pub(crate) async fn sweep_on_schedule(sweep: Sweep) {
    let mut schedule = tokio::time::interval(BETWEEN_SWEEPS);
    loop {
        schedule.tick().await;
        let _ = sweep_once(&sweep).await;
    }
}
