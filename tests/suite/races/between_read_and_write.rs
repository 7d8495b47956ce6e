//! Changes between the read and the write of a deletion. The write asserts what the decision used, and the request is
//! decided again on the item that the failed condition returns.

use super::{features, plan_change, s, shown};
use crate::support::{
    Fixture, basic,
    build::id,
    endpoint::Endpoint::{self, Authlete, Configuration, Registration},
    event, json, now,
    sample::{APPLICATION, FOREIGN_SERVICE, OWNER, TARGET},
};
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use deregister::{
    deletion::{self, NotDeleted},
    invocation::Invocation,
    rule::operator,
};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test]
async fn a_change_that_a_rule_forbids_refuses_the_deletion() {
    let protected = || AttributeValue::Bool(true);
    let rotated = || AttributeValue::B(Blob::new([7; 32]));
    let cases = [
        (Configuration, "features", features(&["metadata", "owner"]), (403, None)),
        (Configuration, "protected", protected(), (403, None)),
        (Configuration, "app_id", s("another"), (404, None)),
        (Registration, "protected", protected(), (403, None)),
        (Registration, "registration_token_digest", rotated(), (401, None)),
        (Authlete, "protected", protected(), (200, Some("D001001"))),
        (Authlete, "registration_token_digest", rotated(), (200, Some("A215307"))),
        (Authlete, "service_id", s(FOREIGN_SERVICE), (200, Some("A215302"))),
    ];
    for (endpoint, member, value, expected) in cases {
        let fixture = Fixture::anywhere_with_samples().await;
        plan_change(&fixture, endpoint.client(), member, value);
        let answer = endpoint.delete(&fixture).await;
        let code = (answer.status() == 200).then(|| json(&answer)["resultCode"].as_str().map(str::to_owned)).flatten();
        let found = (answer.status().as_u16(), code.as_deref());
        assert_eq!(found, expected, "{endpoint:?} {member}: {}", shown(&answer));
        assert_eq!(fixture.wire.take_calls(), ["BatchGetItem", "UpdateItem"], "{endpoint:?} {member}");
        assert!(fixture.lives(endpoint.client()).await, "{endpoint:?} {member}");
    }
}

#[tokio::test]
async fn the_refusal_of_a_new_owner_says_why() {
    let fixture = Fixture::anywhere_with_samples().await;
    plan_change(&fixture, TARGET, "features", features(&["metadata", "owner"]));
    let answer = Configuration.delete(&fixture).await;
    let refusal = r#"403 Forbidden {"errors": "A client with the owner feature cannot be deleted."}"#;
    assert_eq!(shown(&answer), refusal);
}

#[tokio::test]
async fn an_operator_is_refused_too() {
    for (member, value, refusal) in [
        ("features", features(&["owner"]), operator::Refusal::TargetIsOwner),
        ("protected", AttributeValue::Bool(true), operator::Refusal::Protected),
    ] {
        let fixture = Fixture::anywhere_with_samples().await;
        plan_change(&fixture, TARGET, member, value);
        let request = operator::Request { operator: "operator".to_owned(), target: id(TARGET), blocks: false };
        let invocation = Invocation {
            now: now(),
            deadline: Instant::now() + Duration::from_secs(10),
            source_ip: None,
            request_id: "this".to_owned(),
        };
        let outcome = deletion::delete(&fixture.clients, request, &invocation).await;
        assert_eq!(outcome.result, Err(NotDeleted::Refused(refusal)));
        assert!(fixture.lives(TARGET).await);
    }
}

#[tokio::test]
async fn a_new_version_fails_if_match() {
    let fixture = Fixture::anywhere_with_samples().await;
    plan_change(&fixture, TARGET, "version", AttributeValue::N("4".to_owned()));
    let path = format!("/config/{APPLICATION}/clients/{TARGET}");
    let authorization = basic(OWNER);
    let headers = [("authorization", authorization.as_str()), ("if-match", "\"3\"")];
    let answer = fixture.invoke(&event("DELETE", &path, "", &headers, "")).await;
    assert_eq!(answer.status(), 412);
    assert!(fixture.lives(TARGET).await);
}

#[tokio::test]
async fn a_change_that_no_rule_uses_does_not_stop_the_deletion() {
    for endpoint in Endpoint::ALL {
        let fixture = Fixture::anywhere_with_samples().await;
        plan_change(&fixture, endpoint.client(), "name", s("renamed"));
        let answer = endpoint.delete(&fixture).await;
        assert!(endpoint.is_deleted(&answer), "{endpoint:?}: {answer:?}");
        let tombstone = fixture.item(&format!("client#{}", endpoint.client())).await.unwrap()["tombstone"].clone();
        assert_eq!(tombstone.as_m().unwrap()["name"], s("renamed"), "{endpoint:?}");
    }
}
