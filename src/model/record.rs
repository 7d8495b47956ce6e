//! The records of deletions and restorations.

use std::time::SystemTime;

/// The record of a deletion. The write that deletes the client writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// The time of the deletion.
    pub at: SystemTime,
    /// Who deleted the client: `client#…`, `service#…`, `organization#…`, `operator#…` or `sweep`.
    pub by: String,
    /// The channel: `configuration`, `registration`, `authlete`, `deregisterctl` or `sweep`.
    pub via: String,
    /// The caller's address, if the platform gives one.
    pub source_ip: Option<String>,
    /// The id of the invocation that deleted the client.
    pub request_id: String,
    /// What the tombstone lacks of the client, because the item was too full: names of members and attributes.
    pub lacks: Vec<String>,
}

impl Deletion {
    /// Whether the request with this id made the deletion. A request without an id cannot recognise its own.
    #[must_use]
    pub fn is_of(&self, request_id: &str) -> bool {
        !request_id.is_empty() && self.request_id == request_id
    }
}

/// The record of a restoration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restoration {
    /// The time of the restoration.
    pub at: SystemTime,
    /// Who restored the client: `operator#…`.
    pub by: String,
}

/// A deletion that a restoration ended, as an entry of the client's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastDeletion {
    /// The deletion.
    pub deletion: Deletion,
    /// The restoration that ended it.
    pub restored: Restoration,
}
