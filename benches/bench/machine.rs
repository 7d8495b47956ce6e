//! What the figures of a benchmark depend on.

use std::fs;

/// A sentence about the machine and the measured version.
pub(crate) fn machine() -> String {
    let first = |file: &str, start: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines()
            .find_map(|line| line.strip_prefix(start).map(|rest| rest.trim_start_matches([' ', '\t', ':']).to_owned()))
    };
    format!(
        "Measured on {} ({} processors), {}, deregister {}.",
        first("/proc/cpuinfo", "model name").unwrap_or_else(|| "an unknown processor".to_owned()),
        std::thread::available_parallelism().map_or(0, usize::from),
        first("/proc/version", "").unwrap_or_default().split(" (").next().unwrap_or_default(),
        env!("CARGO_PKG_VERSION"),
    )
}
