//! `DELETE /config/{appId}/clients/{apiClientId}`: the Configuration API of Akamai Identity Cloud, formerly Janrain.

use super::{
    Door,
    authorization::{self, Absent, Realm},
    if_match, reply,
};
use crate::{
    client::Id,
    deletion::{Ended, NotDeleted},
    event::Origin,
    rule::configuration::{Refusal, Request},
    store::Fault,
};
use lambda_http::{
    Body, Response,
    http::{StatusCode, header::WWW_AUTHENTICATE},
};

/// The vendor's sentence for every failed authentication.
const AUTHENTICATION_REQUIRED: &str = r#"{"errors": "Authentication required."}"#;
/// The vendor's sentence for every application or client that is not there.
const NOT_FOUND: &str = r#"{"errors": "Client ID not found."}"#;

/// The door, and what the path names.
pub(crate) struct Configuration<'r> {
    pub(crate) realm: &'r Realm,
    pub(crate) application: Option<Id>,
    pub(crate) client: Option<Id>,
}

impl Door for Configuration<'_> {
    type Request = Request;

    const METHOD: &'static str = "DELETE";

    fn parse(&self, request: &lambda_http::Request) -> Result<Request, Refusal> {
        let (caller, secret) = authorization::basic(request).map_err(|absent| match absent {
            Absent::Missing => Refusal::NoCredentials,
            Absent::Malformed => Refusal::MalformedCredentials,
        })?;
        if authorization::token_in_query(request) {
            return Err(Refusal::MalformedCredentials);
        }
        Ok(Request {
            caller,
            secret,
            source_ip: request.extensions().get::<Origin>().and_then(|origin| origin.source_ip),
            application: self.application.clone().ok_or(Refusal::AnotherApplication)?.into(),
            target: self.client.clone().ok_or(Refusal::UnknownClient)?,
            if_match: if_match(request),
        })
    }

    fn reply(&self, ended: &Ended<Request>) -> Response<Body> {
        let reason = match &ended.result {
            Ok(()) => return reply::no_content(),
            Err(NotDeleted::Refused(reason)) => reason,
            Err(NotDeleted::Unread(fault) | NotDeleted::Unwritten(fault)) => return failed(fault),
        };
        match reason {
            Refusal::NoCredentials
            | Refusal::MalformedCredentials
            | Refusal::UnknownCaller
            | Refusal::DeletedCaller
            | Refusal::WrongSecret
            | Refusal::ExpiredSecret => {
                let answer = reply::json(StatusCode::UNAUTHORIZED, AUTHENTICATION_REQUIRED);
                reply::with(answer, WWW_AUTHENTICATE, self.realm.basic())
            }
            Refusal::OutsideAllowList | Refusal::CallerIsNotOwner => {
                reply::json(StatusCode::FORBIDDEN, AUTHENTICATION_REQUIRED)
            }
            Refusal::AnotherApplication | Refusal::UnknownClient => reply::json(StatusCode::NOT_FOUND, NOT_FOUND),
            Refusal::TargetIsOwner => reply::json(
                StatusCode::FORBIDDEN,
                r#"{"errors": "A client with the owner feature cannot be deleted."}"#,
            ),
            Refusal::Protected => {
                reply::json(StatusCode::FORBIDDEN, r#"{"errors": "This client is protected from deletion."}"#)
            }
            Refusal::VersionMismatch => reply::json(
                StatusCode::PRECONDITION_FAILED,
                r#"{"errors": "The client is not at the version that If-Match names."}"#,
            ),
        }
    }

    fn method_not_allowed(&self) -> Response<Body> {
        reply::json(StatusCode::METHOD_NOT_ALLOWED, r#"{"errors": "Only DELETE is supported here."}"#)
    }
}

fn failed(fault: &Fault) -> Response<Body> {
    match fault {
        Fault::Unavailable(_) => reply::retry_later(reply::json(
            StatusCode::SERVICE_UNAVAILABLE,
            r#"{"errors": "The service is temporarily unavailable."}"#,
        )),
        Fault::Unreadable(_) | Fault::Unexpected(_) => {
            reply::json(StatusCode::INTERNAL_SERVER_ERROR, r#"{"errors": "An internal error occurred."}"#)
        }
    }
}
