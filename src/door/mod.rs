//! The doors: from a request to a request to delete, and from how that ended to an answer.
//!
//! Only this module and [`event`](crate::event) know HTTP. Each door maps its refusals to answers in one `match`, which
//! reads like its table in the documentation.

pub(crate) mod authlete;
pub(crate) mod authorization;
pub(crate) mod configuration;
pub(crate) mod registration;
pub(crate) mod reply;

use crate::{
    client::Id,
    deletion::Ended,
    rule::{IfMatch, RequestToDelete},
};
use lambda_http::{
    Body, Request, Response,
    http::{
        StatusCode,
        header::{CONTENT_TYPE, IF_MATCH},
    },
};
use percent_encoding::percent_decode_str;

/// One way in.
pub(crate) trait Door {
    /// What it makes of a request.
    type Request: RequestToDelete;

    /// The only method that it takes.
    const METHOD: &'static str;

    /// Makes out who wants which client deleted, without asking the database.
    fn parse(&self, request: &Request) -> Result<Self::Request, <Self::Request as RequestToDelete>::Refusal>;

    /// Says how it ended.
    fn reply(&self, ended: &Ended<Self::Request>) -> Response<Body>;

    /// Refuses another method.
    fn method_not_allowed(&self) -> Response<Body>;
}

/// The door that a path leads to, with what the path names. An id that cannot be one is `None`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// `/config/{appId}/clients/{apiClientId}`
    Configuration { application: Option<Id>, client: Option<Id> },
    /// `/register/{clientId}`
    Registration { client: Option<Id> },
    /// `/api/{serviceId}/client/registration/delete`
    Authlete { service: Option<Id> },
}

impl Path {
    /// Reads the path, with or without the API's stage in front.
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

/// The id in a path segment, percent-decoded once.
fn id(segment: &str) -> Option<Id> {
    percent_decode_str(segment).decode_utf8().ok().and_then(Id::new)
}

/// The precondition `If-Match`, of which repeated field lines are one list (RFC 9110, section 5.3).
fn if_match(request: &Request) -> Option<IfMatch> {
    let lines: Vec<_> =
        request.headers().get_all(IF_MATCH).iter().map(|line| line.to_str().unwrap_or_default()).collect();
    (!lines.is_empty()).then(|| IfMatch::parse(&lines.join(",")))
}

/// The media type of a form.
const FORM: &str = "application/x-www-form-urlencoded";

/// The body's media type, without parameters and in lower case; empty where the request does not say.
fn media_type(request: &Request) -> String {
    let value = request.headers().get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    String::from_utf8_lossy(value).split(';').next().unwrap_or_default().trim_matches([' ', '\t']).to_ascii_lowercase()
}

/// The answer to a path that leads to no door.
pub(crate) fn not_found() -> Response<Body> {
    reply::json(StatusCode::NOT_FOUND, r#"{"error":"not_found","error_description":"There is nothing at this path."}"#)
}
