//! Input: a media type in the first line, then a body.
//!
//! The Authlete API reads from JSON and forms what the reference parser reads.
#![no_main]

use base64::{Engine, prelude::BASE64_STANDARD};
use deregister::{
    model::{Kind, Service, TokenScope},
    snapshot::{Key, Record},
};
use fuzz::{
    answer::{Answer, invoke_json},
    reference,
    request::Request,
    table::{Table, client, id, oauth, token_key},
};
use lambda_http::http::HeaderValue;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let body = bytes.get(end + 1..).unwrap_or_default();
    let Ok(content_type) = std::str::from_utf8(&bytes[..end]) else { return };
    // The target `event` covers values that a header field cannot have.
    if HeaderValue::from_str(content_type).is_err() {
        return;
    }

    let parameters = reference::parameters(content_type, body);
    let named = parameters.as_ref().and_then(|parameters| parameters.client_id.as_ref());
    let named = named.and_then(|name| reference::id(name.clone().into_bytes()));
    let presented =
        parameters.as_ref().and_then(|parameters| parameters.token.clone()).filter(|token| !token.is_empty());

    let mut table = Table::default()
        .with(Key::Service(id(SERVICE)), Record::Service(Service::default()))
        .with_token("token", TokenScope::ServiceId(id(SERVICE)));
    if let Some(name) = &named {
        table = table.with_client(name, Kind::OAuth(oauth(SERVICE, presented.as_deref().or(Some("not presented")))));
    }
    let answer = send(&table, "POST", "/api/service/client/registration/delete", content_type, body);

    if parameters.is_none() {
        assert_eq!((answer.status, answer.calls.reads.len()), (400, 0), "{answer:?}");
        return;
    }
    let keys = [Key::Service(id(SERVICE)), token_key("token")].into_iter().chain(named.as_deref().map(client));
    assert_eq!(answer.calls.reads[0], keys.collect());
    let code = match (named, presented) {
        (None, _) => "A215301",
        (Some(_), None) => "A215305",
        (Some(_), Some(_)) => "A216001",
    };
    assert_eq!(answer.body.as_ref().map(|body| &body["resultCode"]), Some(&code.into()), "{answer:?}");

    registration(content_type, body);
});

const SERVICE: &str = "service";

/// Checks that the client configuration endpoint refuses a form with a second token.
fn registration(content_type: &str, body: &[u8]) {
    let media_type = content_type.split(';').next().unwrap_or_default();
    let is_form = media_type.trim_matches([' ', '\t']).eq_ignore_ascii_case("application/x-www-form-urlencoded");
    let has_second_token = is_form && reference::form(body).any(|(name, _)| name == "access_token");
    let table = Table::default().with_client("client", Kind::OAuth(oauth(SERVICE, Some("token"))));
    let answer = send(&table, "DELETE", "/register/client", content_type, body);
    assert_eq!(answer.status, if has_second_token { 400 } else { 204 });
}

/// Sends a request with the body in base64. If the body is text, the same body as text gets the same answer.
fn send(table: &Table, method: &str, path: &str, content_type: &str, body: &[u8]) -> Answer {
    let base64 = BASE64_STANDARD.encode(body);
    let request = Request {
        method,
        path,
        authorization: &["Bearer token"],
        content_type,
        body: &base64,
        is_base64: true,
        ..Request::default()
    };
    let answer = invoke_json(table, &request.payload_2());
    if let Ok(text) = std::str::from_utf8(body) {
        let as_text = Request { body: text, is_base64: false, ..request };
        assert_eq!(invoke_json(table, &as_text.payload_1()), answer);
    }
    answer
}
