//! The cascade on AWS Lambda: the function on the clients table's stream.

mod bootstrap;

use bootstrap::{Start, now, variable};
use deregister::{
    dynamodb::{ClientsTable, GrantsTable, connection},
    functions::{Cascade, Environment},
    settings::{Database, Grants},
};
use lambda_runtime::{Error, service_fn};
use std::process::ExitCode;

fn main() -> ExitCode {
    bootstrap::run(serve)
}

async fn serve(start: Start) -> Result<(), Error> {
    let database = Database::read(variable)?;
    let Grants { table, expires_at } = Grants::read(variable)?;
    let table = table.ok_or("GRANTS_TABLE must be the name of a DynamoDB table, and is empty")?;
    let config = connection::configure(&database, variable).await?;
    let grants = GrantsTable::open(config.clone(), table, expires_at).await?;
    let clients = ClientsTable::new(config, database.table, database.retention);
    let function = Cascade::new(clients, grants, now, Environment::started_in(start.elapsed()));
    lambda_runtime::run(service_fn(|event| function.call(event))).await
}
