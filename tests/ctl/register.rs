//! `client register`

use crate::{
    fixture::clock,
    run::{file, text},
    support::{Fixture, build::oauth_client},
    write_proxy::Write,
};
use deregister::model::{Client, Idle, Kind, Metadata};
use serde_json::json;
use std::{collections::BTreeSet, path::PathBuf};

#[tokio::test]
async fn a_registered_client_deletes_itself_with_the_printed_token() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 715948317").await;
    let registered = fixture.object("client register --service 715948317").await;
    assert_eq!(registered.as_object().unwrap().len(), 2);

    let token = text(&registered, "registration_access_token");
    assert_eq!(fixture.delete_itself(text(&registered, "client_id"), token).await, 204);
}

#[tokio::test]
async fn each_of_several_clients_has_its_own_id_and_token() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 715948317").await;
    let registered = fixture.objects("client register --service 715948317 --count 40").await;

    let ids: BTreeSet<_> = registered.iter().map(|client| text(client, "client_id")).collect();
    assert_eq!(ids.len(), 40);
    for client in &registered {
        let (id, token) = (text(client, "client_id"), text(client, "registration_access_token"));
        assert!((1..1 << 53).contains(&id.parse::<u64>().unwrap()), "{id}");
        assert_eq!(fixture.delete_itself(id, token).await, 204);
    }
}

#[tokio::test]
async fn after_a_failure_every_registered_client_is_printed() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 715948317").await;
    let endpoint = fixture.write_proxy(|write| if write == 0 { Write::Refused } else { Write::Done }).await;
    let run = fixture.ctl("--json client register --service 715948317 --count 100");
    let ran = run.with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint).run().await;

    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(1), 1), "{}", ran.stderr);
    let printed: BTreeSet<_> =
        ran.objects().iter().map(|client| format!("client#{}", text(client, "client_id"))).collect();
    assert!(printed.len() >= 15, "those that were under way with the first");
    assert_eq!(printed.into_iter().collect::<Vec<_>>(), fixture.client_keys().await);
}

#[tokio::test]
async fn the_metadata_of_the_file_is_stored() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 715948317").await;
    let file = file(
        "metadata.json",
        "\u{FEFF}{\"client_name\": \"Jane\", \"contacts\": [\"jane@example.com\"], \"redirect_uris\": [\"https://example.com\"], \"jwks\": {}}",
    );
    let line = format!("client register --service 715948317 --id 7 --protected --metadata {}", file.display());
    let before = Idle::unused(clock());
    let registered = fixture.object(&line).await;
    let idle = fixture.live("7").await.idle.unwrap();
    assert!(!idle.used && (before.since..=clock()).contains(&idle.since), "{idle:?}");

    let metadata = Metadata {
        client_name: Some("Jane".to_owned()),
        contacts: Some(vec!["jane@example.com".to_owned()]),
        redirect_uris: Some(vec!["https://example.com".to_owned()]),
        ..Metadata::default()
    };
    let expected =
        oauth_client().service("715948317").registration_token(text(&registered, "registration_access_token"));
    let expected = expected.metadata(metadata).protected().version(1).idle(idle);
    assert_eq!(fixture.live("7").await, expected.build());
}

#[tokio::test]
async fn unreadable_metadata_is_refused() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 715948317").await;
    let files = [
        file("list.json", r#"["Jane"]"#),
        file("wrong-type.json", r#"{"redirect_uris": "https://example.com"}"#),
        file("no-json", "client_name: Jane"),
        PathBuf::from("no-such-file"),
    ];
    for file in files {
        let line = format!("client register --service 715948317 --metadata {}", file.display());
        assert!(fixture.ctl(&line).run().await.refused().contains(file.to_str().unwrap()));
    }
    assert_eq!(fixture.items("clients").await.len(), 1, "only the service");
}

#[tokio::test]
async fn a_service_without_dynamic_registration_takes_only_static_clients() {
    let fixture = Fixture::empty().await;
    fixture.object("service create closed --no-dynamic-registration").await;
    assert!(fixture.ctl("client register --service closed --id 7").run().await.refused().contains("--static"));
    assert_eq!(fixture.client("7").await, None);

    assert_eq!(fixture.object("client register --service closed --id 7 --static").await, json!({ "client_id": "7" }));
    let Client { kind: Kind::OAuth(registered), idle: None, .. } = fixture.live("7").await else {
        panic!("not an untracked OAuth client");
    };
    assert!(!registered.dynamic && registered.registration_token_digest.is_none());
}

#[tokio::test]
async fn after_ctrl_c_the_registrations_under_way_are_finished_and_printed() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 715948317").await;
    let ran = fixture.interrupt("--json client register --service 715948317 --count 100", 20).await;
    let expected = "\
deregisterctl: interrupted: waiting for the registrations under way
deregisterctl: interrupted: clients may be registered that were not printed: find them with client list\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), expected));
    let printed: BTreeSet<_> =
        ran.objects().iter().map(|client| format!("client#{}", text(client, "client_id"))).collect();
    assert_eq!(printed.len(), 36);
    assert_eq!(printed.into_iter().collect::<Vec<_>>(), fixture.client_keys().await);
}
