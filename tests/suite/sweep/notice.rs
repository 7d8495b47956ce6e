//! The notice before a deletion: a due client is announced once, and deleted at the announced date if it was not used.

use super::{
    DAY, DELETES, HOUR, POLICY, SECOND, Sweep, create, create_all, due, idle, items, key, named, record, report, run,
    run_in, run_of, s, seconds, set, sweep, table_with, take_calls, tombstones,
};
use crate::support::{
    Fixture,
    build::{ClientBuilder, id, oauth_client},
    log::Captured,
    now,
    wire::Fault,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    dynamodb::item,
    functions::sweep::Report,
    model::{Idle, Metadata, NoticePolicy},
    settings::{self, Variables},
    store::ClientStatuses,
};
use serde_json::{Value, json};
use std::{collections::HashMap, time::SystemTime};

const NOTICE: NoticePolicy = NoticePolicy { period: PERIOD, client_name: false, contacts: false };
const PERIOD: std::time::Duration = std::time::Duration::from_hours(14 * 24);
const ANNOUNCES: settings::Sweep = settings::Sweep { notice: Some(NOTICE), ..DELETES };

/// The sweep with notices, at the current time.
fn announcer(fixture: &Fixture) -> Sweep {
    sweep(fixture, ANNOUNCES)
}

/// The same sweep at the announced date.
fn at_the_date(fixture: &Fixture) -> Sweep {
    Sweep { clock: || now() + PERIOD, ..announcer(fixture) }
}

/// The sweep with notices that repeat these members of the metadata.
fn announcer_of(fixture: &Fixture, names: &str) -> Sweep {
    let variables = [("SWEEP_DELETES", "true"), ("SWEEP_NOTICE_DAYS", "14"), ("SWEEP_NOTICE_METADATA", names)];
    sweep(fixture, settings::Sweep::read(&Variables::from_iter(variables)).unwrap())
}

fn at(time: SystemTime) -> AttributeValue {
    AttributeValue::N(seconds(time))
}

async fn notice_of(fixture: &Fixture, client_id: &str) -> Option<AttributeValue> {
    fixture.item(&format!("client#{client_id}")).await.unwrap().remove("notice")
}

/// The notice of a client that was announced now.
fn notice(idle: Idle, metadata: &str) -> AttributeValue {
    notice_until(idle, now() + PERIOD, metadata)
}

fn notice_until(idle: Idle, sweep_at: SystemTime, metadata: &str) -> AttributeValue {
    let members = [
        ("used", AttributeValue::Bool(idle.used)),
        ("idle_since", at(idle.since)),
        ("sweep_at", at(sweep_at)),
        ("metadata", s(metadata)),
    ];
    AttributeValue::M(members.map(|(name, value)| (name.to_owned(), value)).into())
}

fn just_due() -> Idle {
    due().build().idle.unwrap()
}

/// Writes an attribute of a client's item, without the wire.
async fn put(fixture: &Fixture, client_id: &str, attribute: &str, value: AttributeValue) {
    let update = fixture.sdk.update_item().table_name(&fixture.table).key("pk", key(client_id));
    let update = update.update_expression("SET #attribute = :value");
    let update =
        update.expression_attribute_names("#attribute", attribute).expression_attribute_values(":value", value);
    update.send().await.unwrap();
}

/// Uses a client at this time, as an authorization server does.
async fn use_at(fixture: &Fixture, client_id: &str, time: SystemTime) {
    let (client, store) = (id(client_id), fixture.direct());
    let status = store.client_status(&client).await.unwrap();
    assert_eq!(store.note_use(&client, &status, time).await, Ok(true));
}

#[tokio::test]
async fn a_due_client_is_announced_and_not_deleted() {
    for idle_time in [just_due(), Idle::used(now() - POLICY.used)] {
        let fixture = table_with([("a", idle(idle_time))]).await;
        let before = fixture.item("client#a").await.unwrap();
        take_calls(&fixture);
        assert_eq!(run(&announcer(&fixture)).await, Report { announced: 1, ..report(1) });
        let calls = take_calls(&fixture);
        assert_eq!([calls["BatchGetItem"], calls["UpdateItem"]], [1, 1]);
        let mut after = fixture.item("client#a").await.unwrap();
        assert_eq!(after.remove("notice"), Some(notice(idle_time, "{}")));
        assert_eq!(after, before);
    }
}

