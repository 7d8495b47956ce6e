//! The command line, and its help.
#![expect(clippy::doc_markdown, reason = "the comments here are the help, which is plain text")]

mod arguments;
mod value;

pub use arguments::{
    Delete, Deletions, GrantOptions, Import, List, NewApiClient, NewOAuthClients, NewService, NewToken, ParentFilter,
    Restore, Rotation, SEGMENTS, Scope, Selection, ServiceChange, Targets, TokenRevocation,
};
pub use value::{api_client_id, id};

use clap::{CommandFactory, Parser, Subcommand, builder::NonEmptyStringValueParser};
use clap_complete::Shell;
use deregister::model::Id;
use std::{collections::BTreeSet, ffi::OsString};

/// The name that means the standard input.
pub const STDIN: &str = "-";

/// The heading of the options that every command has.
const GLOBAL: &str = "Options of every command";

const FIRST_SESSION: &str = "\
A first session, with `cargo run --example local -- --empty` elsewhere:
  export AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:8000
  export AWS_REGION=eu-central-1
  export AWS_ACCESS_KEY_ID=local AWS_SECRET_ACCESS_KEY=local

  deregisterctl client create --app shop --feature owner --allow 203.0.113.0/24
  deregisterctl client create --app shop --id reader
  deregisterctl client show reader
  deregisterctl service create 715948317 --organization org-1001
  deregisterctl token issue --service 715948317 --expires-in 30d
  deregisterctl client register --service 715948317
  deregisterctl --json client register --service 715948317 --count 3

Then the owner can delete the other API client, and each registered client can delete itself.";

