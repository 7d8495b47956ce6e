//! The permission rules, pure: facts in, a permit or a reason to refuse out.
//!
//! Each door has one rule, a file here, and so have the operator and the sweep. Its conditions stand in the order in which they are
//! decided. A rule reads no clock and does no I/O. It names what it wants to know ([`RequestToDelete::reads`]), is given
//! it ([`Facts`]), and where it permits the deletion it says what about the client that rests on ([`Premise`]), so that
//! the write can assert it again.

pub mod authlete;
pub mod configuration;
pub mod operator;
pub mod registration;
pub mod sweep;

use crate::{
    client::{AccessToken, Client, Deletion, Id, Idle, Service, Version},
    credential::Digest,
    deletion::NotDeleted,
};
use std::{collections::BTreeSet, fmt, time::SystemTime};

/// A request to delete a client, as a door has parsed it.
pub trait RequestToDelete {
    /// Why this door refuses.
    type Refusal: Refusal;

    /// The door's name, for the record of the deletion and the log.
    const DOOR: &'static str;

    /// The client to delete; `None` where what was named cannot be one.
    fn target(&self) -> Option<&Id>;

    /// Who asks: `client#…`, `service#…`, `organization#…`, `operator#…` or `sweep`. As claimed, unless the request was permitted;
    /// `None` where the table does not know of such a caller.
    fn caller(&self, facts: &Facts) -> Option<String>;

    /// Everything that the decision needs to know.
    fn reads(&self) -> BTreeSet<Key>;

    /// Decides, from what was read and the time alone.
    ///
    /// # Errors
    /// The first reason to refuse, in the order of the contract; or the fault that a fact which the decision needs
    /// cannot be read.
    fn decide(&self, facts: &Facts, now: SystemTime) -> Result<Permit<'_>, NotDeleted<Self::Refusal>>;
}

/// A reason to refuse. Its `Display` is the exact reason in `snake_case`, for the log; a caller is often told less.
pub trait Refusal: fmt::Display + fmt::Debug + Send {}

/// The permission to delete one client.
#[derive(Debug)]
pub struct Permit<'r> {
    /// The client.
    pub target: &'r Id,
    /// What must still be true of the client when it is deleted, beside being live and not protected.
    pub premises: Vec<Premise<'r>>,
}

/// A fact about a client that a decision rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Premise<'r> {
    /// It is an API client of this application.
    Application(&'r str),
    /// It does not hold the feature `owner`.
    NotOwner,
    /// It is an OAuth client with this registration access token.
    RegistrationToken(&'r Digest),
    /// It registered itself.
    Dynamic,
    /// It belongs to this service, and registered itself there.
    RegisteredAt(&'r Id),
    /// It is at this version.
    Version(Version),
    /// It is idle since then.
    Idle(Idle),
}

/// The key of an item.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// Of a client.
    Client(Id),
    /// Of a service.
    Service(Id),
    /// Of an access token, by its digest in hexadecimal digits.
    Token(String),
}

impl Key {
    /// The key of the access token with this digest.
    #[must_use]
    pub fn of_token(digest: &Digest) -> Self {
        Self::Token(digest.to_hex())
    }
}

/// The key as it is in the table.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(id) => write!(f, "client#{id}"),
            Self::Service(id) => write!(f, "service#{id}"),
            Self::Token(digest) => write!(f, "token#{digest}"),
        }
    }
}

/// What the table says under a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A live client.
    Client(Client),
    /// A deleted client: the record of its deletion.
    Deleted(Deletion),
    /// A service.
    Service(Service),
    /// An access token.
    Token(AccessToken),
    /// Something that is not of the table's form, and why.
    Unreadable(String),
}

/// What one read found. A key that is missing from it has no item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts(Vec<(Key, Record)>);

impl Facts {
    /// Adds what stands under `key`, or replaces it. With `None`, nothing does.
    pub fn set(&mut self, key: Key, record: Option<Record>) {
        self.0.retain(|(known, _)| *known != key);
        self.0.extend(record.map(|record| (key, record)));
    }

