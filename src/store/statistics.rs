//! Call statistics: what database calls cost.

use std::{cell::Cell, future::Future, time::Duration};

tokio::task_local! {
    /// The statistics of the innermost scope.
    static SCOPE: Cell<CallStatistics>;
}

/// What database calls cost. Each call has statistics of its own, and they are added to those of the scope around it.
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
    /// Runs `work` in a scope, and returns its output with the statistics of the database calls in it.
    pub async fn collect<T>(work: impl Future<Output = T>) -> (T, Self) {
        let in_scope = async {
            let output = work.await;
            (output, SCOPE.with(Cell::get))
        };
        SCOPE.scope(Cell::default(), in_scope).await
    }

    /// Changes the statistics of the innermost scope. Without a scope it does nothing: operators' calls have none.
    pub(crate) fn record(change: impl FnOnce(&mut Self)) {
        let _ = SCOPE.try_with(|scope| {
            let mut statistics = scope.get();
            change(&mut statistics);
            scope.set(statistics);
        });
    }

    /// The attempts that repeated an earlier one.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.attempts.saturating_sub(self.calls)
    }

    /// Adds the statistics of a call.
    pub(crate) fn add(&mut self, call: &Self) {
        self.calls += call.calls;
        self.attempts += call.attempts;
        self.throttles += call.throttles;
        self.ambiguous += call.ambiguous;
        self.duration += call.duration;
    }
}
