//! The paths of the three endpoints.

use crate::model::Id;
use percent_encoding::percent_decode_str;

/// The endpoint of a path, with the ids that the path names. A segment that cannot be an id is `None`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/config/{appId}/clients/{apiClientId}`
    Configuration { application: Option<Id>, client: Option<Id> },
    /// `/register/{clientId}`
    Registration { client: Option<Id> },
    /// `/api/{serviceId}/client/registration/delete`
    Authlete { service: Option<Id> },
}

impl Route {
    /// Reads the path. It may begin with the API's stage.
    pub(crate) fn of(path: &str, stage: Option<&str>) -> Option<Self> {
        let within_stage = || path.strip_prefix('/')?.strip_prefix(stage?).and_then(Self::read);
        Self::read(path).or_else(within_stage)
    }

    fn read(path: &str) -> Option<Self> {
        let mut segments = path.strip_prefix('/')?.split('/');
        let mut next = || segments.next();
        let found = match (next()?, next()?, next(), next(), next()) {
            ("config", application, Some("clients"), Some(client), None) => {
                Self::Configuration { application: id(application), client: id(client) }
            }
            ("register", client, None, None, None) => Self::Registration { client: id(client) },
            ("api", service, Some("client"), Some("registration"), Some("delete")) => {
                Self::Authlete { service: id(service) }
            }
            _ => return None,
        };
        segments.next().is_none().then_some(found)
    }
}

/// The id in a path segment. The segment is percent-decoded once.
fn id(segment: &str) -> Option<Id> {
    percent_decode_str(segment).decode_utf8().ok().and_then(Id::new)
}
