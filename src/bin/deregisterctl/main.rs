//! The operator's tool: it creates, lists, imports, deletes and restores clients in the table of the function, with the
//! function's settings.

mod block;
mod check;
mod client_list;
mod create;
mod delete;
mod failure;
mod generate;
mod grants;
mod ids;
mod import;
mod list;
mod mark;
mod options;
mod output;
mod path_warning;
mod progress;
mod protect;
mod pump;
mod register;
mod report;
mod restore;
mod rotate;
mod secret;
mod services;
mod show;
mod tokens;
mod tool;
mod track;

use clap::CommandFactory;
use deregister::{
    dynamodb::{
        ClientsTable, GrantsTable,
        connection::{self, Connection},
    },
    settings::{Database, Grants, Variables},
};
use failure::Failure;
use options::{Command, Options};
use output::Output;
use std::{
    io::{self, Write},
    process::ExitCode,
    time::SystemTime,
};
use tool::Tool;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::of(std::env::args_os());
    let only_prints = options.command.only_prints();
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Unprintable(error)) if only_prints && error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::FAILURE
        }
        Err(failure) => {
            report::complain(&failure.to_string());
            failure.exit_code()
        }
    }
}

async fn run(Options { json, table, command }: Options) -> Result<(), Failure> {
    // Completions need neither settings nor a database.
    if let Command::Completions { shell } = command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Options::command(), "deregisterctl", &mut script);
        return io::stdout().write_all(&script).map_err(Failure::Unprintable);
    }
    let mut variables: Variables = std::env::vars_os().collect();
    // An option replaces the variable of the environment.
    if let Some(table) = table {
        variables.set("CLIENTS_TABLE", &table);
    }
    if let Some(options) = command.grants() {
        for (name, value) in [("GRANTS_TABLE", &options.grants_table), ("GRANTS_INDEX", &options.grants_index)] {
            if let Some(value) = value {
                variables.set(name, value);
            }
        }
    }
    let database = Database::read(&variables)?;
    let grants = command.grants().map(|_| Grants::read(&variables, &database)).transpose()?.flatten();
    let user = variables.get("USER")?.map(ToOwned::to_owned);
    let Connection { config, place } = connection::configure(&database, &variables).await?;
    let tables = match &grants {
        Some(grants) => format!("tables {} and {}", database.table, grants.table),
        None => format!("table {}", database.table),
    };
    let result = async {
        let grants = match grants {
            Some(grants) => Some(GrantsTable::open(config.clone(), grants).await?),
            None => None,
        };
        let store = ClientsTable::new(config, database.table, database.retention);
        let place = format!("{tables}, {place}");
        Tool { store, grants, place, output: Output::start(), now, randomness: getrandom::fill, user, json }
            .run(command)
            .await
    };
    result.await.map_err(|failure| failure.at(&tables, &place))
}

#[expect(clippy::disallowed_methods, reason = "the one place where the tool gets its clock")]
fn now() -> SystemTime {
    SystemTime::now()
}
