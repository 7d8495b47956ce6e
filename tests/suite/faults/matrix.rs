//! The matrix of faults: each fault, once and permanently, at each of the two calls, at each of the three endpoints.
//!
//! The function has the connection that it has on Lambda. The matrix is written to `target/fault-matrix.md`. If the
//! database is behind HTTPS, the tests check nothing, because the network cannot be made to fail.

use super::site::{Deleted, Failed, Outcome, Site, Unavailable, expected_summary, summary};
use crate::support::{
    self, Fixture,
    endpoint::Endpoint::{self, Authlete, Configuration, Registration},
    proxy::{
        NetworkFault::{
            self, AnswerHeldBack, EndHeldBack, NotForwarded, Refused, ResetAfter, ResetBefore, ResetDuring, Truncated,
        },
        Proxy,
    },
    wire::Fault,
};
use deregister::dynamodb::item::Item;
use std::{collections::BTreeMap, fs, path::Path, sync::Mutex, time::Duration};
use tokio::time::timeout;

/// A fault, and its expected effect.
struct Case {
    name: &'static str,
    fault: Box<dyn Fn(&Proxy) -> Fault>,
    /// The number of attempts that meet the fault, if it is temporary.
    times: usize,
    read: Cell,
    write: Cell,
}

/// The expected effects of a temporary fault and of a permanent one, or why the fault does not exist.
type Cell = Result<[Expected; 2], &'static str>;

#[derive(Clone, Copy)]
struct Expected {
    outcome: Outcome,
    /// The attempts of the call that meets the fault.
    attempts: usize,
    table: &'static str,
}

/// The client in the table afterwards: the tombstone of the request, or the item as it was.
const TOMBSTONE: &str = "its own tombstone";
const UNTOUCHED: &str = "untouched";

const fn deleted(attempts: usize) -> Expected {
    Expected { outcome: Deleted, attempts, table: TOMBSTONE }
}
const fn unavailable(attempts: usize) -> Expected {
    Expected { outcome: Unavailable, attempts, table: UNTOUCHED }
}
const fn unavailable_but_written(attempts: usize) -> Expected {
    Expected { outcome: Unavailable, attempts, table: TOMBSTONE }
}
const fn failed(attempts: usize) -> Expected {
    Expected { outcome: Failed, attempts, table: UNTOUCHED }
}

const RETRIED: Cell = Ok([deleted(2), unavailable(4)]);
const RETRIED_BUT_WRITTEN: Cell = Ok([deleted(2), unavailable_but_written(4)]);
const SLOW: Cell = Ok([deleted(2), unavailable(3)]);
const SLOW_BUT_WRITTEN: Cell = Ok([deleted(2), unavailable_but_written(3)]);
const AT_ONCE: Cell = Ok([unavailable(1), unavailable(1)]);
const AT_ONCE_BUT_WRITTEN: Cell = Ok([unavailable_but_written(1), unavailable_but_written(1)]);
const FAILED: Cell = Ok([failed(1), failed(1)]);
const READS_ONLY: Cell = Err("only reads have it");
const WRITES_ONLY: Cell = Err("only writes have it");

fn case(name: &'static str, fault: impl Fn(&Proxy) -> Fault + 'static, read: Cell, write: Cell) -> Case {
    Case { name, fault: Box::new(fault), times: 1, read, write }
}
/// The database answers this error.
fn error(status: u16, name: &'static str, read: Cell, write: Cell) -> Case {
    case(name, move |_| Fault::error(status, name), read, write)
}
/// The database carries out the call, and this is the answer.
fn replaced(name: &'static str, status: u16, body: &'static str, read: Cell, write: Cell) -> Case {
    case(name, move |_| Fault::Replaced(status, body), read, write)
}
fn network(name: &'static str, fault: NetworkFault, read: Cell, write: Cell) -> Case {
    case(name, move |proxy| Fault::during(proxy.clone().begin(fault)), read, write)
}

