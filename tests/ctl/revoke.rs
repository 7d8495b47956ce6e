//! `client revoke`

use crate::{
    run::{only, text},
    support::{Fixture, build::id},
    write_proxy::Write,
};
use deregister::store::ClientStatuses;
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_revoked_client_keeps_its_token_and_loses_what_was_issued_before() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let token = fixture.register("7").await;
    let ran = fixture.ctl("--json client revoke 7 --by jane").run().await;
    assert_eq!((ran.code, &*ran.stderr), (Some(0), "revoked: 1, not found: 0, refused: 0, failed: 0\n"));
    let revoked = only(&ran.stdout);
    for (name, value) in [("outcome", json!("revoked")), ("version", json!(2)), ("entity_tag", json!("\"2\""))] {
        assert_eq!(revoked[name], value);
    }

    let status = fixture.direct().client_status(&id("7")).await.unwrap();
    let until = humantime::parse_rfc3339(text(&revoked, "revoked_until")).unwrap();
    assert!(!status.accepts(until) && status.accepts(until + Duration::from_secs(1)));

    let shown = fixture.object("deletion show 7").await;
    let revocation = json!({
        "revoked_at": revoked["revoked_until"],
        "revoked_by": "operator#jane",
        "request_id": revoked["request_id"],
    });
    assert_eq!((&shown["history"], &shown["revocations"]), (&json!([]), &json!([revocation])));
    let printed = fixture.ctl("deletion show 7").run().await.done();
    assert!(printed.contains("  history      none\n") && printed.contains(" by operator#jane ("), "{printed}");
    assert_eq!(fixture.ctl("deletion list").run().await.done().lines().count(), 1, "it is no deletion");
    assert_eq!(fixture.object("client show 7").await["last_used_at"], json!(null), "it is no use");
    assert!(fixture.ctl("table check").run().await.code == Some(0));
    assert_eq!(fixture.delete_itself("7", &token).await, 204);
}

#[tokio::test]
async fn every_id_of_a_list_has_its_outcome() {
    let fixture = Fixture::empty().await;
    for id in ["live", "gone"] {
        fixture.object(&format!("client create --app app --id {id}")).await;
    }
    fixture.delete("gone --yes", "").await;
    let before = fixture.clients_by_key().await;
    let ran =
        fixture.ctl("client revoke --from - --concurrency 1").with_stdin("live\ngone\nmissing\nlive\n").run().await;
    let expected = "\
live                              revoked
gone                              refused                     it is deleted or blocked: everything is refused
missing                           not found
";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), expected));
    let summary =
        "revoked: 1, not found: 1, refused: 1, failed: 0\nderegisterctl: clients whose grants were not revoked: 2\n";
    assert_eq!(ran.stderr, summary);
    assert_eq!(fixture.clients_by_key().await["client#gone"], before["client#gone"]);
}

#[tokio::test]
async fn a_lost_answer_makes_one_revocation() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id a").await;
    let endpoint = fixture.write_proxy(|write| if write == 0 { Write::Ambiguous } else { Write::Done }).await;
    let ran = fixture.ctl("client revoke a").with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint).run().await;
    assert_eq!((ran.code, &*ran.stderr), (Some(0), "revoked: 1, not found: 0, refused: 0, failed: 0\n"));
    assert_eq!(fixture.object("deletion show a").await["revocations"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_full_item_is_left_as_it_is() {
    let fixture = Fixture::empty().await;
    fixture.register_with_room("full", 20).await;
    let before = fixture.items("clients").await;
    let ran = fixture.ctl("--json client revoke full").run().await;
    assert_eq!(only(&ran.stdout)["reason"], "its item is full: nothing was changed");
    assert_eq!((ran.code, fixture.items("clients").await == before), (Some(1), true), "{}", ran.stderr);
}
