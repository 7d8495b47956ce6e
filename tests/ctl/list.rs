//! `client list`

use crate::{
    run::{only, text},
    support::{
        Fixture,
        build::{api_client, oauth_client},
        now,
    },
    write_proxy::Write,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::model::Idle;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    process::Command,
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Semaphore, task::spawn_blocking};

#[tokio::test]
async fn live_clients_are_listed_as_show_prints_them() {
    let fixture = Fixture::with_samples().await;
    for (option, member, id) in
        [("--app", "app_id", "htb8fuhxnf8e38jrzub3c7pfrr"), ("--service", "service_id", "715948317")]
    {
        let listed = fixture.objects(&format!("client list {option} {id}")).await;
        let listed_ids: BTreeSet<_> = listed.iter().map(|client| text(client, "client_id").to_owned()).collect();
        let mut expected = BTreeSet::new();
        for item in fixture.items("clients").await {
            let live = item.get("client").and_then(|client| client.as_m().ok());
            if live.and_then(|client| client.get(member)?.as_s().ok()).is_some_and(|of| of == id) {
                expected.insert(item["pk"].as_s().unwrap().strip_prefix("client#").unwrap().to_owned());
            }
        }
        assert!(expected.len() > 2);
        assert_eq!(listed_ids, expected);
        for client in &listed {
            assert_eq!(fixture.object(&format!("client show {}", text(client, "client_id"))).await, *client);
        }
    }
    assert_eq!(fixture.ctl("--json client list --app missing").run().await.done(), "");
}

#[tokio::test]
async fn without_an_application_and_a_service_all_clients_are_listed() {
    let fixture = Fixture::with_samples().await;
    let ids = |clients: Vec<Value>| -> BTreeSet<_> {
        clients.iter().map(|client| text(client, "client_id").to_owned()).collect()
    };
    for (option, attribute) in [("", "client"), ("--deleted", "tombstone")] {
        let items = fixture.items("clients").await.into_iter().filter(|item| item.contains_key(attribute));
        let expected: BTreeSet<_> =
            items.map(|item| item["pk"].as_s().unwrap().strip_prefix("client#").unwrap().to_owned()).collect();
        assert!(!expected.is_empty());
        assert_eq!(ids(fixture.objects(&format!("client list {option}")).await), expected, "{option}");
    }
    let table = fixture.ctl("client list").run().await.done();
    assert!(
        table.starts_with("client id                         kind          last used at          name\n"),
        "{table}"
    );
    let row = |kind: &str, name: &str| table.lines().any(|line| line.contains(kind) && line.ends_with(name));
    assert!(row("API client", "  Sample") && row("OAuth client", "  My Test Client"), "{table}");
}

#[tokio::test]
async fn deleted_clients_are_listed_with_their_deletion() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    for id in ["7", "8"] {
        fixture.register(id).await;
    }
    fixture.delete("7 --yes", "").await;
    let deleted = fixture.objects("client list --service 1 --deleted").await;
    assert_eq!(deleted, [fixture.object("client show 7").await]);
}

#[tokio::test]
async fn people_see_a_table() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id one --name \u{1b}[2Jane --feature owner --protected").await;
    let printed = fixture.ctl("client list --app app").run().await.done();
    let expected = "\
client id                         version  protected  features                  name
one                               1        yes        owner                     \u{FFFD}[2Jane\n";
    assert_eq!(printed, expected);
}

#[tokio::test]
async fn every_page_is_read_up_to_the_limit() {
    let fixture = Fixture::empty().await;
    // DynamoDB scans a megabyte at a time: these are three pages.
    for number in 0..8 {
        assert!(fixture.register_with_name_length(&number.to_string(), 300_000).await);
    }
    assert!(fixture.sdk.scan().table_name("clients").send().await.unwrap().last_evaluated_key.is_some());
    for (line, count) in [
        ("", 8),
        ("--segments 1", 8),
        ("--segments 16", 8),
        ("--limit 7", 7),
        ("--limit 7 --segments 1", 7),
        ("--limit 1", 1),
        ("--limit 9", 8),
    ] {
        let listed = fixture.objects(&format!("client list --service 1 {line}")).await;
        let ids: BTreeSet<_> = listed.iter().map(|client| text(client, "client_id")).collect();
        assert_eq!((listed.len(), ids.len()), (count, count), "{line}");
    }
}

#[tokio::test]
async fn an_unreadable_item_fails_the_command_after_the_others() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id good").await;
    fixture.put_broken("client", "app_id", "app").await;

    let ran = fixture.ctl("--json client list --app app").run().await;
    assert_eq!((ran.code, text(&only(&ran.stdout), "client_id")), (Some(1), "good"));
    assert!(ran.stderr.contains("client#broken cannot be read"), "{}", ran.stderr);
}

/// The ids that a list has.
async fn ids(fixture: &Fixture, line: &str) -> BTreeSet<String> {
    fixture.objects(line).await.iter().map(|client| text(client, "client_id").to_owned()).collect()
}

