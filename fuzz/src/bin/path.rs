//! A path, and a stage in the second line: it leads where a second reading says, to the ids that this finds there.
#![no_main]

use deregister::{model::{Kind, Service, TokenScope}, snapshot::{Key, Record}};
use fuzz::{
    answer::{Told, answer_to},
    reading::{self, Door},
    request::Request,
    table::{Table, api, client, id, oauth, token_key},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let (path, stage) = text.split_once('\n').map_or((&*text, None), |(path, stage)| (path, Some(stage)));
    let told = |table: &Table, method: &str, line: &str| send(table, path, stage, method, line);
    match reading::door(path, stage) {
        Some(Door::Configuration { application: Some(application), client: Some(target) }) if target != NAME => {
            let table = Table::default()
                .with_client(&target, Kind::Api(api(&application, &[], &[])))
                .with_client(NAME, Kind::Api(api(&application, &["owner"], &["secret"])));
            let deleted = told(&table, "DELETE", BASIC);
            assert_eq!((deleted.status, &deleted.asked.reads[0]), (204, &[client(&target), client(NAME)].into()));
        }
        Some(Door::Configuration { application: Some(_), client: Some(_) }) => {}
        None | Some(Door::Configuration { .. }) => is_without_a_read(&told(&Table::default(), "DELETE", BASIC), 404),
        Some(Door::Registration { client: Some(target) }) => {
            let table = Table::default().with_client(&target, Kind::OAuth(oauth(NAME, Some("token"))));
            let deleted = told(&table, "DELETE", "Bearer token");
            assert_eq!((deleted.status, &deleted.asked.reads[0]), (204, &[client(&target)].into()));
        }
        Some(Door::Registration { client: None }) => {
            is_without_a_read(&told(&Table::default(), "DELETE", "Bearer token"), 401);
        }
        Some(Door::Authlete { service: Some(service) }) => {
            let key = Key::Service(id(&service));
            let table = Table::default()
                .with(key.clone(), Record::Service(Service::default()))
                .with_client(NAME, Kind::OAuth(oauth(&service, Some("token"))))
                .with_token("token", TokenScope::ServiceId(id(&service)));
            let deleted = told(&table, "POST", "Bearer token");
            assert!(deleted.says_deleted(), "{deleted:?}");
            assert_eq!(deleted.asked.reads[0], [client(NAME), key, token_key("token")].into());
        }
        Some(Door::Authlete { service: None }) => {
            is_without_a_read(&told(&Table::default(), "POST", "Bearer token"), 403);
        }
    }
});

/// The caller, and the client of the Authlete API.
const NAME: &str = "caller";
/// The caller's credentials: `caller:secret`.
const BASIC: &str = "Basic Y2FsbGVyOnNlY3JldA";

fn is_without_a_read(told: &Told, status: u16) {
    assert_eq!((told.status, told.asked.reads.len()), (status, 0), "{told:?}");
}

/// What is answered, in either payload.
fn send(table: &Table, path: &str, stage: Option<&str>, method: &str, line: &str) -> Told {
    let body = r#"{"clientId":"caller","token":"token"}"#;
    let request = Request { method, path, stage, authorization: &[line], body, ..Request::default() };
    let told = answer_to(table, &request.payload_1());
    assert_eq!(answer_to(table, &request.payload_2()), told);
    told
}
