//! Settings, all from environment variables. Each program reads only the structs that it uses, so a wrong setting stops
//! only programs that use it.

use crate::model::{IdlePolicy, NoticePolicy, Realm};
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    time::Duration,
};

/// The environment variables of a process. A program reads them once, at its start.
///
/// It has no `Debug`, because some values are secrets.
#[derive(Clone, Default)]
pub struct Variables(BTreeMap<OsString, OsString>);

impl<N: Into<OsString>, V: Into<OsString>> FromIterator<(N, V)> for Variables {
    /// If a name is repeated, its first value counts, as for the C library.
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let mut first = BTreeMap::new();
        for (name, value) in variables {
            first.entry(name.into()).or_insert_with(|| value.into());
        }
        Self(first)
    }
}

impl Variables {
    /// The value of a variable. `None` if the variable is unset or empty.
    ///
    /// # Errors
    /// [`WrongSetting`] if the value is not Unicode text. It names the variable, and not the value.
    pub fn get(&self, name: &str) -> Result<Option<&str>, WrongSetting> {
        let Some(value) = self.0.get(OsStr::new(name)).filter(|value| !value.is_empty()) else { return Ok(None) };
        value.to_str().map(Some).ok_or_else(|| WrongSetting::without_value(name, "Unicode text"))
    }

    /// Replaces a variable. An option of the command line takes precedence over the environment.
    pub fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.into(), value.into());
    }

    /// All variables, with empty ones.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

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

/// A setting, or another environment variable, with a value that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name} must be {must_be}, and is {}", .value.as_ref().map_or("not".to_owned(), |value| format!("{value:?}")))]
pub struct WrongSetting {
    name: String,
    must_be: &'static str,
    /// `None`: the value is not text, or may be a secret.
    value: Option<String>,
}

impl WrongSetting {
    /// A variable with a value that the message must not quote.
    #[must_use]
    pub fn without_value(name: &str, must_be: &'static str) -> Self {
        Self { name: name.to_owned(), must_be, value: None }
    }
}

