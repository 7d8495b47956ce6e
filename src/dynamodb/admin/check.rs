//! Checks the items of the table: what the programs cannot read, and what follows from it.
//!
//! A finding names the item's key and a member, and never a value: a value may be a secret in the wrong place.

use super::{Page, Position};
use crate::{
    dynamodb::{
        ClientsTable,
        abridged::NEARLY_FULL,
        item::{self, Item},
        members::{Flaws, MAP, Members},
        schema::{
            CLIENT, DELETED, EXPIRES_AT, HISTORY, IDLE, IDLE_SINCE, KEY, NOTICE, RESTORED, SERVICE, TOKEN, TOMBSTONE,
        },
    },
    model::{AllowList, ApiClient, Client, Id, Idle, Kind},
    snapshot::{Flaw, Key, Proof, Record},
    store::Fault,
};
use aws_sdk_dynamodb::types::AttributeValue;
use std::time::SystemTime;

/// The attributes that the programs of this table know.
const ATTRIBUTES: [&str; 11] =
    [CLIENT, TOMBSTONE, DELETED, EXPIRES_AT, HISTORY, RESTORED, IDLE, IDLE_SINCE, NOTICE, SERVICE, TOKEN];

/// What is wrong with an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The member, and what it must be.
    pub flaw: Flaw,
    /// What follows from it.
    pub effect: Effect,
}

/// What follows from a finding. `Into<&str>` gives its name in `snake_case`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, strum::IntoStaticStr, strum::VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Effect {
    /// The item is refused. An endpoint answers as if the item did not exist, or with a 500 if the caller has proven its
    /// rights. A client status and a restoration fail if they need the member.
    Refused,
    /// The member counts as absent.
    Ignored,
    /// The expiry counts as passed.
    Expired,
    /// DynamoDB's time to live removes an item that must stay.
    Removed,
    /// The index of idle clients lists the client in a partition that is not its own.
    Misplaced,
    /// A tombstone or a restoration may lack members of the client.
    NearlyFull,
}

/// An item with findings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedItem {
    /// The key, as the table has it. A key that may hold a secret is shortened.
    pub key: String,
    /// What is wrong with it.
    pub findings: Vec<Finding>,
}

impl CheckedItem {
    /// Checks an item, with all its attributes. It uses nothing else.
    #[must_use]
    pub fn of(item: &Item) -> Self {
        Self { key: key_name(item), findings: findings(item) }
    }
}

impl ClientsTable {
    /// One page of the items with findings. It writes nothing.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn check(&self, from: Position) -> Result<Page<CheckedItem>, Fault> {
        let with_findings = |item: Item| Some(CheckedItem::of(&item)).filter(|item| !item.findings.is_empty());
        self.page(self.sdk().scan(), from, with_findings).await
    }
}

/// What an item is, by its attributes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    Client,
    Tombstone,
    Service,
    Token,
}

impl Content {
    fn of(item: &Item) -> Option<Self> {
        let first = [
            (CLIENT, Self::Client),
            (DELETED, Self::Tombstone),
            (TOMBSTONE, Self::Tombstone),
            (SERVICE, Self::Service),
            (TOKEN, Self::Token),
        ];
        first.into_iter().find_map(|(attribute, content)| item.contains_key(attribute).then_some(content))
    }

    /// The attributes that such an item may have.
    fn attributes(self) -> &'static [&'static str] {
        match self {
            Self::Client => &[CLIENT, HISTORY, RESTORED, IDLE, IDLE_SINCE, NOTICE],
            Self::Tombstone => &[TOMBSTONE, DELETED, EXPIRES_AT, HISTORY, RESTORED],
            Self::Service => &[SERVICE],
            Self::Token => &[TOKEN, EXPIRES_AT],
        }
    }

    fn is_under(self, key: &Key) -> bool {
        match self {
            Self::Client | Self::Tombstone => matches!(key, Key::Client(_)),
            Self::Service => matches!(key, Key::Service(_)),
            Self::Token => matches!(key, Key::Token(_)),
        }
    }
}

