//! How long a client has not been used, and for how long it may stay unused.

use super::epoch_seconds;
use std::time::{Duration, SystemTime};

/// The time since which a client that registered itself is idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle {
    /// Whether the client was ever used.
    pub used: bool,
    /// The latest use that was noted, or else the registration. In whole seconds.
    pub since: SystemTime,
}

impl Idle {
    /// A client that was registered at this time and never used.
    #[must_use]
    pub fn unused(since: SystemTime) -> Self {
        Self { used: false, since: epoch_seconds::rounded(since) }
    }

    /// A client that was last used at this time.
    #[must_use]
    pub fn used(since: SystemTime) -> Self {
        Self { used: true, since: epoch_seconds::rounded(since) }
    }

    /// A client that was last used so many seconds after the Unix epoch. `None` from the year 10000 on.
    #[must_use]
    pub fn used_at(seconds: u64) -> Option<Self> {
        epoch_seconds::at(seconds).map(|since| Self { used: true, since })
    }
}

/// How long clients may be idle before the sweep deletes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdlePolicy {
    /// For a client that was never used: the time since its registration.
    pub unused: Duration,
    /// For any other client: the time since its latest use.
    pub used: Duration,
}

impl IdlePolicy {
    /// The latest [`Idle::since`] of a client that is due at `now`. It depends on whether the client was ever used.
    #[must_use]
    pub fn due_since(&self, used: bool, now: SystemTime) -> SystemTime {
        let longest = if used { self.used } else { self.unused };
        now.checked_sub(longest).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// A partition of the index of idle clients. Each tracked client is in exactly one.
///
/// The index is sharded, because a single partition would limit how many uses can be noted in a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdlePartition {
    /// Whether the clients in it were ever used.
    pub used: bool,
    /// The first hexadecimal digit of the SHA-256 digest of the client's id.
    pub shard: char,
}

impl IdlePartition {
    /// Every partition.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let partitions = |used| "0123456789abcdef".chars().map(move |shard| Self { used, shard });
        partitions(false).chain(partitions(true)).collect()
    }
}
