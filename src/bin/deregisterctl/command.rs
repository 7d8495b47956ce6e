//! What each command does, and why it may be refused.

use crate::{
    generate::{self, Randomness},
    options::{self, Command, Covers, NewApiClient, NewOAuthClients, NewService, NewToken, Whose},
    report::{self, Columns, Report, timestamp},
};
use deregister::{
    dynamodb::{ClientsTable, GrantsTable, admin::Creation, connection::NoHttps},
    model::{
        AccessToken, AllowList, ApiClient, Client, Deletion, Digest, Id, Idle, Kind, Metadata, OAuthClient, Service,
        StoredSecret, TokenScope, Version,
    },
    settings::WrongSetting,
    snapshot::{Key, Record, Unreadable},
    store::Fault,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    fs,
    io::{self, BufRead},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::SystemTime,
};
use tokio::task::{JoinError, JoinSet};

/// The version of a client that has never been changed.
pub const FIRST_VERSION: Version = Version(1);
/// The shortest secret that is taken over from elsewhere, in bytes: what 128 bits take at the least.
pub const SHORTEST_SECRET: usize = 16;
/// How many clients are written at once.
pub const AT_ONCE: usize = 16;

/// The tables that lists are printed as, for people.
const API_CLIENTS: Columns = &[("client_id", 32), ("version", 7), ("protected", 9), ("features", 24), ("name", 0)];
const OAUTH_CLIENTS: Columns =
    &[("client_id", 32), ("version", 7), ("protected", 9), ("dynamic", 7), ("last_used_at", 20), ("client_name", 0)];
