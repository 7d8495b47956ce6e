//! Undoing a deletion: what comes back, what does not, and what stays on record.

use crate::support::{
    Fixture, RETENTION, basic, bearer, json, now,
    sample::{
        APPLICATION, CLIENT, DIRECT_ACCESS, OWNER, OWNER_ELSEWHERE, RFC_CLIENT, SERVICE, SERVICE_TOKEN, TARGET, VERSION,
    },
    wire::Fault,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    dynamodb::{
        ClientsTable,
        admin::{Creation, Deletions, RestoreOutcome},
        item::Item,
    },
    model::{ApiClient, Client, Deletion, Digest, Id, Kind, PastDeletion, Restoration, StoredSecret, Version},
    rule::Authorization,
    snapshot::{Key, Record},
    store::{Fault, Store, WriteOutcome},
};
use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{sync::Barrier, task::JoinSet};

const SECOND: Duration = Duration::from_secs(1);

fn id(id: &str) -> Id {
    Id::new(id).unwrap()
}

fn restoration(at: SystemTime) -> Restoration {
    Restoration { at, by: "operator#jane".to_owned() }
}

async fn restore(fixture: &Fixture, client_id: &str) -> RestoreOutcome {
    fixture.clients.restore(&id(client_id), &restoration(now())).await.unwrap()
}

fn deletion(request_id: &str) -> Deletion {
    let by = "operator#jane".to_owned();
    Deletion { at: now(), by, via: "deregisterctl".to_owned(), source_ip: None, request_id: request_id.to_owned() }
}

async fn write_tombstone(store: &ClientsTable, client_id: &str, request_id: &str) -> WriteOutcome {
    let permit = Authorization { target: &id(client_id), preconditions: Vec::new() };
    store.write_tombstone(&permit, &deletion(request_id)).await.unwrap()
}

async fn deletions(fixture: &Fixture, client_id: &str) -> Deletions {
    fixture.clients.deletions(&id(client_id)).await.unwrap().unwrap()
}

async fn item(fixture: &Fixture, client_id: &str) -> Item {
    fixture.item(&format!("client#{client_id}")).await.unwrap()
}

fn api(secret: &str, version: Option<Version>) -> Client {
    let secrets = vec![StoredSecret { digest: Digest::of(secret), expires_at: None }];
    let client = ApiClient { app_id: "app".to_owned(), secrets, ..ApiClient::default() };
    Client { kind: Kind::Api(client), protected: false, version, idle: None }
}

/// The status of a deletion at the Configuration API.
async fn configuration(fixture: &Fixture, caller: (&str, &str), target: &str) -> u16 {
    let path = format!("/config/{APPLICATION}/clients/{target}");
    fixture.send("DELETE", &path, Some(&basic(caller)), "").await.status().as_u16()
}

/// The status with which the client configuration endpoint answers.
async fn registration(fixture: &Fixture, (client_id, token): (&str, &str)) -> u16 {
    fixture.send("DELETE", &format!("/register/{client_id}"), Some(&bearer(token)), "").await.status().as_u16()
}

#[tokio::test]
async fn a_restored_caller_is_accepted_with_the_secret_that_it_had() {
    let fixture = Fixture::with_samples().await;
    // A caller who may not delete is known all the same, and told 403.
    assert_eq!(configuration(&fixture, OWNER, DIRECT_ACCESS.0).await, 204);
    assert_eq!(configuration(&fixture, DIRECT_ACCESS, TARGET).await, 401);
    assert!(matches!(restore(&fixture, DIRECT_ACCESS.0).await, RestoreOutcome::Done(_)));
    assert_eq!(configuration(&fixture, (DIRECT_ACCESS.0, "another secret"), TARGET).await, 401);
    assert_eq!(configuration(&fixture, DIRECT_ACCESS, TARGET).await, 403);

    // No door deletes an owner: it is buried by hand.
    assert_eq!(bury(&fixture.clients, OWNER.0, "by hand").await, WriteOutcome::Written);
    assert_eq!(configuration(&fixture, OWNER, TARGET).await, 401);
    let RestoreOutcome::Done(client) = restore(&fixture, OWNER.0).await else { panic!("it was not restored") };
    let secrets = support::sample::owner().kind;
    let (Kind::Api(client), Kind::Api(sample)) = (client.kind, secrets) else { panic!("no API client") };
    assert_eq!(client.secrets[0], sample.secrets[0]);
    assert_eq!(configuration(&fixture, (OWNER.0, "another secret"), TARGET).await, 401);
    assert_eq!(configuration(&fixture, OWNER, TARGET).await, 204);
}

