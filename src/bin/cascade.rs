//! The function on the clients table's stream, on AWS Lambda: settings, tables, handler, run.

use deregister::{
    cascade::Cascade,
    settings::{Settings, Upkeep},
    store::{DynamoDb, Grants, connection},
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
    let upkeep = Upkeep::read(variable)?;
    let config = connection::configure(&settings, variable).await?;
    let table = upkeep.grants.ok_or("GRANTS_TABLE must be the name of a DynamoDB table, and is empty")?;
    let grants = Grants::open(config.clone(), table, upkeep.grants_expire_at).await?;
    let cascade = Cascade::new(DynamoDb::new(config, settings.table, settings.retention), grants, now);
    lambda_runtime::run(service_fn(|event| cascade.call(event))).await
}

#[expect(clippy::disallowed_methods, reason = "the one place where the function is given its clock")]
fn now() -> SystemTime {
    SystemTime::now()
}
