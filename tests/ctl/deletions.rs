//! The promises of the operator's tool about deletions: what it deletes, what it restores, and what it tells of both.

use crate::support::{Fixture, basic, bearer, now};
use crate::tool::{Ran, ctl, delete_itself, file, id, object, objects, only, parse, table, text};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// An empty application `app` with the owner `me`, whose secret is given back.
async fn application(fixture: &Fixture) -> String {
    text(&object(fixture, "client create --app app --feature owner --id me").await, "client_secret").to_owned()
}

/// Runs a deletion, of which this is the input; its objects, and its sentences on the standard error.
async fn delete(fixture: &Fixture, line: &str, stdin: &str) -> (Option<i32>, Vec<Value>, String) {
    let Ran { code, stdout, stderr } =
        ctl(fixture, &format!("--json client delete {line}")).with_stdin(stdin).run().await;
    (code, stdout.lines().map(parse).collect(), stderr)
}

/// The outcome for each client, and the reason for those that have one.
fn outcomes(told: &[Value]) -> BTreeSet<(&str, &str, Option<&str>)> {
    told.iter().map(|one| (text(one, "client_id"), text(one, "outcome"), one["reason"].as_str())).collect()
}

/// Two clients that registered themselves: 7 was never used, and 8 was.
async fn two_clients(fixture: &Fixture) {
    object(fixture, "service create 1").await;
    for id in ["7", "8"] {
        object(fixture, &format!("client register --service 1 --id {id}")).await;
    }
    let (used, store) = (id("8"), fixture.direct());
    let standing = store.client_status(&used).await.unwrap();
    assert!(store.note_use(&used, &standing, now()).await.unwrap());
}

/// A table of grants, in which this client has so many.
async fn grant(fixture: &Fixture, client_id: &str, count: u32) {
    fixture.create_grants_table().await;
    for number in 0..count {
        let put = fixture.sdk.put_item().table_name("grants");
        let put = put.item("client_id", AttributeValue::S(client_id.to_owned()));
        put.item("grant_id", AttributeValue::S(number.to_string())).send().await.unwrap();
    }
}

async fn door(fixture: &Fixture, caller: (&str, &str)) -> u16 {
    fixture.send("DELETE", "/config/app/clients/nobody", Some(&basic(caller)), "").await.status().as_u16()
}

#[tokio::test]
async fn a_client_that_was_deleted_and_restored_deletes_itself_with_the_token_that_it_had() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 1").await;
    let registered = object(&fixture, "client register --service 1 --id 7").await;
    let token = text(&registered, "registration_access_token");

    let (code, told, stderr) = delete(&fixture, "7 --yes --by jane", "").await;
    assert_eq!((code, stderr.as_str()), (Some(0), "deleted: 1, already deleted: 0, refused: 0, failed: 0\n"));
    assert_eq!(told.len(), 1);
    assert_eq!(delete_itself(&fixture, "7", token).await, 401);

    let shown = object(&fixture, "deletion show 7").await;
    assert_eq!(shown["request_id"], told[0]["request_id"]);
    for (name, value) in [("deleted_by", json!("operator#jane")), ("via", json!("deregisterctl"))] {
        assert_eq!(shown[name], value);
    }
    assert_eq!((&shown["deleted"], &shown["restorable"]), (&json!(true), &json!(true)));

    let restored = object(&fixture, "client restore 7 --by john").await;
    let expected = json!({
        "client_id": "7",
        "restored_by": "operator#john",
        "version": 2,
        "entity_tag": "\"2\"",
    });
    assert_eq!(restored, expected);
    assert_eq!(delete_itself(&fixture, "7", token).await, 204);

    let history = object(&fixture, "deletion show 7").await["history"].clone();
    assert_eq!(history.as_array().unwrap().len(), 1);
    for name in ["deleted_at", "deleted_by", "via", "source_ip", "request_id"] {
        assert_eq!(history[0][name], shown[name], "{name}");
    }
    assert_eq!(history[0]["restored_by"], "operator#john");
}

