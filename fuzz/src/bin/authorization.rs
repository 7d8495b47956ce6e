//! Input: one or more field lines of `Authorization`.
//!
//! Each endpoint takes exactly the credentials that the reference parser finds.
#![no_main]

use deregister::{
    model::{Digest, Kind, Service, TokenScope},
    snapshot::{Key, Record},
};
use fuzz::{
    answer::{Answer, invoke_json},
    reference,
    request::Request,
    table::{Table, api, client, oauth, token_key},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.split('\n').collect();
    let only = if let [line] = lines[..] { Some(line) } else { None };
    configuration(&lines, only.and_then(reference::basic));
    let token = only.and_then(reference::bearer);
    let is_bearer = only.is_none_or(|line| reference::credentials(line, "Bearer").is_some());
    registration(&lines, token, if is_bearer { 400 } else { 401 });
    authlete(&lines, token);
});

/// The id of the application, the service and the client of every request. It is a private-use character, so
/// that the credentials of an input rarely contain it.
const NAME: &str = "\u{f8ff}";

fn configuration(lines: &[&str], credentials: Option<(String, Vec<u8>)>) {
    let table = Table::default().with_client(NAME, Kind::Api(api(NAME, &[], &[])));
    let answer_from = |table: &Table| send(table, "DELETE", "/config/\u{f8ff}/clients/\u{f8ff}", lines);
    match credentials {
        Some((id, secret)) if id != NAME => {
            let mut owner = api(NAME, &["owner"], &["another secret"]);
            owner.secrets[0].digest = Digest::of(secret);
            let with_owner = table.clone().with_client(&id, Kind::Api(owner));
            let deleted = answer_from(&with_owner);
            assert_eq!((deleted.status, &deleted.calls.reads[0]), (204, &[client(&id), client(NAME)].into()));

            let another = table.with_client(&id, Kind::Api(api(NAME, &["owner"], &["not presented"])));
            assert_eq!(answer_from(&another).status, 401);
        }
        Some(_) => {}
        None => {
            let refused = answer_from(&table);
            assert_eq!((refused.status, refused.calls.reads.len()), (401, 0));
        }
    }
}

fn registration(lines: &[&str], token: Option<&str>, otherwise: u16) {
    let answer_from = |table: &Table| send(table, "DELETE", "/register/\u{f8ff}", lines);
    let table = Table::default().with_client(NAME, Kind::OAuth(oauth(NAME, token)));
    let answer = answer_from(&table);
    if token.is_some() {
        assert_eq!(answer.status, 204);
        let another = Table::default().with_client(NAME, Kind::OAuth(oauth(NAME, Some("not presented"))));
        assert_eq!(answer_from(&another).status, 401);
    } else {
        assert_eq!((answer.status, answer.calls.reads.len()), (otherwise, 0));
    }
}

fn authlete(lines: &[&str], token: Option<&str>) {
    let Key::Client(id) = client(NAME) else { return };
    let table = Table::default()
        .with(Key::Service(id.clone()), Record::Service(Service::default()))
        .with_client(NAME, Kind::OAuth(oauth(NAME, Some("token"))))
        .with_token(token.unwrap_or("token"), TokenScope::ServiceId(id.clone()));
    let answer = send(&table, "POST", "/api/\u{f8ff}/client/registration/delete", lines);
    match token {
        Some(token) => {
            assert!(answer.reports_deletion(), "{answer:?}");
            assert_eq!(answer.calls.reads[0], [client(NAME), Key::Service(id), token_key(token)].into());
        }
        None => assert_eq!((answer.status, answer.calls.reads.len()), (401, 0)),
    }
}

/// Sends a request with these field lines. A single line gets the same answer in both payload versions.
fn send(table: &Table, method: &str, path: &str, lines: &[&str]) -> Answer {
    let body = r#"{"clientId":"\uf8ff","token":"token"}"#;
    let request = Request { method, path, authorization: lines, body, ..Request::default() };
    let answer = invoke_json(table, &request.payload_1());
    if lines.len() == 1 {
        assert_eq!(invoke_json(table, &request.payload_2()), answer);
    }
    answer
}
