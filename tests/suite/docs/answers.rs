//! `docs/api.md` lists every answer, and no other.
//!
//! The answers are those of the table of cases, which the function gives to its requests, and those to the faults of a
//! database.

use super::{rows, section};
use crate::support::{Fixture, cases::tables, endpoint::Endpoint, json, wire::Fault};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = include_str!("../../../docs/api.md");

/// An answer of the function.
#[derive(Debug, Clone, PartialEq)]
struct Answer {
    status: u16,
    /// The headers that not every answer has, by their names in lower case.
    headers: BTreeMap<String, String>,
    body: Value,
}

/// The answers of the cases at this endpoint, each once.
fn answers_at(endpoint: &str) -> Vec<Answer> {
    let (_, table) = tables().into_iter().find(|(name, _)| *name == endpoint).unwrap();
    let mut answers = Vec::new();
    for answer in table.cases.iter().map(|case| table.answer(case)) {
        let body = answer.body.as_ref().map_or(Value::Null, |body| serde_json::from_str(body.get()).unwrap());
        let answer = Answer { status: answer.status, headers: answer.headers.clone(), body };
        if !answers.contains(&answer) {
            answers.push(answer);
        }
    }
    answers
}

/// The code of an answer of the Authlete API to an accepted call.
fn outcome_code(answer: &Answer) -> Option<&str> {
    answer.body["action"].as_str().and(answer.body["resultCode"].as_str())
}

/// The texts in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The answer in the last three cells of a row: status, headers, body.
fn documented(cells: &[&str]) -> Answer {
    let [.., status, headers, body] = cells else { panic!("{cells:?}") };
    let header = |header: &str| {
        let (name, value) = header.split_once(": ").unwrap();
        (name.to_lowercase(), value.to_owned())
    };
    Answer {
        status: status.parse().unwrap(),
        headers: quoted(headers).map(header).collect(),
        body: quoted(body).next().map_or(Value::Null, |body| serde_json::from_str(body).unwrap()),
    }
}

/// Checks that both lists have the same answers.
#[track_caller]
fn assert_same(documented: &[Answer], given: &[Answer]) {
    let missing: Vec<_> = given.iter().filter(|answer| !documented.contains(answer)).collect();
    assert!(missing.is_empty(), "not on the page: {missing:#?}");
    let unknown: Vec<_> = documented.iter().filter(|answer| !given.contains(answer)).collect();
    assert!(unknown.is_empty(), "only on the page: {unknown:#?}");
}

#[test]
fn the_tables_list_the_answers_of_each_endpoint() {
    for (heading, endpoint) in [
        ("## 1. Configuration API", "configuration"),
        ("## 2. Client configuration endpoint", "registration"),
        ("### Refused calls", "authlete"),
    ] {
        let documented: Vec<_> = rows(section(PAGE, heading)).iter().map(|cells| documented(cells)).collect();
        let mut given = answers_at(endpoint);
        given.retain(|answer| outcome_code(answer).is_none());
        assert_same(&documented, &given);
    }
}

/// The bodies in the blocks of a section.
fn blocks(section: &str) -> impl Iterator<Item = Value> {
    section.split("```json\n").skip(1).map(|block| serde_json::from_str(block.split("```").next().unwrap()).unwrap())
}

#[test]
fn the_answer_to_an_unknown_path_is_listed() {
    let bodies: Vec<_> = answers_at("elsewhere").into_iter().map(|answer| answer.body).collect();
    assert_eq!(blocks(section(PAGE, "## Other paths")).collect::<Vec<_>>(), bodies);
}

/// A body without what depends on the client and the service: ids in texts, numbers.
fn masked(value: &Value) -> Value {
    // An id is between apostrophes or parentheses.
    let mask = |text: &str| -> String {
        let text: String = text.split('\'').step_by(2).collect();
        text.split('(').map(|part| part.split_once(')').map_or(part, |(_, rest)| rest)).collect()
    };
    match value {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match value.as_str().filter(|_| name == "responseContent") {
                Some(content) => (name.clone(), masked(&serde_json::from_str(content).unwrap())),
                None => (name.clone(), masked(value)),
            })
            .collect(),
        Value::String(text) => mask(text).into(),
        Value::Number(_) => 0.into(),
        other => other.clone(),
    }
}

/// The body with the action that a service without `unauthorizedOnClientConfigSupported` gets.
fn with_default_action(mut body: Value) -> Value {
    if body["action"] == "UNAUTHORIZED" {
        body["action"] = json!("BAD_REQUEST");
        body["responseContent"]["error"] = json!("invalid_request");
    }
    body
}

