//! The operator's tool: it creates what the function deletes. It works on the same table, with the same settings.

mod command;
mod delete;
mod export;
mod generate;
mod grants;
mod import;
mod options;
mod report;
mod track;
mod undo;

use clap::{CommandFactory, Parser};
use command::{Failure, Tool};
use deregister::{
    dynamodb::{ClientsTable, GrantsTable, connection},
    settings::{Database, Grants},
};
use options::{Command, Options};
use std::{
    io::{self, Write},
    process::ExitCode,
    time::SystemTime,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            report::complain(&failure.to_string());
            if matches!(failure, Failure::NotConfirmed) { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

async fn run(Options { json, table, command }: Options) -> Result<(), Failure> {
    if let Command::Completions { shell } = command {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Options::command(), "deregisterctl", &mut script);
        return io::stdout().write_all(&script).map_err(Failure::Unprintable);
    }
    let environment = |name: &str| std::env::var(name).ok();
    let database = Database::read(|name| match name {
        "CLIENTS_TABLE" => table.clone().or_else(|| environment(name)),
        _ => environment(name),
    })?;
    let config = connection::configure(&database, environment).await?;
    let grants = match command.grants() {
        None => None,
        Some(asked) => {
            let Grants { table, expires_at } = Grants::read(|name| match name {
                "GRANTS_TABLE" => asked.grants_table.clone().or_else(|| environment(name)),
                _ => environment(name),
            })?;
            match table {
                None => None,
                Some(table) => Some(GrantsTable::open(config.clone(), table, expires_at).await?),
            }
        }
    };
    let store = ClientsTable::new(config, database.table, database.retention);
    let user = environment("USER").filter(|name| !name.is_empty());
    Tool { store, grants, now, randomness: getrandom::fill, user, json }.run(command).await
}

#[expect(clippy::disallowed_methods, reason = "the one place where the tool is given its clock")]
fn now() -> SystemTime {
    SystemTime::now()
}
