//! Items that other programs wrote: the effect of a member of another type, at every endpoint and for every caller.

use crate::support::{
    Fixture, basic, bearer,
    build::{api_client, id, oauth_client},
    header, invocation, json,
    log::Captured,
    now,
    sample::{APPLICATION, FOREIGN_TOKEN, OWNER, SERVICE, SERVICE_TOKEN},
    text,
    wire::Fault as Planned,
};
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use deregister::{
    deletion::{self, NotDeleted},
    dynamodb::{
        ClientsTable,
        item::{self, Item},
    },
    invocation::Invocation,
    model::{Digest, Idle, IdlePartition, IdlePolicy, Service},
    rule::{operator, sweep},
    snapshot::{Key, Record},
    store::{ClientStatus, ClientStatuses, Fault, IdleClients},
};
use lambda_http::{Body, Response};
use std::{collections::HashMap, time::Duration};

const TOKEN: &str = "rat-of-the-item";

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn n(number: &str) -> AttributeValue {
    AttributeValue::N(number.to_owned())
}

/// A value of each type.
fn values() -> [AttributeValue; 10] {
    [
        s("text"),
        n("5"),
        AttributeValue::B(Blob::new("bytes")),
        AttributeValue::Bool(true),
        AttributeValue::Null(true),
        AttributeValue::L(vec![n("5")]),
        AttributeValue::M(HashMap::from([("name".to_owned(), n("5"))])),
        AttributeValue::Ss(vec!["text".to_owned()]),
        AttributeValue::Ns(vec!["5".to_owned()]),
        AttributeValue::Bs(vec![Blob::new("bytes")]),
    ]
}

fn api() -> Item {
    item::of_client(&id("item"), &api_client().application(APPLICATION).secret("secret").name("name").build())
}

fn oauth() -> Item {
    item::of_client(&id("item"), &oauth_client().service(SERVICE).registration_token(TOKEN).name("name").build())
}

/// The item with another value of a member of its client. A dot separates the name of a member of a member.
fn with(mut item: Item, member: &str, value: AttributeValue) -> Item {
    let Some(AttributeValue::M(client)) = item.get_mut("client") else { panic!("not a client") };
    match member.split_once('.') {
        None => client.insert(member.to_owned(), value),
        Some((outer, inner)) => {
            let Some(AttributeValue::M(members)) = client.get_mut(outer) else { panic!("not a map") };
            members.insert(inner.to_owned(), value)
        }
    };
    item
}

async fn put(fixture: &Fixture, item: Item) {
    fixture.sdk.put_item().table_name(&fixture.table).set_item(Some(item)).send().await.unwrap();
}

async fn delete_api(fixture: &Fixture, client_id: &str) -> Response<Body> {
    let path = format!("/config/{APPLICATION}/clients/{client_id}");
    fixture.send("DELETE", &path, Some(&basic(OWNER)), "").await
}

async fn delete_oauth(fixture: &Fixture, client_id: &str, token: &str) -> Response<Body> {
    fixture.send("DELETE", &format!("/register/{client_id}"), Some(&bearer(token)), "").await
}

async fn delete_authlete(fixture: &Fixture, client_id: &str, token: &str, access_token: &str) -> Response<Body> {
    let body = serde_json::json!({ "clientId": client_id, "token": token }).to_string();
    let path = format!("/api/{SERVICE}/client/registration/delete");
    fixture.send("POST", &path, Some(&bearer(access_token)), &body).await
}

async fn delete_as_operator(clients: &ClientsTable) -> Result<(), NotDeleted<operator::Refusal>> {
    let request = operator::Request { operator: "operator".to_owned(), target: id("item"), blocks: false };
    let invocation = Invocation::new(&invocation(), now(), Duration::ZERO);
    Box::pin(deletion::delete(clients, request, &invocation)).await.result
}

