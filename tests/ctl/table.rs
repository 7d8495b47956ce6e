//! `table create`

use crate::support::{Fixture, wire::Fault};
use aws_sdk_dynamodb::types::TableDescription;
use deregister::dynamodb::{
    ClientsTable,
    admin::{Creation, Repairs},
    schema::{definition, time_to_live},
};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn an_option_or_a_setting_names_the_table() {
    let fixture = Fixture::empty().await;
    let by_option = fixture.ctl("--json table create --table by-option").with_env("CLIENTS_TABLE", "clients");
    assert_eq!(by_option.run().await.done(), "{\"table\":\"by-option\"}\n");
    let by_setting = fixture.ctl("service create 1").with_env("CLIENTS_TABLE", "by-option");
    by_setting.run().await.done();
    assert_eq!(fixture.items("by-option").await.len(), 1);

    assert!(fixture.ctl("table create").run().await.refused().contains("the table clients exists already"));
    let described = fixture.sdk.describe_time_to_live().table_name("by-option").send().await.unwrap();
    let time_to_live = described.time_to_live_description.unwrap();
    assert_eq!(time_to_live.attribute_name.as_deref(), Some("expires_at"));
}

#[tokio::test]
async fn missing_parts_are_added_to_an_existing_table() {
    let fixture = Fixture::empty().await;
    let described = async |name| fixture.sdk.describe_table().table_name(name).send().await.unwrap().table.unwrap();
    let whole = described("clients").await;
    for (name, has_time_to_live, has_index, added) in [
        ("interrupted", false, true, &["time_to_live"][..]),
        ("before-the-index", true, false, &["index"]),
        ("neither", false, false, &["time_to_live", "index"]),
    ] {
        create_by_hand(&fixture, name, "pk", has_index).await;
        if has_time_to_live {
            let update = fixture.sdk.update_time_to_live().table_name(name);
            update.time_to_live_specification(time_to_live().unwrap()).send().await.unwrap();
        }
        let line = format!("table create --table {name}");
        assert_eq!(fixture.object(&line).await, json!({ "table": name, "added": added }));

        let expiry = fixture.sdk.describe_time_to_live().table_name(name).send().await.unwrap();
        let expiry = expiry.time_to_live_description.unwrap();
        assert_eq!(expiry.attribute_name.as_deref(), Some("expires_at"), "{name}");
        let index = |table: &TableDescription| {
            let [index] = table.global_secondary_indexes() else { panic!("one index") };
            (index.index_name.clone(), index.key_schema.clone(), index.projection.clone())
        };
        assert_eq!(index(&described(name).await), index(&whole), "{name}");
        assert!(fixture.ctl(&line).run().await.refused().contains("exists already"), "{name}");
    }
}

#[tokio::test]
async fn people_see_what_was_added() {
    let fixture = Fixture::empty().await;
    create_by_hand(&fixture, "neither", "pk", false).await;
    let expected = "\
The table existed already. Added what was missing.
  table  neither
  added  the time to live
         the index, which DynamoDB fills in the background\n";
    assert_eq!(fixture.ctl("table create --table neither").run().await.done(), expected);
}

#[tokio::test]
async fn a_table_with_another_key_is_not_changed() {
    let fixture = Fixture::empty().await;
    create_by_hand(&fixture, "foreign", "id", false).await;
    let described = async || {
        let time_to_live = fixture.sdk.describe_time_to_live().table_name("foreign").send().await.unwrap();
        let table = fixture.sdk.describe_table().table_name("foreign").send().await.unwrap();
        (table.table, time_to_live.time_to_live_description)
    };
    let before = described().await;

    assert!(fixture.ctl("table create --table foreign").run().await.refused().contains("exists already"));
    assert_eq!(described().await, before);
}

/// AWS refuses to enable a time to live that is enabled, and to add an index that is there.
#[tokio::test]
async fn a_part_whose_answer_is_lost_counts_as_added_and_a_refused_one_does_not() {
    let repairs = Repairs { time_to_live: true, index: true };
    for (operation, refusal) in [("UpdateTimeToLive", "ValidationException"), ("UpdateTable", "ResourceInUseException")]
    {
        for is_lost in [true, false] {
            let fixture = Fixture::empty().await;
            create_by_hand(&fixture, "neither", "pk", false).await;
            if is_lost {
                fixture.wire.plan(operation, Fault::AnswerLost);
            }
            fixture.wire.plan(operation, Fault::error(400, refusal));
            let config = fixture.sdk.config().to_builder().http_client(fixture.wire.clone());
            let repaired = ClientsTable::new(config, "neither", Duration::ZERO).repair_table().await;
            if is_lost {
                assert_eq!(repaired, Ok(repairs), "{operation}");
            } else {
                assert!(repaired.is_err_and(|fault| fault.to_string().contains(refusal)), "{operation}");
            }
        }
    }
}

#[tokio::test]
async fn a_table_is_created_if_each_answer_is_lost() {
    let fixture = Fixture::empty().await;
    fixture.wire.plan("CreateTable", Fault::AnswerLost);
    fixture.wire.plan("UpdateTimeToLive", Fault::AnswerLost);
    fixture.wire.plan("UpdateTimeToLive", Fault::error(400, "ValidationException"));
    let config = fixture.sdk.config().to_builder().http_client(fixture.wire.clone());
    assert_eq!(ClientsTable::new(config, "new", Duration::ZERO).create_table().await, Ok(Creation::Done));
}

/// Creates a table with this partition key, without its time to live.
async fn create_by_hand(fixture: &Fixture, name: &str, key: &str, has_index: bool) {
    let definition = definition(name).unwrap();
    let (mut keys, mut attributes) = (definition.key_schema.unwrap(), definition.attribute_definitions.unwrap());
    key.clone_into(&mut keys.first_mut().unwrap().attribute_name);
    key.clone_into(&mut attributes.first_mut().unwrap().attribute_name);
    attributes.truncate(if has_index { 3 } else { 1 });
    let create = fixture.sdk.create_table().table_name(name).set_key_schema(Some(keys));
    let create = create.set_attribute_definitions(Some(attributes)).set_billing_mode(definition.billing_mode);
    let indexes = definition.global_secondary_indexes.filter(|_| has_index);
    create.set_global_secondary_indexes(indexes).send().await.unwrap();
}
