//! The sweep: what it deletes, what it leaves alone, and what that costs. The clock stands still.

use crate::support::{
    Fixture, bearer,
    door::Door,
    log::{self, Captured},
    now,
    sample::{CLIENT, RFC_CLIENT, TARGET},
    wire::Fault,
};
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use deregister::{
    deletion,
    dynamodb::{
        GrantsTable,
        admin::{Creation, RestoreOutcome},
        item,
    },
    functions::{Sweep, sweep::Report},
    invocation::Invocation,
    model::{
        ApiClient, Client, Deletion, Digest, Id, Idle, IdlePolicy, Kind, Metadata, OAuthClient, Restoration, Version,
    },
    rule::{Authorization, operator},
    settings::Upkeep,
    store::{Fault, Store, WriteOutcome},
};
use lambda_http::{Context, LambdaEvent};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
/// As it is without settings.
const PATIENCE: IdlePolicy = IdlePolicy { unused: DAY, used: Duration::from_hours(90 * 24) };
const TOKEN: &str = "registration-token-of-a-test";

/// A client that was never used, and has been due for an hour.
fn due() -> Client {
    idle(Idle::unused(now() - DAY - HOUR))
}

/// A client that registered itself.
fn idle(idle: Idle) -> Client {
    let metadata = Metadata { client_name: Some("Name for people".to_owned()), ..Metadata::default() };
    let registration_token_digest = Some(Digest::of(TOKEN));
    let client = OAuthClient { service_id: id("service"), dynamic: true, registration_token_digest, metadata };
    Client { kind: Kind::OAuth(client), protected: false, version: Some(Version(1)), idle: Some(idle) }
}

fn protected() -> Client {
    Client { protected: true, ..due() }
}

fn api() -> Client {
    Client { kind: Kind::Api(ApiClient::default()), ..due() }
}

fn id(id: &str) -> Id {
    Id::new(id).unwrap()
}

/// The digit of the list in which a client with this id stands.
fn digit(client_id: &str) -> char {
    Digest::of(client_id.as_bytes()).to_hex().chars().next().unwrap()
}

/// Ids without end that stand in the lists with this digit.
fn ids_in(list: char) -> impl Iterator<Item = String> {
    (0..).map(|n| format!("client-{n}")).filter(move |client_id| digit(client_id) == list)
}

/// A table with these clients.
async fn with(clients: &[(&str, Client)]) -> Fixture {
    let fixture = Fixture::empty().await;
    for (client_id, client) in clients {
        create(&fixture, client_id, client).await;
    }
    fixture
}

async fn create(fixture: &Fixture, client_id: &str, client: &Client) {
    assert_eq!(fixture.direct().create_client(&id(client_id), client).await, Ok(Creation::Done), "{client_id}");
}

/// Creates many clients, 25 at a time.
async fn create_all(fixture: &Fixture, clients: impl IntoIterator<Item = (String, Client)>) {
    let put = |(client_id, client): (String, Client)| {
        let item = item::of_client(&id(&client_id), &client).unwrap();
        WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(item)).build().unwrap()).build()
    };
    let puts: Vec<_> = clients.into_iter().map(put).collect();
    for puts in puts.chunks(25) {
        fixture.sdk.batch_write_item().request_items(&fixture.table, puts.to_vec()).send().await.unwrap();
    }
}

/// The sweep that deletes.
fn sweep(fixture: &Fixture) -> Sweep {
    log::begin();
    Sweep { store: fixture.clients.clone(), grants: None, policy: PATIENCE, deletes: true, most: 1000, clock: now }
}

fn observing(fixture: &Fixture) -> Sweep {
    Sweep { deletes: false, ..sweep(fixture) }
}

/// An invocation that has this much time, beside what it keeps for its report.
fn invocation(time: Duration) -> Context {
    let mut invocation = support::invocation();
    let end = now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + SECOND + time;
    invocation.deadline = end.as_millis().try_into().unwrap();
    invocation
}

async fn run_in(invocation: Context, sweep: &Sweep) -> Result<Report, Fault> {
    sweep.call(LambdaEvent::new(IgnoredAny, invocation)).await
}

async fn run(sweep: &Sweep) -> Report {
    run_in(invocation(HOUR), sweep).await.unwrap()
}

/// The report of a run that deletes, looks through all, and finds as many due.
fn report(due: usize) -> Report {
    Report { deletes: true, due, complete: true, ..Report::default() }
}

/// All items of the table, by their keys.
async fn table(fixture: &Fixture) -> BTreeMap<String, item::Item> {
    let mut items = BTreeMap::new();
    let mut pages = fixture.sdk.scan().table_name(&fixture.table).consistent_read(true).into_paginator().items().send();
    while let Some(item) = pages.next().await {
        let item = item.unwrap();
        items.insert(item["pk"].as_s().unwrap().clone(), item);
    }
    items
}

/// Who is in the index: in which list, and since when.
async fn index(fixture: &Fixture) -> BTreeMap<String, (String, String)> {
    let items = fixture.sdk.scan().table_name(&fixture.table).index_name("idle").send().await.unwrap().items.unwrap();
    let entry = |item: item::Item| {
        let [key, list] = ["pk", "idle"].map(|name| item[name].as_s().unwrap().clone());
        (key.trim_start_matches("client#").to_owned(), (list, item["idle_since"].as_n().unwrap().clone()))
    };
    items.into_iter().map(entry).collect()
}

