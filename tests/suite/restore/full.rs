//! Clients whose items are nearly full: each can be deleted and restored, and the records say what is missing.

use super::{deletion, deletions, done, item, restoration, restore, write_tombstone};
use crate::support::{
    Fixture,
    build::{ClientBuilder, api_client, id, oauth_client},
    now,
    wire::Fault,
};
use aws_sdk_dynamodb::{error::DisplayErrorContext, primitives::Blob, types::AttributeValue};
use deregister::{
    dynamodb::{
        admin::{Deletions, RestoreOutcome, Restored},
        item::Item,
    },
    model::{Deletion, Digest, Idle},
    store::WriteOutcome,
};

/// All ids have one length, so that all items of a kind have the same size.
fn client_id(number: usize) -> String {
    format!("{number:036}")
}

/// A deletion at the client configuration endpoint, by the client itself.
fn by_itself() -> Deletion {
    Deletion {
        by: format!("client#{}", client_id(0)),
        via: "registration".to_owned(),
        source_ip: Some("203.0.113.7".to_owned()),
        ..deletion(&client_id(0))
    }
}

/// The item of an OAuth client that is tracked, with a name of this length.
fn named(id: &str, length: usize) -> Item {
    let client = oauth_client().registration_token("token").idle(Idle::unused(now())).name(&"x".repeat(length));
    item_of(id, client)
}

fn item_of(client_id: &str, client: ClientBuilder) -> Item {
    deregister::dynamodb::item::of_client(&id(client_id), &client.build())
}

/// Whether there is room for the item.
async fn put(fixture: &Fixture, item: Item) -> bool {
    let put = fixture.sdk.put_item().table_name(&fixture.table).set_item(Some(item)).send().await;
    let error = put.err().map(|error| DisplayErrorContext(error).to_string());
    assert!(error.as_deref().is_none_or(|error| error.contains("Item size")), "{error:?}");
    error.is_none()
}

/// The greatest length with which there is room for an item.
async fn greatest(fixture: &Fixture, of: impl Fn(&str, usize) -> Item) -> usize {
    let (mut fits, mut is_too_long) = (400_000, 409_600);
    while is_too_long - fits > 1 {
        let length = usize::midpoint(fits, is_too_long);
        *(if put(fixture, of(&client_id(0), length)).await { &mut fits } else { &mut is_too_long }) = length;
    }
    fits
}

/// Deletes the client, and restores it. Returns what the tombstone lacks, and the restored client.
async fn delete_and_restore(fixture: &Fixture, client_id: &str, deletion: &Deletion) -> (Vec<String>, Restored) {
    let written = write_tombstone(&fixture.clients, client_id, deletion).await;
    assert_eq!(written, WriteOutcome::Written, "{client_id}");
    let Deletions { current, .. } = deletions(fixture, client_id).await;
    let outcome = fixture.clients.restore(&id(client_id), &restoration(now())).await;
    let Ok(RestoreOutcome::Done(restored)) = outcome else { panic!("{client_id}: {outcome:?}") };
    let entry = deletions(fixture, client_id).await.past.pop().unwrap();
    assert_eq!(entry.deletion.lacks, restored.lacks, "the history says it too: {client_id}");
    (current.unwrap().0.lacks, restored)
}

#[tokio::test]
async fn a_client_is_restored_whatever_room_its_item_has() {
    let fixture = Fixture::empty().await;
    let longest = greatest(&fixture, named).await;
    for room in [0, 60, 100, 140, 200, 310] {
        let client_id = client_id(room);
        assert!(put(&fixture, named(&client_id, longest - room)).await);
        let before = item(&fixture, &client_id).await["client"].clone();
        let (tombstone, restored) = delete_and_restore(&fixture, &client_id, &by_itself()).await;
        let after = item(&fixture, &client_id).await["client"].clone();

        let lacks: &[&str] = if room < 310 { &["metadata"] } else { &[] };
        assert_eq!(restored.lacks, lacks, "{room}");
        assert!(tombstone.is_empty() || tombstone == restored.lacks, "{room}: {tombstone:?}");
        let mut expected = before.as_m().unwrap().clone();
        expected.retain(|name, _| !lacks.contains(&name.as_str()));
        expected.insert("version".to_owned(), AttributeValue::N("2".to_owned()));
        assert_eq!(after.as_m().unwrap(), &expected, "{room}");
    }
}

