//! The requests and the Rust code of `docs/integrating.md`.

use super::section;
use crate::support::{Fixture, bearer, build::id, database::ask, now};
use aws_sdk_dynamodb::types::AttributeValue;
use base64::{Engine, prelude::BASE64_STANDARD};
use deregister::{
    model::{Block, Digest, Idle, Restoration, Revocation},
    store::{ClientStatus, ClientStatuses},
};
use serde_json::Value;
use std::time::{Duration, SystemTime};

const PAGE: &str = include_str!("../../../docs/integrating.md");
const HOUR: Duration = Duration::from_hours(1);
const CLIENT: &str = "a-client";
const TOKEN: &str = "registration-token-of-a-test";

fn seconds(time: SystemTime) -> String {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().to_string()
}

/// The requests in a section, with their placeholders filled in.
fn requests(heading: &str, token: &str, at: SystemTime) -> Vec<Value> {
    let partition = &Digest::of(CLIENT).to_hex()[..1];
    let digest = BASE64_STANDARD.encode(from_hex(&Digest::of(token).to_hex()));
    let blocks = section(PAGE, heading).split("```json\n").skip(1);
    let fill = |block: &str| {
        let text = block.split("```").next().unwrap();
        let text = text.replace("AN_HOUR_AGO", &seconds(at - HOUR)).replace("NOW", &seconds(at));
        let text = text.replace("CLIENT", CLIENT).replace("DIGEST", &digest).replace("PARTITION", partition);
        serde_json::from_str(&text).unwrap()
    };
    blocks.map(fill).collect()
}

fn from_hex(text: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    text.as_bytes().chunks(2).map(digits).collect()
}

/// Sends the request to the database, and returns its answer, or the type of its error.
async fn send(fixture: &Fixture, operation: &str, request: &Value) -> Result<Value, String> {
    let mut request = request.clone();
    assert_eq!(request["TableName"], "clients");
    request["TableName"] = fixture.table.clone().into();
    let (status, answer) = ask(&fixture.endpoint, &format!("DynamoDB_20120810.{operation}"), &request).await;
    if status == 200 {
        Ok(answer)
    } else {
        Err(answer["__type"].as_str().unwrap().rsplit('#').next().unwrap().to_owned())
    }
}

const FAILED: &str = "ConditionalCheckFailedException";

async fn registered() -> Fixture {
    let fixture = Fixture::empty().await;
    let [register] = requests("## Registering a client", TOKEN, now()).try_into().unwrap();
    send(&fixture, "UpdateItem", &register).await.unwrap();
    fixture
}

async fn status(fixture: &Fixture) -> ClientStatus {
    fixture.clients.client_status(&id(CLIENT)).await.unwrap()
}

async fn delete(fixture: &Fixture, token: &str) -> u16 {
    fixture.send("DELETE", &format!("/register/{CLIENT}"), Some(&bearer(token)), "").await.status().as_u16()
}

#[tokio::test]
async fn a_client_registers_once_and_never_over_a_tombstone() {
    let fixture = registered().await;
    let expected = ClientStatus::Live { revoked_until: None, dynamic: true, idle: Some(Idle::unused(now())) };
    assert_eq!(status(&fixture).await, expected);
    let [register] = requests("## Registering a client", "another-token", now()).try_into().unwrap();
    assert_eq!(send(&fixture, "UpdateItem", &register).await, Err(FAILED.to_owned()));
    assert_eq!(delete(&fixture, "another-token").await, 401);
    assert_eq!(delete(&fixture, TOKEN).await, 204);
    let tombstone = fixture.item(&format!("client#{CLIENT}")).await;
    assert_eq!(send(&fixture, "UpdateItem", &register).await, Err(FAILED.to_owned()));
    assert_eq!(fixture.item(&format!("client#{CLIENT}")).await, tombstone);
}

#[tokio::test]
async fn members_and_attributes_of_the_server_survive_a_deletion_and_a_restoration() {
    let fixture = registered().await;
    let key = AttributeValue::S(format!("client#{CLIENT}"));
    let update = fixture.sdk.update_item().table_name(&fixture.table).key("pk", key);
    let update = update.update_expression("SET client.server_secret = :own, server_note = :own");
    update.expression_attribute_values(":own", AttributeValue::S("own".to_owned())).send().await.unwrap();
    assert_eq!(delete(&fixture, TOKEN).await, 204);
    let restoration = Restoration { at: now(), by: "operator#jane".to_owned() };
    fixture.direct().restore(&id(CLIENT), &restoration).await.unwrap();
    let item = fixture.item(&format!("client#{CLIENT}")).await.unwrap();
    let own = AttributeValue::S("own".to_owned());
    assert_eq!((&item["client"].as_m().unwrap()["server_secret"], &item["server_note"]), (&own, &own));
}

