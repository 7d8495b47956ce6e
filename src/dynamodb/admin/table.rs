//! Creates the clients table, and adds what an existing table lacks.

use super::Creation;
use crate::{
    dynamodb::{
        ClientsTable,
        call::{fault, not_built},
        schema,
    },
    store::{CallStatistics, Fault},
};
use aws_sdk_dynamodb::{
    operation::create_table::CreateTableError,
    types::{
        AttributeDefinition, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex, GlobalSecondaryIndexUpdate,
        TableDescription, TableStatus, TimeToLiveStatus,
    },
};
use std::time::Duration;

/// How often a new table is polled until it is active, and the time between two polls.
const MAX_POLLS: u32 = 120;
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// What [`repair_table`](ClientsTable::repair_table) added to a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repairs {
    /// The time to live.
    pub time_to_live: bool,
    /// The index of idle clients. DynamoDB fills it in the background.
    pub index: bool,
}

impl ClientsTable {
    /// Creates the table, waits until it is active, and enables its time to live. Returns [`Creation::Taken`] if the
    /// table exists, unless an earlier attempt of this call created it and the answer was lost.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn create_table(&self) -> Result<Creation, Fault> {
        let definition = schema::definition(self.name()).map_err(not_built)?;
        let create = self
            .sdk()
            .create_table()
            .set_table_name(definition.table_name)
            .set_attribute_definitions(definition.attribute_definitions)
            .set_key_schema(definition.key_schema)
            .set_global_secondary_indexes(definition.global_secondary_indexes)
            .set_billing_mode(definition.billing_mode);
        let (created, statistics) = CallStatistics::of_call(Box::pin(create.send())).await;
        match created {
            Ok(_) => {
                self.wait_until_active().await?;
            }
            Err(error) if matches!(error.as_service_error(), Some(CreateTableError::ResourceInUseException(_))) => {
                // A table that an earlier attempt created lacks its time to live, and nothing else.
                let created = Repairs { time_to_live: true, index: false };
                if statistics.ambiguous == 0 || self.missing().await? != created {
                    return Ok(Creation::Taken);
                }
            }
            Err(error) => return Err(fault(&error)),
        }
        self.enable_time_to_live().await?;
        Ok(Creation::Done)
    }

    /// Adds what the table lacks, and returns what it added. The time to live is missing if the creation was
    /// interrupted. The index is missing if an earlier version created the table. A table with another key is not
    /// changed.
    ///
    /// # Errors
    /// [`Fault`] if the database fails. The time to live may already be enabled then.
    pub async fn repair_table(&self) -> Result<Repairs, Fault> {
        let missing = self.missing().await?;
        if missing.time_to_live {
            self.enable_time_to_live().await?;
        }
        if missing.index {
            let definition = schema::definition(self.name()).map_err(not_built)?;
            self.add_indexes(definition.global_secondary_indexes, definition.attribute_definitions).await?;
        }
        Ok(missing)
    }

    /// What the table lacks. Waits until it is active.
    async fn missing(&self) -> Result<Repairs, Fault> {
        let definition = schema::definition(self.name()).map_err(not_built)?;
        let found = self.wait_until_active().await?;
        if found.key_schema != definition.key_schema {
            return Ok(Repairs::default());
        }
        Ok(Repairs { time_to_live: !self.has_time_to_live().await?, index: !has_index(&found) })
    }

    async fn has_time_to_live(&self) -> Result<bool, Fault> {
        let described = self.sdk().describe_time_to_live().table_name(self.name()).send().await;
        let described = described.map_err(|error| fault(&error))?.time_to_live_description;
        let status = described.and_then(|description| description.time_to_live_status);
        Ok(status.is_some_and(|status| status != TimeToLiveStatus::Disabled))
    }

    async fn describe(&self) -> Result<Option<TableDescription>, Fault> {
        let described = self.sdk().describe_table().table_name(self.name()).send().await;
        Ok(described.map_err(|error| fault(&error))?.table)
    }

    async fn add_indexes(
        &self,
        indexes: Option<Vec<GlobalSecondaryIndex>>,
        attributes: Option<Vec<AttributeDefinition>>,
    ) -> Result<(), Fault> {
        let creation = |index: GlobalSecondaryIndex| {
            let create = CreateGlobalSecondaryIndexAction::builder()
                .index_name(index.index_name)
                .set_key_schema(Some(index.key_schema))
                .set_projection(index.projection)
                .build();
            create.map(|create| GlobalSecondaryIndexUpdate::builder().create(create).build())
        };
        let creations: Result<Vec<_>, _> = indexes.into_iter().flatten().map(creation).collect();
        let update = self
            .sdk()
            .update_table()
            .table_name(self.name())
            .set_attribute_definitions(attributes)
            .set_global_secondary_index_updates(Some(creations.map_err(not_built)?));
        let Err(error) = update.send().await else { return Ok(()) };
        // DynamoDB refuses an index that is there already. Then an earlier attempt of this call added it.
        let is_added = self.describe().await.is_ok_and(|table| table.as_ref().is_some_and(has_index));
        if is_added { Ok(()) } else { Err(fault(&error)) }
    }

    async fn enable_time_to_live(&self) -> Result<(), Fault> {
        let time_to_live = schema::time_to_live().map_err(not_built)?;
        let update = self.sdk().update_time_to_live().table_name(self.name()).time_to_live_specification(time_to_live);
        let Err(error) = update.send().await else { return Ok(()) };
        // DynamoDB refuses to enable what is enabled. Then an earlier attempt of this call enabled it.
        if self.has_time_to_live().await == Ok(true) { Ok(()) } else { Err(fault(&error)) }
    }

    async fn wait_until_active(&self) -> Result<TableDescription, Fault> {
        for _ in 0..MAX_POLLS {
            let is_active = |table: &TableDescription| table.table_status == Some(TableStatus::Active);
            if let Some(table) = self.describe().await?.filter(is_active) {
                return Ok(table);
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        Err(Fault::Unavailable("the table did not become active".to_owned()))
    }
}

fn has_index(table: &TableDescription) -> bool {
    table.global_secondary_indexes().iter().any(|index| index.index_name() == Some(schema::IDLE))
}