    /// The client with this id.
    ///
    /// # Errors
    /// [`Unreadable`], where the item is not of the table's form.
    pub fn client(&self, id: &Id) -> Result<Presence<'_>, Unreadable> {
        let key = Key::Client(id.clone());
        match self.get(&key) {
            None => Ok(Presence::Unknown),
            Some(Record::Client(client)) => Ok(Presence::Live(client)),
            Some(Record::Deleted(_)) => Ok(Presence::Deleted),
            Some(other) => Err(Unreadable::new(key, other)),
        }
    }

    /// The client's id, if the table knows it, be it a deleted client's.
    #[must_use]
    pub fn known<'i>(&self, id: &'i Id) -> Option<&'i Id> {
        self.get(&Key::Client(id.clone())).map(|_| id)
    }

    /// The service with this id.
    ///
    /// # Errors
    /// [`Unreadable`], where the item is not of the table's form.
    pub fn service(&self, id: &Id) -> Result<Option<&Service>, Unreadable> {
        let key = Key::Service(id.clone());
        match self.get(&key) {
            None => Ok(None),
            Some(Record::Service(service)) => Ok(Some(service)),
            Some(other) => Err(Unreadable::new(key, other)),
        }
    }

    /// The access token with this digest, whether or not it has expired.
    ///
    /// # Errors
    /// [`Unreadable`], where the item is not of the table's form.
    pub fn token(&self, digest: &Digest) -> Result<Option<&AccessToken>, Unreadable> {
        let key = Key::of_token(digest);
        match self.get(&key) {
            None => Ok(None),
            Some(Record::Token(token)) => Ok(Some(token)),
            Some(other) => Err(Unreadable::new(key, other)),
        }
    }

    fn get(&self, key: &Key) -> Option<&Record> {
        self.0.iter().find_map(|(known, record)| (known == key).then_some(record))
    }
}

impl FromIterator<(Key, Record)> for Facts {
    fn from_iter<I: IntoIterator<Item = (Key, Record)>>(found: I) -> Self {
        Self(found.into_iter().collect())
    }
}

/// What the table knows of a client id.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Presence<'f> {
    /// It is a live client's.
    Live(&'f Client),
    /// It was a client's, which has been deleted.
    Deleted,
    /// It is nobody's.
    Unknown,
}

/// An item that is not of the table's form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the item {key} cannot be read: {why}")]
pub struct Unreadable {
    /// The item's key.
    pub key: Key,
    /// What is wrong with it.
    pub why: String,
}

impl Unreadable {
    /// What stands under `key` instead of what was looked for.
    #[must_use]
    pub fn new(key: Key, record: &Record) -> Self {
        let why = match record {
            Record::Unreadable(why) => why.clone(),
            _ => "it is an item of another kind".to_owned(),
        };
        Self { key, why }
    }
}

/// The precondition `If-Match` (RFC 9110, section 13.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: any live client.
    Any,
    /// One of these entity tags.
    OneOf(Vec<Version>),
}

impl IfMatch {
    /// Reads the field's value. A tag that is not of this table's form, weak ones included, matches no client.
    #[must_use]
    pub fn parse(field: &str) -> Self {
        if field.trim() == "*" {
            return Self::Any;
        }
        // Entity tags are compared character by character: `"03"` is not `"3"`.
        let version = |tag: &str| {
            let version = Version(tag.trim_matches('"').parse().ok()?);
            (version.to_string() == tag).then_some(version)
        };
        Self::OneOf(field.split(',').map(str::trim).filter_map(version).collect())
    }

    /// Whether a client at `version` is meant.
    #[must_use]
    pub fn admits(&self, version: Option<Version>) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(versions) => version.is_some_and(|version| versions.contains(&version)),
        }
    }
}

/// The premise that the precondition adds where it is met: the client is still at the version that was read.
fn same_version<'r>(if_match: Option<&IfMatch>, client: &Client) -> Option<Premise<'r>> {
    match if_match {
        Some(IfMatch::OneOf(_)) => client.version.map(Premise::Version),
        Some(IfMatch::Any) | None => None,
    }
}
