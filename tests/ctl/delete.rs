//! `client delete`

use crate::{
    run::{Ran, file, text},
    support::Fixture,
};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;
use std::collections::BTreeSet;

#[tokio::test]
async fn owners_and_protected_clients_are_refused_also_in_a_dry_run() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --feature owner --id me").await;
    fixture.object("service create 1").await;
    for line in [
        "client create --app app --id plain",
        "client create --app app --id guarded --protected",
        "client create --app app --id gone",
        "client register --service 1 --id 7 --static",
    ] {
        fixture.object(line).await;
    }
    fixture.delete("gone --yes", "").await;
    let before = fixture.clients_by_key().await;

    let line = "me plain guarded gone missing 7 plain";
    let ran = fixture.delete(&format!("{line} --dry-run"), "").await;
    let refused = [
        ("me", "refused", Some("it is an owner")),
        ("guarded", "refused", Some("it is protected")),
        ("missing", "not_found", None),
        ("gone", "already_deleted", None),
    ];
    let with = |outcome| -> BTreeSet<_> {
        let outcomes = refused.into_iter().chain([("plain", outcome, None), ("7", outcome, None)]);
        outcomes.map(|(id, outcome, reason)| (id.to_owned(), outcome.to_owned(), reason.map(str::to_owned))).collect()
    };
    assert_eq!((ran.code, outcomes(&ran)), (Some(1), with("would_be_deleted")));
    assert_eq!(ran.stdout.lines().count(), 6, "a repeated id is deleted once");
    let summary = "deleted: 2, already deleted: 1, not found: 1, refused: 2, failed: 0\n";
    assert_eq!(ran.stderr, format!("would be {summary}deregisterctl: clients not deleted: 3\n"));
    assert_eq!(fixture.clients_by_key().await, before);

    let ran = fixture.delete(&format!("{line} --yes"), "").await;
    assert_eq!((ran.code, outcomes(&ran)), (Some(1), with("deleted")));
    assert_eq!(ran.stderr, format!("{summary}deregisterctl: clients not deleted: 3\n"));
    for (id, is_live) in [("me", true), ("guarded", true), ("plain", false), ("7", false)] {
        assert_eq!(fixture.lives(id).await, is_live, "{id}");
    }
}

#[tokio::test]
async fn people_see_one_line_for_each_client() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id a").await;
    fixture.object("client create --app app --id b --protected").await;
    let ran = fixture.ctl("client delete a b --concurrency 1 --yes").run().await;
    let expected = "\
a                                 deleted
b                                 refused           it is protected\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), expected));
}

#[tokio::test]
async fn without_a_terminal_a_deletion_needs_yes() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id a").await;
    for (line, stdin) in [("a", "a\n"), ("--from -", "a\n")] {
        let ran = fixture.delete(line, stdin).await;
        assert_eq!((ran.code, &*ran.stdout), (Some(2), ""), "{line}");
        assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
    }
    assert!(fixture.lives("a").await);
}

#[tokio::test]
async fn a_second_run_deletes_the_rest_of_a_list() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let registered = fixture.objects("client register --service 1 --count 30").await;
    let ids: Vec<_> = registered.iter().map(|client| text(client, "client_id")).collect();
    let list = format!("\u{FEFF}{}\r\n\n\r\n", ids.join("\n"));

    // The first run deletes a part of the list.
    let ran = fixture.delete("--from - --yes", &ids[..10].join("\n")).await;
    assert_eq!((ran.code, ran.stdout.lines().count()), (Some(0), 10));

    let path = file("to-delete", &list);
    for (deleted, already) in [(20, 10), (0, 30)] {
        let ran = fixture.delete(&format!("--from {} --yes", path.display()), "").await;
        assert_eq!((ran.code, ran.stdout.lines().count()), (Some(0), 30));
        assert_eq!(
            ran.stderr,
            format!("deleted: {deleted}, already deleted: {already}, not found: 0, refused: 0, failed: 0\n")
        );
    }
    for client in &registered {
        let (id, token) = (text(client, "client_id"), text(client, "registration_access_token"));
        assert_eq!(fixture.delete_itself(id, token).await, 401);
    }
    let requests: BTreeSet<_> = fixture
        .objects("deletion list --service 1")
        .await
        .iter()
        .map(|one| text(one, "request_id").to_owned())
        .collect();
    assert_eq!(requests.len(), 30, "each deletion has an id of its own");
}

#[tokio::test]
async fn an_unreadable_list_deletes_nothing() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id a").await;
    let long = file("too-long", &format!("a\n\n{}\n", "x".repeat(2041)));
    for (path, reason) in [(long.to_str().unwrap(), "line 3 is not a client id"), ("no-such-file", "cannot be read")] {
        let ran = fixture.ctl(&format!("client delete --from {path} --yes")).run().await;
        assert!(ran.refused().contains(reason), "{path}");
    }
    assert!(fixture.lives("a").await);
}