/// Sets a member of a client, past the wire.
async fn set(fixture: &Fixture, client_id: &str, member: &str, value: AttributeValue) {
    let key = AttributeValue::S(format!("client#{client_id}"));
    let update = fixture.sdk.update_item().table_name(&fixture.table).key("pk", key);
    let update = update.update_expression("SET client.#member = :value").expression_attribute_names("#member", member);
    update.expression_attribute_values(":value", value).send().await.unwrap();
}

/// Deletes a client, past the wire.
async fn write_tombstone(fixture: &Fixture, client_id: &str) {
    let (target, store) = (id(client_id), fixture.direct());
    let (by, via) = ("operator#jane".to_owned(), "deregisterctl".to_owned());
    let deletion = Deletion { at: now(), by, via, source_ip: None, request_id: "another".to_owned() };
    let permit = Authorization { target: &target, preconditions: Vec::new() };
    assert_eq!(store.write_tombstone(&permit, &deletion).await, Ok(WriteOutcome::Written));
}

/// Restores a client, past the wire.
async fn restore(fixture: &Fixture, client_id: &str) {
    let restoration = Restoration { at: now(), by: "operator#jane".to_owned() };
    let restored = fixture.direct().restore(&id(client_id), &restoration).await.unwrap();
    assert!(matches!(restored, RestoreOutcome::Done(_)), "{restored:?}");
}

/// Uses a client, past the wire, as an authorization server does.
async fn use_client(fixture: &Fixture, client_id: &str) {
    let (client, store) = (id(client_id), fixture.direct());
    let standing = store.client_status(&client).await.unwrap();
    assert_eq!(store.note_use(&client, &standing, now()).await, Ok(true));
}

async fn remove(fixture: &Fixture, client_id: &str) {
    let key = AttributeValue::S(format!("client#{client_id}"));
    fixture.sdk.delete_item().table_name(&fixture.table).key("pk", key).send().await.unwrap();
}

/// The record of a deletion.
async fn record(fixture: &Fixture, client_id: &str) -> Deletion {
    fixture.direct().deletions(&id(client_id)).await.unwrap().unwrap().standing.unwrap().0
}

/// A table of grants, empty and past the wire.
async fn grants(fixture: &Fixture) -> Grants {
    fixture.create_grants_table().await;
    Grants::open(fixture.sdk.config().to_builder(), "grants", "expires_at").await.unwrap()
}

/// Issues a grant to the client that ends then, if ever.
async fn grant(fixture: &Fixture, client_id: &str, grant_id: &str, expires_at: Option<SystemTime>) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = fixture.sdk.put_item().table_name("grants");
    let put = put.item("client_id", text(client_id)).item("grant_id", text(grant_id));
    let put = expires_at.into_iter().fold(put, |put, end| put.item("expires_at", AttributeValue::N(seconds(end))));
    put.send().await.unwrap();
}

fn seconds(instant: SystemTime) -> String {
    instant.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().to_string()
}

/// The line of a run, the only one.
fn line_of_run(log: &Captured) -> Value {
    let [line] =
        log.lines().into_iter().filter(|line| line.get("mode").is_some()).collect::<Vec<_>>().try_into().unwrap();
    line
}

/// How often each operation was called since this was last asked.
fn calls(fixture: &Fixture) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    fixture.wire.take_calls().into_iter().for_each(|call| *calls.entry(call).or_default() += 1);
    calls
}

#[tokio::test]
async fn a_client_is_due_at_the_second_at_which_the_patience_with_it_ends_and_no_second_earlier() {
    for (idle_since, since) in
        [(Idle::unused as fn(_) -> _, now() - PATIENCE.unused), (Idle::used, now() - PATIENCE.used)]
    {
        let fixture = with(&[("due", idle(idle_since(since))), ("not-yet", idle(idle_since(since + SECOND)))]).await;
        assert_eq!(run(&sweep(&fixture)).await, Report { swept: 1, ..report(1) });
        assert!(!fixture.lives("due").await && fixture.lives("not-yet").await);
    }
}

#[tokio::test]
async fn the_patience_with_used_clients_says_nothing_of_unused_ones_nor_the_other_way_round() {
    let ago = now() - 30 * DAY;
    let fixture = with(&[("unused", idle(Idle::unused(ago))), ("used", idle(Idle::used(ago)))]).await;
    let patient = IdlePolicy { unused: PATIENCE.used, used: PATIENCE.used };
    assert_eq!(run(&Sweep { policy: patient, ..observing(&fixture) }).await.swept, 0);
    let turned = IdlePolicy { unused: PATIENCE.used, used: PATIENCE.unused };
    assert_eq!(run(&Sweep { policy: turned, ..sweep(&fixture) }).await.swept, 1);
    assert!(fixture.lives("unused").await && !fixture.lives("used").await);
    assert_eq!(run(&sweep(&fixture)).await.swept, 1);
    assert!(!fixture.lives("unused").await);
}

