//! `DELETE /register/{clientId}`: the client configuration endpoint (RFC 7592, section 2.3).

use super::{
    Endpoint, FORM,
    authorization::{self, ACCESS_TOKEN, CredentialsError},
    media_type, response, version_conditions,
};
use crate::{
    deletion::{NotDeleted, Outcome},
    model::{Id, Realm},
    rule::registration::{Refusal, Request},
    store::Fault,
};
use lambda_http::{
    Body, Response,
    http::{StatusCode, header::WWW_AUTHENTICATE},
};
use serde::Serialize;

/// The endpoint, and the ids that the path names.
pub(crate) struct Registration<'r> {
    pub(crate) realm: &'r Realm,
    pub(crate) client: Option<Id>,
}

/// An error of OAuth (RFC 6749, section 5.2). The texts contain only the characters that RFC 6750, section 3, allows.
#[derive(Serialize)]
struct Problem {
    #[serde(skip)]
    status: StatusCode,
    error: &'static str,
    error_description: &'static str,
}

impl Problem {
    const fn new(status: StatusCode, error: &'static str, error_description: &'static str) -> Self {
        Self { status, error, error_description }
    }
}

const NO_TOKEN: Problem =
    Problem::new(StatusCode::UNAUTHORIZED, "invalid_token", "A registration access token is required.");
const BAD_REQUEST: Problem = Problem::new(
    StatusCode::BAD_REQUEST,
    "invalid_request",
    "Present one registration access token, in one Authorization header, and nowhere else.",
);
const INVALID_TOKEN: Problem = Problem::new(
    StatusCode::UNAUTHORIZED,
    "invalid_token",
    "The registration access token is not valid for this client.",
);
const PROTECTED: Problem =
    Problem::new(StatusCode::FORBIDDEN, "insufficient_scope", "This client is protected from deletion.");
const PRECONDITION_FAILED: Problem = Problem::new(
    StatusCode::PRECONDITION_FAILED,
    "precondition_failed",
    "The version of the client does not meet If-Match or If-None-Match.",
);
const METHOD_NOT_ALLOWED: Problem =
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "Only DELETE is supported here.");
const UNAVAILABLE: Problem =
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", "The service is temporarily unavailable.");
const INTERNAL_ERROR: Problem =
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", "An internal error occurred.");

impl Endpoint for Registration<'_> {
    type Request = Request;

    const METHOD: &'static str = "DELETE";

    fn parse(&self, request: &lambda_http::Request) -> Result<Request, Refusal> {
        let token = authorization::bearer(request).map_err(|error| match error {
            CredentialsError::Missing => Refusal::NoCredentials,
            CredentialsError::Malformed => Refusal::MalformedCredentials,
        })?;
        if authorization::token_in_query(request) || token_in_form(request) {
            return Err(Refusal::TokenOutsideHeader);
        }
        let target = self.client.clone().ok_or(Refusal::UnknownClient)?;
        Ok(Request { target, token, conditions: version_conditions(request) })
    }

    fn respond(&self, outcome: &Outcome<Request>) -> Response<Body> {
        match &outcome.result {
            Ok(()) => response::no_content(),
            Err(NotDeleted::Refused(reason)) => self.refuse(*reason),
            Err(NotDeleted::ReadFailed(fault) | NotDeleted::WriteFailed(fault)) => match fault {
                Fault::Unavailable(_) => response::retry_later(json(&UNAVAILABLE)),
                Fault::Unreadable(_) | Fault::Unexpected(_) => json(&INTERNAL_ERROR),
            },
        }
    }

    fn method_not_allowed(&self) -> Response<Body> {
        json(&METHOD_NOT_ALLOWED)
    }
}

impl Registration<'_> {
    fn refuse(&self, reason: Refusal) -> Response<Body> {
        match reason {
            Refusal::NoCredentials => {
                response::with(json(&NO_TOKEN), WWW_AUTHENTICATE, authorization::bearer_challenge(self.realm))
            }
            Refusal::MalformedCredentials | Refusal::TokenOutsideHeader => self.challenge(&BAD_REQUEST),
            Refusal::UnknownClient
            | Refusal::DeletedClient
            | Refusal::UnreadableClient
            | Refusal::NotAnOAuthClient
            | Refusal::NoRegistrationToken
            | Refusal::WrongToken => self.challenge(&INVALID_TOKEN),
            Refusal::Protected => self.challenge(&PROTECTED),
            Refusal::VersionMismatch => json(&PRECONDITION_FAILED),
        }
    }

    fn challenge(&self, problem: &Problem) -> Response<Body> {
        let challenge = authorization::bearer_error(self.realm, problem.error, problem.error_description);
        response::with(json(problem), WWW_AUTHENTICATE, challenge)
    }
}

fn json(problem: &Problem) -> Response<Body> {
    response::json_of(problem.status, problem)
}

/// Whether a form body contains a token too (RFC 6750, section 2.2).
fn token_in_form(request: &lambda_http::Request) -> bool {
    media_type(request) == FORM && form_urlencoded::parse(request.body()).any(|(name, _)| name == ACCESS_TOKEN)
}
