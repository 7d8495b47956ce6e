//! The sweep on AWS Lambda: the function on a schedule.

mod bootstrap;

use bootstrap::{Start, Stopped, now};
use deregister::{
    dynamodb::{ClientsTable, GrantsTable, connection},
    functions::{Environment, Sweep},
    settings::{self, Database, Grants, Variables},
};
use lambda_runtime::service_fn;
use std::process::ExitCode;

fn main() -> ExitCode {
    bootstrap::run(serve)
}

async fn serve(start: Start, variables: Variables) -> Result<(), Stopped> {
    let database = Database::read(&variables)?;
    let grants = Grants::read(&variables, &database)?;
    let settings = settings::Sweep::read(&variables)?;
    let metrics = settings::Metrics::read(&variables)?;
    let config = connection::configure(&database, &variables).await?.config;
    let grants = match grants {
        Some(grants) => Some(GrantsTable::open(config.clone(), grants).await?.require_expiry()?),
        None => None,
    };
    let clients = ClientsTable::new(config, database.table, database.retention);
    let environment = Environment::started_in(start.elapsed(), metrics);
    let function = Sweep { store: clients, grants, settings, clock: now, environment };
    Ok(lambda_runtime::run(service_fn(|event| function.call(event))).await?)
}
