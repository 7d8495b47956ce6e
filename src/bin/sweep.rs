//! The function on a schedule, on AWS Lambda: settings, tables, handler, run.

use deregister::{
    settings::{Settings, Upkeep},
    store::{DynamoDb, Grants, connection},
    sweep::Sweep,
    telemetry,
};
use lambda_http::{
    Error,
    lambda_runtime::{self, service_fn},
};
use std::{process::ExitCode, time::SystemTime};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init(std::env::var("AWS_LAMBDA_LOG_LEVEL").ok().as_deref(), now);
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the function stopped: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let variable = |name: &str| std::env::var(name).ok();
    let settings = Settings::read(variable)?;
    let Upkeep { grants, grants_expire_at, deletes, patience, most } = Upkeep::read(variable)?;
    let config = connection::configure(&settings, variable).await?;
    let grants = match grants {
        Some(table) => Some(Grants::open(config.clone(), table, grants_expire_at).await?),
        None => None,
    };
    let store = DynamoDb::new(config, settings.table, settings.retention);
    let sweep = Sweep { store, grants, patience, deletes, most, clock: now };
    lambda_runtime::run(service_fn(|event| sweep.call(event))).await
}

#[expect(clippy::disallowed_methods, reason = "the one place where the function is given its clock")]
fn now() -> SystemTime {
    SystemTime::now()
}