#[tokio::test]
async fn a_client_that_is_not_used_is_swept_at_the_date_and_not_before() {
    let fixture = table_with([("a", due())]).await;
    run(&announcer(&fixture)).await;
    let before = Sweep { clock: || now() + PERIOD - SECOND, ..announcer(&fixture) };
    assert_eq!(run(&before).await, Report { noticed: 1, ..report(1) });
    assert!(fixture.lives("a").await);
    assert_eq!(run(&at_the_date(&fixture)).await, Report { swept: 1, ..report(1) });
    let item = fixture.item("client#a").await.unwrap();
    assert!(item.contains_key("tombstone") && !item.contains_key("notice"), "{item:?}");
}

#[tokio::test]
async fn a_client_that_is_used_before_the_date_is_spared_and_announced_anew_when_it_is_due_again() {
    let fixture = table_with([("a", due())]).await;
    run(&announcer(&fixture)).await;
    use_at(&fixture, "a", now() + DAY).await;
    assert_eq!(run(&at_the_date(&fixture)).await, report(0));
    assert!(fixture.lives("a").await);

    let due_again = Sweep { clock: || now() + DAY + POLICY.used, ..announcer(&fixture) };
    take_calls(&fixture);
    assert_eq!(run(&due_again).await, Report { announced: 1, ..report(1) });
    // The stale notice is removed, and then the new one is written.
    assert_eq!(take_calls(&fixture)["UpdateItem"], 2);
    let sweep_at = now() + DAY + POLICY.used + PERIOD;
    assert_eq!(notice_of(&fixture, "a").await, Some(notice_until(Idle::used(now() + DAY), sweep_at, "{}")));
}

#[tokio::test]
async fn a_client_is_announced_once_in_any_number_of_runs() {
    let fixture = table_with([("a", due())]).await;
    let log = Captured::at("INFO");
    for run_number in 0..10 {
        let expected =
            if run_number == 0 { Report { announced: 1, ..report(1) } } else { Report { noticed: 1, ..report(1) } };
        assert_eq!(run(&announcer(&fixture)).await, expected, "{run_number}");
    }
    assert_eq!(named(&log, "announced a client"), ["a"]);
    assert_eq!(take_calls(&fixture)["UpdateItem"], 1);
}

#[tokio::test]
async fn a_run_that_observes_writes_nothing_and_reports_what_it_would_announce() {
    let fixture = table_with([("a", due()), ("b", due().protected()), ("c", due()), ("d", due())]).await;
    put(&fixture, "c", "notice", notice(just_due(), "{}")).await;
    put(&fixture, "d", "notice", notice_until(just_due(), now(), "{}")).await;
    let before = items(&fixture).await;
    let log = Captured::at("INFO");
    take_calls(&fixture);
    let observed = run(&sweep(&fixture, settings::Sweep { deletes: false, ..ANNOUNCES })).await;
    assert!(!take_calls(&fixture).contains_key("UpdateItem"));
    let expected = Report { announced: 1, noticed: 1, swept: 1, protected: 1, ..report(4) };
    assert_eq!(observed, Report { deletes: false, ..expected.clone() });
    assert_eq!(items(&fixture).await, before);
    assert_eq!(
        (named(&log, "would announce a client"), named(&log, "would sweep a client")),
        (vec!["a".into()], vec!["d".into()])
    );
    assert_eq!(run(&announcer(&fixture)).await, expected);
}

#[tokio::test]
async fn without_a_period_a_run_deletes_at_once_whatever_the_notice() {
    let fixture = table_with([("a", due())]).await;
    run(&announcer(&fixture)).await;
    assert_eq!(run(&sweep(&fixture, DELETES)).await, Report { swept: 1, ..report(1) });
    for days in ["", "0"] {
        let variables = Variables::from_iter([("SWEEP_NOTICE_DAYS", days), ("SWEEP_NOTICE_METADATA", "contacts")]);
        assert_eq!(settings::Sweep::read(&variables).unwrap().notice, None);
    }
}

