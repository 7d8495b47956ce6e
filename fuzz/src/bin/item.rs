//! Input: an item in DynamoDB's JSON.
//!
//! The item is readable, or a member of it is named. A readable item can be written and read again without a change.
#![no_main]

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use deregister::{
    dynamodb::item::{self, Item},
    model::Id,
    snapshot::Record,
};
use fuzz::{reference::base64, table::client};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

fuzz_target!(|json: &[u8]| {
    let Ok(members) = serde_json::from_slice(json) else { return };
    let Some(item) = map(members) else { return };
    let mut record = item::read(item);
    let (id, key) = (Id::new("id").expect("an id"), client("id"));
    if let Record::Client(client) = &mut record {
        // The history is not a part of the client.
        client.restored_from = None;
    }
    let written = match &record {
        Record::Client(client) => item::of_client(&id, client),
        Record::Service(service) => item::of_service(&key, service),
        Record::Token(token) => item::of_token(&key, token),
        Record::Deleted(_) => return,
        Record::Unreadable(flaw, _) => {
            assert!(!flaw.member.is_empty());
            return;
        }
    };
    assert_eq!(item::read(written), record);
});

fn map(members: Map<String, Value>) -> Option<Item> {
    members.into_iter().map(|(name, value)| Some((name, attribute(value)?))).collect()
}

/// Reads an attribute in DynamoDB's JSON, such as `{"S": "…"}`. `None`: the JSON is not an attribute.
fn attribute(value: Value) -> Option<AttributeValue> {
    let Value::Object(members) = value else { return None };
    let (kind, value) = members.into_iter().next()?;
    Some(match (kind.as_str(), value) {
        ("S", Value::String(text)) => AttributeValue::S(text),
        ("N", Value::String(number)) => AttributeValue::N(number),
        ("B", Value::String(text)) => AttributeValue::B(blob(&text)?),
        ("BOOL", Value::Bool(is)) => AttributeValue::Bool(is),
        ("NULL", Value::Bool(is)) => AttributeValue::Null(is),
        ("L", Value::Array(values)) => AttributeValue::L(values.into_iter().map(attribute).collect::<Option<_>>()?),
        ("M", Value::Object(members)) => AttributeValue::M(map(members)?),
        ("SS", Value::Array(texts)) => AttributeValue::Ss(set(&texts, |text| Some(text.to_owned()))?),
        ("NS", Value::Array(numbers)) => AttributeValue::Ns(set(&numbers, |number| Some(number.to_owned()))?),
        ("BS", Value::Array(texts)) => AttributeValue::Bs(set(&texts, blob)?),
        _ => return None,
    })
}

fn set<T>(values: &[Value], member: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    values.iter().map(|value| member(value.as_str()?)).collect()
}

fn blob(text: &str) -> Option<Blob> {
    base64(text).map(Blob::new)
}