#[tokio::test]
async fn clients_are_selected_by_their_names() {
    let fixture = Fixture::empty().await;
    fixture.create("api", api_client().name("the Sample of an application")).await;
    fixture.create("oauth", oauth_client().name("a Sample")).await;
    fixture.create("other", oauth_client().name("a sample")).await;
    fixture.create("unnamed", oauth_client()).await;
    for (line, expected) in [
        ("client list --name Sample", &["api", "oauth"][..]),
        ("client list --name sample", &["other"]),
        ("client list --name S --service 1", &[]),
        ("client list --name nothing", &[]),
    ] {
        assert_eq!(ids(&fixture, line).await, expected.iter().map(|&id| id.to_owned()).collect(), "{line}");
    }
    fixture.delete("api oauth other --yes", "").await;
    for line in ["client list --deleted --name Sample", "deletion list --name Sample"] {
        assert_eq!(ids(&fixture, line).await, ["api", "oauth"].map(str::to_owned).into(), "{line}");
    }
    assert_eq!(fixture.objects("deletion list --limit 2").await.len(), 2);
}

#[tokio::test]
async fn clients_are_selected_by_their_last_use() {
    let fixture = Fixture::empty().await;
    let day = Duration::from_hours(24);
    for (id, idle) in [
        ("used", Idle::used(now() - 30 * day)),
        ("unused", Idle::unused(now() - 31 * day)),
        ("recent", Idle::used(now() - 29 * day)),
    ] {
        fixture.create(id, oauth_client().idle(idle)).await;
    }
    fixture.create("untracked", oauth_client()).await;
    let boundary = humantime::format_rfc3339_seconds(now() - 30 * day);
    assert_eq!(
        ids(&fixture, &format!("client list --idle-since {boundary}")).await,
        ["used", "unused"].map(str::to_owned).into()
    );
    assert!(ids(&fixture, "client list --idle-since 1970-01-02").await.is_empty());
    for line in ["client list --idle-since 1d --deleted", "client list --since 1d", "client list --blocked --since 1d"]
    {
        assert_eq!(fixture.ctl(line).run().await.code, Some(2), "{line}");
    }
}

#[tokio::test]
async fn deleted_clients_are_selected_by_the_time_of_their_deletion() {
    let fixture = Fixture::empty().await;
    fixture.create("gone", oauth_client()).await;
    fixture.delete("gone --yes", "").await;
    assert_eq!(ids(&fixture, "client list --deleted --since 1h").await, ["gone".to_owned()].into());
    assert!(ids(&fixture, "client list --deleted --since 9999-01-01").await.is_empty());
}

/// A pager, or a loop over the lines, reads slowly. The calls of the other segments must not run out of time meanwhile.
#[tokio::test]
async fn a_reader_that_pauses_gets_every_line() {
    let fixture = Fixture::empty().await;
    for number in 0..60 {
        fixture.create(&number.to_string(), oauth_client().name(&"x".repeat(20_000))).await;
    }
    let run = fixture.ctl("--json client list").with_env("DATABASE_ATTEMPT_TIMEOUT_MS", "1000");
    let mut run = run.with_env("DATABASE_CALL_TIMEOUT_MS", "1000").with_env("DATABASE_ATTEMPTS", "1");
    let mut child = run.command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let read = move || {
        let mut count = usize::from(lines.next().is_some());
        // Longer than a call may take.
        std::thread::sleep(Duration::from_secs(2));
        count += lines.count();
        let output = child.wait_with_output().unwrap();
        (count, String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(spawn_blocking(read).await.unwrap(), (60, String::new()));
}

#[tokio::test]
async fn a_list_whose_output_is_blocked_ends_at_once() {
    let fixture = Fixture::empty().await;
    for number in 0..20 {
        fixture.create(&number.to_string(), oauth_client().name(&"x".repeat(20_000))).await;
    }
    let mut run = fixture.ctl("--json client list");
    let mut child = run.command.spawn().unwrap();
    // The pipe is full when its first line is read. No program reads the rest.
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let kill = format!("kill -TERM {}", child.id());
    let end = move || {
        stdout.read_line(&mut String::new()).unwrap();
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        (child.wait().unwrap().code(), stdout)
    };
    assert_eq!(spawn_blocking(end).await.unwrap().0, Some(1));
}

/// The reads under way change nothing, so the list does not wait for them.
#[tokio::test]
async fn ctrl_c_ends_a_list_with_what_was_listed() {
    let fixture = Fixture::empty().await;
    for number in 0..8 {
        fixture.create(&number.to_string(), oauth_client()).await;
        // DynamoDB scans a megabyte at a time. The tool does not print this attribute.
        let update = fixture.sdk.update_item().table_name("clients").update_expression("SET filler = :filler");
        let update = update.key("pk", AttributeValue::S(format!("client#{number}")));
        update.expression_attribute_values(":filler", AttributeValue::S("x".repeat(300_000))).send().await.unwrap();
    }
    let (arrived, never) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let counter = arrived.clone();
    let becomes = move |scan| {
        counter.add_permits(1);
        if scan == 0 { Write::Done } else { Write::Held(never.clone()) }
    };
    let endpoint = fixture.proxy(&[".Scan"], becomes).await;
    let run = fixture.ctl("--json client list --segments 1").with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint);
    let mut run = run.with_env("DATABASE_ATTEMPT_TIMEOUT_MS", "60000").with_env("DATABASE_CALL_TIMEOUT_MS", "60000");
    let child = run.command.spawn().unwrap();
    arrived.acquire_many(2).await.unwrap().forget();
    let kill = format!("kill -INT {}", child.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    let output = spawn_blocking(|| child.wait_with_output().unwrap()).await.unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let listed = stdout.lines().count();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(&format!("listed: {listed}, items read: ")), "{stderr}");
    assert!((1..8).contains(&listed), "{stderr}");
}
