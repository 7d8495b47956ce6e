//! Identifiers of clients and services.

use serde::{Deserialize, Serialize, Serializer};
use std::{fmt, sync::Arc};

/// The identifier of a client or of a service: an opaque string, compared byte for byte.
///
/// The shape of an id is never validated, because documented samples break every pattern. An id is refused only if
/// DynamoDB cannot have it as a key. Then the answer is "not found" without a database call. Clones share the text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Id(Arc<str>);

impl Id {
    /// The longest id, in bytes: DynamoDB's limit for a partition key, less the longest prefix of a key, `service#`.
    pub const MAX_BYTES: usize = 2048 - "service#".len();

    /// The id with this text. `None` if the text is empty or longer than [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn new(id: impl Into<Arc<str>>) -> Option<Self> {
        let id = id.into();
        (1..=Self::MAX_BYTES).contains(&id.len()).then_some(Self(id))
    }

    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as an integer, for APIs whose ids are integers. `None` unless the id is the canonical decimal form of
    /// one.
    #[must_use]
    pub fn as_number(&self) -> Option<i64> {
        self.0.parse().ok().filter(|number: &i64| *number >= 0 && number.to_string() == *self.0)
    }
}

impl TryFrom<String> for Id {
    type Error = &'static str;

    fn try_from(id: String) -> Result<Self, Self::Error> {
        Self::new(id).ok_or("an id has 1 to 2040 bytes")
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0.as_ref().to_owned()
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}
