//! The events that API Gateway makes of a request: payload 2.0 and payload 1.0. Also those of senders that the function
//! does not support.
//!
//! The members are those of recorded events. Ids, times and the client's headers are fixed, because no program here
//! reads them.

use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::percent_decode_str;
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

/// The sender of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// API Gateway: an HTTP API for payload 2.0, a REST API for payload 1.0.
    Gateway,
    /// An HTTP API, also for payload 1.0.
    HttpApi,
    /// A function URL. It has payload 2.0 only; for payload 1.0 it counts as a REST API.
    FunctionUrl,
    /// `sam local start-api` with an HTTP API.
    SamLocal,
    /// An Application Load Balancer. It has no payload version: for 2.0 its target group has multi-value headers.
    LoadBalancer,
    /// A service of VPC Lattice.
    Lattice,
}

impl Request {
    /// The event of payload 2.0.
    #[must_use]
    pub fn payload_2(&self, sender: Sender) -> Value {
        let stage = self.stage.as_deref().unwrap_or("$default");
        let (account, id, domain, request_id) = match sender {
            Sender::Gateway | Sender::HttpApi => {
                ("123456789012", "r3pmxmplak", "execute-api.eu-central-1.amazonaws.com", "JKJaXmPLvHcESHA=")
            }
            Sender::FunctionUrl => (
                "anonymous",
                "x7k2m9qv4b6t3n8w5r1y0pabcdefghij",
                "lambda-url.eu-central-1.on.aws",
                "e1506fd5-9e7b-434f-bd42-4f8fa224b599",
            ),
            Sender::SamLocal => return self.sam_local_payload_2(stage),
            Sender::LoadBalancer => return self.load_balancer(true),
            Sender::Lattice => return self.lattice_2(),
        };
        let path = if sender == Sender::FunctionUrl { self.path_in_stage() } else { self.decoded_path() };
        let host = format!("{id}.{domain}");
        let query = (!self.query.is_empty()).then(|| joined(&self.parameters()));
        let (body, is_base64) = self.body(self.has_text_type());
        without_nulls(json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": self.query,
            "headers": joined(&self.lines(&host)),
            "queryStringParameters": query,
            "requestContext": {
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
                "requestId": request_id,
                "routeKey": "$default",
                "stage": stage,
                "time": "15/Jan/2027:08:00:00 +0000",
                "timeEpoch": 1_800_000_000_000_u64,
            },
            "body": body,
            "isBase64Encoded": is_base64,
        }))
    }

    fn sam_local_payload_2(&self, stage: &str) -> Value {
        let path = decoded(&self.path_in_stage());
        let (body, is_base64) = self.body(self.has_text_type());
        let lines = self.sam_local_lines();
        let headers: Map<_, _> =
            joined(&lines).into_iter().map(|(name, value)| (in_title_case(&name), value)).collect();
        json!({
            "version": "2.0",
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": self.query,
            "cookies": [],
            "headers": headers,
            "queryStringParameters": joined(&self.parameters()),
            "pathParameters": { "proxy": path.trim_start_matches('/') },
            "stageVariables": null,
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "1234567890",
                "http": {
                    "method": self.method,
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": self.source_ip,
                    "userAgent": "Custom User Agent String",
                },
                "requestId": "4e9b6ad1-6d70-4f2b-8f5c-2f6a5d1c7e30",
                "routeKey": "$default",
                "stage": stage,
                "time": "15/Jan/2027:08:00:00 +0000",
                "timeEpoch": 1_800_000_000_000_u64,
            },
            "body": body.unwrap_or_default(),
            "isBase64Encoded": is_base64,
        })
    }

    /// The event of payload 1.0.
    #[must_use]
    pub fn payload_1(&self, sender: Sender) -> Value {
        match sender {
            Sender::SamLocal => return self.sam_local_payload_1(),
            Sender::LoadBalancer => return self.load_balancer(false),
            Sender::Lattice => return self.lattice_1(),
            Sender::Gateway | Sender::HttpApi | Sender::FunctionUrl => {}
        }
        let is_http_api = sender == Sender::HttpApi;
        let path = if is_http_api { self.decoded_path() } else { self.path_in_stage() };
        let (id, domain) = ("70ixmpl4fl", "70ixmpl4fl.execute-api.eu-central-1.amazonaws.com");
        let stage = self.stage.as_deref().unwrap_or(if is_http_api { "$default" } else { "v1" });
        let headers = Lines::of(self.lines(domain).into_iter().map(|(name, value)| (in_title_case(&name), value)));
        let query = Lines::of(self.parameters());
        let (body, is_base64) = self.body(true);
        let mut event = json!({
            "resource": "/{proxy+}",
            "path": path,
            "httpMethod": self.method,
            "headers": headers.last(),
            "multiValueHeaders": headers.all(),
            "queryStringParameters": query.last(),
            "multiValueQueryStringParameters": query.all(),
            "pathParameters": { "proxy": path.trim_start_matches('/') },
            "stageVariables": null,
            "requestContext": {
                "resourceId": "2gxmpl",
                "resourcePath": "/{proxy+}",
                "httpMethod": self.method,
                "extendedRequestId": "JJbxmplHYosFVYQ=",
                "requestTime": "15/Jan/2027:08:00:00 +0000",
                "path": format!("/{stage}{}", self.path),
                "accountId": "123456789012",
                "protocol": "HTTP/1.1",
                "stage": stage,
                "domainName": domain,
                "domainPrefix": id,
                "requestTimeEpoch": 1_800_000_000_000_u64,
                "requestId": "79104e54-8bcf-4f2c-8c1f-7e3a5b0d9c61",
                "identity": {
                    "cognitoIdentityPoolId": null,
                    "accountId": null,
                    "cognitoIdentityId": null,
                    "caller": null,
                    "sourceIp": self.source_ip,
                    "principalOrgId": null,
                    "accessKey": null,
                    "cognitoAuthenticationType": null,
                    "cognitoAuthenticationProvider": null,
                    "userArn": null,
                    "userAgent": "curl/8.16.0",
                    "user": null,
                },
                "apiId": id,
            },
            "body": body,
            "isBase64Encoded": is_base64,
        });
        // Only an HTTP API names the version of payload 1.0.
        if let Some(members) = event.as_object_mut().filter(|_| is_http_api) {
            members.insert("version".to_owned(), "1.0".into());
        }
        event
    }

    fn sam_local_payload_1(&self) -> Value {
        let path = decoded(&self.path_in_stage());
        let lines = self.sam_local_lines().into_iter();
        let headers = Lines::of(lines.map(|(name, value)| (in_title_case(&name), value)));
        let query = Lines::of(self.parameters());
        let (body, is_base64) = self.body(true);
        json!({
            "version": "1.0",
            "resource": "/{proxy+}",
            "path": path,
            "httpMethod": self.method,
            "headers": headers.last(),
            "multiValueHeaders": headers.all(),
            "queryStringParameters": query.last(),
            "multiValueQueryStringParameters": query.all(),
            "pathParameters": { "proxy": path.trim_start_matches('/') },
            "stageVariables": null,
            "requestContext": {
                "resourceId": "123456",
                "apiId": "1234567890",
                "resourcePath": "/{proxy+}",
                "httpMethod": self.method,
                "requestId": "4e9b6ad1-6d70-4f2b-8f5c-2f6a5d1c7e30",
                "accountId": "123456789012",
                "stage": self.stage.as_deref().unwrap_or("Prod"),
                "identity": {
                    "apiKey": null,
                    "userArn": null,
                    "cognitoAuthenticationType": null,
                    "caller": null,
                    "userAgent": "Custom User Agent String",
                    "user": null,
                    "cognitoIdentityPoolId": null,
                    "cognitoAuthenticationProvider": null,
                    "sourceIp": self.source_ip,
                    "accountId": null,
                },
                "extendedRequestId": null,
                "path": "/{proxy+}",
                "protocol": "HTTP/1.1",
                "domainName": "localhost:3000",
                "requestTimeEpoch": 1_800_000_000_u64,
                "requestTime": "15/Jan/2027:08:00:00 +0000",
            },
            "body": body,
            "isBase64Encoded": is_base64,
        })
    }

    /// The event of an Application Load Balancer.
    fn load_balancer(&self, has_multiple_values: bool) -> Value {
        let headers = Lines::of(self.lines("clients-1234567890.eu-central-1.elb.amazonaws.com"));
        let query = Lines::of(self.parameters());
        let (body, is_base64) = self.body(true);
        without_nulls(json!({
            "requestContext": { "elb": {
                "targetGroupArn": "arn:aws:elasticloadbalancing:eu-central-1:123456789012:targetgroup/clients/49e9d65c45c6791a",
            } },
            "httpMethod": self.method,
            "path": self.path,
            "headers": (!has_multiple_values).then(|| headers.last()),
            "multiValueHeaders": has_multiple_values.then(|| headers.all()),
            "queryStringParameters": (!has_multiple_values).then(|| query.last()),
            "multiValueQueryStringParameters": has_multiple_values.then(|| query.all()),
            "body": body.unwrap_or_default(),
            "isBase64Encoded": is_base64,
        }))
    }

    /// The event of version 1.0 of VPC Lattice.
    fn lattice_1(&self) -> Value {
        let (body, is_base64) = self.body(true);
        let query = if self.query.is_empty() { String::new() } else { format!("?{}", self.query) };
        json!({
            "raw_path": format!("{}{query}", self.path),
            "method": self.method,
            "headers": joined(&self.lines("clients-0123456789abcdef0.7d67968.vpc-lattice-svcs.eu-central-1.on.aws")),
            "query_string_parameters": Lines::of(self.parameters()).last(),
            "body": body,
            "is_base64_encoded": is_base64,
        })
    }

    /// The event of version 2.0 of VPC Lattice.
    fn lattice_2(&self) -> Value {
        let (body, is_base64) = self.body(true);
        let arn = |resource: &str| format!("arn:aws:vpc-lattice:eu-central-1:123456789012:{resource}");
        json!({
            "version": "2.0",
            "path": self.path,
            "method": self.method,
            "headers": Lines::of(self.lines("clients-0123456789abcdef0.7d67968.vpc-lattice-svcs.eu-central-1.on.aws")).all(),
            "queryStringParameters": Lines::of(self.parameters()).all(),
            "body": body,
            "isBase64Encoded": is_base64,
            "requestContext": {
                "serviceNetworkArn": arn("servicenetwork/sn-0bf3f2882e9cc805a"),
                "serviceArn": arn("service/svc-0a40eebed65f8d69c"),
                "targetGroupArn": arn("targetgroup/tg-6d0ecf831eec9f09"),
                "identity": { "sourceVpcArn": "arn:aws:ec2:eu-central-1:123456789012:vpc/vpc-0b8276c84697e7339" },
                "region": "eu-central-1",
                "timeEpoch": "1800000000000000",
            },
        })
    }

    /// The parameters of the query.
    fn parameters(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(self.query.as_bytes()).into_owned().collect()
    }

    /// The path that an HTTP API sends: decoded, and without all that follows a question mark.
    fn decoded_path(&self) -> String {
        decoded(&self.path_in_stage()).split('?').next().unwrap_or_default().to_owned()
    }

    fn path_in_stage(&self) -> String {
        match &self.stage {
            Some(stage) => format!("/{stage}{}", self.path),
            None => self.path.clone(),
        }
    }

    /// The field lines with those that curl and API Gateway add. API Gateway appends the caller's address to
    /// `x-forwarded-for`.
    fn lines(&self, host: &str) -> Vec<(String, String)> {
        let mut lines = self.headers.clone();
        match lines.iter_mut().find(|(name, _)| name == "x-forwarded-for") {
            Some((_, addresses)) => addresses.extend([", ", &self.source_ip]),
            None => lines.push(("x-forwarded-for".to_owned(), self.source_ip.clone())),
        }
        add_absent(
            &mut lines,
            &[
                ("accept", "*/*"),
                ("host", host),
                ("user-agent", "curl/8.16.0"),
                ("x-amzn-trace-id", "Root=1-6b49d200-3f2a1c9e8b7d6e5f4a3b2c1d"),
                ("x-forwarded-port", "443"),
                ("x-forwarded-proto", "https"),
            ],
        );
        lines
    }

    /// The field lines with those that curl and `sam local start-api` add.
    fn sam_local_lines(&self) -> Vec<(String, String)> {
        let mut lines = self.headers.clone();
        add_absent(
            &mut lines,
            &[
                ("accept", "*/*"),
                ("host", "localhost:3000"),
                ("user-agent", "curl/8.16.0"),
                ("x-forwarded-port", "3000"),
                ("x-forwarded-proto", "http"),
            ],
        );
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

    /// The body in the event's form, and whether that is base64. With `as_text`, a UTF-8 body is text.
    fn body(&self, as_text: bool) -> (Option<String>, bool) {
        match std::str::from_utf8(&self.body) {
            Ok("") => (None, false),
            Ok(text) if as_text => (Some(text.to_owned()), false),
            _ => (Some(BASE64_STANDARD.encode(&self.body)), true),
        }
    }
}

