//! The wait before a background function tries unfinished work again.

use std::time::Duration;
use tokio::time::Instant;

/// The longest wait.
const LONGEST: Duration = Duration::from_secs(10);

/// The time to wait before the next try. It grows until there is progress.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wait(Duration);

impl Wait {
    /// The first wait.
    pub(super) const FIRST: Self = Self(Duration::from_millis(100));

    /// Whether a wait that starts now ends before this time.
    pub(super) fn ends_before(self, time: Instant) -> bool {
        Instant::now() + self.0 < time
    }

    /// Waits. Then the next wait is twice as long, or the first one again if there was progress before this wait.
    pub(super) async fn pass(&mut self, progress: bool) {
        tokio::time::sleep(self.0).await;
        *self = if progress { Self::FIRST } else { Self(LONGEST.min(self.0 * 2)) };
    }
}