#[tokio::test]
async fn a_member_that_only_describes_does_not_prevent_the_deletion_of_the_client() {
    let fixture = Fixture::anywhere_with_samples().await;
    for value in values() {
        for member in ["name", "version", "metadata", "from_the_future"] {
            put(&fixture, with(api(), member, value.clone())).await;
            assert_eq!(delete_api(&fixture, "item").await.status(), 204, "{member} {value:?}");
        }
        for member in [
            "metadata",
            "metadata.client_name",
            "metadata.redirect_uris",
            "metadata.response_types",
            "metadata.grant_types",
            "metadata.token_endpoint_auth_method",
            "name",
            "version",
        ] {
            let item = with(oauth(), member, value.clone());
            put(&fixture, item.clone()).await;
            let status = fixture.clients.client_status(&id("item")).await;
            assert!(matches!(status, Ok(ClientStatus::Live { dynamic: true, .. })), "{member} {value:?}: {status:?}");
            assert_eq!(delete_oauth(&fixture, "item", TOKEN).await.status(), 204, "{member} {value:?}");
            put(&fixture, item.clone()).await;
            let answer = delete_authlete(&fixture, "item", TOKEN, SERVICE_TOKEN).await;
            assert_eq!(json(&answer)["action"], "DELETED", "{member} {value:?}");
            put(&fixture, item).await;
            assert_eq!(delete_as_operator(&fixture.clients).await, Ok(()), "{member} {value:?}");
        }
    }
}

/// The members that decide, each with the values that it cannot have.
fn flawed() -> Vec<(Item, String)> {
    let mut flawed = Vec::new();
    for value in values() {
        let is_text = matches!(value, AttributeValue::S(_));
        let is_texts = matches!(value, AttributeValue::Ss(_));
        let is_bool = matches!(value, AttributeValue::Bool(_));
        for (member, is_readable) in
            [("app_id", is_text), ("features", is_texts), ("ip_allow_list", is_texts), ("secrets", false)]
        {
            flawed.extend((!is_readable).then(|| (with(api(), member, value.clone()), format!("client.{member}"))));
        }
        for (member, is_readable) in
            [("service_id", is_text), ("dynamic", is_bool), ("registration_token_digest", false)]
        {
            flawed.extend((!is_readable).then(|| (with(oauth(), member, value.clone()), format!("client.{member}"))));
        }
        for item in [api(), oauth()] {
            flawed.push((with(item.clone(), "kind", value.clone()), "client.kind".to_owned()));
            flawed.extend((!is_bool).then(|| (with(item, "protected", value.clone()), "client.protected".to_owned())));
        }
        if !matches!(value, AttributeValue::M(_)) {
            let item = HashMap::from([("pk".to_owned(), s("client#item")), ("client".to_owned(), value)]);
            flawed.push((item, "client".to_owned()));
        }
    }
    let alone = HashMap::from([("pk".to_owned(), s("client#item"))]);
    flawed.push((alone, "the item".to_owned()));
    let mut of_another_kind = item::of_service(&Key::Service(id("1")), &Service::default());
    of_another_kind.insert("pk".to_owned(), s("client#item"));
    flawed.push((of_another_kind, String::new()));
    flawed
}

/// The answer without its date and ids.
fn shown(answer: &Response<Body>) -> (u16, Option<String>, String) {
    let challenge = header(answer, "www-authenticate").map(ToOwned::to_owned);
    (answer.status().as_u16(), challenge, text(answer).replace("missing", "item"))
}