#[derive(Clone, Copy, Debug)]
enum Event {
    Used,
    Protected,
    NotDynamic,
}

async fn happen(event: Event, fixture: Fixture) {
    match event {
        Event::Used => use_at(&fixture, "a", now()).await,
        Event::Protected => drop(fixture.direct().set_protected(&id("a"), true).await.unwrap()),
        Event::NotDynamic => set(&fixture, "a", "dynamic", AttributeValue::Bool(false)).await,
    }
}

#[tokio::test]
async fn a_client_that_changes_before_its_announcement_is_not_announced() {
    for operation in ["BatchGetItem", "UpdateItem"] {
        for event in [Event::Used, Event::Protected, Event::NotDynamic] {
            let fixture = table_with([("a", due())]).await;
            fixture.wire.plan(operation, Fault::meanwhile(happen(event, fixture.clone())));
            let expected = match event {
                Event::Protected => Report { protected: 1, ..report(1) },
                _ => Report { changed: 1, ..report(1) },
            };
            assert_eq!(run(&announcer(&fixture)).await, expected, "{event:?} before {operation}");
            assert_eq!(notice_of(&fixture, "a").await, None, "{event:?} before {operation}");
        }
    }
}

#[tokio::test]
async fn a_client_that_changes_before_its_deletion_is_not_deleted() {
    for operation in ["BatchGetItem", "UpdateItem"] {
        for event in [Event::Used, Event::Protected, Event::NotDynamic] {
            let fixture = table_with([("a", due())]).await;
            run(&announcer(&fixture)).await;
            fixture.wire.plan(operation, Fault::meanwhile(happen(event, fixture.clone())));
            let expected = match event {
                Event::Protected => Report { protected: 1, ..report(1) },
                _ => Report { changed: 1, ..report(1) },
            };
            assert_eq!(run(&at_the_date(&fixture)).await, expected, "{event:?} before {operation}");
            assert!(fixture.lives("a").await, "{event:?} before {operation}");
        }
    }
}

/// The date of a notice can be moved by hand. The write asserts the date that the rule used.
#[tokio::test]
async fn a_client_whose_notice_changes_before_its_deletion_is_not_deleted() {
    let later = || notice_until(just_due(), now() + PERIOD + DAY, "{}");
    for (changed, expected) in [
        (later(), Report { noticed: 1, ..report(1) }),
        (notice_until(Idle::used(just_due().since), now(), "{}"), Report { announced: 1, ..report(1) }),
        (s("nonsense"), Report { announced: 1, ..report(1) }),
    ] {
        let fixture = table_with([("a", due())]).await;
        run(&announcer(&fixture)).await;
        let (other, value) = (fixture.clone(), changed.clone());
        fixture.wire.plan("UpdateItem", Fault::meanwhile(async move { put(&other, "a", "notice", value).await }));
        assert_eq!(run(&at_the_date(&fixture)).await, expected, "{changed:?}");
        assert!(fixture.lives("a").await, "{changed:?}");
    }
}

/// A use between the removal of a stale notice and the announcement.
#[tokio::test]
async fn a_client_that_is_used_between_the_two_writes_of_a_replacement_is_not_announced() {
    let fixture = table_with([("a", due())]).await;
    put(&fixture, "a", "notice", notice(Idle::unused(just_due().since - DAY), "{}")).await;
    let other = fixture.clone();
    fixture.wire.always("UpdateItem", move |body| {
        let event = happen(Event::Used, other.clone());
        body.contains("SET notice").then(|| Fault::meanwhile(event))
    });
    assert_eq!(run(&announcer(&fixture)).await, Report { changed: 1, ..report(1) });
    assert_eq!(notice_of(&fixture, "a").await, None);
}

