//! `POST /api/{serviceId}/client/registration/delete`: Authlete's API. An authorization server asks to delete a client.
//! The answer says what the server must answer the client.

use super::{
    Endpoint, FORM,
    authorization::{self, CredentialsError},
    media_type, response,
};
use crate::{
    deletion::{NotDeleted, Outcome},
    json::{self, Member},
    model::{Client, Digest, Id, Kind, Metadata, Realm},
    rule::authlete::{CallRefusal, DeletionRefusal, Refusal, Request},
    snapshot::{Key, Lookup},
    store::Fault,
};
use lambda_http::{
    Body, Response,
    http::{
        StatusCode,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
    },
};
use serde::{Serialize, de::IgnoredAny};

/// The longest body that is read, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// The longest part of a client id that an answer repeats, in characters.
const MAX_ECHO: usize = 64;

/// The endpoint, and the ids that the path names.
pub(crate) struct Authlete<'r> {
    pub(crate) realm: &'r Realm,
    pub(crate) service: Option<Id>,
}

/// The body of the call. Absent, `null` and empty members are equivalent.
#[derive(Default)]
struct Parameters {
    client_id: Option<String>,
    token: Option<String>,
}

impl Parameters {
    /// Reads a JSON object. `None` if the body is not an object, or a member is there twice or has a wrong type.
    fn of_json(body: &[u8]) -> Option<Self> {
        // Names are taken as bytes, so what may not be in a name is found here.
        serde_json::from_slice::<IgnoredAny>(body).ok()?;
        let [client_id, token] = json::members(body, ["clientId", "token"])?;
        let text = |member| match member {
            Member::Absent => Some(None),
            Member::Once(value) if value.get() == "null" => Some(None),
            Member::Once(value) => json::text(value).map(|text| Some(text.into_owned())),
            Member::Repeated => None,
        };
        let client_id = match client_id {
            // As in the vendor's own answers.
            Member::Once(value) if is_integer(value.get()) => Some(value.get().to_owned()),
            member => text(member)?,
        };
        Some(Self { client_id, token: text(token)? })
    }
}

/// Whether a JSON value is an integer, of any size.
fn is_integer(json: &str) -> bool {
    json.strip_prefix('-').unwrap_or(json).bytes().all(|byte| byte.is_ascii_digit())
}

impl Endpoint for Authlete<'_> {
    type Request = Request;

    const METHOD: &'static str = "POST";

    fn parse(&self, request: &lambda_http::Request) -> Result<Request, Refusal> {
        let access_token = authorization::bearer(request).map_err(|error| match error {
            CredentialsError::Missing if !request.headers().contains_key(AUTHORIZATION) => CallRefusal::NoCredentials,
            CredentialsError::Missing | CredentialsError::Malformed => CallRefusal::MalformedCredentials,
        })?;
        if authorization::token_in_query(request) {
            return Err(CallRefusal::MalformedCredentials.into());
        }
        let Parameters { client_id, token } = parameters(request).ok_or(CallRefusal::MalformedBody)?;
        let client_id = client_id.unwrap_or_default();
        Ok(Request {
            access_token,
            service: self.service.clone().ok_or(CallRefusal::UnknownService)?,
            target: Id::new(client_id.as_str()),
            client_id,
            token: token.filter(|token| !token.is_empty()).map(Digest::of),
        })
    }

    fn respond(&self, outcome: &Outcome<Request>) -> Response<Body> {
        let result = match &outcome.result {
            Err(NotDeleted::Refused(Refusal::Call(reason))) => return self.refuse(*reason),
            Err(NotDeleted::ReadFailed(fault)) if !is_about_a_client(fault) => return failed(fault),
            Err(NotDeleted::Refused(Refusal::Deletion(reason))) => Err(Some(*reason)),
            Err(NotDeleted::ReadFailed(_) | NotDeleted::WriteFailed(_)) => Err(None),
            Ok(()) => Ok(()),
        };
        match &outcome.request {
            Some(request) => response::json_of(StatusCode::OK, &answer(request, outcome, result)),
            None => failed(&Fault::Unexpected("a request that was not parsed cannot have an outcome".to_owned())),
        }
    }

    fn method_not_allowed(&self) -> Response<Body> {
        failure(StatusCode::METHOD_NOT_ALLOWED, "D001004", "only POST is supported.")
    }
}

