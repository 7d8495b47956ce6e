//! Whether the time of an answer reveals more than the answer itself.
//!
//! Requests that get the same answer for different reasons are sent in random order. Welch's t-test compares their
//! times, as in dudect.

use crate::{Result, context, database::Database, event, function, milliseconds, sample};
use deregister::http::event::Event;
use lambda_http::LambdaEvent;
use std::{
    fmt::Write,
    hash::{BuildHasher, RandomState},
};
use tokio::time::Instant;

/// dudect reports a difference if |t| is above this.
const MAX_T: f64 = 4.5;

/// Requests that a caller must not be able to distinguish: the answer, and each reason with its event.
fn indistinguishable() -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let configuration = |id: &str, secret: &str| {
        let authorization = basic(id, secret);
        event(sample::TARGET).replace(&basic(sample::OWNER.0, sample::OWNER.1), &authorization)
    };
    let registration = |id: &str| {
        let event = include_str!("../../events/registration/deleted.json");
        event.replace(sample::RFC_CLIENT.0, id).replace(sample::RFC_CLIENT.1, "reg-00000000-wrong.000000")
    };
    let unknown = "0".repeat(sample::OWNER.0.len());
    vec![
        (
            "`/config`, the caller (401)",
            vec![
                ("wrong secret", configuration(sample::OWNER.0, "wrong")),
                ("unknown id", configuration(&unknown, "wrong")),
                ("deleted client", configuration(sample::DELETED_OWNER.0, "wrong")),
            ],
        ),
        (
            "`/config`, the client to delete (404)",
            vec![
                ("another application's", event(sample::TARGET_ELSEWHERE)),
                ("unknown id", event(&unknown)),
                ("deleted client", event(sample::DELETED_OWNER.0)),
            ],
        ),
        (
            "`/register` (401)",
            vec![
                ("wrong token", registration(sample::RFC_CLIENT.0)),
                ("unknown id", registration("s6BhdRkqt0")),
                ("API client", registration(sample::TARGET)),
                ("deleted client", registration(sample::DELETED_OWNER.0)),
            ],
        ),
    ]
}

/// Compares the times. Returns a Markdown table, with each reason compared with the first one.
pub(crate) async fn compare(requests: usize) -> Result<String> {
    let database = Database::start().await?;
    let function = function(database.store.clone())?;
    let mut table = String::from(
        "| answer | reason | median | compared with | differs by | Welch's t |\n|---|---|---|---|---|---|\n",
    );
    for (answer, classes) in indistinguishable() {
        let mut times = vec![Vec::new(); classes.len()];
        let random = RandomState::new();
        for n in 0..requests * classes.len() {
            let class = usize::try_from(random.hash_one(n) % classes.len() as u64)?;
            let (Some((_, event)), Some(times)) = (classes.get(class), times.get_mut(class)) else { continue };
            let event: Event = serde_json::from_str(event)?;
            let begun = Instant::now();
            function.call(LambdaEvent::new(event, context(n))).await?;
            times.push(1e3 * milliseconds(begun.elapsed()));
        }
        let mut samples = classes.iter().zip(times).map(|((reason, _), times)| (reason, Times::of(times)));
        let Some((first, beside)) = samples.next() else { continue };
        for (reason, times) in samples {
            let t = times.welch(&beside);
            let verdict = if t.abs() > MAX_T { " **different**" } else { "" };
            let differs = times.median - beside.median;
            writeln!(
                table,
                "| {answer} | {reason} | {:.0} µs | {first}: {:.0} µs | {differs:+.0} µs | {t:.1}{verdict} |",
                times.median, beside.median
            )?;
        }
    }
    Ok(table)
}

/// The times of one reason, without the slowest tenth, which depends more on the machine than on the function.
struct Times {
    median: f64,
    mean: f64,
    variance: f64,
    count: f64,
}

impl Times {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        times.truncate(times.len() * 9 / 10);
        let count = times.len() as f64;
        let mean = times.iter().sum::<f64>() / count;
        let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
        Self { median: times.get(times.len() / 2).copied().unwrap_or(f64::NAN), mean, variance, count }
    }

    /// Welch's t.
    fn welch(&self, other: &Self) -> f64 {
        (self.mean - other.mean) / (self.variance / self.count + other.variance / other.count).sqrt()
    }
}

fn basic(id: &str, secret: &str) -> String {
    use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
    format!("Basic {}", BASE64_STANDARD_NO_PAD.encode(format!("{id}:{secret}")))
}
