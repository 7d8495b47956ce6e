//! What happens when others write at the same time, and when an answer is lost.

use crate::support::{
    Fixture, basic,
    door::Door::{self, Authlete, Configuration, Registration},
    json, now,
    sample::{APPLICATION, CLIENT, OWNER, TARGET},
    wire::Fault,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    deletion::{self, NotDeleted},
    invocation::Invocation,
    model::Id,
    rule::operator,
};
use lambda_http::{Body, Response};
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{sync::Barrier, task::JoinSet, time::Instant};

impl Door {
    async fn delete(self, fixture: &Fixture) -> Response<Body> {
        fixture.invoke(&self.event()).await
    }

    /// Whether the answer says that this request deleted the client.
    fn says_deleted(self, answer: &Response<Body>) -> bool {
        match self {
            Configuration | Registration => answer.status() == 204,
            Authlete => answer.status() == 200 && json(answer)["action"] == "DELETED",
        }
    }

    /// Whether the answer is the door's "there is no such client".
    fn says_gone(self, answer: &Response<Body>) -> bool {
        match self {
            Configuration => answer.status() == 404,
            Registration => answer.status() == 401,
            Authlete => json(answer)["resultCode"] == "A215302",
        }
    }
}

/// Sets a member of a live client, as its owner or an operator would.
async fn set(fixture: &Fixture, client_id: &str, member: &str, value: AttributeValue) {
    let update = fixture
        .client
        .update_item()
        .table_name(&fixture.table)
        .key("pk", AttributeValue::S(format!("client#{client_id}")))
        .update_expression("SET client.#member = :value")
        .condition_expression("attribute_exists(client)")
        .expression_attribute_names("#member", member)
        .expression_attribute_values(":value", value);
    // A deleted client can no longer be changed: losing the race is fine.
    let _ = update.send().await;
}

fn features(features: &[&str]) -> AttributeValue {
    AttributeValue::L(features.iter().map(|feature| AttributeValue::S((*feature).to_owned())).collect())
}

/// Has this happen to the client between the read and the write of the next delete.
fn meanwhile(fixture: &Fixture, client_id: &'static str, member: &'static str, value: AttributeValue) {
    let bystander = fixture.clone();
    let event = async move { set(&bystander, client_id, member, value).await };
    fixture.wire.plan("UpdateItem", wire::Fault::meanwhile(event));
}

#[tokio::test]
async fn of_64_simultaneous_deletes_of_one_client_exactly_one_succeeds_at_every_door() {
    for door in Door::ALL {
        let fixture = Fixture::with_samples().await;
        let start = Arc::new(Barrier::new(64));
        let mut requests = JoinSet::new();
        for _ in 0..64 {
            let (fixture, start) = (fixture.clone(), Arc::clone(&start));
            requests.spawn(async move {
                start.wait().await;
                door.delete(&fixture).await
            });
        }
        let answers = requests.join_all().await;
        let deleted = answers.iter().filter(|answer| door.says_deleted(answer)).count();
        let gone = answers.iter().filter(|answer| door.says_gone(answer)).count();
        assert_eq!((deleted, gone), (1, 63), "{door:?}");
        assert!(!fixture.lives(door.client()).await);
    }
}

#[tokio::test]
async fn a_client_promoted_to_owner_between_read_and_write_is_not_deleted() {
    let fixture = Fixture::with_samples().await;
    meanwhile(&fixture, TARGET, "features", features(&["metadata", "owner"]));
    fixture.wire.take_calls();
    let answer = Configuration.delete(&fixture).await;
    assert_eq!(answer.status(), 403);
    assert_eq!(json(&answer)["errors"], "A client with the owner feature cannot be deleted.");
    assert_eq!(fixture.wire.take_calls(), ["BatchGetItem", "UpdateItem"], "decided from the write's own answer");
    assert!(fixture.lives(TARGET).await);
}

