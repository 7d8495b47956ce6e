//! `token`

use crate::{
    fixture::{authlete_call, clock},
    run::{Ran, text},
    support::{Fixture, endpoints, json as body},
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::functions::{Delete, Environment};
use lambda_http::{Body, LambdaEvent, Response, lambda_runtime::Context};
use std::time::{Duration, SystemTime};

#[tokio::test]
async fn a_token_is_valid_for_its_scope_only() {
    let fixture = Fixture::empty().await;
    for line in ["service create 1 --organization ours", "service create 2 --organization ours", "service create 3"] {
        fixture.object(line).await;
    }
    let of_service = fixture.object("token issue --service 1").await;
    let of_organization = fixture.object("token issue --organization ours --expires-in 36500d").await;

    for (token, service, status) in [
        (&of_service, "1", 200),
        (&of_service, "2", 403),
        (&of_organization, "1", 200),
        (&of_organization, "2", 200),
        (&of_organization, "3", 403),
    ] {
        let registered = fixture.object(&format!("client register --service {service}")).await;
        let token = text(token, "access_token");
        let answer = fixture.invoke(&authlete_call(service, token, &registered)).await;
        assert_eq!(answer.status(), status, "service {service}");
        if status == 200 {
            assert_eq!(body(&answer)["action"], "DELETED");
            assert_eq!(body(&answer)["client"]["clientId"].to_string(), text(&registered, "client_id"));
        }
    }
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let issued = fixture.object("token issue --service 1 --expires-in 1s").await;
    let registered = fixture.object("client register --service 1").await;
    let event = authlete_call("1", text(&issued, "access_token"), &registered);

    // The tool has the real clock. Its token is expired in 2084, and not yet in 1970.
    let in_2084 = || SystemTime::UNIX_EPOCH + Duration::from_hours(1_000_000);
    assert_eq!(answer_at(&fixture, in_2084, &event).await.status(), 401);
    let in_1970 = || SystemTime::UNIX_EPOCH + Duration::from_hours(1);
    assert_eq!(answer_at(&fixture, in_1970, &event).await.status(), 200);
}

#[tokio::test]
async fn a_revoked_token_is_refused_at_once() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let (first, second) =
        (fixture.object("token issue --service 1").await, fixture.object("token issue --service 1").await);
    let registered = fixture.object("client register --service 1").await;
    let status =
        async |issued| fixture.invoke(&authlete_call("1", text(issued, "access_token"), &registered)).await.status();

    let line = format!("--json token revoke {}", text(&first, "token").to_uppercase());
    for (outcome, summary) in [
        ("revoked", "revoked: 1, already expired: 0, not found: 0\n"),
        ("already_expired", "revoked: 0, already expired: 1, not found: 0\n"),
    ] {
        let ran = fixture.ctl(&line).run().await;
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), summary));
        assert_eq!(
            (text(&ran.objects()[0], "outcome"), text(&ran.objects()[0], "token")),
            (outcome, text(&first, "token"))
        );
    }
    // The tool has the real clock. The clock of the function may be late.
    let late = || clock() - Duration::from_hours(23);
    let event = authlete_call("1", text(&first, "access_token"), &registered);
    assert_eq!(answer_at(&fixture, late, &event).await.status(), 401);
    assert_eq!(status(&second).await, 200);
}

#[tokio::test]
async fn a_token_in_hand_is_revoked_by_itself() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let issued = fixture.object("token issue --service 1").await;
    let revoke = async |token: &str| fixture.ctl("--json token revoke --from-stdin").with_stdin(token).run().await;
    let not_there = |ran: Ran| {
        assert_eq!((ran.code, text(&ran.objects()[0], "outcome")), (Some(1), "not_found"));
        assert!(ran.stderr.ends_with("deregisterctl: tokens not found: 1\n"), "{}", ran.stderr);
    };
    let token = text(&issued, "access_token");
    not_there(revoke(&token.replace(|_| true, "x")).await);
    let ran = revoke(&format!("\u{feff}{token}\r\n")).await;
    assert_eq!((ran.code, text(&ran.objects()[0], "outcome")), (Some(0), "revoked"));
    assert!(!ran.stdout.contains(token));
    assert_eq!(fixture.objects("token list").await[0]["expired"], true);
    assert!(revoke("").await.refused().contains("the first line of the standard input is empty"));
    // A key of another kind is no token.
    not_there(fixture.ctl(&format!("--json token revoke {}", "0".repeat(64))).run().await);
    // The token is not repeated.
    let ran = fixture.ctl(&format!("token revoke {token}")).run().await.refused();
    assert!(ran.starts_with("argument 1 is not the digest of a token") && !ran.contains(token), "{ran}");
}

/// A program may have stored the token instead of its digest.
#[tokio::test]
async fn a_token_in_a_key_is_not_listed() {
    let fixture = Fixture::empty().await;
    let scope = AttributeValue::M([("service_id".to_owned(), AttributeValue::S("1".to_owned()))].into());
    // The second and the third are no digests that a program looks up.
    for text in ["the-token-itself".to_owned(), "A".repeat(64), format!("{}0", "a".repeat(64))] {
        let key = AttributeValue::S(format!("token#{text}"));
        let put = fixture.sdk.put_item().table_name("clients").item("pk", key);
        put.item("token", scope.clone()).send().await.unwrap();
    }
    assert_eq!(fixture.ctl("--json token list").run().await.done(), "");
    assert!(!fixture.ctl("table check").run().await.stdout.contains("the-token-itself"));
}

#[tokio::test]
async fn tokens_are_listed_without_their_values() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    let issued = [
        fixture.object("token issue --service 1 --expires-in 1d").await,
        fixture.object("token issue --organization ours").await,
    ];
    let mut listed = fixture.objects("token list").await;
    listed.sort_by_key(|token| text(token, "scope").to_owned());
    let expected = [&issued[1], &issued[0]].map(|issued| {
        let mut expected = issued.clone();
        expected.as_object_mut().unwrap().remove("access_token");
        expected["expired"] = false.into();
        expected
    });
    assert_eq!(listed, expected);
}

/// The function's answer when its clock returns that time.
async fn answer_at(fixture: &Fixture, clock: fn() -> SystemTime, event: &str) -> Response<Body> {
    let function = Delete::new(fixture.clients.clone(), endpoints(), clock, Environment::default());
    let event = LambdaEvent::new(serde_json::from_str(event).unwrap(), Context::default());
    function.call(event).await.unwrap().response
}
