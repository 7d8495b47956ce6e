//! The JSON Schemas of the events in `docs/`, with the keywords that they use.

use serde_json::Value;

/// The schema in `docs/` with this name.
pub fn schema(name: &str) -> Value {
    let text = match name {
        "event.schema.json" => include_str!("../../../docs/event.schema.json"),
        "client-deleted.schema.json" => include_str!("../../../docs/client-deleted.schema.json"),
        "client-restored.schema.json" => include_str!("../../../docs/client-restored.schema.json"),
        "client-expiring.schema.json" => include_str!("../../../docs/client-expiring.schema.json"),
        _ => panic!("there is no schema {name}"),
    };
    serde_json::from_str(text).unwrap()
}

/// Checks a value.
///
/// # Errors
/// The first keyword that the value does not conform to.
pub fn check(schema: &Value, value: &Value) -> Result<(), String> {
    for (keyword, expected) in schema.as_object().unwrap() {
        let conforms = match keyword.as_str() {
            "$schema" | "title" | "description" => true,
            "type" => match expected.as_str().unwrap() {
                "string" => value.is_string(),
                "boolean" => value.is_boolean(),
                "array" => value.is_array(),
                "object" => value.is_object(),
                other => panic!("an unknown type: {other}"),
            },
            "const" => value == expected,
            "enum" => expected.as_array().unwrap().contains(value),
            "minLength" => value.as_str().unwrap().chars().count() as u64 >= expected.as_u64().unwrap(),
            "pattern" => is_match(expected.as_str().unwrap(), value.as_str().unwrap()),
            "required" => expected.as_array().unwrap().iter().all(|name| value.get(name.as_str().unwrap()).is_some()),
            "properties" => {
                for (name, schema) in expected.as_object().unwrap() {
                    let member = value.get(name);
                    member.map_or(Ok(()), |member| check(schema, member).map_err(|why| format!("{name}: {why}")))?;
                }
                true
            }
            "items" => value.as_array().unwrap().iter().all(|item| check(expected, item).is_ok()),
            "oneOf" => {
                let results: Vec<_> = expected.as_array().unwrap().iter().map(|schema| check(schema, value)).collect();
                if results.iter().filter(|result| result.is_ok()).count() != 1 {
                    return Err(format!("not exactly one of: {results:?}"));
                }
                true
            }
            "$ref" => return check(&self::schema(expected.as_str().unwrap()), value),
            other => panic!("an unknown keyword: {other}"),
        };
        if !conforms {
            return Err(format!("{value} does not conform to {keyword} {expected}"));
        }
    }
    Ok(())
}

/// Whether the text matches one of the patterns that the schemas use.
fn is_match(pattern: &str, text: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match pattern {
        "^[0-9]+$" => is_number(text),
        "^[0-9]{12}$" => is_number(text) && text.len() == 12,
        "^client#." => text.len() > "client#".len() && text.starts_with("client#"),
        "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$" => {
            text.len() == 20 && text.ends_with('Z') && humantime::parse_rfc3339(text).is_ok()
        }
        _ => panic!("an unknown pattern: {pattern}"),
    }
}

/// The members of the detail that its schema does not describe.
pub fn undescribed(event: &Value) -> Vec<&String> {
    let name = event["detail-type"].as_str().unwrap().to_lowercase().replace(' ', "-");
    let schema = schema(&format!("{name}.schema.json"));
    event["detail"].as_object().unwrap().keys().filter(|name| schema["properties"].get(name).is_none()).collect()
}
