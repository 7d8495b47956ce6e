//! `client delete --dry-run`

use crate::{
    fixture::timestamp,
    run::text,
    support::{Fixture, now},
};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

#[tokio::test]
async fn the_impact_is_the_last_use_and_the_number_of_grants() {
    let fixture = Fixture::empty().await;
    fixture.used_and_unused().await;
    fixture.object("client create --app app --id api").await;
    fixture.grant("7", 3).await;
    let (grants, clients) = (fixture.items("grants").await, fixture.items("clients").await);
    let registered = fixture.object("client show 7").await["registered_at"].clone();
    let ids = "7 8 api missing --dry-run";

    for (line, environment, counted) in [
        ("--grants-table grants", "", Some((3, false))),
        ("--grants-table grants", "nowhere", Some((3, false))),
        ("--count-up-to 3", "grants", Some((3, false))),
        ("--count-up-to 2", "grants", Some((2, true))),
        ("--count-up-to 0", "grants", Some((0, true))),
        ("", "", None),
        ("--count-up-to 2", "", None),
    ] {
        let run = fixture.ctl(&format!("--json client delete {ids} {line}")).with_env("GRANTS_TABLE", environment);
        let printed = run.run().await.objects();
        let of = |id: &str| printed.iter().find(|one| text(one, "client_id") == id).unwrap().clone();
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
        let used = json!({ "last_used_at": timestamp(now()) });
        assert_eq!(of("8"), expected("8", used, 0, false), "{line}");
        assert_eq!(of("api"), expected("api", json!({}), 0, false), "{line}");
        let refused = json!({ "client_id": "missing", "outcome": "not_found" });
        assert_eq!(of("missing"), refused, "{line}");
    }
    assert_eq!((fixture.items("grants").await, fixture.items("clients").await), (grants, clients));
}

#[tokio::test]
async fn grants_are_counted_by_an_index_and_not_without_it() {
    let fixture = Fixture::empty().await;
    fixture.used_and_unused().await;
    fixture.create_indexed_grants_table("by-client").await;
    for number in ["1", "2"] {
        let put = fixture.sdk.put_item().table_name("grants").item("client_id", AttributeValue::S("7".to_owned()));
        put.item("grant_id", AttributeValue::S(number.to_owned())).send().await.unwrap();
    }
    let line = "--json client delete 7 --dry-run --grants-table grants";
    for (option, environment) in
        [("--grants-index by-client", ""), ("--grants-index by-client", "other"), ("", "by-client")]
    {
        let run = fixture.ctl(&format!("{line} {option}")).with_env("GRANTS_INDEX", environment);
        assert_eq!(run.run().await.objects()[0]["grants"], 2, "{option} {environment}");
    }
    for (option, why) in
        [("", "GRANTS_INDEX must name the index"), ("--grants-index other", "no global secondary index other")]
    {
        let ran = fixture.ctl(&format!("{line} {option}")).run().await;
        assert!(ran.refused().contains(why), "{option}");
    }
}

#[tokio::test]
async fn people_see_a_table() {
    let fixture = Fixture::empty().await;
    fixture.used_and_unused().await;
    fixture.grant("7", 3).await;
    let used = timestamp(now());
    let line = "client delete 7 8 missing --concurrency 1 --dry-run";
    let ran = fixture.ctl(&format!("{line} --grants-table grants --count-up-to 2")).run().await;
    let expected = format!(
        "\
client id                         outcome           last used at          grants          reason
7                                 would be deleted  never                 more than 2
8                                 would be deleted  {used}  0
missing                           not found\n"
    );
    assert_eq!((ran.code, ran.stdout), (Some(1), expected));

    let ran = fixture.ctl(line).run().await;
    let expected = format!(
        "\
client id                         outcome           last used at          reason
7                                 would be deleted  never
8                                 would be deleted  {used}
missing                           not found\n"
    );
    assert_eq!((ran.code, ran.stdout), (Some(1), expected));
}

#[tokio::test]
async fn a_grants_table_that_cannot_be_opened_is_refused_before_any_write() {
    let fixture = Fixture::empty().await;
    fixture.used_and_unused().await;
    fixture.delete("8 --yes", "").await;
    for line in ["delete 7 --dry-run", "restore 8"] {
        let ran = fixture.ctl(&format!("client {line} --grants-table nowhere")).run().await;
        assert!(ran.refused().contains("ResourceNotFoundException"), "{line}");
        let ran = fixture.ctl(&format!("client {line}")).with_env("GRANTS_TABLE", "no").run().await;
        assert!(ran.refused().starts_with("GRANTS_TABLE must be the name of a DynamoDB table"), "{line}");
    }
    assert!(!fixture.lives("8").await);
    let ran = fixture.ctl("client delete 7 --yes").with_env("GRANTS_TABLE", "nowhere").run().await;
    assert_eq!(ran.code, Some(0), "a deletion does not read the grants");
}
