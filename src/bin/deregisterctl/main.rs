//! The operator's tool: it creates, lists, imports, deletes and restores clients in the table of the function, with the
//! function's settings.

mod check;
mod create;
mod delete;
mod failure;
mod generate;
mod grants;
mod import;
mod list;
mod options;
mod path_warning;
mod pump;
mod register;
mod report;
mod restore;
mod show;
mod tool;
mod track;
mod vendor_list;

use clap::{CommandFactory, Parser};
use deregister::{
    dynamodb::{ClientsTable, GrantsTable, connection},
    settings::{Database, Grants},
};
use failure::Failure;
use options::{Command, Options};
use std::{
    io::{self, Write},
    process::ExitCode,
    time::SystemTime,
};
use tool::Tool;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
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
    let environment = |name: &str| std::env::var(name).ok();
    // An option replaces the variable of the environment.
    let database = Database::read(|name| match name {
        "CLIENTS_TABLE" => table.clone().or_else(|| environment(name)),
        _ => environment(name),
    })?;
    let config = connection::configure(&database, environment).await?;
    let mut grants = None;
    if let Some(options) = command.grants() {
        let Grants { table, expires_at } = Grants::read(|name| match name {
            "GRANTS_TABLE" => options.grants_table.clone().or_else(|| environment(name)),
            _ => environment(name),
        })?;
        if let Some(table) = table {
            grants = Some(GrantsTable::open(config.clone(), table, expires_at).await?);
        }
    }
    let store = ClientsTable::new(config, database.table, database.retention);
    let user = environment("USER").filter(|name| !name.is_empty());
    Tool { store, grants, now, randomness: getrandom::fill, user, json }.run(command).await
}

#[expect(clippy::disallowed_methods, reason = "the one place where the tool gets its clock")]
fn now() -> SystemTime {
    SystemTime::now()
}