#[tokio::test]
async fn a_client_that_deleted_itself_and_was_restored_has_the_token_that_it_had() {
    let fixture = Fixture::with_samples().await;
    assert_eq!(registration(&fixture, RFC_CLIENT).await, 204);
    assert_eq!(registration(&fixture, RFC_CLIENT).await, 401);
    assert!(matches!(restore(&fixture, RFC_CLIENT.0).await, RestoreOutcome::Done(_)));
    assert_eq!(registration(&fixture, (RFC_CLIENT.0, "another-token")).await, 401);
    assert_eq!(registration(&fixture, RFC_CLIENT).await, 204);
}

#[tokio::test]
async fn a_client_restored_after_a_deletion_at_any_door_is_deleted_there_again() {
    let fixture = Fixture::with_samples().await;
    let delete = async || {
        let body = serde_json::json!({ "clientId": CLIENT.0, "token": CLIENT.1 }).to_string();
        let path = format!("/api/{SERVICE}/client/registration/delete");
        let answer = fixture.send("POST", &path, Some(&bearer(SERVICE_TOKEN)), &body).await;
        (json(&answer)["resultCode"].clone(), configuration(&fixture, OWNER, TARGET).await)
    };
    assert_eq!(delete().await, ("A216001".into(), 204));
    assert_eq!(delete().await, ("A215302".into(), 404));
    for client_id in [CLIENT.0, TARGET] {
        assert!(matches!(restore(&fixture, client_id).await, RestoreOutcome::Done(_)), "{client_id}");
    }
    assert_eq!(delete().await, ("A216001".into(), 204));
}

#[tokio::test]
async fn what_comes_back_is_the_item_that_was_at_its_next_version_and_with_its_history() {
    let fixture = Fixture::empty().await;
    fixture.clients.create_client(&id("a"), &api("secret", Some(Version(7)))).await.unwrap();
    // What the program does not know of, in the client and beside it.
    let put = fixture.sdk.update_item().table_name(&fixture.table).key("pk", AttributeValue::S("client#a".to_owned()));
    let put = put.update_expression("SET client.from_the_future = :true, note = :true");
    put.expression_attribute_values(":true", AttributeValue::Bool(true)).send().await.unwrap();
    let mut expected = item(&fixture, "a").await;

    bury(&fixture.clients, "a", "first").await;
    fixture.wire.take_calls();
    let done = restore(&fixture, "a").await;

    assert_eq!(done, RestoreOutcome::Done(api("secret", Some(Version(8)))));
    assert_eq!(fixture.wire.take_calls(), ["GetItem", "UpdateItem"]);
    let mut restored = item(&fixture, "a").await;
    assert!(restored.remove("history").is_some_and(|history| history.as_l().unwrap().len() == 1));
    let AttributeValue::M(client) = expected.get_mut("client").unwrap() else { panic!("no map") };
    client.insert("version".to_owned(), AttributeValue::N("8".to_owned()));
    assert_eq!(restored, expected);
    let undone = PastDeletion { deletion: deletion("first"), restored: restoration(now()) };
    assert_eq!(deletions(&fixture, "a").await, Deletions { standing: None, undone: vec![undone] });
}

#[tokio::test]
async fn a_client_without_a_version_comes_back_without_one() {
    let fixture = Fixture::empty().await;
    fixture.clients.create_client(&id("a"), &api("secret", None)).await.unwrap();
    bury(&fixture.clients, "a", "first").await;
    assert_eq!(restore(&fixture, "a").await, RestoreOutcome::Done(api("secret", None)));
}

#[tokio::test]
async fn an_entity_tag_from_before_the_deletion_no_longer_matches() {
    let fixture = Fixture::with_samples().await;
    bury(&fixture.clients, TARGET, "first").await;
    restore(&fixture, TARGET).await;
    for (tag, status) in [(VERSION.0, 412), (VERSION.0 + 1, 204)] {
        let (authorization, tag) = (basic(OWNER), format!("\"{tag}\""));
        let headers = [("authorization", authorization.as_str()), ("if-match", &tag)];
        let path = format!("/config/{APPLICATION}/clients/{TARGET}");
        assert_eq!(fixture.invoke(&support::event("DELETE", &path, "", &headers, "")).await.status(), status, "{tag}");
    }
}

