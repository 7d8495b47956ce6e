//! Reference parsers of the grammars in `docs/api.md`.
//!
//! They are as plain as possible, and share no parser with the function except that of IP addresses.

use crate::json::Json;
use std::net::IpAddr;

/// The text after the scheme and one or more spaces. `None`: the scheme is another one.
pub fn credentials<'l>(line: &'l str, scheme: &str) -> Option<&'l str> {
    let (name, rest) = without_white_space(line).split_once(' ').unwrap_or((without_white_space(line), ""));
    name.eq_ignore_ascii_case(scheme).then(|| rest.trim_start_matches(' '))
}

/// A field's value without the white space around it (RFC 9110, section 5.5).
fn without_white_space(value: &str) -> &str {
    value.trim_matches([' ', '\t'])
}

/// The client id and the secret of Basic credentials.
pub fn basic(line: &str) -> Option<(String, Vec<u8>)> {
    let user = base64(credentials(line, "Basic")?)?;
    let colon = user.iter().position(|&byte| byte == b':')?;
    Some((id(user[..colon].to_vec())?, user[colon + 1..].to_vec()))
}

/// The token of Bearer credentials.
pub fn bearer(line: &str) -> Option<&str> {
    let token = credentials(line, "Bearer")?;
    let end = token.find('=').unwrap_or(token.len());
    let (word, padding) = token.split_at(end);
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
    (!word.is_empty() && word.chars().all(allowed) && padding.chars().all(|c| c == '=')).then_some(token)
}

/// Decodes base64, bit by bit (RFC 4648, section 4). Padding is optional, in part too.
pub fn base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    let (mut bits, mut bit_count, mut bytes) = (0_u32, 0, Vec::new());
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        bit_count += 6;
        if bit_count >= 8 {
            bit_count -= 8;
            bytes.extend(u8::try_from(bits >> bit_count));
            bits &= (1 << bit_count) - 1;
        }
    }
    let padding = text.len() - digits.len();
    (digits.len() % 4 != 1 && bits == 0 && padding <= digits.len().wrapping_neg() % 4).then_some(bytes)
}

/// Percent-decodes a text: `%` and two hexadecimal digits are a byte (RFC 3986, section 2.1).
pub fn percent_decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let [first, after @ ..] = rest {
        let digit = |n: usize| after.get(n).and_then(|&digit| char::from(digit).to_digit(16));
        if let (b'%', Some(high), Some(low)) = (first, digit(0), digit(1)) {
            bytes.extend(u8::try_from(16 * high + low));
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    bytes
}

/// Reads an id. `None`: DynamoDB cannot have it as a key.
pub fn id(bytes: Vec<u8>) -> Option<String> {
    String::from_utf8(bytes).ok().filter(|id| (1..=2040).contains(&id.len()))
}

/// The endpoint of a path, with the ids that the path names. `None`: the segment is not an id.
#[derive(Debug)]
pub enum Endpoint {
    Configuration { application: Option<String>, client: Option<String> },
    Registration { client: Option<String> },
    Authlete { service: Option<String> },
}

/// What a path can begin with, and whether the sender has decoded it.
#[derive(Clone, Copy, Debug)]
pub struct Route<'r> {
    pub stage: Option<&'r str>,
    pub base_path: &'r str,
    pub registration_path: &'r str,
    pub is_decoded: bool,
}

/// Whether the setting accepts this path: slashes before segments that mean the same encoded, decoded and resolved.
pub fn is_prefix(path: &str) -> bool {
    let mut segments = path.split('/');
    let unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    segments.next() == Some("")
        && path.len() > 1
        && segments.all(|segment| !["", ".", ".."].contains(&segment) && segment.chars().all(unreserved))
}

/// Reads a path. The longest prefix of stage and base path is removed first.
pub fn endpoint(path: &str, route: Route<'_>) -> Option<Endpoint> {
    let base = route.base_path;
    let stage = route.stage.filter(|stage| !stage.is_empty()).map(|stage| format!("/{stage}"));
    let stage = stage.as_deref().unwrap_or_default();
    let both = [format!("{stage}{base}"), format!("{base}{stage}")];
    let prefixes = [&both[0], &both[1], stage, base, ""];
    prefixes.iter().find_map(|prefix| within(path.strip_prefix(prefix)?, route))
}