/// Applies the page's table of the revocation check to the answer of `GetItem`.
fn accepts(answer: &Value, issued_at: SystemTime) -> bool {
    let Some(item) = answer.get("Item") else { return false };
    let number = |value: &Value| value["N"].as_str().unwrap().parse::<u64>().unwrap();
    let times = item["history"]["L"].as_array().into_iter().flatten().flat_map(|past| {
        let past = &past["M"];
        [number(&past["at"]), number(&past["restored"]["M"]["at"])]
    });
    let issued_at: u64 = seconds(issued_at).parse().unwrap();
    item.get("client").is_some() && times.max().is_none_or(|latest| issued_at > latest)
}

#[tokio::test]
async fn the_revocation_check_says_what_the_library_says() {
    let fixture = registered().await;
    let [check] = requests("## The revocation check", TOKEN, now()).try_into().unwrap();
    let mut all = Vec::new();
    let mut compare = async |status: ClientStatus, fixture: &Fixture| {
        let answer = send(fixture, "GetItem", &check).await.unwrap();
        for issued_at in [now() - HOUR, now(), now() + Duration::from_secs(1), now() + HOUR] {
            assert_eq!(accepts(&answer, issued_at), status.accepts(issued_at), "{answer}");
            all.push(accepts(&answer, issued_at));
        }
        assert!(answer["Item"].get("tombstone").is_none(), "{answer}");
        assert_eq!(answer["Item"]["deleted"]["M"].get("blocked").is_some(), status.is_blocked(), "{answer}");
    };
    compare(status(&fixture).await, &fixture).await;
    assert_eq!(delete(&fixture, TOKEN).await, 204);
    compare(status(&fixture).await, &fixture).await;
    let restoration = Restoration { at: now(), by: "operator#jane".to_owned() };
    fixture.direct().restore(&id(CLIENT), &restoration).await.unwrap();
    compare(status(&fixture).await, &fixture).await;
    let (at, by, request_id) = (now() + Duration::from_secs(1), "operator#jane".to_owned(), "this".to_owned());
    let revocation = Revocation { at, by: by.clone(), request_id: request_id.clone() };
    fixture.direct().revoke(&id(CLIENT), &revocation).await.unwrap();
    compare(status(&fixture).await, &fixture).await;
    let empty = Fixture::empty().await;
    compare(ClientStatus::Unknown, &empty).await;
    empty.direct().block(&id(CLIENT), &Block { at, by, request_id }).await.unwrap();
    let blocked = status(&empty).await;
    assert!(blocked.is_blocked());
    compare(blocked, &empty).await;
    let revoked = [false, false, false, true];
    let expected = [[true; 4], [false; 4], [false, false, true, true], revoked, [false; 4], [false; 4]];
    assert_eq!(all, expected.concat());
}

#[tokio::test]
async fn a_use_is_noted_once_in_an_hour_and_never_on_a_tombstone() {
    let fixture = registered().await;
    for (at, result) in
        [(now(), Ok(())), (now() + HOUR - Duration::from_secs(1), Err(FAILED.to_owned())), (now() + HOUR, Ok(()))]
    {
        let [note] = requests("## Noting uses", TOKEN, at).try_into().unwrap();
        assert_eq!(send(&fixture, "UpdateItem", &note).await.map(drop), result, "{at:?}");
    }
    let ClientStatus::Live { idle, .. } = status(&fixture).await else { panic!("the client is not live") };
    assert_eq!(idle, Some(Idle::used(now() + HOUR)));
    assert_eq!(delete(&fixture, TOKEN).await, 204);
    let [note] = requests("## Noting uses", TOKEN, now() + 3 * HOUR).try_into().unwrap();
    assert_eq!(send(&fixture, "UpdateItem", &note).await, Err(FAILED.to_owned()));
}

#[tokio::test]
async fn an_update_and_a_rotation_increment_the_version_and_keep_the_other_members() {
    let fixture = registered().await;
    fixture.direct().set_protected(&id(CLIENT), true).await.unwrap();
    let before = fixture.item(&format!("client#{CLIENT}")).await.unwrap()["client"].as_m().unwrap().clone();
    let [update, rotate] =
        requests("## Updating a client, and rotating its token", "new-token", now()).try_into().unwrap();
    send(&fixture, "UpdateItem", &update).await.unwrap();
    send(&fixture, "UpdateItem", &rotate).await.unwrap();
    let after = fixture.item(&format!("client#{CLIENT}")).await.unwrap()["client"].as_m().unwrap().clone();
    let version = |client: &std::collections::HashMap<String, AttributeValue>| {
        client["version"].as_n().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(version(&after), version(&before) + 2);
    assert_eq!(after["metadata"].as_m().unwrap()["client_name"], AttributeValue::S("Another name".to_owned()));
    for member in ["kind", "dynamic", "protected"] {
        assert_eq!(after[member], before[member], "{member}");
    }
    assert_eq!(delete(&fixture, "new-token").await, 403, "it is protected");
    fixture.direct().set_protected(&id(CLIENT), false).await.unwrap();
    assert_eq!([delete(&fixture, TOKEN).await, delete(&fixture, "new-token").await], [401, 204]);
    for request in [update, rotate] {
        assert_eq!(send(&fixture, "UpdateItem", &request).await, Err(FAILED.to_owned()));
    }
}
