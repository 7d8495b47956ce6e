//! The command line, and the help that goes with it.
#![expect(clippy::doc_markdown, reason = "the comments here are the help, which is plain text")]

use clap::{ArgGroup, Args, Parser, Subcommand, builder::NonEmptyStringValueParser};
use clap_complete::Shell;
use deregister::model::{AllowList, Id};
use std::{
    num::NonZeroUsize,
    path::PathBuf,
    time::{Duration, SystemTime},
};

/// What a record of a deletion can name as its door.
const DOORS: [&str; 5] = ["configuration", "registration", "authlete", "deregisterctl", "sweep"];

/// The longest that an access token can be given to live.
const CENTURY: Duration = Duration::from_hours(24 * 36_500);

/// What stands for the standard input.
pub const STDIN: &str = "-";

/// The heading of the options that every command takes.
const EVERYWHERE: &str = "Options of every command";

const FIRST_SESSION: &str = "\
A first session, with a DynamoDB on this machine:
  export AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000 AWS_REGION=eu-central-1
  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local

  deregisterctl table create
  deregisterctl client create --app htb8fuhxnf8e38jrzub3c7pfrr --feature owner --allow 203.0.113.0/24
  deregisterctl client create --app htb8fuhxnf8e38jrzub3c7pfrr --id nmub5w3rru9k6rzupqaeb7bbwv6jn658
  deregisterctl client show nmub5w3rru9k6rzupqaeb7bbwv6jn658
  deregisterctl service create 715948317 --organization org-1001
  deregisterctl token issue --service 715948317 --expires-in 30d
  deregisterctl client register --service 715948317
  deregisterctl --json client register --service 715948317 --count 3

The owner may now delete the other API client, and each registered client itself.";

