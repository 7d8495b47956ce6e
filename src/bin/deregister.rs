//! The function behind the API, on AWS Lambda.

mod bootstrap;

use bootstrap::{Start, Stopped, now};
use deregister::{
    dynamodb::{ClientsTable, connection},
    functions::{Delete, Environment},
    settings::{Database, Endpoints, Metrics, Variables},
};
use lambda_runtime::service_fn;
use std::{process::ExitCode, sync::Arc};

fn main() -> ExitCode {
    bootstrap::run(serve)
}

async fn serve(start: Start, variables: Variables) -> Result<(), Stopped> {
    let database = Database::read(&variables)?;
    let endpoints = Endpoints::read(&variables)?;
    let metrics = Metrics::read(&variables)?;
    let config = connection::configure(&database, &variables).await?.config;
    let clients = ClientsTable::new(config, database.table, database.retention);
    clients.open(endpoints.opening_timeout).await;
    let function = Arc::new(Delete::new(clients, endpoints, now, Environment::started_in(start.elapsed(), metrics)));
    let handler = service_fn(move |event| {
        let function = Arc::clone(&function);
        // Boxed, because the SDK's futures are large and the runtime nests them.
        Box::pin(async move { function.call(event).await })
    });
    // Spawned, because tokio wakes a task without a system call. It needs one to wake the future of `block_on`.
    Ok(tokio::spawn(lambda_runtime::run_concurrent(handler)).await??)
}
