//! Settings, all from environment variables. Each program reads only the structs that it uses, so a wrong setting stops
//! only programs that use it.

use crate::model::{IdlePolicy, Realm};
use std::time::Duration;

/// A setting: its name in the environment, its default, and its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    /// The name of the environment variable.
    pub name: &'static str,
    /// The value if the variable is unset or empty.
    pub default: &'static str,
    /// The values that are accepted.
    pub must_be: &'static str,
    /// What the setting does.
    pub meaning: &'static str,
}

/// A setting with a value that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} must be {must_be}, and is {value:?}")]
pub struct WrongSetting {
    name: &'static str,
    must_be: &'static str,
    value: String,
}

impl Setting {
    /// Reads the setting. `variable` gives the value of an environment variable.
    fn read<T>(
        self,
        variable: impl Fn(&str) -> Option<String>,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, WrongSetting> {
        let set = variable(self.name).filter(|value| !value.is_empty());
        let value = set.as_deref().unwrap_or(self.default);
        parse(value).ok_or_else(|| WrongSetting { name: self.name, must_be: self.must_be, value: value.to_owned() })
    }
}

/// The clients table and the calls of DynamoDB. Every program reads these settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// The name of the clients table.
    pub table: String,
    /// How long a deleted client can be restored.
    pub retention: Duration,
    /// The most attempts of a database call.
    pub attempts: u32,
    /// The time-out of an attempt.
    pub attempt_timeout: Duration,
    /// The time-out of a database call with all its attempts.
    pub call_timeout: Duration,
}

const CLIENTS_TABLE: Setting = Setting {
    name: "CLIENTS_TABLE",
    default: "clients",
    must_be: "the name of a DynamoDB table: 3 to 255 of the characters a-z A-Z 0-9 _ - .",
    meaning: "The DynamoDB table with the clients, the services and the access tokens.",
};
const RETENTION_DAYS: Setting = Setting {
    name: "RETENTION_DAYS",
    default: "30",
    must_be: "a whole number of days from 0 to 36500",
    meaning: "How many days after its deletion a client can be restored. 0: never.",
};
const DATABASE_ATTEMPTS: Setting = Setting {
    name: "DATABASE_ATTEMPTS",
    default: "4",
    must_be: "a whole number from 1 to 10",
    meaning: "The maximum number of attempts of one database call. The first attempt counts.",
};
const DATABASE_ATTEMPT_TIMEOUT_MS: Setting = Setting {
    name: "DATABASE_ATTEMPT_TIMEOUT_MS",
    default: "1000",
    must_be: "a whole number of milliseconds from 1 to 60000",
    meaning: "The time limit of one attempt of a database call, in milliseconds.",
};
const DATABASE_CALL_TIMEOUT_MS: Setting = Setting {
    name: "DATABASE_CALL_TIMEOUT_MS",
    default: "3000",
    must_be: "a whole number of milliseconds from 1 to 60000",
    meaning: "The time limit of one database call with all its attempts, in milliseconds.",
};

impl Database {
    /// The settings of this struct.
    pub const TABLE: [Setting; 5] =
        [CLIENTS_TABLE, RETENTION_DAYS, DATABASE_ATTEMPTS, DATABASE_ATTEMPT_TIMEOUT_MS, DATABASE_CALL_TIMEOUT_MS];

    /// Reads the settings. `variable` gives the value of an environment variable; an empty value counts as unset.
    ///
    /// # Errors
    /// The first [`WrongSetting`].
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, WrongSetting> {
        Ok(Self {
            table: CLIENTS_TABLE.read(&variable, |name| is_table_name(name).then(|| name.to_owned()))?,
            retention: RETENTION_DAYS.read(&variable, |days| number(days, 0, 36_500).map(of_days))?,
            attempts: DATABASE_ATTEMPTS.read(&variable, |attempts| number(attempts, 1, 10)?.try_into().ok())?,
            attempt_timeout: DATABASE_ATTEMPT_TIMEOUT_MS.read(&variable, |ms| milliseconds(ms, 1, 60_000))?,
            call_timeout: DATABASE_CALL_TIMEOUT_MS.read(&variable, |ms| milliseconds(ms, 1, 60_000))?,
        })
    }
}

