//! A refusal is never a guess. An attempt of the write is ambiguous if it has no answer, an answer that cannot be read,
//! or a 5xx: it may have taken effect, or may take effect later. If the condition of a later attempt fails, the
//! function does not know why, unless it finds its own tombstone.

use super::site::{Deleted, Summary, Unavailable, expected_summary, summary};
use crate::support::{Fixture, build::id, endpoint::Endpoint, now, wire::Fault};
use deregister::{
    deletion, dynamodb::admin::RestoreOutcome, invocation::Invocation, model::Restoration, rule::operator,
};
use lambda_http::{Body, Response};
use std::time::Duration;
use tokio::time::Instant;

/// An attempt of the write: its name, its fault, and whether it takes effect. The SDK makes another attempt after each.
type Attempt = (&'static str, fn() -> Fault, bool);

const AMBIGUOUS: [Attempt; 9] = [
    ("500, written", || Fault::Replaced(500, "{}"), true),
    ("500 without JSON, written", || Fault::Replaced(500, "<html>"), true),
    ("500, not written", || Fault::error(500, "InternalServerError"), false),
    ("503, written", || Fault::Replaced(503, "{}"), true),
    ("503, not written", || Fault::error(503, "ServiceUnavailable"), false),
    ("502 without JSON, not written", || Fault::Answer(502, "<html>".to_owned()), false),
    ("answer truncated, written", || Fault::Truncated, true),
    ("answer lost, written", || Fault::AnswerLost, true),
    ("reset, not written", || Fault::Reset, false),
];

/// Attempts that are not ambiguous: DynamoDB says that it wrote nothing.
const REFUSED: [Attempt; 2] = [
    ("throttled", || Fault::error(400, "ThrottlingException"), false),
    ("throttled by the table", || Fault::error(400, "ProvisionedThroughputExceededException"), false),
];

/// Answers that end the call: DynamoDB says that this attempt wrote nothing.
const FINAL: [Attempt; 4] = [
    ("no permission", || Fault::error(400, "AccessDeniedException"), false),
    ("not valid", || Fault::error(400, "ValidationException"), false),
    ("no table", || Fault::error(400, "ResourceNotFoundException"), false),
    ("too large", || Fault::error(400, "ItemCollectionSizeLimitExceededException"), false),
];

/// What happens before the second attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// An operator protects the client.
    Protected,
    /// An operator deletes the client.
    Deleted,
}

impl Change {
    async fn apply(self, fixture: &Fixture, endpoint: Endpoint) {
        let (clients, client) = (fixture.direct(), id(endpoint.client()));
        match self {
            Self::Protected => {
                assert!(clients.set_protected(&client, true).await.unwrap().is_some(), "{client} is not live");
            }
            Self::Deleted => {
                let request = operator::Request { target: client, operator: "operator".to_owned(), blocks: false };
                let deadline = Instant::now() + Duration::from_mins(1);
                let request_id = "another request".to_owned();
                let invocation = Invocation { request_id, now: now(), deadline, source_ip: None };
                assert_eq!(deletion::delete(&clients, request, &invocation).await.result, Ok(()));
            }
        }
    }
}

/// Restores the client that an attempt deleted.
async fn restore(fixture: &Fixture, endpoint: Endpoint) {
    let restoration = Restoration { at: now(), by: "operator".to_owned() };
    let outcome = fixture.direct().restore(&id(endpoint.client()), &restoration).await;
    assert!(matches!(outcome, Ok(RestoreOutcome::Done(_))), "{outcome:?}");
}

/// The answer to a request whose write meets this fault. Before the second attempt the client is restored, if the first
/// attempt took effect, and changed.
async fn answer(endpoint: Endpoint, fault: Fault, is_written: bool, change: Change) -> Response<Body> {
    let fixture = Fixture::with_samples().await;
    let other = fixture.clone();
    fixture.wire.plan("UpdateItem", fault);
    fixture.wire.plan(
        "UpdateItem",
        Fault::meanwhile(async move {
            if is_written {
                restore(&other, endpoint).await;
            }
            change.apply(&other, endpoint).await;
        }),
    );
    let answer = fixture.invoke(&endpoint.event()).await;
    assert_eq!(fixture.wire.take_calls(), ["BatchGetItem", "UpdateItem", "UpdateItem"], "{endpoint:?}");
    assert_eq!(fixture.lives(endpoint.client()).await, change == Change::Protected, "{endpoint:?}");
    answer
}

/// The summary of the answer to a failed write that may succeed later.
fn unavailable(endpoint: Endpoint) -> Summary {
    expected_summary(endpoint, "UpdateItem", Unavailable)
}

