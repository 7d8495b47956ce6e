//! `token issue`

use crate::{
    fixture::authlete_call,
    run::text,
    support::{Fixture, endpoints, json as body},
};
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

/// The function's answer when its clock returns that time.
async fn answer_at(fixture: &Fixture, clock: fn() -> SystemTime, event: &str) -> Response<Body> {
    let function = Delete::new(fixture.clients.clone(), endpoints(), clock, Environment::default());
    let event = LambdaEvent::new(serde_json::from_str(event).unwrap(), Context::default());
    function.call(event).await.unwrap().response
}
