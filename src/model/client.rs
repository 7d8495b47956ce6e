//! Clients: API clients of the Configuration API, and OAuth clients.

use super::{AllowList, Digest, Id, Idle, StoredNotice, StoredSecret, StoredVersion, Version};
use serde::{Deserialize, Serialize};

/// The feature that allows a client to use the Configuration API. A client with it cannot be deleted.
pub const OWNER: &str = "owner";

/// A live client.
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// An API client or an OAuth client, with the members of that kind.
    pub kind: Kind,
    /// Whether the client is protected from deletion at every endpoint.
    pub protected: bool,
    /// What the item holds as the version.
    pub version: StoredVersion,
    /// How long the client is idle, if its use is tracked.
    pub idle: Option<Idle>,
    /// What the item holds as the notice that the sweep will delete the client.
    pub notice: StoredNotice,
    /// The request id of the deletion that the latest restoration ended, if the client was ever restored.
    pub restored_from: Option<String>,
}

/// The two kinds of client.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A client of the Configuration API.
    Api(ApiClient),
    /// An OAuth client.
    OAuth(OAuthClient),
}

impl Kind {
    /// The name of the kind, as the table stores it: `api` or `oauth`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Api(_) => "api",
            Self::OAuth(_) => "oauth",
        }
    }

    /// The features. An OAuth client has none.
    #[must_use]
    pub fn features(&self) -> &[String] {
        match self {
            Self::Api(client) => &client.features,
            Self::OAuth(_) => &[],
        }
    }
}

/// A client of the Configuration API.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ApiClient {
    /// The application that the client belongs to.
    pub app_id: String,
    /// The name, for people.
    pub name: Option<String>,
    /// The permissions: an open set of words, compared exactly.
    pub features: Vec<String>,
    /// The addresses that the client may call from.
    pub ip_allow_list: AllowList,
    /// The secrets. There are two while one is being rotated out.
    pub secrets: Vec<StoredSecret>,
}

impl Client {
    /// A client that was never changed, restored or used.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        let version = Version(1).into();
        Self { kind, protected: false, version, idle: None, notice: StoredNotice::None, restored_from: None }
    }

    /// Whether the client is an OAuth client that registered itself (RFC 7591).
    #[must_use]
    pub fn is_dynamic(&self) -> bool {
        matches!(&self.kind, Kind::OAuth(oauth) if oauth.dynamic)
    }
}

impl ApiClient {
    /// Whether the client has the feature [`OWNER`].
    #[must_use]
    pub fn is_owner(&self) -> bool {
        self.features.iter().any(|feature| feature == OWNER)
    }
}

/// An OAuth client.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OAuthClient {
    /// The service that the client belongs to, if it belongs to one.
    pub service_id: Option<Id>,
    /// Whether the client registered itself (RFC 7591).
    pub dynamic: bool,
    /// The digest of the registration access token (RFC 7592, section 3). A client without one cannot delete itself.
    pub registration_token_digest: Option<Digest>,
    /// The metadata that the client registered with.
    pub metadata: Metadata,
}

/// The registered metadata that a deletion or an announcement reports, under the names of RFC 7591, section 2. The
/// table keeps other members too. Nothing here reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The name shown to end users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// The addresses of the people who are responsible for the client, usually mail addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contacts: Option<Vec<String>>,
    /// Where authorization responses are sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_uris: Option<Vec<String>>,
    /// The OAuth response types, such as `code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_types: Option<Vec<String>>,
    /// The OAuth grant types, such as `authorization_code`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant_types: Option<Vec<String>>,
    /// How the client authenticates. `none`: it is a public client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<String>,
}