/// Creates, lists, imports, deletes and restores API clients and OAuth clients
///
/// The usual AWS environment variables name the DynamoDB, its region and the credentials. The settings of the function
/// apply: CLIENTS_TABLE, RETENTION_DAYS, DATABASE_ATTEMPTS, DATABASE_ATTEMPT_TIMEOUT_MS and
/// DATABASE_CALL_TIMEOUT_MS.
///
/// Secrets and tokens are printed once. The table holds only their digests.
///
/// Exit codes: 0, done; 1, refused or failed, with the reason on the standard error; 2, a wrong command line.
#[derive(Parser)]
#[command(name = "deregisterctl", version, after_help = FIRST_SESSION)]
pub struct Options {
    /// Print JSON, one object a line, instead of text
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub json: bool,
    /// The DynamoDB table, instead of the one that CLIENTS_TABLE names [default: clients]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub table: Option<String>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Create the table, and check its items
    #[command(subcommand)]
    Table(Table),
    /// Create, show, list and change services: authorization servers whose clients the Authlete API deletes
    #[command(subcommand)]
    Service(Service),
    /// Issue, list and revoke access tokens of the Authlete API
    #[command(subcommand)]
    Token(Token),
    /// Create, register, show, list, delete, restore, protect, revoke and block clients, and rotate their credentials
    #[command(subcommand)]
    Client(Client),
    /// Show and list deletions: who deleted which client, when, from where, and until when it can be restored
    #[command(subcommand)]
    Deletion(Deletion),
    /// Import the clients that a vendor's API lists, or your own
    ///
    /// With --app, the file holds the answer of Identity Cloud's GET /config/{appId}/clients. With --service, it holds
    /// the answers of Authlete's /client/get/list, one page after the other. With --format rfc7591, it holds the OAuth
    /// clients of any authorization server, one JSON object after the other, with the names of RFC 7591: client_id, the
    /// client's metadata, and registration_access_token or registration_access_token_sha256, in hexadecimal digits or
    /// base64url. The tool stores only the digest of a token. Further members: last_used_at, in seconds since 1970, and
    /// dynamic, false for a client that did not register itself.
    ///
    /// You can stop an import at any time, with Ctrl-C too, and run it again: clients that are there already are not
    /// changed. Skipped clients are printed with their reason and their index in the list, from 0. At the end the tool
    /// prints how many clients were imported, were there already, and were skipped. The exit code is 1 if any was
    /// skipped.
    Import(Import),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

impl Options {
    /// Parses the command line. An id can begin with a hyphen, such as one in 64 of the ids in base64url.
    pub fn of(arguments: impl Iterator<Item = OsString>) -> Self {
        Self::parse_from(with_ids_apart(arguments.collect()))
    }
}

/// The command line, with arguments such as `-x7` after `--`, and those that are the value of an option joined to it.
/// No option of the tool is such an argument, except `-h` and `-V`. What begins with two hyphens is an option, so that
/// `--dry-rnu` is not the id of a client. After `--`, everything is an id.
fn with_ids_apart(arguments: Vec<OsString>) -> Vec<OsString> {
    let is_id = |argument: &OsString| {
        let text = argument.to_string_lossy();
        text.starts_with('-') && !text.starts_with("--") && !["-", "-h", "-V"].contains(&&*text)
    };
    if arguments.iter().any(|argument| argument == "--") || !arguments.iter().any(is_id) {
        return arguments;
    }
    let mut command = Options::command();
    // Before, clap does not say which options take a value.
    command.build();
    let (with_value, mut apart) = (options_with_a_value(&command), Vec::new());
    let mut joined: Vec<OsString> = Vec::new();
    for argument in arguments {
        if !is_id(&argument) {
            joined.push(argument);
            continue;
        }
        match joined.last_mut().filter(|last| last.to_str().is_some_and(|last| with_value.contains(last))) {
            Some(option) => {
                option.push("=");
                option.push(argument);
            }
            None => apart.push(argument),
        }
    }
    if !apart.is_empty() {
        joined.push("--".into());
        joined.append(&mut apart);
    }
    joined
}

/// The names of the options that take a value, of the command and of those below it.
fn options_with_a_value(command: &clap::Command) -> BTreeSet<String> {
    let takes_value = |option: &&clap::Arg| option.get_num_args().is_some_and(|values| values.takes_values());
    let own = command.get_arguments().filter(takes_value);
    let own = own.filter_map(|option| Some(format!("--{}", option.get_long()?)));
    own.chain(command.get_subcommands().flat_map(options_with_a_value)).collect()
}

impl Command {
    /// Whether the command only reads and prints. Then a reader of its output that has enough, such as `head`, is no
    /// failure to report. Other outputs can be secrets, which are lost.
    pub fn only_prints(&self) -> bool {
        matches!(
            self,
            Self::Client(Client::List(_) | Client::Show { .. })
                | Self::Deletion(_)
                | Self::Service(Service::List | Service::Show { .. })
                | Self::Token(Token::List)
                | Self::Table(Table::Check)
                | Self::Completions { .. }
        )
    }

    /// What is lost with the output of the command, and what to do. The table has it all the same.
    pub fn loses(&self) -> Option<&'static str> {
        match self {
            Self::Token(Token::Issue(_)) => Some("a token may be issued that is not known: find it with token list"),
            Self::Client(Client::Create(_)) => Some("the client may be there, with a secret that is not known"),
            Self::Client(Client::Register(_)) => {
                Some("clients may be registered that were not printed: find them with client list")
            }
            Self::Client(Client::Rotate(_)) => {
                Some("the client may have a new credential that is not known: run client rotate again")
            }
            _ => None,
        }
    }

    /// The options for the table of grants, if the command reads it.
    pub fn grants(&self) -> Option<&GrantOptions> {
        match self {
            Self::Client(
                Client::Delete(Delete { dry_run: true, grants, .. }) | Client::Restore(Restore { grants, .. }),
            ) => Some(grants),
            _ => None,
        }
    }
}

