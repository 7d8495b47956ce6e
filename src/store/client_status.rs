//! The status of a client, for the revocation check of an authorization server.

use crate::model::{Deletion, Idle, epoch_seconds};
use std::time::SystemTime;

/// The status of a client: whether an authorization server may issue something to it, and may accept what was issued
/// (RFC 7592, section 2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientStatus {
    /// The client is live.
    Live {
        /// Everything that was issued up to this time is revoked. It is the latest time in the history: of a
        /// revocation or a restoration, or of a deletion if the clocks of two machines differ.
        revoked_until: Option<SystemTime>,
        /// Whether the client registered itself.
        dynamic: bool,
        /// How long the client is idle, if its use is tracked.
        idle: Option<Idle>,
    },
    /// The client was deleted, or an operator blocked the id.
    Deleted(Deletion),
    /// There is no client with this id, or the tombstone is gone.
    Unknown,
}

impl ClientStatus {
    /// Whether the authorization server may issue something to the client now.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Live { .. })
    }

    /// Whether an operator blocked the id. This is the check for a client that the server does not store, such as one
    /// whose id is the URL of its metadata document: [`Unknown`](Self::Unknown) is usual for it, and only a block
    /// refuses it. For a client that the server stores, [`accepts`](Self::accepts) refuses a blocked id too.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        matches!(self, Self::Deleted(Deletion { blocked: Some(_), .. }))
    }

    /// Whether the authorization server may accept what it issued to the client at this time: an access token, a
    /// refresh token, an authorization code, a consent. Times are compared in whole seconds, as tokens carry them. A
    /// grant that was issued in the second of the restoration or the revocation is refused.
    #[must_use]
    pub fn accepts(&self, issued_at: SystemTime) -> bool {
        match self {
            Self::Live { revoked_until: Some(until), .. } => epoch_seconds::of(issued_at) > epoch_seconds::of(*until),
            Self::Live { revoked_until: None, .. } => true,
            Self::Deleted(_) | Self::Unknown => false,
        }
    }
}
