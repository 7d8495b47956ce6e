//! Blocks of ids that have no client: what a server issued to a client that it does not store.

use super::{Tables, all_done, deletion, id, outcomes};
use crate::support::{log::Captured, now, stream::Stream};
use deregister::model::{Block, Restoration};

const URL: &str = "https://client.example/metadata.json";

fn block() -> Block {
    Block { at: now(), by: "operator#jane".to_owned(), request_id: "block".to_owned() }
}

#[tokio::test]
async fn the_grants_of_a_blocked_id_are_removed_and_no_others() {
    let tables = Tables::new().await;
    tables.issue(URL, 0..30).await;
    tables.issue("other", 0..3).await;
    let expected = tables.items_without(URL).await;
    let mut stream = Stream::of(&tables.fixture).await;
    tables.fixture.direct().block(&id(URL), &block()).await.unwrap();
    assert_eq!(tables.deliver(&[stream.record().await]).await, all_done());
    let [_, grants] = tables.items().await;
    assert!(grants == expected[1]);
}

/// The id is free again, and its client has new grants: a late record of the block must not remove them.
#[tokio::test]
async fn the_grants_of_an_unblocked_id_stay() {
    let tables = Tables::new().await;
    let mut stream = Stream::of(&tables.fixture).await;
    let (clients, restoration) = (tables.fixture.direct(), Restoration { at: now(), by: "operator#jane".to_owned() });
    clients.block(&id(URL), &block()).await.unwrap();
    let record = stream.record().await;
    clients.unblock(&id(URL), &restoration).await.unwrap();
    tables.issue(URL, 0..3).await;
    let log = Captured::at("INFO");
    assert_eq!(tables.deliver(&[record]).await, all_done());
    assert_eq!((tables.count(URL).await, &outcomes(&log)[0].0[..]), (3, "kept"));
    // The record of a deletion removes what is under an id that has no item.
    assert_eq!(tables.deliver(&[deletion("2", URL)]).await, all_done());
    assert_eq!(tables.count(URL).await, 0);
}
