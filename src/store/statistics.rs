//! Call statistics: what database calls cost.

use std::{cell::Cell, future::Future, pin::Pin, time::Duration};
use tokio::time::Instant;

tokio::task_local! {
    /// The statistics that [`CallStatistics::collect`] collects.
    static COLLECTED: Cell<CallStatistics>;
    /// The statistics of the call that is being made.
    static CALL: Cell<CallStatistics>;
}

/// What database calls cost. Each call has its own statistics. [`collect`](Self::collect) adds up those of all calls in
/// it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallStatistics {
    /// The calls, each counted once however often it was attempted.
    pub calls: u32,
    /// The attempts of all calls. Asking again for what DynamoDB left unprocessed is an attempt.
    pub attempts: u32,
    /// The attempts that were throttled, as a whole or in part.
    pub throttles: u32,
    /// The attempts whose effect is not known: no answer, an answer that cannot be read, or a 5xx.
    pub ambiguous: u32,
    /// How long the calls took, including the waits between attempts.
    pub duration: Duration,
}

impl CallStatistics {
    /// Runs `work`, and returns its output with the statistics of the database calls in it. Calls that `work` abandons
    /// are counted too. The calls in a nested `collect` count in both.
    pub async fn collect<T>(work: impl Future<Output = T>) -> (T, Self) {
        let work = async {
            let output = work.await;
            (output, COLLECTED.with(Cell::get))
        };
        let (output, statistics) = COLLECTED.scope(Cell::default(), work).await;
        Self::record(|outer| outer.add(&statistics));
        (output, statistics)
    }

    /// Makes a call, with all its attempts, and returns its output with its own statistics.
    ///
    /// The call is boxed, because the SDK's futures are large and every future that waits for them would contain them.
    pub(crate) async fn of_call<T>(call: Pin<Box<impl Future<Output = T>>>) -> (T, Self) {
        let call = async {
            Self::record(|statistics| statistics.calls += 1);
            let timer = Timer(Instant::now());
            let output = call.await;
            drop(timer);
            (output, CALL.with(Cell::get))
        };
        CALL.scope(Cell::default(), call).await
    }

    /// Changes the statistics of the call that is being made, and those that are being collected.
    pub(crate) fn record(change: impl Fn(&mut Self)) {
        for scope in [&COLLECTED, &CALL] {
            // The calls of the operator's tool run in no scope.
            let _ = scope.try_with(|scope| {
                let mut statistics = scope.get();
                change(&mut statistics);
                scope.set(statistics);
            });
        }
    }

    /// The attempts that repeated an earlier one.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.attempts.saturating_sub(self.calls)
    }

    /// Adds other statistics.
    pub(crate) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.attempts += other.attempts;
        self.throttles += other.throttles;
        self.ambiguous += other.ambiguous;
        self.duration += other.duration;
    }
}

/// Records the duration of a call at its end, or when it is abandoned.
struct Timer(Instant);

impl Drop for Timer {
    fn drop(&mut self) {
        CallStatistics::record(|statistics| statistics.duration += self.0.elapsed());
    }
}
