//! The version of a client, and the precondition that names versions.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The version of a client: a number that grows with every change. It is the client's entity tag (RFC 9110, section
/// 8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u64);

/// The entity tag: the number in quotation marks, `"7"`.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// The precondition `If-Match` (RFC 9110, section 13.1.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: any live client.
    Any,
    /// One of these versions.
    OneOf(Vec<Version>),
}

impl IfMatch {
    /// Reads the field's value. A tag of another form, such as a weak tag, matches no client.
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

    /// Whether a client at `version` meets the precondition.
    #[must_use]
    pub fn admits(&self, version: Option<Version>) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(versions) => version.is_some_and(|version| versions.contains(&version)),
        }
    }
}
