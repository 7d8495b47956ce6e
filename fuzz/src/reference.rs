//! Reference parsers of the grammars in `docs/api.md`.
//!
//! They are as plain as possible, and share no parser with the function except those of JSON and of IP addresses.

use serde::{
    Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};
use std::{fmt, net::IpAddr};

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

/// Reads a path, which may begin with the stage.
pub fn endpoint(path: &str, stage: Option<&str>) -> Option<Endpoint> {
    let id = |segment: &str| id(percent_decoded(segment.as_bytes()));
    let within = |path: &str| match path.split('/').collect::<Vec<_>>()[..] {
        ["", "config", application, "clients", client] => {
            Some(Endpoint::Configuration { application: id(application), client: id(client) })
        }
        ["", "register", client] => Some(Endpoint::Registration { client: id(client) }),
        ["", "api", service, "client", "registration", "delete"] => Some(Endpoint::Authlete { service: id(service) }),
        _ => None,
    };
    within(path).or_else(|| within(path.strip_prefix(&format!("/{}", stage?))?))
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
            let mut json = serde_json::Deserializer::from_slice(body);
            let parameters = json.deserialize_map(Members).ok()?;
            json.end().ok().map(|()| parameters)
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

/// Reads the members of a JSON object. A repeated member is an error. A member that is `null` counts as absent.
struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Parameters;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<Parameters, M::Error> {
        let mut seen = Vec::new();
        let mut parameters = Parameters::default();
        while let Some(name) = members.next_key::<String>()? {
            if !["clientId", "token"].contains(&name.as_str()) {
                members.next_value::<IgnoredAny>()?;
                continue;
            }
            if let Some(value) = members.next_value::<Option<String>>()? {
                parameters.set(&name, value);
            }
            if seen.contains(&name) {
                return Err(M::Error::custom("a repeated member"));
            }
            seen.push(name);
        }
        Ok(parameters)
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
