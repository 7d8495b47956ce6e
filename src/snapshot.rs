//! The snapshot on which a rule decides: the records that one read found under a few keys.

use crate::model::{AccessToken, Client, Deletion, Digest, Id, Service};
use std::fmt;

/// The key of an item.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The key of a client, live or deleted.
    Client(Id),
    /// The key of a service.
    Service(Id),
    /// The key of an access token: its SHA-256 digest in hexadecimal digits.
    Token(String),
}

impl Key {
    /// The key of the access token with this digest.
    #[must_use]
    pub fn of_token(digest: &Digest) -> Self {
        Self::Token(digest.to_hex())
    }
}

/// The key, as the table stores it.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(id) => write!(f, "client#{id}"),
            Self::Service(id) => write!(f, "service#{id}"),
            Self::Token(digest) => write!(f, "token#{digest}"),
        }
    }
}

/// An item, in the model's types.
#[derive(Debug, Clone, PartialEq)]
pub enum Record {
    /// A live client.
    Client(Client),
    /// A tombstone: the record of the client's deletion.
    Deleted(Deletion),
    /// A service.
    Service(Service),
    /// An access token.
    Token(AccessToken),
    /// An item of which a member that decides cannot be read.
    Unreadable(Flaw, Box<Proof>),
}

/// A member of an item that cannot be read. It never contains a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{member} must {must}")]
pub struct Flaw {
    /// The member: the path in the item, such as `client.secrets[0].digest`.
    pub member: String,
    /// What the member must be.
    pub must: &'static str,
}

/// What an unreadable item still says about the rights of a caller. A member that cannot be read is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// The application of an API client.
    pub app_id: Option<String>,
    /// The service of an OAuth client.
    pub service_id: Option<Id>,
    /// The digest of the registration access token of an OAuth client.
    pub registration_token_digest: Option<Digest>,
    /// The organization of a service.
    pub organization_id: Option<String>,
}

/// What one read found. A key without an entry has no item.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Snapshot(Vec<(Key, Record)>);

impl Snapshot {
    /// Sets the record under `key`. `None`: there is no item.
    pub fn set(&mut self, key: Key, record: Option<Record>) {
        self.0.retain(|(known, _)| *known != key);
        self.0.extend(record.map(|record| (key, record)));
    }

    /// Looks up the client with this id.
    ///
    /// # Errors
    /// [`Unreadable`] if the item cannot be read.
    pub fn client(&self, id: &Id) -> Result<Lookup<'_>, Unreadable> {
        let key = Key::Client(id.clone());
        match self.get(&key) {
            None => Ok(Lookup::Missing),
            Some(Record::Client(client)) => Ok(Lookup::Live(client)),
            Some(Record::Deleted(_)) => Ok(Lookup::Deleted),
            Some(other) => Err(Unreadable::new(key, other)),
        }
    }

    /// The items that cannot be read.
    pub fn unreadable(&self) -> impl Iterator<Item = Unreadable> {
        let is_unreadable = |(key, record): &&(Key, Record)| {
            !matches!(
                (key, record),
                (Key::Client(_), Record::Client(_) | Record::Deleted(_))
                    | (Key::Service(_), Record::Service(_))
                    | (Key::Token(_), Record::Token(_))
            )
        };
        self.0.iter().filter(is_unreadable).map(|(key, record)| Unreadable::new(key.clone(), record))
    }

    /// The record of the deletion, if the client is deleted.
    #[must_use]
    pub fn deletion(&self, id: &Id) -> Option<&Deletion> {
        match self.get(&Key::Client(id.clone())) {
            Some(Record::Deleted(deletion)) => Some(deletion),
            _ => None,
        }
    }

    /// The same id, if the snapshot has an item for this client, live or deleted.
    #[must_use]
    pub fn known<'i>(&self, id: &'i Id) -> Option<&'i Id> {
        self.get(&Key::Client(id.clone())).map(|_| id)
    }

    /// Looks up the service with this id.
    ///
    /// # Errors
    /// [`Unreadable`] if the item cannot be read.
    pub fn service(&self, id: &Id) -> Result<Option<&Service>, Unreadable> {
        let key = Key::Service(id.clone());
        match self.get(&key) {
            None => Ok(None),
            Some(Record::Service(service)) => Ok(Some(service)),
            Some(other) => Err(Unreadable::new(key, other)),
        }
    }

    /// Looks up the access token with this digest. The token may have expired.
    ///
    /// # Errors
    /// [`Unreadable`] if the item cannot be read.
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

impl FromIterator<(Key, Record)> for Snapshot {
    fn from_iter<I: IntoIterator<Item = (Key, Record)>>(found: I) -> Self {
        Self(found.into_iter().collect())
    }
}

/// What a snapshot says about a client id. An item that cannot be read is the fourth case, an [`Unreadable`] error.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Lookup<'s> {
    /// A live client.
    Live(&'s Client),
    /// A deleted client: its tombstone exists.
    Deleted,
    /// No item.
    Missing,
}

/// An item that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the item {key} cannot be read: {flaw}")]
pub struct Unreadable {
    /// The item's key.
    pub key: Key,
    /// What is wrong with the item.
    pub flaw: Flaw,
    /// What the item still says.
    pub proof: Box<Proof>,
}

impl Unreadable {
    /// The error for a record that is not what its key says.
    #[must_use]
    pub fn new(key: Key, record: &Record) -> Self {
        let (flaw, proof) = if let Record::Unreadable(flaw, proof) = record {
            (flaw.clone(), proof.clone())
        } else {
            let must = "be of the kind that its key says";
            (Flaw { member: "the item".to_owned(), must }, Box::default())
        };
        Self { key, flaw, proof }
    }
}