fn within(path: &str, route: Route<'_>) -> Option<Endpoint> {
    let id = |text: &str| id(if route.is_decoded { text.into() } else { percent_decoded(text.as_bytes()) });
    match path.split('/').collect::<Vec<_>>()[..] {
        ["", "config", application, "clients", client] => {
            Some(Endpoint::Configuration { application: id(application), client: id(client) })
        }
        ["", "api", service, "client", "registration", "delete"] => Some(Endpoint::Authlete { service: id(service) }),
        _ => {
            let client = path.strip_prefix(&format!("{}/", route.registration_path))?;
            (route.is_decoded || !client.contains('/')).then(|| Endpoint::Registration { client: id(client) })
        }
    }
}

/// What the function reads of an event.
#[derive(Debug)]
pub struct Event {
    pub is_supported: bool,
    pub is_decoded: bool,
    pub method: Option<String>,
    pub path: String,
    pub stage: Option<String>,
    pub source_ip: Option<IpAddr>,
    /// The lines of `Authorization`. `None`: the value is not a text.
    pub authorization: Vec<Option<String>>,
    pub content_type: String,
    pub has_token_in_query: bool,
    pub body: Vec<u8>,
}

impl Event {
    /// Reads an event. `None`: it is not JSON.
    pub fn read(event: &[u8]) -> Option<Self> {
        let event = Json::read(std::str::from_utf8(event).ok()?.as_bytes())?;
        let text = |value: Option<&Json>| value.and_then(Json::text).map(str::to_owned);
        let context = event.member("requestContext").cloned().unwrap_or(Json::Null);
        let http = context.member("http").and_then(Json::object);
        let (method, from) = match http {
            Some(http) => (text(http.member("method")), Some(http)),
            None => (text(event.member("httpMethod")), context.member("identity")),
        };
        let raw_path = text(event.member("rawPath"));
        let is_of_url = text(context.member("domainName")).is_some_and(|domain| domain.contains(".lambda-url."));
        let body = text(event.member("body")).unwrap_or_default();
        let is_base64 = event.member("isBase64Encoded") == Some(&Json::Bool(true));
        let headers = event.member("multiValueHeaders").and_then(Json::object).or(event.member("headers"));
        let content_type = fields(headers, "content-type").into_iter().next().flatten();
        Some(Self {
            is_supported: context.member("elb").and_then(Json::object).is_none()
                && text(context.member("serviceNetworkArn")).is_none()
                && text(event.member("raw_path")).is_none(),
            is_decoded: !is_of_url && (raw_path.is_some() || text(event.member("version")).as_deref() == Some("1.0")),
            method,
            path: raw_path.or(text(event.member("path"))).unwrap_or_default(),
            stage: text(context.member("stage")),
            source_ip: text(from.and_then(|from| from.member("sourceIp"))).and_then(|address| address.parse().ok()),
            authorization: fields(headers, "authorization"),
            content_type: content_type.unwrap_or_default(),
            has_token_in_query: has_token(&event),
            body: Some(&body).filter(|_| is_base64).and_then(|body| base64(body)).unwrap_or(body.into_bytes()),
        })
    }
}

/// The lines of a header field. If none is a text, the field is absent.
fn fields(headers: Option<&Json>, name: &str) -> Vec<Option<String>> {
    let fields = headers.map(|headers| headers.members(|known| known.eq_ignore_ascii_case(name))).unwrap_or_default();
    let lines: Vec<_> = fields.into_iter().flat_map(texts).collect();
    if lines.iter().all(Option::is_none) { Vec::new() } else { lines }
}

/// The text, or the texts in a list. `None`: it is not a text.
fn texts(value: &Json) -> Vec<Option<String>> {
    match value {
        Json::List(items) => items.iter().map(|item| item.text().map(str::to_owned)).collect(),
        value => vec![value.text().map(str::to_owned)],
    }
}

/// Whether the query has a parameter `access_token`.
fn has_token(event: &Json) -> bool {
    if let Some(query) = event.member("rawQueryString").and_then(Json::text) {
        return form(query.as_bytes()).any(|(name, _)| name == "access_token");
    }
    let queries = event.member("multiValueQueryStringParameters").and_then(Json::object);
    let query = queries.or(event.member("queryStringParameters"));
    let tokens = query.map(|query| query.members(|name| name == "access_token")).unwrap_or_default();
    tokens.into_iter().flat_map(texts).any(|token| token.is_some())
}

/// The parameters of a request to the Authlete API.
#[derive(Debug, Default, PartialEq)]
pub struct Parameters {
    pub client_id: Option<String>,
    pub token: Option<String>,
}

