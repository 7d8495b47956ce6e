//! The model: clients, and the services and access tokens that decide who may delete them.
//!
//! Everything here is what the table says, in Rust. What may be done with it is in [`rule`](crate::rule); how it is
//! stored is in [`store`](crate::store).

use crate::{allow_list::AllowList, credential::Digest};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc, time::SystemTime};

/// The feature that opens the Configuration API, and that protects its holder from deletion.
pub const OWNER: &str = "owner";

/// The identifier of a client or of a service: an opaque string, compared byte for byte.
///
/// Its shape is never validated, since documented samples break every pattern. What is excluded is only what cannot be
/// a key in DynamoDB, so that such an id is "not found" without asking the database. Clones share the text.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Id(Arc<str>);

impl Id {
    /// DynamoDB's limit for a partition key is 2,048 bytes; the longest prefix in the table, `service#`, takes 8.
    pub const MAX_BYTES: usize = 2048 - "service#".len();

    /// The id, unless it is empty or longer than [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn new(id: impl Into<Arc<str>>) -> Option<Self> {
        let id = id.into();
        (1..=Self::MAX_BYTES).contains(&id.len()).then_some(Self(id))
    }

    /// The id as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as the integer that some vendors' clients expect; `None` unless the id is that integer's only spelling.
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

/// The revision of a client: it grows with every change, and is the client's entity tag (RFC 9110, section 8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(pub u64);

/// The entity tag: the number between quotes, `"7"`.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// A live client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// What it is a client of.
    #[serde(flatten)]
    pub kind: Kind,
    /// Whether it is protected from deletion at every door.
    #[serde(default)]
    pub protected: bool,
    /// Its revision; a client that has none matches no entity tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// Since when it is idle, where that is kept track of. It stands beside the client in its item.
    #[serde(skip)]
    pub idle: Option<Idle>,
}

/// Since when a client that registered itself is idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Idle {
    /// Whether it was ever used.
    pub used: bool,
    /// The instant of the latest use that was noted, or else of the registration; in whole seconds.
    pub since: SystemTime,
}

impl Idle {
    /// Of a client that was registered at this instant, and never used.
    #[must_use]
    pub fn unused(since: SystemTime) -> Self {
        Self { used: false, since: epoch_seconds::rounded(since) }
    }

    /// Of a client that was used at this instant.
    #[must_use]
    pub fn used(since: SystemTime) -> Self {
        Self { used: true, since: epoch_seconds::rounded(since) }
    }
}

/// The two kinds of client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Kind {
    /// A client of the Configuration API.
    Api(ApiClient),
    /// An OAuth client.
    #[serde(rename = "oauth")]
    OAuth(OAuthClient),
}

/// A client of the Configuration API, with what it may do there.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ApiClient {
    /// The application that it belongs to.
    pub app_id: String,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it may do: an open set of words, compared exactly.
    #[serde(default)]
    pub features: Vec<String>,
    /// The addresses that it may call from.
    #[serde(default)]
    pub ip_allow_list: AllowList,
    /// Its secrets: two while one is being rotated out.
    #[serde(default)]
    pub secrets: Vec<StoredSecret>,
}

impl Client {
    /// Whether it is an OAuth client that registered itself (RFC 7591).
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        matches!(&self.kind, Kind::OAuth(oauth) if oauth.dynamic)
    }
}

impl ApiClient {
    /// Whether it has the feature [`OWNER`].
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.features.iter().any(|feature| feature == OWNER)
    }
}

/// A secret as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredSecret {
    /// The digest of the secret.
    pub digest: Digest,
    /// The instant from which it is no longer accepted; `None`: it does not expire.
    #[serde(default, with = "epoch_seconds::optional", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<SystemTime>,
}

/// An OAuth client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OAuthClient {
    /// The service that it belongs to.
    pub service_id: Id,
    /// Whether it registered itself (RFC 7591).
    #[serde(default)]
    pub dynamic: bool,
    /// The digest of its registration access token (RFC 7592, section 3); a client without one cannot delete itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_token_digest: Option<Digest>,
    /// What it registered with.
    #[serde(default)]
    pub metadata: Metadata,
}

/// The registered metadata that a deletion reports, under its names in RFC 7591, section 2. Other members stay in the
/// table and are not read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The name shown to end users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Where authorization responses go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uris: Option<Vec<String>>,
    /// The OAuth response types, such as `code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_types: Option<Vec<String>>,
    /// The OAuth grant types, such as `authorization_code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_types: Option<Vec<String>>,
    /// How the client authenticates; `none` for a public client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<String>,
}

