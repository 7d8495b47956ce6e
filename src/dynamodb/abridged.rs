//! Deletions and restorations of nearly full items.
//!
//! An item has at most 400 KB. A tombstone holds the client and the record of its deletion, so it is larger than the
//! client was. A restored client has that record in its history. If DynamoDB refuses the write, the item keeps less of
//! the client. The record of the deletion says what is missing. The restored client never has more rights than before.

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
/// The maximum number of attributes that one expression removes. An expression has at most 4 KB.
const MAX_REMOVED: usize = 400;

/// The largest item that a deletion and a restoration always keep whole: 4 KB less than the largest. The longest record
/// of a deletion by an endpoint needs less.
pub(super) const NEARLY_FULL: usize = 396 * 1024;
/// The longest value that the last level keeps: that of the longest id.
const MAX_KEPT: usize = 2048;

/// Whether a member of the client is kept.
type Keeps = fn(&str, &AttributeValue) -> bool;

/// What is kept of an item, less at each level: members of the client, its history, attributes of other programs.
const LEVELS: [(Keeps, bool, bool); 5] = [
    (|name, _| name != "metadata", true, true),
    (decides, false, true),
    (decides, false, false),
    (|name, _| IDENTIFYING.contains(&name), false, false),
    (|name, value| IDENTIFYING.contains(&name) && item::size_of_value(value) <= MAX_KEPT, false, false),
];

/// Whether a decision may rest on the member. A version that is not a number does not count.
fn decides(name: &str, value: &AttributeValue) -> bool {
    DECIDING.contains(&name) && (name != "version" || value.is_n())
}

/// What is kept of an item.
pub(super) struct Rest {
    /// The client.
    pub client: Map,
    /// Whether its history is kept.
    pub has_history: bool,
    /// The attributes of other programs that are removed.
    pub removed: Vec<String>,
    /// What is missing: names of members, and `other` for what other programs wrote.
    pub lacks: BTreeSet<&'static str>,
}

impl Rest {
    /// What can be kept of an item with this client, the most first.
    pub fn of<'i>(client: &'i Map, item: &'i Item) -> impl Iterator<Item = Self> + use<'i> {
        LEVELS.into_iter().map(|(keeps, has_history, has_others)| {
            let (kept, dropped): (Map, Map) = client.clone().into_iter().partition(|(name, value)| keeps(name, value));
            let others = item.iter().filter(|(name, _)| !has_others && !ATTRIBUTES.contains(&name.as_str()));
            let removed = largest(others);
            let lacks = dropped.keys().chain(&removed).map(|name| public_name(name)).collect();
            Self { client: kept, has_history, removed, lacks }
        })
    }
}

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
        let Some(AttributeValue::M(client)) = item.get(CLIENT) else {
            return Ok(WriteOutcome::ConditionFailed(Some(item::read(item))));
        };
        for abridged in Abridged::of(&item, client) {
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
    fn of(item: &Item, client: &Map) -> Vec<Self> {
        let mut tombstones: Vec<Self> = Vec::new();
        for Rest { client: tombstone, has_history, mut removed, mut lacks } in Rest::of(client, item) {
            if !has_history && item.contains_key(HISTORY) {
                removed.push(HISTORY.to_owned());
                lacks.insert(HISTORY);
            }
            let is_same = |last: &Self| (last.tombstone.len(), last.removed.len()) == (tombstone.len(), removed.len());
            if !lacks.is_empty() && !tombstones.last().is_some_and(is_same) {
                tombstones.push(Self { client: client.clone(), tombstone, removed, lacks });
            }
        }
        tombstones
    }

    /// The update that writes this tombstone.
    pub(super) fn update(&self, update: UpdateItemFluentBuilder) -> UpdateItemFluentBuilder {
        let text = "SET tombstone = :tombstone, deleted = :deleted, expires_at = :expires_at \
                    REMOVE client, idle, idle_since";
        let update = update.expression_attribute_values(":tombstone", AttributeValue::M(self.tombstone.clone()));
        remove(update, text, &self.removed)
    }
}

/// Sets the expression of an update, and removes these attributes too. The expression ends with its `REMOVE`.
pub(super) fn remove(update: UpdateItemFluentBuilder, expression: &str, names: &[String]) -> UpdateItemFluentBuilder {
    let (mut update, mut expression) = (update, expression.to_owned());
    for (number, name) in names.iter().enumerate() {
        let placeholder = format!("#r{number}");
        expression.extend([", ", &placeholder]);
        update = update.expression_attribute_names(placeholder, name);
    }
    update.update_expression(expression)
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
