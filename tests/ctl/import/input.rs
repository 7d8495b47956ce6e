//! The input of an import: wrong entries, wrong files, pages.

use super::{APPLICATION, SECRET, api_client, import, import_oauth, reports, summary};
use crate::{
    run::{file, parse},
    support::Fixture,
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_malformed_entry_is_skipped_with_a_reason_without_secrets() {
    let fixture = Fixture::empty().await;
    let with = |name: &str, value: Value| {
        let mut client = api_client("wrong", &[]);
        client[name] = value;
        client
    };
    let api_clients = [
        (json!(SECRET), "it is not a JSON object"),
        (with("_id", Value::Null), "it has no _id"),
        (with("_id", json!(SECRET.repeat(64))), "its _id cannot be used: an id has 1 to 2040 bytes"),
        (with("_id", json!("a:b")), "its _id cannot be used: the id of an API client cannot contain a colon"),
        (with("_secret", Value::Null), "it has no _secret"),
        (with("_secret", json!(9_956_342_769_u64)), "its _secret is not a text"),
        (with("_secret", json!([SECRET])), "its _secret is not a text"),
        (with("_secret", json!("fifteen bytes !")), "its _secret has fewer than 16 bytes"),
        (with("_self", json!("/config/another/clients/wrong")), "its _self is not of this application"),
        (with("name", json!({ "secret": SECRET })), "its name is not a text"),
        (with("name", json!("x".repeat(400_000))), "it is too large for an item of DynamoDB"),
        (with("features", json!(SECRET)), "its features is not a list of texts"),
        (
            with("ipWhitelist", json!(["203.0.113.0/33"])),
            "its ipWhitelist has an entry that is neither an address nor a CIDR block",
        ),
    ];
    let oauth_clients = [
        (json!({}), "it has no clientId"),
        (json!({ "clientId": 1.5 }), "its clientId is not a text or a whole number"),
        (json!({ "clientId": "" }), "its clientId cannot be used: an id has 1 to 2040 bytes"),
        (json!({ "clientId": 1, "dynamicallyRegistered": SECRET }), "its dynamicallyRegistered is not true or false"),
        (json!({ "clientId": 1, "grantTypes": [1] }), "its grantTypes is not a list of texts"),
    ];
    fixture.object("service create 715948317").await;
    for (entries, last) in [(&api_clients[..], api_client("good", &[])), (&oauth_clients, json!({ "clientId": 7 }))] {
        let list: Vec<_> = entries.iter().map(|(entry, _)| entry.clone()).chain([last]).collect();
        let ran = if list.len() == api_clients.len() + 1 {
            import(&fixture, &json!(list)).await
        } else {
            import_oauth(&fixture, &json!({ "clients": list })).await
        };
        assert_eq!(ran.code, Some(1));
        for private in [SECRET, "9956342769", "fifteen"] {
            assert!(!ran.stdout.contains(private) && !ran.stderr.contains(private), "{private}");
        }
        let reasons = entries.iter().map(|(_, reason)| reason).enumerate();
        let skipped: Vec<_> = reasons
            .map(|(index, reason)| {
                let mut report = json!({ "index": index, "outcome": "skipped", "reason": reason });
                let entry = &entries[index].0;
                let id =
                    entry["_id"].as_str().map(str::to_owned).or_else(|| Some(entry["clientId"].as_u64()?.to_string()));
                if let Some(id) = id.filter(|id| id.len() <= 2040) {
                    report["client_id"] = id.into();
                }
                report
            })
            .collect();
        assert_eq!(reports(&ran), (skipped, summary(1, 0, entries.len())));
    }
    assert!(fixture.lives("good").await && fixture.lives("7").await && !fixture.lives("wrong").await);
}

#[tokio::test]
async fn a_wrong_file_is_refused_before_anything_is_written() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 715948317").await;
    let good = api_client("good", &[]);
    for (whose, text) in [
        (format!("--app {APPLICATION}"), format!("\"{SECRET}\"")),
        (format!("--app {APPLICATION}"), json!({ "clients": [good] }).to_string()),
        (format!("--app {APPLICATION}"), format!("[{good},")),
        (format!("--app {APPLICATION}"), format!("[{good}] and more")),
        ("--service 715948317".to_owned(), json!([{ "clientId": 1 }]).to_string()),
        ("--service 715948317".to_owned(), json!({ "clients": { "clientId": 1 } }).to_string()),
    ] {
        let file = file("not-the-list.json", &text);
        let sentence = fixture.ctl(&format!("import {whose} {}", file.display())).run().await.refused();
        assert!(sentence.contains("is not a list of clients") && !sentence.contains(SECRET), "{text}: {sentence}");
    }
    assert!(fixture.ctl("import --app app no-such-file").run().await.refused().starts_with("no-such-file cannot be"));
    assert!(fixture.ctl("import --service nowhere no-such-file").run().await.refused().contains("no service nowhere"));
    assert_eq!(fixture.client_keys().await, [""; 0]);
}

