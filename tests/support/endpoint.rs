//! The three endpoints, for tests that hold at each of them.

use super::{
    basic, bearer, event,
    sample::{APPLICATION, CLIENT, OWNER, RFC_CLIENT, SERVICE, SERVICE_TOKEN, TARGET},
};
use serde_json::json;

/// An endpoint, with a request that deletes a sample client there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Configuration,
    Registration,
    Authlete,
}

impl Endpoint {
    pub const ALL: [Self; 3] = [Self::Configuration, Self::Registration, Self::Authlete];

    /// The client that the request deletes.
    pub fn client(self) -> &'static str {
        match self {
            Self::Configuration => TARGET,
            Self::Registration => RFC_CLIENT.0,
            Self::Authlete => CLIENT.0,
        }
    }

    /// The event of the request.
    pub fn event(self) -> String {
        let (method, path, authorization, body) = match self {
            Self::Configuration => {
                ("DELETE", format!("/config/{APPLICATION}/clients/{TARGET}"), basic(OWNER), String::new())
            }
            Self::Registration => {
                ("DELETE", format!("/register/{}", RFC_CLIENT.0), bearer(RFC_CLIENT.1), String::new())
            }
            Self::Authlete => (
                "POST",
                format!("/api/{SERVICE}/client/registration/delete"),
                bearer(SERVICE_TOKEN),
                json!({ "clientId": CLIENT.0, "token": CLIENT.1 }).to_string(),
            ),
        };
        event(method, &path, "", &[("authorization", &authorization)], &body)
    }
}
