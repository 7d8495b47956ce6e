//! The arguments of each command, and their help.

use super::value::{Since, allow_list_entry, api_client_id, id, lifetime, segments, since, yes_or_no};
use clap::{ArgGroup, Args, ValueEnum, builder::NonEmptyStringValueParser};
use deregister::model::Id;
use std::{
    num::{NonZeroU16, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

/// How many segments of the table are read at the same time, unless an option says otherwise.
pub const SEGMENTS: NonZeroU16 = NonZeroU16::new(4).unwrap();

/// The channels of a deletion.
const CHANNELS: [&str; 5] = ["configuration", "registration", "authlete", "deregisterctl", "sweep"];

#[derive(Args)]
pub struct Deletions {
    #[command(flatten)]
    pub selection: Selection,
    /// Only deletions of the last 12h or 30d, or since a time like 2027-01-15 or 2027-01-15T08:00:00Z in UTC [default:
    /// all]
    #[arg(long, value_name = "DURATION|TIME", value_parser = since)]
    pub since: Option<Since>,
    /// Only deletions through this channel [default: all]
    #[arg(long, value_name = "CHANNEL", value_parser = CHANNELS)]
    pub via: Option<String>,
}

#[derive(Args)]
#[command(group = ArgGroup::new("impact").args(["grants_table", "grants_index", "count_up_to"]).multiple(true).requires("dry_run"))]
pub struct Delete {
    #[command(flatten)]
    pub targets: Targets,
    /// Print the outcome and the impact of each deletion, and write nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub grants: GrantOptions,
    /// Do not ask for confirmation
    #[arg(long)]
    pub yes: bool,
}

#[derive(Args)]
pub struct Restore {
    #[command(flatten)]
    pub targets: Targets,
    #[command(flatten)]
    pub grants: GrantOptions,
}

/// The clients that a command changes.
#[derive(Args)]
pub struct Targets {
    /// The clients' ids
    #[arg(value_name = "ID", value_parser = id, required_unless_present = "from", conflicts_with = "from")]
    pub ids: Vec<Id>,
    /// A file with the ids, one a line; - is the standard input
    ///
    /// A line is the id, byte for byte. Empty lines are ignored. A line can also be a JSON object with the member
    /// client_id, as the commands print it with --json.
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// The number of clients to change at once
    #[arg(long, value_name = "N", default_value = "8")]
    pub concurrency: NonZeroUsize,
    #[command(flatten)]
    pub by: By,
}

#[derive(Args)]
pub struct GrantOptions {
    /// Count the grants in this table [default: the one that GRANTS_TABLE names, if any]
    ///
    /// It is the table in which the authorization server stores its grants. Its partition key must be the client id, or
    /// --grants-index names an index with that key.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub grants_table: Option<String>,
    /// The index of that table by client id [default: the one that GRANTS_INDEX names, if any]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub grants_index: Option<String>,
    /// The most grants of a client to count
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub count_up_to: usize,
}

#[derive(Args)]
pub struct By {
    /// Your name, for the record [default: the environment's USER, or none]
    ///
    /// The tool cannot check the name. If data events are on, AWS CloudTrail shows whose credentials wrote the record.
    /// Quotation marks, backslashes and control characters become underscores.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub by: Option<String>,
}

#[derive(Args)]
#[group(multiple = false)]
pub struct ParentFilter {
    /// The API clients of this application [default: all clients]
    #[arg(long, value_name = "APP", value_parser = NonEmptyStringValueParser::new())]
    pub app: Option<String>,
    /// The OAuth clients of this service [default: all clients]
    #[arg(long, value_name = "ID", value_parser = id)]
    pub service: Option<Id>,
}

/// What a list selects, and how it is read.
#[derive(Args)]
pub struct Selection {
    #[command(flatten)]
    pub parent: ParentFilter,
    /// Only clients with this text in their names; case counts
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// The most clients to list [default: all]
    #[arg(long, value_name = "N")]
    pub limit: Option<NonZeroUsize>,
    /// The segments of the table to read at the same time
    ///
    /// More of them are faster, and take more of the table's read capacity at once. All of them together cost the same.
    #[arg(long, value_name = "N", default_value_t = SEGMENTS, value_parser = segments)]
    pub segments: NonZeroU16,
}

#[derive(Args)]
pub struct List {
    #[command(flatten)]
    pub selection: Selection,
    /// Only clients that were not used in the last 12h or 30d, or after a time like 2027-01-15 in UTC
    ///
    /// This selects dynamically registered clients whose use is tracked. A client that was never used counts from its
    /// registration.
    #[arg(long, value_name = "DURATION|TIME", value_parser = since, conflicts_with = "deleted")]
    pub idle_since: Option<Since>,
    /// Only clients that were deleted in the last 12h or 30d, or since a time; only with --deleted
    #[arg(long, value_name = "DURATION|TIME", value_parser = since, requires = "deleted")]
    pub since: Option<Since>,
    /// List the deleted clients instead of the live ones
    #[arg(long)]
    pub deleted: bool,
    /// List the blocked ids, stored or not; only with --limit and --segments
    #[arg(long, conflicts_with_all = ["deleted", "app", "service", "name", "idle_since", "since"])]
    pub blocked: bool,
}

#[derive(Args)]
#[command(group = ArgGroup::new("list").args(["app", "service", "format"]).required(true).multiple(true))]
#[command(override_usage = "deregisterctl import <--app <APP>|--service <ID>|--format <FORMAT>> <FILE>")]
pub struct Import {
    /// The API clients of this application
    #[arg(long, value_name = "APP", value_parser = NonEmptyStringValueParser::new(), conflicts_with = "service")]
    pub app: Option<String>,
    /// The OAuth clients of this service
    #[arg(long, value_name = "ID", value_parser = id)]
    pub service: Option<Id>,
    /// The form of the list [default: the vendor's, by --app or --service]
    #[arg(long, value_enum, conflicts_with = "app")]
    pub format: Option<Format>,
    /// A file with the list; - is the standard input
    pub file: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum Format {
    /// OAuth clients by the names of RFC 7591, of the service that --service names, or of none
    Rfc7591,
}

#[derive(Args)]
#[expect(clippy::struct_excessive_bools, reason = "four independent switches, each the vendor's own")]
pub struct NewService {
    /// The service's id, as in the path of the Authlete API
    #[arg(value_parser = id)]
    pub id: Id,
    /// The organization whose tokens are valid for the service too
    #[arg(long, value_name = "ORG", value_parser = NonEmptyStringValueParser::new())]
    pub organization: Option<String>,
    /// Switch dynamic client registration off
    #[arg(long)]
    pub no_dynamic_registration: bool,
    /// Answer UNAUTHORIZED instead of BAD_REQUEST if a client's token is refused (unauthorizedOnClientConfigSupported)
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
#[command(group = ArgGroup::new("change").multiple(true).required(true).args([
    "organization", "no_organization", "dynamic_registration", "unauthorized_on_client_config",
    "omit_error_description", "omit_error_uri",
]))]
#[command(override_usage = "deregisterctl service update <ID> <OPTIONS>")]
pub struct ServiceChange {
    /// The service's id
    #[arg(value_parser = id)]
    pub id: Id,
    /// The organization whose tokens are valid for the service too
    #[arg(long, value_name = "ORG", value_parser = NonEmptyStringValueParser::new(), conflicts_with = "no_organization")]
    pub organization: Option<String>,
    /// The service belongs to no organization
    #[arg(long)]
    pub no_organization: bool,
    /// Whether the service supports dynamic client registration
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    pub dynamic_registration: Option<bool>,
    /// Whether to answer UNAUTHORIZED if a client's token is refused (unauthorizedOnClientConfigSupported)
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    pub unauthorized_on_client_config: Option<bool>,
    /// Whether to leave error_description out (errorDescriptionOmitted)
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    pub omit_error_description: Option<bool>,
    /// Whether to leave error_uri out (errorUriOmitted)
    #[arg(long, value_name = "yes|no", value_parser = yes_or_no)]
    pub omit_error_uri: Option<bool>,
}

