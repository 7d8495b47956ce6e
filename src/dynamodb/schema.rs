//! The clients table: its definition, and the names of its attributes.
//!
//! | item | attributes |
//! |---|---|
//! | `client#<client id>`, live | `client`; `idle`, `idle_since` if its use is tracked; `notice` if the sweep has announced its deletion; `history` if it was restored or revoked (its past deletions, and its revocations); `restored` if it was restored |
//! | `client#<client id>`, deleted | `tombstone` (the former `client`), `deleted` (the record of the deletion), `expires_at`; `history`, `restored` |
//! | `client#<client id>`, blocked | `deleted` with the member `blocked`, `expires_at` (never); `tombstone`, `history` and `restored` if it had a client |
//! | `service#<service id>` | `service` |
//! | `token#<SHA-256 digest in hexadecimal digits>` | `token`; `expires_at` if it expires |
//!
//! Other programs that read the table must look for the attribute `client`: a deleted client has none.

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
/// The time to live, in seconds since the epoch. DynamoDB removes expired items late, so every reader checks the time
/// too.
pub const EXPIRES_AT: &str = "expires_at";
/// A live client.
pub const CLIENT: &str = "client";
/// The client that was deleted.
pub const TOMBSTONE: &str = "tombstone";
/// A service.
pub const SERVICE: &str = "service";
/// The scope of an access token.
pub const TOKEN: &str = "token";
/// The record of a deletion.
pub const DELETED: &str = "deleted";
/// The client's past deletions, a list with the latest at the end.
pub const HISTORY: &str = "history";
/// The record of the latest restoration. The history has it too, as the last element of a list, which an event pipe
/// cannot address.
pub const RESTORED: &str = "restored";
/// The announcement that the sweep will delete the client: `used` and `idle_since` as the rule read them, `sweep_at`,
/// and `metadata`, the announced metadata as the text of a JSON object. A use makes the notice stale.
pub const NOTICE: &str = "notice";
/// The partition of the index of idle clients: `unused#` or `used#`, and the first hexadecimal digit of the SHA-256
/// digest of the client's id. It is the partition key of the index of the same name, which projects the keys only.
pub const IDLE: &str = "idle";
/// The time since which the client is idle, in seconds since the epoch: the sort key of that index.
pub const IDLE_SINCE: &str = "idle_since";

/// The definition of the table with this name.
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
