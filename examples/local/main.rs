//! The whole system on one machine: an embedded DynamoDB, an HTTP front in place of API Gateway, the function, the
//! cascade and the sweep.
//!
//! `cargo run --example local` serves until Ctrl-C. `cargo run --example local -- --demo` exits after the transcript, with
//! 0 only if every answer was as `docs/api.md` says.

mod background;
mod database;
#[expect(dead_code, reason = "the tests use the rest")]
mod envelope;
mod front;
#[expect(dead_code, reason = "the tests and the benchmark use the rest")]
mod sample;
mod transcript;

use aws_sdk_dynamodb::{
    Client, Config,
    config::{self, BehaviorVersion, Credentials, Region},
};
use background::{Background, Layout, Sweep, Trigger};
use clap::{Parser, ValueEnum};
use deregister::{
    dynamodb::{ClientsTable, admin::Creation, connection, https},
    functions::{Delete, Environment},
    settings::{self, Endpoints, Variables},
    telemetry,
};
use front::RegistrationServer;
use lambda_http::Error;
use rustls::RootCertStore;
use std::{
    fs::OpenOptions,
    io::{self, Write},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::SystemTime,
};
use tokio::net::TcpListener;

/// deregister on one machine: an embedded DynamoDB, and an HTTP front that hands each request to the function.
#[derive(Parser)]
#[command(name = "local", after_help = NOTES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
struct Options {
    /// The port of the HTTP front. 0: any free port
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// The port of the database. 0: any free port
    #[arg(long, default_value_t = 8000)]
    database_port: u16,
    /// Keep the data in this file instead of in memory
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
    /// Leave out the sample data and the transcript
    #[arg(long)]
    empty: bool,
    /// Exit after the transcript
    #[arg(long, conflicts_with = "empty")]
    demo: bool,
    /// Keep a table named grants, and remove the grants of deleted clients from it
    #[arg(long, conflicts_with = "demo")]
    grants: bool,
    /// The same, with the key of the table being the id of a grant, and an index by client
    #[arg(long, conflicts_with_all = ["demo", "grants"])]
    grants_index: bool,
    /// Pass GET and PUT of a client's configuration on to this URL of the authorization server, without the client id
    #[arg(long, value_name = "URL", conflicts_with = "demo", value_parser = url)]
    registration_server: Option<String>,
    /// Sweep idle clients, now and every minute
    #[arg(long, value_name = "MODE", conflicts_with = "demo")]
    sweep: Option<Mode>,
}

/// The end of the help.
const NOTES: &str = "\
The transcript shows the cascade and the sweep once. With --grants, --grants-index or --sweep they run until the end, and
the log of all functions is written to the standard output.

--grants: The cascade runs in this process. It reads the table's stream from the start of the run. A record that fails is
delivered again until it succeeds. On AWS, the stream has many shards, and such a record goes to a queue.
--grants-index: The table's key is \"id\". The index \"client\" has the keys \"client_id\" and \"grant_id\", and expires_at.
--sweep: As on AWS, SWEEP_UNUSED_HOURS and SWEEP_IDLE_DAYS set how long clients may be idle, and SWEEP_NOTICE_DAYS sets
how many days before a deletion the sweep announces it. Without a grants table, it deletes idle clients that have grants
too.";

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Mode {
    Observe,
    Delete,
}

