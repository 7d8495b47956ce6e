//! The invocation of a function: its id, its time, and its deadline.

use lambda_runtime::Context;
use std::{
    net::IpAddr,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// The longest that Lambda lets an invocation run.
const MAX_LAMBDA_TIMEOUT: Duration = Duration::from_mins(15);

/// The invocation in which a client is deleted.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The id of the invocation. No other request has it, and no caller chooses it.
    pub request_id: String,
    /// The time at which the invocation started.
    pub now: SystemTime,
    /// The time by which database calls must end.
    pub deadline: Instant,
    /// The caller's address, if the platform gives one.
    pub source_ip: Option<IpAddr>,
}

impl Invocation {
    /// The invocation that Lambda's context describes. `margin` is the time reserved for what follows the last database
    /// call.
    #[must_use]
    pub fn new(context: &Context, now: SystemTime, margin: Duration) -> Self {
        Self {
            request_id: context.request_id.clone(),
            now,
            deadline: Instant::now() + time_left(context, now).saturating_sub(margin),
            source_ip: None,
        }
    }
}

/// The time from `now` until Lambda's deadline. Emulators may give 0, or a duration in place of a time. So a deadline
/// that has passed is ignored, and the longest time-out of Lambda is used.
fn time_left(context: &Context, now: SystemTime) -> Duration {
    let end = SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(context.deadline));
    end.and_then(|end| end.duration_since(now).ok()).unwrap_or(MAX_LAMBDA_TIMEOUT)
}
