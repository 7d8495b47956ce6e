//! The function behind the API. It answers every request, and logs a record of it.

use super::record::{Cost, Environment};
use crate::{
    deletion::{self, NotDeleted, Outcome},
    http::{
        self, Endpoint,
        authlete::Authlete,
        configuration::Configuration,
        event::{Event, EventResponse, Origin, Sender},
        path::{Prefixes, Route},
        registration::Registration,
        response,
    },
    invocation::Invocation,
    model::Id,
    rule::DeletionRequest,
    settings::Endpoints,
    store::{CallStatistics, Store},
    telemetry::{self, Metric, Metrics},
};
use lambda_http::{Body, Request, RequestExt, Response};
use lambda_runtime::LambdaEvent;
use serde::Serialize;
use std::{
    borrow::Cow,
    convert::Infallible,
    net::IpAddr,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// Time reserved for sending the response before Lambda's time-out.
const RESPONSE_MARGIN: Duration = Duration::from_millis(250);
/// The longest that a request may take, even if Lambda allows more. It is longer than the time-outs of the database
/// calls.
const MAX_DURATION: Duration = Duration::from_mins(5);

/// The function that deletes clients.
#[derive(Debug, Clone)]
pub struct Delete<S> {
    store: S,
    endpoints: Endpoints,
    clock: fn() -> SystemTime,
    environment: Environment,
}

impl<S: Store> Delete<S> {
    /// The function over this store, with these settings. `clock` gives the time.
    pub fn new(store: S, endpoints: Endpoints, clock: fn() -> SystemTime, environment: Environment) -> Self {
        Self { store, endpoints, clock, environment }
    }

    /// Answers an event, and logs the record of the request. Every event gets an answer.
    ///
    /// # Errors
    /// Never.
    pub async fn call(&self, event: LambdaEvent<Event>) -> Result<EventResponse, Infallible> {
        let started = Instant::now();
        let LambdaEvent { payload, context } = event;
        let cookies = payload.has_cookies().then_some([]);
        let request = Request::from(payload);
        let origin: Origin = request.extensions().get().cloned().unwrap_or_default();
        let mut invocation = Invocation::new(&context, (self.clock)(), RESPONSE_MARGIN);
        invocation.deadline = invocation.deadline.min(started + MAX_DURATION);
        invocation.source_ip = origin.source_ip;

        let answer = self.answer(&request, &origin, &invocation);
        let (Answer { response, summary }, calls) = CallStatistics::collect(answer).await;

        let is_cold = self.environment.is_cold();
        let record = RequestRecord {
            summary,
            source_ip: origin.source_ip,
            status: response.status().as_u16(),
            cold_start: is_cold,
            cost: Cost::new(&context, &self.environment, is_cold, started.elapsed(), &calls),
            requests: 1,
            cold_starts: is_cold.into(),
        };
        telemetry::write(&record, self.environment.namespace(), (self.clock)());
        Ok(EventResponse { response, cookies })
    }

    /// Answers a request at the endpoint that its path names.
    async fn answer(&self, request: &Request, origin: &Origin, invocation: &Invocation) -> Answer {
        if origin.sender == Sender::Unsupported {
            return Answer {
                response: http::unsupported_sender(),
                summary: Summary::refused("none", "unsupported_event"),
            };
        }
        let Endpoints { realm, base_path, registration_path, .. } = &self.endpoints;
        let prefixes = Prefixes { base: base_path, registration: registration_path };
        match Route::of(request.raw_http_path(), origin, prefixes) {
            Some(Route::Configuration { application, client }) => {
                self.answer_at(&Configuration { realm, application, client }, request, invocation).await
            }
            Some(Route::Registration { client }) => {
                self.answer_at(&Registration { realm, client }, request, invocation).await
            }
            Some(Route::Authlete { service }) => {
                self.answer_at(&Authlete { realm, service }, request, invocation).await
            }
            None => Answer { response: http::not_found(), summary: Summary::refused("none", "unknown_path") },
        }
    }

    /// Answers a request at an endpoint.
    async fn answer_at<E: Endpoint>(&self, endpoint: &E, request: &Request, invocation: &Invocation) -> Answer {
        if request.method().as_str() != E::METHOD {
            let response = response::allow(E::METHOD, endpoint.method_not_allowed());
            return Answer { response, summary: Summary::refused(E::Request::CHANNEL, "method_not_allowed") };
        }
        let outcome = match endpoint.parse(request) {
            Ok(to_delete) => deletion::delete(&self.store, to_delete, invocation).await,
            Err(reason) => Outcome::not_parsed(reason),
        };
        if let Err(NotDeleted::Refused(_)) = &outcome.result {
            for unreadable in outcome.snapshot.unreadable() {
                tracing::warn!("{unreadable}: the request is refused as if there were no such item");
            }
        }
        Answer { response: endpoint.respond(&outcome), summary: Summary::of(outcome) }
    }
}

/// An answer, and its summary for the record.
struct Answer {
    response: Response<Body>,
    summary: Summary,
}

/// What the record says about the request itself.
#[derive(Serialize)]
struct Summary {
    endpoint: &'static str,
    outcome: RequestOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'static, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caller: Option<String>,
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum RequestOutcome {
    Deleted,
    Refused,
    Failed,
}

impl Summary {
    /// The summary of an outcome. It names an id only if the table has it: another id may be a misplaced secret.
    fn of<R: DeletionRequest>(outcome: Outcome<R>) -> Self {
        let Outcome { request, snapshot, result } = outcome;
        let (outcome, reason) = match result {
            Ok(()) => (RequestOutcome::Deleted, None),
            Err(NotDeleted::Refused(reason)) => (RequestOutcome::Refused, Some(Cow::Borrowed(reason.into()))),
            Err(NotDeleted::ReadFailed(fault) | NotDeleted::WriteFailed(fault)) => {
                (RequestOutcome::Failed, Some(Cow::Owned(fault.to_string())))
            }
        };
        Self {
            endpoint: R::CHANNEL,
            outcome,
            reason,
            client_id: request.as_ref().and_then(|request| snapshot.known(request.target()?)).cloned(),
            caller: request.as_ref().and_then(|request| request.caller(&snapshot)),
        }
    }

    /// The summary of a request that no endpoint accepts.
    fn refused(endpoint: &'static str, reason: &'static str) -> Self {
        let reason = Some(Cow::Borrowed(reason));
        Self { endpoint, outcome: RequestOutcome::Refused, reason, client_id: None, caller: None }
    }
}

/// The record of a request.
#[derive(Serialize)]
struct RequestRecord<'r> {
    #[serde(flatten)]
    summary: Summary,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_ip: Option<IpAddr>,
    status: u16,
    cold_start: bool,
    #[serde(flatten)]
    cost: Cost<'r>,
    requests: u32,
    cold_starts: u32,
}

impl telemetry::Record for RequestRecord<'_> {
    const METRICS: &'static [Metrics] = &[
        Metrics { dimensions: &[&["endpoint", "outcome"]], metrics: &[Metric { name: "requests", unit: "Count" }] },
        Metrics {
            dimensions: &[&["endpoint"]],
            metrics: &[
                Metric { name: "duration_ms", unit: "Milliseconds" },
                Metric { name: "database_ms", unit: "Milliseconds" },
                Metric { name: "throttles", unit: "Count" },
                Metric { name: "cold_starts", unit: "Count" },
            ],
        },
    ];

    fn is_failure(&self) -> bool {
        matches!(self.summary.outcome, RequestOutcome::Failed)
    }

    fn message(&self) -> &'static str {
        match self.summary.outcome {
            RequestOutcome::Deleted => "deleted a client",
            RequestOutcome::Refused => "refused a request",
            RequestOutcome::Failed => "a request failed",
        }
    }
}
