//! What an authorization server may accept, by the time at which it was issued.

use super::{HOUR, SECOND, client_status, delete, dynamic, kinds, restore, with};
use crate::support::{Fixture, now};
use std::time::{Duration, SystemTime};

async fn accepts(fixture: &Fixture, client_id: &str, issued_at: SystemTime) -> bool {
    client_status(fixture, client_id).await.accepts(issued_at)
}

#[tokio::test]
async fn everything_if_the_client_was_never_deleted() {
    let fixture = Fixture::empty().await;
    for (client_id, client) in kinds() {
        fixture.create(client_id, client).await;
        for issued_at in [SystemTime::UNIX_EPOCH, now(), now() + HOUR] {
            assert!(accepts(&fixture, client_id, issued_at).await, "{client_id}");
        }
    }
}

#[tokio::test]
async fn nothing_from_before_a_deletion_even_after_a_restoration() {
    let fixture = Fixture::empty().await;
    for (client_id, client) in kinds() {
        fixture.create(client_id, client).await;
        let issued_at = now() - HOUR;
        assert!(accepts(&fixture, client_id, issued_at).await, "{client_id}");
        delete(&fixture, client_id, now()).await;
        assert!(!accepts(&fixture, client_id, issued_at).await, "{client_id}");
        restore(&fixture, client_id, now() + HOUR).await;
        assert!(!accepts(&fixture, client_id, issued_at).await, "{client_id}");
        assert!(!accepts(&fixture, client_id, SystemTime::UNIX_EPOCH).await, "{client_id}");
        assert!(accepts(&fixture, client_id, now() + HOUR + SECOND).await, "{client_id}");
    }
}

#[tokio::test]
async fn nothing_up_to_the_second_of_the_restoration_and_everything_after_it() {
    let fixture = with(dynamic()).await;
    let instant = Duration::from_nanos(1);
    let restored = now() + HOUR;
    delete(&fixture, "a", now()).await;
    restore(&fixture, "a", restored + SECOND / 2).await;
    for (issued_at, is_accepted) in [
        (now() - instant, false),
        (now(), false),
        (now() + SECOND, false),
        (restored - instant, false),
        (restored, false),
        (restored + SECOND - instant, false),
        (restored + SECOND, true),
        (restored + SECOND + instant, true),
    ] {
        let offset = issued_at.duration_since(now());
        assert_eq!(accepts(&fixture, "a", issued_at).await, is_accepted, "{offset:?}");
    }
}

#[tokio::test]
async fn nothing_from_a_second_with_both_a_deletion_and_its_restoration() {
    let fixture = with(dynamic()).await;
    delete(&fixture, "a", now()).await;
    restore(&fixture, "a", now()).await;
    assert!(!accepts(&fixture, "a", now()).await);
    assert!(accepts(&fixture, "a", now() + SECOND).await);
}

/// The clock of the operator and the clock of the function differ.
#[tokio::test]
async fn nothing_from_before_the_deletion_even_if_the_restoration_has_an_earlier_time() {
    let fixture = with(dynamic()).await;
    delete(&fixture, "a", now()).await;
    restore(&fixture, "a", now() - HOUR).await;
    assert!(!accepts(&fixture, "a", now()).await);
    assert!(accepts(&fixture, "a", now() + SECOND).await);
}

#[tokio::test]
async fn nothing_up_to_the_latest_restoration_wherever_it_is_in_the_history() {
    let fixture = with(dynamic()).await;
    // A history keeps ten entries. The eleventh here is not the latest.
    for hours in (0..10).chain([5]) {
        delete(&fixture, "a", now() + hours * HOUR).await;
        restore(&fixture, "a", now() + hours * HOUR + SECOND).await;
    }
    let latest = now() + 9 * HOUR + SECOND;
    assert!(!accepts(&fixture, "a", latest).await);
    assert!(accepts(&fixture, "a", latest + SECOND).await);
}
