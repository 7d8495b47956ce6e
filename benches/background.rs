//! `just bench-background`: the cost of the cascade and of the sweep.
//!
//! It measures whether the cost grows with rows of other clients, and how much time the sweep saves because it works on
//! several clients at once. It also measures both at DynamoDB's limit for the writes of a partition.
//!
//! It prints ratios, and marks those that miss their target. It fails if rows of other clients change, or if a number
//! of calls grows with them. Times only inform.
#![expect(clippy::cast_precision_loss, reason = "the counts stay far below 2^52")]
#![expect(clippy::indexing_slicing, reason = "arrays of two are indexed with 0 and 1")]

use aws_sdk_dynamodb::{
    Client,
    config::{
        Builder, ConfigBag, HttpClient, Intercept, RuntimeComponents, SharedHttpClient,
        interceptors::BeforeSerializationInterceptorContextRef, timeout::TimeoutConfig,
    },
    error::BoxError,
    types::{
        AttributeDefinition, AttributeValue as Value, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType,
        Projection, ProjectionType, ScalarAttributeType, Select,
    },
};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use clap::{Parser, ValueEnum};
use deregister::{
    dynamodb::{
        ClientsTable, GrantsTable, connection, https,
        item::{self, Item as SdkItem},
    },
    functions::{Cascade, Environment, Sweep, cascade::Batch, sweep::Report},
    model::{Client as Registered, Digest, Id, Idle, IdlePolicy, Kind, Metadata, OAuthClient},
    settings::{self, Variables},
    store::{CallStatistics, Fault, Grants, GrantsPage},
    telemetry,
};
use dynoxide::{AttributeValue, ImportOptions, Item};
use lambda_http::{LambdaEvent, lambda_runtime::Context};
use rustls::RootCertStore;
use serde::de::IgnoredAny;
use serde_json::{Value as Json, json};
use std::{
    collections::{BTreeMap, HashMap},
    error::Error,
    fs,
    hash::{BuildHasher, Hasher, RandomState},
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};
use tokio::{net::TcpListener, runtime, time::Instant};

/// Measures the background functions.
#[derive(Parser)]
struct Options {
    /// A hundredth of the rows, to see that it works
    #[arg(long)]
    quick: bool,
    /// Only this part
    #[arg(long)]
    only: Option<Part>,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

/// A part of the measurements.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// The cascade in a table with grants of others
    Cascade,
    /// The same by an index
    Index,
    /// The cascade, killed
    Killed,
    /// The same by an index
    KilledIndex,
    /// The cascade by an index that lags
    Lag,
    /// The sweep in a table with busy clients
    Sweep,
    /// The sweep of several clients at once
    Concurrency,
    /// The cascade at the limit of a partition
    Limit,
    /// The same by an index
    LimitIndex,
    /// The sweep of 1 to 64 clients at once, with and without the limit of a partition
    SweepLimit,
}

/// The layout of the grants table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// The partition key is the client id.
    ByClient,
    /// The key is the id of the grant, and an index has the client id.
    ByIndex,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// How often each time is measured. The figure is the median.
const ROUNDS: usize = 5;
/// The highest ratio that meets the target.
const MAX_RATIO: f64 = 1.1;
/// The default of `SWEEP_CONCURRENCY`.
const CONCURRENCY: usize = 8;
/// How much longer a database call takes where only the concurrency matters.
const CALL_DELAY: Duration = Duration::from_millis(5);
/// The time after which a partition can take one more write. DynamoDB allows 1,000 a second.
const WRITE_INTERVAL: Duration = Duration::from_millis(1);
/// The unused time that a partition keeps for a burst of writes: at most the writes of one second.
const SAVED_WRITES: Duration = Duration::from_secs(1);
/// Lambda's longest time-out, in seconds.
const RUN_SECONDS: f64 = 900.0;
/// When each grant ends, in seconds since the epoch.
const ENDS: u64 = 4_000_000_000;
/// The highest `SWEEP_LIMIT`.
const MAX_SWEPT: usize = 100_000;
/// How long a deleted client can be restored.
const RETENTION: Duration = Duration::from_hours(24);
/// The most rows that are imported at once.
const IMPORT_SIZE: usize = 50_000;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let Options { quick, only, .. } = Options::parse();
    let (few, many) = if quick { (1_000, 10_000) } else { (100_000, 1_000_000) };
    let due = if quick { 10 } else { 1_000 };
    let rounds = if quick { 1 } else { 3 };
    for part in Part::value_variants().iter().filter(|part| only.is_none_or(|only| only == **part)) {
        match part {
            Part::Cascade => cascade(few, many, Layout::ByClient).await?,
            Part::Index => cascade(few, many, Layout::ByIndex).await?,
            Part::Killed => killed(few, many, Layout::ByClient).await?,
            Part::KilledIndex => killed(few, many, Layout::ByIndex).await?,
            Part::Lag => lag(few / 100).await?,
            Part::Sweep => sweep(due, many).await?,
            Part::Concurrency => concurrency(due).await?,
            Part::Limit => limit(few.min(10_000), rounds, Layout::ByClient).await?,
            Part::LimitIndex => limit(few.min(10_000), rounds, Layout::ByIndex).await?,
            Part::SweepLimit => sweep_limit(if quick { 20 } else { 500 }, rounds).await?,
        }
    }
    Ok(())
}

