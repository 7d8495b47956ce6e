//! Converts items of the clients table to the model, and back.

use super::{
    members::{BOOLEAN, DIGEST, Flaws, ID, MAP, Map, Members, SECONDS, TEXT, TEXTS, TIME},
    schema::{CLIENT, DELETED, EXPIRES_AT, HISTORY, IDLE, IDLE_SINCE, KEY, NOTICE, SERVICE, TOKEN},
};
use crate::{
    model::{
        AccessToken, AllowList, ApiClient, Block, Client, Deletion, Digest, Id, Idle, Kind, Metadata, Notice,
        OAuthClient, PastDeletion, Restoration, Revocation, Service, StoredNotice, StoredSecret, StoredVersion,
        TokenScope, Version, epoch_seconds,
    },
    snapshot::{Flaw, Key, Proof, Record},
};
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use std::time::SystemTime;

/// An item, in the SDK's types.
pub type Item = Map;

/// The value of the partition key.
#[must_use]
pub fn key(key: &Key) -> AttributeValue {
    AttributeValue::S(key.to_string())
}

/// The key of an item. `None` if the table has no such keys.
pub(super) fn key_of(item: &Item) -> Option<Key> {
    let (kind, id) = item.get(KEY)?.as_s().ok()?.split_once('#')?;
    match kind {
        "client" => Id::new(id).map(Key::Client),
        "service" => Id::new(id).map(Key::Service),
        "token" => Some(Key::Token(id.to_owned())),
        _ => None,
    }
}

/// The member of the record of a deletion that holds the record of a block.
pub(super) const BLOCKED: &str = "blocked";
/// The member that marks an entry of a history as a revocation.
const REVOKED: &str = "revoked";

/// Reads an item. Unknown attributes are ignored.
///
/// If a member that decides cannot be read, the item becomes a [`Record::Unreadable`]. Any other member that cannot be
/// read counts as absent.
#[must_use]
pub fn read(item: Item) -> Record {
    read_with(item, &mut Flaws::default())
}

/// Reads an item, and adds the members that cannot be read to `flaws`.
pub(super) fn read_with(item: Item, flaws: &mut Flaws) -> Record {
    let mut proof = Proof::default();
    let record = record(&mut Members::of_item(item, flaws), &mut proof);
    match (record, flaws.deciding.first()) {
        (Some(record), None) => record,
        (_, flaw) => Record::Unreadable(flaw.cloned().unwrap_or_else(no_record), Box::new(proof)),
    }
}

/// The flaw of an item that holds nothing of this table.
pub(super) fn no_record() -> Flaw {
    Flaw { member: "the item".to_owned(), must: "hold a client, a deletion, a service or a token" }
}

fn record(item: &mut Members<'_>, proof: &mut Proof) -> Option<Record> {
    if item.has(CLIENT) {
        let (idle, notice) = (tracked(item), notice(item));
        let history = item.take(HISTORY);
        let restored_from = history.as_ref().and_then(|history| restored_from(history.as_l().ok()?));
        let members = item.deciding(CLIENT, &MAP)?;
        let client = client(&mut item.within(CLIENT, members), proof)?;
        return Some(Record::Client(Client { idle, notice, restored_from, ..client }));
    }
    if let Some(deletion) = current_deletion(item) {
        return Some(Record::Deleted(deletion));
    }
    if let Some(members) = item.deciding(SERVICE, &MAP) {
        return Some(Record::Service(service(&mut item.within(SERVICE, members), proof)));
    }
    let members = item.deciding(TOKEN, &MAP)?;
    let scope = scope(&mut item.within(TOKEN, members))?;
    Some(Record::Token(AccessToken { scope, expires_at: item.expiry(EXPIRES_AT) }))
}

