//! A database that fails: the answer says so in the endpoint's envelope, and the client is live.

use super::{s, set, throttled};
use crate::support::{
    Fixture, basic,
    endpoint::Endpoint::{self, Authlete, Configuration, Registration},
    header, invocation, json,
    sample::{APPLICATION, OWNER, TARGET},
    text,
    wire::{FAULT_MESSAGE, Fault},
};
use serde_json::Value;

#[tokio::test]
async fn a_throttled_read_is_a_503_with_retry_after() {
    for endpoint in Endpoint::ALL {
        let fixture = Fixture::anywhere_with_samples().await;
        (0..4).for_each(|_| fixture.wire.plan("BatchGetItem", throttled()));
        let answer = endpoint.delete(&fixture).await;
        assert_eq!(answer.status(), 503, "{endpoint:?}");
        assert_eq!(header(&answer, "retry-after"), Some("1"));
        let member = match endpoint {
            Configuration => "errors",
            Registration => "error",
            Authlete => "resultCode",
        };
        assert!(json(&answer)[member].is_string(), "{endpoint:?}");
        assert!(fixture.lives(endpoint.client()).await);
    }
}

#[tokio::test]
async fn a_write_that_is_throttled_at_every_attempt_deletes_nothing() {
    for endpoint in Endpoint::ALL {
        let fixture = Fixture::anywhere_with_samples().await;
        (0..4).for_each(|_| fixture.wire.plan("UpdateItem", throttled()));
        let answer = endpoint.delete(&fixture).await;
        match endpoint {
            Configuration | Registration => {
                assert_eq!(answer.status(), 503, "{endpoint:?}");
                assert_eq!(header(&answer, "retry-after"), Some("1"));
            }
            Authlete => {
                assert_eq!(answer.status(), 200);
                let body = json(&answer);
                assert_eq!(body["action"], "INTERNAL_SERVER_ERROR");
                let content: Value = serde_json::from_str(body["responseContent"].as_str().unwrap()).unwrap();
                assert_eq!(content["error"], "server_error");
            }
        }
        assert!(fixture.lives(endpoint.client()).await, "{endpoint:?}");
    }
}

#[tokio::test]
async fn a_permanent_fault_is_a_500_without_its_text() {
    for endpoint in Endpoint::ALL {
        let fixture = Fixture::anywhere_with_samples().await;
        fixture.wire.plan("BatchGetItem", Fault::error(400, "AccessDeniedException"));
        let answer = endpoint.delete(&fixture).await;
        assert_eq!(answer.status(), 500, "{endpoint:?}");
        for hidden in ["AccessDenied", FAULT_MESSAGE] {
            assert!(!text(&answer).contains(hidden), "{endpoint:?}: {}", text(&answer));
        }
    }
}

#[tokio::test]
async fn an_unreadable_client_is_a_500_to_its_owner_and_a_401_to_a_stranger() {
    let fixture = Fixture::anywhere_with_samples().await;
    set(&fixture, TARGET, "kind", s("nonsense")).await;
    let path = format!("/config/{APPLICATION}/clients/{TARGET}");
    let stranger = fixture.send("DELETE", &path, Some(&basic((OWNER.0, "wrong"))), "").await;
    assert_eq!(stranger.status(), 401);
    assert_eq!(Configuration.delete(&fixture).await.status(), 500);
}

#[tokio::test]
async fn a_database_that_never_answers_is_a_503_before_the_deadline() {
    for (endpoint, operation) in [(Configuration, "BatchGetItem"), (Registration, "UpdateItem")] {
        let fixture = Fixture::anywhere_with_samples().await;
        fixture.wire.plan(operation, Fault::Silence);
        let mut short = invocation();
        short.deadline -= 9_500;
        let answer = fixture.invoke_in(short, &endpoint.event()).await;
        assert_eq!(answer.status(), 503, "{endpoint:?}");
    }
}