#[tokio::test]
async fn a_condition_that_fails_after_an_ambiguous_attempt_is_503_and_no_refusal() {
    for endpoint in Endpoint::ALL {
        for (name, fault, is_written) in AMBIGUOUS {
            for change in [Change::Protected, Change::Deleted] {
                let answer = answer(endpoint, fault(), is_written, change).await;
                assert_eq!(summary(&answer), unavailable(endpoint), "{endpoint:?}, {name}, then {change:?}");
            }
        }
    }
}

#[tokio::test]
async fn any_other_error_after_an_ambiguous_attempt_is_503_too() {
    for endpoint in Endpoint::ALL {
        for (name, fault, is_written) in AMBIGUOUS {
            for (error, end, _) in FINAL {
                let fixture = Fixture::with_samples().await;
                fixture.wire.plan("UpdateItem", fault());
                fixture.wire.plan("UpdateItem", end());
                let answer = fixture.invoke(&endpoint.event()).await;
                assert_eq!(summary(&answer), unavailable(endpoint), "{endpoint:?}, {name}, then {error}");
                assert_eq!(fixture.lives(endpoint.client()).await, !is_written, "{endpoint:?}, {name}, then {error}");
            }
        }
    }
}

/// The SDK makes no other attempt after these answers.
#[tokio::test]
async fn an_answer_that_cannot_be_read_or_redirects_is_503() {
    for endpoint in Endpoint::ALL {
        for status in [302, 400, 403, 413] {
            let fixture = Fixture::with_samples().await;
            fixture.wire.plan("UpdateItem", Fault::Replaced(status, "<html>"));
            let answer = fixture.invoke(&endpoint.event()).await;
            assert_eq!(summary(&answer), unavailable(endpoint), "{endpoint:?}, {status}");
        }
    }
}

#[tokio::test]
async fn a_condition_that_fails_after_an_attempt_that_wrote_nothing_is_a_refusal() {
    for endpoint in Endpoint::ALL {
        for (name, fault, is_written) in REFUSED {
            for change in [Change::Protected, Change::Deleted] {
                let answer = answer(endpoint, fault(), is_written, change).await;
                let words = match (endpoint, change) {
                    (Endpoint::Configuration, Change::Protected) => "403 This client is protected from deletion.",
                    (Endpoint::Configuration, Change::Deleted) => "404 Client ID not found.",
                    (Endpoint::Registration, Change::Protected) => "403 insufficient_scope",
                    (Endpoint::Registration, Change::Deleted) => "401 invalid_token",
                    (Endpoint::Authlete, Change::Protected) => "200 D001001 BAD_REQUEST invalid_request",
                    (Endpoint::Authlete, Change::Deleted) => "200 A215302 BAD_REQUEST invalid_request",
                };
                assert_eq!(summary(&answer).0, words, "{endpoint:?}, {name}, then {change:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_later_attempt_that_finds_the_tombstone_of_the_request_is_a_success() {
    for endpoint in Endpoint::ALL {
        for (name, fault, _) in AMBIGUOUS {
            let fixture = Fixture::with_samples().await;
            fixture.wire.plan("UpdateItem", fault());
            let answer = fixture.invoke(&endpoint.event()).await;
            let expected = expected_summary(endpoint, "UpdateItem", Deleted);
            assert_eq!(summary(&answer), expected, "{endpoint:?}, {name}");
            assert_eq!(fixture.wire.take_calls(), ["BatchGetItem", "UpdateItem", "UpdateItem"], "{endpoint:?}, {name}");
            assert!(!fixture.lives(endpoint.client()).await, "{endpoint:?}, {name}");
        }
    }
}

/// The SDK makes no other attempt after a success that it cannot read.
#[tokio::test]
async fn a_success_that_cannot_be_read_is_503_whether_the_client_is_deleted_or_not() {
    let unreadable: [(fn() -> Fault, bool); 2] =
        [(|| Fault::Replaced(200, "<html>"), true), (|| Fault::Answer(200, "<html>".to_owned()), false)];
    for endpoint in Endpoint::ALL {
        for (fault, is_written) in unreadable {
            let fixture = Fixture::with_samples().await;
            fixture.wire.plan("UpdateItem", fault());
            let answer = fixture.invoke(&endpoint.event()).await;
            assert_eq!(summary(&answer), unavailable(endpoint), "{endpoint:?}");
            assert_eq!(fixture.wire.take_calls(), ["BatchGetItem", "UpdateItem"], "{endpoint:?}");
            assert_eq!(fixture.lives(endpoint.client()).await, !is_written, "{endpoint:?}");
        }
    }
}
