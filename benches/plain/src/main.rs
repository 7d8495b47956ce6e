//! The plain function of `just bench-memory`: `lambda_http` and the SDK with their defaults.
//!
//! It gives the requests of the benchmark the same answers as the function, with the same two calls. It does not open
//! the connection at the start. It checks less than the function: no allow lists, no expiry and no history.

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::{
    Client,
    operation::update_item::UpdateItemError,
    types::{AttributeValue, KeysAndAttributes},
};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use lambda_http::{Body, Error, Request, RequestExt, Response, run, service_fn, tracing};
use sha2::{Digest, Sha256};
use std::{collections::HashMap, time::SystemTime};

type Item = HashMap<String, AttributeValue>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let client = Client::new(&aws_config::load_defaults(BehaviorVersion::latest()).await);
    let table = std::env::var("CLIENTS_TABLE")?;
    run(service_fn(|request| delete(&client, &table, request))).await
}

/// `DELETE /config/{appId}/clients/{apiClientId}`, with the credentials of an owner.
async fn delete(client: &Client, table: &str, request: Request) -> Result<Response<Body>, Error> {
    let Some((caller, secret)) = credentials(&request) else { return answer(401) };
    let path: Vec<&str> = request.raw_http_path().split('/').collect();
    let &["", "config", application, "clients", target] = path.as_slice() else { return answer(404) };

    let keys = KeysAndAttributes::builder().keys(key(&caller)).keys(key(target)).consistent_read(true).build()?;
    let read = client.batch_get_item().request_items(table, keys).send().await?;
    let items = read.responses.unwrap_or_default().remove(table).unwrap_or_default();
    let find = |id: &str| items.iter().find(|item| item.get("pk") == key(id).get("pk"))?.get("client")?.as_m().ok();

    let Some(owner) = find(&caller).filter(|owner| has_secret(owner, &secret)) else { return answer(401) };
    if !has_feature(owner, "owner") {
        return answer(403);
    }
    let of_application = |item: &Item| text(item, "app_id") == Some(application);
    let Some(found) = find(target).filter(|found| of_application(owner) && of_application(found)) else {
        return answer(404);
    };
    if has_feature(found, "owner") || found.get("protected") == Some(&AttributeValue::Bool(true)) {
        return answer(403);
    }

    let now = SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
    let string = |text: &str| AttributeValue::S(text.to_owned());
    let record = HashMap::from([
        ("at".to_owned(), AttributeValue::N(now.to_string())),
        ("by".to_owned(), string(&caller)),
        ("via".to_owned(), string("configuration")),
        ("request_id".to_owned(), string(&request.lambda_context().request_id)),
    ]);
    let written = client
        .update_item()
        .table_name(table)
        .set_key(Some(key(target)))
        .update_expression("SET tombstone = client, deleted = :deleted, expires_at = :expires_at REMOVE client")
        .condition_expression(
            "attribute_exists(client) AND client.app_id = :app AND client.protected = :no \
             AND NOT contains(client.features, :owner)",
        )
        .expression_attribute_values(":deleted", AttributeValue::M(record))
        .expression_attribute_values(":expires_at", AttributeValue::N((now + 30 * 86_400).to_string()))
        .expression_attribute_values(":app", string(application))
        .expression_attribute_values(":no", AttributeValue::Bool(false))
        .expression_attribute_values(":owner", string("owner"))
        .send()
        .await;
    match written.map_err(aws_sdk_dynamodb::error::SdkError::into_service_error) {
        Ok(_) => {
            tracing::info!(caller, target, "deleted");
            answer(204)
        }
        Err(UpdateItemError::ConditionalCheckFailedException(_)) => answer(404),
        Err(error) => Err(error.into()),
    }
}

fn answer(status: u16) -> Result<Response<Body>, Error> {
    Ok(Response::builder().status(status).body(Body::Empty)?)
}

/// The id and the secret of Basic credentials.
fn credentials(request: &Request) -> Option<(String, String)> {
    let encoded = request.headers().get("authorization")?.to_str().ok()?.strip_prefix("Basic ")?;
    let decoded = String::from_utf8(BASE64_STANDARD_NO_PAD.decode(encoded.trim_end_matches('=')).ok()?).ok()?;
    decoded.split_once(':').map(|(id, secret)| (id.to_owned(), secret.to_owned()))
}

fn key(id: &str) -> Item {
    HashMap::from([("pk".to_owned(), AttributeValue::S(format!("client#{id}")))])
}

fn text<'i>(item: &'i Item, name: &str) -> Option<&'i str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

fn list<'i>(item: &'i Item, name: &str) -> &'i [AttributeValue] {
    item.get(name).and_then(|list| list.as_l().ok()).map_or(&[], Vec::as_slice)
}

fn has_feature(item: &Item, feature: &str) -> bool {
    list(item, "features").iter().any(|listed| listed.as_s().is_ok_and(|listed| listed == feature))
}

fn has_secret(item: &Item, secret: &str) -> bool {
    let digest = Sha256::digest(secret);
    let is_digest =
        |stored: &AttributeValue| Some(stored.as_m().ok()?.get("digest")?.as_b().ok()?.as_ref() == &digest[..]);
    list(item, "secrets").iter().any(|stored| is_digest(stored) == Some(true))
}
