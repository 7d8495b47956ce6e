//! The `Authorization` header: Basic (RFC 7617) and Bearer (RFC 6750) credentials, and the challenges that ask for them.

use crate::{
    client::Id,
    credential::{Digest, Secret},
};
use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use lambda_http::{
    Request, RequestExt,
    http::{HeaderValue, header::AUTHORIZATION},
};

/// Why a request has no credentials that can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Absent {
    /// It has none of this scheme.
    Missing,
    /// It has some, and they are not well-formed.
    Malformed,
}

/// The query parameter that never carries a token here (RFC 6750, section 2.3).
pub(crate) const ACCESS_TOKEN: &str = "access_token";

/// Base64 with or without padding: the vendor's sample has none.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The client id, and the digest of the secret, of Basic credentials (RFC 7617, section 2).
pub(crate) fn basic(request: &Request) -> Result<(Id, Digest), Absent> {
    let token68 = credentials(request, "Basic")?;
    let mut user = BASE64.decode(token68).map_err(|_| Absent::Malformed)?;
    let colon = user.iter().position(|&byte| byte == b':').ok_or(Absent::Malformed)?;
    let secret = Secret::new(user.split_off(colon + 1));
    user.truncate(colon);
    let id = String::from_utf8(user).ok().and_then(Id::new).ok_or(Absent::Malformed)?;
    Ok((id, secret.digest()))
}

/// The digest of a Bearer token (RFC 6750, section 2.1).
pub(crate) fn bearer(request: &Request) -> Result<Digest, Absent> {
    let token = credentials(request, "Bearer")?;
    let word = token.trim_end_matches('=');
    let b64token = !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~+/".contains(&b));
    if b64token { Ok(Secret::new(token).digest()) } else { Err(Absent::Malformed) }
}

/// Whether a token was put into the query, where it is refused and not read.
pub(crate) fn token_in_query(request: &Request) -> bool {
    request.query_string_parameters_ref().is_some_and(|query| query.first(ACCESS_TOKEN).is_some())
}

/// What follows the scheme's name and one or more spaces, in the only `Authorization` field line.
fn credentials<'r>(request: &'r Request, scheme: &str) -> Result<&'r str, Absent> {
    let mut lines = request.headers().get_all(AUTHORIZATION).iter();
    let line = lines.next().ok_or(Absent::Missing)?;
    if lines.next().is_some() {
        return Err(Absent::Malformed);
    }
    let line = line.as_bytes().trim_ascii();
    let name_ends = line.iter().position(|&byte| byte == b' ').unwrap_or(line.len());
    let (name, rest) = line.split_at_checked(name_ends).unwrap_or((line, b""));
    if !name.eq_ignore_ascii_case(scheme.as_bytes()) {
        return Err(Absent::Missing);
    }
    std::str::from_utf8(rest).map(|rest| rest.trim_start_matches(' ')).map_err(|_| Absent::Malformed)
}

/// The protection space that challenges name (RFC 9110, section 11.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm(String);

impl Realm {
    /// The realm with this name, unless it is empty or has a character that a quoted string cannot have as it is.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let quotable = |b: u8| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\';
        (!name.is_empty() && name.bytes().all(quotable)).then(|| Self(name.to_owned()))
    }

    /// The challenge that asks for Basic credentials (RFC 7617, section 2).
    pub(crate) fn basic(&self) -> HeaderValue {
        challenge(format!("Basic realm=\"{}\", charset=\"UTF-8\"", self.0), "Basic")
    }

    /// The challenge that asks for a Bearer token (RFC 6750, section 3).
    pub(crate) fn bearer(&self) -> HeaderValue {
        challenge(format!("Bearer realm=\"{}\"", self.0), "Bearer")
    }

    /// The same, with what was wrong with the token presented. Both texts are of the characters that RFC 6750 allows.
    pub(crate) fn bearer_error(&self, error: &str, description: &str) -> HeaderValue {
        let realm = &self.0;
        challenge(format!("Bearer realm=\"{realm}\", error=\"{error}\", error_description=\"{description}\""), "Bearer")
    }
}

/// The header's value; the scheme alone, should the text not be fit for a header.
fn challenge(text: String, scheme: &'static str) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(scheme))
}