/// The HTTP endpoints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoints {
    /// The realm in the header `WWW-Authenticate`.
    pub realm: Realm,
    /// The path that every path may begin with. Empty: none.
    pub base_path: String,
    /// The prefix of the client configuration endpoint.
    pub registration_path: String,
    /// How long opening the connection may delay the start.
    pub opening_timeout: Duration,
}

const REALM: Setting = Setting {
    name: "REALM",
    default: "deregister",
    must_be: "one or more printable ASCII characters, without quotation marks and backslashes",
    meaning: "The realm in the header `WWW-Authenticate`.",
};
const BASE_PATH: Setting = Setting {
    name: "BASE_PATH",
    default: "",
    must_be: "empty, or a path such as /v1: a / before each segment, and segments of a-z A-Z 0-9 - . _ ~ other than . and ..",
    meaning: "The base path of a custom domain name, such as `/v1`. The function ignores it at the beginning of a path. Empty: there is no base path.",
};
const REGISTRATION_PATH: Setting = Setting {
    name: "REGISTRATION_PATH",
    default: "/register",
    must_be: "a path such as /register: a / before each segment, and segments of a-z A-Z 0-9 - . _ ~ other than . and ..",
    meaning: "The path of the client configuration endpoint, without the client id.",
};
const OPENING_TIMEOUT_MS: Setting = Setting {
    name: "OPENING_TIMEOUT_MS",
    default: "1000",
    must_be: "a whole number of milliseconds from 0 to 9000",
    meaning: "How long the start may wait until the connection to the database is open, in milliseconds. 0: the first request opens the connection.",
};

impl Endpoints {
    /// The settings of this struct.
    pub const TABLE: [Setting; 4] = [REALM, BASE_PATH, REGISTRATION_PATH, OPENING_TIMEOUT_MS];

    /// Reads the settings. `variable` gives the value of an environment variable; an empty value counts as unset.
    ///
    /// # Errors
    /// The first [`WrongSetting`].
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, WrongSetting> {
        Ok(Self {
            realm: REALM.read(&variable, Realm::new)?,
            base_path: BASE_PATH.read(&variable, |path| (path.is_empty() || is_path(path)).then(|| path.to_owned()))?,
            registration_path: REGISTRATION_PATH.read(&variable, |path| is_path(path).then(|| path.to_owned()))?,
            opening_timeout: OPENING_TIMEOUT_MS.read(&variable, |ms| milliseconds(ms, 0, 9_000))?,
        })
    }
}

/// The grants table of the authorization server. The cascade needs it; the sweep and the tool use it if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    /// The name of the grants table, if there is one.
    pub table: Option<String>,
    /// The attribute with the end of a grant.
    pub expires_at: String,
}

const GRANTS_TABLE: Setting = Setting {
    name: "GRANTS_TABLE",
    default: "",
    must_be: "the name of a DynamoDB table: 3 to 255 of the characters a-z A-Z 0-9 _ - ., or empty",
    meaning: "The DynamoDB table with the grants of each client, by client id. Empty: there is no such table, and the cascade does not start.",
};
const GRANTS_EXPIRE_AT: Setting = Setting {
    name: "GRANTS_EXPIRE_AT",
    default: "expires_at",
    must_be: "the name of an attribute, of 1 to 255 bytes",
    meaning: "The attribute of a grant with the time at which the grant ends, in seconds since 1970-01-01T00:00:00Z. A grant that has no number in it does not end.",
};

impl Grants {
    /// The settings of this struct.
    pub const TABLE: [Setting; 2] = [GRANTS_TABLE, GRANTS_EXPIRE_AT];

