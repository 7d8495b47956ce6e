//! The records of deletions, restorations, blocks and revocations.

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
    /// The block of the id, if it is blocked. If the block deleted the client, both have the same request id.
    pub blocked: Option<Block>,
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

/// The record of a block: the id is refused until an operator ends the block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The time of the block.
    pub at: SystemTime,
    /// Who blocked the id: `operator#…`.
    pub by: String,
    /// The id of the call that blocked it.
    pub request_id: String,
}

/// The record of a revocation: what was issued to the client up to this time is refused. The client stays live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// The time of the revocation.
    pub at: SystemTime,
    /// Who revoked it: `operator#…`.
    pub by: String,
    /// The id of the call that revoked it.
    pub request_id: String,
}

/// A deletion that a restoration ended, as an entry of the client's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastDeletion {
    /// The deletion.
    pub deletion: Deletion,
    /// The restoration that ended it.
    pub restored: Restoration,
}
