//! The write of a notice: what it writes, and what it asserts.

use super::{key, load};
use crate::support::{
    Fixture,
    build::{ClientBuilder, id, oauth_client},
    now,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    dynamodb::item::Item,
    model::{Idle, IdlePolicy, NoticePolicy},
    rule::{DeletionRequest, Precondition, sweep::Request},
    snapshot::Snapshot,
    store::{IdleClients, Store, WriteOutcome},
};
use std::{collections::HashMap, time::Duration};

const DAY: Duration = Duration::from_hours(24);

fn just_due() -> Idle {
    Idle::unused(now() - DAY)
}

fn due() -> ClientBuilder {
    oauth_client().idle(just_due())
}

fn request() -> Request {
    let notice = NoticePolicy { period: 14 * DAY, client_name: false, contacts: false };
    let policy = IdlePolicy { unused: DAY, used: DAY };
    Request { target: id("a"), idle: just_due(), policy, notice: Some(notice) }
}

async fn set(fixture: &Fixture, path: &str, value: AttributeValue) {
    let update = fixture.sdk.update_item().table_name(&fixture.table);
    let update =
        update.key("pk", AttributeValue::S("client#a".to_owned())).update_expression(format!("SET {path} = :v"));
    update.expression_attribute_values(":v", value).send().await.unwrap();
}

async fn item(fixture: &Fixture) -> Item {
    fixture.item("client#a").await.unwrap()
}

/// Announces the client on this snapshot.
async fn announce(fixture: &Fixture, snapshot: &Snapshot) -> WriteOutcome {
    let request = request();
    let announcement = request.announcement(snapshot, now()).unwrap();
    Box::pin(fixture.clients.announce(&announcement)).await.unwrap().unwrap()
}

fn number(number: &str) -> AttributeValue {
    AttributeValue::N(number.to_owned())
}

fn notice(used: bool, idle_since: &str, sweep_at: AttributeValue) -> AttributeValue {
    let members = [
        ("used", AttributeValue::Bool(used)),
        ("idle_since", number(idle_since)),
        ("sweep_at", sweep_at),
        ("metadata", AttributeValue::S("{}".to_owned())),
    ];
    AttributeValue::M(members.map(|(name, value)| (name.to_owned(), value)).into())
}

fn announced() -> AttributeValue {
    notice(false, "1799913600", number("1801209600"))
}

#[tokio::test]
async fn it_sets_the_notice_and_nothing_else() {
    let fixture = Fixture::anywhere().await;
    fixture.create("a", due()).await;
    let mut expected = item(&fixture).await;
    expected.insert("notice".to_owned(), announced());
    let snapshot = load(&fixture.clients, &[key("a")]).await.unwrap();
    assert_eq!(announce(&fixture, &snapshot).await, WriteOutcome::Written);
    assert_eq!(item(&fixture).await, expected);
    // The same announcement, once more.
    assert!(matches!(announce(&fixture, &snapshot).await, WriteOutcome::ConditionFailed(Some(_))));
}

#[tokio::test]
async fn it_asserts_everything_that_the_rule_used() {
    for (path, value) in [
        ("idle_since", number("1799913601")),
        ("idle", AttributeValue::S("used#0".to_owned())),
        ("client.version", number("2")),
        ("client.protected", AttributeValue::Bool(true)),
        ("notice", AttributeValue::Null(true)),
    ] {
        let fixture = Fixture::anywhere().await;
        fixture.create("a", due()).await;
        let snapshot = load(&fixture.clients, &[key("a")]).await.unwrap();
        set(&fixture, path, value).await;
        let before = item(&fixture).await;
        assert!(matches!(announce(&fixture, &snapshot).await, WriteOutcome::ConditionFailed(Some(_))), "{path}");
        assert_eq!(item(&fixture).await, before, "{path}");
    }
}

/// What a removal takes for stale is exactly what the rule takes for stale.
#[tokio::test]
async fn a_stale_or_unreadable_notice_is_replaced_and_another_is_not() {
    let until = |sweep_at: &str| notice(false, "1799913600", number(sweep_at));
    let stale = [
        AttributeValue::S("nonsense".to_owned()),
        AttributeValue::M(HashMap::new()),
        notice(true, "1799913600", number("1801209600")),
        notice(false, "1799913599", number("1801209600")),
        notice(false, "1799913600.5", number("1801209600")),
        until("-1"),
        until("253402300800"),
    ];
    let valid = [until("0"), until("1801209600.5"), until("253402300799")];
    let cases = stale.map(|value| (value, true)).into_iter().chain(valid.map(|value| (value, false)));
    for (value, is_stale) in cases {
        let fixture = Fixture::anywhere().await;
        fixture.create("a", due()).await;
        set(&fixture, "notice", AttributeValue::Null(true)).await;
        // The notice was unreadable when it was read, and is this one by now.
        let snapshot = load(&fixture.clients, &[key("a")]).await.unwrap();
        set(&fixture, "notice", value.clone()).await;
        let outcome = announce(&fixture, &snapshot).await;
        let expected = if is_stale { announced() } else { value.clone() };
        assert_eq!(outcome == WriteOutcome::Written, is_stale, "{value:?}");
        assert_eq!(item(&fixture).await["notice"], expected, "{value:?}");
        if !is_stale {
            let snapshot = load(&fixture.clients, &[key("a")]).await.unwrap();
            assert!(request().announcement(&snapshot, now()).is_err(), "{value:?}");
        }
    }
}

#[tokio::test]
async fn a_deletion_asserts_the_notice_that_the_rule_used() {
    for (value, is_deleted) in [
        (announced(), true),
        (notice(false, "1799913600", number("1801209600.5")), true),
        (notice(false, "1799913600", number("1801209601")), false),
        (notice(false, "1799913600", number("1801209599")), false),
        (notice(true, "1799913600", number("1801209600")), false),
        (notice(false, "1799913599", number("1801209600")), false),
        (AttributeValue::S("nonsense".to_owned()), false),
    ] {
        let fixture = Fixture::anywhere().await;
        fixture.create("a", due()).await;
        set(&fixture, "notice", announced()).await;
        let snapshot = load(&fixture.clients, &[key("a")]).await.unwrap();
        set(&fixture, "notice", value.clone()).await;
        let request = request();
        let authorization = request.decide(&snapshot, now() + 14 * DAY).unwrap();
        assert!(authorization.preconditions.iter().any(|it| matches!(it, Precondition::Notice(_))));
        let deletion = super::deletion("this");
        let write = fixture.clients.write_tombstone(&authorization, &deletion);
        assert_eq!(Box::pin(write).await.unwrap() == WriteOutcome::Written, is_deleted, "{value:?}");
        assert_eq!(item(&fixture).await.contains_key("tombstone"), is_deleted, "{value:?}");
        assert_eq!(item(&fixture).await.contains_key("notice"), !is_deleted, "{value:?}");
    }
}