/// Answers of a database that fails: the endpoint, whether the fault is temporary, the call, and the answer.
async fn answers_to_faults() -> Vec<(Endpoint, bool, &'static str, Answer)> {
    let mut answers = Vec::new();
    for endpoint in Endpoint::ALL {
        for (is_temporary, error) in [(true, "ThrottlingException"), (false, "AccessDeniedException")] {
            for call in ["BatchGetItem", "UpdateItem"] {
                let fixture = Fixture::with_samples().await;
                // The SDK makes four attempts.
                (0..4).for_each(|_| fixture.wire.plan(call, Fault::error(400, error)));
                let answer = fixture.invoke(&endpoint.event()).await;
                let mut headers: BTreeMap<_, _> = answer
                    .headers()
                    .iter()
                    .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                    .collect();
                for name in ["cache-control", "content-type", "pragma"] {
                    assert!(headers.remove(name).is_some(), "{name}");
                }
                let answer = Answer { status: answer.status().as_u16(), headers, body: json(&answer) };
                answers.push((endpoint, is_temporary, call, answer));
            }
        }
    }
    answers
}

#[tokio::test]
async fn the_outcomes_of_the_authlete_api_are_listed_with_code_action_and_body() {
    let mut given = answers_at("authlete");
    given.extend(answers_to_faults().await.into_iter().map(|(.., answer)| answer));
    given.retain(|answer| outcome_code(answer).is_some());
    assert!(given.iter().all(|answer| answer.status == 200 && answer.headers.is_empty()));

    let actions = |code: &str| {
        let of_code = given.iter().filter(|answer| outcome_code(answer) == Some(code));
        of_code.map(|answer| answer.body["action"].as_str().unwrap()).collect::<BTreeSet<_>>()
    };
    let mut codes: BTreeSet<_> = given.iter().filter_map(outcome_code).collect();
    let table = &section(PAGE, "### Outcomes of the deletion");
    let (_, table) = table.split_once("| # | condition |").unwrap();
    for cells in rows(&format!("|{table}")) {
        let [_, _, code, action] = cells[..] else { panic!("{cells:?}") };
        let (code, has_asterisk) = (code.trim_matches('`'), action.ends_with('*'));
        let action = action.trim_matches(['`', '*']);
        let default = if has_asterisk { "BAD_REQUEST" } else { action };
        assert!(actions(code).contains(default), "{code}: {:?}", actions(code));
        assert!(actions(code).is_subset(&BTreeSet::from([action, default])), "{code}: {:?}", actions(code));
        assert!(codes.remove(code), "{code} is twice on the page");
    }
    assert!(codes.is_empty(), "not on the page: {codes:?}");

    let documented: Vec<_> = blocks(section(PAGE, "### Bodies of the outcomes")).map(|body| masked(&body)).collect();
    let given: Vec<_> = given.iter().map(|answer| masked(&answer.body)).collect();
    for body in &given {
        let default = with_default_action(body.clone());
        assert!(documented.contains(body) || documented.contains(&default), "not on the page: {body:#}");
    }
    for body in &documented {
        assert!(given.contains(body), "only on the page: {body:#}");
    }
}

#[tokio::test]
async fn the_answers_to_faults_are_listed() {
    let faults = section(PAGE, "## Faults");
    let table = rows(faults);
    for (endpoint, is_temporary, call, answer) in answers_to_faults().await {
        if outcome_code(&answer).is_some() {
            // Row 16 of the outcomes.
            assert_eq!((outcome_code(&answer), call), (Some("A001101"), "UpdateItem"));
            continue;
        }
        let row = Endpoint::ALL.iter().position(|other| *other == endpoint).unwrap();
        let (status, column) = if is_temporary { (503, 1) } else { (500, 2) };
        let body = quoted(table[row][column]).next().unwrap();
        assert_eq!(
            (answer.status, &answer.body),
            (status, &serde_json::from_str(body).unwrap()),
            "{endpoint:?}, {call}"
        );
        let retry_after = is_temporary.then(|| ("retry-after".to_owned(), "1".to_owned()));
        assert_eq!(answer.headers, retry_after.into_iter().collect(), "{endpoint:?}, {call}");
    }
    assert!(faults.contains("503 with `Retry-After: 1`"));
}

/// The words of the page that begin with one of these characters, and have this length and digits after the first
/// character.
fn words(length: usize, first: &str) -> BTreeSet<&str> {
    let words = PAGE.split(|c: char| !c.is_ascii_alphanumeric());
    let is_code = |word: &&str| {
        word.len() == length && word.starts_with(|c| first.contains(c)) && word[1..].bytes().all(|b| b.is_ascii_digit())
    };
    words.filter(is_code).collect()
}

#[tokio::test]
async fn every_status_error_and_code_on_the_page_is_one_that_the_function_gives() {
    let mut given: Vec<_> = ["configuration", "registration", "authlete", "elsewhere"].map(answers_at).concat();
    given.extend(answers_to_faults().await.into_iter().map(|(.., answer)| answer));
    let statuses: BTreeSet<_> = given.iter().map(|answer| answer.status.to_string()).collect();
    let texts: Vec<_> = given.iter().map(|answer| answer.body.to_string().replace('\\', "")).collect();

    assert_eq!(words(3, "2345"), statuses.iter().map(String::as_str).collect());
    for code in words(7, "AD") {
        assert!(texts.iter().any(|text| text.contains(&format!("\"resultCode\":\"{code}\""))), "{code}");
    }
    let page = PAGE.replace('\\', "");
    for error in page.split("\"error\":\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(texts.iter().any(|text| text.contains(&format!("\"error\":\"{error}\""))), "{error}");
    }
}
