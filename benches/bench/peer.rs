//! The comparison with npm's `oidc-provider`, which also implements RFC 7592: the same deletes on the same database.
//!
//! The function runs behind the local front. The database and each server run in separate processes.

use crate::{
    Result,
    database::{self, Database},
    front, function, milliseconds,
};
use axum::{
    Router,
    body::{Body, HttpBody},
    extract::Request as Incoming,
    http::StatusCode,
    response::IntoResponse,
};
use futures::{StreamExt, TryStreamExt, stream};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::TokioExecutor,
};
use lambda_http::http::{Request, Uri, header::CONTENT_TYPE};
use serde_json::Value;
use std::{
    fmt::Write,
    fs, future, io,
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

/// The package of oidc-provider and its adapters. It is installed in [`FOLDER`], which is as deep as the folder of the
/// sources, because the path of deregister's adapter in it is relative.
const PACKAGE: &str = include_str!("peer/package.json");
const FILES: [(&str, &str); 4] = [
    ("package.json", PACKAGE),
    ("package-lock.json", include_str!("peer/package-lock.json")),
    ("adapters.mjs", include_str!("peer/adapters.mjs")),
    ("server.mjs", include_str!("peer/server.mjs")),
];
const FOLDER: &str = "target/bench/peer";
/// For each side: the adapter with which oidc-provider registers the clients, and the name of the server that deletes
/// them.
const SIDES: [(&str, &str); 3] = [
    (DEREGISTER, "deregister, local front"),
    ("plain", "oidc-provider, plain adapter"),
    ("tuned", "oidc-provider, tuned adapter"),
];
/// The adapter of `integrations/oidc-provider`. With it, deregister deletes the clients.
const DEREGISTER: &str = "deregister";
/// The numbers of connections that are measured.
const CONNECTIONS: [usize; 2] = [1, MANY];
/// The larger number of connections. Requests that are not measured also run this many at once.
const MANY: usize = 16;
/// The number of clients in a round.
const ROUND: usize = 200;
/// The first rounds, which are not counted. oidc-provider is slower until Node.js has compiled it.
const WARM_UP: usize = 5;
/// The time limit of the installation and of a start.
const TIMEOUT: Duration = Duration::from_mins(2);

/// Measures all sides in turn, `rounds` times at each number of connections. Returns a table. If the measurement fails,
/// returns a sentence with the reason.
pub(crate) async fn compare(rounds: usize) -> String {
    let compared = measure(rounds).await;
    compared.unwrap_or_else(|error| format!("There is no comparison with oidc-provider: {error}\n"))
}

/// Serves a database with the tables of all sides. Prints its URL.
pub(crate) async fn serve_database() -> Result<()> {
    let database = Database::start().await?;
    for table in ["plain", "tuned"] {
        database.create_table(table).await?;
    }
    println!("{}", database.url);
    future::pending().await
}

/// Serves the function with the database at this URL. Prints its own URL.
pub(crate) async fn serve(database: &str) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("http://{}", listener.local_addr()?);
    Ok(front::serve(listener, function(database::connect(database)?)?, None).await?)
}

async fn measure(rounds: usize) -> Result<String> {
    let node = install().await?;
    let package: Value = serde_json::from_str(PACKAGE)?;
    let version = package.pointer("/dependencies/oidc-provider").and_then(Value::as_str).ok_or("no version")?;
    let database = Server::start(Command::new(std::env::current_exe()?).arg("--serve-database")).await?;
    let mut sides = Vec::new();
    for (adapter, name) in SIDES {
        let calls = count_calls(adapter, &database).await?;
        sides.push((name, calls, Side::start(adapter, &database.address).await?));
    }

    let mut table = String::from(
        "| server | connections | deletes a second | p50 | p99 | calls a delete | ratio |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for connections in CONNECTIONS {
        let mut deletes = SIDES.map(|_| Deletes::default());
        for round in 0..WARM_UP + rounds {
            for ((_, _, side), deletes) in sides.iter().zip(&mut deletes) {
                if round == WARM_UP {
                    *deletes = Deletes::default();
                }
                deletes.run(&side.deletes, side.register(ROUND).await?, connections).await?;
            }
        }
        let mut own = None;
        for ((name, calls, _), deletes) in sides.iter().zip(&mut deletes) {
            let rate = percentile(&mut deletes.rates, 50);
            let [p50, p99] = [50, 99].map(|hundredths| percentile(&mut deletes.times, hundredths));
            let ratio = *own.get_or_insert(rate) / rate;
            writeln!(
                table,
                "| {name} | {connections} | {rate:.0} | {p50:.2} ms | {p99:.2} ms | {calls:.2} | {ratio:.2} |"
            )?;
        }
    }
    writeln!(
        table,
        "\nEach row has {} deletes. The servers are measured in turn, after a warm-up. The deletes a second are the \
         median of {rounds} rounds. The ratio is the deletes a second of deregister, divided by those of the server. \
         oidc-provider {version} runs on Node.js {node}.\n\n\
         All servers answer RFC 7592's `DELETE`, on connections that stay open. All clients registered themselves at \
         oidc-provider. The database is an emulator of DynamoDB (SQLite in memory), in a separate process. For {ROUND} \
         other deletes, a proxy in front of the database counted the calls. The servers differ in this:\n\n\
         - The plain adapter follows oidc-provider's interface: an item for each model and id. The tuned adapter makes \
         the fewest calls: the item of a client contains its token, and one call deletes both. Both adapters remove \
         the client. Neither keeps a record.\n\
         - deregister replaces the client with a tombstone that records the deletion. Each request becomes an event of \
         API Gateway, and the function's answer becomes a response. The local front has two threads, and oidc-provider \
         has one.\n\
         - With deregister's adapter, oidc-provider registers the clients, and deregister deletes them. So \
         there is no row for oidc-provider with that adapter.",
        rounds * ROUND
    )?;
    Ok(table)
}