#[tokio::test]
async fn after_a_database_fault_no_further_deletion_is_started() {
    let fixture = Fixture::empty().await;
    let ids: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    let run = fixture.ctl("client delete --from - --yes --table nowhere").with_stdin(&ids.join("\n"));
    let ran = run.run().await;
    assert_eq!(ran.code, Some(1));
    assert!((1..=8).contains(&ran.stdout.lines().count()), "{}", ran.stdout);
    assert!(ran.stderr.contains("failed: ") && ran.stderr.contains("ResourceNotFoundException"), "{}", ran.stderr);
}

#[tokio::test]
async fn an_unreadable_item_does_not_stop_the_others() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id good").await;
    let put = fixture.sdk.put_item().table_name("clients").item("pk", AttributeValue::S("client#broken".to_owned()));
    put.item("client", AttributeValue::Bool(true)).send().await.unwrap();
    let ran = fixture.delete("broken good --concurrency 1 --yes", "").await;
    let outcomes: Vec<_> = ran.objects().iter().map(|one| text(one, "outcome").to_owned()).collect();
    assert_eq!((ran.code, outcomes), (Some(1), vec!["failed".to_owned(), "deleted".to_owned()]));
    assert!(ran.stderr.ends_with("deregisterctl: clients not deleted: 1\n"), "{}", ran.stderr);
}

#[tokio::test]
async fn after_ctrl_c_the_deletions_under_way_are_finished_and_a_second_run_deletes_the_rest() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let registered = fixture.objects("client register --service 1 --count 60").await;
    let ids: Vec<_> = registered.iter().map(|client| text(client, "client_id")).collect();
    let line = format!("client delete --from {} --yes", file("interrupted-ids", &ids.join("\n")).display());

    let ran = fixture.interrupt(&format!("{line} --concurrency 16"), 20).await;
    let expected = "\
deregisterctl: interrupted: waiting for the deletions under way
deleted: 36, already deleted: 0, not found: 0, refused: 0, failed: 0
deregisterctl: interrupted: run the same command again to delete the other clients\n";
    assert_eq!((ran.code, ran.stderr.as_str(), ran.stdout.lines().count()), (Some(1), expected, 36));

    let ran = fixture.ctl(&line).run().await;
    assert_eq!(ran.stderr, "deleted: 24, already deleted: 36, not found: 0, refused: 0, failed: 0\n");
}

#[tokio::test]
async fn sigterm_ends_a_run_like_ctrl_c_and_a_second_signal_ends_it_at_once() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let registered = fixture.objects("client register --service 1 --count 60").await;
    let ids: Vec<_> = registered.iter().map(|client| text(client, "client_id")).collect();
    let path = file("terminated-ids", &ids.join("\n"));
    let line = format!("client delete --from {} --yes --concurrency 16", path.display());

    let ran = fixture.interrupt_by(&["TERM"], &line, 4).await;
    assert!(
        ran.stderr.contains("deleted: 20, already deleted: 0, not found: 0, refused: 0, failed: 0"),
        "{}",
        ran.stderr
    );
    for second in ["INT", "TERM"] {
        let ran = fixture.interrupt_by(&["INT", second], &line, 4).await;
        assert_eq!(ran.code, Some(1));
        assert!(ran.stderr.contains("some deletions under way may have taken effect\ndeleted: 4,"), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn a_line_of_a_list_is_an_id_byte_for_byte() {
    let fixture = Fixture::empty().await;
    for id in ["a", "#a", "{"] {
        fixture.object(&format!("client create --app app --id={id}")).await;
    }
    for (list, gone) in [(" a\n", ""), ("#a\n", "#a"), ("{\n", "{"), (r#"{"client_id":"a","via":"sweep"}"#, "a")] {
        let before = [fixture.lives("a").await, fixture.lives("#a").await, fixture.lives("{").await];
        let ran = fixture.delete("--from - --yes", list).await;
        let after = [fixture.lives("a").await, fixture.lives("#a").await, fixture.lives("{").await];
        let expected = ["a", "#a", "{"].map(|id| id != gone);
        assert_eq!(after, [0, 1, 2].map(|n| before[n] && expected[n]), "{list}: {}", ran.stderr);
        assert_eq!(ran.code, Some(i32::from(gone.is_empty())), "{list}");
    }
}

/// The outcome of each client, with its reason.
fn outcomes(ran: &Ran) -> BTreeSet<(String, String, Option<String>)> {
    let outcome = |one: &Value| {
        let reason = one["reason"].as_str().map(str::to_owned);
        (text(one, "client_id").to_owned(), text(one, "outcome").to_owned(), reason)
    };
    ran.objects().iter().map(outcome).collect()
}
