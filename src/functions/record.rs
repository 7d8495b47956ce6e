//! What the records of the three functions have in common.

use crate::{
    settings::{self, METRICS_NAMESPACE},
    store::CallStatistics,
};
use lambda_runtime::Context;
use serde::Serialize;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

/// The execution environment: whether it has served an invocation, how long its start took, and the namespace of its
/// metrics.
#[derive(Debug, Clone)]
pub struct Environment {
    is_warm: Arc<AtomicBool>,
    init: Option<Duration>,
    namespace: Arc<str>,
}

/// An environment that did not measure its start, with the default namespace.
impl Default for Environment {
    fn default() -> Self {
        Self { is_warm: Arc::default(), init: None, namespace: METRICS_NAMESPACE.default.into() }
    }
}

impl Environment {
    /// The environment whose start took this long.
    #[must_use]
    pub fn started_in(init: Duration, metrics: settings::Metrics) -> Self {
        Self { is_warm: Arc::default(), init: Some(init), namespace: metrics.namespace.into() }
    }

    /// CloudWatch's namespace for the metrics.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether this is the first invocation. Every later call returns `false`.
    pub(super) fn is_cold(&self) -> bool {
        !self.is_warm.swap(true, Relaxed)
    }
}

/// The ids of an invocation, and what it cost.
#[derive(Serialize)]
pub(super) struct Cost<'c> {
    function_request_id: &'c str,
    #[serde(skip_serializing_if = "Option::is_none")]
    xray_trace_id: Option<&'c str>,
    duration_ms: f64,
    database_ms: f64,
    database_calls: u32,
    retries: u32,
    throttles: u32,
    /// How long the start took, with the first invocation.
    #[serde(skip_serializing_if = "Option::is_none")]
    init_ms: Option<f64>,
    /// The most memory that the process has used, if the system reports it.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_memory_mb: Option<f64>,
}

impl<'c> Cost<'c> {
    /// The cost of an invocation that took `duration` and made these database calls. `is_cold`: it is the first.
    pub(super) fn new(
        context: &'c Context,
        environment: &Environment,
        is_cold: bool,
        duration: Duration,
        calls: &CallStatistics,
    ) -> Self {
        Self {
            function_request_id: &context.request_id,
            xray_trace_id: context.xray_trace_id.as_deref().map(trace_id),
            duration_ms: milliseconds(duration),
            database_ms: milliseconds(calls.duration),
            database_calls: calls.attempts,
            retries: calls.retries(),
            throttles: calls.throttles,
            init_ms: environment.init.filter(|_| is_cold).map(milliseconds),
            max_memory_mb: max_memory_mb(),
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The id in the trace header.
fn trace_id(header: &str) -> &str {
    header.split(';').find_map(|part| part.trim().strip_prefix("Root=")).unwrap_or(header)
}

/// The process's peak of resident memory. Linux counts it in kilobytes.
#[cfg(target_os = "linux")]
fn max_memory_mb() -> Option<f64> {
    use nix::sys::resource::{UsageWho, getrusage};
    let kilobytes = i32::try_from(getrusage(UsageWho::RUSAGE_SELF).ok()?.max_rss()).ok()?;
    Some(f64::from(kilobytes) / 1024.0)
}

/// Other systems count it in other units.
#[cfg(not(target_os = "linux"))]
fn max_memory_mb() -> Option<f64> {
    None
}
