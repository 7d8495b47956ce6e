//! Times as whole seconds since the Unix epoch, the form that DynamoDB's time to live has.

use serde::{Deserialize, Deserializer, Serializer, de::Error};
use std::time::{Duration, SystemTime};

/// The seconds since the epoch, rounded down. A time before the epoch counts as the epoch.
pub(crate) fn of(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// The start of the second that `time` is in.
pub(crate) fn rounded(time: SystemTime) -> SystemTime {
    at(of(time)).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The time of this many seconds since the epoch. `None` if [`SystemTime`] cannot hold it.
pub(crate) fn at(seconds: u64) -> Option<SystemTime> {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

pub(crate) fn serialize<S: Serializer>(value: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(of(*value))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SystemTime, D::Error> {
    at(u64::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("a time out of range"))
}

/// The same for an optional time.
pub(crate) mod optional {
    use super::{Deserialize, Deserializer, Error, Serializer, SystemTime, at, of};

    #[expect(clippy::ref_option, reason = "the signature that serde calls")]
    pub(crate) fn serialize<S: Serializer>(value: &Option<SystemTime>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.serialize_u64(of(*value)),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SystemTime>, D::Error> {
        Option::<u64>::deserialize(deserializer)?
            .map(|seconds| at(seconds).ok_or_else(|| D::Error::custom("a time out of range")))
            .transpose()
    }
}