#[derive(Subcommand)]
pub enum Table {
    /// Create the table, with its time to live and its index, and wait until it is ready
    ///
    /// If the table exists, the command adds a missing time to live or a missing index. DynamoDB fills the index in the
    /// background; until then, the sweep fails. If nothing is missing, or the table has another key, the command is
    /// refused.
    Create,
    /// Check the items of the table, and list what cannot be read
    ///
    /// Each finding has the item's key, the member, what the member must be, and what follows from it. A value is never
    /// printed. The effect is one of these. refused: an endpoint refuses as if the item did not exist, or answers 500 to
    /// a caller with proven rights; a client status and a restoration fail if they need the member. ignored: the member
    /// counts as absent. expired: the expiry counts as passed. removed: DynamoDB's time to live removes an item that must
    /// stay. misplaced: the index of idle clients lists the client in a partition that is not its own. nearly full: the
    /// item is so large that a tombstone or a restoration may lack members.
    ///
    /// The command reads the whole table, and DynamoDB charges for all of it. It needs the permission dynamodb:Scan, and
    /// writes nothing. At the end it prints how many items it read and how many have findings. The exit code is 1 if any
    /// has.
    Check,
}

#[derive(Subcommand)]
pub enum Service {
    /// Create a service, with dynamic client registration unless you switch it off
    Create(NewService),
    /// Show a service
    Show {
        /// The service's id
        #[arg(value_parser = id)]
        id: Id,
    },
    /// List all services
    ///
    /// The command reads the whole table, and DynamoDB charges for all of it.
    List,
    /// Change a service: what you do not name stays as it is
    Update(ServiceChange),
}

#[derive(Subcommand)]
pub enum Token {
    /// Issue an access token, and print it once
    Issue(NewToken),
    /// List all access tokens, by their digests: the table does not have the tokens themselves
    ///
    /// The command reads the whole table, and DynamoDB charges for all of it. A token that has expired is listed until
    /// DynamoDB's time to live has removed it.
    List,
    /// Revoke access tokens: they are refused from now on
    ///
    /// Each is one write, which lets the token expire now. A token that had expired counts as done. The exit code is 1
    /// if any token was not found.
    Revoke(TokenRevocation),
}