const DELETED_CLIENTS: Columns = &[("client_id", 32), ("deleted_at", 20), ("via", 13), ("deleted_by", 0)];

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Setting(#[from] WrongSetting),
    #[error(transparent)]
    Certificates(#[from] NoHttps),
    #[error(transparent)]
    Database(#[from] Fault),
    #[error("the table {0} exists already")]
    TableTaken(String),
    #[error("the service {0} exists already")]
    ServiceTaken(Id),
    #[error("the client id {0} is taken, by a client that lives or by one that was deleted")]
    ClientTaken(Id),
    #[error("there is no service {0}")]
    NoService(Id),
    #[error("there is no client {0}, and none was deleted of late")]
    NoClient(Id),
    #[error("the service {0} has dynamic registration switched off, so that only --static clients can be registered")]
    RegistrationOff(Id),
    #[error("there is no live client {0}")]
    NoLiveClient(Id),
    #[error("the client {0} is live: there is no deletion to undo")]
    NotDeleted(Id),
    #[error("the client {0} could be restored until {1}")]
    TooLate(Id, String),
    #[error("the client {0} has changed meanwhile: look at it again")]
    Changed(Id),
    #[error("an access token scope a service or an organization")]
    CoversNothing,
    #[error("a client belongs to an application or to a service")]
    BelongsToNobody,
    #[error("the secret must have at least {SHORTEST_SECRET} bytes, and the first line of the standard input has {0}")]
    ShortSecret(usize),
    #[error("the secret cannot be read from the standard input: {0}")]
    UnreadableSecret(io::Error),
    #[error("{0} cannot be read: {1}")]
    UnreadableFile(PathBuf, io::Error),
    #[error("{0} is no RFC 7591 client metadata: {1}")]
    WrongMetadata(PathBuf, serde_json::Error),
    #[error("{file} is not {list}: line {line}, column {column}")]
    WrongList { file: PathBuf, list: &'static str, line: usize, column: usize },
    #[error("clients skipped: {0}")]
    Skipped(usize),
    #[error("interrupted: the same command {0} the rest")]
    Interrupted(&'static str),
    #[error("without a terminal to ask at, clients are deleted only with --yes (or --dry-run, which deletes none)")]
    NotConfirmed,
    #[error("not confirmed: nothing was deleted")]
    Declined,
    #[error("{0}: line {1} is no client id: {2}")]
    WrongId(PathBuf, usize, &'static str),
    #[error("clients left: {0}")]
    Left(usize),
    #[error("the operating system gives no randomness: {0}")]
    NoRandomness(#[from] getrandom::Error),
    #[error("a write was abandoned: {0}")]
    Abandoned(#[from] JoinError),
    #[error("what was done cannot be printed: {0}")]
    Unprintable(io::Error),
}

/// The tool, with all that a command needs.
#[derive(Clone)]
pub struct Tool {
    pub store: ClientsTable,
    /// What was issued to the clients, where a command looks at it.
    pub grants: Option<GrantsTable>,
    pub now: fn() -> SystemTime,
    pub randomness: Randomness,
    /// The operating system's name for who runs it.
    pub user: Option<String>,
    /// Whether to print JSON.
    pub json: bool,
}

impl Tool {
    /// Carries out a command, and prints what came of it.
    pub async fn run(&self, command: Command) -> Result<(), Failure> {
        let report = match command {
            Command::Table(options::Table::Create) => self.create_table().await?,
            Command::Service(options::Service::Create(new)) => self.create_service(new).await?,
            Command::Token(options::Token::Issue(new)) => self.issue_token(new).await?,
            Command::Client(options::Client::Create(new)) => self.create_api_client(new).await?,
            Command::Client(options::Client::Register(new)) => return self.register_clients(new).await,
            Command::Client(options::Client::Show { id }) => self.show_client(&id).await?,
            Command::Client(options::Client::List(list)) => return self.list_clients(list).await,
            Command::Client(options::Client::Protect { id }) => self.protect_client(id, true).await?,
            Command::Client(options::Client::Unprotect { id }) => self.protect_client(id, false).await?,
            Command::Client(options::Client::Track { service }) => return self.track_clients(service).await,
            Command::Client(options::Client::Delete(delete)) => return self.delete_clients(delete).await,
            Command::Client(options::Client::Restore { id, by, grants }) => {
                return self.restore_client(id, by.by, grants.count_up_to).await;
            }
            Command::Deletion(options::Deletion::Show { id }) => self.show_deletion(id).await?,
            Command::Deletion(options::Deletion::List(list)) => return self.list_deletions(list).await,
            Command::Import(import) => return self.import(import).await,
            // Told before the tool was made, since they need neither settings nor a database.
            Command::Completions { .. } => return Ok(()),
        };
        self.print(&report)
    }

    pub fn print(&self, report: &Report) -> Result<(), Failure> {
        report.write(io::stdout().lock(), self.json).map_err(Failure::Unprintable)
    }

    /// Begins a table, unless JSON is printed.
    pub fn print_heading(&self, columns: Columns) -> Result<(), Failure> {
        if self.json {
            Ok(())
        } else {
            report::write_heading(io::stdout().lock(), columns).map_err(Failure::Unprintable)
        }
    }

    /// Prints a line of a table, or of JSON.
    pub fn print_row(&self, report: &Report, columns: Columns) -> Result<(), Failure> {
        if self.json {
            return self.print(report);
        }
        report.write_row(io::stdout().lock(), columns).map_err(Failure::Unprintable)
    }

    /// Who a record names: a claim, as any name of an operator's. Others quote the record in JSON: what would need an escape
    /// there becomes an underscore.
    pub fn operator(&self, by: Option<String>) -> String {
        let escaped = |c: char| c.is_control() || ['"', '\\'].contains(&c);
        by.or_else(|| self.user.clone())
            .map_or_else(|| "operator".to_owned(), |name| format!("operator#{}", name.replace(escaped, "_")))
    }

    async fn create_table(&self) -> Result<Report, Failure> {
        let name = self.store.name();
        if self.store.create_table().await? == Creation::Done {
            return Ok(Report::new("Created the table.").with("table", name));
        }
        let repairs = self.store.repair_table().await?;
        let added: Vec<_> = [
            (repairs.time_to_live, "time_to_live", "its time to live"),
            (repairs.index, "index", "its index, which DynamoDB fills in its own time"),
        ]
        .into_iter()
        .filter(|(added, ..)| *added)
        .collect();
        if added.is_empty() {
            return Err(Failure::TableTaken(name.to_owned()));
        }
        let names: Vec<_> = added.iter().map(|(_, name, _)| *name).collect();
        let words = added.iter().map(|(.., words)| (*words).to_owned()).collect();
        Ok(Report::new("The table existed already, and was given what it lacked.")
            .with("table", name)
            .lines("added", names, words))
    }

    async fn create_service(&self, new: NewService) -> Result<Report, Failure> {
        let service = Service {
            organization_id: new.organization,
            dynamic_registration: !new.no_dynamic_registration,
            unauthorized_on_client_config: new.unauthorized_on_client_config,
            error_description_omitted: new.omit_error_description,
            error_uri_omitted: new.omit_error_uri,
        };
        match self.store.create_service(&new.id, &service).await? {
            Creation::Done => Ok(Report::new("Created a service.")
                .with("service_id", new.id.as_str())
                .with("organization_id", service.organization_id)
                .with("dynamic_registration", service.dynamic_registration)
                .with("unauthorized_on_client_config", service.unauthorized_on_client_config)
                .with("error_description_omitted", service.error_description_omitted)
                .with("error_uri_omitted", service.error_uri_omitted)),
            Creation::Taken => Err(Failure::ServiceTaken(new.id)),
        }
    }

    async fn issue_token(&self, new: NewToken) -> Result<Report, Failure> {
        let scope = match new.scope {
            Covers { service: Some(id), .. } => {
                self.service(&id).await?;
                TokenScope::ServiceId(id)
            }
            Covers { organization: Some(organization), .. } => TokenScope::OrganizationId(organization),
            Covers { service: None, organization: None } => return Err(Failure::CoversNothing),
        };
        let expires_at = new.expires_in.map(|lifetime| (self.now)() + lifetime);
        let token = generate::token(self.randomness)?;
        let report = Report::new("Issued an access token.")
            .with("scope", scope.to_string())
            .with("expires_at", expires_at.map(timestamp));
        // Where its place is taken, an earlier try of this very call took it: no two tokens are alike.
        let (Creation::Done | Creation::Taken) =
            self.store.add_token(&digest(&token), &AccessToken { scope, expires_at }).await?;
        Ok(report.secret("access_token", token))
    }

    async fn create_api_client(&self, new: NewApiClient) -> Result<Report, Failure> {
        let secret = if new.secret_from_stdin {
            read_secret(io::stdin().lock())?
        } else {
            generate::api_client_secret(self.randomness)?
        };
        let client = Client {
            kind: Kind::Api(ApiClient {
                app_id: new.app,
                name: new.name,
                features: new.features,
                ip_allow_list: AllowList::new(new.allow_list),
                secrets: vec![StoredSecret { digest: digest(&secret), expires_at: None }],
            }),
            protected: new.protected,
            version: Some(FIRST_VERSION),
            idle: None,
        };
        let id = self.create(new.id, generate::api_client_id, &client, !new.secret_from_stdin).await?;
        let report = Report::new("Created an API client.").with("client_id", id.as_str());
        Ok(if new.secret_from_stdin { report } else { report.secret("client_secret", secret) })
    }

    /// Registers as many clients as were asked for, a few at a time. Each is printed as soon as it is there, and after a
    /// failure those under way are waited for: no token is lost.
    async fn register_clients(&self, new: NewOAuthClients) -> Result<(), Failure> {
        let service = self.service(&new.service).await?;
        if !service.dynamic_registration && !new.is_static {
            return Err(Failure::RegistrationOff(new.service));
        }
        let client = OAuthClient {
            service_id: new.service,
            dynamic: !new.is_static,
            registration_token_digest: None,
            metadata: new.metadata.as_deref().map_or_else(|| Ok(Metadata::default()), read_metadata)?,
        };

        let mut wanted = 0..new.count;
        let mut running = JoinSet::new();
        let mut result = Ok(());
        loop {
            while result.is_ok() && running.len() < AT_ONCE && wanted.next().is_some() {
                let (tool, client, id) = (self.clone(), client.clone(), new.id.clone());
                running.spawn(async move { tool.register(client, id, new.protected).await });
            }
            let Some(registered) = running.join_next().await else { return result };
            let printed = registered.map_err(Failure::from).flatten().and_then(|report| self.print(&report));
            result = result.and(printed);
        }
    }

    async fn register(&self, mut client: OAuthClient, id: Option<Id>, protected: bool) -> Result<Report, Failure> {
        let token = client.dynamic.then(|| generate::token(self.randomness)).transpose()?;
        client.registration_token_digest = token.as_ref().map(digest);
        let idle = client.dynamic.then(|| Idle::unused((self.now)()));
        let client = Client { kind: Kind::OAuth(client), protected, version: Some(FIRST_VERSION), idle };
        let id = self.create(id, generate::oauth_client_id, &client, token.is_some()).await?;
        let report = Report::new("Registered an OAuth client.").with("client_id", id.as_str());
        Ok(match token {
            Some(token) => report.secret("registration_access_token", token),
            None => report,
        })
    }

    /// Creates a client under the id given, or under one that is drawn until it is free. A client is `unique` where its
    /// secret or token was drawn too.
    async fn create(
        &self,
        given: Option<Id>,
        draw: fn(Randomness) -> Result<String, getrandom::Error>,
        client: &Client,
        unique: bool,
    ) -> Result<Id, Failure> {
        loop {
            let id = match &given {
                Some(id) => Some(id.clone()),
                None => Id::new(draw(self.randomness)?),
            };
            let Some(id) = id else { continue };
            let created = self.store.create_client(&id, client).await?;
            if created == Creation::Done || unique && self.is_there(&id, client).await? {
                return Ok(id);
            }
            if given.is_some() {
                return Err(Failure::ClientTaken(id));
            }
        }
    }

    /// Whether this very client stands under an id that was refused as taken: an earlier try of the same call had
    /// created it, and the answer was lost.
    async fn is_there(&self, id: &Id, client: &Client) -> Result<bool, Fault> {
        let found = self.store.find(&Key::Client(id.clone())).await?;
        Ok(found == Some(Record::Client(client.clone())))
    }

    pub async fn service(&self, id: &Id) -> Result<Service, Failure> {
        match self.store.find(&Key::Service(id.clone())).await? {
            Some(Record::Service(service)) => Ok(service),
            _ => Err(Failure::NoService(id.clone())),
        }
    }

    async fn show_client(&self, id: &Id) -> Result<Report, Failure> {
        match self.store.find(&Key::Client(id.clone())).await? {
            Some(Record::Client(client)) => Ok(show_live(id, client)),
            Some(Record::Deleted(deletion)) => Ok(show_deleted(id, deletion)),
            _ => Err(Failure::NoClient(id.clone())),
        }
    }

    /// Lists clients as they are found. One that cannot be read is told in the end, so that it does not hide the others.
    async fn list_clients(&self, options::List { whose, limit, deleted }: options::List) -> Result<(), Failure> {
        let columns = match (deleted, &whose.app) {
            (true, _) => DELETED_CLIENTS,
            (false, Some(_)) => API_CLIENTS,
            (false, None) => OAUTH_CLIENTS,
        };
        self.print_heading(columns)?;
        let mut left = limit.map_or(usize::MAX, NonZeroUsize::get);
        let mut after = None;
        let mut result = Ok(());
        loop {
            let page = match &whose {
                Whose { app: Some(app), .. } => self.store.clients_of_application(app, deleted, after).await?,
                Whose { service: Some(id), .. } => self.store.clients_of_service(id, deleted, after).await?,
                Whose { app: None, service: None } => return Err(Failure::BelongsToNobody),
            };
            for (id, record) in page.clients {
                let report = match record {
                    Record::Client(client) => show_live(&id, client),
                    Record::Deleted(deletion) => show_deleted(&id, deletion),
                    other => {
                        let unreadable = Unreadable::new(Key::Client(id), &other);
                        result = result.and(Err(Fault::from(unreadable).into()));
                        continue;
                    }
                };
                if left == 0 {
                    return result;
                }
                left -= 1;
                self.print_row(&report, columns)?;
            }
            after = page.next;
            if after.is_none() || left == 0 {
                return result;
            }
        }
    }

    async fn protect_client(&self, id: Id, protected: bool) -> Result<Report, Failure> {
        let headline = if protected { "The client is protected from deletion." } else { "The client can be deleted." };
        match self.store.set_protected(&id, protected).await? {
            Some(Client { protected, version, .. }) => {
                Ok(with_version(Report::new(headline).with("client_id", id.as_str()), protected, version))
            }
            None => Err(Failure::NoLiveClient(id)),
        }
    }
}

fn show_live(id: &Id, client: Client) -> Report {
    let report = Report::new("A live client.").with("client_id", id.as_str()).with("deleted", false);
    let report = match client.kind {
        Kind::Api(api) => show_api_client(report, api),
        Kind::OAuth(oauth) => show_oauth_client(report, oauth),
    };
    with_use(with_version(report, client.protected, client.version), client.idle)
}

/// Adds to a report when the client was last used, where that is kept track of.
pub fn with_use(report: Report, idle: Option<Idle>) -> Report {
    match idle {
        Some(Idle { used: true, since }) => report.with("last_used_at", timestamp(since)),
        Some(Idle { used: false, since }) => {
            report.worded("last_used_at", Value::Null, "never").with("registered_at", timestamp(since))
        }
        None => report,
    }
}

fn with_version(report: Report, protected: bool, version: Option<Version>) -> Report {
    report
        .with("protected", protected)
        .with("version", version.map(|Version(version)| version))
        .with("entity_tag", version.map(|version| version.to_string()))
}

fn show_api_client(report: Report, api: ApiClient) -> Report {
    let ends: Vec<_> = api.secrets.iter().map(|secret| secret.expires_at.map(timestamp)).collect();
    let ends_in_words: Vec<_> = ends.iter().map(|end| end.as_deref().unwrap_or("never")).collect();
    let ends_in_words = ends_in_words.join(", ");
    let report = report
        .worded("kind", "api", "API client")
        .with("app_id", api.app_id)
        .with("name", api.name)
        .with("features", api.features);
    let report = if api.ip_allow_list == AllowList::default() {
        report.worded("ip_allow_list", json!([]), "any address")
    } else {
        report.with("ip_allow_list", json!(api.ip_allow_list))
    };
    report.with("secrets", ends.len()).worded("secrets_expire_at", ends, ends_in_words)
}

fn show_oauth_client(report: Report, oauth: OAuthClient) -> Report {
    report
        .worded("kind", "oauth", "OAuth client")
        .with("service_id", oauth.service_id.as_str())
        .with("dynamic", oauth.dynamic)
        .with("has_registration_token", oauth.registration_token_digest.is_some())
        .with("client_name", oauth.metadata.client_name)
        .with("redirect_uris", oauth.metadata.redirect_uris)
        .with("response_types", oauth.metadata.response_types)
        .with("grant_types", oauth.metadata.grant_types)
        .with("token_endpoint_auth_method", oauth.metadata.token_endpoint_auth_method)
}

pub fn show_deleted(id: &Id, deletion: Deletion) -> Report {
    Report::new("A deleted client.")
        .with("client_id", id.as_str())
        .with("deleted", true)
        .with("deleted_at", timestamp(deletion.at))
        .with("deleted_by", deletion.by)
        .with("via", deletion.via)
        .with("source_ip", deletion.source_ip)
        .with("request_id", deletion.request_id)
}

fn digest(secret: &SecretString) -> Digest {
    Digest::of(secret.expose_secret())
}

fn read_secret(mut input: impl BufRead) -> Result<SecretString, Failure> {
    let mut line = String::new();
    input.read_line(&mut line).map_err(Failure::UnreadableSecret)?;
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    match line.len() {
        SHORTEST_SECRET.. => Ok(line.into()),
        short => Err(Failure::ShortSecret(short)),
    }
}

fn read_metadata(file: &Path) -> Result<Metadata, Failure> {
    let text = fs::read(file).map_err(|error| Failure::UnreadableFile(file.to_owned(), error))?;
    // By way of an object, since a list of values would pass for the metadata too.
    serde_json::from_slice(&text)
        .and_then(|object| Metadata::deserialize(Value::Object(object)))
        .map_err(|error| Failure::WrongMetadata(file.to_owned(), error))
}
