//! The operator's tool: it creates what the function deletes. It works on the same table, with the same settings.

mod command;
mod export;
mod generate;
mod import;
mod options;
mod report;

use clap::{CommandFactory, Parser};
use command::{Failure, Tool};
use deregister::{
    settings::Settings,
    store::{DynamoDb, connection},
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
            ExitCode::FAILURE
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
    let settings = Settings::read(|name| match name {
        "CLIENTS_TABLE" => table.clone().or_else(|| environment(name)),
        _ => environment(name),
    })?;
    let config = connection::configure(&settings, environment).await?;
    #[expect(clippy::disallowed_methods, reason = "the one place where the tool is given its clock")]
    let now = SystemTime::now();
    let store = DynamoDb::new(config, settings.table, settings.retention);
    Tool { store, now, randomness: getrandom::fill, json }.run(command).await
}
