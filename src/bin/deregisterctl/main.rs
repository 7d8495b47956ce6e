//! The operator's tool: it creates what the function deletes. It works on the same table, with the same settings.

mod command;
mod generate;
mod options;
mod report;

use clap::Parser;
use command::{Failure, Tool};
use deregister::{
    settings::Settings,
    store::{DynamoDb, connection},
};
use options::Options;
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
            let sentence = failure.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            // Where this cannot be written either, nobody is left to tell.
            let _ = writeln!(io::stderr(), "deregisterctl: {}", report::printable(&sentence));
            ExitCode::FAILURE
        }
    }
}

async fn run(Options { json, table, command }: Options) -> Result<(), Failure> {
    let environment = |name: &str| std::env::var(name).ok();
    let settings = Settings::read(|name| match name {
        "CLIENTS_TABLE" => table.clone().or_else(|| environment(name)),
        _ => environment(name),
    })?;
    let client = connection::connect(&settings, environment).await?;
    #[expect(clippy::disallowed_methods, reason = "the one place where the tool is given its clock")]
    let now = SystemTime::now();
    let store = DynamoDb::new(client, settings.table, settings.retention);
    Tool { store, now, randomness: getrandom::fill, json }.run(command).await
}
