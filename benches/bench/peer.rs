//! The comparison with a peer, npm's `oidc-provider`, which implements RFC 7592 too. The function runs behind the local
//! front. Each side is a process of its own.

use crate::{Result, database::Database, front, function, milliseconds, sample::SERVICE};
use deregister::model::{Client, Digest, Id, Kind, Metadata, OAuthClient};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy, rt::TokioExecutor};
use lambda_http::http::{Request, Uri, header::CONTENT_TYPE};
use serde_json::Value;
use std::{
    fmt::Write,
    fs, io,
    net::Ipv4Addr,
    path::Path,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
    task::JoinSet,
    time::{Instant, timeout},
};

/// The peer's package. It is installed outside the sources.
const PACKAGE: &str = include_str!("peer/package.json");
const FILES: [(&str, &str); 3] = [
    ("package.json", PACKAGE),
    ("package-lock.json", include_str!("peer/package-lock.json")),
    ("server.mjs", include_str!("peer/server.mjs")),
];
const FOLDER: &str = "target/bench/peer";
/// The clients of a round. Each is two entries in the peer's memory, the client and its token. The peer may drop the
/// oldest of more than 1,000 entries.
const ROUND: usize = 400;
/// The rounds that are not counted. The peer is slower until Node.js has compiled it.
const WARM_UP: usize = 5;
/// The time limit of an installation and of a start.
const TIMEOUT: Duration = Duration::from_mins(2);

/// Measures both sides in turn, `rounds` times at each number of connections. Returns a table, or a sentence that says
/// why there is none.
pub(crate) async fn compare(rounds: usize) -> String {
    let compared = measure(rounds).await;
    compared.unwrap_or_else(|error| format!("There is no comparison with oidc-provider: {error}\n"))
}

/// Serves this many clients that can delete themselves. Prints the address.
pub(crate) async fn serve(clients: usize) -> Result<()> {
    let database = Database::start().await?;
    for n in 0..clients {
        let client = OAuthClient {
            service_id: Some(Id::new(SERVICE).ok_or("an id")?),
            dynamic: true,
            registration_token_digest: Some(Digest::of(token(n))),
            metadata: Metadata {
                client_name: Some("Bench".to_owned()),
                redirect_uris: Some(vec!["https://example.com/callback".to_owned()]),
                token_endpoint_auth_method: Some("none".to_owned()),
                ..Metadata::default()
            },
        };
        let client = Client::new(Kind::OAuth(client));
        database.store.create_client(&Id::new(format!("peer-{n}")).ok_or("an id")?, &client).await?;
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("http://{}", listener.local_addr()?);
    Ok(front::serve(listener, function(database.store)?, None).await?)
}

/// The registration access token of a client that [`serve`] creates.
fn token(n: usize) -> String {
    format!("reg-23410913-abewfq.{n}")
}

async fn measure(rounds: usize) -> Result<String> {
    const CONNECTIONS: [usize; 2] = [1, 16];
    let node = install().await?;
    let package: Value = serde_json::from_str(PACKAGE)?;
    let version = package.pointer("/dependencies/oidc-provider").and_then(Value::as_str).ok_or("no version")?;
    let clients = CONNECTIONS.len() * (WARM_UP + rounds) * ROUND;
    let mut command = Command::new("node");
    let peer = Server::start(command.arg("server.mjs").current_dir(FOLDER).env("NODE_ENV", "production")).await?;
    let mut command = Command::new(std::env::current_exe()?);
    let own = Server::start(command.arg("--serve").arg(clients.to_string())).await?;
    let mut own_clients = 0..clients;

    let mut table = String::from("| server | connections | deletes a second | p50 | p99 |\n|---|---|---|---|---|\n");
    for connections in CONNECTIONS {
        let (mut peers, mut ours) = (Deletes::default(), Deletes::default());
        for round in 0..WARM_UP + rounds {
            if round == WARM_UP {
                (peers, ours) = (Deletes::default(), Deletes::default());
            }
            peers.run(&peer, peer.register().await?, connections).await?;
            let delete = |n| request(&own.address, &format!("/register/peer-{n}"), &token(n));
            let requests = own_clients.by_ref().take(ROUND).map(delete).collect();
            ours.run(&own, requests, connections).await?;
        }
        ours.row(&mut table, "deregister, local front", connections)?;
        peers.row(&mut table, &format!("oidc-provider {version}, Node.js {node}"), connections)?;
    }
    writeln!(
        table,
        "\n{} deletes a row, both servers in turn, after a warm-up. Both serve RFC 7592's `DELETE`, on connections that \
         stay open, to a client on the same machine. The rest differs:\n\n\
         - oidc-provider keeps its clients in the memory of its one process. It has one thread, answers through koa and \
         writes nothing.\n\
         - deregister reads and writes each client, with the record of its deletion, through HTTP. Its database is an \
         emulator of DynamoDB (SQLite in memory) in the same process, on two threads. Each request becomes an event of \
         API Gateway, and the function's answer becomes a response.",
        rounds * ROUND
    )?;
    Ok(table)
}

/// Installs the peer. Returns the version of Node.js that runs it.
async fn install() -> Result<String> {
    fs::create_dir_all(FOLDER)?;
    for (name, text) in FILES {
        fs::write(Path::new(FOLDER).join(name), text)?;
    }
    let quietly = ["--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"];
    output("npm", &[&["ci", "--fetch-retries=1"], &quietly[..]].concat()).await?;
    output("node", &["--version"]).await
}

/// Runs a program in the peer's folder. Returns what it prints.
async fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    let run = command.args(arguments).current_dir(FOLDER).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(TIMEOUT, run).await.map_err(|_| format!("{program} takes too long"))?;
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).lines().next().unwrap_or(program).into())
    }
}

