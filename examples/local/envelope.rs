//! The events that API Gateway makes of a request: payload 2.0 and payload 1.0.
//!
//! The members are those of recorded events. Ids, times and the client's headers are fixed, because no program here reads
//! them.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A request, as a client sends it.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// The path, percent-encoded as the client sent it, without the stage.
    pub path: String,
    pub query: String,
    /// The header field lines, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub source_ip: String,
    /// The stage that the path begins with. `None`: the default stage, which is not in the path.
    pub stage: Option<String>,
}

/// What makes the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// API Gateway: an HTTP API for payload 2.0, a REST API for payload 1.0.
    Gateway,
    /// A function URL. It has payload 2.0 only; for payload 1.0 it counts as a REST API.
    FunctionUrl,
    /// `sam local start-api`.
    SamLocal,
}

impl Request {
    /// The event of payload 2.0.
    #[must_use]
    pub fn payload_2(&self, sender: Sender) -> Value {
        let path = self.path_in_stage();
        let (id, domain, account) = match sender {
            Sender::Gateway => ("r3pmxmplak", "execute-api.eu-central-1.amazonaws.com", "123456789012"),
            Sender::FunctionUrl => ("x7k2m9qv4b6t3n8w5r1y0pabcdefghij", "lambda-url.eu-central-1.on.aws", "anonymous"),
            Sender::SamLocal => ("1234567890", "", "123456789012"),
        };
        let host = if domain.is_empty() { "localhost:3000".to_owned() } else { format!("{id}.{domain}") };
        let mut headers = joined(&self.lines(&host));
        let mut context = json!({
            "accountId": account,
            "apiId": id,
            "domainName": host,
            "domainPrefix": id,
            "http": {
                "method": self.method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": self.source_ip,
                "userAgent": "curl/8.16.0",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": self.stage.as_deref().unwrap_or("$default"),
            "time": "15/Jan/2027:08:00:00 +0000",
            "timeEpoch": 1_800_000_000_000_u64,
        });
        let mut event = json!({
            "version": "2.0",
            "routeKey": "$default",
            // An HTTP API decodes the path. The function decodes it too, so that this envelope must not.
            "rawPath": path,
            "rawQueryString": self.query,
        });
        if !self.query.is_empty() {
            event["queryStringParameters"] = Value::Object(joined(&self.parameters()));
        }
        if sender == Sender::SamLocal {
            headers = headers.into_iter().map(|(name, value)| (in_title_case(&name), value)).collect();
            headers.remove("X-Forwarded-For");
            context.as_object_mut().map(|context| [context.remove("domainName"), context.remove("domainPrefix")]);
            event["cookies"] = json!([]);
            event["queryStringParameters"] = json!({});
            event["pathParameters"] = json!({ "proxy": path.trim_start_matches('/') });
            event["stageVariables"] = Value::Null;
        }
        event["headers"] = Value::Object(headers);
        event["requestContext"] = context;
        let is_text = self.has_text_type();
        let (body, is_base64) = self.body(is_text);
        // `sam local` sends an empty body for none; API Gateway leaves the member out.
        match body {
            None if sender == Sender::SamLocal => event["body"] = json!(""),
            None => {}
            Some(body) => event["body"] = json!(body),
        }
        event["isBase64Encoded"] = json!(is_base64);
        event
    }

    /// The event of payload 1.0.
    #[must_use]
    pub fn payload_1(&self, sender: Sender) -> Value {
        let is_local = sender == Sender::SamLocal;
        let path = self.path_in_stage();
        let (id, domain) = if is_local {
            ("1234567890", "localhost:3000")
        } else {
            ("70ixmpl4fl", "70ixmpl4fl.execute-api.eu-central-1.amazonaws.com")
        };
        let stage = self.stage.as_deref().unwrap_or(if is_local { "Prod" } else { "v1" });
        let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in self.lines(domain) {
            lines.entry(in_title_case(&name)).or_default().push(value);
        }
        if is_local {
            lines.remove("X-Forwarded-For");
        }
        let last: Map<_, _> = lines.iter().map(|(name, values)| (name.clone(), json!(values.last()))).collect();
        let mut query: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in self.parameters() {
            query.entry(name).or_default().push(value);
        }
        let last_of_query: BTreeMap<_, _> = query.iter().map(|(name, values)| (name, values.last())).collect();
        let (body, is_base64) = self.body(true);
        let mut event = json!({
            "resource": "/{proxy+}",
            "path": path,
            "httpMethod": self.method,
            "headers": last,
            "multiValueHeaders": lines,
            "queryStringParameters": (!query.is_empty()).then_some(last_of_query),
            "multiValueQueryStringParameters": (!query.is_empty()).then_some(&query),
            "pathParameters": { "proxy": path.trim_start_matches('/') },
            "stageVariables": null,
            "requestContext": {
                "resourceId": "2gxmpl",
                "resourcePath": "/{proxy+}",
                "httpMethod": self.method,
                "extendedRequestId": "JJbxmplHYosFVYQ=",
                "requestTime": "15/Jan/2027:08:00:00 +0000",
                "path": if self.stage.is_some() { path.clone() } else { format!("/{stage}{path}") },
                "accountId": "123456789012",
                "protocol": "HTTP/1.1",
                "stage": stage,
                "domainName": domain,
                "domainPrefix": id,
                "requestTimeEpoch": 1_800_000_000_000_u64,
                "requestId": "79104e54-8bcf-4f2c-8c1f-7e3a5b0d9c61",
                "identity": { "sourceIp": self.source_ip, "userAgent": "curl/8.16.0", "accountId": null, "user": null },
                "apiId": id,
            },
            "body": body,
            "isBase64Encoded": is_base64,
        });
        if is_local {
            event["version"] = json!("1.0");
        }
        event
    }

    /// The parameters of the query.
    fn parameters(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.query.as_bytes()).into_owned().collect()
    }

