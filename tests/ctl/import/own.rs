//! A list of one's own clients, by the names of RFC 7591.

use super::{TOKEN, reports, summary};
use crate::{
    run::{Ran, parse},
    support::Fixture,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use deregister::model::{Digest, Idle};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

async fn import(fixture: &Fixture, options: &str, lines: &[Value]) -> Ran {
    let list = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    fixture.ctl(&format!("--json import --format rfc7591 {options} -")).with_stdin(&list).run().await
}

#[tokio::test]
async fn a_client_deletes_itself_with_its_former_token() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let digest = Digest::of(TOKEN);
    let clients = [
        json!({ "client_id": "https://client.example/a", "registration_access_token": TOKEN }),
        json!({ "client_id": "b", "registration_access_token_sha256": digest.to_hex() }),
        json!({ "client_id": "c", "registration_access_token_sha256": BASE64_URL_SAFE_NO_PAD.encode(digest.as_bytes()) }),
    ];
    for options in ["", "--service 1"] {
        let ran = import(&fixture, options, &clients).await;
        assert!(!ran.stdout.contains(TOKEN) && !ran.stderr.contains(TOKEN));
        assert_eq!(parse(&ran.done()), summary(3, 0, 0), "{options}");
        for client in &clients {
            let id = client["client_id"].as_str().unwrap();
            let item = &fixture.clients_by_key().await[&format!("client#{id}")];
            assert!(!format!("{item:?}").contains(TOKEN));
            let path = id.replace('/', "%2F");
            assert_eq!(fixture.delete_itself(&path, TOKEN).await, 204, "{id}");
            fixture.remove_item(&format!("client#{id}")).await;
        }
    }
}

#[tokio::test]
async fn metadata_and_the_last_use_are_kept() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let metadata = json!({
        "client_name": "a client",
        "contacts": ["ops@client.example"],
        "redirect_uris": ["https://client.example/callback"],
        "response_types": ["code"],
        "grant_types": ["authorization_code"],
        "token_endpoint_auth_method": "none",
    });
    let mut client = metadata.clone();
    for (name, value) in [
        ("client_id", json!("a")),
        ("registration_access_token", json!(TOKEN)),
        ("last_used_at", json!(1_700_000_000)),
        ("client_secret", json!("not stored")),
    ] {
        client[name] = value;
    }
    let static_client = json!({ "client_id": "static", "dynamic": false });
    assert_eq!(parse(&import(&fixture, "--service 1", &[client, static_client]).await.done()), summary(2, 0, 0));
    let shown = fixture.object("client show a").await;
    for (name, value) in metadata.as_object().unwrap() {
        assert_eq!(shown[name], *value);
    }
    assert_eq!((&shown["dynamic"], &shown["service_id"]), (&json!(true), &json!("1")));
    let used = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    assert_eq!(fixture.live("a").await.idle, Some(Idle::used(used)));
    assert_eq!((fixture.live("static").await.idle, fixture.live("static").await.is_dynamic()), (None, false));
}

#[tokio::test]
async fn a_client_without_a_token_is_imported_and_named() {
    let fixture = Fixture::empty().await;
    let (entries, last) = reports(&import(&fixture, "", &[json!({ "client_id": "a" })]).await);
    assert_eq!(
        entries[0]["reason"],
        "it cannot delete itself: the list has no registration access token that can be imported"
    );
    assert_eq!((&last["imported"], &last["without_registration_token"]), (&json!(1), &json!(1)));
    assert!(fixture.live("a").await.idle.is_some(), "its idle time starts");
}