/// The time that calls have: variables of the environment, and the milliseconds of the invocation.
type Limits = (&'static str, u64);
const AS_DEPLOYED: Limits = ("", 10_000);
/// A call has time for three attempts with the waits between them, and not for a fourth.
const THREE_ATTEMPTS: Limits = ("DATABASE_ATTEMPT_TIMEOUT_MS=500 DATABASE_CALL_TIMEOUT_MS=1490", 10_000);
/// The invocation ends before the first attempt times out.
const ONE_ATTEMPT: Limits = ("", 650);

#[tokio::test]
async fn a_temporary_fault_of_the_database_is_retried_and_503_if_it_lasts() {
    let cases = [
        error(400, "ProvisionedThroughputExceededException", RETRIED, RETRIED),
        error(400, "ThrottlingException", RETRIED, RETRIED),
        error(400, "RequestLimitExceeded", RETRIED, RETRIED),
        error(500, "InternalServerError", RETRIED, RETRIED),
        replaced("InternalServerError, carried out", 500, "{}", RETRIED, RETRIED_BUT_WRITTEN),
        error(503, "ServiceUnavailable", RETRIED, RETRIED),
        case("502 without JSON", |_| Fault::Answer(502, "<html>".to_owned()), RETRIED, RETRIED),
    ];
    check(1, AS_DEPLOYED, &cases).await;
}

#[tokio::test]
async fn unprocessed_keys_are_read_in_up_to_four_rounds_and_503_if_some_are_left() {
    let rounds = |name, times, read| Case { times, ..case(name, |_| Fault::Unprocessed, read, READS_ONLY) };
    let three = Ok([deleted(4), unavailable(4)]);
    check(2, AS_DEPLOYED, &[rounds("UnprocessedKeys", 1, RETRIED), rounds("UnprocessedKeys again", 3, three)]).await;
}

#[tokio::test]
async fn a_conflict_with_another_writer_is_503() {
    let cases = [
        // The SDK does not retry it.
        error(400, "TransactionConflictException", WRITES_ONLY, AT_ONCE),
        error(400, "ReplicatedWriteConflictException", WRITES_ONLY, RETRIED),
    ];
    check(3, AS_DEPLOYED, &cases).await;
}

#[tokio::test]
async fn a_broken_connection_is_retried_and_503_if_all_break() {
    let cases = [
        network("connection refused", Refused, RETRIED, RETRIED),
        network("reset before the request", ResetBefore, RETRIED, RETRIED),
        network("reset during the request", ResetDuring, RETRIED, RETRIED),
        network("reset, carried out", ResetAfter, RETRIED, RETRIED_BUT_WRITTEN),
        network("answer truncated", Truncated, RETRIED, RETRIED_BUT_WRITTEN),
    ];
    check(4, AS_DEPLOYED, &cases).await;
}

/// That happens while Lambda freezes the execution environment.
#[tokio::test]
async fn a_connection_that_was_closed_while_idle_costs_no_attempt() {
    let Some(fixture) = over_http().await else { return };
    for endpoint in Endpoint::ALL {
        let site = Site::open(&fixture, AS_DEPLOYED.0).await;
        drop(site.proxy.clone().begin(ResetBefore).await);
        // The runtime handles events of the network in their order: after this call the pool knows that its connection
        // is closed.
        fixture.item("missing").await;
        let answer = site.answer(endpoint, support::invocation()).await;
        assert_eq!(summary(&answer), expected_summary(endpoint, "", Deleted));
        assert_eq!(site.wire.take_calls(), ["BatchGetItem", "UpdateItem"], "{endpoint:?}");
    }
}

#[tokio::test]
async fn a_slow_attempt_is_abandoned_for_another_connection_and_503_if_all_are_slow() {
    let cases = [
        network("no answer in time, not carried out", NotForwarded, SLOW, SLOW),
        network("no answer in time, carried out", AnswerHeldBack, SLOW, SLOW_BUT_WRITTEN),
        network("half an answer in time, carried out", EndHeldBack, SLOW, SLOW_BUT_WRITTEN),
    ];
    check(5, THREE_ATTEMPTS, &cases).await;
}

#[tokio::test]
async fn a_database_that_does_not_answer_before_the_deadline_is_503() {
    let cases = [
        network("no answer before the deadline, not carried out", NotForwarded, AT_ONCE, AT_ONCE),
        network("no answer before the deadline, carried out", AnswerHeldBack, AT_ONCE, AT_ONCE_BUT_WRITTEN),
    ];
    check(6, ONE_ATTEMPT, &cases).await;
}

/// The effect of the call is not known.
#[tokio::test]
async fn an_answer_that_cannot_be_read_is_503() {
    let a_success = Err("an empty body is this call's success");
    let cases = [
        replaced("200 without JSON", 200, "<html>", AT_ONCE, AT_ONCE_BUT_WRITTEN),
        replaced("200 without a body", 200, "", AT_ONCE, Ok([deleted(1), deleted(1)])),
        case("200 without a body, not carried out", |_| Fault::Answer(200, String::new()), AT_ONCE, a_success),
    ];
    check(7, AS_DEPLOYED, &cases).await;
}

#[tokio::test]
async fn a_permanent_fault_of_the_database_is_500_after_one_attempt() {
    let skewed = Ok([deleted(2), failed(4)]);
    let cases = [
        error(400, "ExpiredTokenException", FAILED, FAILED),
        error(400, "UnrecognizedClientException", FAILED, FAILED),
        error(400, "RequestTimeTooSkewed", FAILED, FAILED),
        error(400, "InvalidSignatureException", FAILED, FAILED),
        // The SDK signs again, with the date of the answer.
        case("InvalidSignatureException, another date", |_| Fault::Skewed, skewed, skewed),
        error(400, "AccessDeniedException", FAILED, FAILED),
        error(400, "ResourceNotFoundException", FAILED, FAILED),
        error(400, "ItemCollectionSizeLimitExceededException", WRITES_ONLY, Err("the table has no local index")),
    ];
    check(8, AS_DEPLOYED, &cases).await;
}

/// A fixture whose network can fail.
async fn over_http() -> Option<Fixture> {
    Some(Fixture::with_samples().await).filter(|fixture| !fixture.endpoint.starts_with("https:"))
}

/// Checks the cases, and writes them to the matrix as this part.
async fn check(part: u8, limits: Limits, cases: &[Case]) {
    let Some(fixture) = over_http().await else { return };
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for case in cases {
        for (call, cell) in [("BatchGetItem", case.read), ("UpdateItem", case.write)] {
            let expected = cell.as_ref().map_or(&[][..], |expected| expected);
            rows.extend(cell.err().map(|why| format!("| {} | {call} | none: {why} | | | | | |", case.name)));
            for (times, &expected) in [case.times, FOR_EVER].into_iter().zip(expected) {
                let run = |endpoint| Box::pin(run(&fixture, limits, (case, times), call, expected, endpoint));
                let endpoints = tokio::join!(run(Configuration), run(Registration), run(Authlete));
                for (row, difference) in <[_; 3]>::from(endpoints) {
                    wrong.extend(difference.map(|difference| format!("{row}\n{difference}")));
                    rows.push(row);
                }
            }
        }
    }
    publish(part, rows);
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

const FOR_EVER: usize = 99;

/// Sends a request whose `call` meets the fault: the row of the matrix, and the difference to what is expected.
async fn run(
    fixture: &Fixture,
    (variables, milliseconds): Limits,
    (case, times): (&Case, usize),
    call: &'static str,
    expected: Expected,
    endpoint: Endpoint,
) -> (String, Option<String>) {
    let site = Site::open(fixture, variables).await;
    (0..times).for_each(|_| site.wire.plan(call, (case.fault)(&site.proxy)));
    let opened = site.proxy.connections();
    let key = format!("client#{}", endpoint.client());
    let before = fixture.item(&key).await.unwrap();
    let mut invocation = support::invocation();
    invocation.deadline = invocation.deadline - 10_000 + milliseconds;
    let request_id = invocation.request_id.clone();

    // The answer is polled before the time-out, so that a slow machine does not fail the test.
    let end = Duration::from_millis(milliseconds);
    let answer = timeout(end, site.answer(endpoint, invocation)).await.expect("an answer before the invocation ends");

    let table = compare(&before, &fixture.item(&key).await.unwrap(), &request_id);
    fixture.sdk.put_item().table_name(&fixture.table).set_item(Some(before)).send().await.unwrap();
    let (calls, connections) = (site.wire.take_calls(), site.proxy.connections() - opened);
    let attempts = vec![call; expected.attempts];
    let expected_calls = match (call, expected.outcome) {
        ("UpdateItem", _) => [vec!["BatchGetItem"], attempts].concat(),
        (_, Deleted) => [attempts, vec!["UpdateItem"]].concat(),
        _ => attempts,
    };
    let given = format!("{:?} {calls:?} {table}", summary(&answer));
    let expected_summary = expected_summary(endpoint, call, expected.outcome);
    let expected = format!("{expected_summary:?} {expected_calls:?} {}", expected.table);
    let is_right = given == expected && connections <= calls.len();

    let times = if times == FOR_EVER { "for ever".to_owned() } else { format!("{times}x") };
    let (name, answer) = (case.name, summary(&answer).0);
    let attempts = calls.iter().filter(|called| *called == call).count();
    let row = format!("| {name} | {call} | {times} | {endpoint:?} | {answer} | {attempts} | {connections} | {table} |");
    (row, (!is_right).then(|| format!("  given    {given}\n  expected {expected}")))
}

/// What the request did to the client's item.
fn compare(before: &Item, after: &Item, request_id: &str) -> String {
    let by = after.get("deleted").and_then(|deleted| deleted.as_m().ok()?.get("request_id")?.as_s().ok());
    let is_tombstone = after.get("tombstone") == before.get("client") && !after.contains_key("client");
    match by {
        None if after == before => UNTOUCHED.to_owned(),
        Some(by) if by == request_id && is_tombstone => TOMBSTONE.to_owned(),
        _ => format!("{after:?}"),
    }
}

/// Writes the rows to the matrix, together with the other parts that this process has written.
fn publish(part: u8, rows: Vec<String>) {
    static MATRIX: Mutex<BTreeMap<u8, Vec<String>>> = Mutex::new(BTreeMap::new());
    let mut matrix = MATRIX.lock().unwrap();
    matrix.insert(part, rows);
    let head = "| fault | call | times | endpoint | answer | attempts | new connections | table |\n|-|-|-|-|-|-|-|-|\n";
    let rows: Vec<_> = matrix.values().flatten().map(String::as_str).collect();
    let text = [head, &rows.join("\n"), "\n"].concat();
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("fault-matrix.md"), &text).unwrap();
    println!("{text}");
}
