//! The function: a request in, an answer out.

use crate::{
    deletion::{self, Circumstances, Ended},
    door::{
        self, Door, Path, authlete::Authlete, authorization::Realm, configuration::Configuration,
        registration::Registration, reply,
    },
    event::{Answer, Event, Origin},
    rule::RequestToDelete,
    store::{Meter, Store},
    telemetry::{Line, Story},
};
use lambda_http::{Body, Context, LambdaEvent, Request, RequestExt, Response};
use std::{
    convert::Infallible,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// What is kept of the time that an invocation has, so that an answer is always given.
const TO_ANSWER: Duration = Duration::from_millis(250);
/// How long a request may take at the most, also where the platform sets no end: longer than the database calls' own
/// time-outs.
const LONGEST: Duration = Duration::from_mins(5);

/// How long Lambda lets an invocation run at the most.
const LONGEST_INVOCATION: Duration = Duration::from_mins(15);

/// The handler, with all that outlives a request.
#[derive(Debug, Clone)]
pub struct Function<S> {
    store: S,
    realm: Realm,
    clock: fn() -> SystemTime,
    /// Whether it has answered a request before.
    warm: Arc<AtomicBool>,
}

impl<S: Store> Function<S> {
    /// The handler over this store; `clock` tells the time.
    pub fn new(store: S, realm: Realm, clock: fn() -> SystemTime) -> Self {
        Self { store, realm, clock, warm: Arc::default() }
    }

    /// Answers an event. There is always an answer: what goes wrong is told in it.
    ///
    /// # Errors
    /// Never.
    pub async fn call(&self, LambdaEvent { payload, context }: LambdaEvent<Event>) -> Result<Answer, Infallible> {
        let cookies = payload.has_cookies().then_some([]);
        let request = Request::from(payload).with_lambda_context(context);
        Ok(Answer { response: self.handle(&request).await, cookies })
    }

    /// Answers a request made from an [`Event`], and writes its line in the log.
    pub async fn handle(&self, request: &Request) -> Response<Body> {
        let started = Instant::now();
        let Origin { source_ip, stage } = request.extensions().get().cloned().unwrap_or_default();
        let context = request.lambda_context_ref();
        let circumstances = self.circumstances(context, source_ip, started);

        let realm = &self.realm;
        let (answer, story) = match Path::of(request.raw_http_path(), stage.as_deref()) {
            Some(Path::Configuration { application, client }) => {
                self.at(&Configuration { realm, application, client }, request, &circumstances).await
            }
            Some(Path::Registration { client }) => {
                self.at(&Registration { realm, client }, request, &circumstances).await
            }
            Some(Path::Authlete { service }) => self.at(&Authlete { realm, service }, request, &circumstances).await,
            None => (door::not_found(), Story::of_refused("none", "unknown_path")),
        };

        let line = Line {
            status: answer.status(),
            source_ip,
            context,
            cold_start: !self.warm.swap(true, Relaxed),
            duration: started.elapsed(),
            meter: &circumstances.meter,
        };
        line.write(&story);
        answer
    }

    /// Takes a request through a door.
    async fn at<D: Door>(&self, door: &D, request: &Request, circumstances: &Circumstances) -> (Response<Body>, Story) {
        if request.method().as_str() != D::METHOD {
            let answer = reply::allow(D::METHOD, door.method_not_allowed());
            return (answer, Story::of_refused(D::Request::DOOR, "method_not_allowed"));
        }
        let ended = match door.parse(request) {
            Ok(to_delete) => deletion::delete(&self.store, to_delete, circumstances).await,
            Err(reason) => Ended::at_the_door(reason),
        };
        (door.reply(&ended), Story::of(&ended))
    }

    fn circumstances(&self, context: Option<&Context>, source_ip: Option<IpAddr>, started: Instant) -> Circumstances {
        let now = (self.clock)();
        let left = context.map_or(LONGEST, |context| time_left(context, now, TO_ANSWER));
        Circumstances {
            now,
            deadline: started + left.min(LONGEST),
            source_ip,
            request_id: context.map(|context| context.request_id.clone()).unwrap_or_default(),
            meter: Meter::default(),
        }
    }
}

/// How much time an invocation has from `now`, without what is kept `to_answer`; Lambda's longest where the platform sets
/// no end. An end that has passed is none: emulators tell 0, or a duration in place of a time.
pub(crate) fn time_left(context: &Context, now: SystemTime, to_answer: Duration) -> Duration {
    let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(context.deadline));
    let left = end.and_then(|end| end.duration_since(now).ok()).unwrap_or(LONGEST_INVOCATION);
    left.saturating_sub(to_answer)
}