#[tokio::test]
async fn a_caller_that_was_deleted_and_restored_has_the_secret_that_it_had() {
    let fixture = Fixture::empty().await;
    let created = object(&fixture, "client create --app app --id me").await;
    let credentials = ("me", text(&created, "client_secret"));
    assert_eq!(door(&fixture, credentials).await, 403, "known, and no owner");
    delete(&fixture, "me --yes", "").await;
    assert_eq!(door(&fixture, credentials).await, 401);
    object(&fixture, "client restore me").await;
    assert_eq!(door(&fixture, credentials).await, 403);
}

#[tokio::test]
async fn people_are_told_the_deletion_and_its_history_in_lines() {
    let fixture = Fixture::empty().await;
    object(&fixture, "client create --app app --id a").await;
    for _ in 0..2 {
        delete(&fixture, "a --yes --by jane", "").await;
        ctl(&fixture, "client restore a").run().await.done();
    }
    let shown = ctl(&fixture, "deletion show a").run().await.done();
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines[..3], ["A live client.", "  client id  a", "  deleted    no"], "{shown}");
    for (line, name) in [(lines[3], "  history    "), (lines[4], "             ")] {
        let told = line.strip_prefix(name).unwrap();
        assert!(told.starts_with("deleted 2") && told.contains(" by operator#jane via deregisterctl ("), "{told}");
        assert!(told.ends_with(" by operator"), "{told}");
    }

    delete(&fixture, "a --yes", "").await;
    let shown = ctl(&fixture, "deletion show a").run().await.done();
    assert!(shown.starts_with("A deleted client.\n") && shown.contains("  restorable        yes\n"), "{shown}");
}

