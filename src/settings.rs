//! Settings, all from the environment.

use crate::{door::authorization::Realm, rule::sweep::Patience};
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
        let [table, realm, retention, attempts, attempt_timeout, call_timeout, opening] = values(Self::TABLE, variable);
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

/// What can be set for the two functions behind the doors, beside [`Settings`]. The names, defaults and meanings are in
/// [`Upkeep::TABLE`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upkeep {
    /// The table of grants, where there is one.
    pub grants: Option<String>,
    /// The attribute that says when a grant ends.
    pub grants_expire_at: String,
    /// Whether the sweep deletes.
    pub deletes: bool,
    /// How long clients may be idle.
    pub patience: Patience,
    /// How many clients a sweep deletes at the most.
    pub most: usize,
}

impl Upkeep {
    /// Every setting.
    pub const TABLE: [Setting; 6] = [
        Setting {
            name: "GRANTS_TABLE",
            default: "",
            must_be: "the name of a DynamoDB table: 3 to 255 of the characters a-z A-Z 0-9 _ - ., or empty",
            meaning: "the table of what was issued to clients, by client id; empty: there is none, and the cascade does not start",
        },
        Setting {
            name: "GRANTS_EXPIRE_AT",
            default: "expires_at",
            must_be: "the name of an attribute, of 1 to 255 bytes",
            meaning: "the attribute that says when a grant ends, in seconds since the epoch; a grant without it does not end",
        },
        Setting {
            name: "SWEEP_DELETES",
            default: "false",
            must_be: "true or false",
            meaning: "whether the sweep deletes; false: it only reports what it would delete",
        },
        Setting {
            name: "SWEEP_UNUSED_HOURS",
            default: "24",
            must_be: "a whole number of hours from 1 to 8760",
            meaning: "how long after its registration a client that was never used may stay",
        },
        Setting {
            name: "SWEEP_IDLE_DAYS",
            default: "90",
            must_be: "a whole number of days from 1 to 3650",
            meaning: "how long after its latest use a client may stay",
        },
        Setting {
            name: "SWEEP_LIMIT",
            default: "1000",
            must_be: "a whole number from 1 to 100000",
            meaning: "how many clients a sweep deletes at the most",
        },
    ];

    /// Reads the settings with `variable`, which gives an environment variable's value.
    ///
    /// # Errors
    /// The first [`WrongSetting`], in the order of [`TABLE`](Self::TABLE).
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, WrongSetting> {
        let [grants, expire_at, deletes, unused, idle, most] = values(Self::TABLE, variable);
        let grants = accept(grants, |name| (name.is_empty() || is_table_name(name)).then(|| name.to_owned()))?;
        Ok(Self {
            grants: Some(grants).filter(|name| !name.is_empty()),
            grants_expire_at: accept(expire_at, |name| (1..=255).contains(&name.len()).then(|| name.to_owned()))?,
            deletes: accept(deletes, |word| word.parse().ok())?,
            patience: Patience {
                unused: accept(unused, |hours| number(hours, 1, 8760)).map(Duration::from_hours)?,
                used: accept(idle, |days| number(days, 1, 3650)).map(|days| Duration::from_hours(24 * days))?,
            },
            most: accept(most, |clients| number(clients, 1, 100_000)?.try_into().ok())?,
        })
    }
}

/// Each setting with its value. An empty value counts as unset.
fn values<const N: usize>(settings: [Setting; N], variable: impl Fn(&str) -> Option<String>) -> [(Setting, String); N] {
    let value = |name| variable(name).filter(|value| !value.is_empty());
    settings.map(|setting| (setting, value(setting.name).unwrap_or_else(|| setting.default.to_owned())))
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
