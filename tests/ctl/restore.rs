//! `client restore`

use crate::{
    run::{only, text},
    support::{
        Fixture, basic,
        build::{api_client, id, oauth_client},
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

#[tokio::test]
async fn a_restored_client_deletes_itself_with_its_former_token() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let token = fixture.register("7").await;

    let ran = fixture.delete("7 --yes --by jane", "").await;
    assert_eq!(
        (ran.code, &*ran.stderr),
        (Some(0), "deleted: 1, already deleted: 0, not found: 0, refused: 0, failed: 0\n")
    );
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
async fn a_nearly_full_client_is_restored_and_the_output_says_what_it_lacks() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    // The tombstone has room for everything. The restoration has not.
    fixture.register_with_room("full", 170).await;
    fixture.delete("full --yes", "").await;
    assert!(fixture.object("deletion show full").await["lacks"].is_null());
    let printed = fixture.ctl("client restore full").run().await.done();
    let headline =
        "The client is live again, with its former credentials. Grants that were removed are not restored.\n";
    assert!(printed.starts_with(headline) && printed.ends_with("  lacks        metadata\n"), "{printed}");
    assert!(fixture.lives("full").await);
}

#[tokio::test]
async fn the_output_says_if_the_credentials_are_missing() {
    let fixture = Fixture::empty().await;
    let feature = "x".repeat(400_000);
    let client = api_client().application("app").secret("secret").feature(&feature).build();
    fixture.direct().create_client(&id("full"), &client).await.unwrap();
    let grow = fixture.sdk.update_item().table_name("clients").key("pk", AttributeValue::S("client#full".to_owned()));
    let mut filler = 9_600_usize;
    let add = |length| {
        let features = AttributeValue::L(vec![AttributeValue::S("x".repeat(400_000 + length))]);
        grow.clone().update_expression("SET client.features = :f").expression_attribute_values(":f", features).send()
    };
    while add(filler).await.is_err() {
        filler -= 10;
    }
    fixture.delete("full --yes", "").await;
    let printed = fixture.ctl("client restore full").run().await.done();
    assert!(printed.starts_with("The client is live again, without its former credentials.\n"), "{printed}");
    assert!(printed.ends_with("  lacks        features, ip_allow_list, protected, secrets\n"), "{printed}");
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

#[tokio::test]
async fn a_list_of_deletions_is_restored_as_the_tool_prints_it() {
    let fixture = Fixture::empty().await;
    let ids = ["a", "a b", "a\nb", "#a", "-a", "\u{feff}a"];
    for id in ids {
        fixture.create(id, oauth_client().not_dynamic()).await;
    }
    let list = ids.map(|id| json!({ "client_id": id }).to_string()).join("\n");
    let deleted = fixture.delete("--from - --yes", &list).await;
    assert_eq!((deleted.code, deleted.objects().len()), (Some(0), ids.len()), "{}", deleted.stderr);

    let listed = fixture.ctl("--json deletion list").run().await.done();
    for (restored, refused, code) in [(ids.len(), 0, 0), (0, ids.len(), 1)] {
        let ran = fixture.ctl("--json client restore --from - --by jane").with_stdin(&listed).run().await;
        let summary = format!("restored: {restored}, not found: 0, refused: {refused}, failed: 0\n");
        assert_eq!((ran.code, ran.objects().len()), (Some(code), ids.len()), "{}", ran.stderr);
        assert!(ran.stderr.starts_with(&summary), "{}", ran.stderr);
    }
    for id in ids {
        assert!(fixture.lives(id).await, "{id:?}");
    }
    let ran = fixture.ctl("client restore a missing").run().await;
    let expected = "\
a                                 refused     it is live
missing                           not found\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), expected));
}

/// The status of a deletion by this API client.
async fn status(fixture: &Fixture, credentials: (&str, &str)) -> u16 {
    let answer = fixture.send("DELETE", "/config/app/clients/missing", Some(&basic(credentials)), "").await;
    answer.status().as_u16()
}
