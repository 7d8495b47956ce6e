//! `table check`

use crate::{run::text, support::Fixture};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;
use std::collections::HashMap;

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

impl Fixture {
    /// Sets an attribute of an item, or a member of it, to a text.
    async fn set_text(&self, key: &str, path: &str, text: &str) {
        let update = self.sdk.update_item().table_name("clients").key("pk", s(key));
        let update = update.update_expression(format!("SET {path} = :text"));
        update.expression_attribute_values(":text", s(text)).send().await.unwrap();
    }
}

#[tokio::test]
async fn a_table_that_the_programs_wrote_has_no_findings() {
    let fixture = Fixture::with_samples().await;
    fixture.object("service create 1").await;
    fixture.object("client register --service 1 --id 7").await;
    fixture.object("client register --service 1 --id 8").await;
    for line in ["client delete 7 8 --yes", "client restore 7", "client protect 7"] {
        assert_eq!(fixture.ctl(line).run().await.code, Some(0), "{line}");
    }
    let count = fixture.items("clients").await.len();
    let ran = fixture.ctl("--json table check").run().await;
    let summary = format!("items read: {count}, with findings: 0\n");
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr), (Some(0), "", summary));
}

#[tokio::test]
async fn each_finding_is_a_row_and_the_exit_code_is_1() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    for id in ["a", "b", "c"] {
        fixture.object(&format!("client register --service 1 --id {id}")).await;
    }
    fixture.set_text("client#a", "client.protected", "s3cret").await;
    fixture.set_text("client#a", "client.metadata", "s3cret").await;
    fixture.set_text("client#b", "expires_at", "s3cret").await;
    let put = fixture.sdk.put_item().table_name("clients");
    let unknown = HashMap::from([("pk".to_owned(), s("refresh#s3cret-s3cret-s3cret"))]);
    put.set_item(Some(unknown)).send().await.unwrap();
    fixture.register_with_room("full", 100).await;
    // DynamoDB scans a megabyte at a time: these are more than one page.
    for number in 0..4 {
        assert!(fixture.register_with_name_length(&number.to_string(), 300_000).await);
    }

    let ran = fixture.ctl("--json table check").run().await;
    let stderr = "items read: 10, with findings: 4\nderegisterctl: items with findings: 4\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), stderr));
    let mut found: Vec<_> = ran
        .objects()
        .iter()
        .map(|one| {
            assert_eq!(one.as_object().unwrap().len(), 4, "{one}");
            assert!(!text(one, "must").is_empty());
            ["key", "member", "effect"].map(|name| text(one, name).to_owned())
        })
        .collect();
    found.sort();
    let expected = [
        ["client#a", "client.metadata", "ignored"],
        ["client#a", "client.protected", "refused"],
        ["client#b", "expires_at", "ignored"],
        ["client#full", "the item", "nearly_full"],
        ["refresh#s3cret-s… (28 bytes)", "pk", "ignored"],
    ];
    assert_eq!(found, expected.map(|row| row.map(str::to_owned)));
    assert!(!ran.stdout.contains("s3cret-s3cret"));

    let people = fixture.ctl("table check").run().await;
    assert_eq!(people.code, Some(1));
    let lines: Vec<_> = people.stdout.lines().collect();
    assert_eq!(lines.len(), 6, "{}", people.stdout);
    let columns = [format!("{:40}", "key"), format!("{:32}", "member"), format!("{:11}", "effect"), "must".to_owned()];
    assert_eq!(lines[0], columns.join("  "));
    let row = [format!("{:40}", "client#a"), format!("{:32}", "client.protected"), format!("{:11}", "refused")];
    assert!(lines.contains(&[row.join("  ").as_str(), "be a Boolean"].join("  ").as_str()), "{}", people.stdout);
    assert!(people.stdout.contains("  nearly full  have at most 405504 bytes"), "{}", people.stdout);
}

#[tokio::test]
async fn what_is_found_is_what_the_other_commands_refuse() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id a").await;
    fixture.set_text("client#a", "client.features", "owner").await;
    let ran = fixture.ctl("--json table check").run().await;
    let [one] = &ran.objects()[..] else { panic!("{}", ran.stdout) };
    let refused = fixture.ctl("client show a").run().await.refused();
    assert!(refused.contains(&format!("{} must {}", text(one, "member"), text(one, "must"))), "{refused}");
    assert_eq!(one["effect"], json!("refused"));
}

#[tokio::test]
async fn a_table_that_cannot_be_read_is_a_failure() {
    let fixture = Fixture::empty().await;
    let ran = fixture.ctl("--json table check --table missing").run().await;
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.starts_with("items read: 0, with findings: 0\nderegisterctl: "), "{}", ran.stderr);
}
