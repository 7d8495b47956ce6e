//! Faults: whether the same call may succeed later.

use super::{key, load, write_tombstone};
use crate::support::{Fixture, wire::Fault as Planned};
use deregister::store::Fault;

#[tokio::test]
async fn an_error_makes_the_database_unavailable_if_the_same_call_may_succeed_later() {
    for (status, kind, is_temporary) in [
        (400, "ProvisionedThroughputExceededException", true),
        (400, "RequestLimitExceeded", true),
        (400, "ThrottlingException", true),
        (400, "TransactionConflictException", true),
        (400, "ReplicatedWriteConflictException", true),
        (500, "InternalServerError", true),
        (503, "ServiceUnavailable", true),
        (400, "ValidationException", false),
        (400, "ResourceNotFoundException", false),
        (400, "AccessDeniedException", false),
        (400, "UnrecognizedClientException", false),
    ] {
        let fixture = Fixture::anywhere().await;
        for operation in ["BatchGetItem", "UpdateItem"] {
            (0..4).for_each(|_| fixture.wire.plan(operation, Planned::error(status, kind)));
        }
        let read = load(&fixture.clients, &[key("a")]).await.unwrap_err();
        let written = write_tombstone(&fixture, "a", &[]).await.unwrap_err();
        for fault in [read, written] {
            match fault {
                Fault::Unavailable(_) => assert!(is_temporary, "{kind}: {fault}"),
                Fault::Unexpected(_) => assert!(!is_temporary, "{kind}: {fault}"),
                Fault::Unreadable(_) => panic!("{kind}: {fault}"),
            }
            assert!(fault.to_string().contains(kind), "{fault}");
        }
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_unavailable() {
    let fixture = Fixture::anywhere().await;
    (0..4).for_each(|_| fixture.wire.plan("BatchGetItem", Planned::Reset));
    let fault = load(&fixture.clients, &[key("a")]).await.unwrap_err();
    assert!(matches!(fault, Fault::Unavailable(_)), "{fault}");
}