/// Reads the body, JSON or a form.
fn parameters(request: &lambda_http::Request) -> Option<Parameters> {
    let body: &[u8] = request.body();
    if body.len() > MAX_BODY {
        return None;
    }
    match media_type(request).as_str() {
        "" | "application/json" => Parameters::of_json(body),
        FORM => {
            let mut parameters = Parameters::default();
            for (name, value) in form_urlencoded::parse(body) {
                let member = match &*name {
                    "clientId" => &mut parameters.client_id,
                    "token" => &mut parameters.token,
                    _ => continue,
                };
                if member.replace(value.into_owned()).is_some() {
                    return None;
                }
            }
            Some(parameters)
        }
        _ => None,
    }
}

/// The answer to an accepted call.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    result_code: &'static str,
    result_message: String,
    action: Action,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<DeletedClient>,
}

/// What the authorization server must do next.
#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum Action {
    BadRequest,
    Deleted,
    InternalServerError,
    Unauthorized,
}

/// The answer to an accepted call. `Err(None)` is a fault of the database.
fn answer(request: &Request, outcome: &Outcome<Request>, result: Result<(), Option<DeletionRefusal>>) -> Answer {
    let service = outcome.snapshot.service(&request.service).ok().flatten().cloned().unwrap_or_default();
    let id = echo(&request.client_id);
    let denied = if service.unauthorized_on_client_config { Action::Unauthorized } else { Action::BadRequest };
    let (code, text, action) = match result {
        Err(Some(DeletionRefusal::NoDynamicRegistration)) => (
            "A206201",
            format!("Service ({}) does not support dynamic client registration.", echo(request.service.as_str())),
            Action::BadRequest,
        ),
        Err(Some(DeletionRefusal::UnreadableClientId)) => {
            ("A215301", format!("Unable to parse client ID ({id})."), Action::BadRequest)
        }
        Err(Some(DeletionRefusal::UnknownClient | DeletionRefusal::UnreadableClient)) => {
            ("A215302", format!("Client with id '{id}' not found."), denied)
        }
        Err(Some(DeletionRefusal::StaticClient)) => {
            ("A215303", format!("Client ({id}) is not dynamically registered."), denied)
        }
        Err(Some(DeletionRefusal::NoToken)) => {
            ("A215305", "The registration access token is not present.".to_owned(), denied)
        }
        Err(Some(DeletionRefusal::NoRegistrationToken)) => (
            "A215306",
            format!("The client ({id}) has no registration access token, so that none can be presented for it."),
            denied,
        ),
        Err(Some(DeletionRefusal::WrongToken)) => (
            "A215307",
            format!(
                "The registration access token presented does not match the registration access token for this \
                 client ({id})."
            ),
            denied,
        ),
        Err(Some(DeletionRefusal::Protected)) => {
            ("D001001", format!("Client ({id}) is protected from deletion."), Action::BadRequest)
        }
        Err(None) => (
            "A001101",
            "The client could not be deleted, because of a failure of the database.".to_owned(),
            Action::InternalServerError,
        ),
        Ok(()) => ("A216001", "The client has been deleted.".to_owned(), Action::Deleted),
    };
    let result_message = format!("[{code}] {text}");
    let response_content = error_of(action).and_then(|error| {
        let content = Content {
            error,
            error_description: (!service.error_description_omitted).then_some(&result_message),
            error_uri: (!service.error_uri_omitted).then(|| format!("https://docs.authlete.com/#{code}")),
        };
        serde_json::to_string(&content).ok()
    });
    let client = result.is_ok().then(|| DeletedClient::of(request, outcome)).flatten();
    Answer { result_code: code, result_message, action, response_content, client }
}

/// The body that the authorization server sends to the client.
#[derive(Serialize)]
struct Content<'a> {
    error: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_description: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_uri: Option<String>,
}

fn error_of(action: Action) -> Option<&'static str> {
    match action {
        Action::BadRequest => Some("invalid_request"),
        Action::Unauthorized => Some("invalid_token"),
        Action::InternalServerError => Some("server_error"),
        Action::Deleted => None,
    }
}

/// The deleted client, in the vendor's words. An id is left out unless it is an integer, because the official SDKs read
/// only integers. A word that the vendor does not have is left out.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeletedClient {
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_number: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_uris: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_types: Option<Vec<&'static str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant_types: Option<Vec<&'static str>>,
}

