//! `just bench-tool`: how long the operator's tool takes, and how much memory, beside a million clients and with 5 ms a
//! database call.
//!
//! The database is embedded in this process, behind a proxy that waits before each call. Memory is the peak of the
//! tool's resident set, as Linux reports it. It fails if a run of the tool fails, or prints a wrong number of lines.
#![expect(clippy::cast_precision_loss, reason = "the counts stay far below 2^52")]

use aws_sdk_dynamodb::{
    config::{BehaviorVersion, Builder, Credentials, Region},
    types::AttributeValue as Value,
};
use axum::{Router, body::Body, http::StatusCode, response::IntoResponse};
use clap::Parser;
use deregister::{
    dynamodb::{ClientsTable, https, item, schema},
    model::{Client, Id, Idle, Kind, Metadata, OAuthClient},
};
use dynoxide::{AttributeValue, Database, ImportOptions};
use hyper_util::{client::legacy, rt::TokioExecutor};
use rustls::RootCertStore;
use std::{
    collections::HashMap,
    error::Error,
    fs::{self, File},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, SystemTime},
};
use tokio::{net::TcpListener, time::Instant};

/// Measures the operator's tool.
#[derive(Parser)]
struct Options {
    /// The tool
    tool: PathBuf,
    /// A hundredth of the clients, to see that it works
    #[arg(long)]
    quick: bool,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The delay that the proxy adds to each database call.
const CALL_DELAY: Duration = Duration::from_millis(5);
/// The maximum number of clients in one import.
const IMPORT_SIZE: usize = 50_000;
/// The time between two looks at the memory of the tool.
const MEMORY_INTERVAL: Duration = Duration::from_millis(20);

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let Options { tool, quick, .. } = Options::parse();
    let (clients, some) = if quick { (10_000, 100) } else { (1_000_000, 10_000) };
    let (database, endpoint) = start().await?;
    fill(&database, clients - some, some)?;
    let folder = std::env::temp_dir().join(format!("deregister-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let bench = Bench { tool, endpoint, folder };

    println!("# {clients} clients, {some} of them deleted; 5 ms a database call\n");
    println!("| command | segments | lines | seconds | ratio | peak memory (MB) |\n|---|---|---|---|---|---|");
    for (line, lines) in [("client list", clients - some), ("deletion list --since 1d", some)] {
        let mut first = None;
        for segments in [1, 8] {
            let ran = bench.run(&format!("--json {line} --segments {segments}"), lines).await?;
            let ratio = *first.get_or_insert(ran.seconds) / ran.seconds;
            println!("| `{line}` | {segments} | {lines} | {:.1} | {ratio:.2} | {:.1} |", ran.seconds, ran.megabytes);
        }
    }

    println!(
        "\n# {some} clients beside them\n\n| command | seconds | a second | peak memory (MB) |\n|---|---|---|---|"
    );
    let list = bench.folder.join("list.jsonl");
    let entry =
        |n| format!("{{\"client_id\":\"new-{n}\",\"registration_access_token\":\"a token of the client {n}\"}}\n");
    fs::write(&list, (0..some).map(entry).collect::<String>())?;
    let list = list.display();
    for (name, line, lines) in [
        ("import", format!("--json import --format rfc7591 {list}"), 1),
        ("client delete", format!("--json client delete --from {list} --yes"), some),
        ("client restore", format!("--json client restore --from {list}"), some),
    ] {
        let ran = bench.run(&line, lines).await?;
        let rate = some as f64 / ran.seconds;
        println!("| `{name}` | {:.1} | {rate:.0} | {:.1} |", ran.seconds, ran.megabytes);
    }
    fs::remove_dir_all(&bench.folder)?;
    Ok(())
}

/// Runs the tool.
struct Bench {
    tool: PathBuf,
    endpoint: String,
    /// For the files.
    folder: PathBuf,
}

struct Ran {
    seconds: f64,
    megabytes: f64,
}

impl Bench {
    /// Runs the tool with the arguments of `line`. Fails unless the tool succeeds and prints this many lines.
    async fn run(&self, line: &str, lines: usize) -> Result<Ran> {
        let output = self.folder.join("output");
        let mut command = Command::new(&self.tool);
        command
            .args(line.split(' '))
            .env_clear()
            .env("AWS_ENDPOINT_URL_DYNAMODB", &self.endpoint)
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "bench")
            .env("AWS_SECRET_ACCESS_KEY", "bench")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .stdout(File::create(&output)?);
        let started = Instant::now();
        let child = command.spawn()?;
        let (is_success, megabytes) = tokio::task::spawn_blocking(move || watch(child)).await??;
        let seconds = started.elapsed().as_secs_f64();
        let printed = count_lines(&output)?;
        if !is_success || printed != lines {
            return Err(format!("deregisterctl {line}: success {is_success}, {printed} lines of {lines}").into());
        }
        Ok(Ran { seconds, megabytes })
    }
}

/// Waits for the tool. Returns whether it succeeded, and its peak memory in megabytes.
fn watch(mut child: Child) -> Result<(bool, f64)> {
    let status = format!("/proc/{}/status", child.id());
    let mut kilobytes = 0.0;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status.success(), kilobytes / 1024.0));
        }
        let text = fs::read_to_string(&status).unwrap_or_default();
        let peak = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
        kilobytes = peak.unwrap_or(kilobytes);
        thread::sleep(MEMORY_INTERVAL);
    }
}

