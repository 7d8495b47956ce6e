//! The paths of the three endpoints.

use super::event::{Origin, Sender};
use crate::model::Id;
use percent_encoding::percent_decode_str;

/// The endpoint of a path, with the ids that the path names. An id that is empty, too long or not UTF-8 is `None`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/config/{appId}/clients/{apiClientId}`
    Configuration { application: Option<Id>, client: Option<Id> },
    /// `/register/{clientId}`, with the prefix of the deployment
    Registration { client: Option<Id> },
    /// `/api/{serviceId}/client/registration/delete`
    Authlete { service: Option<Id> },
}

/// The prefixes that a deployment chooses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prefixes<'p> {
    /// The base path, which every path may begin with. Empty: none.
    pub(crate) base: &'p str,
    /// The prefix of the client configuration endpoint.
    pub(crate) registration: &'p str,
}

impl Route {
    /// Reads the path. It may begin with the API's stage and the base path. They are removed first: behind an HTTP API,
    /// they could also be the beginning of a client id.
    pub(crate) fn of<'p>(path: &'p str, origin: &Origin, prefixes: Prefixes<'_>) -> Option<Self> {
        let stage = origin.stage.as_deref().filter(|stage| !stage.is_empty());
        let after_stage = |path: &'p str| path.strip_prefix('/')?.strip_prefix(stage?);
        let after_base = |path: &'p str| path.strip_prefix(prefixes.base);
        [
            after_stage(path).and_then(after_base),
            after_base(path).and_then(after_stage),
            after_stage(path),
            after_base(path),
            Some(path),
        ]
        .into_iter()
        .flatten()
        .find_map(|path| Self::read(path, origin.sender, prefixes.registration))
    }

    fn read(path: &str, sender: Sender, registration: &str) -> Option<Self> {
        let id = |text: &str| {
            if sender.decodes_path() {
                Id::new(text)
            } else {
                percent_decode_str(text).decode_utf8().ok().and_then(Id::new)
            }
        };
        let mut segments = path.strip_prefix('/')?.split('/');
        let mut next = || segments.next();
        match (next(), next(), next(), next(), next(), next()) {
            (Some("config"), Some(application), Some("clients"), Some(client), None, _) => {
                Some(Self::Configuration { application: id(application), client: id(client) })
            }
            (Some("api"), Some(service), Some("client"), Some("registration"), Some("delete"), None) => {
                Some(Self::Authlete { service: id(service) })
            }
            _ => {
                let client = path.strip_prefix(registration)?.strip_prefix('/')?;
                // A decoded slash may be part of the id. An encoded one is `%2F`.
                let is_id = sender.decodes_path() || !client.contains('/');
                is_id.then(|| Self::Registration { client: id(client) })
            }
        }
    }
}
