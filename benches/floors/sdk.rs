//! The two SDK calls of a delete, as the function makes them, without the rest of the function.

use aws_sdk_dynamodb::{
    Client,
    types::{AttributeValue as Value, KeysAndAttributes, ReturnValuesOnConditionCheckFailure},
};
use std::{collections::HashMap, error::Error};

/// The owner and the application of the sample data.
const OWNER: &str = "sgnyvus6pc4jm7khr2neq5gs89gbr2eq";
const APPLICATION: &str = "htb8fuhxnf8e38jrzub3c7pfrr";

/// Deletes a client of the sample's application.
pub(crate) async fn delete(client: &Client, target: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    let key = |id: &str| HashMap::from([("pk".to_owned(), Value::S(format!("client#{id}")))]);
    let wanted = KeysAndAttributes::builder()
        .keys(key(OWNER))
        .keys(key(target))
        .consistent_read(true)
        .projection_expression("pk, client, deleted, service, #token, expires_at, history, idle, idle_since, notice")
        .expression_attribute_names("#token", "token")
        .build()?;
    let read = client.batch_get_item().request_items("clients", wanted).send().await?;
    if read.responses.is_none_or(|tables| tables.values().map(Vec::len).sum::<usize>() != 2) {
        return Err("not both items".into());
    }
    let text = |text: &str| Value::S(text.to_owned());
    let record = HashMap::from([
        ("at".to_owned(), Value::N("1800000000".to_owned())),
        ("by".to_owned(), text(&format!("client#{OWNER}"))),
        ("via".to_owned(), text("configuration")),
        ("source_ip".to_owned(), text("203.0.113.7")),
        ("request_id".to_owned(), text("bench-00")),
    ]);
    client
        .update_item()
        .table_name("clients")
        .set_key(Some(key(target)))
        .update_expression(
            "SET tombstone = client, deleted = :deleted, expires_at = :expires_at REMOVE client, idle, idle_since, notice",
        )
        .condition_expression(
            "attribute_exists(client) AND client.kind = :kind \
             AND (attribute_not_exists(client.protected) OR client.protected = :no) \
             AND client.version = :version AND client.app_id = :application \
             AND (attribute_not_exists(client.features) \
             OR (client.features = :features OR attribute_type(client.features, :texts)) \
             AND NOT contains(client.features, :owner))",
        )
        .expression_attribute_values(":deleted", Value::M(record))
        .expression_attribute_values(":expires_at", Value::N("1802592000".to_owned()))
        .expression_attribute_values(":kind", text("api"))
        .expression_attribute_values(":no", Value::Bool(false))
        .expression_attribute_values(":version", Value::N("1".to_owned()))
        .expression_attribute_values(":application", text(APPLICATION))
        .expression_attribute_values(":features", Value::L(vec![text("login_client")]))
        .expression_attribute_values(":texts", text("SS"))
        .expression_attribute_values(":owner", text("owner"))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .send()
        .await?;
    Ok(())
}