#[tokio::test]
async fn a_notice_that_cannot_be_read_deletes_nothing_and_is_replaced() {
    let with = |member: &str, value: AttributeValue| {
        let AttributeValue::M(mut members) = notice_until(just_due(), now(), "{}") else { unreachable!() };
        members.insert(member.to_owned(), value);
        AttributeValue::M(members)
    };
    let number = |number: &str| AttributeValue::N(number.to_owned());
    for value in [
        s("nonsense"),
        AttributeValue::Null(true),
        AttributeValue::M(HashMap::new()),
        with("used", s("false")),
        with("idle_since", s(&seconds(just_due().since))),
        with("idle_since", number(&format!("{}.5", seconds(just_due().since)))),
        with("sweep_at", s("0")),
        with("sweep_at", number("-1")),
        with("sweep_at", number("253402300800")),
        with("used", AttributeValue::Bool(true)),
        with("idle_since", at(just_due().since - SECOND)),
    ] {
        let fixture = table_with([("a", due())]).await;
        put(&fixture, "a", "notice", value.clone()).await;
        take_calls(&fixture);
        assert_eq!(run(&announcer(&fixture)).await, Report { announced: 1, ..report(1) }, "{value:?}");
        assert_eq!(take_calls(&fixture)["UpdateItem"], 2, "{value:?}");
        assert_eq!(notice_of(&fixture, "a").await, Some(notice(just_due(), "{}")), "{value:?}");
    }
    // These count: the sweep does not use the metadata, and a time may have a fraction.
    for value in [with("metadata", number("1")), with("sweep_at", number(&format!("{}.5", seconds(now() - SECOND))))] {
        let fixture = table_with([("a", due())]).await;
        put(&fixture, "a", "notice", value.clone()).await;
        assert_eq!(run(&announcer(&fixture)).await, Report { swept: 1, ..report(1) }, "{value:?}");
    }
}

/// Another run has replaced the stale notice meanwhile.
#[tokio::test]
async fn a_run_never_removes_a_notice_that_counts() {
    let fixture = table_with([("a", due())]).await;
    put(&fixture, "a", "notice", s("nonsense")).await;
    let other = fixture.clone();
    let replaced = async move { put(&other, "a", "notice", notice(just_due(), "{}")).await };
    fixture.wire.plan("UpdateItem", Fault::meanwhile(replaced));
    assert_eq!(run(&announcer(&fixture)).await, Report { noticed: 1, ..report(1) });
    assert_eq!(notice_of(&fixture, "a").await, Some(notice(just_due(), "{}")));
}

#[tokio::test]
async fn of_two_runs_at_once_one_announces_a_client() {
    let fixture = table_with([("a", due())]).await;
    let other = announcer(&fixture);
    fixture.wire.plan(
        "UpdateItem",
        Fault::meanwhile(async move {
            // A separate task, so that the call statistics do not count its calls.
            tokio::spawn(async move { assert_eq!(run(&other).await, Report { announced: 1, ..report(1) }) })
                .await
                .unwrap();
        }),
    );
    assert_eq!(run(&announcer(&fixture)).await, Report { noticed: 1, ..report(1) });
}

#[tokio::test]
async fn an_announcement_whose_answer_is_lost_counts_once() {
    // In the same call, and in the next turn.
    for lost in [1, 4] {
        let fixture = table_with([("a", due())]).await;
        for _ in 0..lost {
            fixture.wire.plan("UpdateItem", Fault::AnswerLost);
        }
        let log = Captured::at("INFO");
        let ticking = Sweep { clock: tick, ..announcer(&fixture) };
        assert_eq!(run(&ticking).await, Report { announced: 1, ..report(1) }, "{lost}");
        assert_eq!(named(&log, "announced a client"), ["a"]);
        let written = notice_of(&fixture, "a").await;
        assert_eq!(run(&announcer(&fixture)).await, Report { noticed: 1, ..report(1) });
        assert_eq!(notice_of(&fixture, "a").await, written);
    }
}

/// A clock on which each look is a second later.
fn tick() -> SystemTime {
    use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
    static TICKS: AtomicU32 = AtomicU32::new(0);
    now() + TICKS.fetch_add(1, Relaxed) * SECOND
}

#[tokio::test]
async fn a_removal_whose_answer_is_lost_still_leads_to_one_announcement() {
    let fixture = table_with([("a", due())]).await;
    put(&fixture, "a", "notice", s("nonsense")).await;
    fixture.wire.plan("UpdateItem", Fault::AnswerLost);
    assert_eq!(run(&announcer(&fixture)).await, Report { announced: 1, ..report(1) });
    assert_eq!(notice_of(&fixture, "a").await, Some(notice(just_due(), "{}")));
}