/// The current deletion of an item that holds no client.
pub(super) fn current_deletion(item: &mut Members<'_>) -> Option<Deletion> {
    let members = item.deciding(DELETED, &MAP)?;
    let mut members = item.within(DELETED, members);
    let mut text = |name| members.descriptive(name, &TEXT);
    let [by, via, request_id] = ["by", "via", "request_id"].map(|name| text(name).unwrap_or_default());
    let source_ip = text("source_ip");
    let at = members.descriptive("at", &TIME).unwrap_or(SystemTime::UNIX_EPOCH);
    let lacks = members.descriptive("lacks", &TEXTS).unwrap_or_default();
    // A server may accept grants of a client that has no item. So a block that cannot be read must not look like none.
    let block = members.deciding(BLOCKED, &MAP);
    let blocked = block.map(|block| self::block(&mut members.within(BLOCKED, block)));
    Some(Deletion { at, by, via, source_ip, request_id, lacks, blocked })
}

/// The record of a block.
fn block(members: &mut Members<'_>) -> Block {
    let at = members.descriptive("at", &TIME).unwrap_or(SystemTime::UNIX_EPOCH);
    let [by, request_id] = ["by", "request_id"].map(|name| members.descriptive(name, &TEXT).unwrap_or_default());
    Block { at, by, request_id }
}

/// What ended the grants of a live client.
#[derive(Default)]
pub(super) struct History {
    /// The deletions that a restoration ended.
    pub past: Vec<PastDeletion>,
    /// The revocations.
    pub revocations: Vec<Revocation>,
}

impl History {
    /// The time up to which everything is revoked.
    pub fn revoked_until(&self) -> Option<SystemTime> {
        let past = self.past.iter().map(|past| past.deletion.at.max(past.restored.at));
        past.chain(self.revocations.iter().map(|revocation| revocation.at)).max()
    }
}

/// The client's history. The times in it decide which grants are revoked.
///
/// The entry of a revocation is that of a deletion that was restored at the same time, with the mark `revoked`. A reader
/// that does not know the mark refuses the same grants.
pub(super) fn history(item: &mut Members<'_>) -> History {
    let mut history = History::default();
    item.each(HISTORY, |entry| {
        let is_revocation = entry.descriptive(REVOKED, &BOOLEAN) == Some(true);
        let at = entry.descriptive("at", &TIME).unwrap_or(SystemTime::UNIX_EPOCH);
        let mut text = |name| entry.descriptive(name, &TEXT);
        let [by, via, request_id] = ["by", "via", "request_id"].map(|name| text(name).unwrap_or_default());
        let source_ip = text("source_ip");
        let lacks = entry.descriptive("lacks", &TEXTS).unwrap_or_default();
        let blocked = entry.descriptive(BLOCKED, &MAP).map(|block| self::block(&mut entry.within(BLOCKED, block)));
        let restored = entry.required("restored", &MAP)?;
        let mut restored = entry.within("restored", restored);
        let restored_by = restored.descriptive("by", &TEXT).unwrap_or_default();
        let restored = Restoration { at: restored.required("at", &TIME)?, by: restored_by };
        if is_revocation {
            history.revocations.push(Revocation { at: at.max(restored.at), by, request_id });
        } else {
            let deletion = Deletion { at, by, via, source_ip, request_id, lacks, blocked };
            history.past.push(PastDeletion { deletion, restored });
        }
        Some(())
    });
    history
}

/// Whether this entry of a history is a revocation.
pub(super) fn is_revocation(entry: &AttributeValue) -> bool {
    entry.as_m().is_ok_and(|entry| entry.get(REVOKED) == Some(&AttributeValue::Bool(true)))
}

/// What tells the last restoration in a history from earlier ones: the request id of the deletion that it ended. If the
/// record has none, the time of the restoration. A revocation is no restoration.
pub(super) fn restored_from(history: &[AttributeValue]) -> Option<String> {
    let last = history.iter().rfind(|entry| !is_revocation(entry))?.as_m().ok()?;
    let request_id = last.get("request_id").and_then(|id| id.as_s().ok()).filter(|id| !id.is_empty());
    let at = || last.get("restored")?.as_m().ok()?.get("at")?.as_n().ok();
    request_id.or_else(at).cloned()
}