// The number of threads is set here, because tokio panics on an odd value of its variable.
#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("local: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<ExitCode, Error> {
    let variables: Variables = std::env::vars_os().collect();
    // The SDK reads some variables by itself.
    connection::check(&variables)?;
    let settings = settings::Database::read(&variables)?;
    let endpoints = Endpoints::read(&variables)?;
    let sweep_settings = settings::Sweep::read(&variables)?;
    if settings.table == background::GRANTS {
        return Err(
            "CLIENTS_TABLE must be another table than \"grants\", which the local run has for the grants".into()
        );
    }

    let (database_listener, database_url) = listen("database", options.database_port, "--database-port").await?;
    let (front_listener, front_url) = listen("HTTP front", options.port, "--port").await?;

    let database = match &options.data {
        Some(file) => {
            create_for_owner(file).map_err(|error| format!("{} cannot be used: {error}", file.display()))?;
            dynoxide::Database::new(file.to_str().ok_or("--data must be a path in UTF-8")?)
                .map_err(|error| format!("{} cannot be used: {error}", file.display()))?
        }
        None => dynoxide::Database::memory()?,
    };
    let unguarded = database::serve(database_listener, database.clone()).await?;

    let config = config(&format!("http://{unguarded}"))?;
    let client = Client::from_conf(config.clone().build());
    let store = ClientsTable::new(config.clone(), settings.table, settings.retention);
    let server = options.registration_server.clone().map(|url| RegistrationServer {
        base_path: endpoints.base_path.clone(),
        path: endpoints.registration_path.clone(),
        url,
    });
    let function = Delete::new(store.clone(), endpoints, now, Environment::default());
    tokio::spawn(front::serve(front_listener, function, server));
    let sweep = |grants, settings| {
        let (store, environment) = (store.clone(), Environment::default());
        Sweep { store, grants, settings, clock: now, environment }
    };

    let is_new = store.create_table().await? == Creation::Done;
    let mut as_promised = true;
    if is_new && !options.empty {
        sample::write(&store, now()).await?;
        let grants = background::open_grants(&database, config.clone(), Layout::ByClient, true).await?;
        let trigger = Trigger::new(database.clone(), store.clone(), grants.clone())?;
        // The idle sample clients are due by the default settings.
        let sweep = sweep(Some(grants.clone()), settings::Sweep::read(&Variables::default())?);
        as_promised = transcript::play(&front_url, &store, Background { grants, trigger, sweep }, now()).await?;
        // The transcript has deleted some samples. Write them again, so that they can be used.
        for table in [store.name(), background::GRANTS] {
            client.delete_table().table_name(table).send().await?;
        }
        store.create_table().await?;
        sample::write(&store, now()).await?;
    } else if options.demo {
        return Err("the transcript needs an empty database, and the file of --data has data".into());
    }
    let layout = match (options.grants, options.grants_index) {
        (_, true) => Some(Layout::ByIndex),
        (true, _) => Some(Layout::ByClient),
        _ => None,
    };
    let grants = match layout {
        Some(layout) => Some(background::open_grants(&database, config, layout, !options.empty).await?),
        None => None,
    };
    let trigger = grants.clone().map(|grants| Trigger::new(database, store.clone(), grants)).transpose()?;

    if !options.demo {
        println!("database on {database_url}");
        println!("listening on {front_url}");
        io::stdout().flush()?;
        println!("serving the table {} until Ctrl-C", store.name());
        if grants.is_some() || options.sweep.is_some() {
            // Only the log shows what these two do.
            telemetry::install(variables.get("AWS_LAMBDA_LOG_LEVEL")?, now);
        }
        trigger.map(|trigger| tokio::spawn(trigger.run()));
        if let Some(mode) = options.sweep {
            let settings = settings::Sweep { deletes: mode == Mode::Delete, ..sweep_settings };
            tokio::spawn(background::sweep_on_schedule(sweep(grants, settings)));
        }
        tokio::signal::ctrl_c().await?;
    }
    Ok(if as_promised { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Creates the file if there is none. Only its owner can read it: it will have digests, and secrets of servers.
fn create_for_owner(file: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(file).map(drop)
}

/// A URL of an authorization server on this machine.
fn url(text: &str) -> Result<String, &'static str> {
    let is_url = text
        .parse()
        .is_ok_and(|uri: http::Uri| uri.scheme_str() == Some("http") && uri.host().is_some() && uri.query().is_none());
    is_url.then(|| text.to_owned()).ok_or("must be a URL that begins with http://, without a query")
}

/// Listens on the loopback interface. Returns the listener and its URL.
async fn listen(what: &str, port: u16, option: &str) -> Result<(TcpListener, String), String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| {
        format!("the {what} cannot listen on 127.0.0.1:{port} ({error}); choose another port with {option}")
    })?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    Ok((listener, format!("http://{address}")))
}

/// The SDK's configuration for the embedded database. It reads no environment variable.
fn config(endpoint: &str) -> Result<config::Builder, rustls::Error> {
    Ok(Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(https::client(RootCertStore::empty())?)
        .endpoint_url(endpoint)
        .region(Region::from_static("eu-central-1"))
        .credentials_provider(Credentials::new("local", "local", None, None, "local")))
}

#[expect(clippy::disallowed_methods, reason = "the local run gets its clock here, and only here")]
fn now() -> SystemTime {
    SystemTime::now()
}
