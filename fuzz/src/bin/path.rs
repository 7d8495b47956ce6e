//! Input: a path, the stage, the base path and the registration path, a line each. Only the first line is required.
//!
//! The path leads to the endpoint and the ids that the reference parser finds, whether the sender has decoded it or not.
#![no_main]

use deregister::{
    model::{Kind, Service, TokenScope},
    settings::{Endpoints, Variables},
    snapshot::{Key, Record},
};
use fuzz::{
    answer::{Answer, invoke_with},
    reference::{self, Endpoint, Route},
    request::Request,
    table::{Table, api, client, id, oauth, token_key},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split('\n');
    let (path, stage) = (lines.next().unwrap_or_default(), lines.next());
    let mut setting = |default| lines.next().filter(|line| !line.is_empty()).unwrap_or(default);
    let (base_path, registration_path) = (setting(""), setting("/register"));
    let variables = Variables::from_iter([("BASE_PATH", base_path), ("REGISTRATION_PATH", registration_path)]);
    let is_accepted =
        (base_path.is_empty() || reference::is_prefix(base_path)) && reference::is_prefix(registration_path);
    let endpoints = Endpoints::read(&variables);
    assert_eq!(endpoints.is_ok(), is_accepted, "{endpoints:?}");
    let Ok(endpoints) = endpoints else { return };
    for is_decoded in [false, true] {
        check(&endpoints, path, Route { stage, base_path, registration_path, is_decoded });
    }
});

/// Checks the answers to requests with this path.
fn check(endpoints: &Endpoints, path: &str, route: Route<'_>) {
    let answer_from = |table: &Table, method: &str, line: &str| send(endpoints, table, path, route, method, line);
    match reference::endpoint(path, route) {
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
}

/// The caller, and the client of the Authlete API.
const NAME: &str = "caller";
/// The caller's credentials: `caller:secret`.
const BASIC: &str = "Basic Y2FsbGVyOnNlY3JldA";

/// Checks that the answer has this status and took no read.
fn check_without_read(answer: &Answer, status: u16) {
    assert_eq!((answer.status, answer.calls.reads.len()), (status, 0), "{answer:?}");
}

/// Sends a request. The answer is the same in both payload versions.
fn send(endpoints: &Endpoints, table: &Table, path: &str, route: Route<'_>, method: &str, line: &str) -> Answer {
    let body = r#"{"clientId":"caller","token":"token"}"#;
    let Route { stage, is_decoded, .. } = route;
    let request = Request { method, path, stage, is_decoded, authorization: &[line], body, ..Request::default() };
    let answer =
        |event: serde_json::Value| invoke_with(endpoints, table, event.to_string().as_bytes()).expect("an event");
    let answers = [answer(request.payload_1()), answer(request.payload_2())];
    assert_eq!(answers[0], answers[1]);
    let [answer, _] = answers;
    answer
}