#[tokio::test]
async fn a_client_that_is_not_kept_track_of_is_left_alone() {
    let fixture = with(&[("of-before", Client { idle: None, ..due() })]).await;
    assert_eq!(run(&sweep(&fixture)).await, report(0));
    assert!(fixture.lives("of-before").await);
}

#[tokio::test]
async fn a_protected_client_is_left_alone_until_it_is_no_longer_protected() {
    let fixture = with(&[("a", protected())]).await;
    let before = table(&fixture).await;
    assert_eq!(run(&sweep(&fixture)).await, Report { protected: 1, ..report(1) });
    assert_eq!(table(&fixture).await, before);
    fixture.direct().set_protected(&id("a"), false).await.unwrap();
    assert_eq!(run(&sweep(&fixture)).await, Report { swept: 1, ..report(1) });
}

#[tokio::test]
async fn what_did_not_register_itself_is_left_alone_where_somebody_lists_it_by_hand_too() {
    let Kind::OAuth(client) = due().kind else { panic!("no OAuth client") };
    let is_static = Client { kind: Kind::OAuth(OAuthClient { dynamic: false, ..client }), ..due() };
    let fixture = with(&[("api", api()), ("static", is_static)]).await;
    // An item of another kind, by the keys of the index.
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put =
        fixture.sdk.put_item().table_name(&fixture.table).item("pk", text("service#a")).item("idle", text("unused#0"));
    put.item("idle_since", AttributeValue::N("0".to_owned())).send().await.unwrap();
    let before = table(&fixture).await;
    assert_eq!(index(&fixture).await.len(), 3);
    assert_eq!(run(&sweep(&fixture)).await, Report { changed: 2, ..report(2) });
    assert_eq!(table(&fixture).await, before);
}

/// The index follows the table within a moment. Here it follows at once, so that the table goes ahead.
#[tokio::test]
async fn a_client_that_is_gone_though_it_is_listed_is_left_alone() {
    for operation in ["BatchGetItem", "UpdateItem"] {
        for stands in [true, false] {
            let fixture = with(&[("a", due())]).await;
            let bystander = fixture.clone();
            let gone = async move { if stands { bury(&bystander, "a").await } else { remove(&bystander, "a").await } };
            fixture.wire.plan(operation, wire::Fault::meanwhile(gone));
            assert_eq!(run(&sweep(&fixture)).await, Report { changed: 1, ..report(1) }, "{operation} {stands}");
            if stands {
                assert_eq!(record(&fixture, "a").await.request_id, "another");
            } else {
                assert_eq!(fixture.item("client#a").await, None);
            }
        }
    }
}

#[tokio::test]
async fn a_client_with_a_grant_that_has_not_ended_is_left_alone_and_goes_once_all_have_ended() {
    let fixture = with(&[("without-end", due()), ("not-ended", due()), ("ended", due()), ("without", due())]).await;
    let grants = Some(grants(&fixture).await);
    grant(&fixture, "without-end", "1", None).await;
    grant(&fixture, "not-ended", "1", Some(now() - DAY)).await;
    grant(&fixture, "not-ended", "2", Some(now() + SECOND)).await;
    grant(&fixture, "ended", "1", Some(now() - DAY)).await;
    grant(&fixture, "ended", "2", Some(now())).await;
    let sweep = Sweep { grants, ..sweep(&fixture) };
    assert_eq!(run(&sweep).await, Report { granted: 2, swept: 2, ..report(4) });
    assert!(fixture.lives("without-end").await && fixture.lives("not-ended").await);
    assert!(!fixture.lives("ended").await && !fixture.lives("without").await);

    let later = Sweep { clock: || now() + SECOND, ..sweep };
    assert_eq!(run(&later).await, Report { granted: 1, swept: 1, ..report(2) });
    assert!(fixture.lives("without-end").await && !fixture.lives("not-ended").await);
}

#[tokio::test]
async fn a_grant_whose_end_cannot_be_read_has_not_ended() {
    let fixture = with(&[("a", due())]).await;
    let grants = Some(grants(&fixture).await);
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = fixture.sdk.put_item().table_name("grants").item("client_id", text("a")).item("grant_id", text("1"));
    put.item("expires_at", text("2026-01-15T08:00:01Z")).send().await.unwrap();
    assert_eq!(run(&Sweep { grants, ..sweep(&fixture) }).await, Report { granted: 1, ..report(1) });
}

#[tokio::test]
async fn the_sweep_only_observes_unless_it_is_told_to_delete() {
    let Upkeep { deletes, policy, grants, .. } = Upkeep::read(|_| None).unwrap();
    assert_eq!((deletes, policy, grants), (false, PATIENCE, None));
}

