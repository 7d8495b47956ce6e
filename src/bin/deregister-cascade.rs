//! The cascade on AWS Lambda: the function on the clients table's stream.

mod bootstrap;

use bootstrap::{Start, Stopped, now};
use deregister::{
    dynamodb::{ClientsTable, GrantsTable, connection},
    functions::{Cascade, Environment},
    settings::{Database, Grants, Metrics, Variables},
};
use lambda_runtime::service_fn;
use std::process::ExitCode;

fn main() -> ExitCode {
    bootstrap::run(serve)
}

async fn serve(start: Start, variables: Variables) -> Result<(), Stopped> {
    let database = Database::read(&variables)?;
    let grants = Grants::read(&variables, &database)?;
    let grants = grants.ok_or(Stopped::Empty("GRANTS_TABLE", "the name of a DynamoDB table"))?;
    let metrics = Metrics::read(&variables)?;
    let config = connection::configure(&database, &variables).await?.config;
    let grants = GrantsTable::open(config.clone(), grants).await?;
    let clients = ClientsTable::new(config, database.table, database.retention);
    let function = Cascade::new(clients, grants, now, Environment::started_in(start.elapsed(), metrics));
    Ok(lambda_runtime::run(service_fn(|event| function.call(event))).await?)
}
