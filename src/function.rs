//! The function: a request in, an answer out.

use crate::{
    deletion::{self, Circumstances, Ended},
    door::{
        self, Door, Path, authlete::Authlete, authorization::Realm, configuration::Configuration,
        registration::Registration, reply,
    },
    event::{Answer, Event, Origin},
    store::Store,
    telemetry,
};
use lambda_http::{Body, LambdaEvent, Request, RequestExt, Response};
use std::{
    convert::Infallible,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// What is kept of the time that an invocation has, so that an answer is always given.
const TO_ANSWER: Duration = Duration::from_millis(250);
/// How long a request may take where the platform sets no end: longer than the database calls' own time-outs.
const NO_DEADLINE: Duration = Duration::from_mins(5);

/// The handler, with all that outlives a request.
#[derive(Debug, Clone)]
pub struct Function<S> {
    store: S,
    realm: Realm,
    clock: fn() -> SystemTime,
}

impl<S: Store> Function<S> {
    /// The handler over this store; `clock` tells the time.
    pub fn new(store: S, realm: Realm, clock: fn() -> SystemTime) -> Self {
        Self { store, realm, clock }
    }

    /// Answers an event. There is always an answer: what goes wrong is told in it.
    ///
    /// # Errors
    /// Never.
    pub async fn call(&self, LambdaEvent { payload, context }: LambdaEvent<Event>) -> Result<Answer, Infallible> {
        let request = Request::from(payload).with_lambda_context(context);
        Ok(Answer(self.handle(&request).await))
    }

    /// Answers a request made from an [`Event`].
    pub async fn handle(&self, request: &Request) -> Response<Body> {
        let stage = request.extensions().get::<Origin>().and_then(|origin| origin.stage.as_deref());
        let realm = &self.realm;
        match Path::of(request.raw_http_path(), stage) {
            Some(Path::Configuration { application, client }) => {
                self.answer(&Configuration { realm, application, client }, request).await
            }
            Some(Path::Registration { client }) => self.answer(&Registration { realm, client }, request).await,
            Some(Path::Authlete { service }) => self.answer(&Authlete { realm, service }, request).await,
            None => door::not_found(),
        }
    }

    async fn answer<D: Door>(&self, door: &D, request: &Request) -> Response<Body> {
        if request.method().as_str() != D::METHOD {
            return reply::allow(D::METHOD, door.method_not_allowed());
        }
        let circumstances = self.circumstances(request);
        let ended = match door.parse(request) {
            Ok(to_delete) => deletion::delete(&self.store, to_delete, &circumstances).await,
            Err(reason) => Ended::at_the_door(reason),
        };
        let answer = door.reply(&ended);
        telemetry::report(&ended, answer.status(), &circumstances.request_id);
        answer
    }

    fn circumstances(&self, request: &Request) -> Circumstances {
        let now = (self.clock)();
        let context = request.lambda_context_ref();
        let left = context.and_then(|context| {
            let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(context.deadline))?;
            (context.deadline > 0).then(|| end.duration_since(now).unwrap_or_default().saturating_sub(TO_ANSWER))
        });
        Circumstances {
            now,
            deadline: Instant::now() + left.unwrap_or(NO_DEADLINE),
            source_ip: request.extensions().get::<Origin>().and_then(|origin| origin.source_ip),
            request_id: context.map(|context| context.request_id.clone()).unwrap_or_default(),
        }
    }
}