/// A service: an authorization server whose clients are deleted on its behalf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "four independent switches, each the vendor's own")]
pub struct Service {
    /// The organization that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization_id: Option<String>,
    /// Whether it supports dynamic client registration.
    #[serde(default = "on")]
    pub dynamic_registration: bool,
    /// The vendor's `unauthorizedOnClientConfigSupported`.
    #[serde(default)]
    pub unauthorized_on_client_config: bool,
    /// The vendor's `errorDescriptionOmitted`.
    #[serde(default)]
    pub error_description_omitted: bool,
    /// The vendor's `errorUriOmitted`.
    #[serde(default)]
    pub error_uri_omitted: bool,
}

fn on() -> bool {
    true
}

impl Default for Service {
    fn default() -> Self {
        Self {
            organization_id: None,
            dynamic_registration: true,
            unauthorized_on_client_config: false,
            error_description_omitted: false,
            error_uri_omitted: false,
        }
    }
}

/// An access token of the Authlete API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessToken {
    /// What it gives access to.
    pub covers: Coverage,
    /// The instant from which it is no longer accepted; `None`: it does not expire.
    pub expires_at: Option<SystemTime>,
}

/// What an [`AccessToken`] gives access to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coverage {
    /// A Service Access Token: this one service.
    ServiceId(Id),
    /// An Organization Token: every service of this organization.
    OrganizationId(String),
}

impl Coverage {
    /// Whether `service`, whose id is `id`, is covered.
    #[must_use]
    pub fn includes(&self, id: &Id, service: &Service) -> bool {
        match self {
            Self::ServiceId(covered) => covered == id,
            Self::OrganizationId(organization) => service.organization_id.as_ref() == Some(organization),
        }
    }
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceId(id) => write!(f, "service#{id}"),
            Self::OrganizationId(id) => write!(f, "organization#{id}"),
        }
    }
}

/// The record of a deletion, written in the same write as the deletion itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deletion {
    /// When.
    #[serde(with = "epoch_seconds")]
    pub at: SystemTime,
    /// Who: `client#…`, `service#…`, `organization#…`, `operator#…` or `sweep`.
    pub by: String,
    /// Through which door.
    pub via: String,
    /// From where, where the platform said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<String>,
    /// By which invocation of the function.
    pub request_id: String,
}

impl Deletion {
    /// Whether this request made it. One without an id made none that it could know.
    #[must_use]
    pub fn is_of(&self, request_id: &str) -> bool {
        !request_id.is_empty() && self.request_id == request_id
    }
}

/// The record of a restoration: the end of a deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restoration {
    /// When.
    #[serde(with = "epoch_seconds")]
    pub at: SystemTime,
    /// Who: `operator#…`.
    pub by: String,
}

/// A deletion that was undone, as the client's history has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// The deletion.
    #[serde(flatten)]
    pub deletion: Deletion,
    /// How it ended.
    pub restored: Restoration,
}

/// Instants as whole seconds since the epoch, DynamoDB's own form for a time to live.
pub(crate) mod epoch_seconds {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::time::{Duration, SystemTime};

    /// The seconds since the epoch, rounded down; an instant before it counts as the epoch.
    pub(crate) fn of(instant: SystemTime) -> u64 {
        instant.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    /// The beginning of the second that the instant is in.
    pub(crate) fn rounded(at: SystemTime) -> SystemTime {
        instant(of(at)).unwrap_or(SystemTime::UNIX_EPOCH)
    }

    pub(crate) fn instant(seconds: u64) -> Option<SystemTime> {
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    }

    pub(crate) fn serialize<S: Serializer>(value: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(of(*value))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
        instant(u64::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("an instant out of range"))
    }

    pub(crate) mod optional {
        use super::{Deserialize, Deserializer, Error, Serializer, SystemTime, instant, of};

        #[expect(clippy::ref_option, reason = "the signature that serde calls")]
        pub(crate) fn serialize<S: Serializer>(value: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
            match value {
                Some(value) => serializer.serialize_u64(of(*value)),
                None => serializer.serialize_none(),
            }
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SystemTime>, D::Error> {
            Option::<u64>::deserialize(deserializer)?
                .map(|seconds| instant(seconds).ok_or_else(|| D::Error::custom("an instant out of range")))
                .transpose()
        }
    }
}
