//! The sweep on AWS Lambda: the function on a schedule.

mod bootstrap;

use bootstrap::{Start, now, variable};
use deregister::{
    dynamodb::{ClientsTable, GrantsTable, connection},
    functions::{Environment, Sweep},
    settings::{self, Database, Grants},
};
use lambda_runtime::{Error, service_fn};
use std::process::ExitCode;

fn main() -> ExitCode {
    bootstrap::run(serve)
}

async fn serve(start: Start) -> Result<(), Error> {
    let database = Database::read(variable)?;
    let Grants { table, expires_at } = Grants::read(variable)?;
    let settings = settings::Sweep::read(variable)?;
    let config = connection::configure(&database, variable).await?;
    let grants = match table {
        Some(table) => Some(GrantsTable::open(config.clone(), table, expires_at).await?),
        None => None,
    };
    let clients = ClientsTable::new(config, database.table, database.retention);
    let environment = Environment::started_in(start.elapsed());
    let function = Sweep { store: clients, grants, settings, clock: now, environment };
    lambda_runtime::run(service_fn(|event| function.call(event))).await
}