/// Reads the members of a client. `None` if one that decides cannot be read.
pub(super) fn client(members: &mut Members<'_>, proof: &mut Proof) -> Option<Client> {
    let protected = members.deciding("protected", &BOOLEAN).unwrap_or_default();
    let version = version(members);
    let Some(kind) = kind(members) else {
        let mut text = |name| members.take(name).and_then(|value| value.as_s().ok().cloned());
        (proof.app_id, proof.service_id) = (text("app_id"), text("service_id").and_then(Id::new));
        proof.registration_token_digest = members.deciding("registration_token_digest", &DIGEST);
        return None;
    };
    let kind = match kind {
        Kind::Api(_) => {
            let app_id = members.required("app_id", &TEXT);
            proof.app_id.clone_from(&app_id);
            Kind::Api(ApiClient {
                app_id: app_id.unwrap_or_default(),
                name: members.descriptive("name", &TEXT),
                features: members.deciding("features", &TEXTS).unwrap_or_default(),
                ip_allow_list: AllowList::new(members.deciding("ip_allow_list", &TEXTS).unwrap_or_default()),
                secrets: secrets(members),
            })
        }
        Kind::OAuth(_) => {
            let service_id = members.deciding("service_id", &ID);
            let registration_token_digest = members.deciding("registration_token_digest", &DIGEST);
            (proof.service_id, proof.registration_token_digest) = (service_id.clone(), registration_token_digest);
            Kind::OAuth(OAuthClient {
                service_id,
                dynamic: dynamic(members),
                registration_token_digest,
                metadata: metadata(members),
            })
        }
    };
    Some(Client { protected, version, ..Client::new(kind) })
}

/// The kind, without its members.
pub(super) fn kind(members: &mut Members<'_>) -> Option<Kind> {
    match members.required("kind", &TEXT)?.as_str() {
        "api" => Some(Kind::Api(ApiClient::default())),
        "oauth" => Some(Kind::OAuth(OAuthClient::default())),
        _ => {
            members.reject("kind", "be `api` or `oauth`");
            None
        }
    }
}

/// Whether an OAuth client registered itself.
pub(super) fn dynamic(members: &mut Members<'_>) -> bool {
    members.deciding("dynamic", &BOOLEAN).unwrap_or_default()
}

fn secrets(members: &mut Members<'_>) -> Vec<StoredSecret> {
    members.each("secrets", |secret| {
        let (digest, expires_at) = (secret.required("digest", &DIGEST), secret.expiry("expires_at"));
        digest.map(|digest| StoredSecret { digest, expires_at })
    })
}

fn metadata(members: &mut Members<'_>) -> Metadata {
    let Some(metadata) = members.descriptive("metadata", &MAP) else { return Metadata::default() };
    let mut metadata = members.within("metadata", metadata);
    Metadata {
        client_name: metadata.descriptive("client_name", &TEXT),
        contacts: metadata.descriptive("contacts", &TEXTS),
        redirect_uris: metadata.descriptive("redirect_uris", &TEXTS),
        response_types: metadata.descriptive("response_types", &TEXTS),
        grant_types: metadata.descriptive("grant_types", &TEXTS),
        token_endpoint_auth_method: metadata.descriptive("token_endpoint_auth_method", &TEXT),
    }
}

fn service(members: &mut Members<'_>, proof: &mut Proof) -> Service {
    let organization_id = members.deciding("organization_id", &TEXT);
    proof.organization_id.clone_from(&organization_id);
    let dynamic_registration = members.deciding("dynamic_registration", &BOOLEAN).unwrap_or(true);
    let mut switch = |name| members.descriptive(name, &BOOLEAN).unwrap_or_default();
    Service {
        organization_id,
        dynamic_registration,
        unauthorized_on_client_config: switch("unauthorized_on_client_config"),
        error_description_omitted: switch("error_description_omitted"),
        error_uri_omitted: switch("error_uri_omitted"),
    }
}

