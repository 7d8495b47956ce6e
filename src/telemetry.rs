//! The log: one JSON line a request, a deleted client's grants, or a sweep, which is also its metrics.
//!
//! The keys are those that Powertools for AWS Lambda writes, and ours. A request's line carries the exact reason, which
//! the caller is not told, and CloudWatch's embedded metric format, so that no second line and no agent is needed.

use crate::{
    cascade::Fate,
    client::{Id, Idle},
    deletion::{Ended, NotDeleted},
    rule::RequestToDelete,
    store::{Fault, Meter},
    sweep::Report,
};
use aws_smithy_types::date_time::{DateTime, Format};
use lambda_http::{Context, http::StatusCode};
use serde::Serialize;
use serde_json::{Map, Value};
use std::{
    fmt,
    net::IpAddr,
    time::{Duration, SystemTime},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    filter::filter_fn,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter,
        format::{JsonFields, Writer},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// The target of a request's line, which is written whatever the level: it is the metrics too.
pub const REQUEST: &str = "deregister::request";
/// The target of the line that tells what became of a deleted client's grants; written whatever the level.
pub const CLEARANCE: &str = "deregister::clearance";
/// The target of the line that reports on a sweep; written whatever the level.
pub const REPORT: &str = "deregister::report";

/// Writes to the standard output from now on. `level` is the lowest that is written, from `AWS_LAMBDA_LOG_LEVEL`;
/// `clock` tells the time.
pub fn init(level: Option<&str>, clock: fn() -> SystemTime) {
    subscriber(level, clock, std::io::stdout).init();
}

/// The same, to another writer, for who wants to install it otherwise.
pub fn subscriber<W>(level: Option<&str>, clock: fn() -> SystemTime, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let level = level.and_then(|level| level.parse().ok()).unwrap_or(Level::INFO);
    // At the level TRACE the runtime writes each event whole, credentials included.
    let tells_all =
        |metadata: &Metadata<'_>| *metadata.level() == Level::TRACE && metadata.target().starts_with("lambda_runtime");
    let wanted =
        move |metadata: &Metadata<'_>| is_metrics(metadata) || (*metadata.level() <= level && !tells_all(metadata));
    let lines = tracing_subscriber::fmt::layer()
        .fmt_fields(JsonFields::new())
        .event_format(Lines { clock })
        .with_writer(writer);
    tracing_subscriber::registry().with(lines.with_filter(filter_fn(wanted)))
}

/// Whether the lines with these metadata are metrics too.
fn is_metrics(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && [REQUEST, CLEARANCE, REPORT].contains(&metadata.target())
}

/// How a request ended, in the words of the log.
#[derive(Debug)]
pub(crate) struct Story {
    door: &'static str,
    outcome: Outcome,
    reason: Option<String>,
    client_id: Option<Id>,
    caller: Option<String>,
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Deleted,
    Refused,
    Failed,
}

impl Story {
    /// Of a request to delete. An id is named only if the table knows it: another may be a secret in the wrong place.
    pub(crate) fn of<R: RequestToDelete>(ended: &Ended<R>) -> Self {
        let (outcome, reason) = match &ended.result {
            Ok(()) => (Outcome::Deleted, None),
            Err(NotDeleted::Refused(reason)) => (Outcome::Refused, Some(reason.to_string())),
            Err(NotDeleted::Unread(fault) | NotDeleted::Unwritten(fault)) => (Outcome::Failed, Some(fault.to_string())),
        };
        Self {
            door: R::DOOR,
            outcome,
            reason,
            client_id: ended.request.as_ref().and_then(|request| ended.facts.known(request.target()?)).cloned(),
            caller: ended.request.as_ref().and_then(|request| request.caller(&ended.facts)),
        }
    }

    /// Of a request that no door takes.
    pub(crate) fn of_refused(door: &'static str, reason: &str) -> Self {
        Self { door, outcome: Outcome::Refused, reason: Some(reason.to_owned()), client_id: None, caller: None }
    }
}

/// What else a request's line says.
#[derive(Debug)]
pub(crate) struct Line<'r> {
    pub(crate) status: StatusCode,
    pub(crate) source_ip: Option<IpAddr>,
    pub(crate) context: Option<&'r Context>,
    pub(crate) cold_start: bool,
    pub(crate) duration: Duration,
    pub(crate) meter: &'r Meter,
}