#[tokio::test]
async fn a_run_announces_at_most_its_limit_and_deletes_at_most_its_limit() {
    for concurrency in [1, 8] {
        let fixture = Fixture::empty().await;
        create_all(&fixture, (0..25).map(|n| (format!("client-{n}"), due()))).await;
        let limited = |deletes| settings::Sweep { deletes, limit: 10, concurrency, ..ANNOUNCES };
        let ten = Report { announced: 10, complete: false, ..report(10) };
        assert_eq!(run(&sweep(&fixture, limited(false))).await, Report { deletes: false, ..ten.clone() });
        assert_eq!(run(&sweep(&fixture, limited(true))).await, ten);
        // The clients that are announced already take no place.
        let [second, third] = [run(&sweep(&fixture, limited(true))).await, run(&sweep(&fixture, limited(true))).await];
        assert_eq!([second.announced, third.announced], [10, 5]);
        assert!(!second.complete && third.complete);
        let at_the_date = || Sweep { clock: || now() + PERIOD, ..sweep(&fixture, limited(true)) };
        assert_eq!(run(&at_the_date()).await, Report { swept: 10, complete: false, ..report(10) });
        assert_eq!(tombstones(&fixture).await.len(), 10);
    }
}

#[tokio::test]
async fn announcements_and_deletions_each_have_the_whole_limit() {
    for concurrency in [1, 8] {
        let fixture = Fixture::empty().await;
        create_all(&fixture, (0..10).map(|n| (format!("client-{n}"), due()))).await;
        for n in 0..5 {
            put(&fixture, &format!("client-{n}"), "notice", notice_until(just_due(), now(), "{}")).await;
        }
        let sweep = sweep(&fixture, settings::Sweep { limit: 6, concurrency, ..ANNOUNCES });
        assert_eq!(run(&sweep).await, Report { swept: 5, announced: 5, ..report(10) });
    }
}

#[tokio::test]
async fn a_restoration_leaves_no_notice_that_counts() {
    let fixture = table_with([("a", due())]).await;
    run(&announcer(&fixture)).await;
    run(&at_the_date(&fixture)).await;
    // An older program may have left the notice in the tombstone.
    put(&fixture, "a", "notice", notice(just_due(), "{}")).await;
    super::restore(&fixture, "a").await;
    assert_eq!(notice_of(&fixture, "a").await, None);
}

/// An item has at most 400 KB. A client whose item has no room for the notice is kept, and fails no run.
#[tokio::test]
async fn a_nearly_full_client_is_announced_and_swept_if_there_is_room_for_the_notice() {
    const LIMIT: usize = 409_600;
    for (room, names, expected) in [
        (40, "", None),
        (200, "", Some("{}".to_owned())),
        (200, "contacts", Some("{}".to_owned())),
        (400, "contacts", Some(json!({ "contacts": ["x".repeat(150)] }).to_string())),
    ] {
        let (fixture, contact) = (Fixture::empty().await, "x".repeat(150));
        let with_name = |name: String| {
            let metadata =
                Metadata { client_name: Some(name), contacts: Some(vec![contact.clone()]), ..Metadata::default() };
            item::of_client(&id("a"), &oauth_client().idle(just_due()).metadata(metadata).build())
        };
        let size = item::size(&with_name(String::new()));
        let full = with_name("x".repeat(LIMIT - room - size));
        fixture.sdk.put_item().table_name(&fixture.table).set_item(Some(full)).send().await.unwrap();
        let log = Captured::at("INFO");
        let report = run_in(run_of(HOUR), &announcer_of(&fixture, names)).await.unwrap();
        assert!(fixture.lives("a").await);
        if let Some(metadata) = expected {
            assert_eq!(report.announced, 1, "{room}");
            let notice = notice_of(&fixture, "a").await.unwrap();
            assert_eq!(notice.as_m().unwrap()["metadata"], AttributeValue::S(metadata), "{room}");
            assert_eq!(run(&at_the_date(&fixture)).await.swept, 1);
        } else {
            assert_eq!((report.full, report.failed, report.complete), (1, 0, true));
            assert_eq!(named(&log, "a client's item has no room for a notice"), ["a"]);
        }
    }
}