#[tokio::test]
async fn observing_changes_nothing_and_reports_what_deleting_would() {
    let fixture =
        with(&[("1", due()), ("2", due()), ("3", protected()), ("4", api()), ("5", due()), ("6", due())]).await;
    create(&fixture, "7", &idle(Idle::unused(now()))).await;
    let grants = grants(&fixture).await;
    grant(&fixture, "5", "1", None).await;
    set(&fixture, "6", "kind", AttributeValue::S("nonsense".to_owned())).await;
    let before = table(&fixture).await;

    calls(&fixture);
    let observed = run(&Sweep { grants: Some(grants.clone()), ..observing(&fixture) }).await;
    assert_eq!(calls(&fixture), BTreeMap::from([("Query".to_owned(), 32), ("BatchGetItem".to_owned(), 5)]));
    assert_eq!(table(&fixture).await, before);

    let swept = run(&Sweep { grants: Some(grants), ..sweep(&fixture) }).await;
    assert_eq!(swept, Report { swept: 2, protected: 1, granted: 1, changed: 1, unreadable: 1, ..report(6) });
    assert_eq!(observed, Report { deletes: false, ..swept });
    let changed = table(&fixture).await.into_iter().filter(|(key, item)| before[key] != *item);
    assert_eq!(changed.map(|(key, _)| key).collect::<Vec<_>>(), ["client#1", "client#2"]);
}

#[tokio::test]
async fn a_client_that_changes_between_the_list_and_the_write_survives() {
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Event {
        Used,
        Protected,
        RestoreOutcome,
        Static,
        RegisteredAgain,
    }

    async fn happens(fixture: Fixture, event: Event) {
        match event {
            Event::Used => use_client(&fixture, "a").await,
            Event::Protected => drop(fixture.direct().set_protected(&id("a"), true).await.unwrap()),
            Event::RestoreOutcome => {
                bury(&fixture, "a").await;
                restore(&fixture, "a").await;
            }
            Event::Static => set(&fixture, "a", "dynamic", AttributeValue::Bool(false)).await,
            Event::RegisteredAgain => {
                remove(&fixture, "a").await;
                create(&fixture, "a", &idle(Idle::unused(now()))).await;
            }
        }
    }

    for operation in ["BatchGetItem", "UpdateItem"] {
        for event in [Event::Used, Event::Protected, Event::RestoreOutcome, Event::Static, Event::RegisteredAgain] {
            let fixture = with(&[("a", due())]).await;
            fixture.wire.plan(operation, wire::Fault::meanwhile(happens(fixture.clone(), event)));
            let expected = match event {
                Event::Protected => Report { protected: 1, ..report(1) },
                _ => Report { changed: 1, ..report(1) },
            };
            assert_eq!(run(&sweep(&fixture)).await, expected, "{event:?} before {operation}");
            assert!(fixture.lives("a").await, "{event:?} before {operation}");
        }
    }
}

#[tokio::test]
async fn a_used_client_that_is_used_again_between_the_list_and_the_write_survives() {
    for operation in ["BatchGetItem", "UpdateItem"] {
        let fixture = with(&[("a", idle(Idle::used(now() - 91 * DAY)))]).await;
        let bystander = fixture.clone();
        fixture.wire.plan(operation, wire::Fault::meanwhile(async move { use_client(&bystander, "a").await }));
        assert_eq!(run(&sweep(&fixture)).await, Report { changed: 1, ..report(1) }, "{operation}");
        assert!(fixture.lives("a").await);
    }
}

#[tokio::test]
async fn a_change_that_nothing_rests_on_does_not_stop_the_sweep() {
    let fixture = with(&[("a", due())]).await;
    let bystander = fixture.clone();
    let renamed = async move { set(&bystander, "a", "name", AttributeValue::S("renamed".to_owned())).await };
    fixture.wire.plan("UpdateItem", wire::Fault::meanwhile(renamed));
    assert_eq!(run(&sweep(&fixture)).await, Report { swept: 1, ..report(1) });
}

#[tokio::test]
async fn a_swept_client_is_a_tombstone_like_any_other_that_says_so() {
    let fixture = with(&[("a", due())]).await;
    let invocation = invocation(HOUR);
    let request_id = invocation.request_id.clone();
    let was = fixture.item("client#a").await.unwrap()["client"].clone();
    run_in(invocation, &sweep(&fixture)).await.unwrap();

    let (by, via) = ("sweep".to_owned(), "sweep".to_owned());
    assert_eq!(record(&fixture, "a").await, Deletion { at: now(), by, via, source_ip: None, request_id });
    let tombstone = fixture.item("client#a").await.unwrap();
    assert_eq!(tombstone["tombstone"], was);
    let attributes: BTreeSet<&str> = tombstone.keys().map(String::as_str).collect();
    assert_eq!(attributes, BTreeSet::from(["pk", "tombstone", "deleted", "expires_at"]));
}

#[tokio::test]
async fn each_deletion_is_recorded_with_its_own_time_however_long_the_run() {
    static TICKS: AtomicU32 = AtomicU32::new(0);
    let fixture = with(&[("a", due()), ("b", due())]).await;
    run(&Sweep { clock: || now() + TICKS.fetch_add(1, Relaxed) * HOUR, ..sweep(&fixture) }).await;
    let mut times = [record(&fixture, "a").await.at, record(&fixture, "b").await.at];
    times.sort();
    assert_eq!(times, [now() + HOUR, now() + 2 * HOUR]);
}

#[tokio::test]
async fn a_swept_client_can_be_restored_and_is_not_due_again_before_the_patience_with_used_clients_ends() {
    let fixture = with(&[("a", due())]).await;
    run(&sweep(&fixture)).await;
    restore(&fixture, "a").await;
    let too_early = Sweep { clock: || now() + PATIENCE.used - SECOND, ..sweep(&fixture) };
    assert_eq!(run(&too_early).await, report(0));
    assert!(fixture.lives("a").await);
    let in_time = Sweep { clock: || now() + PATIENCE.used, ..sweep(&fixture) };
    assert_eq!(run(&in_time).await, Report { swept: 1, ..report(1) });
}

