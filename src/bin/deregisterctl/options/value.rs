//! Parses the values of options.

use deregister::model::{AllowList, Id};
use std::{
    num::NonZeroU16,
    time::{Duration, SystemTime},
};

/// The longest lifetime of an access token or of a former secret: a century.
const MAX_LIFETIME: Duration = Duration::from_hours(24 * 36_500);

/// The most segments of the table that are read at the same time.
const MAX_SEGMENTS: NonZeroU16 = NonZeroU16::new(64).unwrap();

/// A time, or a duration before now.
#[derive(Clone, Copy)]
pub enum Since {
    Time(SystemTime),
    Ago(Duration),
}

impl Since {
    /// The time, if it is `now`.
    pub fn at(self, now: SystemTime) -> SystemTime {
        match self {
            Self::Time(time) => time,
            Self::Ago(ago) => now.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }
}

pub fn id(text: &str) -> Result<Id, &'static str> {
    Id::try_from(text.to_owned())
}

/// Basic credentials end the id at the first colon.
pub fn api_client_id(text: &str) -> Result<Id, &'static str> {
    if text.contains(':') { Err("the id of an API client cannot contain a colon") } else { id(text) }
}

pub fn allow_list_entry(text: &str) -> Result<String, &'static str> {
    match AllowList::new([text]).unreadable().next() {
        Some(_) => Err("it is neither an address nor a CIDR block"),
        None => Ok(text.to_owned()),
    }
}

pub fn since(text: &str) -> Result<Since, &'static str> {
    let time = |text: &str| humantime::parse_rfc3339_weak(text).map(Since::Time);
    humantime::parse_duration(text)
        .map(Since::Ago)
        .or_else(|_| time(text).or_else(|_| time(&format!("{text}T00:00:00Z"))))
        .map_err(|_| "it is neither a duration like 30d nor a time like 2027-01-15")
}

pub fn segments(text: &str) -> Result<NonZeroU16, &'static str> {
    text.parse().ok().filter(|&segments| segments <= MAX_SEGMENTS).ok_or("it is not a number from 1 to 64")
}

pub fn yes_or_no(text: &str) -> Result<bool, &'static str> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err("it is neither yes nor no"),
    }
}

pub fn lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    (lifetime <= MAX_LIFETIME).then_some(lifetime).ok_or_else(|| "it is longer than a century".to_owned())
}
