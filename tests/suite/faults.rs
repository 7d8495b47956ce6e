//! What comes of every fault of the database and of the way to it: what is answered, after how many tries, and what
//! stands in the table then.
//!
//! Each fault strikes once or for ever, each of the two calls, at each of the three doors. The SDK is configured as it is
//! deployed, between a wire that lies and a network that breaks. What is seen is written to `target/fault-matrix.md`.
//! Over HTTPS there is no network that could be broken, so that nothing is tested there.

use crate::support::proxy::{
    Break::{self, Deaf, Mute, Refused, ResetAfter, ResetBefore, ResetDuring, Stuck, Truncated},
    Proxy,
};
use crate::support::{
    Fixture,
    door::Door::{self, Authlete, Configuration, Registration},
    header, now,
    sample::{CLIENT, OWNER, RFC_CLIENT, SERVICE_TOKEN},
    text,
    wire::{Wire, wire::Fault},
};
use aws_sdk_dynamodb::config::retry::RetryPartition;
use deregister::{
    dynamodb::{ClientsTable, connection, item::Item},
    functions::Delete,
    settings::Settings,
};
use lambda_http::{Body, Context, LambdaEvent, Response};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path, sync::Mutex, time::Duration};
use tokio::time::timeout;

/// A fault, and what has to come of it.
struct Fault {
    name: &'static str,
    strike: Box<dyn Fn(&Proxy) -> wire::Fault>,
    /// How many tries it strikes where it does not last.
    times: usize,
    read: Cell,
    write: Cell,
}

/// What has to come of a fault that passes, and of one that lasts; or why there is no such fault.
type Cell = Result<[Expected; 2], &'static str>;

#[derive(Clone, Copy)]
struct Expected {
    outcome: Outcome,
    /// How often the call that is struck is tried.
    tries: usize,
    table: &'static str,
}

#[derive(Clone, Copy, Debug)]
enum Outcome {
    Deleted,
    Unavailable,
    Failed,
}
use Outcome::{Deleted, Failed, Unavailable};

const TOMBSTONE: &str = "its own tombstone";
const UNTOUCHED: &str = "untouched";

const fn deleted(tries: usize) -> Expected {
    Expected { outcome: Deleted, tries, table: TOMBSTONE }
}
const fn unavailable(tries: usize) -> Expected {
    Expected { outcome: Unavailable, tries, table: UNTOUCHED }
}
/// Unavailable, and yet the write took effect.
const fn unheard(tries: usize) -> Expected {
    Expected { outcome: Unavailable, tries, table: TOMBSTONE }
}
const fn failed(tries: usize) -> Expected {
    Expected { outcome: Failed, tries, table: UNTOUCHED }
}

const RETRIED: Cell = Ok([deleted(2), unavailable(4)]);
const RETRIED_UNHEARD: Cell = Ok([deleted(2), unheard(4)]);
const SLOW: Cell = Ok([deleted(2), unavailable(3)]);
const SLOW_UNHEARD: Cell = Ok([deleted(2), unheard(3)]);
const AT_ONCE: Cell = Ok([unavailable(1), unavailable(1)]);
const AT_ONCE_UNHEARD: Cell = Ok([unheard(1), unheard(1)]);
const FAILED: Cell = Ok([failed(1), failed(1)]);
const READS_ONLY: Cell = Err("it belongs to reads");
const WRITES_ONLY: Cell = Err("it belongs to writes");

fn fault(name: &'static str, strike: impl Fn(&Proxy) -> wire::Fault + 'static, read: Cell, write: Cell) -> Fault {
    Fault { name, strike: Box::new(strike), times: 1, read, write }
}
/// The database answers this error.
fn error(status: u16, name: &'static str, read: Cell, write: Cell) -> Fault {
    fault(name, move |_| wire::Fault::error(status, name), read, write)
}
/// The database does as it is told, and this is answered.
fn garbled(name: &'static str, status: u16, body: &'static str, read: Cell, write: Cell) -> Fault {
    fault(name, move |_| wire::Fault::Replaced(status, body), read, write)
}
fn network(name: &'static str, how: Break, read: Cell, write: Cell) -> Fault {
    fault(name, move |proxy| wire::Fault::during(proxy.clone().broken(how)), read, write)
}