fn registered(name: &str, contacts: &[&str]) -> ClientBuilder {
    oauth_client().idle(just_due()).metadata(Metadata {
        client_name: Some(name.to_owned()),
        contacts: Some(contacts.iter().map(ToString::to_string).collect()),
        redirect_uris: Some(vec!["https://example.com/callback".to_owned()]),
        ..Metadata::default()
    })
}

/// The metadata in the announcement of a client.
async fn announced_metadata(client: ClientBuilder, names: &str) -> String {
    let fixture = Fixture::empty().await;
    create(&fixture, "a", client).await;
    assert_eq!(run(&announcer_of(&fixture, names)).await.announced, 1);
    notice_of(&fixture, "a").await.unwrap().as_m().unwrap()["metadata"].as_s().unwrap().clone()
}

#[tokio::test]
async fn the_announcement_has_only_the_named_members_of_the_metadata() {
    for (names, expected) in [
        ("", json!({})),
        ("client_name", json!({ "client_name": "Jane" })),
        ("contacts", json!({ "contacts": ["jane@example.com"] })),
        ("client_name,contacts", json!({ "client_name": "Jane", "contacts": ["jane@example.com"] })),
    ] {
        let metadata = announced_metadata(registered("Jane", &["jane@example.com"]), names).await;
        assert_eq!(serde_json::from_str::<Value>(&metadata).unwrap(), expected, "{names}");
    }
    assert_eq!(announced_metadata(oauth_client().idle(just_due()), "client_name,contacts").await, "{}");
    for wrong in ["name", "client_name,", "client_name, contacts", "redirect_uris"] {
        let wrong = settings::Sweep::read(&Variables::from_iter([("SWEEP_NOTICE_METADATA", wrong)]));
        assert!(wrong.unwrap_err().to_string().starts_with("SWEEP_NOTICE_METADATA must be empty, or client_name"));
    }
}

#[tokio::test]
async fn a_name_of_any_characters_stays_json() {
    let name = "\"}, \\ \u{0} \r\n \u{1F} \u{7F} \u{2028} <$.pk> é";
    let metadata = announced_metadata(registered(name, &[name]), "client_name,contacts").await;
    let expected = json!({ "client_name": name, "contacts": [name] });
    assert_eq!(serde_json::from_str::<Value>(&metadata).unwrap(), expected);
}

#[tokio::test]
async fn a_member_that_is_too_long_is_left_out() {
    let room = 1024 - r#"{"client_name":""}"#.len();
    for (length, expected) in [(room, 2), (room + 1, 1)] {
        let metadata =
            announced_metadata(registered(&"x".repeat(length), &["a@b.example"]), "client_name,contacts").await;
        assert_eq!(serde_json::from_str::<Value>(&metadata).unwrap().as_object().unwrap().len(), expected, "{length}");
    }
}

#[tokio::test]
async fn the_log_has_a_line_for_each_announcement_and_the_record_counts_them() {
    let fixture = table_with([("a", due()), ("b", due())]).await;
    put(&fixture, "b", "notice", notice(just_due(), "{}")).await;
    let log = Captured::at("INFO");
    run_in(run_of(HOUR), &announcer(&fixture)).await.unwrap();
    let lines = log.lines();
    let line = lines.iter().find(|line| line["message"] == "announced a client").unwrap();
    for (name, value) in [
        ("level", json!("INFO")),
        ("client_id", json!("a")),
        ("used", json!(false)),
        ("idle_since", json!("2027-01-14T07:00:00Z")),
        ("sweep_at", json!("2027-01-29T08:00:00Z")),
    ] {
        assert_eq!(line[name], value, "{name} in {line}");
    }
    let record = record(&log);
    assert_eq!([&record["announced"], &record["noticed"], &record["swept"]], [1, 1, 0]);
    assert!(!log.text().contains("Name for people"));
}
