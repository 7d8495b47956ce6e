//! The version of a client, and the preconditions of a request that name versions.

use std::fmt;

/// The version of a client: a number that grows with every change. It is the client's entity tag (RFC 9110, section
/// 8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version(pub u64);

/// The entity tag: the number in quotation marks, `"7"`.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// What an item holds as the version of its client. The write that deletes the client asserts it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum StoredVersion {
    /// Nothing.
    #[default]
    None,
    /// A version.
    Number(Version),
    /// Something else, as a text that only the database adapter reads.
    Other(String),
}

impl StoredVersion {
    /// The version. `None` if the item does not hold one: such a client matches no entity tag.
    #[must_use]
    pub fn version(&self) -> Option<Version> {
        match self {
            Self::Number(version) => Some(*version),
            Self::None | Self::Other(_) => None,
        }
    }

    /// The version after the next change. It always differs from this one.
    #[must_use]
    pub fn next(&self) -> Version {
        match self {
            Self::Number(Version(version)) => Version(version.checked_add(1).unwrap_or(1)),
            Self::None | Self::Other(_) => Version(1),
        }
    }
}

impl From<Version> for StoredVersion {
    fn from(version: Version) -> Self {
        Self::Number(version)
    }
}

/// The preconditions of a request: the versions that the caller wants to delete (RFC 9110, section 13).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionConditions {
    /// `If-Match` (section 13.1.1): the client must have one of these tags.
    pub if_match: Option<EntityTags>,
    /// `If-None-Match` (section 13.1.2): the client must have none of these tags.
    pub if_none_match: Option<EntityTags>,
}

impl VersionConditions {
    /// Whether a client with this version meets both preconditions. One whose version cannot be read meets no
    /// `If-None-Match`.
    #[must_use]
    pub fn admit(&self, stored: &StoredVersion) -> bool {
        let (version, is_unreadable) = (stored.version(), matches!(stored, StoredVersion::Other(_)));
        self.if_match.as_ref().is_none_or(|tags| tags.match_strongly(version))
            && !self.if_none_match.as_ref().is_some_and(|tags| is_unreadable || tags.match_weakly(version))
    }
}

/// The value of `If-Match` or `If-None-Match`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntityTags {
    /// `*`: any live client.
    Any,
    /// One of these tags, as the caller wrote them.
    OneOf(Vec<String>),
}

impl EntityTags {
    /// Reads the field's value. A tag that no client can have matches no client. A list with `*` is malformed: for
    /// `If-None-Match` it is `*`, and for `If-Match` that element matches no client. So the client is kept.
    #[must_use]
    pub fn parse(field: &str) -> Self {
        match field.trim() {
            "*" => Self::Any,
            list => Self::OneOf(list.split(',').map(|tag| tag.trim().to_owned()).collect()),
        }
    }

    /// Strong comparison (RFC 9110, section 8.8.3.2): a weak tag matches nothing. Tags are compared character by
    /// character, so `"03"` is not `"3"`.
    fn match_strongly(&self, version: Option<Version>) -> bool {
        self.match_any(version, |tag, own| tag == own)
    }

    /// Weak comparison: a weak tag matches like a strong one.
    fn match_weakly(&self, version: Option<Version>) -> bool {
        let has_any = matches!(self, Self::OneOf(tags) if tags.iter().any(|tag| tag == "*"));
        has_any || self.match_any(version, |tag, own| tag.strip_prefix("W/").unwrap_or(tag) == own)
    }

    fn match_any(&self, version: Option<Version>, matches: fn(&str, &str) -> bool) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(tags) => {
                let own = version.map(|version| version.to_string());
                own.is_some_and(|own| tags.iter().any(|tag| matches(tag, &own)))
            }
        }
    }
}