#[tokio::test]
async fn a_deletion_is_undone_until_its_last_second_and_no_longer_though_the_tombstone_stands() {
    let fixture = Fixture::empty().await;
    let until = now() + RETENTION;
    for (client_id, at, expected) in [
        ("a", until, RestoreOutcome::Expired(until)),
        ("a", until + 1000 * SECOND, RestoreOutcome::Expired(until)),
        ("b", until - SECOND, RestoreOutcome::Done(api("secret", None))),
        ("c", until - Duration::from_millis(1), RestoreOutcome::Done(api("secret", None))),
    ] {
        fixture.clients.create_client(&id(client_id), &api("secret", None)).await.unwrap();
        bury(&fixture.clients, client_id, "first").await;
        let before = item(&fixture, client_id).await;
        let restored = fixture.clients.restore(&id(client_id), &restoration(at)).await.unwrap();
        assert_eq!(restored, expected, "{client_id}");
        assert_eq!(before == item(&fixture, client_id).await, client_id == "a");
    }
}

#[tokio::test]
async fn where_nothing_is_retained_nothing_is_restored() {
    let fixture = Fixture::empty().await;
    let store = ClientsTable::new(fixture.sdk.config().to_builder(), &fixture.table, Duration::ZERO);
    store.create_client(&id("a"), &api("secret", None)).await.unwrap();
    bury(&store, "a", "first").await;
    assert_eq!(restore(&fixture, "a").await, RestoreOutcome::Expired(now()));
}

#[tokio::test]
async fn a_client_that_lives_or_never_was_is_not_restored_and_nothing_is_written() {
    let fixture = Fixture::empty().await;
    fixture.clients.create_client(&id("a"), &api("secret", None)).await.unwrap();
    let before = item(&fixture, "a").await;
    fixture.wire.take_calls();
    assert_eq!(restore(&fixture, "a").await, RestoreOutcome::Live);
    assert_eq!(restore(&fixture, "nobody").await, RestoreOutcome::Unknown);
    assert_eq!(fixture.wire.take_calls(), ["GetItem", "GetItem"]);
    assert_eq!(item(&fixture, "a").await, before);
    assert_eq!(fixture.item("client#nobody").await, None);
    assert_eq!(fixture.clients.deletions(&id("nobody")).await, Ok(None));
}

#[tokio::test]
async fn the_history_stays_with_the_client_through_further_deletions_and_keeps_the_last_ten() {
    let fixture = Fixture::empty().await;
    fixture.clients.create_client(&id("a"), &api("secret", Some(Version(1)))).await.unwrap();
    for round in 0..12 {
        assert_eq!(bury(&fixture.clients, "a", &round.to_string()).await, WriteOutcome::Written);
        let Deletions { standing, undone } = deletions(&fixture, "a").await;
        assert_eq!(standing, Some((deletion(&round.to_string()), now() + RETENTION)));
        assert_eq!(undone.len(), round.min(10));
        assert!(matches!(restore(&fixture, "a").await, RestoreOutcome::Done(_)));
    }
    let undone = deletions(&fixture, "a").await.undone;
    let requests: Vec<_> = undone.iter().map(|undone| undone.deletion.request_id.as_str()).collect();
    assert_eq!(requests, ["2", "3", "4", "5", "6", "7", "8", "9", "10", "11"]);
    assert_eq!(
        fixture.clients.find(&Key::Client(id("a"))).await,
        Ok(Some(Record::Client(api("secret", Some(Version(13))))))
    );
}

#[tokio::test]
async fn the_function_neither_reads_nor_loses_the_history() {
    let fixture = Fixture::with_samples().await;
    bury(&fixture.clients, TARGET, "first").await;
    restore(&fixture, TARGET).await;
    let history = item(&fixture, TARGET).await["history"].clone();
    let keys = [Key::Client(id(TARGET))].into_iter().collect();
    fixture.clients.load(keys).await.unwrap();
    assert!(!fixture.wire.last_body().contains("history"), "{}", fixture.wire.last_body());
    assert_eq!(configuration(&fixture, OWNER, TARGET).await, 204);
    assert_eq!(item(&fixture, TARGET).await["history"], history);
    assert_eq!(configuration(&fixture, OWNER_ELSEWHERE, TARGET).await, 403, "and its answers are as ever");
}

#[tokio::test]
async fn a_restoration_whose_answer_was_lost_is_recognized() {
    let fixture = Fixture::empty().await;
    fixture.clients.create_client(&id("a"), &api("secret", Some(Version(1)))).await.unwrap();
    bury(&fixture.clients, "a", "first").await;
    fixture.wire.plan("UpdateItem", wire::Fault::AnswerLost);
    assert_eq!(restore(&fixture, "a").await, RestoreOutcome::Done(api("secret", Some(Version(2)))));
    assert_eq!(deletions(&fixture, "a").await.undone.len(), 1);
}