#[tokio::test]
async fn a_record_names_who_is_given_or_else_the_user() {
    let fixture = Fixture::empty().await;
    for (by, user, name) in [
        ("--by jane", Some("john"), "operator#jane"),
        ("", Some("john"), "operator#john"),
        // An event quotes it, and nobody says that it is escaped there.
        ("", Some("CORP\\\"john\"\n"), "operator#CORP__john__"),
        ("", Some(""), "operator"),
        ("", None, "operator"),
    ] {
        object(&fixture, "client create --app app --id a").await;
        for command in ["delete a --yes", "restore a", "delete a --yes"] {
            let mut run = ctl(&fixture, &format!("client {command} {by}"));
            if let Some(user) = user {
                run = run.with_env("USER", user);
            }
            assert_eq!(run.run().await.code, Some(0));
        }
        let shown = object(&fixture, "deletion show a").await;
        assert_eq!((&shown["deleted_by"], &shown["history"][0]["restored_by"]), (&json!(name), &json!(name)));
        let key = AttributeValue::S("client#a".to_owned());
        fixture.sdk.delete_item().table_name("clients").key("pk", key).send().await.unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_restored_is_refused_with_the_reason_and_left_as_it_is() {
    let fixture = Fixture::empty().await;
    object(&fixture, "client create --app app --id live").await;
    object(&fixture, "client create --app app --id late").await;
    let ran = ctl(&fixture, "client delete late --yes").with_env("RETENTION_DAYS", "0").run().await;
    assert_eq!(ran.code, Some(0));
    let before = table(&fixture, "clients").await;
    let shown = object(&fixture, "deletion show late").await;
    assert_eq!((&shown["restorable"], &shown["restorable_until"]), (&json!(false), &shown["deleted_at"]));

    for (id, reason) in [
        ("live", "the client live is live: there is no deletion to undo".to_owned()),
        ("late", format!("the client late could be restored until {}", text(&shown, "restorable_until"))),
        ("nobody", "there is no client nobody, and none was deleted of late".to_owned()),
    ] {
        assert_eq!(ctl(&fixture, &format!("client restore {id}")).run().await.refused(), reason);
    }
    assert!(ctl(&fixture, "deletion show nobody").run().await.refused().starts_with("there is no client nobody"));
    assert_eq!(table(&fixture, "clients").await, before);
}

#[tokio::test]
async fn deletions_are_listed_as_show_has_them_since_a_time() {
    let fixture = Fixture::empty().await;
    application(&fixture).await;
    object(&fixture, "service create app").await;
    object(&fixture, "client register --service app --id 7").await;
    for id in ["a", "b", "c"] {
        object(&fixture, &format!("client create --app app --id {id}")).await;
    }
    delete(&fixture, "a b 7 --yes", "").await;
    let listed = objects(&fixture, "deletion list --app app").await;
    assert_eq!(listed.iter().map(|one| text(one, "client_id")).collect::<BTreeSet<_>>(), BTreeSet::from(["a", "b"]));
    for one in &listed {
        assert_eq!(object(&fixture, &format!("deletion show {}", text(one, "client_id"))).await, *one);
    }
    for (since, count) in [
        ("1h", 1),
        ("100000d", 1),
        ("2020-01-01", 1),
        ("2020-01-01T08:00:00Z", 1),
        ("2999-01-01", 0),
        ("2999-01-01T08:00:00Z", 0),
    ] {
        assert_eq!(
            objects(&fixture, &format!("deletion list --service app --since {since}")).await.len(),
            count,
            "{since}"
        );
    }
    let printed = ctl(&fixture, "deletion list --service app").run().await.done();
    let (heading, row) = printed.trim_end().split_once('\n').unwrap();
    let expected = "client id                         deleted at            restorable until      via            source ip        deleted by";
    assert_eq!(heading, expected);
    assert!(row.starts_with("7  ") && row.ends_with(&format!("deregisterctl  {:15}  operator", "")), "{row}");
}

#[tokio::test]
async fn a_list_of_deletions_tells_in_the_end_of_one_that_cannot_be_read() {
    let fixture = Fixture::empty().await;
    object(&fixture, "client create --app app --id good").await;
    delete(&fixture, "good --yes", "").await;
    let broken = [("app_id", AttributeValue::S("app".to_owned()))].map(|(name, value)| (name.to_owned(), value));
    let put = fixture.sdk.put_item().table_name("clients").item("pk", AttributeValue::S("client#broken".to_owned()));
    put.item("tombstone", AttributeValue::M(broken.into())).send().await.unwrap();

    let ran = ctl(&fixture, "--json deletion list --app app").run().await;
    assert_eq!((ran.code, text(&only(&ran.stdout), "client_id")), (Some(1), "good"));
    assert!(ran.stderr.contains("client#broken cannot be read"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_deletion_refuses_what_the_function_protects_and_a_dry_run_says_so_beforehand() {
    let fixture = Fixture::empty().await;
    application(&fixture).await;
    object(&fixture, "service create 1").await;
    for line in [
        "client create --app app --id plain",
        "client create --app app --id guarded --protected",
        "client create --app app --id gone",
        "client register --service 1 --id 7 --static",
    ] {
        object(&fixture, line).await;
    }
    delete(&fixture, "gone --yes", "").await;
    let before = table(&fixture, "clients").await;

    let line = "me plain guarded gone nobody 7 plain";
    let (code, told, stderr) = delete(&fixture, &format!("{line} --dry-run"), "").await;
    let refused = [
        ("me", "refused", Some("it is an owner")),
        ("guarded", "refused", Some("it is protected")),
        ("nobody", "refused", Some("there is no such client")),
        ("gone", "already_deleted", None),
    ];
    let with = |outcome| -> BTreeSet<_> {
        refused.into_iter().chain([("plain", outcome, None), ("7", outcome, None)]).collect()
    };
    assert_eq!((code, outcomes(&told)), (Some(1), with("would_be_deleted")));
    assert_eq!(told.len(), 6, "the same client twice is one deletion");
    let summary = "deleted: 2, already deleted: 1, refused: 3, failed: 0\n";
    assert_eq!(stderr, format!("would be {summary}deregisterctl: clients left: 3\n"));
    assert_eq!(table(&fixture, "clients").await, before);

    let (code, told, stderr) = delete(&fixture, &format!("{line} --yes"), "").await;
    assert_eq!((code, outcomes(&told)), (Some(1), with("deleted")));
    assert_eq!(stderr, format!("{summary}deregisterctl: clients left: 3\n"));
    assert!(
        fixture.lives("me").await
            && fixture.lives("guarded").await
            && !fixture.lives("plain").await
            && !fixture.lives("7").await
    );
}

#[tokio::test]
async fn a_dry_run_tells_the_last_use_of_each_client_and_its_grants_where_their_table_is_known() {
    let fixture = Fixture::empty().await;
    two_clients(&fixture).await;
    object(&fixture, "client create --app app --id api").await;
    grant(&fixture, "7", 3).await;
    let (grants, clients) = (table(&fixture, "grants").await, table(&fixture, "clients").await);
    let registered = object(&fixture, "client show 7").await["registered_at"].clone();
    let ids = "7 8 api nobody --dry-run";

    for (line, environment, counted) in [
        ("--grants-table grants", "", Some((3, false))),
        ("--grants-table grants", "nowhere", Some((3, false))),
        ("--count-up-to 3", "grants", Some((3, false))),
        ("--count-up-to 2", "grants", Some((2, true))),
        ("--count-up-to 0", "grants", Some((0, true))),
        ("", "", None),
        ("--count-up-to 2", "", None),
    ] {
        let run = ctl(&fixture, &format!("--json client delete {ids} {line}")).with_env("GRANTS_TABLE", environment);
        let told: Vec<_> = run.run().await.stdout.lines().map(parse).collect();
        let of = |id: &str| told.iter().find(|one| text(one, "client_id") == id).unwrap().clone();
        let expected = |id: &str, mut members: Value, grants, are_more| {
            members["client_id"] = json!(id);
            members["outcome"] = json!("would_be_deleted");
            if counted.is_some() {
                members["grants"] = json!(grants);
                members["more_grants"] = json!(are_more);
            }
            members
        };
        let (grants, are_more) = counted.unwrap_or_default();
        let never = json!({ "last_used_at": null, "registered_at": registered });
        assert_eq!(of("7"), expected("7", never, grants, are_more), "{line}");
        let used = json!({ "last_used_at": humantime::format_rfc3339_seconds(now()).to_string() });
        assert_eq!(of("8"), expected("8", used, 0, false), "{line}");
        assert_eq!(of("api"), expected("api", json!({}), 0, false), "{line}");
        let refused = json!({ "client_id": "nobody", "outcome": "refused", "reason": "there is no such client" });
        assert_eq!(of("nobody"), refused, "{line}");
    }
    assert_eq!((table(&fixture, "grants").await, table(&fixture, "clients").await), (grants, clients));
}

#[tokio::test]
async fn people_are_told_a_dry_run_as_a_table() {
    let fixture = Fixture::empty().await;
    two_clients(&fixture).await;
    grant(&fixture, "7", 3).await;
    let used = humantime::format_rfc3339_seconds(now());
    let line = "client delete 7 8 nobody --concurrency 1 --dry-run";
    let ran = ctl(&fixture, &format!("{line} --grants-table grants --count-up-to 2")).run().await;
    let expected = format!(
        "\
client id                         outcome           last used at          grants          reason
7                                 would be deleted  never                 more than 2
8                                 would be deleted  {used}  0
nobody                            refused                                                 there is no such client\n"
    );
    assert_eq!((ran.code, ran.stdout), (Some(1), expected));

    let ran = ctl(&fixture, line).run().await;
    let expected = format!(
        "\
client id                         outcome           last used at          reason
7                                 would be deleted  never
8                                 would be deleted  {used}
nobody                            refused                                 there is no such client\n"
    );
    assert_eq!((ran.code, ran.stdout), (Some(1), expected));
}

#[tokio::test]
async fn where_the_grants_table_cannot_be_opened_a_dry_run_says_nothing_and_nothing_is_restored() {
    let fixture = Fixture::empty().await;
    two_clients(&fixture).await;
    delete(&fixture, "8 --yes", "").await;
    for line in ["delete 7 --dry-run", "restore 8"] {
        let ran = ctl(&fixture, &format!("client {line} --grants-table nowhere")).run().await;
        assert!(ran.refused().contains("ResourceNotFoundException"), "{line}");
        let ran = ctl(&fixture, &format!("client {line}")).with_env("GRANTS_TABLE", "no").run().await;
        assert!(ran.refused().starts_with("GRANTS_TABLE must be the name of a DynamoDB table"), "{line}");
    }
    assert!(!fixture.lives("8").await);
    let ran = ctl(&fixture, "client delete 7 --yes").with_env("GRANTS_TABLE", "nowhere").run().await;
    assert_eq!(ran.code, Some(0), "a deletion does not look at it");
}

#[tokio::test]
async fn who_restores_a_client_is_told_that_its_grants_stay_gone_and_how_many_are_left() {
    let fixture = Fixture::empty().await;
    two_clients(&fixture).await;
    grant(&fixture, "7", 3).await;
    object(&fixture, "client create --app app --id api").await;
    for (line, told) in [
        ("7", None),
        ("7 --grants-table grants", Some("  grants       3\n")),
        ("7 --grants-table grants --count-up-to 2", Some("  grants       more than 2\n")),
        ("8 --grants-table grants", Some("  grants       0\n")),
    ] {
        delete(&fixture, &format!("{} --yes", &line[..1]), "").await;
        let printed = ctl(&fixture, &format!("client restore {line}")).run().await.done();
        let headline = "The client is live again, with the credentials that it had. Grants that are gone stay gone.\n";
        assert!(printed.starts_with(headline), "{printed}");
        assert_eq!(printed.strip_prefix(headline).unwrap().contains("grants"), told.is_some(), "{printed}");
        assert!(printed.ends_with(told.unwrap_or_default()), "{printed}");
    }
    delete(&fixture, "7 api --yes", "").await;
    let restored = object(&fixture, "client restore 7 --grants-table grants --count-up-to 2").await;
    assert_eq!((&restored["grants"], &restored["more_grants"]), (&json!(2), &json!(true)));
    let printed = ctl(&fixture, "client restore api").run().await.done();
    assert!(!printed.to_lowercase().contains("grants"), "an API client has none: {printed}");
}

#[tokio::test]
async fn deletions_are_listed_by_door() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 1").await;
    let registered = object(&fixture, "client register --service 1 --id 7").await;
    object(&fixture, "client register --service 1 --id 8").await;
    assert_eq!(delete_itself(&fixture, "7", text(&registered, "registration_access_token")).await, 204);
    delete(&fixture, "8 --yes", "").await;
    for (via, expected) in [("registration", &["7"][..]), ("deregisterctl", &["8"]), ("sweep", &[])] {
        let listed = objects(&fixture, &format!("deletion list --service 1 --via {via}")).await;
        assert_eq!(listed.iter().map(|one| text(one, "client_id")).collect::<Vec<_>>(), expected, "{via}");
    }
}

#[tokio::test]
async fn people_are_told_one_line_a_client() {
    let fixture = Fixture::empty().await;
    object(&fixture, "client create --app app --id a").await;
    object(&fixture, "client create --app app --id b --protected").await;
    let ran = ctl(&fixture, "client delete a b --concurrency 1 --yes").run().await;
    let expected = "\
a                                 deleted
b                                 refused           it is protected\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), expected));
}

#[tokio::test]
async fn without_a_terminal_nothing_is_deleted_unless_told_yes() {
    let fixture = Fixture::empty().await;
    object(&fixture, "client create --app app --id a").await;
    for (line, stdin) in [("a", "a\n"), ("--from -", "a\n")] {
        let (code, told, stderr) = delete(&fixture, line, stdin).await;
        assert_eq!((code, told.as_slice()), (Some(2), &[][..]), "{line}");
        assert!(stderr.contains("--yes"), "{stderr}");
    }
    assert!(fixture.lives("a").await);
}

#[tokio::test]
async fn clients_of_a_list_are_deleted_and_a_second_run_deletes_the_rest() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 1").await;
    let registered = objects(&fixture, "client register --service 1 --count 30").await;
    let ids: Vec<_> = registered.iter().map(|client| text(client, "client_id")).collect();
    let list = format!("# to go\n\n  {}\r\n   # the rest\n", ids.join("\n"));

    // The first run gets no further than a part of the list.
    let (code, told, _) = delete(&fixture, "--from - --yes", &ids[..10].join("\n")).await;
    assert_eq!((code, told.len()), (Some(0), 10));

    let path = file("to-delete", &list);
    for (deleted, already) in [(20, 10), (0, 30)] {
        let (code, told, stderr) = delete(&fixture, &format!("--from {} --yes", path.display()), "").await;
        assert_eq!((code, told.len()), (Some(0), 30));
        assert_eq!(stderr, format!("deleted: {deleted}, already deleted: {already}, refused: 0, failed: 0\n"));
    }
    for client in &registered {
        let (id, token) = (text(client, "client_id"), text(client, "registration_access_token"));
        let answer = fixture.send("DELETE", &format!("/register/{id}"), Some(&bearer(token)), "").await;
        assert_eq!(answer.status(), 401);
    }
    let requests: BTreeSet<_> = objects(&fixture, "deletion list --service 1")
        .await
        .iter()
        .map(|one| text(one, "request_id").to_owned())
        .collect();
    assert_eq!(requests.len(), 30, "each deletion has an id of its own");
}