/// Counts the database calls of a delete, with a proxy in front of the database. The proxy is the same for each side.
async fn count_calls(adapter: &str, database: &Server) -> Result<f64> {
    let (proxy, count) = counting_proxy(&database.address).await?;
    let side = Side::start(adapter, &proxy).await?;
    let requests = side.register(ROUND).await?;
    let before = count.load(Ordering::Relaxed);
    Deletes::default().run(&side.deletes, requests, MANY).await?;
    Ok((count.load(Ordering::Relaxed) - before) as f64 / ROUND as f64)
}

/// Starts a proxy for this address. Returns the proxy's address, and its counter of requests.
async fn counting_proxy(to: &str) -> Result<(String, Arc<AtomicUsize>)> {
    let count = Arc::<AtomicUsize>::default();
    let (counted, to, client) = (Arc::clone(&count), to.to_owned(), http_client::<Body>());
    let router = Router::new().fallback(move |mut request: Incoming| {
        counted.fetch_add(1, Ordering::Relaxed);
        let (client, uri) = (client.clone(), format!("http://{to}{}", request.uri()).parse::<Uri>());
        async move {
            let Ok(uri) = uri else { return StatusCode::BAD_REQUEST.into_response() };
            *request.uri_mut() = uri;
            let answer = client.request(request).await;
            answer.map_or_else(|_| StatusCode::BAD_GATEWAY.into_response(), |answer| answer.map(Body::new))
        }
    });
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((address, count))
}

/// Installs oidc-provider. Returns the version of Node.js.
async fn install() -> Result<String> {
    fs::create_dir_all(FOLDER)?;
    for (name, text) in FILES {
        fs::write(Path::new(FOLDER).join(name), text)?;
    }
    let quietly =
        ["--install-links", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund", "--loglevel=error"];
    output("npm", &[&["ci", "--fetch-retries=1"], &quietly[..]].concat()).await?;
    output("node", &["--version"]).await
}

/// Runs a program in [`FOLDER`]. Returns its output.
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
}

/// The servers of a side. Registrations use another server, so they do not load the measured one.
struct Side {
    /// oidc-provider, which registers the clients.
    registers: Server,
    /// The server that is measured.
    deletes: Server,
}

impl Side {
    /// Starts the servers with this adapter. `database` is the host and the port of the database.
    async fn start(adapter: &str, database: &str) -> Result<Self> {
        let database = format!("http://{database}");
        let provider = async || {
            let mut command = Command::new("node");
            let command = command.args(["server.mjs", adapter]).current_dir(FOLDER).env("NODE_ENV", "production");
            let command = command.env("AWS_ENDPOINT_URL_DYNAMODB", &database).env("AWS_REGION", "eu-central-1");
            Server::start(command.env("AWS_ACCESS_KEY_ID", "bench").env("AWS_SECRET_ACCESS_KEY", "bench")).await
        };
        let deletes = if adapter == DEREGISTER {
            Server::start(Command::new(std::env::current_exe()?).args(["--serve", &database])).await?
        } else {
            provider().await?
        };
        Ok(Self { registers: provider().await?, deletes })
    }

    /// Registers clients (RFC 7591). Returns a request for each of them, which deletes it.
    async fn register(&self, clients: usize) -> Result<Vec<String>> {
        let client = http_client();
        stream::iter(0..clients).map(|_| self.register_one(&client)).buffer_unordered(MANY).try_collect().await
    }

    async fn register_one(&self, client: &HttpClient<Full<&'static [u8]>>) -> Result<String> {
        let metadata = br#"{
            "client_name": "Bench",
            "redirect_uris": ["https://example.com/callback"],
            "token_endpoint_auth_method": "none"
        }"#;
        let registration = Request::post(format!("http://{}/register", self.registers.address));
        let registration = registration.header(CONTENT_TYPE, "application/json").body(Full::new(&metadata[..]))?;
        let answer = client.request(registration).await?.into_body().collect().await?.to_bytes();
        let answer: Value = serde_json::from_slice(&answer)?;
        let member = |name| answer.get(name).and_then(Value::as_str).ok_or_else(|| answer.to_string());
        let endpoint: Uri = member("registration_client_uri")?.parse()?;
        Ok(request(&self.deletes.address, endpoint.path(), member("registration_access_token")?))
    }
}

type HttpClient<B> = legacy::Client<HttpConnector, B>;

fn http_client<B>() -> HttpClient<B>
where
    B: HttpBody + Send,
    B::Data: Send,
{
    legacy::Client::builder(TokioExecutor::new()).build_http()
}

/// The deletes of one side at one number of connections.
#[derive(Default)]
struct Deletes {
    /// The time of each delete, in milliseconds.
    times: Vec<f64>,
    /// The deletes a second of each round.
    rates: Vec<f64>,
}

impl Deletes {
    /// Sends these requests over several connections. A connection sends its next request after the last answer.
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
        self.rates.push(requests.len() as f64 / begun.elapsed().as_secs_f64());
        self.times.extend(times.into_iter().flatten());
        Ok(())
    }
}

/// A percentile of these values. Sorts them.
fn percentile(values: &mut [f64], hundredths: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() * hundredths / 100).copied().unwrap_or(f64::NAN)
}

/// The request that deletes the client at `path`, as it is sent. It is written without an HTTP library, so that the
/// measurement itself costs little.
fn request(host: &str, path: &str, token: &str) -> String {
    format!("DELETE {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n")
}

/// Sends a request and reads the answer. The status must be 204, so there is no body.
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
