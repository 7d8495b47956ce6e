//! What the fuzz targets share: a table without a database, requests, answers, and a second reading of what is sent.
//!
//! A target reads its input in the plainest way there is ([`reading`]), and asserts that the function agrees.

#[cfg(not(fuzzing))]
compile_error!("build in the folder fuzz, whose .cargo/config.toml has the flags");

pub mod answer;
pub mod reading;
pub mod request;
#[path = "../../examples/local/sample.rs"]
pub mod sample;
pub mod table;

use std::time::{Duration, SystemTime};

/// The instant at which everything takes place.
pub fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
}