#[tokio::test]
async fn only_the_deletion_that_was_looked_at_is_undone() {
    for (n, other) in ["deleted again", "collected", "changed"].into_iter().enumerate() {
        let fixture = Fixture::empty().await;
        fixture.clients.create_client(&id("a"), &api("secret", Some(Version(1)))).await.unwrap();
        bury(&fixture.clients, "a", "first").await;
        let bystander = fixture.clone();
        fixture.wire.plan(
            "UpdateItem",
            wire::Fault::meanwhile(async move {
                let store = bystander.direct();
                let key = AttributeValue::S("client#a".to_owned());
                let update = bystander.client.update_item().table_name(&bystander.table).key("pk", key.clone());
                match n {
                    0 => {
                        let by = "operator#john".to_owned();
                        store.restore(&id("a"), &Restoration { at: now(), by }).await.unwrap();
                        bury(&store, "a", "second").await;
                    }
                    1 => {
                        let delete = bystander.client.delete_item().table_name(&bystander.table).key("pk", key);
                        delete.send().await.unwrap();
                    }
                    _ => {
                        let update = update.update_expression("SET tombstone.protected = :yes");
                        update.expression_attribute_values(":yes", AttributeValue::Bool(true)).send().await.unwrap();
                    }
                }
            }),
        );
        assert_eq!(restore(&fixture, "a").await, RestoreOutcome::Changed, "{other}");
        assert!(!fixture.lives("a").await, "{other}");
    }
}

#[tokio::test]
async fn a_client_that_somebody_puts_beside_the_tombstone_is_not_written_over() {
    let fixture = Fixture::empty().await;
    fixture.clients.create_client(&id("a"), &api("old", Some(Version(1)))).await.unwrap();
    bury(&fixture.clients, "a", "first").await;
    fixture.clients.create_client(&id("b"), &api("new", Some(Version(1)))).await.unwrap();
    let put = fixture.sdk.update_item().table_name(&fixture.table).key("pk", AttributeValue::S("client#a".to_owned()));
    let put = put.update_expression("SET client = :client");
    let put = put.expression_attribute_values(":client", item(&fixture, "b").await["client"].clone());
    fixture.wire.plan("UpdateItem", wire::Fault::meanwhile(async { drop(put.send().await.unwrap()) }));
    assert_eq!(restore(&fixture, "a").await, RestoreOutcome::Changed);
    assert_eq!(item(&fixture, "a").await["client"], item(&fixture, "b").await["client"]);
}

#[tokio::test]
async fn a_tombstone_that_cannot_be_read_is_left_as_it_is() {
    let fixture = Fixture::empty().await;
    fixture.clients.create_client(&id("a"), &api("secret", None)).await.unwrap();
    bury(&fixture.clients, "a", "first").await;
    let whole = item(&fixture, "a").await;
    for (attribute, value) in [
        ("tombstone", Some(AttributeValue::Bool(true))),
        ("deleted", Some(AttributeValue::Bool(true))),
        ("history", Some(AttributeValue::Bool(true))),
        ("tombstone", None),
        ("deleted", None),
        ("expires_at", None),
    ] {
        let mut broken = whole.clone();
        match value {
            Some(value) => drop(broken.insert(attribute.to_owned(), value)),
            None => drop(broken.remove(attribute)),
        }
        let put = fixture.sdk.put_item().table_name(&fixture.table).set_item(Some(broken.clone()));
        put.send().await.unwrap();
        let fault = fixture.clients.restore(&id("a"), &restoration(now())).await.unwrap_err();
        assert!(matches!(fault, Fault::Unreadable(_)), "{attribute}: {fault}");
        assert_eq!(item(&fixture, "a").await, broken);
    }
}

#[tokio::test]
async fn the_deletions_since_a_time_are_listed_with_what_is_known_of_them() {
    let fixture = Fixture::empty().await;
    for (client_id, ago) in [("old", 100), ("new", 10), ("live", 0)] {
        fixture.clients.create_client(&id(client_id), &api("secret", None)).await.unwrap();
        let deletion = Deletion { at: now() - ago * SECOND, ..deletion(client_id) };
        let permit = Authorization { target: &id(client_id), preconditions: Vec::new() };
        fixture.clients.write_tombstone(&permit, &deletion).await.unwrap();
    }
    restore(&fixture, "live").await;
    let listed = async |since| {
        let page = fixture.clients.deletions_of_application("app", since, None).await.unwrap();
        for (id, listed) in &page.clients {
            assert_eq!(*listed.as_ref().unwrap(), deletions(&fixture, id.as_str()).await);
        }
        page.clients.into_iter().map(|(id, _)| id.to_string()).collect::<HashSet<_>>()
    };
    assert_eq!(listed(None).await, HashSet::from(["old".to_owned(), "new".to_owned()]));
    assert_eq!(listed(Some(now() - 10 * SECOND)).await, HashSet::from(["new".to_owned()]));
    assert_eq!(listed(Some(now() - 9 * SECOND)).await, HashSet::new());
    assert_eq!(fixture.clients.deletions_of_service(&id("app"), None, None).await.unwrap().clients, []);
}