/// Creates, lists, takes over, deletes and restores what deregister deletes: API clients and OAuth clients
///
/// The usual AWS environment variables name the DynamoDB, its region and the credentials. The function's own settings
/// apply: CLIENTS_TABLE, RETENTION_DAYS, DATABASE_ATTEMPTS, DATABASE_ATTEMPT_TIMEOUT_MS and
/// DATABASE_CALL_TIMEOUT_MS.
///
/// Secrets and tokens are printed once. The table holds their digests, from which they cannot be printed again.
///
/// Exit codes: 0, done; 1, refused or failed, with the reason on the standard error; 2, a wrong command line.
#[derive(Parser)]
#[command(name = "deregisterctl", version, after_help = FIRST_SESSION)]
pub struct Options {
    /// Print JSON, one object a line, instead of text
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub json: bool,
    /// The DynamoDB table, instead of the one that CLIENTS_TABLE names [default: clients]
    #[arg(long, global = true, help_heading = EVERYWHERE, value_name = "NAME")]
    pub table: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// The table itself
    #[command(subcommand)]
    Table(Table),
    /// Services: authorization servers whose clients are deleted through the Authlete API
    #[command(subcommand)]
    Service(Service),
    /// Access tokens of the Authlete API
    #[command(subcommand)]
    Token(Token),
    /// API clients and OAuth clients
    #[command(subcommand)]
    Client(Client),
    /// Deletions: who deleted which client, when, from where, and until when it can be undone
    #[command(subcommand)]
    Deletion(Deletion),
    /// Take over the clients that a vendor's API lists
    ///
    /// With --app, the answer of Identity Cloud's GET /config/{appId}/clients; with --service, those of Authlete's
    /// /client/get/list, one page after the other.
    ///
    /// An import can be interrupted at any time, with Ctrl-C too, and run again: what is there already is left as it is.
    /// Told are the clients that were skipped, by their index in the list from 0, and in the end how many there were of
    /// each kind. The exit code is 1 if any was skipped for another reason than that it was there already.
    Import(Import),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Command {
    /// How the command looks at the grants table, if it does.
    pub fn grants(&self) -> Option<&Grants> {
        match self {
            Self::Client(Client::Delete(Delete { dry_run: true, grants, .. }) | Client::Restore { grants, .. }) => {
                Some(grants)
            }
            _ => None,
        }
    }
}

#[derive(Subcommand)]
pub enum Table {
    /// Create the table, with its time to live and its index, and wait until it is ready
    ///
    /// A table that exists is given what it lacks of the two: the time to live, where its creation was interrupted, and
    /// the index, where it was created before there was one. DynamoDB fills the index in its own time; until then, the
    /// sweep fails. One that lacks nothing, or is of another definition, is refused.
    Create,
}

#[derive(Subcommand)]
pub enum Service {
    /// Create a service, with dynamic client registration unless told otherwise
    Create(NewService),
}

#[derive(Subcommand)]
pub enum Token {
    /// Issue an access token, and print it this once
    Issue(NewToken),
}

#[derive(Subcommand)]
pub enum Client {
    /// Create an API client, and print its secret this once
    Create(NewApiClient),
    /// Register OAuth clients at a service, and print their registration access tokens this once
    Register(NewOAuthClients),
    /// Show a client, live or deleted; never its secrets
    ///
    /// Where its use is kept track of, last_used_at is the time of a use that was noted, one an hour at most, or of an
    /// import, a restoration or client track, which count as one.
    Show {
        /// The client's id
        #[arg(value_parser = id)]
        id: Id,
    },
    /// List the clients of an application or a service; never their secrets
    ///
    /// This reads the whole table, whatever is listed, and DynamoDB charges for all of it: the table's key only tells one
    /// client from another. Clients are printed as they are found, in no order.
    List(List),
    /// Delete clients, as the function does: each can be restored while its tombstone stands
    ///
    /// Owners and protected clients are refused. At a terminal the id is to be typed again, or the number of clients if
    /// there are several; elsewhere it takes --yes. Each client is told as soon as its fate is known, and in the end how
    /// many there were of each kind. A client that was deleted before counts as done, so that a run that was interrupted
    /// can be run again. Where the database fails, no further deletion is started. The exit code is 1 if any client is
    /// left.
    ///
    /// RETENTION_DAYS is for how long the deletion can be undone, as it is the function's.
    Delete(Delete),
    /// Undo a client's deletion: it is live again, with the credentials that it had, at its next version
    ///
    /// The record of the deletion goes into the client's history, which deletion show prints: the last ten are kept. A
    /// client that lives, or whose time has run out, is refused. Grants that are gone stay gone; how many are left is told
    /// where their table is known.
    Restore {
        /// The client's id
        #[arg(value_parser = id)]
        id: Id,
        #[command(flatten)]
        by: By,
        #[command(flatten)]
        grants: Grants,
    },
    /// Protect a live client from deletion, and print its new entity tag
    Protect {
        /// The client's id
        #[arg(value_parser = id)]
        id: Id,
    },
    /// Let a live client be deleted again, and print its new entity tag
    Unprotect {
        /// The client's id
        #[arg(value_parser = id)]
        id: Id,
    },
    /// Keep track of the use of a service's clients that registered themselves before the table had its index
    ///
    /// The sweep sees only clients whose use is kept track of. This adds the others, as if they were used now, each in one
    /// write. It reads the whole table, and DynamoDB charges for all of it.
    ///
    /// It can be interrupted at any time, with Ctrl-C too, and run again. Told is in the end how many clients there were
    /// of each kind.
    Track {
        /// The service
        #[arg(long, value_name = "ID", value_parser = id)]
        service: Id,
    },
}

#[derive(Subcommand)]
pub enum Deletion {
    /// Show the deletion of a client, and those before it that were undone
    Show {
        /// The client's id
        #[arg(value_parser = id)]
        id: Id,
    },
    /// List the deletions of an application's or a service's clients
    ///
    /// This reads the whole table, whatever is listed, and DynamoDB charges for all of it. Deletions are printed as they
    /// are found, in no order, for as long as the tombstone stands: some time after it can no longer be undone.
    List(Deletions),
}

#[derive(Args)]
pub struct Deletions {
    #[command(flatten)]
    pub whose: Whose,
    /// Those of the last 12h or 30d, or since a time like 2027-01-15 or 2027-01-15T08:00:00Z, in UTC [default: all]
    #[arg(long, value_name = "DURATION|TIME", value_parser = since)]
    pub since: Option<Since>,
    /// Those through this door alone [default: all]
    #[arg(long, value_name = "DOOR", value_parser = DOORS)]
    pub via: Option<String>,
}

/// A time, or a duration before now.
#[derive(Clone, Copy)]
pub enum Since {
    Time(SystemTime),
    Ago(Duration),
}

impl Since {
    pub fn at(self, now: SystemTime) -> SystemTime {
        match self {
            Self::Time(time) => time,
            Self::Ago(ago) => now.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }
}

#[derive(Args)]
#[command(group = ArgGroup::new("foreseen").args(["grants_table", "count_up_to"]).multiple(true).requires("dry_run"))]
pub struct Delete {
    /// The clients' ids
    #[arg(value_name = "ID", value_parser = id, required_unless_present = "from", conflicts_with = "from")]
    pub ids: Vec<Id>,
    /// A file with the ids, one a line; - is the standard input
    ///
    /// Blank lines and those that begin with # are ignored, and spaces around an id.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Say what would happen to each client and what would go with it, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub grants: Grants,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// How many clients to delete at once
    #[arg(long, value_name = "N", default_value = "8")]
    pub concurrency: NonZeroUsize,
    #[command(flatten)]
    pub by: By,
}

#[derive(Args)]
pub struct Grants {
    /// Count the grants in this table [default: the one that GRANTS_TABLE names, if any]
    ///
    /// It is the authorization server's own table, and its partition key is the client id.
    #[arg(long, value_name = "NAME")]
    pub grants_table: Option<String>,
    /// How many grants of a client to count at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub count_up_to: usize,
}

#[derive(Args)]
pub struct By {
    /// Your name, for the record [default: the environment's USER]
    ///
    /// It is a claim. Whose credentials wrote the record is in AWS CloudTrail, where data events are on. Quotation marks,
    /// backslashes and control characters in it become underscores.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub by: Option<String>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Whose {
    /// The API clients of this application
    #[arg(long, value_name = "APP", value_parser = NonEmptyStringValueParser::new())]
    pub app: Option<String>,
    /// The OAuth clients of this service
    #[arg(long, value_name = "ID", value_parser = id)]
    pub service: Option<Id>,
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    pub whose: Whose,
    /// How many clients to list at most [default: all]
    #[arg(long, value_name = "N")]
    pub limit: Option<NonZeroUsize>,
    /// List those that were deleted, not those that live
    #[arg(long)]
    pub deleted: bool,
}

#[derive(Args)]
pub struct Import {
    #[command(flatten)]
    pub whose: Whose,
    /// The file with the list; - is the standard input
    pub file: PathBuf,
}

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "four independent switches, each the vendor's own")]
pub struct NewService {
    /// The service's id, as it stands in the path of the Authlete API
    #[arg(value_parser = id)]
    pub id: Id,
    /// The organization whose tokens cover the service too
    #[arg(long, value_name = "ORG", value_parser = NonEmptyStringValueParser::new())]
    pub organization: Option<String>,
    /// Switch dynamic client registration off
    #[arg(long)]
    pub no_dynamic_registration: bool,
    /// Answer UNAUTHORIZED, not BAD_REQUEST, where a client's token is refused (unauthorizedOnClientConfigSupported)
    #[arg(long)]
    pub unauthorized_on_client_config: bool,
    /// Leave error_description out (errorDescriptionOmitted)
    #[arg(long)]
    pub omit_error_description: bool,
    /// Leave error_uri out (errorUriOmitted)
    #[arg(long)]
    pub omit_error_uri: bool,
}