#[tokio::test]
async fn a_promotion_racing_a_delete_never_ends_with_a_deleted_owner() {
    for _ in 0..50 {
        let fixture = Fixture::with_samples().await;
        let (answer, ()) =
            tokio::join!(Configuration.delete(&fixture), set(&fixture, TARGET, "features", features(&["owner"])));
        let item = fixture.item(&format!("client#{TARGET}")).await.unwrap();
        match answer.status().as_u16() {
            204 => assert_ne!(item["tombstone"].as_m().unwrap()["features"], features(&["owner"])),
            403 => assert_eq!(item["client"].as_m().unwrap()["features"], features(&["owner"])),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test]
async fn a_client_protected_between_read_and_write_is_not_deleted_at_any_door() {
    for door in Door::ALL {
        let fixture = Fixture::with_samples().await;
        meanwhile(&fixture, door.client(), "protected", AttributeValue::Bool(true));
        let answer = door.delete(&fixture).await;
        match door {
            Configuration | Registration => assert_eq!(answer.status(), 403, "{door:?}"),
            Authlete => assert_eq!(json(&answer)["resultCode"], "D001001"),
        }
        assert!(fixture.lives(door.client()).await, "{door:?}");
    }
}

#[tokio::test]
async fn an_operator_does_not_delete_what_becomes_an_owner_or_protected_between_read_and_write() {
    for (member, value, refusal) in [
        ("features", features(&["owner"]), operator::Refusal::TargetIsOwner),
        ("protected", AttributeValue::Bool(true), operator::Refusal::Protected),
    ] {
        let fixture = Fixture::with_samples().await;
        meanwhile(&fixture, TARGET, member, value);
        let target = Id::new(TARGET).unwrap();
        let request = operator::Request { operator: "operator".to_owned(), target };
        let invocation = Invocation {
            now: now(),
            deadline: Instant::now() + Duration::from_secs(10),
            source_ip: None,
            request_id: "this".to_owned(),
        };
        let ended = deletion::delete(&fixture.clients, request, &invocation).await;
        assert_eq!(ended.result, Err(NotDeleted::Refused(refusal)));
        assert!(fixture.lives(TARGET).await);
    }
}

#[tokio::test]
async fn a_client_moved_to_another_application_between_read_and_write_is_not_deleted() {
    let fixture = Fixture::with_samples().await;
    meanwhile(&fixture, TARGET, "app_id", AttributeValue::S("another".to_owned()));
    assert_eq!(Configuration.delete(&fixture).await.status(), 404);
    assert!(fixture.lives(TARGET).await);
}

#[tokio::test]
async fn a_registration_token_rotated_between_read_and_write_no_longer_deletes() {
    for door in [Registration, Authlete] {
        let fixture = Fixture::with_samples().await;
        let rotated = AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new([7; 32]));
        meanwhile(&fixture, door.client(), "registration_token_digest", rotated);
        let answer = door.delete(&fixture).await;
        match door {
            Authlete => assert_eq!(json(&answer)["resultCode"], "A215307"),
            _ => assert_eq!(answer.status(), 401),
        }
        assert!(fixture.lives(door.client()).await, "{door:?}");
    }
}

#[tokio::test]
async fn a_client_moved_to_another_service_between_read_and_write_is_not_deleted_for_the_first() {
    let fixture = Fixture::with_samples().await;
    meanwhile(&fixture, CLIENT.0, "service_id", AttributeValue::S("826059428".to_owned()));
    assert_eq!(json(&Authlete.delete(&fixture).await)["resultCode"], "A215302");
    assert!(fixture.lives(CLIENT.0).await);
}

#[tokio::test]
async fn a_client_changed_between_read_and_write_is_not_deleted_at_the_old_version() {
    let fixture = Fixture::with_samples().await;
    meanwhile(&fixture, TARGET, "version", AttributeValue::N("4".to_owned()));
    let path = format!("/config/{APPLICATION}/clients/{TARGET}");
    let authorization = basic(OWNER);
    let headers = [("authorization", authorization.as_str()), ("if-match", "\"3\"")];
    let answer = fixture.invoke(&support::event("DELETE", &path, "", &headers, "")).await;
    assert_eq!(answer.status(), 412);
    assert!(fixture.lives(TARGET).await);
}

#[tokio::test]
async fn a_change_that_no_decision_rests_on_does_not_stop_a_delete() {
    for door in Door::ALL {
        let fixture = Fixture::with_samples().await;
        meanwhile(&fixture, door.client(), "name", AttributeValue::S("renamed".to_owned()));
        let answer = door.delete(&fixture).await;
        assert!(door.says_deleted(&answer), "{door:?}: {answer:?}");
        let tombstone = fixture.item(&format!("client#{}", door.client())).await.unwrap()["tombstone"].clone();
        assert_eq!(tombstone.as_m().unwrap()["name"], AttributeValue::S("renamed".to_owned()));
    }
}

/// A try that had no answer may still arrive when its client is what it was: a refusal would not be true for long.
#[tokio::test]
async fn a_client_that_is_protected_after_a_try_that_went_unheard_is_a_503_and_no_refusal() {
    for door in Door::ALL {
        for (fault, refused) in [(wire::Fault::Reset, false), (wire::Fault::error(400, "ThrottlingException"), true)] {
            let fixture = Fixture::with_samples().await;
            fixture.wire.take_calls();
            fixture.wire.plan("UpdateItem", fault);
            meanwhile(&fixture, door.client(), "protected", AttributeValue::Bool(true));
            let answer = door.delete(&fixture).await;
            assert!(!door.says_deleted(&answer), "{door:?}: {answer:?}");
            let told = format!("{} {}", answer.status(), support::text(&answer));
            let unavailable = answer.status() == 503 || told.contains("A001101");
            assert_eq!(unavailable, !refused, "{door:?}: {told}");
            assert_eq!(fixture.wire.take_calls(), ["BatchGetItem", "UpdateItem", "UpdateItem"]);
            assert!(fixture.lives(door.client()).await);
        }
    }
}

#[tokio::test]
async fn a_delete_whose_answer_was_lost_and_that_the_sdk_sends_again_is_a_success() {
    for door in Door::ALL {
        let fixture = Fixture::with_samples().await;
        fixture.wire.take_calls();
        fixture.wire.plan("UpdateItem", wire::Fault::AnswerLost);
        let answer = door.delete(&fixture).await;
        assert!(door.says_deleted(&answer), "{door:?}: {answer:?}");
        assert_eq!(fixture.wire.take_calls(), ["BatchGetItem", "UpdateItem", "UpdateItem"]);
        assert!(!fixture.lives(door.client()).await);
    }
}

#[tokio::test]
async fn a_tombstone_of_another_request_is_not_taken_for_ones_own() {
    for door in Door::ALL {
        let fixture = Fixture::with_samples().await;
        let other = fixture.clone();
        fixture.wire.plan("UpdateItem", wire::Fault::meanwhile(async move { bury(&other, door.client()).await }));
        let answer = door.delete(&fixture).await;
        assert!(door.says_gone(&answer), "{door:?}: {answer:?}");
    }
}

/// Deletes the client past the wire, as another invocation would.
async fn write_tombstone(fixture: &Fixture, client_id: &str) {
    let record = HashMap::from([
        ("at".to_owned(), AttributeValue::N(seconds(now()))),
        ("by".to_owned(), AttributeValue::S("client#somebody".to_owned())),
        ("via".to_owned(), AttributeValue::S("configuration".to_owned())),
        ("request_id".to_owned(), AttributeValue::S("another".to_owned())),
    ]);
    fixture
        .sdk
        .update_item()
        .table_name(&fixture.table)
        .key("pk", AttributeValue::S(format!("client#{client_id}")))
        .update_expression("SET tombstone = client, deleted = :record REMOVE client")
        .expression_attribute_values(":record", AttributeValue::M(record))
        .send()
        .await
        .unwrap();
}

fn seconds(instant: SystemTime) -> String {
    instant.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs().to_string()
}

#[tokio::test]
async fn an_unavailable_database_is_503_with_retry_after_in_the_doors_envelope() {
    for door in Door::ALL {
        let fixture = Fixture::with_samples().await;
        (0..4).for_each(|_| fixture.wire.plan("BatchGetItem", wire::Fault::error(400, "ThrottlingException")));
        let answer = door.delete(&fixture).await;
        assert_eq!(answer.status(), 503, "{door:?}");
        assert_eq!(support::header(&answer, "retry-after"), Some("1"));
        let member = match door {
            Configuration => "errors",
            Registration => "error",
            Authlete => "resultCode",
        };
        assert!(json(&answer)[member].is_string(), "{door:?}");
        assert!(fixture.lives(door.client()).await);
    }
}

#[tokio::test]
async fn a_write_that_is_throttled_to_the_end_deletes_nothing_and_says_so() {
    for door in Door::ALL {
        let fixture = Fixture::with_samples().await;
        (0..4).for_each(|_| fixture.wire.plan("UpdateItem", wire::Fault::error(400, "ThrottlingException")));
        let answer = door.delete(&fixture).await;
        match door {
            Configuration | Registration => {
                assert_eq!(answer.status(), 503, "{door:?}");
                assert_eq!(support::header(&answer, "retry-after"), Some("1"));
            }
            Authlete => {
                assert_eq!(answer.status(), 200);
                assert_eq!(json(&answer)["action"], "INTERNAL_SERVER_ERROR");
                let content: serde_json::Value =
                    serde_json::from_str(json(&answer)["responseContent"].as_str().unwrap()).unwrap();
                assert_eq!(content["error"], "server_error");
            }
        }
        assert!(fixture.lives(door.client()).await, "{door:?}");
    }
}

#[tokio::test]
async fn a_fault_that_does_not_pass_is_500_without_its_text() {
    for door in Door::ALL {
        let fixture = Fixture::with_samples().await;
        fixture.wire.plan("BatchGetItem", wire::Fault::error(400, "AccessDeniedException"));
        let answer = door.delete(&fixture).await;
        assert_eq!(answer.status(), 500, "{door:?}");
        assert!(!support::text(&answer).contains("AccessDenied"), "{door:?}");
        assert!(!support::text(&answer).contains("as the test asked"), "{door:?}");
    }
}

#[tokio::test]
async fn an_item_that_cannot_be_read_is_a_500_only_for_those_who_may_know_of_it() {
    let fixture = Fixture::with_samples().await;
    set(&fixture, TARGET, "kind", AttributeValue::S("nonsense".to_owned())).await;
    let path = format!("/config/{APPLICATION}/clients/{TARGET}");
    let stranger = fixture.send("DELETE", &path, Some(&basic((OWNER.0, "wrong"))), "").await;
    assert_eq!(stranger.status(), 401);
    assert_eq!(Configuration.delete(&fixture).await.status(), 500);
}

#[tokio::test]
async fn a_database_that_never_answers_is_503_within_the_time_that_the_invocation_has() {
    for (door, operation) in [(Configuration, "BatchGetItem"), (Registration, "UpdateItem")] {
        let fixture = Fixture::with_samples().await;
        fixture.wire.plan(operation, wire::Fault::Silence);
        let mut hurried = support::invocation();
        hurried.deadline -= 9_500;
        let answer = fixture.invoke_in(hurried, &door.event()).await;
        assert_eq!(answer.status(), 503, "{door:?}");
    }
}