/// A running server.
struct Server {
    _process: Child,
    /// The host and the port.
    address: String,
}

impl Server {
    /// Starts a server that prints its URL as soon as it listens.
    async fn start(command: &mut Command) -> Result<Self> {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.kill_on_drop(true).spawn()?;
        let mut stdout = BufReader::new(process.stdout.take().ok_or("no output")?);
        let mut url = String::new();
        timeout(TIMEOUT, stdout.read_line(&mut url)).await.map_err(|_| "a server takes too long to start")??;
        match url.trim().strip_prefix("http://") {
            Some(address) => Ok(Self { _process: process, address: address.to_owned() }),
            None => Err(String::from_utf8_lossy(&process.wait_with_output().await?.stderr).into()),
        }
    }

    /// Registers the clients of a round (RFC 7591). Returns a request for each that deletes it.
    async fn register(&self) -> Result<Vec<String>> {
        let client = legacy::Client::builder(TokioExecutor::new()).build_http::<Full<&[u8]>>();
        let metadata = br#"{
            "client_name": "Bench",
            "redirect_uris": ["https://example.com/callback"],
            "token_endpoint_auth_method": "none"
        }"#;
        let mut requests = Vec::new();
        for _ in 0..ROUND {
            let registration =
                Request::post(format!("http://{}/reg", self.address)).header(CONTENT_TYPE, "application/json");
            let answer = client.request(registration.body(Full::new(&metadata[..]))?).await?;
            let answer: Value = serde_json::from_slice(&answer.into_body().collect().await?.to_bytes())?;
            let member = |name| answer.get(name).and_then(Value::as_str).ok_or_else(|| answer.to_string());
            let endpoint: Uri = member("registration_client_uri")?.parse()?;
            requests.push(request(&self.address, endpoint.path(), member("registration_access_token")?));
        }
        Ok(requests)
    }
}

/// The deletes of one side at one number of connections.
#[derive(Default)]
struct Deletes {
    /// The milliseconds of each delete.
    times: Vec<f64>,
    /// The duration of all rounds.
    duration: Duration,
}

impl Deletes {
    /// Sends these requests. Each connection sends its next request when it has the answer to the last one.
    async fn run(&mut self, to: &Server, requests: Vec<String>, connections: usize) -> Result<()> {
        let mut opened = Vec::new();
        for _ in 0..connections {
            let connection = TcpStream::connect(&to.address).await?;
            connection.set_nodelay(true)?;
            opened.push(BufReader::new(connection));
        }
        let (requests, next) = (Arc::new(requests), Arc::new(AtomicUsize::new(0)));
        let begun = Instant::now();
        let mut workers = JoinSet::new();
        for mut connection in opened {
            let (requests, next) = (Arc::clone(&requests), Arc::clone(&next));
            workers.spawn(async move {
                let mut times = Vec::new();
                while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let begun = Instant::now();
                    delete(&mut connection, request).await?;
                    times.push(milliseconds(begun.elapsed()));
                }
                Ok(times)
            });
        }
        let times = workers.join_all().await.into_iter().collect::<io::Result<Vec<_>>>()?;
        self.duration += begun.elapsed();
        self.times.extend(times.into_iter().flatten());
        Ok(())
    }

    /// Adds a row to the table.
    fn row(mut self, table: &mut String, server: &str, connections: usize) -> Result<()> {
        self.times.sort_by(f64::total_cmp);
        let at = |hundredths| self.times.get(self.times.len() * hundredths / 100).copied().unwrap_or(f64::NAN);
        let rate = self.times.len() as f64 / self.duration.as_secs_f64();
        writeln!(table, "| {server} | {connections} | {rate:.0} | {:.2} ms | {:.2} ms |", at(50), at(99))?;
        Ok(())
    }
}

/// The bytes of the request to delete the client at `path`. They are written out, so that the measurement itself costs
/// little.
fn request(host: &str, path: &str, token: &str) -> String {
    format!("DELETE {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n")
}

/// Sends a request and reads the answer. It must be 204, and so ends with its header.
async fn delete(connection: &mut BufReader<TcpStream>, request: &str) -> io::Result<()> {
    connection.write_all(request.as_bytes()).await?;
    let mut line = String::new();
    connection.read_line(&mut line).await?;
    if !line.starts_with("HTTP/1.1 204 ") {
        return Err(io::Error::other(format!("the answer to {:?} is {line:?}", request.lines().next())));
    }
    while line != "\r\n" {
        line.clear();
        if connection.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}