fn scope(members: &mut Members<'_>) -> Option<TokenScope> {
    match (members.deciding("service_id", &ID), members.deciding("organization_id", &TEXT)) {
        (Some(id), None) => Some(TokenScope::ServiceId(id)),
        (None, Some(id)) => Some(TokenScope::OrganizationId(id)),
        _ => {
            members.reject("service_id", "be there, or organization_id, and not both");
            None
        }
    }
}

fn version(members: &mut Members<'_>) -> StoredVersion {
    let Some(value) = members.take("version") else { return StoredVersion::None };
    if let Some(version) = value.as_n().ok().and_then(|number| number.parse().ok()) {
        return Version(version).into();
    }
    if !is_known(&value) {
        members.reject("version", "be a whole number");
        return StoredVersion::None;
    }
    members.ignore("version", "be a whole number");
    // A `serde_json::Value` sorts the members of a map, so that equal versions have equal texts. The conversion cannot
    // fail.
    let json = serde_json::to_value(serde_dynamo::AttributeValue::from(value)).unwrap_or_default();
    StoredVersion::Other(json.to_string())
}

/// Whether the SDK knows the type of the value, and of each value in it. It can write only those.
fn is_known(value: &AttributeValue) -> bool {
    match value {
        AttributeValue::L(values) => values.iter().all(is_known),
        AttributeValue::M(members) => members.values().all(is_known),
        value => !value.is_unknown(),
    }
}

/// The attribute that [`StoredVersion`] was read from. `None` if there was none.
pub(super) fn of_version(version: &StoredVersion) -> Option<AttributeValue> {
    match version {
        StoredVersion::None => None,
        StoredVersion::Number(Version(version)) => Some(number(*version)),
        StoredVersion::Other(text) => {
            serde_json::from_str::<serde_dynamo::AttributeValue>(text).ok().map(AttributeValue::from)
        }
    }
}

/// How long the item's client is idle, if its use is tracked.
pub(super) fn tracked(item: &mut Members<'_>) -> Option<Idle> {
    if !item.has(IDLE) && !item.has(IDLE_SINCE) {
        return None;
    }
    let (partition, since) = (item.take(IDLE), item.take(IDLE_SINCE));
    let used = match partition.as_ref().and_then(|partition| partition.as_s().ok()) {
        Some(partition) if partition.starts_with(idle_prefix(true)) => Some(true),
        Some(partition) if partition.starts_with(idle_prefix(false)) => Some(false),
        _ => None,
    };
    let since = since.and_then(|since| SECONDS.read(since));
    if used.is_none() {
        item.ignore(IDLE, "be a partition of the index of idle clients");
    }
    if since.is_none() {
        item.ignore(IDLE_SINCE, SECONDS.must());
    }
    used.zip(since).map(|(used, since)| Idle { used, since })
}

/// What the item holds as the notice. One that cannot be read announces nothing.
fn notice(item: &mut Members<'_>) -> StoredNotice {
    if !item.has(NOTICE) {
        return StoredNotice::None;
    }
    let Some(members) = item.descriptive(NOTICE, &MAP) else { return StoredNotice::Unreadable };
    let mut members = item.within(NOTICE, members);
    let (used, since) = (members.descriptive("used", &BOOLEAN), members.descriptive("idle_since", &TIME));
    let sweep_at = members.descriptive("sweep_at", &SECONDS);
    match (used, since, sweep_at) {
        (Some(used), Some(since), Some(sweep_at)) => {
            StoredNotice::Notice(Notice { idle: Idle { used, since }, sweep_at })
        }
        _ => StoredNotice::Unreadable,
    }
}

/// The notice, with the announced members of the metadata.
pub(super) fn of_notice(notice: Notice, metadata: &str) -> AttributeValue {
    of_map([
        ("used", Some(AttributeValue::Bool(notice.idle.used))),
        ("idle_since", Some(of_time(notice.idle.since))),
        ("sweep_at", Some(of_time(notice.sweep_at))),
        ("metadata", Some(of_text(metadata))),
    ])
}