/// Looks for a live grant of a client as the sweep does, and purges its grants. Does so in a table without other
/// grants, and in a table with grants of other clients.
async fn cascade(few: usize, many: usize, layout: Layout) -> Result<()> {
    println!("# Cascade, {layout:?}: {few} grants of one client, with 0 and with {many} of others\n");
    let (alone, beside) = (Database::start(layout).await?, Database::start(layout).await?);
    beside.fill_grants("others", many)?;
    let (mut calls, mut look_calls) = ([0, 0], [0, 0]);
    let (mut times, mut by_itself) = (<[Vec<f64>; 2]>::default(), <[Vec<f64>; 2]>::default());
    let mut looks = <[Vec<f64>; 2]>::default();
    // Every grant has ended by then.
    let later = SystemTime::UNIX_EPOCH + Duration::from_secs(ENDS + 1);
    for _ in 0..ROUNDS {
        for (n, database) in [&alone, &beside].into_iter().enumerate() {
            database.fill_grants("the-client", few)?;
            by_itself[n].push(database.remove_by_itself("the-client")?);
            database.fill_grants("the-client", few)?;
            let (started, client, mut removed) = (Instant::now(), id("the-client")?, 0);
            let (is_live, statistics) = CallStatistics::collect(database.grants.is_any_live(&client, later)).await;
            assert!(!is_live?);
            looks[n].push(started.elapsed().as_secs_f64());
            look_calls[n] = statistics.attempts;
            let started = Instant::now();
            let purge = database.cascade.purge(&client, &mut removed);
            let (outcome, statistics) = CallStatistics::collect(purge).await;
            outcome?;
            times[n].push(started.elapsed().as_secs_f64());
            calls[n] = statistics.attempts;
            assert_eq!((removed, database.rows_of("the-client").await?), (few, 0));
        }
    }
    assert_eq!(beside.count("grants").await?, many, "grants of others");
    let ([alone, beside], [alone_itself, beside_itself]) = (times.map(median), by_itself.map(median));
    let ([alone_look, beside_look], [alone_calls, beside_calls]) = (looks.map(median), calls.map(f64::from));
    let [alone_look_calls, beside_look_calls] = look_calls.map(f64::from);
    println!("| | alone | with {many} | ratio | target |\n|---|---|---|---|---|");
    let calls_reached = row("database calls", alone_calls, beside_calls);
    row("seconds", alone, beside);
    print("seconds of the same calls to the embedded database, without the cascade", alone_itself, beside_itself, "–");
    row("the seconds, as multiples of these", alone / alone_itself, beside / beside_itself);
    let look_reached = row("database calls to find that no grant is live", alone_look_calls, beside_look_calls);
    row("seconds to find it", alone_look, beside_look);
    println!();
    assert!(calls_reached && look_reached, "the calls grow");
    Ok(())
}

/// Purges a client's grants in runs that are killed after a random number of calls, and a last run that is not.
async fn killed(few: usize, many: usize, layout: Layout) -> Result<()> {
    const KILLS: u32 = 10;
    println!("# Cascade, {layout:?}, killed {KILLS} times at random\n");
    let database = Database::start(layout).await?;
    // The grants that one call removes.
    let a_call = if layout == Layout::ByClient { 12 } else { 1 };
    database.fill_grants("others", many)?;
    let before = database.sum_of_others().await?;
    database.fill_grants("the-client", few)?;
    let client = id("the-client")?;
    let started = Instant::now();
    let mut left_before = Vec::new();
    for kill in 0..KILLS {
        let left = database.rows_of("the-client").await?;
        left_before.push(left);
        // A few of the calls that are still to be made, so that all runs have something to do.
        let mut random = RandomState::new().build_hasher();
        random.write_u32(kill);
        let calls = 1 + random.finish() % (left as u64 / a_call / u64::from(KILLS - kill)).max(1);
        database.calls.take();
        let mut removed = 0;
        tokio::select! {
            biased;
            () = database.calls.reach(calls) => {}
            outcome = database.cascade.purge(&client, &mut removed) => { outcome?; }
        }
    }
    database.cascade.purge(&client, &mut 0).await?;
    let left = database.rows_of("the-client").await?;
    println!("grants left before each killed run: {left_before:?}; after the last run: {left}");
    println!("in all {:.1} s", started.elapsed().as_secs_f64());
    assert_eq!(left, 0);
    let after = database.sum_of_others().await?;
    assert_eq!(before, after);
    println!("{} rows of others before and {} after, with the same sum\n", before.0, after.0);
    Ok(())
}

