//! Requests, as events of both payload versions.

use serde_json::{Value, json};

/// A request. The events contain its parts as they are: nothing is encoded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'r> {
    pub method: &'r str,
    pub path: &'r str,
    pub stage: Option<&'r str>,
    /// Whether the event says that the sender has decoded the path: it is an HTTP API.
    pub is_decoded: bool,
    pub authorization: &'r [&'r str],
    pub content_type: &'r str,
    pub body: &'r str,
    pub is_base64: bool,
}

impl Request<'_> {
    /// The event of payload 1.0.
    pub fn payload_1(&self) -> Value {
        json!({
            "version": self.is_decoded.then_some("1.0"),
            "httpMethod": self.method,
            "path": self.path,
            "multiValueHeaders": { "Authorization": self.authorization, "Content-Type": [self.content_type] },
            "requestContext": { "stage": self.stage, "identity": { "sourceIp": "203.0.113.7" } },
            "body": self.body,
            "isBase64Encoded": self.is_base64,
        })
    }

    /// The event of payload 2.0. It joins repeated field lines with commas.
    pub fn payload_2(&self) -> Value {
        let mut headers = json!({ "content-type": self.content_type });
        if !self.authorization.is_empty() {
            headers["authorization"] = self.authorization.join(",").into();
        }
        json!({
            "version": "2.0",
            "rawPath": self.path,
            "headers": headers,
            "requestContext": {
                "domainName": if self.is_decoded { "a.execute-api.aws" } else { "a.lambda-url.aws" },
                "stage": self.stage,
                "http": { "method": self.method, "sourceIp": "203.0.113.7" },
            },
            "body": self.body,
            "isBase64Encoded": self.is_base64,
        })
    }
}
