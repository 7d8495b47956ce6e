//! The `Authorization` header: Basic (RFC 7617) and Bearer (RFC 6750) credentials, and the challenges that ask for
//! them.

use crate::model::{Digest, Id, Realm};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use lambda_http::{
    Request, RequestExt,
    http::{HeaderValue, header::AUTHORIZATION},
};

/// Why a request has no credentials that can be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CredentialsError {
    /// The request has no credentials of this scheme.
    Missing,
    /// The credentials are not well-formed.
    Malformed,
}

/// The query parameter that carries a token in RFC 6750, section 2.3. A request with it is refused.
pub(super) const ACCESS_TOKEN: &str = "access_token";

/// Base64 with or without padding. The vendor's sample has none.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The client id, and the digest of the secret, of Basic credentials (RFC 7617, section 2).
pub(super) fn basic(request: &Request) -> Result<(Id, Digest), CredentialsError> {
    let token68 = credentials(request, "Basic")?;
    let mut user = BASE64.decode(token68).map_err(|_| CredentialsError::Malformed)?;
    let colon = user.iter().position(|&byte| byte == b':').ok_or(CredentialsError::Malformed)?;
    let secret = Digest::of(user.split_off(colon + 1));
    user.truncate(colon);
    let id = String::from_utf8(user).ok().and_then(Id::new).ok_or(CredentialsError::Malformed)?;
    Ok((id, secret))
}

/// The digest of a Bearer token (RFC 6750, section 2.1).
pub(super) fn bearer(request: &Request) -> Result<Digest, CredentialsError> {
    let token = credentials(request, "Bearer")?;
    let word = token.trim_end_matches('=');
    let b64token = !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b));
    if b64token { Ok(Digest::of(token)) } else { Err(CredentialsError::Malformed) }
}

/// Whether the query contains a token. Such a request is refused, and the token is not read.
pub(super) fn token_in_query(request: &Request) -> bool {
    request.query_string_parameters_ref().is_some_and(|query| query.first(ACCESS_TOKEN).is_some())
}

/// The text after the scheme's name and one or more spaces, in the only `Authorization` field line.
fn credentials<'r>(request: &'r Request, scheme: &str) -> Result<&'r str, CredentialsError> {
    let mut lines = request.headers().get_all(AUTHORIZATION).iter();
    let line = lines.next().ok_or(CredentialsError::Missing)?;
    if lines.next().is_some() {
        return Err(CredentialsError::Malformed);
    }
    let line = line.as_bytes().trim_ascii();
    let name_ends = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
    let (name, rest) = line.split_at_checked(name_ends).unwrap_or((line, b""));
    if !name.eq_ignore_ascii_case(scheme.as_bytes()) {
        return Err(CredentialsError::Missing);
    }
    std::str::from_utf8(rest).map(|rest| rest.trim_start_matches(' ')).map_err(|_| CredentialsError::Malformed)
}

/// The challenge for Basic credentials (RFC 7617, section 2).
pub(super) fn basic_challenge(realm: &Realm) -> HeaderValue {
    challenge(format!("Basic realm=\"{realm}\", charset=\"UTF-8\""), "Basic")
}

/// The challenge for a Bearer token (RFC 6750, section 3).
pub(super) fn bearer_challenge(realm: &Realm) -> HeaderValue {
    challenge(format!("Bearer realm=\"{realm}\""), "Bearer")
}

/// The challenge for a Bearer token, with the error of the presented one. Both texts may contain only the characters
/// that RFC 6750, section 3, allows.
pub(super) fn bearer_error(realm: &Realm, error: &str, description: &str) -> HeaderValue {
    challenge(format!("Bearer realm=\"{realm}\", error=\"{error}\", error_description=\"{description}\""), "Bearer")
}

/// The header's value. If the text cannot be a header value, only the scheme.
fn challenge(text: String, scheme: &'static str) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(scheme))
}