/// What one of those who race did.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Did {
    RestoreOutcome,
    Recreated,
    DeletedAgain,
    Nothing,
}

/// Removes the tombstone of the first deletion, as the time to live does, and gives its id away.
async fn give_away(fixture: &Fixture, client_id: &str) -> Did {
    let key = AttributeValue::S(format!("client#{client_id}"));
    let delete = fixture.sdk.delete_item().table_name(&fixture.table).key("pk", key);
    let delete = delete.condition_expression("attribute_exists(tombstone) AND deleted.request_id = :first");
    let first = AttributeValue::S("first".to_owned());
    if delete.expression_attribute_values(":first", first).send().await.is_err() {
        return Did::Nothing;
    }
    let created = fixture.clients.create_client(&id(client_id), &api("new", Some(Version(1)))).await.unwrap();
    assert_eq!(created, Creation::Done);
    Did::Recreated
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_restoration_a_re_creation_and_a_deletion_at_the_same_time_each_id_has_one_fate() {
    let fixture = Fixture::empty().await;
    let mut fates = HashSet::new();
    for round in 0..1000 {
        let client_id = format!("client-{round}");
        fixture.clients.create_client(&id(&client_id), &api("old", Some(Version(1)))).await.unwrap();
        bury(&fixture.clients, &client_id, "first").await;

        let (start, mut racers) = (Arc::new(Barrier::new(4)), JoinSet::new());
        for racer in 0..4 {
            let (fixture, start, client_id) = (fixture.clone(), Arc::clone(&start), client_id.clone());
            racers.spawn(async move {
                start.wait().await;
                match racer {
                    0 => give_away(&fixture, &client_id).await,
                    1 => match bury(&fixture.clients, &client_id, "second").await {
                        WriteOutcome::Written => Did::DeletedAgain,
                        WriteOutcome::ConditionFailed(_) => Did::Nothing,
                    },
                    // Two operators, who have the same idea.
                    n => {
                        let restoration = Restoration { at: now(), by: format!("operator#{n}") };
                        match fixture.clients.restore(&id(&client_id), &restoration).await.unwrap() {
                            RestoreOutcome::Done(_) => Did::RestoreOutcome,
                            _ => Did::Nothing,
                        }
                    }
                }
            });
        }
        let did = racers.join_all().await;
        let count = |what| did.iter().filter(|did| **did == what).count();
        let (restored, recreated, again) =
            (count(Did::RestoreOutcome), count(Did::Recreated), count(Did::DeletedAgain));

        let item = item(&fixture, &client_id).await;
        let Deletions { standing, undone } = deletions(&fixture, &client_id).await;
        assert_eq!(item.contains_key("client"), !item.contains_key("tombstone"), "{did:?}");
        let requests: Vec<_> = undone.iter().map(|undone| undone.deletion.request_id.as_str()).collect();
        let now_deleted = standing.as_ref().map(|(deletion, _)| deletion.request_id.as_str());
        // A restoration may undo the second deletion too, by way of an operator who looked after it.
        match (restored, recreated, again) {
            (1, 0, 0) => assert_eq!((requests, now_deleted), (vec!["first"], None)),
            (1, 0, 1) => assert_eq!((requests, now_deleted), (vec!["first"], Some("second"))),
            (2, 0, 1) => assert_eq!((requests, now_deleted), (vec!["first", "second"], None)),
            (0, 1, 0) => assert_eq!((requests, now_deleted), (vec![], None)),
            (0, 1, 1) => assert_eq!((requests, now_deleted), (vec![], Some("second"))),
            (1, 1, 1) => assert_eq!((requests, now_deleted), (vec!["second"], None)),
            fate => panic!("{fate:?}: {did:?}"),
        }
        let whose = if recreated == 1 { "new" } else { "old" };
        let client = item.get("client").or(item.get("tombstone")).unwrap().as_m().unwrap();
        let digest = client["secrets"].as_l().unwrap()[0].as_m().unwrap()["digest"].as_b().unwrap();
        assert_eq!(digest.as_ref(), Digest::of(whose).as_bytes());
        assert_eq!(client["version"], AttributeValue::N((1 + restored).to_string()));
        fates.insert((restored, recreated, again));
    }
    assert!(fates.len() > 1, "{fates:?}");
    println!("{fates:?}");
}
