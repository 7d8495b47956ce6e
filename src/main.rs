//! The function on AWS Lambda: settings, store, handler, run.

use deregister::{
    Function,
    settings::Settings,
    store::{DynamoDb, connection},
    telemetry,
};
use lambda_http::{
    Error,
    lambda_runtime::{self, service_fn},
};
use std::{process::ExitCode, sync::Arc, time::SystemTime};

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
    let config = connection::configure(&settings, variable).await?;
    let store = DynamoDb::new(config, settings.table, settings.retention);
    store.open(settings.opening).await;
    let function = Arc::new(Function::new(store, settings.realm, now));

    let handler = service_fn(move |event| {
        let function = Arc::clone(&function);
        // Boxed, since the SDK's futures are large, and the runtime nests what it is given.
        Box::pin(async move { function.call(event).await })
    });
    lambda_runtime::run_concurrent(handler).await
}

#[expect(clippy::disallowed_methods, reason = "the one place where the function is given its clock")]
fn now() -> SystemTime {
    SystemTime::now()
}
