//! An import that stops, and is run again.

use super::{APPLICATION, api_client, import, summary};
use crate::{
    run::{file, parse},
    support::Fixture,
    write_proxy::Write,
};
use serde_json::Value;

#[tokio::test]
async fn after_ctrl_c_the_writes_under_way_are_finished_and_a_second_run_imports_the_rest() {
    let fixture = Fixture::empty().await;
    let list = many(100);
    let line = format!("--json import --app {APPLICATION} {}", file("interrupted.json", &list.to_string()).display());
    let ran = fixture.interrupt(&line, 50).await;
    let expected = "\
deregisterctl: interrupted: waiting for the writes under way
deregisterctl: interrupted: run the same command again to import the other clients\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), expected));
    assert_eq!(parse(&ran.stdout), summary(66, 0, 0));
    assert_eq!(fixture.client_keys().await.len(), 66);

    assert_eq!(parse(&import(&fixture, &list).await.done()), summary(34, 66, 0));
    assert_eq!(fixture.client_keys().await.len(), 100);
}

#[tokio::test]
async fn after_a_failed_write_a_second_run_imports_the_rest() {
    let fixture = Fixture::empty().await;
    let list = many(100);
    let endpoint = fixture.write_proxy(|write| if write < 50 { Write::Done } else { Write::Refused }).await;
    let line = format!("--json import --app {APPLICATION} {}", file("stopped.json", &list.to_string()).display());
    let ran = fixture.ctl(&line).with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint).run().await;
    assert_eq!((ran.code, parse(&ran.stdout)), (Some(1), summary(50, 0, 0)));
    assert!(ran.stderr.contains("the database call failed") && ran.stderr.lines().count() == 1, "{}", ran.stderr);

    assert_eq!(parse(&import(&fixture, &list).await.done()), summary(50, 50, 0));
    assert_eq!(fixture.client_keys().await.len(), 100);
}

/// A list of this many API clients.
fn many(count: u32) -> Value {
    (0..count).map(|number| api_client(&format!("client-{number}"), &["login_client"])).collect()
}