impl DeletedClient {
    fn of(request: &Request, outcome: &Outcome<Request>) -> Option<Self> {
        let id = request.target.as_ref()?;
        let Lookup::Live(Client { kind: Kind::OAuth(client), .. }) = outcome.snapshot.client(id).ok()? else {
            return None;
        };
        let Metadata { client_name, redirect_uris, response_types, grant_types, token_endpoint_auth_method, .. } =
            client.metadata.clone();
        let words = |words: Option<Vec<String>>, word: fn(&str) -> Option<&'static str>| {
            words.map(|words| words.iter().filter_map(|known| word(known)).collect())
        };
        Some(Self {
            number: id.as_number(),
            service_number: request.service.as_number(),
            client_name,
            client_id: id.as_number(),
            client_type: token_endpoint_auth_method.map(|m| if m == "none" { "PUBLIC" } else { "CONFIDENTIAL" }),
            redirect_uris,
            response_types: words(response_types, response_type),
            grant_types: words(grant_types, grant_type),
        })
    }
}

/// The vendor's word for an OAuth response type.
fn response_type(word: &str) -> Option<&'static str> {
    Some(match word {
        "none" => "NONE",
        "code" => "CODE",
        "token" => "TOKEN",
        "id_token" => "ID_TOKEN",
        "code token" => "CODE_TOKEN",
        "code id_token" => "CODE_ID_TOKEN",
        "id_token token" => "ID_TOKEN_TOKEN",
        "code id_token token" => "CODE_ID_TOKEN_TOKEN",
        _ => return None,
    })
}

/// The vendor's word for an OAuth grant type.
fn grant_type(word: &str) -> Option<&'static str> {
    Some(match word {
        "authorization_code" => "AUTHORIZATION_CODE",
        "implicit" => "IMPLICIT",
        "password" => "PASSWORD",
        "client_credentials" => "CLIENT_CREDENTIALS",
        "refresh_token" => "REFRESH_TOKEN",
        "urn:openid:params:grant-type:ciba" => "CIBA",
        "urn:ietf:params:oauth:grant-type:device_code" => "DEVICE_CODE",
        "urn:ietf:params:oauth:grant-type:token-exchange" => "TOKEN_EXCHANGE",
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => "JWT_BEARER",
        _ => return None,
    })
}

/// A client id, shortened and without control characters.
fn echo(id: &str) -> String {
    let printable = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    id.chars().take(MAX_ECHO).map(printable).collect()
}

impl Authlete<'_> {
    fn refuse(&self, reason: CallRefusal) -> Response<Body> {
        let unauthorized = |code, text| {
            response::with(
                failure(StatusCode::UNAUTHORIZED, code, text),
                WWW_AUTHENTICATE,
                authorization::bearer_challenge(self.realm),
            )
        };
        match reason {
            CallRefusal::NoCredentials => unauthorized("A001202", "Authorization header is missing."),
            CallRefusal::MalformedCredentials => unauthorized("A001203", "Authorization header is malformed."),
            CallRefusal::UnknownAccessToken | CallRefusal::UnreadableAccessToken | CallRefusal::ExpiredAccessToken => {
                unauthorized("A001203", "the access token is not valid.")
            }
            CallRefusal::UnknownService | CallRefusal::UnreadableService | CallRefusal::AnotherService => {
                failure(StatusCode::FORBIDDEN, "D001002", "the access token does not cover this service.")
            }
            CallRefusal::MalformedBody => failure(
                StatusCode::BAD_REQUEST,
                "A258201",
                "the body is not a JSON object or a form with the members clientId and token, of 64 KiB at most.",
            ),
        }
    }
}

/// The answer to a fault before the caller is authorized.
fn failed(fault: &Fault) -> Response<Body> {
    match fault {
        Fault::Unavailable(_) => response::retry_later(failure(
            StatusCode::SERVICE_UNAVAILABLE,
            "D001003",
            "the service is temporarily unavailable.",
        )),
        Fault::Unreadable(_) | Fault::Unexpected(_) => {
            failure(StatusCode::INTERNAL_SERVER_ERROR, "A001101", "an internal error occurred.")
        }
    }
}

/// Whether the fault is an unreadable client. Then the rule has already authorized the caller.
fn is_about_a_client(fault: &Fault) -> bool {
    matches!(fault, Fault::Unreadable(unreadable) if matches!(unreadable.key, Key::Client(_)))
}

/// The answer to a call that is refused or fails.
fn failure(status: StatusCode, code: &'static str, text: &str) -> Response<Body> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Failure {
        result_code: &'static str,
        result_message: String,
    }

    let result_message = format!("[{code}] /client/registration/delete, {text}");
    response::json_of(status, &Failure { result_code: code, result_message })
}
