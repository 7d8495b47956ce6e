//! Checks the environment variables that the SDK reads, before the SDK reads them. It panics on some values, and ignores
//! others without a message.

use crate::settings::{Variables, WrongSetting};
use http::Uri;
use std::net::{Ipv4Addr, Ipv6Addr};

/// What a value must be.
pub(super) struct Rule {
    accepts: fn(&str) -> bool,
    /// The values that are accepted, in words.
    pub(super) must_be: &'static str,
}

impl Rule {
    pub(super) fn accepts(&self, value: &str) -> bool {
        (self.accepts)(value)
    }
}

/// The most general rule. The values are paths, names, or parts of header fields.
const TEXT: Rule = Rule { accepts: is_text, must_be: "Unicode text without control characters" };
/// For parts of the signature: the SDK panics on control characters in them.
pub(super) const CREDENTIAL: Rule =
    Rule { accepts: is_visible, must_be: "visible ASCII characters, without spaces and line breaks" };
/// For parts of host names.
pub(super) const HOST_LABEL: Rule =
    Rule { accepts: is_host_label, must_be: "1 to 63 letters, digits and hyphens, without a hyphen at an end" };
pub(super) const ENDPOINT: Rule = Rule {
    accepts: is_endpoint,
    must_be: "a URL that begins with http:// or https://, with a host, and without a user, a query and a fragment",
};
const URL: Rule =
    Rule { accepts: is_url, must_be: "a URL that begins with http:// or https://, with a host, and without a user" };
const PATH: Rule = Rule { accepts: is_path, must_be: "a path that begins with /, of visible ASCII characters" };
/// The SDK reads any other value as false.
const BOOLEAN: Rule = Rule { accepts: is_boolean, must_be: "true or false" };
/// The SDK panics if the variable does not name a file of its own format, and an empty value names none.
const UNSET: Rule = Rule { accepts: |_| false, must_be: "unset" };

/// The variable for a file of partitions.
const CUSTOM_PARTITION: &str = "SMITHY_CLIENT_SDK_CUSTOM_PARTITION";

/// Checks every variable that the SDK reads.
///
/// [`configure`](super::connection::configure) calls this. A program that configures the SDK itself must call it.
///
/// # Errors
/// The first [`WrongSetting`]. It names the variable, and not its value, which may be a secret.
pub fn check(variables: &Variables) -> Result<(), WrongSetting> {
    for (name, value) in variables.iter() {
        let Some(name) = name.to_str() else { continue };
        let Some(rule) = rule(name) else { continue };
        // An empty value counts as unset.
        let is_unset = value.is_empty() && name != CUSTOM_PARTITION;
        if !is_unset && !value.to_str().is_some_and(|value| rule.accepts(value)) {
            return Err(WrongSetting::without_value(name, rule.must_be));
        }
    }
    Ok(())
}

/// The rule for the variable. `None`: the SDK does not read it.
fn rule(name: &str) -> Option<Rule> {
    Some(match name {
        // The SDK reads `SECRET_ACCESS_KEY` if there is no `AWS_SECRET_ACCESS_KEY`.
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN" | "SECRET_ACCESS_KEY" => CREDENTIAL,
        "AWS_REGION" | "AWS_DEFAULT_REGION" | "AWS_ACCOUNT_ID" => HOST_LABEL,
        "AWS_ENDPOINT_URL"
        | "AWS_ENDPOINT_URL_DYNAMODB"
        | "AWS_ENDPOINT_URL_STS"
        | "AWS_EC2_METADATA_SERVICE_ENDPOINT" => ENDPOINT,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI" => URL,
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" => PATH,
        "AWS_USE_FIPS_ENDPOINT" | "AWS_USE_DUALSTACK_ENDPOINT" | "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS" => BOOLEAN,
        CUSTOM_PARTITION => UNSET,
        // Without a home directory that it can read, the SDK finds no profile.
        "HOME" | "SSL_CERT_FILE" => TEXT,
        name if name.starts_with("AWS_") => TEXT,
        _ => return None,
    })
}

fn is_text(value: &str) -> bool {
    // Almost all values are ASCII, and a start should be short.
    if value.is_ascii() {
        !value.bytes().any(|byte| byte.is_ascii_control())
    } else {
        !value.contains(char::is_control)
    }
}

fn is_visible(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_host_label(value: &str) -> bool {
    (1..=63).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !value.starts_with('-')
        && !value.ends_with('-')
}

fn is_endpoint(value: &str) -> bool {
    is_url(value) && !value.contains(['?', '#'])
}

fn is_url(value: &str) -> bool {
    let Ok(uri) = value.parse::<Uri>() else { return false };
    let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    let Some(port) = authority.as_str().strip_prefix(authority.host()) else { return false };
    is_host(authority.host()) && (port.is_empty() || authority.port_u16().is_some())
}

/// Whether the SDK and the resolver can read the host: a name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    if let Some(address) = host.strip_prefix('[') {
        return address.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    }
    let is_name = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    // A name whose last label begins with a digit is read as an address.
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    match last.bytes().next() {
        Some(b'0'..=b'9') => host.parse::<Ipv4Addr>().is_ok(),
        Some(_) => is_name(host),
        None => false,
    }
}

fn is_path(value: &str) -> bool {
    value.starts_with('/') && is_visible(value) && value.parse::<Uri>().is_ok()
}

fn is_boolean(value: &str) -> bool {
    value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false")
}
