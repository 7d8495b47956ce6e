//! The table: its definition, and the names of its attributes.
//!
//! | item | attributes |
//! |---|---|
//! | `client#<client id>`, live | `client`; `history` (its deletions that were undone) where there were any |
//! | `client#<client id>`, deleted | `tombstone` (the `client` that was), `deleted` (the record of it), `expires_at`; `history` |
//! | `service#<service id>` | `service` |
//! | `token#<SHA-256 digest in hexadecimal digits>` | `token`, `expires_at` where it expires |
//!
//! Whoever else reads the table must look for `client` alone: a deleted client has none.

use aws_sdk_dynamodb::{
    error::BuildError,
    operation::create_table::CreateTableInput,
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TimeToLiveSpecification,
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
/// The deletions of a client that were undone, a list with the latest at its end. Only an operator reads it.
pub const HISTORY: &str = "history";

/// The table's definition, under this name.
///
/// # Errors
/// None in practice: every required member is set.
pub fn definition(name: &str) -> Result<CreateTableInput, BuildError> {
    CreateTableInput::builder()
        .table_name(name)
        .attribute_definitions(
            AttributeDefinition::builder().attribute_name(KEY).attribute_type(ScalarAttributeType::S).build()?,
        )
        .key_schema(KeySchemaElement::builder().attribute_name(KEY).key_type(KeyType::Hash).build()?)
        .billing_mode(BillingMode::PayPerRequest)
        .build()
}

/// The table's time to live.
///
/// # Errors
/// None in practice: every required member is set.
pub fn time_to_live() -> Result<TimeToLiveSpecification, BuildError> {
    TimeToLiveSpecification::builder().attribute_name(EXPIRES_AT).enabled(true).build()
}
