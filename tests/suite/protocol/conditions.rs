//! The condition of the write in the model, compared with the database.

use super::{
    item::{APPLICATION, ClientItem, Item, Tombstone, digest, id, record_of},
    model::Variant,
};
use crate::support::Fixture;
use deregister::{
    dynamodb::admin::Creation,
    model::Version,
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
        Some(Precondition::Version(Version(0))),
    ];
    let live = (0..32_u8).map(|bits| {
        let [is_api, is_owner, is_protected, rotated, changed] = [1, 2, 4, 8, 16].map(|bit| bits & bit != 0);
        let (credential, version) = (rotated.into(), changed.into());
        Item::Live(ClientItem { is_api, is_owner: is_api && is_owner, is_protected, credential, version })
    });
    let client = ClientItem::new(0, true, false);
    let items = live.chain([Item::Free(client), Item::Deleted(Tombstone::of(client, 0))]);
    let cases = items.flat_map(|item| preconditions.map(|precondition| (item, precondition)));
    for (number, (mut item, precondition)) in cases.enumerate() {
        let target = id(number);
        let unconditional = Authorization { target: &target, preconditions: vec![] };
        if let Item::Live(client) | Item::Deleted(Tombstone { client, .. }) = item {
            assert_eq!(clients.create_client(&target, &client.client()).await, Ok(Creation::Done));
        }
        if let Item::Deleted(_) = item {
            assert_eq!(clients.write_tombstone(&unconditional, &deletion).await, Ok(WriteOutcome::Written));
        }
        let authorization = Authorization { preconditions: precondition.into_iter().collect(), ..unconditional };
        let outcome = clients.write_tombstone(&authorization, &deletion).await;
        let expected = item.write_tombstone(&authorization, 0, Variant::Usual);
        assert_eq!(outcome, Ok(expected), "{item:?} {authorization:?}");
    }
}