/// The key of an item, for people. A key that no program looks up is shortened, because it may be a secret.
fn key_name(item: &Item) -> String {
    match item.get(KEY) {
        Some(AttributeValue::S(text)) if item::key_of(item).is_some_and(|key| is_known(&key)) => text.clone(),
        Some(AttributeValue::S(text)) => shortened(text),
        Some(AttributeValue::N(_)) => "a key that is a number".to_owned(),
        Some(AttributeValue::B(_)) => "a key that is binary".to_owned(),
        _ => "an item without a key".to_owned(),
    }
}

/// Whether the programs can look the key up.
pub(super) fn is_known(key: &Key) -> bool {
    match key {
        Key::Client(_) | Key::Service(_) => true,
        Key::Token(digest) => {
            digest.len() == 64 && digest.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        }
    }
}

/// The beginning of a text: a short prefix up to `#`, and eight characters.
fn shortened(text: &str) -> String {
    let prefix = text.find('#').map(|end| end + 1).filter(|length| *length <= 16).unwrap_or_default();
    let (prefix, rest) = text.split_at_checked(prefix).unwrap_or(("", text));
    let start: String = rest.chars().take(8).collect();
    format!("{prefix}{start}… ({} bytes)", text.len())
}

/// What is wrong with an item. Empty: nothing.
fn findings(item: &Item) -> Vec<Finding> {
    let mut findings = Vec::new();
    let key = match item.get(KEY).map(AttributeValue::as_s) {
        Some(Ok(text)) => match (item::key_of(item), text.split_once('#')) {
            (Some(key), _) => key,
            (None, Some(("client" | "service", _))) => {
                return vec![finding(KEY, "name an id of 1 to 2040 bytes", Effect::Refused)];
            }
            (None, _) => {
                return vec![finding(KEY, "begin with `client#`, `service#` or `token#`", Effect::Ignored)];
            }
        },
        _ => return vec![finding(KEY, "be a string", Effect::Ignored)],
    };
    if !is_known(&key) {
        let must = "be `token#` and a SHA-256 digest in 64 hexadecimal digits, in lower case";
        findings.push(finding(KEY, must, Effect::Refused));
    }
    let content = Content::of(item);
    if content.is_some_and(|content| !content.is_under(&key)) {
        findings.push(finding("the item", "be of the kind that its key says", Effect::Refused));
    }

    let mut flaws = Flaws::default();
    let client = match content {
        Some(Content::Tombstone) => tombstone(item, &mut flaws),
        _ => match item::read_with(item.clone(), &mut flaws) {
            Record::Client(client) => Some(client),
            Record::Unreadable(flaw, _) if content.is_none() => {
                flaws.deciding.push(flaw);
                None
            }
            _ => None,
        },
    };
    if matches!(content, Some(Content::Client | Content::Tombstone)) {
        item::history(&mut Members::of_item(item.clone(), &mut flaws));
    }
    let effects =
        [(flaws.deciding, Effect::Refused), (flaws.descriptive, Effect::Ignored), (flaws.expiries, Effect::Expired)];
    for (flaws, effect) in effects {
        findings.extend(flaws.into_iter().map(|flaw| Finding { flaw, effect }));
    }

    let attribute = if content == Some(Content::Tombstone) { TOMBSTONE } else { CLIENT };
    findings.extend(client.iter().flat_map(|client| allow_list(attribute, client)));
    if let (Some(Content::Client), Key::Client(id)) = (content, &key) {
        findings.extend(partition(item, id, client.as_ref()));
    }
    findings.extend(content.into_iter().flat_map(|content| strays(item, content)));
    if is_blocked(item) && item.get(EXPIRES_AT).is_some_and(|expires_at| *expires_at != item::never()) {
        let must = "be 253402300799, or not be there: DynamoDB removes the block at that time";
        findings.push(finding(EXPIRES_AT, must, Effect::Removed));
    }
    if matches!(content, Some(Content::Client | Content::Tombstone)) && item::size(item) > NEARLY_FULL {
        let must = "have at most 405504 bytes, so that a tombstone and a restoration keep everything";
        findings.push(finding("the item", must, Effect::NearlyFull));
    }
    findings
}

