//! Starts a function on AWS Lambda: its variables, its log, its runtime and its clock.

use deregister::{
    dynamodb::connection::NoConnection,
    settings::{Variables, WrongSetting},
    store::Fault,
    telemetry,
};
use http::Uri;
use std::{
    io,
    num::NonZero,
    process::ExitCode,
    thread,
    time::{Duration, SystemTime},
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinError,
    time::Instant,
};

/// The start of the process.
#[derive(Clone, Copy)]
pub(crate) struct Start(Instant);

impl Start {
    /// How long the start has taken so far.
    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Why a function stopped. The sentence is for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Stopped {
    #[error(transparent)]
    Setting(#[from] WrongSetting),
    #[error(transparent)]
    Connection(#[from] NoConnection),
    #[error(transparent)]
    Database(#[from] Fault),
    #[error("{0} must be {1}, and is empty")]
    Empty(&'static str, &'static str),
    #[error("the operating system refuses the asynchronous runtime: {0}")]
    Runtime(io::ErrorKind),
    /// The text of the error is dropped, because it may hold a part of an event.
    #[error("Lambda's runtime interface cannot be reached, or gives an unexpected answer")]
    Lambda,
    /// Only in a build whose panics do not end the process.
    #[error("the function panicked")]
    Panicked,
}

impl From<lambda_runtime::Error> for Stopped {
    fn from(_: lambda_runtime::Error) -> Self {
        Self::Lambda
    }
}

impl From<JoinError> for Stopped {
    fn from(_: JoinError) -> Self {
        Self::Panicked
    }
}

/// Runs a function until Lambda ends it. If it stops, logs why.
pub(crate) fn run<F: Future<Output = Result<(), Stopped>>>(function: impl FnOnce(Start, Variables) -> F) -> ExitCode {
    let start = Start(Instant::now());
    let variables: Variables = std::env::vars_os().collect();
    // A level that is not text stops the function as soon as there is a log.
    telemetry::install(variables.get("AWS_LAMBDA_LOG_LEVEL").ok().flatten(), now);
    match check(&variables).and_then(|()| runtime(&variables)).and_then(|it| it.block_on(function(start, variables))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            tracing::error!("the function stopped: {why}");
            ExitCode::FAILURE
        }
    }
}

/// The asynchronous runtime. It has one thread, or one for each processor if `AWS_LAMBDA_MAX_CONCURRENCY` is above 1.
fn runtime(variables: &Variables) -> Result<Runtime, Stopped> {
    let invocations = variables.get("AWS_LAMBDA_MAX_CONCURRENCY")?.and_then(|invocations| invocations.parse().ok());
    let mut builder = match invocations {
        None | Some(0..=1) => Builder::new_current_thread(),
        Some(2..=u32::MAX) => {
            let mut builder = Builder::new_multi_thread();
            // Otherwise tokio reads the number from a variable, and panics if it is wrong.
            builder.worker_threads(thread::available_parallelism().map_or(1, NonZero::get));
            builder
        }
    };
    builder.enable_all().build().map_err(|error| Stopped::Runtime(error.kind()))
}

/// Checks the variables that Lambda's runtime library reads: it panics if one is missing or wrong.
fn check(variables: &Variables) -> Result<(), Stopped> {
    const MUST_BE: &str = "as AWS Lambda sets it for this program";
    let has_host = |value: &str| value.parse().is_ok_and(|uri: Uri| uri.authority().is_some());
    let is_number = |value: &str| value.parse::<i32>().is_ok();
    for name in [
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    ] {
        let value = variables.get(name)?.ok_or(Stopped::Empty(name, MUST_BE))?;
        let is_wrong = match name {
            "AWS_LAMBDA_RUNTIME_API" => !has_host(value),
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE" => !is_number(value),
            _ => false,
        };
        if is_wrong {
            return Err(WrongSetting::without_value(name, MUST_BE).into());
        }
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the one place where the functions get their clock")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
