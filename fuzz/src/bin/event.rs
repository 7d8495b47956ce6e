//! Input: an event.
//!
//! The contract allows the answer. The log has one line, without secrets. Nothing is deleted without the right credentials.
#![no_main]

use fuzz::{
    answer::{Log, invoke},
    reference,
    sample::{
        CLIENT, CLOSED_CLIENT, ORGANIZATION_TOKEN, OWNER, OWNER_ELSEWHERE, RFC_CLIENT, SERVICE_TOKEN, STATIC_CLIENT,
        STRICT_CLIENT,
    },
    table::Table,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::{net::IpAddr, sync::LazyLock};

static SAMPLES: LazyLock<Table> = LazyLock::new(Table::samples);

fuzz_target!(init: Log::install(), |event: &[u8]| {
    let Some(answer) = invoke(&SAMPLES, event) else { return };
    answer.check_log();
    // The function reads some events that are nested too deeply for a `Value`. They get no further check.
    if let (Some((client, deletion)), Ok(event)) = (answer.calls.writes.first(), serde_json::from_slice(event)) {
        assert!(is_authorized(&event, &deletion.via, client.as_str()), "{event}");
    }
});

/// Whether the event has credentials that can delete this client by this channel.
fn is_authorized(event: &Value, channel: &str, client: &str) -> bool {
    let [Value::String(line)] = &fields(event, "authorization")[..] else { return false };
    match channel {
        "configuration" => reference::basic(line).is_some_and(|(id, secret)| {
            let is_caller = |owner: (&str, &str)| id == owner.0 && secret == owner.1.as_bytes();
            is_caller(OWNER) || (is_caller(OWNER_ELSEWHERE) && is_elsewhere(event))
        }),
        "registration" => [CLIENT, STATIC_CLIENT, STRICT_CLIENT, RFC_CLIENT, CLOSED_CLIENT]
            .iter()
            .any(|&(id, token)| id == client && reference::bearer(line) == Some(token)),
        _ => {
            let clients = match reference::bearer(line) {
                Some(SERVICE_TOKEN) => &[CLIENT, RFC_CLIENT][..],
                Some(ORGANIZATION_TOKEN) => &[CLIENT, RFC_CLIENT, STRICT_CLIENT],
                _ => &[],
            };
            let parameters = parameters(event).unwrap_or_default();
            clients.iter().any(|&(id, token)| {
                id == client
                    && parameters.client_id.as_deref() == Some(id)
                    && parameters.token.as_deref() == Some(token)
            })
        }
    }
}

/// The values of a header field.
fn fields(event: &Value, name: &str) -> Vec<Value> {
    let headers = Some(&event["multiValueHeaders"]).filter(|headers| !headers.is_null()).unwrap_or(&event["headers"]);
    let lines = |value: &Value| value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    let fields = headers.as_object().into_iter().flatten();
    fields.filter(|(known, _)| known.eq_ignore_ascii_case(name)).flat_map(|(_, value)| lines(value)).collect()
}

/// Whether the allow list of [`OWNER_ELSEWHERE`] has the source address of the event.
fn is_elsewhere(event: &Value) -> bool {
    let context = &event["requestContext"];
    let http = Some(&context["http"]).filter(|http| !http.is_null()).unwrap_or(&context["identity"]);
    let address = http["sourceIp"].as_str().and_then(|address| address.parse::<IpAddr>().ok());
    matches!(address.map(|address| address.to_canonical()), Some(IpAddr::V4(v4)) if v4.octets()[..3] == [198, 51, 100])
}

/// The parameters in the event's body.
fn parameters(event: &Value) -> Option<reference::Parameters> {
    let body = event["body"].as_str().unwrap_or_default();
    let decoded = if event["isBase64Encoded"] == true { reference::base64(body) } else { None };
    let content_type = fields(event, "content-type").first().and_then(Value::as_str).unwrap_or_default().to_owned();
    reference::parameters(&content_type, decoded.as_deref().unwrap_or(body.as_bytes()))
}