fn count_lines(file: &Path) -> Result<usize> {
    Ok(fs::read_to_string(file)?.lines().count())
}

/// Starts the database. Returns it with the endpoint of the proxy.
async fn start() -> Result<(Database, String)> {
    let database = Database::memory()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let direct = format!("http://{}", listener.local_addr()?);
    tokio::spawn(dynoxide::server::serve_on(listener, database.clone()));
    let config = Builder::new()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(https::client(RootCertStore::empty())?)
        .endpoint_url(&direct)
        .region(Region::from_static("eu-central-1"))
        .credentials_provider(Credentials::new("bench", "bench", None, None, "bench"));
    ClientsTable::new(config, "clients", Duration::from_hours(24)).create_table().await?;

    let proxy = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let endpoint = format!("http://{}", proxy.local_addr()?);
    let client = legacy::Client::builder(TokioExecutor::new()).build_http::<Body>();
    let uri: http::Uri = direct.parse()?;
    let forward = async move |mut request: axum::extract::Request| {
        tokio::time::sleep(CALL_DELAY).await;
        *request.uri_mut() = uri;
        match client.request(request).await {
            Ok(answer) => answer.into_response(),
            Err(_) => StatusCode::BAD_GATEWAY.into_response(),
        }
    };
    tokio::spawn(async move { axum::serve(proxy, Router::new().fallback(forward)).await });
    Ok((database, endpoint))
}

/// Writes this many live clients, and this many that were deleted now.
fn fill(database: &Database, live: usize, deleted: usize) -> Result<()> {
    let now = now();
    let registered = Client {
        idle: Some(Idle::used(now)),
        ..Client::new(Kind::OAuth(OAuthClient {
            dynamic: true,
            metadata: Metadata {
                client_name: Some("A client of the benchmark".to_owned()),
                redirect_uris: Some(vec!["https://client.example/callback".to_owned()]),
                ..Metadata::default()
            },
            ..OAuthClient::default()
        }))
    };
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let number = |seconds: u64| Value::N(seconds.to_string());
    let text = |text: &str| Value::S(text.to_owned());
    let deletion = HashMap::from(
        [("at", number(seconds)), ("by", text("sweep")), ("via", text("sweep")), ("request_id", text("bench"))]
            .map(|(name, value)| (name.to_owned(), value)),
    );
    let ids: Vec<_> = (0..live + deleted).collect();
    for part in ids.chunks(IMPORT_SIZE) {
        let items = part.iter().map(|&n| {
            let id = Id::new(format!("client-{n}"))?;
            let mut item = item::of_client(&id, &registered);
            if n < deleted {
                let client = item.remove(schema::CLIENT)?;
                for name in [schema::IDLE, schema::IDLE_SINCE] {
                    item.remove(name);
                }
                item.insert(schema::TOMBSTONE.to_owned(), client);
                item.insert(schema::DELETED.to_owned(), Value::M(deletion.clone()));
                item.insert(schema::EXPIRES_AT.to_owned(), number(seconds + 86_400));
            }
            item.into_iter().map(|(name, value)| Some((name, embedded(value)?))).collect::<Option<_>>()
        });
        let items = items.collect::<Option<Vec<_>>>().ok_or("a client has a value of a type that no client has")?;
        database.import_items("clients", items, ImportOptions::default())?;
    }
    Ok(())
}

/// Converts a value of the SDK to the embedded database's type. `None` for types that no client has.
fn embedded(value: Value) -> Option<AttributeValue> {
    Some(match value {
        Value::S(text) => AttributeValue::S(text),
        Value::N(number) => AttributeValue::N(number),
        Value::Bool(yes) => AttributeValue::BOOL(yes),
        Value::L(items) => AttributeValue::L(items.into_iter().map(embedded).collect::<Option<_>>()?),
        Value::M(members) => {
            let members = members.into_iter().map(|(name, value)| Some((name, embedded(value)?)));
            AttributeValue::M(members.collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

#[expect(clippy::disallowed_methods, reason = "the tool has the real clock")]
fn now() -> SystemTime {
    SystemTime::now()
}
