//! Times as whole seconds since the Unix epoch, the form that DynamoDB's time to live has.

use std::time::{Duration, SystemTime};

/// The seconds since the epoch, rounded down. A time before the epoch counts as the epoch.
pub(crate) fn of(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The start of the second that `time` is in.
pub(crate) fn rounded(time: SystemTime) -> SystemTime {
    at(of(time)).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The first second of the year 10000. No program means a later time: most such numbers are milliseconds.
pub(crate) const END: u64 = 253_402_300_800;

/// The time of this many seconds since the epoch. `None` from the year 10000 on.
pub(crate) fn at(seconds: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).filter(|_| seconds < END)
}
