//! Ambiguous attempts: an attempt without an answer may have taken effect, or may still take effect.

use super::{plan_change, s, shown, throttled, update};
use crate::support::{Fixture, endpoint::Endpoint, now, wire::Fault};
use aws_sdk_dynamodb::types::AttributeValue;
use std::{collections::HashMap, time::SystemTime};

/// An attempt without an answer may still arrive, when the client is again as it was. Then a refusal would be wrong.
#[tokio::test]
async fn no_refusal_follows_an_ambiguous_attempt() {
    for endpoint in Endpoint::ALL {
        for (first, is_ambiguous) in [(Fault::Reset, true), (throttled(), false)] {
            let fixture = Fixture::anywhere_with_samples().await;
            fixture.wire.plan("UpdateItem", first);
            plan_change(&fixture, endpoint.client(), "protected", AttributeValue::Bool(true));
            let answer = endpoint.delete(&fixture).await;
            let shown = shown(&answer);
            assert!(!endpoint.is_deleted(&answer), "{endpoint:?}: {shown}");
            let is_unavailable = answer.status() == 503 || shown.contains("A001101");
            assert_eq!(is_unavailable, is_ambiguous, "{endpoint:?}: {shown}");
            assert_eq!(fixture.wire.take_calls(), ["BatchGetItem", "UpdateItem", "UpdateItem"]);
            assert!(fixture.lives(endpoint.client()).await);
        }
    }
}

#[tokio::test]
async fn a_deletion_is_recognized_if_its_answer_is_lost() {
    for endpoint in Endpoint::ALL {
        let fixture = Fixture::anywhere_with_samples().await;
        fixture.wire.plan("UpdateItem", Fault::AnswerLost);
        let answer = endpoint.delete(&fixture).await;
        assert!(endpoint.is_deleted(&answer), "{endpoint:?}: {}", shown(&answer));
        assert_eq!(fixture.wire.take_calls(), ["BatchGetItem", "UpdateItem", "UpdateItem"]);
        assert!(!fixture.lives(endpoint.client()).await);
    }
}

#[tokio::test]
async fn the_tombstone_of_another_request_is_not_a_success() {
    for endpoint in Endpoint::ALL {
        let fixture = Fixture::anywhere_with_samples().await;
        let bystander = fixture.clone();
        let delete = async move { delete_as_another_request(&bystander, endpoint.client()).await };
        fixture.wire.plan("UpdateItem", Fault::meanwhile(delete));
        let answer = endpoint.delete(&fixture).await;
        assert!(endpoint.is_missing(&answer), "{endpoint:?}: {}", shown(&answer));
    }
}

/// Writes a tombstone as another request does.
async fn delete_as_another_request(fixture: &Fixture, client_id: &str) {
    let now = now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let record = HashMap::from([
        ("at".to_owned(), AttributeValue::N(now.to_string())),
        ("by".to_owned(), s("client#somebody")),
        ("via".to_owned(), s("configuration")),
        ("request_id".to_owned(), s("another")),
    ]);
    update(fixture, client_id)
        .update_expression("SET tombstone = client, deleted = :record REMOVE client")
        .expression_attribute_values(":record", AttributeValue::M(record))
        .send()
        .await
        .unwrap();
}
