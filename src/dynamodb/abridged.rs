//! The tombstone of a nearly full item.
//!
//! An item has at most 400 KB. A tombstone holds the client and the record of its deletion, so it is larger than the
//! client was. If DynamoDB refuses the write, the tombstone keeps less of the client. The record of the deletion says
//! what is missing. A client that is restored from such a tombstone never has more rights than before.

use super::{
    ClientsTable,
    item::{self, Item},
    members::Map,
    schema::{CLIENT, DELETED, EXPIRES_AT, HISTORY, IDLE, IDLE_SINCE, KEY, TOMBSTONE},
};
use crate::{
    model::Deletion,
    rule::Authorization,
    snapshot::Key,
    store::{CallStatistics, Fault, WriteOutcome},
};
use aws_sdk_dynamodb::{operation::update_item::builders::UpdateItemFluentBuilder, types::AttributeValue};
use std::collections::BTreeSet;

/// The members of a client on which decisions rest. The others only describe it.
const DECIDING: [&str; 10] = [
    "kind",
    "app_id",
    "service_id",
    "dynamic",
    "features",
    "secrets",
    "ip_allow_list",
    "registration_token_digest",
    "protected",
    "version",
];
/// The members that give no rights.
const IDENTIFYING: [&str; 4] = ["kind", "app_id", "service_id", "version"];
/// The attributes of a client's item.
const ATTRIBUTES: [&str; 8] = [KEY, CLIENT, TOMBSTONE, DELETED, EXPIRES_AT, HISTORY, IDLE, IDLE_SINCE];
/// The most attributes that one expression removes. An expression has at most 4 KB.
const MAX_REMOVED: usize = 400;

/// A tombstone with less than the whole client.
pub(super) struct Abridged {
    /// The client as it was read. The write asserts that it is unchanged.
    pub client: Map,
    tombstone: Map,
    /// The attributes to remove, beside those of a live client.
    removed: Vec<String>,
    /// What the tombstone lacks: names of members and attributes, and `other` for those of other programs.
    lacks: BTreeSet<&'static str>,
}

impl ClientsTable {
    /// Writes the tombstone that keeps the most and that DynamoDB accepts.
    ///
    /// # Errors
    /// [`Fault`] if the database fails, or if it accepts no tombstone.
    pub(super) async fn write_abridged(
        &self,
        authorization: &Authorization<'_>,
        deletion: &Deletion,
    ) -> Result<WriteOutcome, Fault> {
        let key = BTreeSet::from([Key::Client(authorization.target.clone())]);
        let (items, _) = CallStatistics::of_call(Box::pin(self.batch_get(&key, None))).await;
        let Some(item) = items?.pop() else { return Ok(WriteOutcome::ConditionFailed(None)) };
        for abridged in Abridged::of(&item) {
            let lacks = abridged.lacks.iter().map(ToString::to_string).collect();
            let deletion = Deletion { lacks, ..deletion.clone() };
            if let Some(outcome) = self.write(authorization, &deletion, Some(abridged)).await? {
                return Ok(outcome);
            }
        }
        Err(Fault::Unexpected("DynamoDB accepts no tombstone for this item".to_owned()))
    }
}

impl Abridged {
    /// The tombstones for this item, the one that keeps the most first.
    fn of(item: &Item) -> Vec<Self> {
        let Some(AttributeValue::M(client)) = item.get(CLIENT) else { return Vec::new() };
        let foreign = largest(item.iter().filter(|(name, _)| !ATTRIBUTES.contains(&name.as_str())));
        let history = item.get_key_value(HISTORY).map(|(name, _)| name.clone());
        let mut tombstones: Vec<Self> = Vec::new();
        for (keeps, removed) in [
            ((|name| name != "metadata") as fn(&str) -> bool, Vec::new()),
            (|name| DECIDING.contains(&name), history.clone().into_iter().collect()),
            (|name| IDENTIFYING.contains(&name), history.into_iter().chain(foreign).collect()),
        ] {
            let (kept, dropped): (Map, Map) = client.clone().into_iter().partition(|(name, _)| keeps(name));
            let lacks: BTreeSet<_> = dropped.keys().chain(&removed).map(|name| public_name(name)).collect();
            if tombstones.last().is_none_or(|last| last.lacks != lacks) && !lacks.is_empty() {
                tombstones.push(Self { client: client.clone(), tombstone: kept, removed, lacks });
            }
        }
        tombstones
    }

    /// The update that writes this tombstone.
    pub(super) fn update(&self, update: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        let mut text = "SET tombstone = :tombstone, deleted = :deleted, expires_at = :expires_at \
                        REMOVE client, idle, idle_since"
            .to_owned();
        let mut update = update.expression_attribute_values(":tombstone", AttributeValue::M(self.tombstone.clone()));
        for (number, name) in self.removed.iter().enumerate() {
            let placeholder = format!("#r{number}");
            text.extend([", ", &placeholder]);
            update = update.expression_attribute_names(placeholder, name);
        }
        update.update_expression(text)
    }
}

/// The name of a member or an attribute in the record of the deletion.
fn public_name(name: &str) -> &'static str {
    let known = DECIDING.into_iter().chain([HISTORY, "metadata", "name"]);
    known.into_iter().find(|known| *known == name).unwrap_or("other")
}

/// The names of the largest attributes, at most [`MAX_REMOVED`].
fn largest<'i>(attributes: impl Iterator<Item = (&'i String, &'i AttributeValue)>) -> Vec<String> {
    let mut sized: Vec<_> = attributes.map(|(name, value)| (name.len() + item::size_of_value(value), name)).collect();
    sized.sort_unstable_by(|a, b| b.cmp(a));
    sized.into_iter().take(MAX_REMOVED).map(|(_, name)| name.clone()).collect()
}