fn finding(member: &str, must: &'static str, effect: Effect) -> Finding {
    Finding { flaw: Flaw { member: member.to_owned(), must }, effect }
}

/// Whether the item blocks its id.
fn is_blocked(item: &Item) -> bool {
    let record = item.get(DELETED).and_then(|record| record.as_m().ok());
    record.is_some_and(|record| record.contains_key(item::BLOCKED))
}

/// Reads a tombstone with everything that a restoration needs. Returns the client that was deleted.
fn tombstone(item: &Item, flaws: &mut Flaws) -> Option<Client> {
    let mut members = Members::of_item(item.clone(), flaws);
    let deletion = item::current_deletion(&mut members);
    if deletion.is_none() && !item.contains_key(DELETED) {
        members.reject(DELETED, MAP.must());
    }
    members.expiry(EXPIRES_AT);
    // A blocked id may never have had a client.
    if !members.has(TOMBSTONE) && deletion.is_some_and(|deletion| deletion.blocked.is_some()) {
        return None;
    }
    let client = members.required(TOMBSTONE, &MAP)?;
    item::client(&mut members.within(TOMBSTONE, client), &mut Proof::default())
}

/// The entries of the allow list that cannot be read.
fn allow_list(attribute: &str, client: &Client) -> Vec<Finding> {
    let Kind::Api(ApiClient { ip_allow_list, .. }) = &client.kind else { return Vec::new() };
    let is_unreadable = |(_, entry): &(usize, &String)| AllowList::new([entry.as_str()]).unreadable().next().is_some();
    let unreadable = ip_allow_list.entries().iter().enumerate().filter(is_unreadable);
    let finding_at = |(index, _)| {
        let member = format!("{attribute}.ip_allow_list[{index}]");
        finding(&member, "be an address or a CIDR block, and admits no address", Effect::Ignored)
    };
    unreadable.map(finding_at).collect()
}

/// Whether a live client is where the index of idle clients should list it.
fn partition(item: &Item, id: &Id, client: Option<&Client>) -> Option<Finding> {
    let partition = item.get(IDLE)?.as_s().ok()?;
    if client.is_some_and(|client| !client.is_dynamic()) {
        let must = "not be there: the sweep deletes only clients that registered themselves";
        return Some(finding(IDLE, must, Effect::Ignored));
    }
    let own = [true, false].map(|used| {
        let [(_, own), _] = item::of_idle(id, Idle { used, since: SystemTime::UNIX_EPOCH });
        own
    });
    let shard =
        partition.strip_prefix(item::idle_prefix(true)).or_else(|| partition.strip_prefix(item::idle_prefix(false)))?;
    if own.contains(&AttributeValue::S(partition.clone())) {
        return None;
    }
    let is_listed = shard.len() == 1 && shard.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let must = "be `used#` or `unused#`, and the first hexadecimal digit of the SHA-256 digest of the id";
    Some(finding(IDLE, must, if is_listed { Effect::Misplaced } else { Effect::Ignored }))
}

/// The attributes that such an item does not have.
fn strays(item: &Item, content: Content) -> impl Iterator<Item = Finding> {
    let is_stray = move |name: &&str| item.contains_key(*name) && !content.attributes().contains(name);
    ATTRIBUTES.into_iter().filter(is_stray).map(|name| match item.get(name) {
        Some(AttributeValue::N(_)) if name == EXPIRES_AT => {
            finding(name, "not be there: DynamoDB removes the item at that time", Effect::Removed)
        }
        _ => finding(name, "not be there, beside the other attributes of this item", Effect::Ignored),
    })
}
