//! The condition of the write in the model, compared with the database.

use super::{
    item::{APPLICATION, ClientItem, Item, Tombstone, digest, id, record_of},
    model::Variant,
};
use crate::support::{Fixture, authorization};
use deregister::{
    dynamodb::admin::Creation,
    rule::{Authorization, Precondition},
    store::{Store, WriteOutcome},
};

/// Every client, live, deleted or missing, with every precondition.
#[tokio::test]
async fn the_database_and_the_model_decide_every_condition_alike() {
    let fixture = Fixture::empty().await;
    let clients = fixture.direct();
    let (token, service, deletion) = (digest(0), id(0), record_of(0));
    let preconditions = [
        None,
        Some(Precondition::Application(APPLICATION)),
        Some(Precondition::Application("another")),
        Some(Precondition::NotOwner),
        Some(Precondition::RegistrationToken(&token)),
        Some(Precondition::Dynamic),
        Some(Precondition::RegisteredAt(&service)),
    ];
    let live = (0..32_u8).map(|bits| {
        let [is_api, is_owner, is_protected, rotated, changed] = [1, 2, 4, 8, 16].map(|bit| bits & bit != 0);
        let (credential, version) = (rotated.into(), changed.into());
        Item::Live(ClientItem {
            is_api,
            is_owner: is_api && is_owner,
            is_protected,
            credential,
            version,
            restorations: 0,
            revocations: 0,
            is_used: false,
        })
    });
    let client = ClientItem::new(0, true, false);
    let items = live.chain([Item::Free(client), Item::Deleted(Tombstone::of(client, 0))]);
    let reads = [true, false].map(|is_api| ClientItem::new(0, is_api, false).client());
    let cases = items.flat_map(|item| preconditions.map(|precondition| (item, precondition)));
    let cases = cases.flat_map(|case| reads.clone().map(|read| (case, read)));
    for (number, ((mut item, precondition), read)) in cases.enumerate() {
        let target = id(number);
        if let Item::Live(client) | Item::Deleted(Tombstone { client, .. }) = item {
            assert_eq!(clients.create_client(&target, &client.client()).await, Ok(Creation::Done));
        }
        if let Item::Deleted(_) = item {
            let unconditional = authorization(&clients, &target, &[]).await;
            assert_eq!(clients.write_tombstone(&unconditional, &deletion).await, Ok(WriteOutcome::Written));
        }
        let authorization = Authorization::new(&target, &read, precondition.into_iter().collect());
        let outcome = clients.write_tombstone(&authorization, &deletion).await;
        let expected = item.write_tombstone(&authorization, 0, Variant::Usual);
        assert_eq!(outcome, Ok(expected), "{item:?} {authorization:?}");
    }
}
