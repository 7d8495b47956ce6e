//! What operators create: the table, and clients under ids that are free.

use super::{deletion, key, write_tombstone};
use crate::support::{
    Fixture,
    build::{ClientBuilder, api_client, id},
};
use deregister::{dynamodb::admin::Creation, snapshot::Record};

#[tokio::test]
async fn an_id_is_taken_by_a_live_client_and_by_a_tombstone() {
    let fixture = Fixture::anywhere().await;
    let create = async |client: ClientBuilder| fixture.clients.create_client(&id("a"), &client.build()).await;
    assert_eq!(create(api_client()).await, Ok(Creation::Done));
    assert_eq!(create(api_client().owner()).await, Ok(Creation::Taken));
    assert_eq!(fixture.clients.find(&key("a")).await, Ok(Some(api_client().into())));
    write_tombstone(&fixture, "a", &[]).await.unwrap();
    assert_eq!(create(api_client()).await, Ok(Creation::Taken));
    assert_eq!(fixture.clients.find(&key("a")).await, Ok(Some(Record::Deleted(deletion("this")))));
}

#[tokio::test]
async fn the_table_is_created_once() {
    let fixture = Fixture::anywhere().await;
    assert_eq!(fixture.clients.create_table().await, Ok(Creation::Taken));
    let described = fixture.sdk.describe_time_to_live().table_name(&fixture.table).send().await.unwrap();
    assert_eq!(described.time_to_live_description.unwrap().attribute_name.unwrap(), "expires_at");
}
