//! The function behind the API, on AWS Lambda.

mod bootstrap;

use bootstrap::{Start, now, variable};
use deregister::{
    dynamodb::{ClientsTable, connection},
    functions::{Delete, Environment},
    settings::{Database, Endpoints},
};
use lambda_runtime::{Error, service_fn};
use std::{process::ExitCode, sync::Arc};

fn main() -> ExitCode {
    bootstrap::run(serve)
}

async fn serve(start: Start) -> Result<(), Error> {
    let database = Database::read(variable)?;
    let endpoints = Endpoints::read(variable)?;
    let config = connection::configure(&database, variable).await?;
    let clients = ClientsTable::new(config, database.table, database.retention);
    clients.open(endpoints.opening_timeout).await;
    let function = Arc::new(Delete::new(clients, endpoints, now, Environment::started_in(start.elapsed())));
    let handler = service_fn(move |event| {
        let function = Arc::clone(&function);
        // Boxed, because the SDK's futures are large and the runtime nests them.
        Box::pin(async move { function.call(event).await })
    });
    lambda_runtime::run_concurrent(handler).await
}