#[derive(Args)]
pub struct TokenRevocation {
    /// The tokens, as token list and token issue name them: their SHA-256 digests
    #[arg(value_name = "TOKEN")]
    #[arg(required_unless_present = "from_stdin", conflicts_with = "from_stdin")]
    pub tokens: Vec<String>,
    /// Read the access token itself from the first line of the standard input
    #[arg(long)]
    pub from_stdin: bool,
}

#[derive(Args)]
pub struct Rotation {
    /// The client's id
    #[arg(value_parser = id)]
    pub id: Id,
    /// How long an API client's former secrets stay valid, such as 12h or 7d; 0s ends them now [default: 1d]
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    pub keep_former_for: Option<Duration>,
    /// Read the new secret of an API client from the first line of the standard input [default: a random one, printed]
    #[arg(long)]
    pub secret_from_stdin: bool,
}

#[derive(Args)]
pub struct NewToken {
    #[command(flatten)]
    pub scope: Scope,
    /// How long the token is valid, such as 30d or 12h, at most a century [default: for ever]
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    pub expires_in: Option<Duration>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub struct Scope {
    /// Issue a Service Access Token, for this service
    #[arg(long, value_name = "ID", value_parser = id)]
    pub service: Option<Id>,
    /// Issue an Organization Token, for every service of this organization
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
    /// The secret must have at least 16 bytes without the end of the line. It is not printed.
    #[arg(long)]
    pub secret_from_stdin: bool,
    /// The client's name, for people
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// A feature of the client, such as owner or direct_access; can be repeated
    ///
    /// An owner can delete the other clients of its application. An owner cannot be deleted.
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
    /// The number of clients to register
    #[arg(long, value_name = "N", default_value_t = 1, conflicts_with = "id")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,
    /// A file with the clients' metadata, a JSON object as in RFC 7591
    ///
    /// The tool stores client_name, contacts, redirect_uris, response_types, grant_types and token_endpoint_auth_method. It
    /// ignores other members.
    #[arg(long, value_name = "FILE")]
    pub metadata: Option<PathBuf>,
    /// Register static clients, which cannot delete themselves: they have no registration access token
    #[arg(long = "static")]
    pub is_static: bool,
    /// Protect the clients from deletion
    #[arg(long)]
    pub protected: bool,
}
