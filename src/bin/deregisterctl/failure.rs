//! Why a command failed. Each message is one sentence: the condition and, if there is something to do, what to do.

use deregister::{
    dynamodb::connection::{NoConnection, Place},
    model::Id,
    settings::WrongSetting,
    store::Fault,
};
use std::{io, path::PathBuf, process::ExitCode};

/// The shortest secret that the tool accepts from its input, in bytes: 128 bits.
pub const MIN_SECRET_LENGTH: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Setting(#[from] WrongSetting),
    #[error(transparent)]
    Connection(#[from] NoConnection),
    #[error(transparent)]
    Database(#[from] Fault),
    /// The fault, and the place of the database.
    #[error("{0} ({1})")]
    DatabaseAt(Fault, Box<str>),
    #[error("the table {0} exists already, and nothing was added to it")]
    TableTaken(String),
    #[error("the service {0} exists already")]
    ServiceTaken(Id),
    #[error("a live or deleted client has the id {0}, or it is blocked: choose another id")]
    ClientTaken(Id),
    #[error("{1}; the client {0} may be there all the same: check it with client show")]
    MayExist(Id, Fault),
    #[error("there is no service {0}: check the id, or create the service first")]
    NoService(Id),
    #[error("there is no client {0}, and no tombstone of one: check the id")]
    NoClient(Id),
    #[error("there is no live client {0}: check the id")]
    NoLiveClient(Id),
    #[error("dynamic registration is switched off for the service {0}: register static clients, with --static")]
    RegistrationOff(Id),
    #[error("the client {0} did not register itself: it has no registration access token")]
    IsStatic(Id),
    #[error("the client {0} is an OAuth client: it has no secrets, and its former token ends at once")]
    HasNoSecret(Id),
    #[error("the client {0} has this secret already: choose another one")]
    SameSecret(Id),
    #[error("{1}; the client {0} may have a new credential that is not known: run client rotate again")]
    MayBeRotated(Id, Fault),
    /// The argument is not repeated: it may be the token.
    #[error(
        "argument {0} is not the digest of a token, as token list prints it: for the token itself use --from-stdin"
    )]
    WrongDigest(usize),
    #[error("the client {0} is live: there is nothing to restore")]
    IsLive(Id),
    #[error("the id {0} is blocked: unblock it first, with client unblock")]
    IsBlocked(Id),
    #[error("it is too late to restore the client {0}: it could be restored until {1}")]
    TooLate(Id, String),
    #[error("the client {0} changed while it was being restored: check it with client show, and try again")]
    Changed(Id),
    #[error("the token has no scope: name a service or an organization")]
    NoScope,
    #[error(
        "the secret must have at least {MIN_SECRET_LENGTH} bytes, and the first line of the standard input has {0}"
    )]
    ShortSecret(usize),
    #[error("the first line of the standard input is empty")]
    EmptyInput,
    #[error("the secret cannot be read from the standard input: {0}")]
    UnreadableSecret(io::Error),
    #[error("{0} cannot be read: {1}")]
    UnreadableFile(PathBuf, io::Error),
    #[error("{file} is not client metadata as RFC 7591 defines it: line {line}, column {column}")]
    WrongMetadata { file: PathBuf, line: usize, column: usize },
    #[error("{file} is not {list}: line {line}, column {column}")]
    WrongList { file: PathBuf, list: &'static str, line: usize, column: usize },
    #[error("items with findings: {0}")]
    Findings(usize),
    #[error("clients skipped: {0}")]
    Skipped(usize),
    /// Ctrl-C, and what to do next.
    #[error("interrupted: {0}")]
    Interrupted(&'static str),
    #[error(
        "the deletion must be confirmed, and the standard input is no terminal: add --yes, --dry-run, or --from a file"
    )]
    NotConfirmed,
    #[error("not confirmed: nothing was deleted")]
    Declined,
    #[error("{0}: line {1} is not a client id: {2}")]
    WrongId(PathBuf, usize, &'static str),
    /// What was not done to some clients, and their number.
    #[error("{0}: {1}")]
    NotAllDone(&'static str, usize),
    #[error("the operating system returned no random bytes: {0}")]
    NoRandomness(#[from] getrandom::Error),
    #[error("the output cannot be written: {0}")]
    Unprintable(io::Error),
    #[error("the output cannot be written: {0}; {1}")]
    Lost(io::Error, &'static str),
}

impl Failure {
    /// The failure of a command that did not do everything, with the number of those for which it did not.
    pub fn if_any(not_done: &'static str, count: usize) -> Result<(), Self> {
        if count == 0 { Ok(()) } else { Err(Self::NotAllDone(not_done, count)) }
    }

    /// Says where the database is, if it failed.
    pub fn at(self, tables: &str, place: &Place) -> Self {
        match self {
            Self::Database(fault @ (Fault::Unavailable(_) | Fault::Unexpected(_))) => {
                Self::DatabaseAt(fault, format!("{tables}, {place}").into())
            }
            other => other,
        }
    }

    /// The exit code for this failure.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            // Like a wrong command line: an option is missing.
            Self::NotConfirmed => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}