    fn path_in_stage(&self) -> String {
        match &self.stage {
            Some(stage) => format!("/{stage}{}", self.path),
            None => self.path.clone(),
        }
    }

    /// The field lines with those that the client and the platform add. The platform appends the caller's address to
    /// `x-forwarded-for`.
    fn lines(&self, host: &str) -> Vec<(String, String)> {
        let mut lines = self.headers.clone();
        match lines.iter_mut().find(|(name, _)| name == "x-forwarded-for") {
            Some((_, addresses)) => addresses.extend([", ", &self.source_ip]),
            None => lines.push(("x-forwarded-for".to_owned(), self.source_ip.clone())),
        }
        for (name, value) in [
            ("accept", "*/*"),
            ("host", host),
            ("user-agent", "curl/8.16.0"),
            ("x-amzn-trace-id", "Root=1-6b49d200-3f2a1c9e8b7d6e5f4a3b2c1d"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-proto", "https"),
        ] {
            if !lines.iter().any(|(known, _)| known == name) {
                lines.push((name.to_owned(), value.to_owned()));
            }
        }
        lines
    }

    /// Whether an HTTP API passes a body of this type on as text.
    fn has_text_type(&self) -> bool {
        let media_type = self.headers.iter().find(|(name, _)| name == "content-type").map(|(_, value)| value.as_str());
        media_type.is_none_or(|value| {
            let value = value.to_ascii_lowercase();
            value.starts_with("text/") || ["json", "javascript", "xml"].iter().any(|word| value.contains(word))
        })
    }

    /// The body as the event has it, and whether that is base64. `as_text`: as text, if it is UTF-8.
    fn body(&self, as_text: bool) -> (Option<String>, bool) {
        match std::str::from_utf8(&self.body) {
            Ok("") => (None, false),
            Ok(text) if as_text => (Some(text.to_owned()), false),
            _ => (Some(BASE64_STANDARD.encode(&self.body)), true),
        }
    }
}

/// The header fields; the lines of one name are joined with commas.
fn joined(lines: &[(String, String)]) -> Map<String, Value> {
    let mut fields: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in lines {
        fields.entry(name).or_default().push(value);
    }
    fields.into_iter().map(|(name, values)| (name.to_owned(), json!(values.join(",")))).collect()
}

/// `x-forwarded-for` as `X-Forwarded-For`.
fn in_title_case(name: &str) -> String {
    let title = |word: &str| match word.split_at_checked(1) {
        Some((first, rest)) => first.to_ascii_uppercase() + rest,
        None => String::new(),
    };
    name.split('-').map(title).collect::<Vec<_>>().join("-")
}