    /// Reads the settings. `variable` gives the value of an environment variable; an empty value counts as unset.
    ///
    /// # Errors
    /// The first [`WrongSetting`].
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, WrongSetting> {
        let is_name = |name: &str| name.is_empty() || is_table_name(name);
        let table = GRANTS_TABLE.read(&variable, |name| is_name(name).then(|| name.to_owned()))?;
        let is_attribute = |name: &str| (1..=255).contains(&name.len());
        Ok(Self {
            table: Some(table).filter(|name| !name.is_empty()),
            expires_at: GRANTS_EXPIRE_AT.read(&variable, |name| is_attribute(name).then(|| name.to_owned()))?,
        })
    }
}

/// The sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// Whether the sweep deletes.
    pub deletes: bool,
    /// How long clients may be idle.
    pub policy: IdlePolicy,
    /// The most clients that a run deletes.
    pub limit: usize,
    /// The most clients that a run works on at the same time.
    pub concurrency: usize,
}

const SWEEP_DELETES: Setting = Setting {
    name: "SWEEP_DELETES",
    default: "false",
    must_be: "true or false",
    meaning: "Whether the sweep deletes clients. `false`: it only reports which clients it would delete.",
};
const SWEEP_UNUSED_HOURS: Setting = Setting {
    name: "SWEEP_UNUSED_HOURS",
    default: "24",
    must_be: "a whole number of hours from 1 to 8760",
    meaning: "How many hours after its registration the sweep may delete a client that was never used.",
};
const SWEEP_IDLE_DAYS: Setting = Setting {
    name: "SWEEP_IDLE_DAYS",
    default: "90",
    must_be: "a whole number of days from 1 to 3650",
    meaning: "How many days after its last use the sweep may delete a client.",
};
const SWEEP_LIMIT: Setting = Setting {
    name: "SWEEP_LIMIT",
    default: "1000",
    must_be: "a whole number from 1 to 100000",
    meaning: "The maximum number of clients that one run of the sweep deletes, or would delete.",
};
const SWEEP_CONCURRENCY: Setting = Setting {
    name: "SWEEP_CONCURRENCY",
    default: "8",
    must_be: "a whole number from 1 to 64",
    meaning: "The maximum number of clients that the sweep works on at the same time.",
};

impl Sweep {
    /// The settings of this struct.
    pub const TABLE: [Setting; 5] =
        [SWEEP_DELETES, SWEEP_UNUSED_HOURS, SWEEP_IDLE_DAYS, SWEEP_LIMIT, SWEEP_CONCURRENCY];

    /// Reads the settings. `variable` gives the value of an environment variable; an empty value counts as unset.
    ///
    /// # Errors
    /// The first [`WrongSetting`].
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Result<Self, WrongSetting> {
        Ok(Self {
            deletes: SWEEP_DELETES.read(&variable, |word| word.parse().ok())?,
            policy: IdlePolicy {
                unused: SWEEP_UNUSED_HOURS.read(&variable, |hours| number(hours, 1, 8760).map(Duration::from_hours))?,
                used: SWEEP_IDLE_DAYS.read(&variable, |days| number(days, 1, 3650).map(of_days))?,
            },
            limit: SWEEP_LIMIT.read(&variable, |clients| number(clients, 1, 100_000)?.try_into().ok())?,
            concurrency: SWEEP_CONCURRENCY.read(&variable, |clients| number(clients, 1, 64)?.try_into().ok())?,
        })
    }
}

fn number(text: &str, least: u64, most: u64) -> Option<u64> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
}

fn milliseconds(text: &str, least: u64, most: u64) -> Option<Duration> {
    number(text, least, most).map(Duration::from_millis)
}

fn of_days(days: u64) -> Duration {
    Duration::from_hours(24 * days)
}

fn is_table_name(name: &str) -> bool {
    (3..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

/// Whether the text is a path whose segments mean the same encoded, decoded and resolved.
fn is_path(path: &str) -> bool {
    let is_segment = |segment: &str| {
        let is_unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        !["", ".", ".."].contains(&segment) && segment.bytes().all(is_unreserved)
    };
    path.strip_prefix('/').is_some_and(|path| path.split('/').all(is_segment))
}
