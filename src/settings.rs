//! Settings, all from the environment.

use crate::door::authorization::Realm;
use std::time::Duration;

/// What can be set. The names, defaults and meanings are in [`Settings::TABLE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The DynamoDB table.
    pub table: String,
    /// The protection space that challenges name.
    pub realm: Realm,
    /// How long a deleted client can be restored.
    pub retention: Duration,
    /// How often a database call is tried in all.
    pub attempts: u32,
    /// How long one try of a database call may take.
    pub attempt_timeout: Duration,
    /// How long a database call may take with all its tries.
    pub call_timeout: Duration,
    /// How long opening the connection may delay the start.
    pub opening: Duration,
}

/// A setting that is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} must be {must_be}, and is {value:?}")]
pub struct WrongSetting {
    name: &'static str,
    must_be: &'static str,
    value: String,
}

/// One setting: its name in the environment, its default, and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// Its name in the environment.
    pub name: &'static str,
    /// What counts where it is not set.
    pub default: &'static str,
    /// What it must be.
    pub must_be: &'static str,
    /// What it is for.
    pub meaning: &'static str,
}

impl Settings {
    /// Every setting.
    pub const TABLE: [Setting; 7] = [
        Setting {
            name: "CLIENTS_TABLE",
            default: "clients",
            must_be: "the name of a DynamoDB table: 3 to 255 of the characters a-z A-Z 0-9 _ - .",
            meaning: "the table of clients, services and access tokens",
        },
        Setting {
            name: "REALM",
            default: "deregister",
            must_be: "one or more printable ASCII characters, without quotation marks and backslashes",
            meaning: "the realm that challenges name",
        },
        Setting {
            name: "RETENTION_DAYS",
            default: "30",
            must_be: "a whole number of days from 0 to 36500",
            meaning: "how long a deleted client can be restored; 0: not at all",
        },
        Setting {
            name: "DATABASE_ATTEMPTS",
            default: "4",
            must_be: "a whole number from 1 to 10",
            meaning: "how often a database call is tried in all",
        },
        Setting {
            name: "DATABASE_ATTEMPT_TIMEOUT_MS",
            default: "1000",
            must_be: "a whole number of milliseconds from 1 to 60000",
            meaning: "how long one try of a database call may take",
        },
        Setting {
            name: "DATABASE_CALL_TIMEOUT_MS",
            default: "3000",
            must_be: "a whole number of milliseconds from 1 to 60000",
            meaning: "how long a database call may take with all its tries",
        },
        Setting {
            name: "OPENING_TIMEOUT_MS",
            default: "1000",
            must_be: "a whole number of milliseconds from 0 to 9000",
            meaning: "how long opening the connection may delay the start; 0: it is opened by the first request",
        },
    ];

    /// Reads the settings with `variable`, which gives an environment variable's value.
    ///
    /// # Errors
    /// The first [`WrongSetting`], in the order of [`TABLE`](Self::TABLE).
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, WrongSetting> {
        let [table, realm, retention, attempts, attempt_timeout, call_timeout, opening] =
            Self::TABLE.map(|setting| (setting, variable(setting.name).unwrap_or_else(|| setting.default.to_owned())));
        Ok(Self {
            table: accept(table, |name| is_table_name(name).then(|| name.to_owned()))?,
            realm: accept(realm, Realm::new)?,
            retention: accept(retention, |days| number(days, 0, 36_500)).map(|days| Duration::from_hours(24 * days))?,
            attempts: accept(attempts, |times| number(times, 1, 10)?.try_into().ok())?,
            attempt_timeout: accept(attempt_timeout, |ms| number(ms, 1, 60_000)).map(Duration::from_millis)?,
            call_timeout: accept(call_timeout, |ms| number(ms, 1, 60_000)).map(Duration::from_millis)?,
            opening: accept(opening, |ms| number(ms, 0, 9_000)).map(Duration::from_millis)?,
        })
    }
}

fn accept<T>((setting, value): (Setting, String), read: impl FnOnce(&str) -> Option<T>) -> Result<T, WrongSetting> {
    read(&value).ok_or(WrongSetting { name: setting.name, must_be: setting.must_be, value })
}

fn number(text: &str, least: u64, most: u64) -> Option<u64> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
}

fn is_table_name(name: &str) -> bool {
    (3..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}
