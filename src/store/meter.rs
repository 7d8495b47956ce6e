//! What the database calls of one request cost, for its line in the log.

use aws_sdk_dynamodb::{
    config::{
        ConfigBag, Intercept, RuntimeComponents,
        interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef},
    },
    error::{BoxError, ProvideErrorMetadata},
    operation::{
        batch_get_item::BatchGetItemError, batch_write_item::BatchWriteItemError, get_item::GetItemError,
        query::QueryError, update_item::UpdateItemError,
    },
};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::Instant;

tokio::task_local! {
    /// The meter of the call under way, for [`CountTries`]: an interceptor a call would cost more than all that it counts.
    static RUNNING: Meter;
}

/// Counts the calls of one request. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Meter(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    calls: AtomicU32,
    tries: AtomicU32,
    throttles: AtomicU32,
    unheard: AtomicU32,
    micros: AtomicU64,
}

impl Meter {
    /// How often the database was asked, each try by itself.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.0.tries.load(Relaxed)
    }

    /// How many of these were repetitions.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.tries().saturating_sub(self.0.calls.load(Relaxed))
    }

    /// How many were throttled.
    #[must_use]
    pub fn throttles(&self) -> u32 {
        self.0.throttles.load(Relaxed)
    }

    /// How many had no answer: they may have taken effect, or may still.
    pub(super) fn unheard(&self) -> u32 {
        self.0.unheard.load(Relaxed)
    }

    /// How long all of them took together, waits between tries included.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Duration::from_micros(self.0.micros.load(Relaxed))
    }

    /// Makes a call, with all its tries, and adds up how long it takes.
    pub(crate) async fn time<T>(&self, call: impl Future<Output = T>) -> T {
        self.0.calls.fetch_add(1, Relaxed);
        let start = Instant::now();
        // Boxed, since the SDK's futures are large, and would be nested in all that wait for them.
        let answer = RUNNING.scope(self.clone(), Box::pin(call)).await;
        let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.0.micros.fetch_add(micros, Relaxed);
        answer
    }
}

/// The SDK's hook: it counts every try on the meter of the call.
#[derive(Debug)]
pub(super) struct CountTries;

impl Intercept for CountTries {
    fn name(&self) -> &'static str {
        "CountTries"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // A call without a meter is an operator's.
        let _ = RUNNING.try_with(|meter| meter.0.tries.fetch_add(1, Relaxed));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let error = context.output_or_error().and_then(Result::err);
        if error.is_some_and(|error| !error.is_operation_error()) {
            let _ = RUNNING.try_with(|meter| meter.0.unheard.fetch_add(1, Relaxed));
        }
        let code = error.and_then(|error| error.as_operation_error()).and_then(|error| {
            let read = error.downcast_ref::<BatchGetItemError>().and_then(ProvideErrorMetadata::code);
            let written = || error.downcast_ref::<UpdateItemError>().and_then(ProvideErrorMetadata::code);
            let asked = || error.downcast_ref::<QueryError>().and_then(ProvideErrorMetadata::code);
            let removed = || error.downcast_ref::<BatchWriteItemError>().and_then(ProvideErrorMetadata::code);
            let looked_up = || error.downcast_ref::<GetItemError>().and_then(ProvideErrorMetadata::code);
            read.or_else(written).or_else(asked).or_else(removed).or_else(looked_up)
        });
        if code.is_some_and(|code| THROTTLES.contains(&code)) {
            let _ = RUNNING.try_with(|meter| meter.0.throttles.fetch_add(1, Relaxed));
        }
        Ok(())
    }
}

/// The errors by which DynamoDB says that it is asked for too much.
pub(super) const THROTTLES: [&str; 3] =
    ["ProvisionedThroughputExceededException", "RequestLimitExceeded", "ThrottlingException"];