#[derive(Args)]
pub struct NewToken {
    #[command(flatten)]
    pub scope: Covers,
    /// How long the token is accepted, such as 30d or 12h, a century at most [default: for ever]
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    pub expires_in: Option<Duration>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Covers {
    /// Cover this service: a Service Access Token
    #[arg(long, value_name = "ID", value_parser = id)]
    pub service: Option<Id>,
    /// Cover every service of this organization: an Organization Token
    #[arg(long, value_name = "ORG", value_parser = NonEmptyStringValueParser::new())]
    pub organization: Option<String>,
}

#[derive(Args)]
pub struct NewApiClient {
    /// The application that the client belongs to
    #[arg(long, value_name = "APP", value_parser = NonEmptyStringValueParser::new())]
    pub app: String,
    /// The client's id [default: a random one]
    #[arg(long, value_parser = api_client_id)]
    pub id: Option<Id>,
    /// Read the secret from the first line of the standard input [default: a random one, printed]
    ///
    /// It has at least 16 bytes, of which the end of the line is none, and is not printed.
    #[arg(long)]
    pub secret_from_stdin: bool,
    /// A name for people
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// What the client may do, such as owner or direct_access; can be repeated
    ///
    /// An owner deletes the other clients of its application, and is deleted by nobody.
    #[arg(long = "feature", value_name = "FEATURE", value_parser = NonEmptyStringValueParser::new())]
    pub features: Vec<String>,
    /// An address or CIDR block that the client may call from; can be repeated [default: any address]
    #[arg(long = "allow", value_name = "CIDR", value_parser = allow_list_entry)]
    pub allow_list: Vec<String>,
    /// Protect the client from deletion
    #[arg(long)]
    pub protected: bool,
}

#[derive(Args)]
pub struct NewOAuthClients {
    /// The service that the clients belong to
    #[arg(long, value_name = "ID", value_parser = id)]
    pub service: Id,
    /// The client's id [default: a random decimal number]
    #[arg(long, value_parser = id)]
    pub id: Option<Id>,
    /// How many clients to register
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "id")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,
    /// A file with the clients' metadata, a JSON object as in RFC 7591
    ///
    /// Kept are client_name, redirect_uris, response_types, grant_types and token_endpoint_auth_method. Other members
    /// are ignored.
    #[arg(long, value_name = "FILE")]
    pub metadata: Option<PathBuf>,
    /// Register clients that cannot delete themselves: they have no registration access token
    #[arg(long = "static")]
    pub is_static: bool,
    /// Protect the clients from deletion
    #[arg(long)]
    pub protected: bool,
}

pub fn id(text: &str) -> Result<Id, &'static str> {
    Id::try_from(text.to_owned())
}

pub fn api_client_id(text: &str) -> Result<Id, &'static str> {
    if text.contains(':') { Err("in Basic credentials the id ends at the first colon") } else { id(text) }
}

fn allow_list_entry(text: &str) -> Result<String, &'static str> {
    match AllowList::new([text]).unreadable().next() {
        Some(_) => Err("it is no address and no CIDR block"),
        None => Ok(text.to_owned()),
    }
}

fn since(text: &str) -> Result<Since, &'static str> {
    let time = |text: &str| humantime::parse_rfc3339_weak(text).map(Since::Time);
    humantime::parse_duration(text)
        .map(Since::Ago)
        .or_else(|_| time(text).or_else(|_| time(&format!("{text}T00:00:00Z"))))
        .map_err(|_| "it is no duration like 30d, and no time like 2027-01-15")
}

fn lifetime(text: &str) -> Result<Duration, String> {
    let lifetime = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    (lifetime <= CENTURY).then_some(lifetime).ok_or_else(|| "it is more than a century".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Options::command().debug_assert();
    }
}