/// The attributes of the index of idle clients, for the client with this id.
pub(super) fn of_idle(id: &Id, idle: Idle) -> [(&'static str, AttributeValue); 2] {
    let digest = Digest::of(id.as_str()).to_hex();
    let partition = [idle_prefix(idle.used), digest.get(..1).unwrap_or_default()].concat();
    [(IDLE, AttributeValue::S(partition)), (IDLE_SINCE, of_time(idle.since))]
}

/// The prefix of the partitions for clients that were used, or for those that never were.
pub(super) fn idle_prefix(used: bool) -> &'static str {
    if used { "used#" } else { "unused#" }
}

/// The item of a live client.
#[must_use]
pub fn of_client(id: &Id, client: &Client) -> Item {
    let mut members = vec![
        ("kind", Some(of_text(client.kind.name()))),
        ("protected", Some(AttributeValue::Bool(client.protected))),
        ("version", of_version(&client.version)),
    ];
    members.extend(match &client.kind {
        Kind::Api(api) => vec![
            ("app_id", Some(of_text(&api.app_id))),
            ("name", api.name.as_ref().map(of_text)),
            ("features", Some(of_texts(&api.features))),
            ("ip_allow_list", Some(of_texts(api.ip_allow_list.entries()))),
            ("secrets", Some(AttributeValue::L(api.secrets.iter().map(of_secret).collect()))),
        ],
        Kind::OAuth(oauth) => vec![
            ("service_id", oauth.service_id.as_ref().map(|id| of_text(id.as_str()))),
            ("dynamic", Some(AttributeValue::Bool(oauth.dynamic))),
            ("registration_token_digest", oauth.registration_token_digest.as_ref().map(of_digest)),
            ("metadata", Some(of_metadata(&oauth.metadata))),
        ],
    });
    let idle = client.idle.map(|idle| of_idle(id, idle)).into_iter().flatten().map(|(name, value)| (name, Some(value)));
    item(&Key::Client(id.clone()), [(CLIENT, Some(of_map(members)))].into_iter().chain(idle))
}

/// The item of a service.
#[must_use]
pub fn of_service(key: &Key, service: &Service) -> Item {
    let switch = |on| Some(AttributeValue::Bool(on));
    let members = [
        ("organization_id", service.organization_id.as_ref().map(of_text)),
        ("dynamic_registration", switch(service.dynamic_registration)),
        ("unauthorized_on_client_config", switch(service.unauthorized_on_client_config)),
        ("error_description_omitted", switch(service.error_description_omitted)),
        ("error_uri_omitted", switch(service.error_uri_omitted)),
    ];
    item(key, [(SERVICE, Some(of_map(members)))])
}

/// The item of an access token.
#[must_use]
pub fn of_token(key: &Key, token: &AccessToken) -> Item {
    let scope = match &token.scope {
        TokenScope::ServiceId(id) => ("service_id", Some(of_text(id.as_str()))),
        TokenScope::OrganizationId(id) => ("organization_id", Some(of_text(id))),
    };
    item(key, [(TOKEN, Some(of_map([scope]))), (EXPIRES_AT, token.expires_at.map(of_time))])
}

/// The record of a deletion.
pub(super) fn of_deletion(deletion: &Deletion) -> AttributeValue {
    let Deletion { at, by, via, source_ip, request_id, lacks, blocked } = deletion;
    of_map([
        ("at", Some(of_time(*at))),
        ("by", Some(of_text(by))),
        ("via", Some(of_text(via))),
        ("source_ip", source_ip.as_ref().map(of_text)),
        ("request_id", Some(of_text(request_id))),
        ("lacks", (!lacks.is_empty()).then(|| of_texts(lacks))),
        (BLOCKED, blocked.as_ref().map(of_block)),
    ])
}

/// The record of a block.
pub(super) fn of_block(block: &Block) -> AttributeValue {
    let Block { at, by, request_id } = block;
    of_map([("at", Some(of_time(*at))), ("by", Some(of_text(by))), ("request_id", Some(of_text(request_id)))])
}

