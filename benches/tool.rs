//! `just bench-tool`: how long the operator's tool takes, and how much memory, beside a million clients and with 5 ms a
//! database call.
//!
//! The lists read pages that this process makes from memory, because the embedded database reads the whole table for each
//! page of a segment. The writes go to the embedded database. A proxy waits before each call. Memory is the peak of the
//! tool's resident set, as Linux reports it. The bench fails if a run of the tool fails, or prints a wrong number of lines.
#![expect(clippy::cast_precision_loss, reason = "the counts stay far below 2^52")]

use aws_sdk_dynamodb::config::{BehaviorVersion, Builder, Credentials, Region};
use axum::{Router, body::Body, http::StatusCode, response::IntoResponse};
use clap::Parser;
use deregister::dynamodb::{ClientsTable, https};
use dynoxide::Database;
use http_body_util::BodyExt;
use hyper_util::{client::legacy, rt::TokioExecutor};
use rustls::RootCertStore;
use serde_json::{Map, Value, json};
use std::{
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
/// The time between two looks at the memory of the tool.
const MEMORY_INTERVAL: Duration = Duration::from_millis(20);

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let Options { tool, quick, .. } = Options::parse();
    let (clients, batch) = if quick { (10_000, 100) } else { (1_000_000, 10_000) };
    let seconds = now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    let endpoint = start(Clients { count: clients, deleted: batch, seconds }).await?;
    let folder = std::env::temp_dir().join(format!("deregister-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let bench = Bench { tool, endpoint, folder };

    println!("# {clients} clients, {batch} of them deleted; {CALL_DELAY:?} a database call\n");
    println!("| command | segments | lines | seconds | ratio | peak memory (MB) |\n|---|---|---|---|---|---|");
    for (line, lines) in [("client list", clients - batch), ("deletion list --since 1d", batch)] {
        let mut first = None;
        for segments in [1, 8] {
            let ran = bench.run(&format!("--json {line} --segments {segments}"), lines).await?;
            let ratio = *first.get_or_insert(ran.seconds) / ran.seconds;
            println!("| `{line}` | {segments} | {lines} | {:.1} | {ratio:.2} | {:.1} |", ran.seconds, ran.megabytes);
        }
    }

    println!("\n# {batch} clients\n\n| command | seconds | a second | peak memory (MB) |\n|---|---|---|---|");
    let list = bench.folder.join("list.jsonl");
    let entry =
        |n| format!("{{\"client_id\":\"new-{n}\",\"registration_access_token\":\"a token of the client {n}\"}}\n");
    fs::write(&list, (0..batch).map(entry).collect::<String>())?;
    let list = list.display();
    for (name, line, lines) in [
        ("import", format!("--json import --format rfc7591 {list}"), 1),
        ("client delete", format!("--json client delete --from {list} --yes"), batch),
        ("client restore", format!("--json client restore --from {list}"), batch),
    ] {
        let ran = bench.run(&line, lines).await?;
        let rate = batch as f64 / ran.seconds;
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

/// Starts the database. Returns the endpoint of the proxy.
async fn start(clients: Clients) -> Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let direct = format!("http://{}", listener.local_addr()?);
    tokio::spawn(dynoxide::server::serve_on(listener, Database::memory()?));
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
        let target = request.headers().get("x-amz-target").and_then(|target| target.to_str().ok());
        if target.is_some_and(|target| target.ends_with(".Scan")) {
            let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
            return match body.ok().and_then(|body| clients.page(&serde_json::from_slice(&body).ok()?)) {
                Some(page) => page.into_response(),
                None => StatusCode::BAD_REQUEST.into_response(),
            };
        }
        *request.uri_mut() = uri;
        match client.request(request).await {
            Ok(answer) => answer.into_response(),
            Err(_) => StatusCode::BAD_GATEWAY.into_response(),
        }
    };
    tokio::spawn(async move { axum::serve(proxy, Router::new().fallback(forward)).await });
    Ok(endpoint)
}

/// The clients that the lists read. The first ones were deleted.
#[derive(Clone, Copy)]
struct Clients {
    count: usize,
    deleted: usize,
    /// When they were deleted or used, in seconds since the epoch.
    seconds: u64,
}

impl Clients {
    /// The answer to a scan. A filter selects the live or the deleted clients.
    fn page(self, scan: &Value) -> Option<String> {
        let number = |name: &str, default: usize| match scan.get(name) {
            Some(value) => value.as_u64().and_then(|value| usize::try_from(value).ok()),
            None => Some(default),
        };
        let (segment, segments, limit) = (number("Segment", 0)?, number("TotalSegments", 1)?, number("Limit", 1)?);
        let start = |segment| self.count * segment / segments;
        let after = scan.pointer("/ExclusiveStartKey/pk/S").and_then(Value::as_str);
        let first = match after {
            Some(key) => key.strip_prefix("client#client-")?.parse::<usize>().ok()? + 1,
            None => start(segment),
        };
        let (end, last) = (start(segment + 1), (first + limit).min(start(segment + 1)));
        let of_deleted = scan.pointer("/ExpressionAttributeNames/#attribute").is_some_and(|name| name == "tombstone");
        let items: Vec<_> = (first..last).filter(|n| (*n < self.deleted) == of_deleted).map(|n| self.item(n)).collect();
        let mut page = Map::from_iter([
            ("Count".to_owned(), items.len().into()),
            ("ScannedCount".to_owned(), (last - first).into()),
            ("Items".to_owned(), items.into()),
        ]);
        if last < end {
            page.insert("LastEvaluatedKey".to_owned(), json!({ "pk": { "S": key(last.checked_sub(1)?) } }));
        }
        serde_json::to_string(&page).ok()
    }

    fn item(self, n: usize) -> Value {
        let seconds = json!({ "N": self.seconds.to_string() });
        let client = json!({ "M": {
            "kind": { "S": "oauth" },
            "protected": { "BOOL": false },
            "version": { "N": "1" },
            "dynamic": { "BOOL": true },
            "metadata": { "M": {
                "client_name": { "S": "A client of the benchmark" },
                "redirect_uris": { "L": [{ "S": "https://client.example/callback" }] },
            } },
        } });
        if n < self.deleted {
            let deleted = json!({ "M": {
                "at": seconds,
                "by": { "S": "sweep" },
                "via": { "S": "sweep" },
                "request_id": { "S": "bench" },
            } });
            let expires_at = json!({ "N": (self.seconds + 86_400).to_string() });
            return json!({ "pk": { "S": key(n) }, "tombstone": client, "deleted": deleted, "expires_at": expires_at });
        }
        json!({ "pk": { "S": key(n) }, "client": client, "idle": { "S": "used#0" }, "idle_since": seconds })
    }
}

fn key(n: usize) -> String {
    format!("client#client-{n}")
}

#[expect(clippy::disallowed_methods, reason = "the tool has the real clock")]
fn now() -> SystemTime {
    SystemTime::now()
}