/// What else the environment says, and how many milliseconds the invocation may take.
type Pace = (&'static str, u64);
const AS_DEPLOYED: Pace = ("", 10_000);
/// Three tries fit into a call, with the waits between them; a fourth does not.
const HURRIED: Pace = ("DATABASE_ATTEMPT_TIMEOUT_MS=300 DATABASE_CALL_TIMEOUT_MS=890", 10_000);
/// The invocation ends before the first try does.
const LATE: Pace = ("", 650);

#[tokio::test]
async fn what_passes_at_the_database_is_tried_again_and_503_where_it_lasts() {
    let faults = [
        error(400, "ProvisionedThroughputExceededException", RETRIED, RETRIED),
        error(400, "ThrottlingException", RETRIED, RETRIED),
        error(400, "RequestLimitExceeded", RETRIED, RETRIED),
        error(500, "InternalServerError", RETRIED, RETRIED),
        garbled("InternalServerError, the work done", 500, "{}", RETRIED, RETRIED_UNHEARD),
        error(503, "ServiceUnavailable", RETRIED, RETRIED),
        fault("502 without JSON", |_| wire::Fault::Answer(502, "<html>".to_owned()), RETRIED, RETRIED),
    ];
    hold(1, AS_DEPLOYED, &faults).await;
}

#[tokio::test]
async fn unprocessed_keys_are_asked_for_in_four_rounds_and_503_where_they_last() {
    let rounds = |name, times, read| Fault { times, ..fault(name, |_| wire::Fault::Unprocessed, read, READS_ONLY) };
    let three = Ok([deleted(4), unavailable(4)]);
    hold(2, AS_DEPLOYED, &[rounds("UnprocessedKeys", 1, RETRIED), rounds("UnprocessedKeys again", 3, three)]).await;
}

#[tokio::test]
async fn a_conflict_with_another_writer_is_503() {
    let faults = [
        // The SDK does not try it again.
        error(400, "TransactionConflictException", WRITES_ONLY, AT_ONCE),
        error(400, "ReplicatedWriteConflictException", WRITES_ONLY, RETRIED),
    ];
    hold(3, AS_DEPLOYED, &faults).await;
}

#[tokio::test]
async fn a_broken_connection_costs_one_try_and_is_503_where_all_break() {
    let faults = [
        network("connection refused", Refused, RETRIED, RETRIED),
        network("reset before the request", ResetBefore, RETRIED, RETRIED),
        network("reset during the request", ResetDuring, RETRIED, RETRIED),
        network("reset, the work done", ResetAfter, RETRIED, RETRIED_UNHEARD),
        network("answer truncated", Truncated, RETRIED, RETRIED_UNHEARD),
    ];
    hold(4, AS_DEPLOYED, &faults).await;
}

/// As after a pause in which Lambda froze the function.
#[tokio::test]
async fn a_connection_that_was_closed_while_idle_costs_no_try() {
    let Some(fixture) = breakable().await else { return };
    for door in [Configuration, Registration, Authlete] {
        let site = Site::open(&fixture, AS_DEPLOYED).await;
        drop(site.proxy.clone().broken(ResetBefore).await);
        // Time in which the pool hears of it: news of the network come in their order.
        fixture.item("nobody").await;
        let answer = site.answer(door, support::invocation()).await;
        assert_eq!((told(&answer), site.wire.take_calls().len()), (expected(door, "", Deleted), 2));
    }
}

#[tokio::test]
async fn a_slow_try_is_given_up_for_another_connection_and_503_where_all_are_slow() {
    let faults = [
        network("no answer within a try, nothing done", Deaf, SLOW, SLOW),
        network("no answer within a try, the work done", Mute, SLOW, SLOW_UNHEARD),
        network("half an answer within a try", Stuck, SLOW, SLOW_UNHEARD),
    ];
    hold(5, HURRIED, &faults).await;
}

#[tokio::test]
async fn the_answer_comes_within_the_invocation_however_slow_the_database() {
    let faults = [
        network("no answer within the invocation, nothing done", Deaf, AT_ONCE, AT_ONCE),
        network("no answer within the invocation, the work done", Mute, AT_ONCE, AT_ONCE_UNHEARD),
    ];
    hold(6, LATE, &faults).await;
}

/// Nobody knows what was done, or whether it was the database that answered.
#[tokio::test]
async fn an_answer_that_cannot_be_read_is_503_and_decides_nothing() {
    let says_nothing = Err("to say nothing is this call's good answer");
    let faults = [
        garbled("200 without JSON", 200, "<html>", AT_ONCE, AT_ONCE_UNHEARD),
        garbled("200 without a body", 200, "", AT_ONCE, Ok([deleted(1), deleted(1)])),
        fault("200 without a body, nothing done", |_| wire::Fault::Answer(200, String::new()), AT_ONCE, says_nothing),
    ];
    hold(7, AS_DEPLOYED, &faults).await;
}

#[tokio::test]
async fn what_does_not_pass_at_the_database_is_500_after_one_try() {
    let by_another_clock = Ok([deleted(2), failed(4)]);
    let faults = [
        error(400, "ExpiredTokenException", FAILED, FAILED),
        error(400, "UnrecognizedClientException", FAILED, FAILED),
        error(400, "RequestTimeTooSkewed", FAILED, FAILED),
        error(400, "InvalidSignatureException", FAILED, FAILED),
        // This one passes: the SDK signs again, by the date of the answer.
        fault("InvalidSignatureException, another date", |_| wire::Fault::Skewed, by_another_clock, by_another_clock),
        error(400, "AccessDeniedException", FAILED, FAILED),
        error(400, "ResourceNotFoundException", FAILED, FAILED),
        error(400, "ItemCollectionSizeLimitExceededException", WRITES_ONLY, Err("the table has no local index")),
    ];
    hold(8, AS_DEPLOYED, &faults).await;
}

/// A fixture between whose function and database there is a network that can be broken.
async fn breakable() -> Option<Fixture> {
    Some(Fixture::with_samples().await).filter(|fixture| !fixture.endpoint.starts_with("https:"))
}

/// Checks that of these faults comes what is expected, and makes of it this part of the matrix.
async fn hold(part: u8, pace: Pace, faults: &[Fault]) {
    let Some(fixture) = breakable().await else { return };
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    for fault in faults {
        for (call, cell) in [("BatchGetItem", fault.read), ("UpdateItem", fault.write)] {
            let expected = cell.as_ref().map_or(&[][..], |expected| expected);
            rows.extend(cell.err().map(|why| format!("| {} | {call} | n/a: {why} | | | | | |", fault.name)));
            for (times, &expected) in [fault.times, FOR_EVER].into_iter().zip(expected) {
                let strike = |door| Box::pin(strike(&fixture, pace, (fault, times), call, expected, door));
                let doors = tokio::join!(strike(Configuration), strike(Registration), strike(Authlete));
                for (row, difference) in <[_; 3]>::from(doors) {
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

/// Strikes a request: its row in the matrix, and the difference to what is expected.
async fn strike(
    fixture: &Fixture,
    pace: Pace,
    (fault, times): (&Fault, usize),
    call: &'static str,
    of: Expected,
    door: Door,
) -> (String, Option<String>) {
    let site = Site::open(fixture, pace).await;
    (0..times).for_each(|_| site.wire.plan(call, (fault.strike)(&site.proxy)));
    let opened = site.proxy.connections();
    let key = format!("client#{}", door.client());
    let before = fixture.item(&key).await.unwrap();
    let mut invocation = support::invocation();
    invocation.deadline = invocation.deadline - 10_000 + pace.1;
    let request_id = invocation.request_id.clone();

    let answer = timeout(Duration::from_millis(pace.1), site.answer(door, invocation)).await.unwrap();

    let table = fate(&before, &fixture.item(&key).await.unwrap(), &request_id);
    fixture.sdk.put_item().table_name(&fixture.table).set_item(Some(before)).send().await.unwrap();
    let (calls, connections) = (site.wire.take_calls(), site.proxy.connections() - opened);
    let struck = vec![call; of.tries];
    let expected_calls = match (call, of.outcome) {
        ("UpdateItem", _) => [vec!["BatchGetItem"], struck].concat(),
        (_, Deleted) => [struck, vec!["UpdateItem"]].concat(),
        _ => struck,
    };
    let seen = format!("{:?} {calls:?} {table}", told(&answer));
    let expected = format!("{:?} {expected_calls:?} {}", expected(door, call, of.outcome), of.table);
    let is_right = seen == expected && connections <= calls.len();

    let strikes = if times == FOR_EVER { "for ever".to_owned() } else { format!("{times}x") };
    let (name, label) = (fault.name, told(&answer).0);
    let tries = calls.iter().filter(|called| *called == call).count();
    let row = format!("| {name} | {call} | {strikes} | {door:?} | {label} | {tries} | {connections} | {table} |");
    (row, (!is_right).then(|| format!("  seen     {seen}\n  expected {expected}")))
}

/// What has become of a client.
fn fate(before: &Item, after: &Item, request_id: &str) -> String {
    let by = after.get("deleted").and_then(|deleted| deleted.as_m().ok()?.get("request_id")?.as_s().ok());
    let is_buried = after.get("tombstone") == before.get("client") && !after.contains_key("client");
    match by {
        None if after == before => UNTOUCHED.to_owned(),
        Some(by) if by == request_id && is_buried => TOMBSTONE.to_owned(),
        _ => format!("{after:?}"),
    }
}

/// Adds these rows to the matrix.
fn publish(part: u8, rows: Vec<String>) {
    static MATRIX: Mutex<BTreeMap<u8, Vec<String>>> = Mutex::new(BTreeMap::new());
    let mut matrix = MATRIX.lock().unwrap();
    matrix.insert(part, rows);
    let head = "| fault | call | strikes | door | answer | tries | new connections | table |\n|-|-|-|-|-|-|-|-|\n";
    let rows: Vec<_> = matrix.values().flatten().map(String::as_str).collect();
    let text = [head, &rows.join("\n"), "\n"].concat();
    fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("fault-matrix.md"), &text).unwrap();
    println!("{text}");
}

/// The function as it is deployed, before a proxy.
struct Site {
    proxy: Proxy,
    wire: Wire,
    function: Delete<ClientsTable>,
}

const DATABASE_SECRETS: [&str; 2] = ["wJalrXUtnFEMIK7MDENGbPxRfiCY", "IQoJb3JpZ2luX2VjEXAMPLE"];

impl Site {
    async fn open(fixture: &Fixture, (more, _): Pace) -> Self {
        let proxy = Proxy::before(&fixture.endpoint);
        let ([key, session], url, table) = (DATABASE_SECRETS, proxy.url(), &fixture.table);
        let environment = format!(
            "AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001 AWS_REGION=eu-central-1 AWS_ACCESS_KEY_ID=test \
             AWS_SECRET_ACCESS_KEY={key} AWS_SESSION_TOKEN={session} AWS_ENDPOINT_URL_DYNAMODB={url} \
             CLIENTS_TABLE={table} {more}"
        );
        let variable = |name: &str| {
            environment.split(' ').find_map(|variable| Some(variable.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
        };
        let settings = Settings::read(variable).unwrap();
        let config = connection::configure(&settings, variable).await.unwrap();
        let wire = Wire::over(config.clone().build().http_client().unwrap());
        // The clients of a process share a quota of retries: here, each has one of its own.
        let config = config.retry_partition(RetryPartition::new(url)).http_client(wire.clone());
        let store = ClientsTable::new(config, settings.table, settings.retention);
        store.open(settings.opening).await;
        wire.take_calls();
        Self { proxy, wire, function: Delete::new(store, settings.realm, now) }
    }

    async fn answer(&self, door: Door, invocation: Context) -> Response<Body> {
        let event = serde_json::from_str(&door.event()).unwrap();
        let answer = Box::pin(self.function.call(LambdaEvent::new(event, invocation))).await.unwrap().response;
        let printed = format!("{answer:?}");
        let kept = [OWNER.1, RFC_CLIENT.1, CLIENT.1, SERVICE_TOKEN, "as the test asked"];
        kept.into_iter().chain(DATABASE_SECRETS).for_each(|kept| assert!(!printed.contains(kept), "{printed}"));
        answer
    }
}

/// What an answer says: status and the words that tell one outcome from another; and its header fields.
type Told = (String, [Option<String>; 4]);

fn told(answer: &Response<Body>) -> Told {
    let read = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| json!({ "error": text }));
    let body: Value = read(text(answer));
    let content: Value = body["responseContent"].as_str().map_or(Value::Null, read);
    let members = [&body["errors"], &body["error"], &body["resultCode"], &body["action"], &content["error"]];
    let words: Vec<_> = members.into_iter().filter_map(Value::as_str).collect();
    let words = format!("{} {}", answer.status().as_str(), words.join(" "));
    let fields = ["cache-control", "pragma", "content-type", "retry-after"];
    (words.trim_end().to_owned(), fields.map(|name| header(answer, name).map(str::to_owned)))
}

/// The answer to a request with this outcome, where the fault, if any, is with this call.
fn expected(door: Door, call: &str, outcome: Outcome) -> Told {
    let words = match (door, outcome) {
        (Configuration | Registration, Deleted) => "204",
        (Configuration, Unavailable) => "503 The service is temporarily unavailable.",
        (Configuration, Failed) => "500 An internal error occurred.",
        (Registration, Unavailable) => "503 temporarily_unavailable",
        (Registration, Failed) => "500 server_error",
        (Authlete, Deleted) => "200 A216001 DELETED",
        (Authlete, _) if call == "UpdateItem" => "200 A001101 INTERNAL_SERVER_ERROR server_error",
        (Authlete, Unavailable) => "503 D001003",
        (Authlete, Failed) => "500 A001101",
    };
    let json = (words != "204").then_some("application/json");
    let retry_after = words.starts_with("503").then_some("1");
    (words.to_owned(), [Some("no-store"), Some("no-cache"), json, retry_after].map(|value| value.map(str::to_owned)))
}