/// Reads the body of a request to the Authlete API. `None`: the body or its media type is refused.
pub fn parameters(content_type: &str, body: &[u8]) -> Option<Parameters> {
    let media_type = without_white_space(content_type.split(';').next()?).to_ascii_lowercase();
    match media_type.as_str() {
        _ if body.len() > 65_536 => None,
        "" | "application/json" => {
            let json = Json::read(body)?;
            json.object()?;
            let [client_id, token] = ["clientId", "token"].map(|name| json.members(|known| known == name));
            let is_digit = |c: char| c.is_ascii_digit();
            let client_id = match client_id[..] {
                [Json::Number(number)] if number.trim_start_matches('-').chars().all(is_digit) => Some(number.clone()),
                _ => optional(&client_id)?,
            };
            Some(Parameters { client_id, token: optional(&token)? })
        }
        "application/x-www-form-urlencoded" => {
            let mut parameters = Parameters::default();
            for (name, value) in form(body) {
                parameters.set(&name, value)?;
            }
            Some(parameters)
        }
        _ => None,
    }
}

impl Parameters {
    /// Sets a parameter. `None`: it was set before.
    fn set(&mut self, name: &str, value: String) -> Option<()> {
        let member = match name {
            "clientId" => &mut self.client_id,
            "token" => &mut self.token,
            _ => return Some(()),
        };
        member.replace(value).is_none().then_some(())
    }
}

/// The names and values of a form (URL Standard, section 5.1).
pub fn form(body: &[u8]) -> impl Iterator<Item = (String, String)> {
    let text = |bytes: &[u8]| {
        let spaced: Vec<u8> = bytes.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
        String::from_utf8_lossy(&percent_decoded(&spaced)).into_owned()
    };
    body.split(|&byte| byte == b'&').filter(|pair| !pair.is_empty()).map(move |pair| {
        let end = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
        (text(&pair[..end]), text(pair.get(end + 1..).unwrap_or_default()))
    })
}

/// The text of a member that is there at most once. `Some(None)`: it is absent or `null`. `None`: it is refused.
#[expect(clippy::option_option, reason = "absent is not refused")]
fn optional(values: &[&Json]) -> Option<Option<String>> {
    match values {
        [] | [Json::Null] => Some(None),
        [value] => value.text().map(|text| Some(text.to_owned())),
        _ => None,
    }
}

/// A block of IPv4 or IPv6 addresses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Block {
    /// `0.0.0.0/0`: every address, also a missing one.
    Any,
    /// The IPv4 addresses from the first to the last, mapped into IPv6.
    V4 { first: u128, last: u128 },
    /// The IPv6 addresses from the first to the last.
    V6 { first: u128, last: u128 },
}

impl Block {
    /// Reads an entry of an allow list. `None`: the entry cannot be read.
    pub fn of(entry: &str) -> Option<Self> {
        let (address, length) = match entry.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (entry, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let (bits, digits) = if address.is_ipv4() { (32, 2) } else { (128, 3) };
        let length = match length {
            Some(length) if length.starts_with('0') && length != "0" => return None,
            Some(length) if length.len() <= digits && length.bytes().all(|digit| digit.is_ascii_digit()) => {
                length.parse().ok()?
            }
            Some(_) => return None,
            None => bits,
        };
        if length > bits {
            return None;
        }
        let (number, is_v4) = number(address);
        let host = match (address, length) {
            (IpAddr::V4(_), 0) => return Some(Self::Any),
            (_, 0) => u128::MAX,
            _ => (1 << (bits - length)) - 1,
        };
        let (first, last) = (number & !host, number | host);
        // A block of IPv4-mapped addresses is IPv4, unless it contains other addresses too.
        Some(if is_v4 && host <= u128::from(u32::MAX) { Self::V4 { first, last } } else { Self::V6 { first, last } })
    }

    /// Whether the block contains the address.
    pub fn admits(self, address: Option<IpAddr>) -> bool {
        let address = address.map(number);
        match self {
            Self::Any => true,
            Self::V4 { first, last } => address.is_some_and(|(n, is_v4)| is_v4 && first <= n && n <= last),
            Self::V6 { first, last } => address.is_some_and(|(n, is_v4)| !is_v4 && first <= n && n <= last),
        }
    }
}

/// The address as a number, and whether it is IPv4. An IPv4 address counts as the IPv6 address that it is mapped to.
fn number(address: IpAddr) -> (u128, bool) {
    let number = match address {
        IpAddr::V4(address) => 0xFFFF << 32 | u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    };
    (number, number >> 32 == 0xFFFF)
}
