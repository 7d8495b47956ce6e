//! Input: a path, and in the second line the stage.
//!
//! The path leads to the endpoint and the ids that the reference parser finds.
#![no_main]

use deregister::{
    model::{Kind, Service, TokenScope},
    snapshot::{Key, Record},
};
use fuzz::{
    answer::{Answer, invoke_json},
    reference::{self, Endpoint},
    request::Request,
    table::{Table, api, client, id, oauth, token_key},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let (path, stage) = text.split_once('\n').map_or((&*text, None), |(path, stage)| (path, Some(stage)));
    let answer_from = |table: &Table, method: &str, line: &str| send(table, path, stage, method, line);
    match reference::endpoint(path, stage) {
        Some(Endpoint::Configuration { application: Some(application), client: Some(target) }) if target != NAME => {
            let table = Table::default()
                .with_client(&target, Kind::Api(api(&application, &[], &[])))
                .with_client(NAME, Kind::Api(api(&application, &["owner"], &["secret"])));
            let deleted = answer_from(&table, "DELETE", BASIC);
            assert_eq!((deleted.status, &deleted.calls.reads[0]), (204, &[client(&target), client(NAME)].into()));
        }
        Some(Endpoint::Configuration { application: Some(_), client: Some(_) }) => {}
        None | Some(Endpoint::Configuration { .. }) => {
            check_without_read(&answer_from(&Table::default(), "DELETE", BASIC), 404);
        }
        Some(Endpoint::Registration { client: Some(target) }) => {
            let table = Table::default().with_client(&target, Kind::OAuth(oauth(NAME, Some("token"))));
            let deleted = answer_from(&table, "DELETE", "Bearer token");
            assert_eq!((deleted.status, &deleted.calls.reads[0]), (204, &[client(&target)].into()));
        }
        Some(Endpoint::Registration { client: None }) => {
            check_without_read(&answer_from(&Table::default(), "DELETE", "Bearer token"), 401);
        }
        Some(Endpoint::Authlete { service: Some(service) }) => {
            let key = Key::Service(id(&service));
            let table = Table::default()
                .with(key.clone(), Record::Service(Service::default()))
                .with_client(NAME, Kind::OAuth(oauth(&service, Some("token"))))
                .with_token("token", TokenScope::ServiceId(id(&service)));
            let deleted = answer_from(&table, "POST", "Bearer token");
            assert!(deleted.reports_deletion(), "{deleted:?}");
            assert_eq!(deleted.calls.reads[0], [client(NAME), key, token_key("token")].into());
        }
        Some(Endpoint::Authlete { service: None }) => {
            check_without_read(&answer_from(&Table::default(), "POST", "Bearer token"), 403);
        }
    }
});

/// The caller, and the client of the Authlete API.
const NAME: &str = "caller";
/// The caller's credentials: `caller:secret`.
const BASIC: &str = "Basic Y2FsbGVyOnNlY3JldA";

/// Checks that the answer has this status and took no read.
fn check_without_read(answer: &Answer, status: u16) {
    assert_eq!((answer.status, answer.calls.reads.len()), (status, 0), "{answer:?}");
}

/// Sends a request. The answer is the same in both payload versions.
fn send(table: &Table, path: &str, stage: Option<&str>, method: &str, line: &str) -> Answer {
    let body = r#"{"clientId":"caller","token":"token"}"#;
    let request = Request { method, path, stage, authorization: &[line], body, ..Request::default() };
    let answer = invoke_json(table, &request.payload_1());
    assert_eq!(invoke_json(table, &request.payload_2()), answer);
    answer
}