impl Setting {
    /// Reads the setting.
    fn read<T>(self, variables: &Variables, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, WrongSetting> {
        let value = variables.get(self.name)?.unwrap_or(self.default);
        let wrong =
            || WrongSetting { name: self.name.to_owned(), must_be: self.must_be, value: Some(value.to_owned()) };
        parse(value).ok_or_else(wrong)
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

    /// Reads the settings. An empty value counts as unset.
    ///
    /// # Errors
    /// The first [`WrongSetting`].
    pub fn read(variables: &Variables) -> Result<Self, WrongSetting> {
        Ok(Self {
            table: CLIENTS_TABLE.read(variables, |name| is_table_name(name).then(|| name.to_owned()))?,
            retention: RETENTION_DAYS.read(variables, |days| number(days, 0, 36_500).map(of_days))?,
            attempts: DATABASE_ATTEMPTS.read(variables, |attempts| number(attempts, 1, 10)?.try_into().ok())?,
            attempt_timeout: DATABASE_ATTEMPT_TIMEOUT_MS.read(variables, |ms| milliseconds(ms, 1, 60_000))?,
            call_timeout: DATABASE_CALL_TIMEOUT_MS.read(variables, |ms| milliseconds(ms, 1, 60_000))?,
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

    /// Reads the settings. An empty value counts as unset.
    ///
    /// # Errors
    /// The first [`WrongSetting`].
    pub fn read(variables: &Variables) -> Result<Self, WrongSetting> {
        Ok(Self {
            realm: REALM.read(variables, Realm::new)?,
            base_path: BASE_PATH.read(variables, |path| (path.is_empty() || is_path(path)).then(|| path.to_owned()))?,
            registration_path: REGISTRATION_PATH.read(variables, |path| is_path(path).then(|| path.to_owned()))?,
            opening_timeout: OPENING_TIMEOUT_MS.read(variables, |ms| milliseconds(ms, 0, 9_000))?,
        })
    }
}

/// The grants table of the authorization server. The cascade needs it; the sweep and the tool use it if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grants {
    /// The name of the grants table.
    pub table: String,
    /// The index by client id. `None`: the client id is the partition key of the table.
    pub index: Option<String>,
    /// The text before the client id in the partition key. Empty: none.
    pub key_prefix: String,
    /// How long a change can take to appear in the index.
    pub index_lag: Duration,
    /// The attribute with the end of a grant.
    pub expires_at: String,
}

const GRANTS_TABLE: Setting = Setting {
    name: "GRANTS_TABLE",
    default: "",
    must_be: "the name of a DynamoDB table: 3 to 255 of the characters a-z A-Z 0-9 _ - ., or empty",
    meaning: "The DynamoDB table with the grants of each client. Empty: there is no such table, and the cascade does not start.",
};
const GRANTS_INDEX: Setting = Setting {
    name: "GRANTS_INDEX",
    default: "",
    must_be: "the name of an index: 3 to 255 of the characters a-z A-Z 0-9 _ - ., or empty",
    meaning: "The global secondary index of the grants table whose partition key is the client id. Empty: the client id is the partition key of the table.",
};
const GRANTS_KEY_PREFIX: Setting = Setting {
    name: "GRANTS_KEY_PREFIX",
    default: "",
    must_be: "a text of at most 255 bytes",
    meaning: "The text before the client id in that partition key, such as `CLIENT#`. Empty: the key is the client id.",
};
const GRANTS_INDEX_LAG_SECONDS: Setting = Setting {
    name: "GRANTS_INDEX_LAG_SECONDS",
    default: "15",
    must_be: "a whole number of seconds from 0 to 300",
    meaning: "How many seconds after a deletion the cascade reads the index for the last time. Choose it so long that the index normally shows every grant by then.",
};
const GRANTS_EXPIRE_AT: Setting = Setting {
    name: "GRANTS_EXPIRE_AT",
    default: "expires_at",
    must_be: "the name of an attribute, of 1 to 255 bytes",
    meaning: "The attribute of a grant with the time at which the grant ends, in seconds since 1970-01-01T00:00:00Z. A grant that has no number in it does not end.",
};

impl Grants {
    /// The settings of this struct.
    pub const TABLE: [Setting; 5] =
        [GRANTS_TABLE, GRANTS_INDEX, GRANTS_KEY_PREFIX, GRANTS_INDEX_LAG_SECONDS, GRANTS_EXPIRE_AT];

    /// Reads the settings. An empty value counts as unset. `None`: there is no grants table. The grants table must not be
    /// the clients table, because the cascade removes items of the grants table.
    ///
    /// # Errors
    /// The first [`WrongSetting`].
    pub fn read(variables: &Variables, clients: &Database) -> Result<Option<Self>, WrongSetting> {
        let name = |name: &str| (name.is_empty() || is_table_name(name)).then(|| name.to_owned());
        let text = |least: usize| move |text: &str| (least..=255).contains(&text.len()).then(|| text.to_owned());
        let table = GRANTS_TABLE.read(variables, name)?;
        if table == clients.table {
            let (name, must_be) = (GRANTS_TABLE.name.to_owned(), "another table than CLIENTS_TABLE");
            return Err(WrongSetting { name, must_be, value: Some(table) });
        }
        let seconds = |seconds: &str| number(seconds, 0, 300).map(Duration::from_secs);
        let grants = Self {
            table,
            index: Some(GRANTS_INDEX.read(variables, name)?).filter(|name| !name.is_empty()),
            key_prefix: GRANTS_KEY_PREFIX.read(variables, text(0))?,
            index_lag: GRANTS_INDEX_LAG_SECONDS.read(variables, seconds)?,
            expires_at: GRANTS_EXPIRE_AT.read(variables, text(1))?,
        };
        Ok(Some(grants).filter(|grants| !grants.table.is_empty()))
    }
}

/// The sweep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// Whether the sweep deletes.
    pub deletes: bool,
    /// How long clients may be idle.
    pub policy: IdlePolicy,
    /// How a deletion is announced. `None`: it is not.
    pub notice: Option<NoticePolicy>,
    /// The maximum number of clients that a run deletes, and of those that it announces.
    pub limit: usize,
    /// The maximum number of clients that a run works on at the same time.
    pub concurrency: usize,
}

const SWEEP_DELETES: Setting = Setting {
    name: "SWEEP_DELETES",
    default: "false",
    must_be: "true or false",
    meaning: "Whether the sweep announces and deletes clients. `false`: it only reports what it would do.",
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
const SWEEP_NOTICE_DAYS: Setting = Setting {
    name: "SWEEP_NOTICE_DAYS",
    default: "0",
    must_be: "a whole number of days from 0 to 365",
    meaning: "How many days before the deletion the sweep announces it. A use in this time cancels the deletion. 0: the sweep deletes without a notice.",
};
const SWEEP_NOTICE_METADATA: Setting = Setting {
    name: "SWEEP_NOTICE_METADATA",
    default: "",
    must_be: "empty, or client_name, contacts or both, separated by a comma",
    meaning: "The members of a client's registered metadata that the announcement repeats: `client_name`, `contacts` or `client_name,contacts`. Empty: none.",
};
const SWEEP_LIMIT: Setting = Setting {
    name: "SWEEP_LIMIT",
    default: "1000",
    must_be: "a whole number from 1 to 100000",
    meaning: "The maximum number of clients that one run of the sweep deletes, or would delete. Also the maximum number that it announces. The run ends at either limit.",
};
const SWEEP_CONCURRENCY: Setting = Setting {
    name: "SWEEP_CONCURRENCY",
    default: "8",
    must_be: "a whole number from 1 to 64",
    meaning: "The maximum number of clients that the sweep works on at the same time.",
};

impl Sweep {
    /// The settings of this struct.
    pub const TABLE: [Setting; 7] = [
        SWEEP_DELETES,
        SWEEP_UNUSED_HOURS,
        SWEEP_IDLE_DAYS,
        SWEEP_NOTICE_DAYS,
        SWEEP_NOTICE_METADATA,
        SWEEP_LIMIT,
        SWEEP_CONCURRENCY,
    ];

    /// Reads the settings. An empty value counts as unset.
    ///
    /// # Errors
    /// The first [`WrongSetting`].
    pub fn read(variables: &Variables) -> Result<Self, WrongSetting> {
        let deletes = SWEEP_DELETES.read(variables, |word| word.parse().ok())?;
        let policy = IdlePolicy {
            unused: SWEEP_UNUSED_HOURS.read(variables, |hours| number(hours, 1, 8760).map(Duration::from_hours))?,
            used: SWEEP_IDLE_DAYS.read(variables, |days| number(days, 1, 3650).map(of_days))?,
        };
        let period = SWEEP_NOTICE_DAYS.read(variables, |days| number(days, 0, 365).map(of_days))?;
        let [client_name, contacts] = SWEEP_NOTICE_METADATA.read(variables, announced_metadata)?;
        Ok(Self {
            deletes,
            policy,
            notice: Some(NoticePolicy { period, client_name, contacts }).filter(|_| !period.is_zero()),
            limit: SWEEP_LIMIT.read(variables, |clients| number(clients, 1, 100_000)?.try_into().ok())?,
            concurrency: SWEEP_CONCURRENCY.read(variables, |clients| number(clients, 1, 64)?.try_into().ok())?,
        })
    }
}

/// Whether the list of names has `client_name`, and whether it has `contacts`. `None`: it has another name.
fn announced_metadata(names: &str) -> Option<[bool; 2]> {
    let known = ["client_name", "contacts"];
    let has = |name| names.split(',').any(|listed| listed == name);
    (names.is_empty() || names.split(',').all(|name| known.contains(&name))).then(|| known.map(has))
}

/// The metrics of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metrics {
    /// CloudWatch's namespace.
    pub namespace: String,
}

pub(crate) const METRICS_NAMESPACE: Setting = Setting {
    name: "METRICS_NAMESPACE",
    default: "deregister",
    must_be: "1 to 255 of the characters a-z A-Z 0-9 . - _ / # :, and not begin with AWS/ or a colon",
    meaning: "CloudWatch's namespace for the metrics in the log.",
};

impl Metrics {
    /// The settings of this struct.
    pub const TABLE: [Setting; 1] = [METRICS_NAMESPACE];

    /// Reads the settings. An empty value counts as unset.
    ///
    /// # Errors
    /// [`WrongSetting`] if the namespace is not one.
    pub fn read(variables: &Variables) -> Result<Self, WrongSetting> {
        let is_namespace = |name: &str| {
            let is_allowed = |character: char| character.is_ascii_alphanumeric() || ".-_/#:".contains(character);
            name.len() <= 255 && name.chars().all(is_allowed) && !name.starts_with("AWS/") && !name.starts_with(':')
        };
        let namespace = METRICS_NAMESPACE.read(variables, |name| is_namespace(name).then(|| name.to_owned()))?;
        Ok(Self { namespace })
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
