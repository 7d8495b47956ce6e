//! The table of cases: every request of `tests/cases`, in both payload versions.

use super::*;
use crate::support::cases::{Case, Table, tables};
use std::collections::BTreeSet;

fn table(endpoint: &str) -> Table {
    tables().into_iter().find_map(|(name, table)| (name == endpoint).then_some(table)).unwrap()
}

/// Every request of the row gets the answer of its case after so many database calls. A refusal leaves the table as it
/// was. A deletion changes the item of the client that it names, and no other. The item is put back then.
async fn holds(endpoint: &str, row: Option<u8>) {
    let table = table(endpoint);
    let cases: Vec<_> = table.cases.iter().filter(|case| case.row == row).collect();
    assert!(!cases.is_empty(), "{endpoint} has no row {row:?}");
    let fixture = Fixture::anywhere_with_samples().await;
    for case in cases {
        let answer = table.answer(case);
        let body = answer.body.as_ref().map_or("", |body| body.get());
        let answer = Answer { status: answer.status, headers: answer.all_headers(), body: body.to_owned() };
        for request in &case.requests {
            for payload in [1, 2] {
                let event = table.event(request, payload).to_string();
                let name = request.name.as_deref().unwrap_or("a request without a name");
                let context = format!("{endpoint}, {}, {name}, payload {payload}.0: {event}", case.title);
                is_answered(&fixture, case, &event, &answer, &context).await;
            }
        }
    }
}

async fn is_answered(fixture: &Fixture, case: &Case, event: &str, answer: &Answer, context: &str) {
    let mut before = items(fixture).await;
    fixture.wire.take_calls();
    assert_eq!(Answer::of(&fixture.invoke(event).await), *answer, "{context}");
    assert_eq!(fixture.wire.take_calls(), READ_AND_WRITE[..case.calls], "{context}");
    let mut after = items(fixture).await;
    if let Some(client) = &case.deletes {
        let key = format!("client#{client}");
        let live = before.remove(&key).unwrap();
        assert!(live.contains_key("client"), "{context}");
        assert!(after.remove(&key).is_some_and(|item| item.contains_key("deleted")), "{context}");
        fixture.sdk.put_item().table_name(&fixture.table).set_item(Some(live)).send().await.unwrap();
    }
    assert!(before == after, "the table changed: {context}");
}

/// A test for each row of an endpoint.
macro_rules! rows {
    ($endpoint:ident { $($test:ident: $row:expr;)* }) => {
        mod $endpoint {
            $(
                #[tokio::test]
                async fn $test() {
                    super::holds(stringify!($endpoint), $row).await;
                }
            )*

            #[test]
            fn every_row_has_a_test() {
                let tested = std::collections::BTreeSet::from([$($row),*]);
                assert_eq!(super::rows_of(stringify!($endpoint)), tested);
            }
        }
    };
}

fn rows_of(endpoint: &str) -> BTreeSet<Option<u8>> {
    table(endpoint).cases.iter().map(|case| case.row).collect()
}

rows! { configuration {
    row_1_credentials_that_are_not_accepted_are_401: Some(1);
    row_2_an_address_outside_the_allow_list_is_403: Some(2);
    row_3_a_caller_without_owner_is_403: Some(3);
    row_4_another_application_is_404: Some(4);
    row_5_no_such_client_is_404: Some(5);
    row_6_an_owner_is_403: Some(6);
    row_7_a_protected_client_is_403: Some(7);
    row_8_another_version_is_412: Some(8);
    row_9_otherwise_the_client_is_deleted: Some(9);
    another_method_is_405: None;
} }

rows! { registration {
    row_1_no_bearer_credentials_are_401_without_an_error_parameter: Some(1);
    row_2_malformed_or_repeated_credentials_are_400: Some(2);
    row_3_every_other_credential_is_the_same_401: Some(3);
    row_4_a_protected_client_is_403: Some(4);
    row_5_another_version_is_412: Some(5);
    row_6_otherwise_the_client_is_deleted: Some(6);
    another_method_is_405: None;
} }

rows! { authlete {
    row_1_a_service_without_dynamic_registration_is_a206201: Some(1);
    row_2_an_unreadable_client_id_is_a215301: Some(2);
    row_3_no_such_client_is_a215302: Some(3);
    row_4_a_client_that_did_not_register_itself_is_a215303: Some(4);
    row_5_an_absent_token_is_a215305: Some(5);
    row_6_a_client_without_a_token_is_a215306: Some(6);
    row_7_a_wrong_token_is_a215307: Some(7);
    row_8_a_protected_client_has_a_code_of_its_own: Some(8);
    row_9_otherwise_the_client_is_deleted: Some(9);
    a_call_that_is_refused_says_only_why: None;
} }

rows! { elsewhere {
    an_unknown_path_and_an_unsupported_sender_are_404: None;
} }

#[test]
fn the_events_that_are_invoked_by_hand_are_those_of_the_table() {
    for (file, event) in crate::support::by_hand::files() {
        let found = std::fs::read_to_string(format!("events/{file}")).unwrap_or_default();
        assert!(found == event, "events/{file} is another: cargo run --example events -- --by-hand");
    }
}

#[test]
fn the_folder_of_events_has_30_files_at_most_and_no_other_request() {
    let requests: BTreeSet<_> = crate::support::by_hand::files().into_iter().map(|(file, _)| file).collect();
    let found: BTreeSet<_> = files("").into_iter().filter(|file| file != "README.md").collect();
    assert!(found.len() < 30, "{found:?}");
    let of_background_functions = |file: &&String| file.starts_with("stream/") || file.starts_with("schedule/");
    let others: BTreeSet<_> = found.iter().filter(|file| !of_background_functions(file)).cloned().collect();
    assert_eq!(others, requests);
}

/// The files below a folder of `events/`, by their paths in `events/`.
fn files(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(format!("events/{folder}")).unwrap().map(Result::unwrap);
    let below = entries.flat_map(|entry| {
        let path = format!("{folder}{}", entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_dir() { files(&format!("{path}/")) } else { vec![path] }
    });
    below.collect()
}