/// Invokes the cascade over an index that lags. Half of the client's grants were stored just before. One was removed,
/// and one now belongs to another client.
async fn lag(grants: usize) -> Result<()> {
    println!("# Cascade by an index that lags: {grants} grants of one client\n");
    println!(
        "| the lag in seconds | grants that the index shows at first | left of the client | of others | seconds |"
    );
    println!("|---|---|---|---|---|");
    for seconds in [1, 10] {
        let database = Database::start(Layout::ByIndex).await?;
        database.fill_grants("others", 1000)?;
        database.fill_grants("the-client", grants + 2)?;
        let index = Lagging::new(database.grants.clone(), Duration::from_secs(seconds));
        let key = |n: usize| HashMap::from([("id".to_owned(), Value::S(grant_id("the-client", n)))]);
        let earlier = Instant::now() - Duration::from_mins(1);
        for n in 0..grants + 2 {
            let is_new = n % 2 == 1 && n < grants;
            index.change(if is_new { Instant::now() } else { earlier }, key(n), true);
        }
        let [removed, moved] = [key(grants), key(grants + 1)];
        database.client.delete_item().table_name("grants").set_key(Some(removed.clone())).send().await?;
        let update = database.client.update_item().table_name("grants").set_key(Some(moved.clone()));
        let update = update.update_expression("SET client_id = :other");
        update.expression_attribute_values(":other", Value::S("another-client".to_owned())).send().await?;
        for key in [removed, moved] {
            index.change(Instant::now(), key, false);
        }
        let before = database.sum_of_others().await?;
        let shown = index.page(&id("the-client")?, None).await?.keys.len();
        let cascade = Cascade::new(database.store.clone(), index, now, Environment::default());
        let started = Instant::now();
        let response = cascade.call(deletion(now())?).await?;
        let left = database.rows_of("the-client").await?;
        let after = database.sum_of_others().await?;
        let time = started.elapsed().as_secs_f64();
        println!("| {seconds} | {shown} | {left} | {} before, {} after | {time:.1} |", before.0, after.0);
        assert!(response.batch_item_failures.is_empty());
        assert_eq!((left, before), (0, after));
    }
    println!();
    Ok(())
}

/// The event for the deletion of `the-client` at this time.
fn deletion(at: SystemTime) -> Result<LambdaEvent<Batch>> {
    let record = json!({ "dynamodb": {
        "SequenceNumber": "1",
        "Keys": { "pk": { "S": "client#the-client" } },
        "ApproximateCreationDateTime": at.duration_since(SystemTime::UNIX_EPOCH)?.as_secs(),
    } });
    let batch = serde_json::from_value(json!({ "Records": [record] }))?;
    let mut context = Context::default();
    let end = now() + Duration::from_mins(15);
    context.deadline = end.duration_since(SystemTime::UNIX_EPOCH)?.as_millis().try_into()?;
    Ok(LambdaEvent::new(batch, context))
}

/// Sweeps the same number of due clients in a small table and in a large one.
async fn sweep(due: usize, many: usize) -> Result<()> {
    println!("# Sweep: {due} clients that are due, of {} and of {many}\n", due * 10);
    let (small, large) = (Database::start(Layout::ByClient).await?, Database::start(Layout::ByClient).await?);
    small.fill_clients("busy", due * 9, true)?;
    large.fill_clients("busy", many - due, true)?;
    for database in [&small, &large] {
        database.fill_clients("idle-0", due, false)?;
        let before = database.sum_of_clients().await?;
        let (observed, calls, _) = database.sweep(false, due, CONCURRENCY).await?;
        assert_eq!(
            (observed.swept, database.sum_of_clients().await?),
            (due, before),
            "a run that observes changed something"
        );
        assert!(calls.keys().all(|call| ["BatchGetItem", "Query"].contains(&call.as_str())), "{calls:?}");
        println!("calls of a run that observes: {calls:?}");
    }
    let mut reads = [0, 0];
    let mut times = <[Vec<f64>; 2]>::default();
    for round in 0..ROUNDS {
        for (n, database) in [&small, &large].into_iter().enumerate() {
            database.fill_clients(&format!("idle-{round}"), due, false)?;
            let (swept, calls, time) = database.sweep(true, due, CONCURRENCY).await?;
            assert_eq!((swept.swept, swept.complete), (due, true), "{swept:?}");
            if round == 0 {
                println!("calls of a run that deletes: {calls:?}");
            }
            reads[n] = calls.iter().filter(|(call, _)| *call != "UpdateItem").map(|(_, count)| count).sum();
            times[n].push(time);
        }
    }
    println!("\n| | of {} | of {many} | ratio | target |\n|---|---|---|---|---|", due * 10);
    let ([small, large], [small_time, large_time]) = (reads.map(f64::from), times.map(median));
    let beside_few = row("reads", small, large);
    // Each partition is read twice, even if few clients are due.
    let beside_due =
        row("reads without the 64 queries of the partitions, compared with the due clients", due as f64, large - 64.0);
    row("seconds", small_time, large_time);
    println!();
    assert!(beside_few && beside_due, "the reads of the sweep grow");
    Ok(())
}

/// Sweeps the same number of due clients one at a time and several at once, over a connection with a delay.
async fn concurrency(due: usize) -> Result<()> {
    println!("# Sweep: {due} clients that are due, with {CALL_DELAY:?} more for each database call\n");
    let database = Database::start_over(Layout::ByClient, Network::new(CALL_DELAY, false)).await?;
    let (mut calls, mut times) = (Vec::new(), <[Vec<f64>; 2]>::default());
    for round in 0..ROUNDS {
        for (n, concurrency) in [1, CONCURRENCY].into_iter().enumerate() {
            database.fill_clients(&format!("idle-{round}-{n}"), due, false)?;
            let (swept, made, time) = database.sweep(true, due, concurrency).await?;
            assert_eq!((swept.swept, swept.complete), (due, true), "{swept:?}");
            calls.push(made);
            times[n].push(time);
        }
    }
    assert!(calls.windows(2).all(|pair| pair[0] == pair[1]), "the calls differ: {calls:?}");
    let [one, several] = times.map(median);
    println!("| | 1 at a time | {CONCURRENCY} at a time | ratio | target |\n|---|---|---|---|---|");
    print("seconds", one, several, "–");
    print("clients a second", due as f64 / one, due as f64 / several, "–");
    println!();
    Ok(())
}