#[tokio::test]
async fn a_list_that_cannot_be_read_deletes_nothing() {
    let fixture = Fixture::empty().await;
    object(&fixture, "client create --app app --id a").await;
    let long = file("too-long", &format!("a\n\n{}\n", "x".repeat(2041)));
    for (path, what) in [(long.to_str().unwrap(), "line 3 is no client id"), ("no-such-file", "cannot be read")] {
        let ran = ctl(&fixture, &format!("client delete --from {path} --yes")).run().await;
        assert!(ran.refused().contains(what), "{path}");
    }
    assert!(fixture.lives("a").await);
}

#[tokio::test]
async fn where_the_database_fails_no_further_deletion_is_started() {
    let fixture = Fixture::empty().await;
    let ids: Vec<_> = (0..100).map(|n| n.to_string()).collect();
    let run = ctl(&fixture, "client delete --from - --yes --table nowhere").with_stdin(&ids.join("\n"));
    let ran = run.run().await;
    assert_eq!(ran.code, Some(1));
    assert!((1..=8).contains(&ran.stdout.lines().count()), "{}", ran.stdout);
    assert!(ran.stderr.contains("failed: ") && ran.stderr.contains("ResourceNotFoundException"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_client_that_cannot_be_read_fails_and_hides_no_other() {
    let fixture = Fixture::empty().await;
    object(&fixture, "client create --app app --id good").await;
    let put = fixture.sdk.put_item().table_name("clients").item("pk", AttributeValue::S("client#broken".to_owned()));
    put.item("client", AttributeValue::Bool(true)).send().await.unwrap();
    let (code, told, stderr) = delete(&fixture, "broken good --concurrency 1 --yes", "").await;
    let outcomes: Vec<_> = told.iter().map(|one| text(one, "outcome")).collect();
    assert_eq!((code, outcomes), (Some(1), vec!["failed", "deleted"]));
    assert!(stderr.ends_with("deregisterctl: clients left: 1\n"), "{stderr}");
}

#[tokio::test]
async fn every_command_explains_itself() {
    let fixture = Fixture::empty().await;
    for (command, told) in [
        ("client delete", "--grants-table <NAME>"),
        ("client restore", "--by <NAME>"),
        ("deletion show", "--json"),
        ("deletion list", "reads the whole table"),
    ] {
        let help = ctl(&fixture, &format!("{command} --help")).run().await.done();
        assert!(help.contains(&format!("Usage: deregisterctl {command}")) && help.contains(told), "{help}");
    }
    for line in [
        "client delete",
        "client delete a --from -",
        "client delete a --concurrency 0 --yes",
        "client delete a --yes --grants-table grants",
        "client delete a --yes --count-up-to 5",
        "client delete a --dry-run --count-up-to few",
        "deletion list --app app --via window",
        "client restore",
        "deletion list",
        "deletion list --app app --since soon",
    ] {
        let ran = ctl(&fixture, line).run().await;
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{line}");
    }
}
