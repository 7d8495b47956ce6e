//! `client show`

use crate::{
    fixture::timestamp,
    run::text,
    support::{Fixture, build::oauth_client, now},
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::model::Idle;
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::SystemTime};

#[tokio::test]
async fn a_live_client_is_shown_with_every_member() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id me --feature owner").await;
    let expected = json!({
        "client_id": "me",
        "deleted": false,
        "kind": "api",
        "app_id": "app",
        "features": ["owner"],
        "ip_allow_list": [],
        "secrets": 1,
        "secrets_expire_at": [null],
        "protected": false,
        "version": 1,
        "entity_tag": "\"1\"",
    });
    assert_eq!(fixture.object("client show me").await, expected);

    let shown = fixture.ctl("client show me").run().await.done();
    for line in ["kind               API client", "ip allow list      any address", "entity tag         \"1\""] {
        assert!(shown.contains(line), "{line} in\n{shown}");
    }
}

#[tokio::test]
async fn the_last_use_of_a_tracked_client_is_shown_and_listed() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    for line in ["--id never", "--id used", "--id static --static"] {
        fixture.object(&format!("client register --service 1 {line}")).await;
    }
    fixture.use_client("used").await;
    let registered = timestamp(fixture.live("never").await.idle.unwrap().since);

    let shown = fixture.object("client show never").await;
    assert_eq!((shown.get("last_used_at"), text(&shown, "registered_at")), (Some(&Value::Null), &*registered));
    let shown = fixture.object("client show used").await;
    assert_eq!((text(&shown, "last_used_at"), shown.get("registered_at")), (&*timestamp(now()), None));
    let shown = fixture.object("client show static").await;
    assert_eq!((shown.get("last_used_at"), shown.get("registered_at")), (None, None));

    let shown = fixture.ctl("client show never").run().await.done();
    assert!(shown.contains("  last used at            never\n"), "{shown}");
    assert!(shown.contains(&format!("  registered at           {registered}\n")), "{shown}");

    let printed = fixture.ctl("client list --service 1").run().await.done();
    let (heading, rows) = printed.split_once('\n').unwrap();
    let expected = "client id                         version  protected  dynamic  last used at          client name";
    assert_eq!(heading, expected);
    let row = |id: &str, dynamic, used: &str| {
        format!("{id:32}  1        no         {dynamic:7}  {used}").trim_end().to_owned()
    };
    let expected = [row("never", "yes", "never"), row("static", "no", ""), row("used", "yes", &timestamp(now()))];
    assert_eq!(rows.lines().map(str::to_owned).collect::<BTreeSet<_>>(), BTreeSet::from(expected));
}

/// A use makes the notice stale, and then it announces nothing.
#[tokio::test]
async fn an_announced_deletion_is_shown_until_the_client_is_used() {
    let fixture = Fixture::empty().await;
    let idle = Idle::used(now());
    fixture.create("7", oauth_client().idle(idle)).await;
    assert_eq!(fixture.object("client show 7").await.get("announced_sweep_at"), None);
    let seconds = now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for (since, expected) in [(seconds, Some(json!("2027-01-15T09:00:00Z"))), (seconds - 1, None)] {
        let number = |seconds: u64| AttributeValue::N(seconds.to_string());
        let notice =
            [("used", AttributeValue::Bool(true)), ("idle_since", number(since)), ("sweep_at", number(seconds + 3600))];
        let notice = notice.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let update = fixture.sdk.update_item().table_name("clients").update_expression("SET notice = :notice");
        let update = update.key("pk", AttributeValue::S("client#7".to_owned()));
        update.expression_attribute_values(":notice", AttributeValue::M(notice)).send().await.unwrap();
        let shown = fixture.object("client show 7").await;
        assert_eq!(shown.get("announced_sweep_at"), expected.as_ref());
        assert_eq!(fixture.objects("client list").await, [shown]);
    }
}

#[tokio::test]
async fn a_deleted_client_is_shown_with_its_deletion() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let token = fixture.register("7").await;
    fixture.delete_itself("7", &token).await;

    let mut shown = fixture.object("client show 7").await;
    let request_id = shown.as_object_mut().unwrap().remove("request_id").unwrap();
    assert!(request_id.as_str().unwrap().starts_with("invocation-"));
    let expected = json!({
        "client_id": "7",
        "deleted": true,
        "deleted_at": timestamp(now()),
        "deleted_by": "client#7",
        "via": "registration",
        "source_ip": "203.0.113.7",
    });
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn a_missing_client_is_refused() {
    let fixture = Fixture::empty().await;
    assert!(fixture.ctl("client show missing").run().await.refused().contains("there is no client missing"));
}
