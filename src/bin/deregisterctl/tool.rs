//! The tool, with everything that its commands need: it dispatches a command and prints.

use crate::{
    block::Action,
    failure::Failure,
    generate::Randomness,
    options::{Client, Command, Deletion, Service, Table, Token},
    output::Output,
    report::{self, Columns, Report},
};
use deregister::{
    dynamodb::{ClientsTable, GrantsTable},
    model::{self, Id},
    snapshot::{Key, Record},
};
use std::time::SystemTime;

pub struct Tool {
    pub store: ClientsTable,
    /// The table of grants, if it is known and the command reads it.
    pub grants: Option<GrantsTable>,
    /// The tables, the Region and the endpoint, in words.
    pub place: String,
    pub output: Output,
    pub now: fn() -> SystemTime,
    pub randomness: Randomness,
    /// The name of the user, from the operating system.
    pub user: Option<String>,
    /// Whether to print JSON.
    pub json: bool,
}

impl Tool {
    /// Carries out a command, and waits until its output is written.
    pub async fn run(&self, command: Command) -> Result<(), Failure> {
        let loses = command.loses();
        let result = self.dispatch(command).await;
        let written = self.output.finish().await.map_err(Failure::Unprintable);
        result.and(written).map_err(|failure| match (failure, loses) {
            (Failure::Unprintable(error), Some(loses)) => Failure::Lost(error, loses),
            (failure, _) => failure,
        })
    }

    async fn dispatch(&self, command: Command) -> Result<(), Failure> {
        let report = match command {
            Command::Table(Table::Create) => self.create_table().await?,
            Command::Service(Service::Create(new)) => self.create_service(new).await?,
            Command::Token(Token::Issue(new)) => self.issue_token(new).await?,
            Command::Service(Service::Show { id }) => self.show_service(&id).await?,
            Command::Service(Service::Update(update)) => self.update_service(update).await?,
            Command::Client(Client::Create(new)) => self.create_api_client(new).await?,
            Command::Client(Client::Show { id }) => self.show_client(&id).await?,
            Command::Client(Client::Rotate(rotation)) => self.rotate(rotation).await?,
            Command::Client(Client::Protect { id }) => self.set_protected(id, true).await?,
            Command::Client(Client::Unprotect { id }) => self.set_protected(id, false).await?,
            Command::Deletion(Deletion::Show { id }) => self.show_deletion(id).await?,
            // The others print as they go.
            Command::Table(Table::Check) => return self.check_table().await,
            Command::Service(Service::List) => return self.list_services().await,
            Command::Token(Token::List) => return self.list_tokens().await,
            Command::Token(Token::Revoke(tokens)) => return self.revoke_tokens(tokens).await,
            Command::Client(Client::Register(new)) => return self.register_clients(new).await,
            Command::Client(Client::List(list)) => return self.list_clients(list).await,
            Command::Client(Client::Track { service }) => return self.track_clients(service).await,
            Command::Client(Client::Delete(delete)) => return self.delete_clients(delete).await,
            Command::Client(Client::Restore(restore)) => return self.restore_clients(restore).await,
            Command::Client(Client::Revoke(change)) => return self.change_clients(change, Action::Revoke).await,
            Command::Client(Client::Block(change)) => return self.change_clients(change, Action::Block).await,
            Command::Client(Client::Unblock(change)) => return self.change_clients(change, Action::Unblock).await,
            Command::Deletion(Deletion::List(list)) => return self.list_deletions(list).await,
            Command::Import(import) => return self.import(import).await,
            // Printed by main.
            Command::Completions { .. } => return Ok(()),
        };
        self.print(&report)
    }

    pub fn print(&self, report: &Report) -> Result<(), Failure> {
        self.output.print(|out| report.write(out, self.json)).map_err(Failure::Unprintable)
    }

    /// Prints the heading of a table, unless the output is JSON.
    pub fn print_heading(&self, columns: Columns) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        self.output.print(|out| report::write_heading(out, columns)).map_err(Failure::Unprintable)
    }

    /// Prints a row of a table, or a line of JSON.
    pub fn print_row(&self, report: &Report, columns: Columns) -> Result<(), Failure> {
        if self.json {
            return self.print(report);
        }
        self.output.print(|out| report.write_row(out, columns)).map_err(Failure::Unprintable)
    }

    /// The operator's name in a record. The tool cannot check it. Characters that JSON escapes become underscores,
    /// because the rule of an event bus may copy the name into JSON without escaping it.
    pub fn operator(&self, by: Option<String>) -> String {
        let escaped = |c: char| c.is_control() || ['"', '\\'].contains(&c);
        match by.or_else(|| self.user.clone()) {
            Some(name) => format!("operator#{}", name.replace(escaped, "_")),
            None => "operator".to_owned(),
        }
    }

    pub async fn service(&self, id: &Id) -> Result<model::Service, Failure> {
        match self.store.find(&Key::Service(id.clone())).await? {
            Some(Record::Service(service)) => Ok(service),
            _ => Err(Failure::NoService(id.clone())),
        }
    }
}
