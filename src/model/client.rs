//! Clients: API clients of the Configuration API, and OAuth clients.

use super::{AllowList, Digest, Id, Idle, StoredSecret, Version};
use serde::{Deserialize, Serialize};

/// The feature that allows a client to use the Configuration API. A client with it cannot be deleted.
pub const OWNER: &str = "owner";

/// A live client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Client {
    /// An API client or an OAuth client, with the members of that kind.
    #[serde(flatten)]
    pub kind: Kind,
    /// Whether the client is protected from deletion at every endpoint.
    #[serde(default)]
    pub protected: bool,
    /// The version. A client without one matches no entity tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
    /// How long the client is idle, if its use is tracked. In the item this is next to the client, not in it.
    #[serde(skip)]
    pub idle: Option<Idle>,
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

/// A client of the Configuration API.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ApiClient {
    /// The application that the client belongs to.
    pub app_id: String,
    /// The name, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The permissions: an open set of words, compared exactly.
    #[serde(default)]
    pub features: Vec<String>,
    /// The addresses that the client may call from.
    #[serde(default)]
    pub ip_allow_list: AllowList,
    /// The secrets. There are two while one is being rotated out.
    #[serde(default)]
    pub secrets: Vec<StoredSecret>,
}

impl Client {
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OAuthClient {
    /// The service that the client belongs to.
    pub service_id: Id,
    /// Whether the client registered itself (RFC 7591).
    #[serde(default)]
    pub dynamic: bool,
    /// The digest of the registration access token (RFC 7592, section 3). A client without one cannot delete itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registration_token_digest: Option<Digest>,
    /// The metadata that the client registered with.
    #[serde(default)]
    pub metadata: Metadata,
}

/// The registered metadata that a deletion reports, under the names of RFC 7591, section 2. The table keeps other
/// members too; nothing here reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// The name shown to end users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
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