/// The entry of a revocation in a history. `lacks` is what the history lost.
pub(super) fn of_revocation(revocation: &Revocation, lacks: &[String]) -> AttributeValue {
    let Revocation { at, by, request_id } = revocation;
    of_map([
        ("at", Some(of_time(*at))),
        ("by", Some(of_text(by))),
        ("via", Some(of_text("deregisterctl"))),
        ("request_id", Some(of_text(request_id))),
        (REVOKED, Some(AttributeValue::Bool(true))),
        ("lacks", (!lacks.is_empty()).then(|| of_texts(lacks))),
        ("restored", Some(of_restoration(&Restoration { at: *at, by: by.clone() }))),
    ])
}

/// The record of a restoration.
pub(super) fn of_restoration(restoration: &Restoration) -> AttributeValue {
    of_map([("at", Some(of_time(restoration.at))), ("by", Some(of_text(&restoration.by)))])
}

/// A time, in whole seconds since the epoch.
pub(super) fn of_time(time: SystemTime) -> AttributeValue {
    number(epoch_seconds::of(time))
}

/// The expiry of what time to live must not remove: the end of the year 9999.
pub(super) fn never() -> AttributeValue {
    number(epoch_seconds::END - 1)
}

/// A number.
pub(super) fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A string.
pub(super) fn of_text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

/// A digest.
pub(super) fn of_digest(digest: &Digest) -> AttributeValue {
    AttributeValue::B(Blob::new(digest.as_bytes()))
}

/// A list of strings.
pub(super) fn of_texts(texts: &[String]) -> AttributeValue {
    AttributeValue::L(texts.iter().map(of_text).collect())
}

/// A secret.
pub(super) fn of_secret(secret: &StoredSecret) -> AttributeValue {
    of_map([("digest", Some(of_digest(&secret.digest))), ("expires_at", secret.expires_at.map(of_time))])
}

fn of_metadata(metadata: &Metadata) -> AttributeValue {
    let texts = |texts: &Option<Vec<String>>| texts.as_deref().map(of_texts);
    of_map([
        ("client_name", metadata.client_name.as_ref().map(of_text)),
        ("contacts", texts(&metadata.contacts)),
        ("redirect_uris", texts(&metadata.redirect_uris)),
        ("response_types", texts(&metadata.response_types)),
        ("grant_types", texts(&metadata.grant_types)),
        ("token_endpoint_auth_method", metadata.token_endpoint_auth_method.as_ref().map(of_text)),
    ])
}

/// The map of the members that are there.
fn of_map<'n>(members: impl IntoIterator<Item = (&'n str, Option<AttributeValue>)>) -> AttributeValue {
    AttributeValue::M(present(members).collect())
}

/// The item with this key and the attributes that are there.
fn item<'n>(of: &Key, attributes: impl IntoIterator<Item = (&'n str, Option<AttributeValue>)>) -> Item {
    present(attributes).chain([(KEY.to_owned(), key(of))]).collect()
}

fn present<'n>(
    members: impl IntoIterator<Item = (&'n str, Option<AttributeValue>)>,
) -> impl Iterator<Item = (String, AttributeValue)> {
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)))
}

/// About how many bytes DynamoDB counts for an item.
#[must_use]
pub fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + size_of_value(value)).sum()
}

/// About how many bytes DynamoDB counts for a value.
pub(super) fn size_of_value(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(number) => number.len().div_ceil(2) + 1,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
        AttributeValue::Ns(numbers) => numbers.iter().map(|number| number.len().div_ceil(2) + 1).sum(),
        AttributeValue::Bs(values) => values.iter().map(|bytes| bytes.as_ref().len()).sum(),
        AttributeValue::L(values) => 3 + values.iter().map(|value| 1 + size_of_value(value)).sum::<usize>(),
        AttributeValue::M(members) => 3 + members.len() + size(members),
        _ => 1,
    }
}