#[tokio::test]
async fn a_run_deletes_so_many_clients_at_the_most_and_the_next_goes_on() {
    let fixture = with(&[("1", due()), ("2", due()), ("3", due()), ("4", due()), ("5", due())]).await;
    let sweep = Sweep { most: 2, ..sweep(&fixture) };
    let bounded = Report { swept: 2, complete: false, ..report(2) };
    assert_eq!(run(&Sweep { deletes: false, ..sweep.clone() }).await, Report { deletes: false, ..bounded.clone() });
    assert_eq!(run(&sweep).await, bounded);
    assert_eq!(run(&sweep).await, bounded);
    assert_eq!(run(&sweep).await, Report { swept: 1, ..report(1) });
    assert_eq!(run(&sweep).await, report(0));
}

#[tokio::test]
async fn a_run_that_deletes_the_last_that_it_may_is_complete_if_that_was_the_last_of_all() {
    let fixture = with(&[("1", due()), ("2", due())]).await;
    assert_eq!(run(&Sweep { most: 2, ..sweep(&fixture) }).await, Report { swept: 2, ..report(2) });
}

/// Its first client takes up the time; the clock of the run is the runtime's, which does not stand still.
#[tokio::test]
async fn a_run_that_runs_out_of_time_ends_with_a_report_and_the_next_goes_on() {
    const TIME: Duration = Duration::from_secs(6);
    let fixture = with(&[("1", due()), ("2", due()), ("3", due())]).await;
    fixture.wire.plan("UpdateItem", wire::Fault::meanwhile(tokio::time::sleep(TIME / 2)));
    let report_of_it = run_in(invocation(TIME), &sweep(&fixture)).await;
    assert_eq!(report_of_it, Ok(Report { swept: 1, complete: false, ..report(1) }));
    assert_eq!(run(&sweep(&fixture)).await, Report { swept: 2, ..report(2) });
}

#[tokio::test]
async fn a_database_that_does_not_answer_ends_the_run_in_its_time() {
    for operation in ["Query", "BatchGetItem", "UpdateItem"] {
        let fixture = with(&[("a", due())]).await;
        fixture.wire.plan(operation, wire::Fault::Silence);
        let log = Captured::at("INFO");
        let ended = run_in(invocation(SECOND), &sweep(&fixture)).await;
        assert!(matches!(ended, Err(Fault::Unavailable(_))), "{operation}: {ended:?}");
        assert_eq!(line_of_run(&log)["level"], "ERROR", "{operation}");
        assert!(fixture.lives("a").await);
    }
}

#[tokio::test]
async fn a_client_that_cannot_be_read_does_not_stop_the_others_and_is_named() {
    let fixture = with(&[("1", due()), ("2", due()), ("3", due())]).await;
    set(&fixture, "2", "kind", AttributeValue::S("nonsense".to_owned())).await;
    let log = Captured::at("INFO");
    assert_eq!(run(&sweep(&fixture)).await, Report { swept: 2, unreadable: 1, ..report(3) });
    let [unreadable] =
        log.lines().into_iter().filter(|line| line["level"] == "ERROR").collect::<Vec<_>>().try_into().unwrap();
    assert!(unreadable["message"].as_str().unwrap().starts_with("the item client#2 cannot be read"), "{unreadable}");
    assert_eq!(line_of_run(&log)["level"], "INFO");
    assert!(fixture.lives("2").await);
}

#[tokio::test]
async fn a_fault_of_the_database_ends_the_run_with_an_error_and_the_report_so_far() {
    let refused: fn(String) -> Fault = Fault::Unexpected;
    for (operation, fault, tries, kind, of_kind) in [
        ("Query", 0, 1, "AccessDeniedException", refused),
        ("BatchGetItem", 1, 1, "AccessDeniedException", refused),
        ("UpdateItem", 1, 4, "ThrottlingException", Fault::Unavailable),
    ] {
        let fixture = with(&[("1", due()), ("2", due()), ("3", due())]).await;
        let before = (0..fault).map(|_| wire::Fault::meanwhile(async {}));
        before.for_each(|nothing| fixture.wire.plan(operation, nothing));
        (0..tries).for_each(|_| fixture.wire.plan(operation, wire::Fault::error(400, kind)));
        let log = Captured::at("INFO");
        let ended = run_in(invocation(HOUR), &sweep(&fixture)).await;
        assert_eq!(ended, Err(of_kind(format!("{kind}: as the test asked"))), "{operation}");
        let line = line_of_run(&log);
        assert_eq!((&line["level"], &line["complete"]), (&json!("ERROR"), &json!(false)));
        assert_eq!((&line["due"], &line["swept"]), (&json!(fault), &json!(fault)), "{operation}");
        assert!(line["reason"].as_str().unwrap().contains(kind), "{line}");
    }
}