#[tokio::test]
async fn an_empty_list_is_no_mistake() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 715948317").await;
    for text in ["", "\n", "\u{FEFF}", "[]", "null"] {
        let run = fixture.ctl(&format!("--json import --app {APPLICATION} -")).with_stdin(text);
        assert_eq!(parse(&run.run().await.done()), summary(0, 0, 0), "{text:?}");
    }
    for text in
        ["", "{}", r#"{"start":0,"end":5,"totalCount":0}"#, r#"{"clients":null}"#, r#"{"clients":[]}{"start":5}"#]
    {
        let run = fixture.ctl("--json import --service 715948317 -").with_stdin(text);
        assert_eq!(parse(&run.run().await.done()), summary(0, 0, 0), "{text:?}");
    }
}

#[tokio::test]
async fn a_text_that_is_not_unicode_skips_its_entry_only() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 715948317").await;
    let list = r#"\u{FEFF}{"clients": [
        {"clientId": 1, "clientName": "\ud83d"},
        {"clientId": 2, "redirectUris": ["https://a", "\udc00"]},
        {"clientId": 3, "other": "\ud83d", "clientName": "\ud83e\udd80"},
        {"\ud83d": 1, "clientId": 4},
        {"clientId": 5}
    ]}"#;
    let list = list.replace(r"\u{FEFF}", "\u{FEFF}");
    let ran = fixture.ctl("--json import --service 715948317 -").with_stdin(&list).run().await;
    let skipped = |index, id: Option<&str>, reason| {
        let mut report = json!({ "index": index, "outcome": "skipped", "reason": reason });
        if let Some(id) = id {
            report["client_id"] = id.into();
        }
        report
    };
    let mut expected = vec![
        skipped(0, Some("1"), "its clientName is not a text"),
        skipped(1, Some("2"), "its redirectUris is not a list of texts"),
        skipped(3, None, "it has no clientId"),
    ];
    let (mut reported, counts) = reports(&ran);
    reported.sort_by_key(|report| report["index"].as_u64());
    expected.sort_by_key(|report| report["index"].as_u64());
    assert_eq!((reported, counts), (expected, summary(2, 0, 3)));
    assert!(fixture.lives("3").await && fixture.lives("5").await);
}

#[tokio::test]
async fn the_standard_input_is_read_page_after_page() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 715948317").await;
    let pages = [json!({ "clients": [{ "clientId": 1 }] }), json!({ "clients": [{ "clientId": 2 }], "end": 2 })];
    let pages = pages.map(|page| page.to_string()).join("\n");
    let run = fixture.ctl("--json import --service 715948317 -").with_stdin(&pages);
    assert_eq!(parse(&run.run().await.done()), summary(2, 0, 0));

    let cut = format!("{pages}{{\"clients\": [{{\"clientId\": 3}}, {{\"clientId\"");
    let ran = fixture.ctl("--json import --service 715948317 -").with_stdin(&cut).run().await;
    assert_eq!((ran.code, parse(&ran.stdout)), (Some(1), summary(1, 2, 0)), "whole entries are imported");
    assert!(ran.stderr.contains("line 2, column"), "{}", ran.stderr);
    assert_eq!(fixture.client_keys().await, ["client#1", "client#2", "client#3"]);
}