/// The path with its percent-encoded bytes decoded once. What is not UTF-8 is replaced.
fn decoded(path: &str) -> String {
    percent_decode_str(path).decode_utf8_lossy().into_owned()
}

/// Adds the fields that have no line yet.
fn add_absent(lines: &mut Vec<(String, String)>, fields: &[(&str, &str)]) {
    for &(name, value) in fields {
        if !lines.iter().any(|(known, _)| known == name) {
            lines.push((name.to_owned(), value.to_owned()));
        }
    }
}

/// The values of each name, as payload 1.0 has them.
struct Lines(BTreeMap<String, Vec<String>>);

impl Lines {
    fn of(lines: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in lines {
            values.entry(name).or_default().push(value);
        }
        Self(values)
    }

    /// All values of each name; `None` if there is no name.
    fn all(&self) -> Option<&BTreeMap<String, Vec<String>>> {
        (!self.0.is_empty()).then_some(&self.0)
    }

    /// The last value of each name; `None` if there is no name.
    fn last(&self) -> Option<BTreeMap<&str, Option<&String>>> {
        Some(self.all()?.iter().map(|(name, values)| (name.as_str(), values.last())).collect())
    }
}

/// The event without its members that are `null`.
fn without_nulls(mut event: Value) -> Value {
    if let Some(members) = event.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    event
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