impl Line<'_> {
    /// Writes the line: a refusal for information, a fault as an error.
    pub(crate) fn write(&self, story: &Story) {
        macro_rules! line {
            ($level:ident, $outcome:literal, $message:literal) => {
                tracing::$level!(
                    target: REQUEST,
                    door = story.door,
                    outcome = $outcome,
                    reason = story.reason,
                    client_id = story.client_id.as_ref().map(Id::as_str),
                    caller = story.caller,
                    source_ip = self.source_ip.map(display),
                    status = self.status.as_u16(),
                    function_request_id = self.context.map(|context| context.request_id.as_str()),
                    xray_trace_id = self.context.and_then(|context| context.xray_trace_id.as_deref()).map(trace_id),
                    cold_start = self.cold_start,
                    duration_ms = milliseconds(self.duration),
                    database_ms = milliseconds(self.meter.elapsed()),
                    database_calls = self.meter.tries(),
                    retries = self.meter.retries(),
                    throttles = self.meter.throttles(),
                    $message
                )
            };
        }
        match story.outcome {
            Outcome::Deleted => line!(info, "deleted", "deleted a client"),
            Outcome::Refused => line!(info, "refused", "refused a request"),
            Outcome::Failed => line!(error, "failed", "failed on a request"),
        }
    }
}

/// What became of the grants of a deleted client.
#[derive(Debug)]
pub(crate) struct Clearance<'c> {
    pub(crate) client: &'c Id,
    pub(crate) fate: &'c Result<Fate, Fault>,
    pub(crate) removed: usize,
    pub(crate) duration: Duration,
    pub(crate) meter: &'c Meter,
    pub(crate) context: &'c Context,
}

impl Clearance<'_> {
    /// Writes the line: a fault as an error.
    pub(crate) fn write(&self) {
        macro_rules! line {
            ($level:ident, $outcome:literal, $message:literal) => {
                tracing::$level!(
                    target: CLEARANCE,
                    outcome = $outcome,
                    reason = self.fate.as_ref().err().map(display),
                    client_id = self.client.as_str(),
                    grants_removed = self.removed,
                    function_request_id = self.context.request_id,
                    xray_trace_id = self.context.xray_trace_id.as_deref().map(trace_id),
                    duration_ms = milliseconds(self.duration),
                    database_ms = milliseconds(self.meter.elapsed()),
                    database_calls = self.meter.tries(),
                    retries = self.meter.retries(),
                    throttles = self.meter.throttles(),
                    $message
                )
            };
        }
        match self.fate {
            Ok(Fate::Removed) => line!(info, "removed", "removed a deleted client's grants"),
            Ok(Fate::Kept) => line!(info, "kept", "left the grants of a client that is live again"),
            Err(_) => line!(error, "unfinished", "left grants of a deleted client for another time"),
        }
    }
}

/// Tells of one client that the sweep deleted, or would have.
pub(crate) fn write_swept(client: &Id, idle: Idle, deletes: bool) {
    let since = DateTime::from(idle.since).fmt(Format::DateTime).unwrap_or_default();
    let message = if deletes { "swept a client" } else { "would sweep a client" };
    tracing::info!(client_id = client.as_str(), used = idle.used, idle_since = since, "{message}");
}