#[derive(Subcommand)]
pub enum Client {
    /// Create an API client, and print its secret once
    Create(NewApiClient),
    /// Register OAuth clients at a service, and print their registration access tokens once
    Register(NewOAuthClients),
    /// Show a client, live or deleted, without its secrets
    ///
    /// If the use of the client is tracked, last_used_at is the time of its last use. At most one use an hour is
    /// stored. An import, a restoration and client track count as a use.
    Show {
        /// The client's id
        #[arg(value_parser = id)]
        id: Id,
    },
    /// List clients: all, or those of an application or a service, without their secrets
    ///
    /// The command reads the whole table, and DynamoDB charges for all of it, because the table's key finds only one
    /// client at a time. Clients are printed as they are found, in no order.
    List(List),
    /// Delete clients, as the function does: each can be restored as long as its tombstone exists
    ///
    /// The tool refuses to delete owners and protected clients. At a terminal, the tool asks you to type the id again,
    /// or the number of clients if there are several. Without a terminal, add --yes. The outcome of each client is
    /// printed as soon as it is known. At the end the tool prints how many clients were deleted, already deleted, not
    /// found, refused and failed. A client that is already deleted counts as done: you can run an interrupted command
    /// again. If the database fails, no further deletion is started. The exit code is 1 if any client was not found,
    /// was refused or failed.
    ///
    /// RETENTION_DAYS is the number of days in which a deleted client can be restored. Give it the value that the
    /// function has.
    Delete(Delete),
    /// Restore deleted clients: each is live again, with its former credentials, at its next version
    ///
    /// The record of the deletion is added to the client's history, which deletion show prints. The history keeps the
    /// last ten. The tool refuses a live client, and a client that can no longer be restored. Grants that were removed
    /// are not restored. If the table of grants is known, the tool prints how many grants the client still has.
    ///
    /// If the client's item is nearly full, the client may lack its metadata, or more. Then the output has "lacks", the
    /// list of what is missing.
    ///
    /// With several ids, or with --from, the outcome of each client is printed as soon as it is known, and at the end how
    /// many clients were restored, not found, refused and failed. A live client counts as refused, so you can run an
    /// interrupted command again. The exit code is 1 if any client was not found, was refused or failed.
    Restore(Restore),
    /// Replace a client's credential, and print the new one once
    ///
    /// An API client gets a further secret. Its former secrets stay valid for --keep-former-for, or less if they end
    /// earlier, so that you can change its callers one after the other. An OAuth client that registered itself gets
    /// another registration access token, and the former one is refused at once.
    Rotate(Rotation),
    /// Protect a live client from deletion, and print its new entity tag
    Protect {
        /// The client's id
        #[arg(value_parser = id)]
        id: Id,
    },
    /// End the protection of a live client, and print its new entity tag
    Unprotect {
        /// The client's id
        #[arg(value_parser = id)]
        id: Id,
    },
    /// Revoke what was issued to live clients up to now: each stays live, with its credentials
    ///
    /// The revocation check refuses tokens, codes and consents up to the second of the revocation, and accepts later
    /// ones. The client gets its next version. A revocation is no use of the client, and the cascade removes nothing:
    /// grants expire by their own time. It cannot be undone. deletion show prints the revocations of a client.
    ///
    /// The outcome of each client is printed as soon as it is known. The exit code is 1 if any client was refused or
    /// failed.
    Revoke(Targets),
    /// Block ids, stored or not: from now on each is refused, until client unblock
    ///
    /// The revocation check refuses a blocked id, and a registration under it fails. An id can be the URL of a client's
    /// metadata document. A live client is deleted, as by client delete: the tool refuses owners and protected clients.
    /// Time to live does not remove a blocked item. An id that is already blocked counts as done.
    ///
    /// The outcome of each id is printed as soon as it is known. The exit code is 1 if any id was refused or failed.
    Block(Targets),
    /// End the block of ids
    ///
    /// A client that the block deleted is live again, as after client restore. A client that was deleted before stays
    /// deleted, and can be restored for RETENTION_DAYS from now on. An id without a client is free: a client can be
    /// registered under it.
    ///
    /// The outcome of each id is printed as soon as it is known, and what the id is now: live, deleted or free. An id that
    /// is not blocked counts as refused. The exit code is 1 if any id was refused or failed.
    Unblock(Targets),
    /// Start to track the use of clients that were registered before the table had its index
    ///
    /// The sweep sees only clients whose use is tracked. This command adds the other dynamically registered clients, as
    /// if they were used now, each in one write. It reads the whole table, and DynamoDB charges for all of it.
    ///
    /// You can stop it at any time, with Ctrl-C too, and run it again. At the end the tool prints how many clients it
    /// tracks now, were tracked already, and did not register themselves.
    Track {
        /// Only the OAuth clients of this service [default: all clients]
        #[arg(long, value_name = "ID", value_parser = id)]
        service: Option<Id>,
    },
}

#[derive(Subcommand)]
pub enum Deletion {
    /// Show the current deletion of a client, and its past deletions that a restoration ended
    Show {
        /// The client's id
        #[arg(value_parser = id)]
        id: Id,
    },
    /// List deletions: all, or those of an application's or a service's clients
    ///
    /// The command reads the whole table, and DynamoDB charges for all of it. Deletions are printed as they are found,
    /// in no order. A deletion is listed as long as its tombstone exists, which is some time longer than the client can
    /// be restored.
    List(Deletions),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Options::command().debug_assert();
    }

    #[test]
    fn an_argument_with_one_hyphen_is_an_id_or_the_value_of_an_option() {
        for (line, expected) in [
            ("client show -x7", "client show -- -x7"),
            ("client delete a -x7 --yes -y", "client delete a --yes -- -x7 -y"),
            ("client delete --from - --by -j --yes", "client delete --from - --by=-j --yes"),
            ("client register --service -7 --id -x", "client register --service=-7 --id=-x"),
            ("client delete --dry-run -x", "client delete --dry-run -- -x"),
            ("client delete --dry-rnu -h", "client delete --dry-rnu -h"),
            ("client show -- -x7", "client show -- -x7"),
        ] {
            let arguments = line.split(' ').map(OsString::from).collect();
            assert_eq!(with_ids_apart(arguments).join(" ".as_ref()), expected, "{line}");
        }
    }
}