#[tokio::test]
async fn a_client_that_the_database_refuses_to_delete_is_named_and_fails_the_run_after_the_others() {
    let fixture = with(&[("1", due()), ("2", due()), ("3", due())]).await;
    // What a record is that has no room for that of its deletion.
    fixture.wire.plan("UpdateItem", wire::Fault::error(400, "ValidationException"));
    let log = Captured::at("INFO");
    let ended = run_in(invocation(HOUR), &sweep(&fixture)).await;
    assert!(matches!(ended, Err(Fault::Unexpected(_))), "{ended:?}");
    let line = line_of_run(&log);
    assert_eq!([&line["due"], &line["swept"], &line["failed"]], [&json!(3), &json!(2), &json!(1)]);
    assert_eq!([&line["level"], &line["complete"]], [&json!("ERROR"), &json!(true)]);
    let [left] = index(&fixture).await.into_keys().collect::<Vec<_>>().try_into().unwrap();
    let named: Vec<_> = log.lines().into_iter().filter(|line| line["client_id"] == left).collect();
    assert!(named[0]["message"].as_str().unwrap().contains("ValidationException"), "{named:?}");
    assert_eq!(run(&sweep(&fixture)).await, Report { swept: 1, ..report(1) });
}

#[tokio::test]
async fn where_the_database_refuses_to_delete_any_client_the_run_ends_after_ten() {
    let fixture = Fixture::empty().await;
    create_all(&fixture, (0..30).map(|n| (format!("due-{n}"), due()))).await;
    (0..30).for_each(|_| fixture.wire.plan("UpdateItem", wire::Fault::error(400, "AccessDeniedException")));
    let log = Captured::at("INFO");
    run_in(invocation(HOUR), &sweep(&fixture)).await.unwrap_err();
    let line = line_of_run(&log);
    assert_eq!([&line["due"], &line["failed"], &line["complete"]], [&json!(10), &json!(10), &json!(false)]);
}

#[tokio::test]
async fn a_throttled_run_goes_on() {
    let fixture = with(&[("1", due()), ("2", due())]).await;
    for operation in ["Query", "BatchGetItem", "UpdateItem"] {
        fixture.wire.plan(operation, wire::Fault::error(400, "ThrottlingException"));
    }
    let log = Captured::at("INFO");
    assert_eq!(run(&sweep(&fixture)).await, Report { swept: 2, ..report(2) });
    let line = line_of_run(&log);
    assert_eq!((&line["throttles"], &line["retries"]), (&json!(3), &json!(3)));
}

#[tokio::test]
async fn a_deletion_whose_answer_was_lost_is_counted_once() {
    let fixture = with(&[("a", due())]).await;
    fixture.wire.plan("UpdateItem", wire::Fault::AnswerLost);
    assert_eq!(run(&sweep(&fixture)).await, Report { swept: 1, ..report(1) });
    assert!(!fixture.lives("a").await);
}

#[tokio::test]
async fn of_two_runs_at_the_same_time_each_client_is_claimed_by_the_one_that_its_record_names() {
    let fixture = Fixture::empty().await;
    let ids: Vec<_> = (0..24).map(|n| format!("client-{n}")).collect();
    create_all(&fixture, ids.iter().map(|client_id| (client_id.clone(), due()))).await;
    let (one, other) = (invocation(HOUR), invocation(HOUR));
    let requests = [&one, &other].map(|invocation| invocation.request_id.clone());
    let sweep = sweep(&fixture);
    let (one, other) = tokio::join!(run_in(one, &sweep), run_in(other, &sweep));
    let swept = [one, other].map(|report| report.unwrap().swept);

    let mut named = HashMap::new();
    for client_id in &ids {
        *named.entry(record(&fixture, client_id).await.request_id).or_default() += 1;
    }
    assert_eq!(requests.map(|request| named.get(&request).copied().unwrap_or(0)), swept);
    assert_eq!(swept.iter().sum::<usize>(), ids.len());
}

#[tokio::test]
async fn of_the_sweep_and_the_client_itself_one_deletes_it_and_claims_that() {
    let fixture = Fixture::empty().await;
    let ids: Vec<_> = (0..24).map(|n| format!("client-{n}")).collect();
    create_all(&fixture, ids.iter().map(|client_id| (client_id.clone(), due()))).await;
    // In the order in which the sweep comes along, that they meet.
    let mut in_order = ids.clone();
    in_order.sort_by_key(|client_id| digit(client_id));
    let sweep = Sweep { clock: || SystemTime::UNIX_EPOCH + 32 * 20_000 * HOUR, ..sweep(&fixture) };
    let themselves = async {
        let mut deleted = BTreeSet::new();
        for client_id in in_order {
            let answer = fixture.send("DELETE", &format!("/register/{client_id}"), Some(&bearer(TOKEN)), "").await;
            match answer.status().as_u16() {
                204 => drop(deleted.insert(client_id)),
                status => assert_eq!(status, 401),
            }
        }
        deleted
    };
    let (report, themselves) = tokio::join!(run(&sweep), themselves);
    println!("{report:?}, {}", themselves.len());
    assert_eq!(report.swept + themselves.len(), ids.len());
    for client_id in ids {
        let via = if themselves.contains(&client_id) { "registration" } else { "sweep" };
        assert_eq!(record(&fixture, &client_id).await.via, via, "{client_id}");
    }
}

