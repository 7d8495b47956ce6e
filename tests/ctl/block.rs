//! `client block`, `client unblock` and `client list --blocked`

use crate::{
    run::{only, text},
    support::{Fixture, build::id},
    write_proxy::Write,
};
use deregister::store::ClientStatuses;
use serde_json::{Value, json};

const URL: &str = "https://client.example/metadata.json";

impl Fixture {
    async fn is_blocked(&self, client_id: &str) -> bool {
        self.direct().client_status(&id(client_id)).await.unwrap().is_blocked()
    }

    /// Runs a command on one id, and returns its outcome.
    async fn outcome(&self, line: &str) -> (Option<i32>, Value) {
        let ran = self.ctl(&format!("--json client {line}")).run().await;
        (ran.code, only(&ran.stdout))
    }
}

#[tokio::test]
async fn an_id_that_was_never_stored_is_blocked_and_free_again() {
    let fixture = Fixture::empty().await;
    let ran = fixture.ctl(&format!("--json client block {URL} --by jane")).run().await;
    let summary = "blocked: 1, already blocked: 0, refused: 0, failed: 0\n";
    assert_eq!((ran.code, &*ran.stderr), (Some(0), summary));
    let blocked = only(&ran.stdout);
    assert_eq!((&blocked["client_id"], &blocked["outcome"]), (&json!(URL), &json!("blocked")));
    assert!(fixture.is_blocked(URL).await);

    let (code, again) = fixture.outcome(&format!("block {URL}")).await;
    assert_eq!((code, &again["outcome"]), (Some(0), &json!("already_blocked")));
    let taken = fixture.ctl("client create --app app --id never").run().await;
    assert_eq!(taken.code, Some(0));
    fixture.ctl("client block other").run().await;
    let taken = fixture.ctl("client create --app app --id other").run().await.refused();
    assert!(taken.starts_with("a live or deleted client has the id other, or it is blocked"), "{taken}");

    for line in [format!("client show {URL}"), format!("deletion show {URL}")] {
        let shown = fixture.object(&line).await;
        for (name, value) in [
            ("deleted", json!(true)),
            ("blocked", json!(true)),
            ("blocked_by", json!("operator#jane")),
            ("request_id", blocked["request_id"].clone()),
        ] {
            assert_eq!(shown[name], value, "{line}");
        }
    }
    assert_eq!(fixture.object(&format!("deletion show {URL}")).await["restorable"], json!(false));
    assert_eq!(fixture.ctl("--json deletion list").run().await.done(), "", "it is no deletion of a client");
    let refused = fixture.ctl(&format!("client restore {URL}")).run().await.refused();
    assert_eq!(refused, format!("the id {URL} is blocked: unblock it first, with client unblock"));
    let refused = fixture.ctl(&format!("client restore {URL} missing")).run().await;
    assert!(refused.stdout.contains("it is blocked: unblock it first"), "{}", refused.stdout);
    let deleted = fixture.delete(&format!("{URL} --yes"), "").await;
    assert_eq!(only(&deleted.stdout)["outcome"], "already_deleted");
    assert_eq!(fixture.ctl("table check").run().await.code, Some(0));

    let (code, unblocked) = fixture.outcome(&format!("unblock {URL}")).await;
    assert_eq!((code, &unblocked["outcome"], &unblocked["now"]), (Some(0), &json!("unblocked"), &json!("free")));
    let (code, again) = fixture.outcome(&format!("unblock {URL}")).await;
    assert_eq!((code, &again["reason"]), (Some(1), &json!("it is not blocked")));
    fixture.create(URL, crate::support::build::oauth_client()).await;
}

#[tokio::test]
async fn a_live_client_is_live_again_with_its_token_and_a_deleted_one_can_be_restored() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let token = fixture.register("live").await;
    fixture.register("deleted").await;
    fixture.delete("deleted --yes", "").await;
    let ran = fixture.ctl("client block live deleted").run().await;
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(0), 2), "{}", ran.stderr);
    assert!(fixture.is_blocked("live").await && fixture.is_blocked("deleted").await);
    assert_eq!(fixture.delete_itself("live", &token).await, 401);
    // Both have a tombstone, so both are listed, and neither can be restored.
    let listed = fixture.objects("deletion list").await;
    assert!(listed.iter().all(|deletion| deletion["restorable"] == json!(false)), "{listed:?}");
    assert_eq!(listed.len(), 2);

    let (code, live) = fixture.outcome("unblock live").await;
    assert_eq!((code, &live["now"], &live["version"]), (Some(0), &json!("live"), &json!(2)));
    let shown = fixture.object("deletion show live").await;
    assert_eq!(shown["history"][0]["blocked_by"], shown["history"][0]["deleted_by"]);
    let printed = fixture.ctl("deletion show live").run().await.done();
    assert!(printed.contains("deleted and blocked "), "{printed}");
    let (code, deleted) = fixture.outcome("unblock deleted").await;
    assert_eq!((code, &deleted["now"]), (Some(0), &json!("deleted")));
    assert!(fixture.object("deletion show deleted").await["restorable"] == json!(true), "{deleted}");
    fixture.object("client restore deleted").await;
    assert_eq!(fixture.delete_itself("live", &token).await, 204);
}

#[tokio::test]
async fn an_owner_and_a_protected_client_are_refused() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id me --feature owner").await;
    fixture.object("client create --app app --id safe --protected").await;
    let before = fixture.items("clients").await;
    let ran = fixture.ctl("client block me safe").run().await;
    let expected = "\
me                                refused                     it is an owner
safe                              refused                     it is protected
";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), expected));
    assert!(ran.stderr.ends_with("deregisterctl: ids not blocked: 2\n"), "{}", ran.stderr);
    assert_eq!(fixture.items("clients").await, before);
}

#[tokio::test]
async fn blocked_ids_are_listed_and_the_list_is_an_input() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id live").await;
    let ids = ["a b", "-x", "\u{202e}c", URL];
    let list = ids.map(|id| json!({ "client_id": id }).to_string()).join("\n");
    let ran = fixture.ctl("client block --from - --by jane").with_stdin(&list).run().await;
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(!ran.stdout.contains('\u{202e}'), "{}", ran.stdout);

    let printed = fixture.ctl("client list --blocked").run().await.done();
    assert!(printed.starts_with("client id ") && printed.contains("operator#jane"), "{printed}");
    assert_eq!(printed.lines().count(), 1 + ids.len());
    assert_eq!(fixture.ctl("client list --blocked --limit 2").run().await.done().lines().count(), 3);
    let listed = fixture.ctl("--json client list --blocked").run().await.done();
    let ran = fixture.ctl("--json client unblock --from -").with_stdin(&listed).run().await;
    assert_eq!((ran.code, &*ran.stderr), (Some(0), "unblocked: 4, refused: 0, failed: 0\n"));
    assert_eq!(fixture.client_keys().await, ["client#live"]);
}

#[tokio::test]
async fn a_lost_answer_is_no_failure() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id live").await;
    for (line, now) in
        [("block new", None), ("block live", None), ("unblock new", Some("free")), ("unblock live", Some("live"))]
    {
        let endpoint = fixture.write_proxy(|write| if write == 0 { Write::Ambiguous } else { Write::Done }).await;
        let run = fixture.ctl(&format!("--json client {line}")).with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint);
        let ran = run.run().await;
        assert_eq!(ran.code, Some(0), "{line}: {} {}", ran.stdout, ran.stderr);
        let done = only(&ran.stdout);
        assert_eq!(now.map(|_| text(&done, "now")), now, "{line}");
    }
    assert_eq!(fixture.client_keys().await, ["client#live"]);
}
