//! Input: an event.
//!
//! Every JSON gets an answer that the contract allows. The log has one line, without secrets. Nothing is deleted without the
//! right credentials, at a path that names the client.
#![no_main]

use fuzz::{
    answer::{Log, invoke},
    reference::{self, Endpoint, Event, Route},
    sample::{
        APPLICATION, CLIENT, CLOSED_CLIENT, ORGANIZATION_TOKEN, OWNER, OWNER_ELSEWHERE, RFC_CLIENT, SERVICE,
        SERVICE_TOKEN, STATIC_CLIENT, STRICT_CLIENT, STRICT_SERVICE,
    },
    table::Table,
};
use libfuzzer_sys::fuzz_target;
use std::{net::IpAddr, sync::LazyLock};

static SAMPLES: LazyLock<Table> = LazyLock::new(Table::samples);

fuzz_target!(init: Log::install(), |bytes: &[u8]| {
    let (answer, event) = match (invoke(&SAMPLES, bytes), Event::read(bytes)) {
        (Some(answer), Some(event)) => (answer, event),
        (None, None) => return,
        (answer, event) => panic!("only one of them reads it: {answer:?}, {event:?}"),
    };
    answer.check_log();
    if let Some((client, deletion)) = answer.calls.writes.first() {
        assert!(is_authorized(&event, &deletion.via, client.as_str()), "{event:?}");
    }
    if !event.is_supported {
        assert_eq!((answer.status, answer.calls.reads.len()), (404, 0), "{event:?}");
    }
});

/// Whether the event names this client, and has credentials that can delete it by this channel.
fn is_authorized(event: &Event, channel: &str, client: &str) -> bool {
    let [Some(line)] = &event.authorization[..] else { return false };
    let method = if channel == "authlete" { "POST" } else { "DELETE" };
    if event.method.as_deref() != Some(method) || event.has_token_in_query || !event.is_supported {
        return false;
    }
    let route = Route {
        stage: event.stage.as_deref(),
        base_path: "",
        registration_path: "/register",
        is_decoded: event.is_decoded,
    };
    match (channel, reference::endpoint(&event.path, route)) {
        ("configuration", Some(Endpoint::Configuration { application, client: named })) => {
            let is_caller =
                |(id, secret): &(String, Vec<u8>), owner: (&str, &str)| id == owner.0 && secret == owner.1.as_bytes();
            let is_owner = reference::basic(line).is_some_and(|caller| {
                is_caller(&caller, OWNER) || (is_caller(&caller, OWNER_ELSEWHERE) && is_elsewhere(event.source_ip))
            });
            application.as_deref() == Some(APPLICATION) && named.as_deref() == Some(client) && is_owner
        }
        ("registration", Some(Endpoint::Registration { client: named })) => {
            let clients = [CLIENT, STATIC_CLIENT, STRICT_CLIENT, RFC_CLIENT, CLOSED_CLIENT];
            let is_token = |&(id, token): &(&str, &str)| id == client && reference::bearer(line) == Some(token);
            named.as_deref() == Some(client) && clients.iter().any(is_token)
        }
        ("authlete", Some(Endpoint::Authlete { service })) => {
            let clients = match (reference::bearer(line), service.as_deref()) {
                (Some(SERVICE_TOKEN | ORGANIZATION_TOKEN), Some(SERVICE)) => &[CLIENT, RFC_CLIENT][..],
                (Some(ORGANIZATION_TOKEN), Some(STRICT_SERVICE)) => &[STRICT_CLIENT],
                _ => &[],
            };
            let parameters = reference::parameters(&event.content_type, &event.body).unwrap_or_default();
            clients.iter().any(|&(id, token)| {
                id == client
                    && parameters.client_id.as_deref() == Some(id)
                    && parameters.token.as_deref() == Some(token)
            })
        }
        _ => false,
    }
}

/// Whether the allow list of [`OWNER_ELSEWHERE`] has the source address.
fn is_elsewhere(address: Option<IpAddr>) -> bool {
    matches!(address.map(|address| address.to_canonical()), Some(IpAddr::V4(v4)) if v4.octets()[..3] == [198, 51, 100])
}
