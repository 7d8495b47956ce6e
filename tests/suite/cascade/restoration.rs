//! Clients that are restored before or during a purge.

use super::{PAGE, Tables, all_done, calls, deletion, id, outcomes, restore, s};
use crate::support::{log::Captured, sample::TARGET};
use deregister::functions::cascade::PurgeOutcome;
use std::sync::Arc;

#[tokio::test]
async fn a_restored_client_keeps_its_grants() {
    let tables = Tables::new().await;
    tables.issue(TARGET, 0..30).await;
    tables.delete(TARGET).await;
    restore(&tables.fixture, TARGET).await;
    let expected = tables.items().await;
    let log = Captured::at("INFO");
    assert_eq!(tables.deliver(&[deletion("1", TARGET)]).await, all_done());
    assert_eq!(tables.take_calls(), ["Query", "GetItem"]);
    assert_eq!(outcomes(&log), [("kept".to_owned(), 0, 2)]);
    assert!(tables.items().await == expected);
}

#[tokio::test]
async fn a_client_that_is_restored_during_a_purge_keeps_the_remaining_grants() {
    for operation in ["Query", "GetItem"] {
        let tables = Tables::new().await;
        tables.issue(TARGET, 0..PAGE + 30).await;
        tables.delete(TARGET).await;
        let fixture = tables.fixture.clone();
        tables.pass(operation, 1);
        tables.meanwhile(operation, async move { restore(&fixture, TARGET).await });
        let log = Captured::at("INFO");
        assert_eq!(tables.deliver(&[deletion("1", TARGET)]).await, all_done());
        let made = tables.take_calls();
        assert_eq!(made, [&calls(&[PAGE])[..], &["GetItem"]].concat(), "{operation}");
        assert_eq!(outcomes(&log), [("kept".to_owned(), PAGE, made.len())], "{operation}");
        assert_eq!(tables.count(TARGET).await, 30, "{operation}");
    }
}

#[tokio::test]
async fn a_grant_that_is_issued_after_the_restoration_is_never_removed() {
    for operation in ["Query", "GetItem", "BatchWriteItem"] {
        let tables = Arc::new(Tables::new().await);
        tables.issue(TARGET, 0..30).await;
        tables.delete(TARGET).await;
        let server = Arc::clone(&tables);
        tables.meanwhile(operation, async move {
            restore(&server.fixture, TARGET).await;
            server.issue(TARGET, 30..35).await;
        });
        assert_eq!(tables.deliver(&[deletion("1", TARGET)]).await, all_done());
        // Grants that were read before the restoration may be removed.
        let first = if operation == "BatchWriteItem" { 30 } else { 0 };
        let left: Vec<_> = tables.grant_items().await.iter().map(|grant| grant["grant_id"].clone()).collect();
        assert_eq!(left, (first..35).map(|number| s(&format!("grant-{number:05}"))).collect::<Vec<_>>(), "{operation}");
    }
}

#[tokio::test]
async fn the_purge_of_one_client_says_whether_its_grants_were_kept() {
    let tables = Tables::new().await;
    tables.issue(TARGET, 0..3).await;
    tables.delete(TARGET).await;
    restore(&tables.fixture, TARGET).await;
    let mut removed = 0;
    assert_eq!(tables.cascade.purge(&id(TARGET), &mut removed).await, Ok(PurgeOutcome::Kept));
    assert_eq!((removed, tables.count(TARGET).await), (0, 3));

    tables.issue("deleted", 0..3).await;
    assert_eq!(tables.cascade.purge(&id("deleted"), &mut removed).await, Ok(PurgeOutcome::Removed));
    assert_eq!((removed, tables.count("deleted").await), (3, 0));
}

#[tokio::test]
async fn a_record_that_is_delivered_again_costs_one_query_and_changes_nothing() {
    let tables = Tables::new().await;
    tables.issue(TARGET, 0..3).await;
    tables.issue("other", 0..3).await;
    tables.delete(TARGET).await;
    tables.deliver(&[deletion("1", TARGET)]).await;
    let expected = tables.items().await;
    tables.take_calls();
    assert_eq!(tables.deliver(&[deletion("1", TARGET)]).await, all_done());
    assert_eq!(tables.take_calls(), ["Query"]);
    assert!(tables.items().await == expected);
}
