//! Services of the Authlete API, and the access tokens for that API.

use super::Id;
use std::{fmt, time::SystemTime};

/// A service: an authorization server, for which the Authlete API deletes clients.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "four independent switches, each the vendor's own")]
pub struct Service {
    /// The organization that the service belongs to.
    pub organization_id: Option<String>,
    /// Whether the service supports dynamic client registration.
    pub dynamic_registration: bool,
    /// The vendor's `unauthorizedOnClientConfigSupported`.
    pub unauthorized_on_client_config: bool,
    /// The vendor's `errorDescriptionOmitted`.
    pub error_description_omitted: bool,
    /// The vendor's `errorUriOmitted`.
    pub error_uri_omitted: bool,
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
    /// The services that the token gives access to.
    pub scope: TokenScope,
    /// The time from which the token is refused. `None`: the token does not expire.
    pub expires_at: Option<SystemTime>,
}

/// The services that an [`AccessToken`] gives access to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenScope {
    /// A Service Access Token: one service.
    ServiceId(Id),
    /// An Organization Token: every service of one organization.
    OrganizationId(String),
}

impl TokenScope {
    /// Whether the scope includes the service with this id, which belongs to this organization.
    #[must_use]
    pub fn includes(&self, id: &Id, organization: Option<&str>) -> bool {
        match self {
            Self::ServiceId(own) => own == id,
            Self::OrganizationId(own) => organization == Some(own),
        }
    }
}

impl fmt::Display for TokenScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServiceId(id) => write!(f, "service#{id}"),
            Self::OrganizationId(id) => write!(f, "organization#{id}"),
        }
    }
}
