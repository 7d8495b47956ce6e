//! Starts a function on AWS Lambda: its log, its runtime and its clock.

use deregister::telemetry;
use lambda_runtime::Error;
use std::{
    process::ExitCode,
    time::{Duration, SystemTime},
};
use tokio::{runtime::Builder, time::Instant};

/// The start of the process.
#[derive(Clone, Copy)]
pub(crate) struct Start(Instant);

impl Start {
    /// How long the start has taken so far.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Runs a function until Lambda ends it. If it stops, logs why.
pub(crate) fn run<F: Future<Output = Result<(), Error>>>(function: impl FnOnce(Start) -> F) -> ExitCode {
    let start = Start(Instant::now());
    telemetry::install(variable("AWS_LAMBDA_LOG_LEVEL").as_deref(), now);
    let result = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(function(start)),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("the function stopped: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The value of an environment variable. An empty value counts as unset.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "the one place where the functions get their clock")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
