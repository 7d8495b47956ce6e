//! `client protect` and `client unprotect`

use crate::{
    run::text,
    support::{
        Fixture, basic,
        build::{api_client, id},
    },
};
use serde_json::json;

#[tokio::test]
async fn an_owner_cannot_delete_a_protected_client() {
    let fixture = Fixture::empty().await;
    let owner = fixture.object("client create --app app --id me --feature owner").await;
    fixture.object("client create --app app --id target").await;
    let credentials = basic(("me", text(&owner, "client_secret")));
    for (command, protected, version, status) in [("protect", true, 2, 403), ("unprotect", false, 3, 204)] {
        let expected = json!({
            "client_id": "target",
            "protected": protected,
            "version": version,
            "entity_tag": format!("\"{version}\""),
        });
        assert_eq!(fixture.object(&format!("client {command} target")).await, expected);
        let answer = fixture.send("DELETE", "/config/app/clients/target", Some(&credentials), "").await;
        assert_eq!(answer.status(), status, "{command}");
    }
}

#[tokio::test]
async fn a_client_that_is_not_live_is_refused() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let token = fixture.register("7").await;
    fixture.delete_itself("7", &token).await;
    let before = fixture.items("clients").await;
    for line in ["client protect 7", "client unprotect 7", "client protect missing"] {
        assert!(fixture.ctl(line).run().await.refused().starts_with("there is no live client"), "{line}");
    }
    assert_eq!(fixture.items("clients").await, before);
}

#[tokio::test]
async fn a_client_without_a_version_gets_its_first_version() {
    let fixture = Fixture::empty().await;
    fixture.direct().create_client(&id("old"), &api_client().version(None).build()).await.unwrap();
    assert_eq!(fixture.object("client protect old").await["version"], 1);
}