#[tokio::test]
async fn a_client_is_restored_again_and_again() {
    let fixture = Fixture::empty().await;
    let longest = greatest(&fixture, named).await;
    let client_id = client_id(0);
    assert!(put(&fixture, named(&client_id, longest - 600)).await);
    for round in 2..15_u32 {
        delete_and_restore(&fixture, &client_id, &by_itself()).await;
        let client = item(&fixture, &client_id).await["client"].as_m().unwrap().clone();
        assert_eq!(client["version"], AttributeValue::N(round.to_string()));
        assert!(client.contains_key("registration_token_digest"), "{round}");
    }
}

/// The room from which the metadata is kept. `docs/operations.md` has the numbers.
#[tokio::test]
async fn a_tombstone_and_a_restoration_keep_the_metadata_from_a_certain_room_on() {
    let fixture = Fixture::empty().await;
    let longest = greatest(&fixture, named).await;
    let sweep = Deletion { by: "sweep".to_owned(), via: "sweep".to_owned(), ..deletion(&client_id(0)) };
    let longest_id = Deletion { by: format!("client#{}", "x".repeat(2040)), ..by_itself() };
    for (record, of_tombstone, of_restoration) in [(by_itself(), 139, 301), (sweep, 73, 235), (longest_id, 2143, 2305)]
    {
        let mut lacking = Vec::new();
        for room in [of_tombstone - 1, of_tombstone, of_restoration - 1, of_restoration] {
            assert!(put(&fixture, named(&client_id(0), longest - room)).await);
            let (tombstone, restored) = delete_and_restore(&fixture, &client_id(0), &record).await;
            lacking.push([tombstone, restored.lacks].map(|lacks| lacks == ["metadata"]));
        }
        assert_eq!(lacking, [[true, true], [false, true], [false, true], [false, false]], "{record:?}");
    }
    let page = include_str!("../../../docs/operations.md").split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["less than 139 bytes of room", "below 301 bytes", "73 and 235 bytes", "2,143 and 2,305 bytes"] {
        assert!(page.contains(words), "{words}");
    }
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn map<const N: usize>(members: [(&str, AttributeValue); N]) -> AttributeValue {
    AttributeValue::M(members.map(|(name, value)| (name.to_owned(), value)).into())
}

/// An API client with credentials and an allow list, and a text of this length at one place.
fn filled(place: &str, client_id: &str, length: usize) -> Item {
    let client = api_client().secret("secret").feature("metadata").allow_list(&["203.0.113.0/24"]).name("name");
    let mut item = item_of(client_id, client);
    let text = "x".repeat(length);
    let past = |by: &str| {
        let restored = map([("at", AttributeValue::N("1".to_owned())), ("by", s("operator"))]);
        let at = AttributeValue::N("1".to_owned());
        map([("at", at), ("by", s(by)), ("via", s("sweep")), ("request_id", s("r")), ("restored", restored)])
    };
    let AttributeValue::M(members) = item.get_mut("client").unwrap() else { panic!("the client is not a map") };
    match place {
        "client.secrets[0].label" => {
            let digest = AttributeValue::B(Blob::new(Digest::of("secret").as_bytes()));
            let secret = map([("digest", digest), ("label", s(&text))]);
            members.insert("secrets".to_owned(), AttributeValue::L(vec![secret]));
        }
        "client.features" => drop(members.insert("features".to_owned(), AttributeValue::L(vec![s(&text)]))),
        "client.ip_allow_list" => drop(members.insert("ip_allow_list".to_owned(), AttributeValue::L(vec![s(&text)]))),
        "history" => drop(item.insert("history".to_owned(), AttributeValue::L(vec![past(&text), past("sweep")]))),
        "other" => drop(item.insert("other".to_owned(), s(&text))),
        "others" => {
            // More than one expression can remove.
            let each = length / 500;
            for number in 0..500 {
                let rest = if number == 0 { length % 500 } else { 0 };
                item.insert(format!("other-{number:03}"), s(&"x".repeat(each + rest)));
            }
        }
        _ => drop(members.insert(place.strip_prefix("client.").unwrap().to_owned(), s(&text))),
    }
    item
}

#[tokio::test]
async fn whatever_fills_the_item_is_dropped_first_and_no_right_is_added() {
    let fixture = Fixture::empty().await;
    for (place, lacking) in [
        ("client.name", "name"),
        ("client.metadata", "metadata"),
        ("client.note", "other"),
        ("client.version", "version"),
        ("client.secrets[0].label", "secrets"),
        ("client.features", "features"),
        ("client.ip_allow_list", "ip_allow_list"),
        ("history", "history"),
        ("other", "other"),
        ("others", "other"),
    ] {
        let longest = greatest(&fixture, |id, length| filled(place, id, length)).await;
        for room in [0, 60, 140, 300] {
            let client_id = client_id(room);
            assert!(put(&fixture, filled(place, &client_id, longest - room)).await, "{place}");
            let before = item(&fixture, &client_id).await["client"].as_m().unwrap().clone();
            let (_, restored) = delete_and_restore(&fixture, &client_id, &by_itself()).await;
            let is_lacking = restored.lacks.iter().any(|name| name == lacking);
            assert_eq!(is_lacking, room < 300, "{place} {room}: {:?}", restored.lacks);

            let after = item(&fixture, &client_id).await["client"].as_m().unwrap().clone();
            for (name, value) in &after {
                assert!(name == "version" || before.get(name) == Some(value), "{place} {room}: {name} is changed");
            }
            let has = |name| after.contains_key(name);
            assert!(has("kind") && has("app_id"), "{place} {room}");
            let decides = ["client.secrets[0].label", "client.features", "client.ip_allow_list"].contains(&place);
            assert!(decides || has("secrets") && has("features"), "{place} {room}: the credentials are kept");
            assert!(has("ip_allow_list") || !has("secrets"), "{place} {room}: any address could use the secret");
            assert_eq!(
                after["version"],
                AttributeValue::N(if place == "client.version" { "1" } else { "2" }.to_owned())
            );
        }
    }
}

/// A tombstone without an application cannot be read, and an item has no room for another copy of this one.
#[tokio::test]
async fn a_client_whose_application_fills_the_item_can_be_deleted_and_not_restored() {
    let fixture = Fixture::empty().await;
    let longest = greatest(&fixture, |id, length| filled("client.app_id", id, length)).await;
    assert!(put(&fixture, filled("client.app_id", &client_id(0), longest)).await);
    let written = write_tombstone(&fixture.clients, &client_id(0), &by_itself()).await;
    assert_eq!(written, WriteOutcome::Written);
    let refused = fixture.clients.restore(&id(&client_id(0)), &restoration(now())).await.unwrap_err();
    assert!(refused.to_string().ends_with("tombstone.app_id must be a string"), "{refused}");
}

#[tokio::test]
async fn a_restoration_without_metadata_is_recognized_if_its_answer_is_lost() {
    let fixture = Fixture::empty().await;
    let longest = greatest(&fixture, named).await;
    let client_id = client_id(140);
    assert!(put(&fixture, named(&client_id, longest - 140)).await);
    let written = write_tombstone(&fixture.clients, &client_id, &by_itself()).await;
    assert_eq!(written, WriteOutcome::Written);
    // DynamoDB refuses the first: it is too large.
    fixture.wire.plan("UpdateItem", Fault::meanwhile(async {}));
    fixture.wire.plan("UpdateItem", Fault::AnswerLost);
    let outcome = fixture.clients.restore(&id(&client_id), &restoration(now())).await;
    let Ok(RestoreOutcome::Done(restored)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(restored.lacks, ["metadata"]);
    let past = deletions(&fixture, &client_id).await.past;
    assert_eq!((past.len(), &past[0].deletion.lacks), (1, &restored.lacks));
}

#[tokio::test]
async fn an_ordinary_restoration_lacks_nothing_and_is_one_write() {
    let fixture = Fixture::empty().await;
    fixture.create("a", oauth_client().name("name")).await;
    let written = write_tombstone(&fixture.clients, "a", &by_itself()).await;
    assert_eq!(written, WriteOutcome::Written);
    fixture.wire.take_calls();
    let expected = oauth_client().name("name").version(2).idle(Idle::used(now())).restored_from(&client_id(0));
    assert_eq!(restore(&fixture, "a").await, done(expected));
    assert_eq!(fixture.wire.take_calls(), ["GetItem", "UpdateItem"]);
}