/// A caller without rights causes no line at level ERROR.
#[tokio::test]
async fn a_stranger_neither_sees_an_unreadable_item_nor_rings_an_alarm() {
    let fixture = Fixture::anywhere_with_samples().await;
    let log = Captured::at("INFO");
    for (item, member) in flawed() {
        put(&fixture, item.clone()).await;
        let path = |client: &str| format!("/config/{APPLICATION}/clients/{client}");
        let as_caller = async |id| fixture.send("DELETE", &path("target"), Some(&basic((id, "secret"))), "").await;
        let stranger = async |id| fixture.send("DELETE", &path(id), Some(&basic((OWNER.0, "wrong"))), "").await;
        let pairs = [
            (as_caller("item").await, as_caller("missing").await),
            (stranger("item").await, stranger("missing").await),
            (delete_oauth(&fixture, "item", "wrong").await, delete_oauth(&fixture, "missing", "wrong").await),
            (
                delete_authlete(&fixture, "item", "wrong", SERVICE_TOKEN).await,
                delete_authlete(&fixture, "missing", "wrong", SERVICE_TOKEN).await,
            ),
            (
                delete_authlete(&fixture, "item", TOKEN, FOREIGN_TOKEN).await,
                delete_authlete(&fixture, "missing", TOKEN, FOREIGN_TOKEN).await,
            ),
        ];
        for (found, missing) in &pairs {
            assert_eq!(shown(found), shown(missing), "{item:?}");
        }
        let lines = log.take();
        assert!(!lines.contains(r#""level":"ERROR""#), "{item:?}: {lines}");
        let warning = lines
            .lines()
            .find(|line| line.contains(r#""level":"WARN""#))
            .unwrap_or_else(|| panic!("no warning of {item:?}: {lines}"));
        assert!(warning.contains("client#item") && warning.contains(&member), "{member}: {warning}");
        assert_eq!(fixture.item("client#item").await, Some(item));
    }
}

/// The same for items of services and of access tokens.
#[tokio::test]
async fn a_stranger_does_not_see_an_unreadable_service_or_access_token() {
    let fixture = Fixture::anywhere_with_samples().await;
    let log = Captured::at("INFO");
    let of = |key: Key, attribute: &str, value: AttributeValue| {
        HashMap::from([("pk".to_owned(), s(&key.to_string())), (attribute.to_owned(), value)])
    };
    let map = |name: &str, value: AttributeValue| AttributeValue::M(HashMap::from([(name.to_owned(), value)]));
    for value in values() {
        put(&fixture, of(Key::of_token(&Digest::of("broken")), "token", map("service_id", value.clone()))).await;
        if matches!(value, AttributeValue::S(_)) {
            continue;
        }
        put(&fixture, of(Key::Service(id("broken")), "service", map("organization_id", value.clone()))).await;
        let token = delete_authlete(&fixture, "missing", TOKEN, "broken").await;
        assert_eq!(shown(&token), shown(&delete_authlete(&fixture, "missing", TOKEN, "unknown").await), "{value:?}");
        let call = async |service: &str| {
            let path = format!("/api/{service}/client/registration/delete");
            fixture.send("POST", &path, Some(&bearer(SERVICE_TOKEN)), r#"{"clientId":"1","token":"x"}"#).await
        };
        assert_eq!(shown(&call("broken").await), shown(&call("unknown").await), "{value:?}");
        let lines = log.take();
        assert!(!lines.contains(r#""level":"ERROR""#), "{value:?}: {lines}");
    }
}

/// The caller with rights learns that something is wrong, and nothing is deleted.
#[tokio::test]
async fn a_caller_with_rights_gets_a_500_and_nothing_is_deleted() {
    let fixture = Fixture::anywhere_with_samples().await;
    for (item, member) in flawed() {
        put(&fixture, item.clone()).await;
        let Some(AttributeValue::M(client)) = item.get("client") else { continue };
        let is_own = client.get("app_id") == Some(&s(APPLICATION));
        let owner = delete_api(&fixture, "item").await;
        assert_eq!(owner.status(), if is_own { 500 } else { 404 }, "{member} {item:?}");
        if client.contains_key("registration_token_digest") && member != "client.registration_token_digest" {
            assert_eq!(delete_oauth(&fixture, "item", TOKEN).await.status(), 500, "{member} {item:?}");
        }
        assert!(matches!(
            delete_as_operator(&fixture.clients).await,
            Err(NotDeleted::ReadFailed(Fault::Unreadable(_)))
        ));
        assert_eq!(fixture.item("client#item").await, Some(item));
    }
}

#[tokio::test]
async fn an_expiry_that_is_not_a_time_in_seconds_has_passed() {
    let fixture = Fixture::anywhere_with_samples().await;
    let expiries = [
        (None, true),
        (Some(n("1900000000")), true),
        (Some(n("253402300799")), true),
        (Some(n("253402300800")), false),
        (Some(n("1900000000000")), false),
        (Some(n("1900000000.5")), false),
        (Some(n("-1")), false),
        (Some(s("1900000000")), false),
        (Some(AttributeValue::Null(true)), false),
        (Some(AttributeValue::Bool(true)), false),
    ];
    for (expiry, is_accepted) in expiries {
        let mut secret = HashMap::from([("digest".to_owned(), digest("caller's secret"))]);
        secret.extend(expiry.clone().map(|expiry| ("expires_at".to_owned(), expiry)));
        let owner = item::of_client(&id("item"), &api_client().application(APPLICATION).owner().build());
        put(&fixture, with(owner, "secrets", AttributeValue::L(vec![AttributeValue::M(secret)]))).await;
        let path = format!("/config/{APPLICATION}/clients/missing");
        let answer = fixture.send("DELETE", &path, Some(&basic(("item", "caller's secret"))), "").await;
        assert_eq!(answer.status(), if is_accepted { 404 } else { 401 }, "a secret until {expiry:?}");

        let scope = AttributeValue::M(HashMap::from([("service_id".to_owned(), s(SERVICE))]));
        let key = Key::of_token(&Digest::of("access-token")).to_string();
        let mut token = HashMap::from([("pk".to_owned(), s(&key)), ("token".to_owned(), scope)]);
        token.extend(expiry.clone().map(|expiry| ("expires_at".to_owned(), expiry)));
        put(&fixture, token).await;
        let answer = delete_authlete(&fixture, "missing", TOKEN, "access-token").await;
        assert_eq!(answer.status(), if is_accepted { 200 } else { 401 }, "an access token until {expiry:?}");
    }
}

fn digest(secret: &str) -> AttributeValue {
    AttributeValue::B(Blob::new(Digest::of(secret).as_bytes()))
}

#[tokio::test]
async fn an_idle_time_with_a_fraction_counts_in_whole_seconds_and_the_client_is_swept() {
    let fixture = Fixture::anywhere().await;
    let mut item = oauth();
    item.extend([("idle".to_owned(), s("unused#0")), ("idle_since".to_owned(), n("1700000000.25"))]);
    put(&fixture, item).await;
    let since = now() - Duration::from_hours(24);
    let partition = IdlePartition { used: false, shard: '0' };
    let page = fixture.clients.idle_clients(partition, since, None).await.unwrap();
    let idle = Idle::unused(std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    assert_eq!((page.clients, page.unreadable), (vec![(id("item"), idle)], vec![]));
    let policy = IdlePolicy { unused: Duration::from_hours(24), used: Duration::from_hours(24) };
    let request = sweep::Request { target: id("item"), idle, policy, notice: None };
    let invocation = Invocation::new(&invocation(), now(), Duration::ZERO);
    assert_eq!(Box::pin(deletion::delete(&fixture.clients, request, &invocation)).await.result, Ok(()));
}

#[tokio::test]
async fn an_idle_time_that_cannot_be_read_is_named_and_a_use_mends_it() {
    for (since, is_listed) in [("-5", true), ("1900000000000", false)] {
        let fixture = Fixture::anywhere().await;
        let mut item = oauth();
        item.extend([("idle".to_owned(), s("used#0")), ("idle_since".to_owned(), n(since))]);
        put(&fixture, item).await;
        let partition = IdlePartition { used: true, shard: '0' };
        let page = fixture.clients.idle_clients(partition, now(), None).await.unwrap();
        let named: Vec<_> = page.unreadable.iter().map(ToString::to_string).collect();
        assert_eq!((page.clients, named.len()), (vec![], usize::from(is_listed)), "{since}");
        assert!(named.iter().all(|named| named.contains("client#item") && named.contains("idle_since")), "{named:?}");
        let status = fixture.clients.client_status(&id("item")).await.unwrap();
        assert_eq!(fixture.clients.note_use(&id("item"), &status, now()).await, Ok(true));
        let Ok(Some(Record::Client(client))) = fixture.clients.find(&Key::Client(id("item"))).await else {
            panic!("not a client")
        };
        assert_eq!(client.idle, Some(Idle::used(now())), "{since}");
    }
}

/// The bytes that DynamoDB accepts at most.
const MAX_BYTES: usize = 409_600;

/// Fills the item up to this many bytes below the limit, by a text in a member or an attribute.
fn filled(mut item: Item, member: &str, room: usize) -> Item {
    let text = |bytes| s(&"x".repeat(bytes));
    let place = |item: Item, value| match member.strip_prefix("client.") {
        Some(member) => with(item, member, value),
        None => item.into_iter().chain([(member.to_owned(), value)]).collect(),
    };
    item = place(item, text(0));
    let free = MAX_BYTES - item::size(&item) - room;
    place(item, text(free))
}

#[tokio::test]
async fn a_nearly_full_client_is_deleted_and_its_record_says_what_the_tombstone_lacks() {
    for room in [0, 20, 60, 100, 140, 300] {
        for member in ["client.metadata.client_name", "client.name", "client.unknown", "padding"] {
            let fixture = Fixture::anywhere_with_samples().await;
            let (item, is_api) = if member == "client.name" { (api(), true) } else { (oauth(), false) };
            put(&fixture, filled(item, member, room)).await;
            let answer =
                if is_api { delete_api(&fixture, "item").await } else { delete_oauth(&fixture, "item", TOKEN).await };
            assert_eq!(answer.status(), 204, "{member}, {room} bytes of room");
            let calls = fixture.wire.take_calls();
            let tombstone = fixture.item("client#item").await.unwrap();
            let deleted = tombstone["deleted"].as_m().unwrap();
            let lacks = deleted.get("lacks").map(|lacks| lacks.as_l().unwrap().len());
            assert_eq!(lacks.is_some(), calls.len() > 2, "{member}, {room} bytes of room: {calls:?}");
            assert!(room < 300 || lacks.is_none(), "{member}: {deleted:?}");
            if lacks.is_some() {
                assert_eq!(calls[..4], ["BatchGetItem", "UpdateItem", "BatchGetItem", "UpdateItem"]);
            }
        }
    }
}

/// DynamoDB refuses the whole tombstone of the one, the other deletes the client, and the one reads the item again.
#[tokio::test]
async fn a_nearly_full_client_that_another_request_deletes_first_is_missing() {
    let fixture = Fixture::anywhere_with_samples().await;
    put(&fixture, filled(oauth(), "client.unknown", 0)).await;
    let other = fixture.clone();
    fixture.wire.plan("BatchGetItem", Planned::meanwhile(async {}));
    fixture.wire.plan(
        "BatchGetItem",
        Planned::meanwhile(async move { assert_eq!(delete_as_operator(&other.direct()).await, Ok(())) }),
    );
    let answer = delete_oauth(&fixture, "item", TOKEN).await;
    assert_eq!(shown(&answer), shown(&delete_oauth(&fixture, "missing", TOKEN).await));
}

#[tokio::test]
async fn an_operator_deletes_an_oauth_client_that_has_a_member_of_api_clients() {
    let fixture = Fixture::anywhere_with_samples().await;
    for member in ["features", "secrets", "ip_allow_list", "app_id"] {
        for value in [s("owner"), AttributeValue::L(vec![s("owner")]), AttributeValue::Null(true)] {
            put(&fixture, with(oauth(), member, value.clone())).await;
            assert_eq!(delete_as_operator(&fixture.clients).await, Ok(()), "{member} {value:?}");
        }
    }
}

/// The SDK cannot write a value of a type that it does not know.
#[tokio::test]
async fn a_version_of_a_type_that_the_sdk_does_not_know_is_refused() {
    for version in [r#"{"X":"1"}"#, r#"{"L":[{"M":{"a":{"X":"1"}}}]}"#] {
        let fixture = Fixture::anywhere_with_samples().await;
        let item = format!(
            r#"{{"pk":{{"S":"client#item"}},"client":{{"M":{{"kind":{{"S":"oauth"}},"version":{version}}}}}}}"#
        );
        let answer = format!(r#"{{"Responses":{{"{}":[{item}]}}}}"#, fixture.table);
        fixture.wire.plan("BatchGetItem", Planned::Answer(200, answer));
        let Err(NotDeleted::ReadFailed(Fault::Unreadable(unreadable))) = delete_as_operator(&fixture.clients).await
        else {
            panic!("not refused as unreadable")
        };
        assert_eq!(unreadable.flaw.member, "client.version");
    }
}

/// An untracked client whose item has no room for the note is live all the same. A deleted one is not.
#[tokio::test]
async fn a_use_that_has_no_room_in_the_item_keeps_no_client_from_being_served() {
    let fixture = Fixture::anywhere_with_samples().await;
    put(&fixture, filled(oauth(), "client.unknown", 10)).await;
    let status = fixture.clients.client_status(&id("item")).await.unwrap();
    assert_eq!(fixture.clients.note_use(&id("item"), &status, now()).await, Ok(true));
    assert_eq!(delete_oauth(&fixture, "item", TOKEN).await.status(), 204);
    assert_eq!(fixture.clients.note_use(&id("item"), &status, now()).await, Ok(false));
}

#[tokio::test]
async fn the_status_of_an_api_client_does_not_depend_on_members_of_oauth_clients() {
    let fixture = Fixture::anywhere_with_samples().await;
    put(&fixture, with(api(), "dynamic", s("true"))).await;
    let status = fixture.clients.client_status(&id("item")).await;
    assert!(matches!(status, Ok(ClientStatus::Live { dynamic: false, .. })), "{status:?}");
}

#[tokio::test]
async fn a_nearly_full_client_is_protected_like_any_other() {
    let fixture = Fixture::anywhere_with_samples().await;
    put(&fixture, filled(with(oauth(), "protected", AttributeValue::Bool(true)), "client.unknown", 0)).await;
    assert_eq!(delete_oauth(&fixture, "item", TOKEN).await.status(), 403);
    put(&fixture, filled(oauth(), "client.unknown", 0)).await;
    let other = fixture.clone();
    // The second write asserts that the whole client is as it was read for it.
    fixture.wire.plan("UpdateItem", Planned::meanwhile(async {}));
    fixture.wire.plan(
        "UpdateItem",
        Planned::meanwhile(async move {
            put(&other, with(oauth(), "protected", AttributeValue::Bool(true))).await;
        }),
    );
    assert_eq!(delete_oauth(&fixture, "item", TOKEN).await.status(), 403);
    assert!(fixture.lives("item").await);
}

/// The SDK's maps have a random order, so one item is read with another order each time.
#[test]
fn an_item_has_one_version_in_every_order_of_its_members() {
    let version = || {
        let member = |number: u8| (format!("member {number}"), n(&number.to_string()));
        AttributeValue::L(vec![AttributeValue::M((0..10).map(member).collect())])
    };
    let read = || item::read(with(oauth(), "version", version()));
    assert_eq!(read(), read());
}
