//! `DELETE /config/{appId}/clients/{apiClientId}`: the Configuration API of Akamai Identity Cloud, formerly Janrain.

use super::{
    Endpoint,
    authorization::{self, CredentialsError},
    event::Origin,
    response, version_conditions,
};
use crate::{
    deletion::{NotDeleted, Outcome},
    model::{Id, Realm},
    rule::configuration::{Refusal, Request},
    store::Fault,
};
use lambda_http::{
    Body, Response,
    http::{StatusCode, header::WWW_AUTHENTICATE},
};

/// The vendor's sentence for every failed authentication.
const AUTHENTICATION_REQUIRED: &str = r#"{"errors": "Authentication required."}"#;
/// The vendor's sentence for every application or client that does not exist.
const NOT_FOUND: &str = r#"{"errors": "Client ID not found."}"#;

/// The endpoint, and the ids that the path names.
pub(crate) struct Configuration<'r> {
    pub(crate) realm: &'r Realm,
    pub(crate) application: Option<Id>,
    pub(crate) client: Option<Id>,
}

impl Endpoint for Configuration<'_> {
    type Request = Request;

    const METHOD: &'static str = "DELETE";

    fn parse(&self, request: &lambda_http::Request) -> Result<Request, Refusal> {
        let (caller, secret) = authorization::basic(request).map_err(|error| match error {
            CredentialsError::Missing => Refusal::NoCredentials,
            CredentialsError::Malformed => Refusal::MalformedCredentials,
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
            conditions: version_conditions(request),
        })
    }

    fn respond(&self, outcome: &Outcome<Request>) -> Response<Body> {
        let reason = match &outcome.result {
            Ok(()) => return response::no_content(),
            Err(NotDeleted::Refused(reason)) => reason,
            Err(NotDeleted::ReadFailed(fault) | NotDeleted::WriteFailed(fault)) => return failed(fault),
        };
        match reason {
            Refusal::NoCredentials
            | Refusal::MalformedCredentials
            | Refusal::UnknownCaller
            | Refusal::DeletedCaller
            | Refusal::UnreadableCaller
            | Refusal::WrongSecret
            | Refusal::ExpiredSecret => {
                let answer = response::json(StatusCode::UNAUTHORIZED, AUTHENTICATION_REQUIRED);
                response::with(answer, WWW_AUTHENTICATE, authorization::basic_challenge(self.realm))
            }
            Refusal::OutsideAllowList | Refusal::CallerIsNotOwner => {
                response::json(StatusCode::FORBIDDEN, AUTHENTICATION_REQUIRED)
            }
            Refusal::AnotherApplication | Refusal::UnknownClient | Refusal::UnreadableClient => {
                response::json(StatusCode::NOT_FOUND, NOT_FOUND)
            }
            Refusal::TargetIsOwner => response::json(
                StatusCode::FORBIDDEN,
                r#"{"errors": "A client with the owner feature cannot be deleted."}"#,
            ),
            Refusal::Protected => {
                response::json(StatusCode::FORBIDDEN, r#"{"errors": "This client is protected from deletion."}"#)
            }
            Refusal::VersionMismatch => response::json(
                StatusCode::PRECONDITION_FAILED,
                r#"{"errors": "The version of the client does not meet If-Match or If-None-Match."}"#,
            ),
        }
    }

    fn method_not_allowed(&self) -> Response<Body> {
        response::json(StatusCode::METHOD_NOT_ALLOWED, r#"{"errors": "Only DELETE is supported here."}"#)
    }
}

fn failed(fault: &Fault) -> Response<Body> {
    match fault {
        Fault::Unavailable(_) => response::retry_later(response::json(
            StatusCode::SERVICE_UNAVAILABLE,
            r#"{"errors": "The service is temporarily unavailable."}"#,
        )),
        Fault::Unreadable(_) | Fault::Unexpected(_) => {
            response::json(StatusCode::INTERNAL_SERVER_ERROR, r#"{"errors": "An internal error occurred."}"#)
        }
    }
}