/// Invokes the cascade without and with DynamoDB's limit for a partition.
async fn limit(grants: usize, rounds: usize, layout: Layout) -> Result<()> {
    println!(
        "# Cascade at the limit of a partition, {layout:?}: {grants} grants of one client, {CALL_DELAY:?} more a call\n"
    );
    let database = Database::start(layout).await?;
    database.fill_grants("others", 1000)?;
    let before = database.sum_of_others().await?;
    let mut runs = <[Vec<Run>; 2]>::default();
    for _ in 0..rounds {
        for (n, is_limited) in [false, true].into_iter().enumerate() {
            database.fill_grants("the-client", grants)?;
            let work = async || {
                let network = Network::new(CALL_DELAY, is_limited);
                let database = database.reopen(network.clone()).await?;
                // The deletion is old enough that the cascade does not wait for the index. So it makes one pass.
                let event = deletion(now() - Duration::from_mins(1))?;
                let (run, response) = Run::of(&network, database.cascade.call(event)).await;
                assert!(response?.batch_item_failures.is_empty(), "the cascade failed");
                Ok(run)
            };
            runs[n].push(as_on_lambda(work())?);
            assert_eq!(database.rows_of("the-client").await?, 0);
        }
    }
    assert_eq!(before, database.sum_of_others().await?, "grants of others");
    println!("| limit | seconds | grants a second | share of the limit | calls | refused | partly done | processor |");
    println!("|---|---|---|---|---|---|---|---|");
    for (limit, runs) in ["none", "1,000 writes a second"].into_iter().zip(runs) {
        let Run { seconds, processor, calls, refused, partial } = Run::median(runs);
        let rate = grants as f64 / seconds;
        let (share, of_processor) = (100.0 * rate * WRITE_INTERVAL.as_secs_f64(), 100.0 * processor / seconds);
        println!(
            "| {limit} | {seconds:.2} | {rate:.0} | {share:.0} % | {calls} | {refused} | {partial} | {of_processor:.0} % |"
        );
    }
    println!();
    Ok(())
}

/// Sweeps due clients with different values of `SWEEP_CONCURRENCY`, without and with DynamoDB's limit for a partition.
/// The number of clients grows with the concurrency, up to sixteen times, so that the runs take about the same time.
async fn sweep_limit(due: usize, rounds: usize) -> Result<()> {
    println!("# Sweep by SWEEP_CONCURRENCY, {CALL_DELAY:?} more a call\n");
    println!(
        "Two columns are extrapolated: the clients of a run of 15 minutes, and the minutes for {MAX_SWEPT} clients."
    );
    println!("A run stops after SWEEP_LIMIT clients. The highest SWEEP_LIMIT is {MAX_SWEPT}.\n");
    println!(
        "| at a time | limit | clients | seconds | clients a second | in 15 minutes | minutes for {MAX_SWEPT} | calls | refused | processor | processor (ms a client) |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let database = Database::start(Layout::ByClient).await?;
    for concurrency in [1, 4, 8, 16, 32, 64] {
        let clients = due * concurrency.min(16);
        let mut runs = <[Vec<Run>; 2]>::default();
        for round in 0..rounds {
            for (n, is_limited) in [false, true].into_iter().enumerate() {
                database.fill_clients(&format!("idle-{concurrency}-{round}-{n}"), clients, false)?;
                let work = async || {
                    let network = Network::new(CALL_DELAY, is_limited);
                    let database = database.reopen(network.clone()).await?;
                    let (run, swept) = Run::of(&network, database.sweep(true, clients, concurrency)).await;
                    let (swept, ..) = swept?;
                    assert_eq!((swept.swept, swept.failed, swept.complete), (clients, 0, true), "{swept:?}");
                    Ok(run)
                };
                runs[n].push(as_on_lambda(work())?);
            }
        }
        for (limit, runs) in ["none", "1,000 writes a second"].into_iter().zip(runs) {
            let Run { seconds, processor, calls, refused, .. } = Run::median(runs);
            let (rate, of_processor) = (clients as f64 / seconds, 100.0 * processor / seconds);
            let each = 1000.0 * processor / clients as f64;
            let (of_run, minutes) = (rate * RUN_SECONDS, MAX_SWEPT as f64 / rate / 60.0);
            println!(
                "| {concurrency} | {limit} | {clients} | {seconds:.2} | {rate:.0} | {of_run:.0} | {minutes:.1} | {calls} | {refused} | {of_processor:.0} % | {each:.2} |"
            );
        }
    }
    println!();
    Ok(())
}

/// The cost of one run of a function.
struct Run {
    seconds: f64,
    /// The processor time of this thread, in seconds.
    processor: f64,
    calls: u32,
    refused: u32,
    partial: u32,
}

impl Run {
    /// Runs the work and measures it. Its calls go over this network.
    async fn of<T>(network: &Network, work: impl Future<Output = T>) -> (Self, T) {
        network.take();
        let (started, processor) = (Instant::now(), processor_seconds());
        let outcome = work.await;
        let (seconds, processor) = (started.elapsed().as_secs_f64(), processor_seconds() - processor);
        let Traffic { calls, refused, partial, .. } = network.take();
        // At first a partition can take no write, so the limit refuses some calls.
        assert_eq!(refused > 0, network.is_limited, "the limit does not see the writes");
        (Self { seconds, processor, calls, refused, partial }, outcome)
    }

    /// The run with the median time.
    fn median(mut runs: Vec<Self>) -> Self {
        runs.sort_by(|one, other| one.seconds.total_cmp(&other.seconds));
        runs.swap_remove(runs.len() / 2)
    }
}

/// Runs the work as on Lambda: on this thread only, and with the log. The database has other threads.
fn as_on_lambda<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::task::block_in_place(|| {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let log = telemetry::subscriber(None, now, io::sink);
        tracing::subscriber::with_default(log, || runtime.block_on(work))
    })
}

