//! The log: JSON, one line an event. A record is a line that is also a metric.
//!
//! The keys are those of Powertools for AWS Lambda. A record has CloudWatch's embedded metric format, so metrics need
//! no second line and no agent. Each function declares its record as a type. This module does not know these types.

use serde::Serialize;
use serde_json::{Map, Value};
use std::{
    fmt::{self, Write as _},
    time::SystemTime,
};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    fmt::{
        FmtContext, FormatEvent, FormatFields, FormattedFields, MakeWriter,
        format::{JsonFields, Writer},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// The target of records.
const RECORD: &str = "deregister::record";

/// A line of the log that is also a metric. It is written at every log level.
pub trait Record: Serialize {
    /// The metrics, by the names of the record's own fields.
    const METRICS: &'static [Metrics];

    /// Whether the record is about a failure. Then its level is ERROR, otherwise INFO.
    fn is_failure(&self) -> bool;

    /// The message, for people.
    fn message(&self) -> &'static str;
}

/// Metrics with the same dimensions.
pub struct Metrics {
    /// The sets of dimensions. Their values must be few, so that no caller can multiply metrics.
    pub dimensions: &'static [&'static [&'static str]],
    /// The metrics.
    pub metrics: &'static [Metric],
}

/// A metric.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Metric {
    /// The name of the field.
    pub name: &'static str,
    /// CloudWatch's unit.
    pub unit: &'static str,
}

/// Writes a record. Its metrics are in this namespace of CloudWatch.
pub fn write<R: Record>(record: &R, namespace: &str, now: SystemTime) {
    let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let line = Line {
        level: if record.is_failure() { "ERROR" } else { "INFO" },
        timestamp: timestamp(now),
        service: SERVICE,
        message: record.message(),
        location: None,
        fields: record,
        aws: Some(EmbeddedMetrics {
            timestamp: since_epoch.as_millis().try_into().unwrap_or(u64::MAX),
            cloud_watch_metrics: R::METRICS.iter().map(|metrics| Directive::of(metrics, namespace)).collect(),
        }),
    };
    // The log must not fail a request. No record fails to serialize.
    let line = serde_json::to_string(&line).unwrap_or_default();
    if record.is_failure() {
        tracing::error!(target: RECORD, line);
    } else {
        tracing::info!(target: RECORD, line);
    }
}

/// Installs the log on the standard output. `level` is the lowest level that is written, from `AWS_LAMBDA_LOG_LEVEL`: a
/// level of `tracing`; anything else counts as INFO. `clock` gives the time.
pub fn install(level: Option<&str>, clock: fn() -> SystemTime) {
    subscriber(level, clock, std::io::stdout).init();
}

/// The log on another writer.
pub fn subscriber<W>(level: Option<&str>, clock: fn() -> SystemTime, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    // Parsed as a `LevelFilter`, an empty text would be ERROR, and `off` would silence the function.
    let level = level.and_then(|level| level.parse().ok()).map_or(LevelFilter::INFO, LevelFilter::from_level);
    let written = Targets::new()
        // At TRACE the runtime writes whole events with their credentials, and the SDK whole items with digests and with all
        // that another server keeps in them.
        .with_default(level.min(LevelFilter::DEBUG))
        .with_target(env!("CARGO_PKG_NAME"), level)
        .with_target(RECORD, LevelFilter::TRACE);
    let lines = tracing_subscriber::fmt::layer()
        .fmt_fields(JsonFields::new())
        .event_format(Lines { clock })
        .with_writer(writer);
    tracing_subscriber::registry().with(lines.with_filter(written))
}

const SERVICE: &str = "deregister";

/// A line of the log.
#[derive(Serialize)]
struct Line<'l, F> {
    level: &'static str,
    timestamp: String,
    service: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    message: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<&'l str>,
    #[serde(flatten)]
    fields: &'l F,
    #[serde(rename = "_aws", skip_serializing_if = "Option::is_none")]
    aws: Option<EmbeddedMetrics<'l>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct EmbeddedMetrics<'l> {
    /// Milliseconds since the epoch.
    timestamp: u64,
    cloud_watch_metrics: Vec<Directive<'l>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive<'l> {
    namespace: &'l str,
    dimensions: &'static [&'static [&'static str]],
    metrics: &'static [Metric],
}

impl<'l> Directive<'l> {
    fn of(&Metrics { dimensions, metrics }: &'static Metrics, namespace: &'l str) -> Self {
        Self { namespace, dimensions, metrics }
    }
}

/// Formats an event of `tracing` as a line: a record as it is, any other event with the ids of the invocation.
struct Lines {
    clock: fn() -> SystemTime,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let metadata = event.metadata();
        if metadata.target() == RECORD {
            let mut copy = CopyText(writer.by_ref());
            event.record(&mut copy);
            return writer.write_char('\n');
        }
        let mut fields = String::new();
        context.format_fields(Writer::new(&mut fields), event)?;
        let mut fields: Map<String, Value> = serde_json::from_str(&fields).map_err(|_| fmt::Error)?;
        if let Some(invocation) = context.lookup_current() {
            fields.extend(invocation.extensions().get::<FormattedFields<N>>().into_iter().flat_map(invocation_ids));
        }
        let line = Line {
            level: metadata.level().as_str(),
            timestamp: timestamp((self.clock)()),
            service: SERVICE,
            message: "",
            location: Some(metadata.target()),
            fields: &fields,
            aws: None,
        };
        writeln!(writer, "{}", serde_json::to_string(&line).map_err(|_| fmt::Error)?)
    }
}

/// The ids of the invocation, from the runtime's span.
fn invocation_ids<N>(span: &FormattedFields<N>) -> Vec<(String, Value)> {
    let mut ids: Map<String, Value> = serde_json::from_str(span).unwrap_or_default();
    let names = [("requestId", "function_request_id"), ("xrayTraceId", "xray_trace_id")];
    names.into_iter().filter_map(|(theirs, ours)| Some((ours.to_owned(), ids.remove(theirs)?))).collect()
}

/// Copies a text field as it is.
struct CopyText<'w>(Writer<'w>);

impl Visit for CopyText<'_> {
    fn record_str(&mut self, _: &Field, text: &str) {
        // The standard output cannot report that it is closed.
        let _ = self.0.write_str(text);
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

/// The time in the form of RFC 3339, in UTC, with milliseconds. Empty if RFC 3339 has no form for it.
fn timestamp(now: SystemTime) -> String {
    let mut text = String::new();
    match write!(text, "{}", humantime::format_rfc3339_millis(now.max(SystemTime::UNIX_EPOCH))) {
        Ok(()) => text,
        Err(_) => String::new(),
    }
}