/// Reports on a sweep: one that the database ended as an error.
pub(crate) fn write_sweep(
    report: &Report,
    fault: Option<&Fault>,
    duration: Duration,
    meter: &Meter,
    context: &Context,
) {
    macro_rules! line {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                target: REPORT,
                mode = if report.deletes { "delete" } else { "observe" },
                reason = fault.map(display),
                due = report.due,
                swept = report.swept,
                protected = report.protected,
                granted = report.granted,
                changed = report.changed,
                unreadable = report.unreadable,
                failed = report.failed,
                complete = report.complete,
                function_request_id = context.request_id,
                xray_trace_id = context.xray_trace_id.as_deref().map(trace_id),
                duration_ms = milliseconds(duration),
                database_ms = milliseconds(meter.elapsed()),
                database_calls = meter.tries(),
                retries = meter.retries(),
                throttles = meter.throttles(),
                $message
            )
        };
    }
    if fault.is_none() {
        line!(info, "looked through the idle clients");
    } else {
        line!(error, "failed on the idle clients");
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The trace's id alone, of the header that carries it.
fn trace_id(header: &str) -> &str {
    header.split(';').find_map(|part| part.trim().strip_prefix("Root=")).unwrap_or(header)
}

/// Writes an event as one line of JSON.
struct Lines {
    clock: fn() -> SystemTime,
}

#[derive(Serialize)]
struct JsonLine<'e> {
    level: &'static str,
    timestamp: String,
    service: &'static str,
    #[serde(flatten)]
    fields: Fields,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'e str>,
    #[serde(rename = "_aws", skip_serializing_if = "Option::is_none")]
    metrics: Option<Metrics>,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let now = (self.clock)();
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metrics = Metrics::of(metadata.target(), now);
        if metadata.target() == REQUEST {
            fields.count("requests", 1);
            fields.count("cold_starts", u64::from(fields.0.get("cold_start") == Some(&Value::Bool(true))));
        } else if metrics.is_none()
            && let Some(invocation) = context.lookup_current()
        {
            invocation.extensions().get::<FormattedFields<N>>().into_iter().for_each(|span| fields.of_invocation(span));
        }
        let line = JsonLine {
            level: metadata.level().as_str(),
            timestamp: DateTime::from(now).fmt(Format::DateTime).map_err(|_| fmt::Error)?,
            service: "deregister",
            fields,
            location: metrics.is_none().then_some(metadata.target()),
            metrics,
        };
        writeln!(writer, "{}", serde_json::to_string(&line).map_err(|_| fmt::Error)?)
    }
}

/// What makes metrics of a request's line (CloudWatch's embedded metric format).
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metrics {
    /// Milliseconds since the epoch.
    timestamp: u64,
    cloud_watch_metrics: &'static [Directive],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: &'static [&'static [&'static str]],
    metrics: &'static [Metric],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metric {
    name: &'static str,
    unit: &'static str,
}

impl Metrics {
    /// Doors and outcomes are few, so that callers cannot multiply them.
    const OF_REQUESTS: [Directive; 2] = [
        Directive {
            namespace: "deregister",
            dimensions: &[&["door", "outcome"]],
            metrics: &[Metric { name: "requests", unit: "Count" }],
        },
        Directive {
            namespace: "deregister",
            dimensions: &[&["door"]],
            metrics: &[
                Metric { name: "duration_ms", unit: "Milliseconds" },
                Metric { name: "database_ms", unit: "Milliseconds" },
                Metric { name: "throttles", unit: "Count" },
                Metric { name: "cold_starts", unit: "Count" },
            ],
        },
    ];

    const OF_CLEARANCES: [Directive; 1] = [Directive {
        namespace: "deregister",
        dimensions: &[&["outcome"]],
        metrics: &[
            Metric { name: "grants_removed", unit: "Count" },
            Metric { name: "duration_ms", unit: "Milliseconds" },
        ],
    }];

    const OF_REPORTS: [Directive; 1] = [Directive {
        namespace: "deregister",
        dimensions: &[&["mode"]],
        metrics: &[
            Metric { name: "due", unit: "Count" },
            Metric { name: "swept", unit: "Count" },
            Metric { name: "unreadable", unit: "Count" },
            Metric { name: "duration_ms", unit: "Milliseconds" },
        ],
    }];

    /// Those of a line with this target, where it has any.
    fn of(target: &str, now: SystemTime) -> Option<Self> {
        let cloud_watch_metrics: &[_] = match target {
            REQUEST => &Self::OF_REQUESTS,
            CLEARANCE => &Self::OF_CLEARANCES,
            REPORT => &Self::OF_REPORTS,
            _ => return None,
        };
        let milliseconds = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
        Some(Self { timestamp: u64::try_from(milliseconds).unwrap_or(u64::MAX), cloud_watch_metrics })
    }
}

/// The fields of an event.
#[derive(Default, Serialize)]
#[serde(transparent)]
struct Fields(Map<String, Value>);

impl Fields {
    fn count(&mut self, name: &str, number: u64) {
        self.0.insert(name.to_owned(), number.into());
    }

    /// Adds the ids of the invocation, from the runtime's span.
    fn of_invocation(&mut self, span: &str) {
        let Ok(mut ids) = serde_json::from_str::<Map<String, Value>>(span) else { return };
        for (theirs, ours) in [("requestId", "function_request_id"), ("xrayTraceId", "xray_trace_id")] {
            self.0.extend(ids.remove(theirs).map(|id| (ours.to_owned(), id)));
        }
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}