#[tokio::test]
async fn a_malformed_entry_is_skipped_with_a_reason_without_secrets() {
    let fixture = Fixture::empty().await;
    let with = |name: &str, value: Value| json!({ "client_id": "a", name: value });
    let wrong = [
        (json!(TOKEN), "it is not a JSON object"),
        (json!([{ "client_id": "a" }]), "it is a JSON array: write one object a line, for example with jq -c '.[]'"),
        (json!({}), "it has no client_id"),
        (json!({ "client_id": "" }), "its client_id cannot be used: an id has 1 to 2040 bytes"),
        (
            with("registration_access_token", json!("fifteen bytes !")),
            "its registration_access_token has fewer than 16 bytes",
        ),
        (
            with("registration_access_token_sha256", json!(TOKEN.repeat(2))),
            "its registration_access_token_sha256 is not 32 bytes",
        ),
        (
            json!({ "client_id": "a", "registration_access_token": TOKEN, "registration_access_token_sha256": TOKEN }),
            "it has both a registration_access_token and a registration_access_token_sha256",
        ),
        (
            json!({ "client_id": "a", "registration_access_token": TOKEN, "dynamic": false }),
            "it is not dynamic, and has a registration access token",
        ),
        (with("last_used_at", json!("2027-01-15")), "its last_used_at is not a number of seconds since 1970"),
        (with("last_used_at", json!(1_700_000_000_000_u64)), "its last_used_at is after the year 9999"),
        (with("redirect_uris", json!("https://client.example")), "its redirect_uris is not a list of texts"),
    ];
    let lines: Vec<_> = wrong.iter().map(|(entry, _)| entry.clone()).collect();
    let ran = import(&fixture, "", &lines).await;
    assert!(!ran.stdout.contains(TOKEN) && !ran.stderr.contains(TOKEN));
    let (entries, last) = reports(&ran);
    let reasons: Vec<_> = entries.iter().map(|entry| entry["reason"].as_str().unwrap()).collect();
    assert_eq!((reasons, last), (wrong.map(|(_, reason)| reason).to_vec(), summary(0, 0, 11)));
    assert!(fixture.items("clients").await.is_empty());
}

#[tokio::test]
async fn the_form_of_the_list_is_named() {
    let fixture = Fixture::empty().await;
    for line in ["import -", "import --format rfc7591 --app app -", "import --app app --service 1 -"] {
        assert_eq!(fixture.ctl(line).run().await.code, Some(2), "{line}");
    }
    assert!(fixture.ctl("import --format rfc7591 --service 1 -").run().await.refused().contains("no service 1"));
    let ran = fixture.ctl("import --format rfc7591 -").with_stdin("{\"client_id\": \"a\"} and more").run().await;
    assert!(ran.stderr.contains("is not a list of clients by the names of RFC 7591"), "{}", ran.stderr);
}

#[tokio::test]
async fn the_example_of_the_page_is_imported() {
    let page = include_str!("../../../docs/migrating.md");
    let example = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let fixture = Fixture::empty().await;
    assert_eq!(parse(&import(&fixture, "", &[parse(example)]).await.done()), summary(1, 0, 0));
    assert_eq!(fixture.object("client show s6BhdRkqt3").await["last_used_at"], "2027-01-01T00:00:00Z");
}

#[tokio::test]
async fn of_two_entries_with_one_id_the_first_is_imported() {
    let fixture = Fixture::empty().await;
    let entries = |name: &str| (0..100).map(|n| json!({ "client_id": n.to_string(), "client_name": name })).collect();
    let [first, second]: [Vec<_>; 2] = ["first", "second"].map(entries);
    let pairs: Vec<_> = first.into_iter().zip(second).flat_map(|(first, second)| [first, second]).collect();
    let (entries, last) = reports(&import(&fixture, "", &pairs).await);
    assert_eq!((&last["imported"], &last["skipped"]), (&json!(100), &json!(100)));
    assert_eq!(entries.iter().filter(|entry| entry["outcome"] == "skipped").count(), 100);
    let names: Vec<_> =
        fixture.objects("client list").await.iter().map(|client| client["client_name"].clone()).collect();
    assert_eq!(names, vec![json!("first"); 100]);
}
