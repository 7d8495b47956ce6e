//! Deletions while other writers change the client, while answers are lost and while the database fails.

mod ambiguous;
mod between_read_and_write;
mod faults;
mod late;
mod simultaneous;

use crate::support::{
    Fixture,
    endpoint::Endpoint::{self, Authlete, Configuration, Registration},
    json, text,
    wire::Fault,
};
use aws_sdk_dynamodb::{operation::update_item::builders::UpdateItemFluentBuilder, types::AttributeValue};
use lambda_http::{Body, Response};

impl Endpoint {
    async fn delete(self, fixture: &Fixture) -> Response<Body> {
        fixture.invoke(&self.event()).await
    }

    /// Whether the answer says that this request deleted the client.
    fn is_deleted(self, answer: &Response<Body>) -> bool {
        match self {
            Configuration | Registration => answer.status() == 204,
            Authlete => answer.status() == 200 && json(answer)["action"] == "DELETED",
        }
    }

    /// Whether the answer says that there is no such client.
    fn is_missing(self, answer: &Response<Body>) -> bool {
        match self {
            Configuration => answer.status() == 404,
            Registration => answer.status() == 401,
            Authlete => json(answer)["resultCode"] == "A215302",
        }
    }
}

/// The answer for a message: its status and its body.
fn shown(answer: &Response<Body>) -> String {
    format!("{} {}", answer.status(), text(answer))
}

fn throttled() -> Fault {
    Fault::error(400, "ThrottlingException")
}

/// An update of the client's item, without the wire.
fn update(fixture: &Fixture, client_id: &str) -> UpdateItemFluentBuilder {
    let key = AttributeValue::S(format!("client#{client_id}"));
    fixture.sdk.update_item().table_name(&fixture.table).key("pk", key)
}

/// Sets a member of a client, if the client is live.
async fn set(fixture: &Fixture, client_id: &str, member: &str, value: AttributeValue) {
    let set = update(fixture, client_id)
        .update_expression("SET client.#member = :value")
        .condition_expression("attribute_exists(client)")
        .expression_attribute_names("#member", member)
        .expression_attribute_values(":value", value);
    // The deletion may win the race. Then the condition fails.
    let _ = set.send().await;
}

/// Plans that a member of the client is set between the read and the write of the next deletion.
fn plan_change(fixture: &Fixture, client_id: &'static str, member: &'static str, value: AttributeValue) {
    let bystander = fixture.clone();
    let change = async move { set(&bystander, client_id, member, value).await };
    fixture.wire.plan("UpdateItem", Fault::meanwhile(change));
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn features(features: &[&str]) -> AttributeValue {
    AttributeValue::L(features.iter().copied().map(s).collect())
}
