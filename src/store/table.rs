//! The table: its definition, and the names of its attributes.
//!
//! | item | attributes |
//! |---|---|
//! | `client#<client id>`, live | `client`; `idle`, `idle_since` where its use is kept track of; `history` (its deletions that were undone) where there were any |
//! | `client#<client id>`, deleted | `tombstone` (the `client` that was), `deleted` (the record of it), `expires_at`; `history` |
//! | `service#<service id>` | `service` |
//! | `token#<SHA-256 digest in hexadecimal digits>` | `token`, `expires_at` where it expires |
//!
//! Whoever else reads the table must look for `client` alone: a deleted client has none.

use aws_sdk_dynamodb::{
    error::BuildError,
    operation::create_table::CreateTableInput,
    types::{
        AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection, ProjectionType,
        ScalarAttributeType, TimeToLiveSpecification,
    },
};

/// The partition key, a string.
pub const KEY: &str = "pk";
/// The time to live, in seconds since the epoch. It only collects garbage: expiry is always checked against the clock.
pub const EXPIRES_AT: &str = "expires_at";
/// A live client.
pub const CLIENT: &str = "client";
/// The client that a deleted one was.
pub const TOMBSTONE: &str = "tombstone";
/// The record of a deletion.
pub const DELETED: &str = "deleted";
/// The deletions of a client that were undone, a list with the latest at its end. No door reads it.
pub const HISTORY: &str = "history";
/// Which list of idle clients a live client stands in: `unused#` or `used#`, and the first hexadecimal digit of the
/// SHA-256 digest of its id. It is the partition key of the index of the same name, which has the keys alone; one list
/// would be one partition, and bound how often clients can be used.
pub const IDLE: &str = "idle";
/// Since when it is idle, in seconds since the epoch: the sort key of that index.
pub const IDLE_SINCE: &str = "idle_since";

/// The table's definition, under this name.
///
/// # Errors
/// None in practice: every required member is set.
pub fn definition(name: &str) -> Result<CreateTableInput, BuildError> {
    CreateTableInput::builder()
        .table_name(name)
        .attribute_definitions(attribute(KEY, ScalarAttributeType::S)?)
        .attribute_definitions(attribute(IDLE, ScalarAttributeType::S)?)
        .attribute_definitions(attribute(IDLE_SINCE, ScalarAttributeType::N)?)
        .key_schema(key(KEY, KeyType::Hash)?)
        .global_secondary_indexes(
            GlobalSecondaryIndex::builder()
                .index_name(IDLE)
                .key_schema(key(IDLE, KeyType::Hash)?)
                .key_schema(key(IDLE_SINCE, KeyType::Range)?)
                .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build())
                .build()?,
        )
        .billing_mode(BillingMode::PayPerRequest)
        .build()
}

fn attribute(name: &str, kind: ScalarAttributeType) -> Result<AttributeDefinition, BuildError> {
    AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build()
}

fn key(name: &str, kind: KeyType) -> Result<KeySchemaElement, BuildError> {
    KeySchemaElement::builder().attribute_name(name).key_type(kind).build()
}

/// The table's time to live.
///
/// # Errors
/// None in practice: every required member is set.
pub fn time_to_live() -> Result<TimeToLiveSpecification, BuildError> {
    TimeToLiveSpecification::builder().attribute_name(EXPIRES_AT).enabled(true).build()
}
