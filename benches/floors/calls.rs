//! A handler that makes only the two SDK calls of a delete.
//!
//! It has the function's runtime and its configuration of the SDK, and is built like the function. The event is the id
//! of the client to delete.

mod sdk;

use deregister::{
    dynamodb::connection,
    settings::{Database, Variables},
};
use lambda_runtime::{Error, LambdaEvent, run_concurrent, service_fn};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let variables: Variables = std::env::vars_os().collect();
    let config = connection::configure(&Database::read(&variables)?, &variables).await?.config;
    let client = aws_sdk_dynamodb::Client::from_conf(config.build());
    let handler = service_fn(move |event: LambdaEvent<String>| {
        let client = client.clone();
        Box::pin(async move {
            sdk::delete(&client, &event.payload).await?;
            Ok::<Value, Error>(json!({ "statusCode": 204 }))
        })
    });
    // Spawned, as in the function.
    tokio::spawn(run_concurrent(handler)).await?
}