/// The number of the list that a run of this invocation begins with: it fails at the first.
async fn first_list(fixture: &Fixture, invocation: Context) -> usize {
    fixture.wire.plan("Query", wire::Fault::error(400, "AccessDeniedException"));
    run_in(invocation, &observing(fixture)).await.unwrap_err();
    let query: Value = serde_json::from_str(&fixture.wire.last_body()).unwrap();
    let (use_made, digit) = query["ExpressionAttributeValues"][":list"]["S"].as_str().unwrap().split_once('#').unwrap();
    usize::from_str_radix(digit, 16).unwrap() + if use_made == "used" { 16 } else { 0 }
}

#[tokio::test]
async fn a_run_begins_with_any_list_at_whatever_time_it_is_made() {
    let fixture = Fixture::empty().await;
    let mut begun = [0; 32];
    for n in 0..640 {
        let mut invocation = invocation(HOUR);
        invocation.request_id = format!("8a1f0b52-3f6c-4a53-9d0e-6c1f2b7a{n:04}");
        begun[first_list(&fixture, invocation).await] += 1;
    }
    // Twenty each, if it were shared out evenly.
    assert!(begun.iter().all(|count| (4..=50).contains(count)), "{begun:?}");
}

#[tokio::test]
async fn a_client_behind_31_lists_of_protected_ones_is_reached_by_a_run_that_may_delete_one() {
    let fixture = Fixture::empty().await;
    let invocation = invocation(HOUR);
    let last = (first_list(&fixture, invocation.clone()).await + 31) % 32;
    let since = now() - 91 * DAY;
    for (n, list) in "0123456789abcdef".chars().cycle().take(32).enumerate() {
        let client = idle(if n < 16 { Idle::unused(since) } else { Idle::used(since) });
        let ids = ids_in(list).skip(if n < 16 { 0 } else { 3 });
        let protected = n != last;
        let clients = ids.take(if protected { 3 } else { 1 });
        create_all(&fixture, clients.map(|client_id| (client_id, Client { protected, ..client.clone() }))).await;
    }
    let report = Report { swept: 1, protected: 93, ..report(94) };
    assert_eq!(run_in(invocation, &Sweep { most: 1, ..sweep(&fixture) }).await, Ok(report));
}

#[tokio::test]
async fn a_run_costs_what_is_due_whatever_the_table_holds() {
    for others in [0, 2000] {
        let fixture = Fixture::empty().await;
        create_all(&fixture, (0..40).map(|n| (format!("due-{n}"), due()))).await;
        let busy = |n: u32| if n.is_multiple_of(2) { Idle::unused(now()) } else { Idle::used(now() - n * SECOND) };
        create_all(&fixture, (0..others).map(|n| (format!("busy-{n}"), idle(busy(n))))).await;
        for (sweep, operations) in [
            (observing(&fixture), vec![("BatchGetItem", 40), ("Query", 32)]),
            (sweep(&fixture), vec![("BatchGetItem", 40), ("Query", 32), ("UpdateItem", 40)]),
            (sweep(&fixture), vec![("Query", 32)]),
        ] {
            calls(&fixture);
            run(&sweep).await;
            let expected = operations.into_iter().map(|(operation, count)| (operation.to_owned(), count));
            assert_eq!(calls(&fixture), expected.collect(), "{others}");
        }
    }
}

#[tokio::test]
async fn a_list_that_is_longer_than_a_page_is_gone_through_to_its_end_while_it_shrinks() {
    let fixture = Fixture::empty().await;
    create_all(&fixture, ids_in('7').take(510).map(|client_id| (client_id, due()))).await;
    let log = Captured::at("INFO");
    assert_eq!(run(&sweep(&fixture)).await, Report { swept: 510, ..report(510) });
    assert_eq!(calls(&fixture)["Query"], 33);
    assert!(index(&fixture).await.is_empty());
    assert_eq!(line_of_run(&log)["database_calls"], 33 + 2 * 510);
}

#[tokio::test]
async fn those_that_are_idle_longest_go_first() {
    let fixture = Fixture::empty().await;
    let ids: Vec<_> = ids_in('7').take(3).collect();
    for (client_id, hours) in ids.iter().zip([2, 3, 1]) {
        create(&fixture, client_id, &idle(Idle::unused(now() - DAY - hours * HOUR))).await;
    }
    run(&Sweep { most: 1, ..sweep(&fixture) }).await;
    assert!(fixture.lives(&ids[0]).await && !fixture.lives(&ids[1]).await && fixture.lives(&ids[2]).await);
}

#[tokio::test]
async fn a_deletion_at_any_door_takes_the_client_out_of_the_index() {
    for door in Door::ALL {
        let fixture = Fixture::with_samples().await;
        for client_id in [TARGET, RFC_CLIENT.0, CLIENT.0] {
            // What no door knows of, API clients least of all.
            let key = AttributeValue::S(format!("client#{client_id}"));
            let put = fixture.sdk.update_item().table_name(&fixture.table).key("pk", key);
            let put = put.update_expression("SET idle = :list, idle_since = :since");
            let put = put.expression_attribute_values(":list", AttributeValue::S("unused#0".to_owned()));
            put.expression_attribute_values(":since", AttributeValue::N("0".to_owned())).send().await.unwrap();
        }
        assert!(fixture.invoke(&door.event()).await.status().is_success(), "{door:?}");
        let left = index(&fixture).await;
        for client_id in [TARGET, RFC_CLIENT.0, CLIENT.0] {
            assert_eq!(left.contains_key(client_id), client_id != door.client(), "{client_id} at {door:?}");
        }
    }
}

