//! The progress of long work, on the standard error: a bar on a terminal, and elsewhere a line a minute.
//!
//! If the output goes through a pipe, its reader may print to the same terminal, as a pager does. Then there is no bar.

use crate::report;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use std::{
    fmt,
    fs::File,
    io::{self, IsTerminal},
    time::Duration,
};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// The time between two lines.
const LINE_INTERVAL: Duration = Duration::from_mins(1);

/// How far the work on many items has come.
pub struct Progress {
    /// Drawn only on a terminal.
    bar: ProgressBar,
    /// What is counted, such as `deletions`.
    unit: &'static str,
    started: Instant,
    /// `None` if there is a bar, or nothing.
    lines: Option<Interval>,
}

impl Progress {
    /// Starts at zero items. `length` is the number of items, if it is known. `is_list`: the output is what the command is
    /// for, so a reader of it gets no lines on its terminal.
    pub fn new(unit: &'static str, length: Option<u64>, is_list: bool) -> Self {
        let (is_terminal, is_piped) = (io::stderr().is_terminal(), is_piped());
        let template = match length {
            Some(_) => "{pos} of {len} {msg} [{wide_bar}] {rate} a second, {eta} left",
            None => "{spinner} {pos} {msg}, {rate} a second",
        };
        let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new).with_message(unit);
        let rate = |state: &ProgressState, out: &mut dyn fmt::Write| {
            // A bar has no place for an error.
            let _ = write!(out, "{:.0}", state.per_sec());
        };
        // The templates are valid: without a style, the bar has another look.
        let bar = match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style.progress_chars("=> ").with_key("rate", rate)),
            Err(_) => bar,
        };
        if is_piped {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let started = Instant::now();
        let lines = (!is_terminal || is_piped && !is_list).then(|| {
            let mut lines = interval_at(started + LINE_INTERVAL, LINE_INTERVAL);
            lines.set_missed_tick_behavior(MissedTickBehavior::Delay);
            lines
        });
        Self { bar, unit, started, lines }
    }

    /// Counts this many more items as done.
    pub fn add(&self, items: usize) {
        self.bar.inc(items.try_into().unwrap_or(u64::MAX));
    }

    /// The bar.
    pub fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// Prints something, without the bar.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Waits for the next line, and prints it. If there are no lines, it waits for ever.
    pub async fn next_line(&mut self) {
        match &mut self.lines {
            Some(lines) => lines.tick().await,
            None => std::future::pending().await,
        };
        report::note(&text(self.bar.position(), self.bar.length(), self.unit, self.started.elapsed()));
    }

    /// Removes the bar.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Whether the standard output is a pipe.
#[cfg(unix)]
fn is_piped() -> bool {
    use std::os::{fd::AsFd, unix::fs::FileTypeExt};
    let output = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    output.and_then(|output| output.metadata()).is_ok_and(|output| output.file_type().is_fifo())
}

#[cfg(not(unix))]
fn is_piped() -> bool {
    false
}

/// How far the work has come after this time: the items, the rate, and the time left at that rate.
fn text(done: u64, length: Option<u64>, unit: &str, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs().max(1);
    let rate = done.div_ceil(seconds);
    let Some(length) = length else { return format!("{done} {unit}, {rate} a second") };
    let left = length.saturating_sub(done).saturating_mul(seconds).checked_div(done);
    let left = left.map(|left| format!(", {} left", humantime::format_duration(Duration::from_secs(left))));
    format!("{done} of {length} {unit}, {rate} a second{}", left.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_items_the_rate_and_the_time_left() {
        let minute = Duration::from_mins(1);
        for (done, length, expected) in [
            (1200, Some(6000), "1200 of 6000 deletions, 20 a second, 4m left"),
            (6000, Some(6000), "6000 of 6000 deletions, 100 a second, 0s left"),
            (0, Some(6000), "0 of 6000 deletions, 0 a second"),
            (90_000, None, "90000 deletions, 1500 a second"),
        ] {
            assert_eq!(text(done, length, "deletions", minute), expected);
        }
    }
}
