//! `client track`

use crate::{
    fixture::clock,
    run::only,
    support::{Fixture, build::id, now},
};
use deregister::{
    dynamodb::item::Item,
    model::{Idle, IdlePartition, Version},
    store::{ClientStatus, ClientStatuses, IdleClients},
};
use serde_json::json;

#[tokio::test]
async fn every_untracked_client_of_the_service_is_tracked() {
    let fixture = Fixture::empty().await;
    for service in ["1", "2"] {
        fixture.object(&format!("service create {service}")).await;
    }
    // More than are written at once, and on more than one page.
    for number in 0..36 {
        fixture.register_untracked("1", &format!("old-{number}")).await;
    }
    for number in 36..40 {
        assert!(fixture.register_with_name_length(&format!("old-{number}"), 300_000).await);
    }
    assert!(fixture.sdk.scan().table_name("clients").send().await.unwrap().last_evaluated_key.is_some());
    fixture.register_untracked("2", "elsewhere").await;
    fixture.register_untracked("1", "gone").await;
    assert_eq!(fixture.ctl("client delete gone --yes").run().await.code, Some(0));
    for line in ["--id new", "--id static --static"] {
        fixture.object(&format!("client register --service 1 {line}")).await;
    }
    let others = ["client#elsewhere", "client#gone", "client#new", "client#static"];
    let before = items_under(&fixture, &others).await;

    let start = Idle::used(clock());
    let expected = json!({ "tracked": 40, "already_tracked": 1, "not_dynamic": 1 });
    assert_eq!(fixture.object("client track --service 1").await, expected);
    let mut listed = Vec::new();
    for partition in IdlePartition::all() {
        let page = fixture.direct().idle_clients(partition, clock(), None).await.unwrap();
        listed.extend(page.clients);
    }
    listed.retain(|(id, _)| id.as_str().starts_with("old-"));
    assert_eq!(listed.len(), 40, "the index lists them for the sweep");
    for (id, idle) in &listed {
        assert!(idle.used && (start.since..=clock()).contains(&idle.since), "{id}: {idle:?}");
        assert_eq!(fixture.live(id.as_str()).await.version, Version(1).into(), "nothing else is changed");
    }
    assert_eq!(items_under(&fixture, &others).await, before);

    let expected = json!({ "tracked": 0, "already_tracked": 41, "not_dynamic": 1 });
    assert_eq!(fixture.object("client track --service 1").await, expected, "a second run writes nothing");
}

#[tokio::test]
async fn only_a_live_dynamic_untracked_client_is_written() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    fixture.object("client create --app app --id api").await;
    for line in ["--id tracked", "--id static --static", "--id gone"] {
        fixture.object(&format!("client register --service 1 {line}")).await;
    }
    assert_eq!(fixture.ctl("client delete gone --yes").run().await.code, Some(0));
    let before = fixture.clients_by_key().await;
    for client in ["api", "tracked", "static", "gone", "missing"] {
        assert_eq!(fixture.direct().track(&id(client), now()).await, Ok(false), "{client}");
    }
    assert_eq!(fixture.clients_by_key().await, before);

    fixture.register_untracked("1", "old").await;
    assert_eq!(fixture.direct().track(&id("old"), now()).await, Ok(true));
    let ClientStatus::Live { idle, .. } = fixture.direct().client_status(&id("old")).await.unwrap() else {
        panic!("not live")
    };
    assert_eq!(idle, Some(Idle::used(now())));
}

#[tokio::test]
async fn after_a_failed_write_a_second_run_tracks_the_rest() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    for number in 0..40 {
        fixture.register_untracked("1", &format!("old-{number}")).await;
    }
    // Ten bytes short of the largest item at most: there is no room for the attributes of the index.
    let mut length = 409_590;
    while !fixture.register_with_name_length("full", length).await {
        length -= 10;
    }

    let ran = fixture.ctl("--json client track --service 1").run().await;
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(1), 1), "{}", ran.stderr);
    assert!(ran.stderr.contains("the database call failed: ValidationException"), "{}", ran.stderr);
    let first = only(&ran.stdout)["tracked"].as_u64().unwrap();

    fixture.remove_item("client#full").await;
    let expected = json!({ "tracked": 40 - first, "already_tracked": first, "not_dynamic": 0 });
    assert_eq!(fixture.object("client track --service 1").await, expected);
}

#[tokio::test]
async fn after_ctrl_c_the_writes_under_way_are_finished_and_a_second_run_tracks_the_rest() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    for number in 0..60 {
        fixture.register_untracked("1", &format!("old-{number}")).await;
    }
    let ran = fixture.interrupt("--json client track --service 1", 20).await;
    let expected = "\
deregisterctl: interrupted: waiting for the writes under way
deregisterctl: interrupted: run the same command again to track the other clients\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), expected));
    assert_eq!(only(&ran.stdout), json!({ "tracked": 36, "already_tracked": 0, "not_dynamic": 0 }));

    let expected = json!({ "tracked": 24, "already_tracked": 36, "not_dynamic": 0 });
    assert_eq!(fixture.object("client track --service 1").await, expected);
}

#[tokio::test]
async fn an_unreadable_item_fails_the_command_after_the_others() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    fixture.register_untracked("1", "old").await;
    fixture.put_broken("client", "service_id", "1").await;

    let ran = fixture.ctl("--json client track --service 1").run().await;
    let expected = json!({ "tracked": 1, "already_tracked": 0, "not_dynamic": 0 });
    assert_eq!((ran.code, only(&ran.stdout)), (Some(1), expected));
    assert!(ran.stderr.contains("client#broken cannot be read"), "{}", ran.stderr);
    assert!(fixture.live("old").await.idle.is_some());
}

/// The items under these keys.
async fn items_under(fixture: &Fixture, keys: &[&str]) -> Vec<Option<Item>> {
    let mut items = Vec::new();
    for key in keys {
        items.push(fixture.item(key).await);
    }
    items
}
