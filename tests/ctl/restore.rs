//! `client restore`

use crate::{
    run::{only, text},
    support::{Fixture, basic},
};
use serde_json::json;

#[tokio::test]
async fn a_restored_client_deletes_itself_with_its_former_token() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let token = fixture.register("7").await;

    let ran = fixture.delete("7 --yes --by jane", "").await;
    assert_eq!((ran.code, &*ran.stderr), (Some(0), "deleted: 1, already deleted: 0, refused: 0, failed: 0\n"));
    assert_eq!(fixture.delete_itself("7", &token).await, 401);

    let shown = fixture.object("deletion show 7").await;
    assert_eq!(shown["request_id"], only(&ran.stdout)["request_id"]);
    for (name, value) in [("deleted_by", json!("operator#jane")), ("via", json!("deregisterctl"))] {
        assert_eq!(shown[name], value);
    }
    assert_eq!((&shown["deleted"], &shown["restorable"]), (&json!(true), &json!(true)));

    let restored = fixture.object("client restore 7 --by john").await;
    let expected = json!({
        "client_id": "7",
        "restored_by": "operator#john",
        "version": 2,
        "entity_tag": "\"2\"",
    });
    assert_eq!(restored, expected);
    assert_eq!(fixture.delete_itself("7", &token).await, 204);

    let history = fixture.object("deletion show 7").await["history"].clone();
    assert_eq!(history.as_array().unwrap().len(), 1);
    for name in ["deleted_at", "deleted_by", "via", "source_ip", "request_id"] {
        assert_eq!(history[0][name], shown[name], "{name}");
    }
    assert_eq!(history[0]["restored_by"], "operator#john");
}

#[tokio::test]
async fn a_restored_caller_has_its_former_secret() {
    let fixture = Fixture::empty().await;
    let created = fixture.object("client create --app app --id me").await;
    let credentials = ("me", text(&created, "client_secret"));
    assert_eq!(status(&fixture, credentials).await, 403, "known, and not an owner");
    fixture.delete("me --yes", "").await;
    assert_eq!(status(&fixture, credentials).await, 401);
    fixture.object("client restore me").await;
    assert_eq!(status(&fixture, credentials).await, 403);
}

#[tokio::test]
async fn a_refusal_has_its_reason_and_changes_nothing() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id live").await;
    fixture.object("client create --app app --id late").await;
    let ran = fixture.ctl("client delete late --yes").with_env("RETENTION_DAYS", "0").run().await;
    assert_eq!(ran.code, Some(0));
    let before = fixture.items("clients").await;
    let shown = fixture.object("deletion show late").await;
    assert_eq!((&shown["restorable"], &shown["restorable_until"]), (&json!(false), &shown["deleted_at"]));

    for (id, reason) in [
        ("live", "the client live is live: there is nothing to restore".to_owned()),
        (
            "late",
            format!(
                "it is too late to restore the client late: it could be restored until {}",
                text(&shown, "restorable_until")
            ),
        ),
        ("missing", "there is no client missing, and no tombstone of one: check the id".to_owned()),
    ] {
        assert_eq!(fixture.ctl(&format!("client restore {id}")).run().await.refused(), reason);
    }
    assert!(fixture.ctl("deletion show missing").run().await.refused().starts_with("there is no client missing"));
    assert_eq!(fixture.items("clients").await, before);
}

#[tokio::test]
async fn the_remaining_grants_are_counted() {
    let fixture = Fixture::empty().await;
    fixture.used_and_unused().await;
    fixture.grant("7", 3).await;
    fixture.object("client create --app app --id api").await;
    for (line, grants) in [
        ("7", None),
        ("7 --grants-table grants", Some("  grants       3\n")),
        ("7 --grants-table grants --count-up-to 2", Some("  grants       more than 2\n")),
        ("8 --grants-table grants", Some("  grants       0\n")),
    ] {
        fixture.delete(&format!("{} --yes", &line[..1]), "").await;
        let printed = fixture.ctl(&format!("client restore {line}")).run().await.done();
        let headline =
            "The client is live again, with its former credentials. Grants that were removed are not restored.\n";
        let members = printed.strip_prefix(headline).unwrap_or_else(|| panic!("{printed}"));
        assert_eq!(members.contains("grants"), grants.is_some(), "{printed}");
        assert!(members.ends_with(grants.unwrap_or_default()), "{printed}");
    }
    fixture.delete("7 api --yes", "").await;
    let restored = fixture.object("client restore 7 --grants-table grants --count-up-to 2").await;
    assert_eq!((&restored["grants"], &restored["more_grants"]), (&json!(2), &json!(true)));
    let printed = fixture.ctl("client restore api").run().await.done();
    assert!(!printed.to_lowercase().contains("grants"), "an API client has none: {printed}");
}

/// The status of a deletion by this API client.
async fn status(fixture: &Fixture, credentials: (&str, &str)) -> u16 {
    let answer = fixture.send("DELETE", "/config/app/clients/missing", Some(&basic(credentials)), "").await;
    answer.status().as_u16()
}