/// The processor time of this thread so far, in seconds. NaN on other systems than Linux.
fn processor_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split_whitespace().next().and_then(|count| count.parse::<u64>().ok());
    nanoseconds.map_or(f64::NAN, |count| Duration::from_nanos(count).as_secs_f64())
}

/// Prints a figure and the one that it is compared with. Returns whether their ratio meets the target.
fn row(figure: &str, beside: f64, ours: f64) -> bool {
    let reached = ours / beside <= MAX_RATIO;
    let verdict = if reached { "" } else { " **not reached**" };
    print(figure, beside, ours, &format!("≤ {MAX_RATIO:.2}{verdict}"));
    reached
}

fn print(figure: &str, beside: f64, ours: f64, to_reach: &str) {
    println!("| {figure} | {beside:.3} | {ours:.3} | {:.2} | {to_reach} |", ours / beside);
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn id(id: &str) -> Result<Id> {
    Ok(Id::try_from(id.to_owned())?)
}

#[expect(clippy::disallowed_methods, reason = "the benchmark gets its clock here, and only here")]
fn now() -> SystemTime {
    SystemTime::now()
}

/// The configuration that the functions have on Lambda, over this network.
async fn configure(endpoint: &str, network: Arc<Network>) -> Result<Builder> {
    let variables = Variables::from_iter([
        ("AWS_LAMBDA_RUNTIME_API", "bench"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "bench"),
        ("AWS_SECRET_ACCESS_KEY", "bench"),
        ("AWS_ENDPOINT_URL_DYNAMODB", endpoint),
    ]);
    let connection = connection::configure(&settings::Database::read(&variables)?, &variables).await?;
    Ok(connection.config.http_client(Remote { inner: https::client(RootCertStore::empty())?, network }))
}

/// A database with both tables.
struct Database {
    embedded: dynoxide::Database,
    endpoint: String,
    /// For the checks. It has no time-outs, because a scan of a large table in the embedded database is slow.
    client: Client,
    store: ClientsTable,
    grants: GrantsTable,
    cascade: Cascade<ClientsTable, GrantsTable>,
    layout: Layout,
    calls: Calls,
}

impl Database {
    async fn start(layout: Layout) -> Result<Self> {
        Self::start_over(layout, Network::new(Duration::ZERO, false)).await
    }

    /// Starts a database. Its calls go over this network.
    async fn start_over(layout: Layout, network: Arc<Network>) -> Result<Self> {
        let embedded = dynoxide::Database::memory()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        tokio::spawn(dynoxide::server::serve_on(listener, embedded.clone()));
        let config = configure(&endpoint, network.clone()).await?;
        ClientsTable::new(config.clone(), "clients", RETENTION).create_table().await?;
        create_grants(&Client::from_conf(config.build()), layout).await?;
        Self::open(embedded, endpoint, layout, network).await
    }

    /// Opens new connections to the same database, over this network.
    async fn reopen(&self, network: Arc<Network>) -> Result<Self> {
        Self::open(self.embedded.clone(), self.endpoint.clone(), self.layout, network).await
    }

    async fn open(
        embedded: dynoxide::Database,
        endpoint: String,
        layout: Layout,
        network: Arc<Network>,
    ) -> Result<Self> {
        let config = configure(&endpoint, network).await?;
        let client = Client::from_conf(config.clone().timeout_config(TimeoutConfig::disabled()).build());
        let calls = Calls::default();
        let config = config.interceptor(calls.clone());
        let store = ClientsTable::new(config.clone(), "clients", RETENTION);
        let variables =
            [("GRANTS_TABLE", "grants"), ("GRANTS_INDEX", if layout == Layout::ByIndex { "client" } else { "" })];
        let variables = Variables::from_iter(variables);
        let settings = settings::Grants::read(&variables, &settings::Database::read(&variables)?)?;
        let grants = GrantsTable::open(config, settings.ok_or("no grants table")?).await?;
        let cascade = Cascade::new(store.clone(), grants.clone(), now, Environment::default());
        Ok(Self { embedded, endpoint, client, store, grants, cascade, layout, calls })
    }

    /// Adds grants of one client. `others` stands for as many clients as have a thousand grants each.
    fn fill_grants(&self, client: &str, count: usize) -> Result<()> {
        let item = |n: usize| {
            let of = if client == "others" { format!("others-{}", n / 1000) } else { client.to_owned() };
            HashMap::from([
                member("id", text(&grant_id(&of, n))),
                member("client_id", text(&of)),
                member("grant_id", text(&format!("grant-{n}"))),
                member("subject", text("a-user-of-this-server")),
                member("scope", text("openid profile email offline_access")),
                member("refresh_token_digest", AttributeValue::B(vec![7; 32])),
                member("expires_at", AttributeValue::N(ENDS.to_string())),
            ])
        };
        self.import("grants", count, item)
    }

    /// Adds clients that registered themselves. A busy client was used within the last day, the others a year ago.
    fn fill_clients(&self, prefix: &str, count: usize, busy: bool) -> Result<()> {
        let client = Registered::new(Kind::OAuth(OAuthClient {
            service_id: Some(id("1")?),
            dynamic: true,
            registration_token_digest: None,
            metadata: Metadata { client_name: Some("Bench".to_owned()), ..Metadata::default() },
        }));
        let now = now();
        let item = |n: usize| {
            let ago = if busy { 60 * (n as u64 % 1000) } else { 365 * 24 * 3600 + n as u64 };
            let client = Registered { idle: Some(Idle::used(now - Duration::from_secs(ago))), ..client.clone() };
            let item = id(&format!("{prefix}-{n}")).ok().map(|id| item::of_client(&id, &client));
            item.into_iter().flatten().filter_map(|(name, value)| Some((name, embedded(value)?))).collect()
        };
        self.import("clients", count, item)
    }

    fn import(&self, table: &str, count: usize, item: impl Fn(usize) -> HashMap<String, AttributeValue>) -> Result<()> {
        for chunk in (0..count).collect::<Vec<_>>().chunks(IMPORT_SIZE) {
            let items = chunk.iter().map(|&n| item(n)).collect();
            self.embedded.import_items(table, items, ImportOptions::default())?;
        }
        Ok(())
    }

    /// Runs the sweep. Returns its report, its calls, and how many seconds it took.
    async fn sweep(
        &self,
        deletes: bool,
        due: usize,
        concurrency: usize,
    ) -> Result<(Report, BTreeMap<String, u32>, f64)> {
        let day = Duration::from_hours(24);
        let policy = IdlePolicy { unused: day, used: 90 * day };
        let sweep = Sweep {
            store: self.store.clone(),
            grants: None::<GrantsTable>,
            settings: settings::Sweep { deletes, policy, notice: None, limit: due + 1, concurrency },
            clock: now,
            environment: Environment::default(),
        };
        self.calls.take();
        let started = Instant::now();
        let mut context = Context::default();
        context.request_id = String::from("bench");
        let report = sweep.call(LambdaEvent::new(IgnoredAny, context)).await?;
        Ok((report, self.calls.take(), started.elapsed().as_secs_f64()))
    }

    /// Makes the calls of a purge directly in the embedded database, without SDK and HTTP. Returns how many seconds
    /// that takes: this part of a purge's time depends only on the database.
    fn remove_by_itself(&self, client: &str) -> Result<f64> {
        let of_client = json!({ ":client": { "S": client } });
        let mut query = json!({
            "TableName": "grants",
            "KeyConditionExpression": "client_id = :client",
            "ExpressionAttributeValues": of_client,
            "ProjectionExpression": "client_id, grant_id",
            "Limit": 1000,
        });
        if self.layout == Layout::ByIndex {
            query["IndexName"] = "client".into();
            query["ProjectionExpression"] = "id".into();
        }
        let started = Instant::now();
        loop {
            let keys = self.embedded.query(serde_json::from_value(query.clone())?)?.items.unwrap_or_default();
            if keys.is_empty() {
                return Ok(started.elapsed().as_secs_f64());
            }
            if self.layout == Layout::ByIndex {
                for key in keys {
                    let delete = json!({
                        "TableName": "grants",
                        "Key": key,
                        "ConditionExpression": "client_id = :client",
                        "ExpressionAttributeValues": of_client,
                    });
                    self.embedded.delete_item(serde_json::from_value(delete)?)?;
                }
                continue;
            }
            for keys in keys.chunks(25) {
                let removal = |key: &Item| json!({ "DeleteRequest": { "Key": key } });
                let removals: Vec<_> = keys.iter().map(removal).collect();
                let write = json!({ "RequestItems": { "grants": removals } });
                self.embedded.batch_write_item(serde_json::from_value(write)?)?;
            }
        }
    }

    async fn rows_of(&self, client: &str) -> Result<usize> {
        Ok(self.grants.count(&id(client)?, usize::MAX - 1).await?)
    }

    async fn count(&self, table: &str) -> Result<usize> {
        let (mut count, mut after) = (0, None);
        loop {
            let scan = self.client.scan().table_name(table).select(Select::Count).set_exclusive_start_key(after);
            let page = scan.send().await?;
            count += usize::try_from(page.count)?;
            after = page.last_evaluated_key;
            if after.is_none() {
                return Ok(count);
            }
        }
    }

    async fn sum_of_others(&self) -> Result<(usize, u64)> {
        self.sum("grants", |item| {
            item.get("client_id").and_then(|id| id.as_s().ok()).is_some_and(|id| id != "the-client")
        })
        .await
    }

    async fn sum_of_clients(&self) -> Result<(usize, u64)> {
        self.sum("clients", |_| true).await
    }

    /// The number of the items that count, and a hash of them that does not depend on their order.
    async fn sum(&self, table: &str, counts: impl Fn(&HashMap<String, Value>) -> bool) -> Result<(usize, u64)> {
        let hasher = std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default();
        let (mut count, mut sum, mut after) = (0, 0_u64, None);
        loop {
            let page = self.client.scan().table_name(table).set_exclusive_start_key(after).send().await?;
            for item in page.items().iter().filter(|item| counts(item)) {
                let ordered: BTreeMap<_, _> = item.iter().map(|(name, value)| (name, text_of(value))).collect();
                count += 1;
                sum = sum.wrapping_add(hasher.hash_one(ordered));
            }
            after = page.last_evaluated_key;
            if after.is_none() {
                return Ok((count, sum));
            }
        }
    }
}

/// A value as text, with the members of a map in order.
fn text_of(value: &Value) -> String {
    match value {
        Value::M(members) => {
            let members: BTreeMap<_, _> = members.iter().map(|(name, value)| (name, text_of(value))).collect();
            format!("{members:?}")
        }
        other => format!("{other:?}"),
    }
}

async fn create_grants(client: &Client, layout: Layout) -> Result<()> {
    let attribute =
        |name: &str| AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build();
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build();
    let by_client = vec![key("client_id", KeyType::Hash)?, key("grant_id", KeyType::Range)?];
    let create = client.create_table().table_name("grants").billing_mode(BillingMode::PayPerRequest);
    let create = create.attribute_definitions(attribute("client_id")?).attribute_definitions(attribute("grant_id")?);
    let create = match layout {
        Layout::ByClient => create.set_key_schema(Some(by_client)),
        Layout::ByIndex => {
            let projection = Projection::builder().projection_type(ProjectionType::Include);
            let projection = projection.non_key_attributes("expires_at").build();
            let index = GlobalSecondaryIndex::builder().index_name("client").set_key_schema(Some(by_client));
            let create = create.attribute_definitions(attribute("id")?).key_schema(key("id", KeyType::Hash)?);
            create.global_secondary_indexes(index.projection(projection).build()?)
        }
    };
    create.send().await?;
    Ok(())
}

/// The id of a grant. With [`Layout::ByIndex`] it is the key.
fn grant_id(client: &str, n: usize) -> String {
    format!("{client} grant-{n}")
}

/// An index of grants that shows each change only after a time. The embedded database's own index has no lag. The
/// removals are real.
struct Lagging {
    inner: GrantsTable,
    lag: Duration,
    /// The changes of the index: when, of which grant, and whether the index shows it then.
    changes: Mutex<Vec<(Instant, SdkItem, bool)>>,
}

impl Lagging {
    fn new(inner: GrantsTable, lag: Duration) -> Self {
        Self { inner, lag, changes: Mutex::default() }
    }

    fn change(&self, at: Instant, key: SdkItem, shown: bool) {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push((at, key, shown));
    }
}

impl Grants for Lagging {
    type Key = SdkItem;
    type Cursor = ();

    async fn page(&self, _: &Id, _: Option<()>) -> std::result::Result<GrantsPage<SdkItem, ()>, Fault> {
        let changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut shown = BTreeMap::new();
        for (at, key, is_shown) in changes.iter() {
            if at.elapsed() >= self.lag {
                shown.insert(format!("{key:?}"), (key.clone(), *is_shown));
            }
        }
        let keys = shown.into_values().filter_map(|(key, is_shown)| is_shown.then_some(key)).collect();
        Ok(GrantsPage { keys, next: None })
    }

    fn lag(&self) -> Duration {
        self.inner.lag()
    }

    async fn remove(&self, client: &Id, keys: Vec<SdkItem>, removed: &mut usize) -> std::result::Result<(), Fault> {
        let result = self.inner.remove(client, keys.clone(), removed).await;
        for key in keys {
            self.change(Instant::now(), key, false);
        }
        result
    }

    async fn is_any_live(&self, client: &Id, now: SystemTime) -> std::result::Result<bool, Fault> {
        self.inner.is_any_live(client, now).await
    }
}

fn member(name: &str, value: AttributeValue) -> (String, AttributeValue) {
    (name.to_owned(), value)
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
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

/// A simulated network between the SDK and the embedded database: a delay before each call, and optionally DynamoDB's
/// limit for the writes of a partition.
///
/// Each write takes one unit. A partition has no units at first. It gains one every [`WRITE_INTERVAL`], and keeps at
/// most the units of [`SAVED_WRITES`]. The limit applies to the partitions with many items: a client's grants in the
/// table or in its index, and the partitions of the index of idle clients. If an index is at its limit, DynamoDB
/// refuses the write to the table.
#[derive(Debug)]
struct Network {
    delay: Duration,
    is_limited: bool,
    traffic: Mutex<Traffic>,
}

/// The calls over a network, and the state of the limit.
#[derive(Debug, Default)]
struct Traffic {
    calls: u32,
    /// The calls that were refused, because the partition was at its limit.
    refused: u32,
    /// The calls that left some items unprocessed.
    partial: u32,
    /// When each partition can take the next write.
    next_write: HashMap<String, Instant>,
}

impl Network {
    fn new(delay: Duration, is_limited: bool) -> Arc<Self> {
        Arc::new(Self { delay, is_limited, traffic: Mutex::default() })
    }

    fn take(&self) -> Traffic {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a unit for each write, as long as the partition has units. Returns the number of writes that got one.
    fn admit(&self, partition: String, writes: usize) -> usize {
        let (mut traffic, now) = (self.lock(), Instant::now());
        let next = traffic.next_write.entry(partition).or_insert(now + WRITE_INTERVAL);
        *next = (*next).max(now - SAVED_WRITES);
        let mut admitted = 0;
        while admitted < writes && *next <= now {
            *next += WRITE_INTERVAL;
            admitted += 1;
        }
        traffic.refused += u32::from(admitted == 0);
        traffic.partial += u32::from(0 < admitted && admitted < writes);
        admitted
    }

    /// Applies the limit to a call. If a batch has too many writes, removes the last ones.
    fn limit(&self, request: &mut HttpRequest) -> Admission {
        let Some((partition, mut body, writes)) = writes(request) else { return Admission::Whole };
        let admitted = self.admit(partition, writes);
        if admitted == 0 {
            return Admission::Refused;
        }
        let list = body.pointer_mut("/RequestItems/grants").and_then(Json::as_array_mut);
        let Some(list) = list.filter(|_| admitted < writes) else { return Admission::Whole };
        let unprocessed = json!({ "UnprocessedItems": { "grants": list.split_off(admitted) } });
        let body = body.to_string();
        request.headers_mut().insert("content-length", body.len().to_string());
        *request.body_mut() = SdkBody::from(body);
        Admission::Part(unprocessed)
    }
}

/// The partition that a call writes to, the call's body, and the number of writes. `None` if the call does not write.
fn writes(request: &HttpRequest) -> Option<(String, Json, usize)> {
    let operation = request.headers().get("x-amz-target")?.rsplit('.').next()?;
    if !["BatchWriteItem", "DeleteItem", "UpdateItem"].contains(&operation) {
        return None;
    }
    let body: Json = serde_json::from_slice(request.body().bytes()?).ok()?;
    let text = |path: &str| body.pointer(path).and_then(Json::as_str).map(ToOwned::to_owned);
    let (partition, writes) = match operation {
        "BatchWriteItem" => {
            let client = text("/RequestItems/grants/0/DeleteRequest/Key/client_id/S")?;
            (client, body.pointer("/RequestItems/grants")?.as_array()?.len())
        }
        // The write also removes the grant from the client's partition of the index.
        "DeleteItem" => (text("/ExpressionAttributeValues/:client/S")?, 1),
        // The write also removes the client from the index of idle clients. The shard is the first digit of the digest.
        _ => (Digest::of(text("/Key/pk/S")?.strip_prefix("client#")?).to_hex().get(..1)?.to_owned(), 1),
    };
    Some((partition, body, writes))
}

/// How much of a call the limit admits.
enum Admission {
    Whole,
    /// A part of a batch. The value is DynamoDB's answer, which lists the rest.
    Part(Json),
    Refused,
}

/// An HTTP client whose calls go over a network.
#[derive(Debug)]
struct Remote<C> {
    inner: C,
    network: Arc<Network>,
}

impl HttpClient for Remote<SharedHttpClient> {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Remote { inner, network: self.network.clone() })
    }
}

impl HttpConnector for Remote<SharedHttpConnector> {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let (inner, network) = (self.inner.clone(), self.network.clone());
        HttpConnectorFuture::new(async move {
            network.lock().calls += 1;
            if !network.delay.is_zero() {
                tokio::time::sleep(network.delay).await;
            }
            let admission = if network.is_limited { network.limit(&mut request) } else { Admission::Whole };
            match admission {
                Admission::Whole => inner.call(request).await,
                Admission::Part(rest) => {
                    let done = inner.call(request).await?;
                    Ok(if done.status().is_success() { answer(done.status(), &rest) } else { done })
                }
                Admission::Refused => {
                    let error = json!({
                        "__type": "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
                        "message": "The level of configured provisioned throughput for the table was exceeded.",
                    });
                    let status = StatusCode::try_from(400).map_err(|error| ConnectorError::user(error.into()))?;
                    Ok(answer(status, &error))
                }
            }
        })
    }
}

fn answer(status: StatusCode, body: &Json) -> HttpResponse {
    HttpResponse::new(status, SdkBody::from(body.to_string()))
}

/// The SDK's hook that counts the calls of each operation.
#[derive(Debug, Clone, Default)]
struct Calls(Arc<Mutex<BTreeMap<String, u32>>>);

impl Calls {
    fn take(&self) -> BTreeMap<String, u32> {
        std::mem::take(&mut *self.lock())
    }

    /// Waits until this many calls were made after the last [`take`](Self::take).
    async fn reach(&self, calls: u64) {
        while self.lock().values().map(|&count| u64::from(count)).sum::<u64>() < calls {
            tokio::task::yield_now().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Intercept for Calls {
    fn name(&self) -> &'static str {
        "Calls"
    }

    fn read_before_serialization(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        if let Some(metadata) = config.load::<aws_smithy_runtime_api::client::orchestrator::Metadata>() {
            *self.lock().entry(metadata.name().to_owned()).or_default() += 1;
        }
        Ok(())
    }
}
