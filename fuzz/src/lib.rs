//! The parts that the fuzz targets share: a table without a database, requests, answers, and reference parsers.
//!
//! A target parses its input with a reference parser ([`reference`]) and asserts that the function agrees.

#[cfg(not(fuzzing))]
compile_error!("run cargo in the folder fuzz: its .cargo/config.toml has the compiler's flags");

pub mod answer;
mod json;
pub mod reference;
pub mod request;
#[path = "../../examples/local/sample.rs"]
pub mod sample;
pub mod table;

use std::time::{Duration, SystemTime};

/// The time of every request.
pub fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
}