#[tokio::test]
async fn a_deletion_by_an_operator_takes_the_client_out_of_the_index_and_a_restoration_puts_it_back_as_used() {
    let fixture = with(&[("a", due()), ("api", Client { idle: None, ..api() })]).await;
    for client_id in ["a", "api"] {
        let request = operator::Request { operator: "operator#jane".to_owned(), target: id(client_id) };
        let invocation = Invocation {
            now: now(),
            deadline: Instant::now() + Duration::from_secs(10),
            source_ip: None,
            request_id: "this".to_owned(),
        };
        deletion::delete(&fixture.clients, request, &invocation).await.result.unwrap();
    }
    assert!(index(&fixture).await.is_empty());
    restore(&fixture, "a").await;
    restore(&fixture, "api").await;
    // SHA-256 of "a" begins with c.
    let entry = ("used#c".to_owned(), seconds(now()));
    assert_eq!(index(&fixture).await, BTreeMap::from([("a".to_owned(), entry)]));
}

#[tokio::test]
async fn a_registration_and_a_use_are_in_the_index_at_the_list_of_the_digit() {
    let fixture = with(&[("a", due()), ("b", due())]).await;
    use_client(&fixture, "b").await;
    // SHA-256 of "b" begins with 3.
    let expected = [("a", "unused#c", now() - DAY - HOUR), ("b", "used#3", now())];
    let entry = |(client_id, list, since): (&str, &str, _)| (client_id.to_owned(), (list.to_owned(), seconds(since)));
    assert_eq!(index(&fixture).await, expected.map(entry).into());
}

#[tokio::test]
async fn the_log_has_a_line_for_each_swept_client_and_one_of_the_run_that_is_a_metric() {
    for deletes in [true, false] {
        let fixture = with(&[("a", due()), ("b", protected())]).await;
        let log = Captured::at("INFO");
        let mut invocation = invocation(HOUR);
        invocation.xray_trace_id = Some("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1".to_owned());
        let request_id = invocation.request_id.clone();
        run_in(invocation, &Sweep { deletes, ..sweep(&fixture) }).await.unwrap();

        let [swept, run] = log.lines().try_into().unwrap();
        let message = if deletes { "swept a client" } else { "would sweep a client" };
        for (key, value) in [
            ("level", json!("INFO")),
            ("message", json!(message)),
            ("client_id", json!("a")),
            ("used", json!(false)),
            ("idle_since", json!("2027-01-14T07:00:00Z")),
            ("_aws", Value::Null),
        ] {
            assert_eq!(swept[key], value, "{key} in {swept}");
        }
        for (key, value) in [
            ("level", json!("INFO")),
            ("timestamp", json!("2027-01-15T08:00:00Z")),
            ("mode", json!(if deletes { "delete" } else { "observe" })),
            ("due", json!(2)),
            ("swept", json!(1)),
            ("protected", json!(1)),
            ("granted", json!(0)),
            ("changed", json!(0)),
            ("unreadable", json!(0)),
            ("failed", json!(0)),
            ("complete", json!(true)),
            ("function_request_id", json!(request_id)),
            ("xray_trace_id", json!("1-5759e988-bd862e3fe1be46a994272793")),
            ("database_calls", json!(if deletes { 35 } else { 34 })),
            ("reason", Value::Null),
        ] {
            assert_eq!(run[key], value, "{key} in {run}");
        }
        let [directive] = &run["_aws"]["CloudWatchMetrics"].as_array().unwrap()[..] else { panic!("{run}") };
        assert_eq!(directive["Dimensions"], json!([["mode"]]));
        for metric in directive["Metrics"].as_array().unwrap() {
            assert!(run[metric["Name"].as_str().unwrap()].is_number(), "{metric} in {run}");
        }
    }
}

#[tokio::test]
async fn the_report_is_written_whatever_the_level() {
    let fixture = with(&[("a", due())]).await;
    let log = Captured::at("ERROR");
    run(&sweep(&fixture)).await;
    assert_eq!(line_of_run(&log)["swept"], 1);
}

#[tokio::test]
async fn the_log_says_nothing_of_a_client_but_its_id_and_its_use() {
    let fixture = with(&[("a", due()), ("b", due())]).await;
    set(&fixture, "a", "secret_of_the_future", AttributeValue::S(TOKEN.to_owned())).await;
    let grants = grants(&fixture).await;
    grant(&fixture, "b", "grant-of-a-test", None).await;
    let log = Captured::at("INFO");
    run(&Sweep { grants: Some(grants), ..sweep(&fixture) }).await;
    assert_eq!(log.lines().len(), 2);
    for secret in [TOKEN, &Digest::of(TOKEN).to_hex(), "Name for people", "grant-of-a-test"] {
        assert!(!log.text().contains(secret), "{secret}");
    }
}
