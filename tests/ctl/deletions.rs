//! `deletion show` and `deletion list`

use crate::{
    run::{only, text},
    support::Fixture,
};
use serde_json::json;
use std::collections::BTreeSet;

#[tokio::test]
async fn people_see_the_history_in_lines() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id a").await;
    for _ in 0..2 {
        fixture.delete("a --yes --by jane", "").await;
        fixture.ctl("client restore a").run().await.done();
    }
    let shown = fixture.ctl("deletion show a").run().await.done();
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines[..3], ["A live client.", "  client id  a", "  deleted    no"], "{shown}");
    for (line, name) in [(lines[3], "  history    "), (lines[4], "             ")] {
        let past = line.strip_prefix(name).unwrap();
        assert!(past.starts_with("deleted 2") && past.contains(" by operator#jane via deregisterctl ("), "{past}");
        assert!(past.ends_with(" by operator"), "{past}");
    }

    fixture.delete("a --yes", "").await;
    let shown = fixture.ctl("deletion show a").run().await.done();
    assert!(shown.starts_with("A deleted client.\n") && shown.contains("  restorable        yes\n"), "{shown}");
}

#[tokio::test]
async fn a_record_names_the_given_operator_or_else_the_user() {
    let fixture = Fixture::empty().await;
    for (by, user, name) in [
        ("--by jane", Some("john"), "operator#jane"),
        ("", Some("john"), "operator#john"),
        // The rule of an event bus may copy the name into JSON without escaping it.
        ("", Some("CORP\\\"john\"\n"), "operator#CORP__john__"),
        ("", Some(""), "operator"),
        ("", None, "operator"),
    ] {
        fixture.object("client create --app app --id a").await;
        for command in ["delete a --yes", "restore a", "delete a --yes"] {
            let mut run = fixture.ctl(&format!("client {command} {by}"));
            if let Some(user) = user {
                run = run.with_env("USER", user);
            }
            assert_eq!(run.run().await.code, Some(0));
        }
        let shown = fixture.object("deletion show a").await;
        assert_eq!((&shown["deleted_by"], &shown["history"][0]["restored_by"]), (&json!(name), &json!(name)));
        fixture.remove_item("client#a").await;
    }
}

#[tokio::test]
async fn deletions_since_a_time_are_listed_as_show_prints_them() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --feature owner --id me").await;
    fixture.object("service create app").await;
    fixture.object("client register --service app --id 7").await;
    for id in ["a", "b", "c"] {
        fixture.object(&format!("client create --app app --id {id}")).await;
    }
    fixture.delete("a b 7 --yes", "").await;
    let listed = fixture.objects("deletion list --app app").await;
    assert_eq!(listed.iter().map(|one| text(one, "client_id")).collect::<BTreeSet<_>>(), BTreeSet::from(["a", "b"]));
    for one in &listed {
        assert_eq!(fixture.object(&format!("deletion show {}", text(one, "client_id"))).await, *one);
    }
    for (since, count) in [
        ("1h", 1),
        ("100000d", 1),
        ("2020-01-01", 1),
        ("2020-01-01T08:00:00Z", 1),
        ("2999-01-01", 0),
        ("2999-01-01T08:00:00Z", 0),
    ] {
        let listed = fixture.objects(&format!("deletion list --service app --since {since}")).await;
        assert_eq!(listed.len(), count, "{since}");
    }
    let printed = fixture.ctl("deletion list --service app").run().await.done();
    let (heading, row) = printed.trim_end().split_once('\n').unwrap();
    let columns = ["client id                       ", "deleted at          ", "restorable until    ", "via          "];
    let last = ["source ip      ", "deleted by              ", "lacks"];
    assert_eq!(heading, [&columns[..], &last].concat().join("  "));
    assert!(row.starts_with("7  ") && row.ends_with(&format!("deregisterctl  {:15}  operator", "")), "{row}");
}

#[tokio::test]
async fn deletions_are_listed_by_channel() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let token = fixture.register("7").await;
    fixture.register("8").await;
    assert_eq!(fixture.delete_itself("7", &token).await, 204);
    fixture.delete("8 --yes", "").await;
    for (via, expected) in [("registration", &["7"][..]), ("deregisterctl", &["8"]), ("sweep", &[])] {
        let listed = fixture.objects(&format!("deletion list --service 1 --via {via}")).await;
        assert_eq!(listed.iter().map(|one| text(one, "client_id")).collect::<Vec<_>>(), expected, "{via}");
    }
}

#[tokio::test]
async fn without_an_application_and_a_service_all_deletions_are_listed() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    fixture.register("oauth").await;
    fixture.object("client create --app app --id api").await;
    fixture.object("client create --app app --id live").await;
    fixture.delete("oauth api --yes", "").await;
    for line in ["deletion list", "deletion list --since 1d --via deregisterctl"] {
        let listed = fixture.objects(line).await;
        let mut ids: Vec<_> = listed.iter().map(|one| text(one, "client_id")).collect();
        ids.sort_unstable();
        assert_eq!(ids, ["api", "oauth"], "{line}");
    }
}

#[tokio::test]
async fn an_unreadable_item_fails_the_command_after_the_others() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id good").await;
    fixture.delete("good --yes", "").await;
    fixture.put_broken("tombstone", "app_id", "app").await;

    let ran = fixture.ctl("--json deletion list --app app").run().await;
    assert_eq!((ran.code, text(&only(&ran.stdout), "client_id")), (Some(1), "good"));
    assert!(ran.stderr.contains("client#broken cannot be read"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_record_says_what_a_nearly_full_tombstone_lacks() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    fixture.register_with_room("full", 0).await;
    fixture.delete("full --yes --by jane", "").await;
    let lacks = json!(["metadata"]);
    assert_eq!(fixture.object("client show full").await["lacks"], lacks);
    assert_eq!(fixture.object("deletion show full").await["lacks"], lacks);
    for line in ["deletion list --service 1", "client list --service 1 --deleted"] {
        assert_eq!(fixture.objects(line).await[0]["lacks"], lacks, "{line}");
        let printed = fixture.ctl(line).run().await.done();
        assert!(printed.trim_end().ends_with("  operator#jane             metadata"), "{printed}");
    }
    for line in ["client show full", "deletion show full"] {
        let printed = fixture.ctl(line).run().await.done();
        let lines: Vec<_> = printed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert!(lines.contains(&"lacks metadata".to_owned()), "{printed}");
    }

    assert_eq!(fixture.object("client restore full").await["lacks"], lacks);
    assert_eq!(fixture.object("deletion show full").await["history"][0]["lacks"], lacks);
    let printed = fixture.ctl("deletion show full").run().await.done();
    assert!(printed.trim_end().ends_with(" by operator without metadata"), "{printed}");
}

#[tokio::test]
async fn a_record_of_an_ordinary_deletion_has_no_lacks() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id a").await;
    fixture.delete("a --yes", "").await;
    for line in ["client show a", "deletion show a", "client restore a", "deletion show a"] {
        assert!(!fixture.object(line).await.to_string().contains("lacks"), "{line}");
    }
}
