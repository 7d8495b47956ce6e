//! `just bench`: the cost of a request. Each figure and the one that it is compared with are measured in turn.
//!
//! It needs the builds of the function and of the programs in `benches/floors`. It prints tables, and writes them with
//! JSON and a picture to a folder. It never fails because of a ratio: the ratios only inform.
#![expect(clippy::cast_precision_loss, reason = "the counts stay far below 2^52")]

#[expect(dead_code, reason = "the benchmark of memory uses TLS too")]
mod canned;
mod database;
#[path = "../../examples/local/envelope.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod envelope;
#[path = "../../examples/local/front.rs"]
mod front;
#[path = "../../tests/support/http.rs"]
mod http;
mod machine;
mod peer;
mod platform;
mod report;
#[path = "../../tests/support/runtime_api.rs"]
mod runtime_api;
#[path = "../../examples/local/sample.rs"]
mod sample;
#[path = "../floors/sdk.rs"]
mod sdk;
mod timing;
#[path = "../../tests/support/tls.rs"]
mod tls;

use clap::{Parser, ValueEnum};
use database::Database;
use deregister::{
    functions::{self, Delete},
    http::event::{Event, EventResponse},
    model::{Deletion, Id},
    rule::Authorization,
    settings::{Endpoints, Variables},
    snapshot::{Key, Record, Snapshot},
    store::{Fault, Store, WriteOutcome},
};
use lambda_http::{LambdaEvent, lambda_runtime::Context};
use platform::Environment;
use report::{Row, Sample};
use sample::{APPLICATION, OTHER_APPLICATION, OWNER};
use serde_json::{Value, json};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{
    alloc::System,
    collections::BTreeSet,
    error::Error,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime},
};
use tokio::{task::JoinSet, time::Instant};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Measures the function.
#[derive(Parser)]
struct Options {
    /// The folder to which cargo-lambda writes the static builds
    #[arg(long, default_value = "target/lambda")]
    builds: PathBuf,
    /// The empty handler, built for the C library of this machine
    #[arg(long, default_value = "target/release/floor")]
    ordinary: PathBuf,
    /// The folder for bench.json, table.md and ratios.svg
    #[arg(long, default_value = "target/bench/results")]
    out: PathBuf,
    /// A hundredth of the items and a fifth of the repetitions, to check that the benchmark works
    #[arg(long)]
    quick: bool,
    /// Only this part, without writing files
    #[arg(long)]
    only: Option<Part>,
    /// Only serve a database, for the comparison with oidc-provider
    #[arg(long, hide = true)]
    serve_database: bool,
    /// Only serve the function with the database at this URL, for the same comparison
    #[arg(long, hide = true)]
    serve: Option<String>,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

/// The names of the programs and calls that the function is compared with.
const ORDINARY: &str = "ordinary empty handler";
const STATIC: &str = "static empty handler";
const CALLS: &str = "its two SDK calls";
/// The first deletes of a process, which are not counted.
const WARM_UP: usize = 50;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main(worker_threads = 2)]
async fn main() -> Result<()> {
    let options = Options::parse();
    if options.serve_database {
        return peer::serve_database().await;
    }
    if let Some(database) = options.serve {
        return peer::serve(&database).await;
    }
    let build = |name| options.builds.join(name).join("bootstrap");
    let bench = Bench {
        function: build("deregister"),
        ordinary: options.ordinary.clone(),
        empty: build("floor"),
        empty_with_tls: build("floor-tls"),
        calls: build("floor-calls"),
        threads: build("floor-threads"),
        times: if options.quick { 1 } else { 5 },
        items: if options.quick { 10_000 } else { 1_000_000 },
    };

    let (mut rows, mut tables) = (Vec::new(), Vec::new());
    for part in Part::value_variants().iter().filter(|part| options.only.is_none_or(|only| only == **part)) {
        match part {
            Part::Start => rows.extend(bench.start().await?),
            Part::First => rows.extend(bench.first_delete().await?),
            Part::Warm => {
                rows.extend(Box::pin(bench.warm_delete()).await?);
                rows.push(bench.without_runtime().await?);
            }
            Part::Instructions => rows.extend(bench.instructions().await?),
            Part::Memory => rows.extend(bench.memory().await?),
            Part::Size => rows.extend(bench.size()?),
            Part::Others => rows.extend(bench.other_clients().await?),
            Part::Counts => tables.push(bench.counts().await?),
            Part::Environments => tables.push(bench.environments().await?),
            Part::Concurrency => tables.extend([bench.concurrency().await?, bench.threads()?]),
            Part::Peer => tables.push(peer::compare(2 * bench.times).await),
            Part::Timing => tables.push(timing::compare(1000 * bench.times).await?),
        }
    }
    if !rows.is_empty() {
        tables.insert(0, report::table(&rows));
    }
    let table = tables.join("\n");

    if options.only.is_none() {
        fs::create_dir_all(&options.out)?;
        fs::write(options.out.join("bench.json"), serde_json::to_string_pretty(&rows)?)?;
        fs::write(options.out.join("ratios.svg"), report::picture(&rows))?;
        fs::write(options.out.join("table.md"), &table)?;
    }
    println!("{}\n\n{table}", machine::machine());
    Ok(())
}

/// A part of the measurements.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// From the start of the process to its first request for an event
    Start,
    /// The first delete
    First,
    /// A later delete
    Warm,
    /// Instructions
    Instructions,
    /// Peak memory
    Memory,
    /// The size of the binary
    Size,
    /// A delete beside many other clients
    Others,
    /// Round trips and allocations
    Counts,
    /// Several environments at once
    Environments,
    /// Several invocations at once in one environment
    Concurrency,
    /// Another server on the same database
    Peer,
    /// Whether the time of an answer reveals more than the answer
    Timing,
}

/// The programs that are measured. All except `ordinary` are static builds.
struct Bench {
    function: PathBuf,
    /// The empty handler, built for the C library of this machine.
    ordinary: PathBuf,
    /// The empty handler, built like the function.
    empty: PathBuf,
    empty_with_tls: PathBuf,
    /// A handler that makes only the two SDK calls of a delete.
    calls: PathBuf,
    /// The function and its database in one process, on as many threads as its argument says.
    threads: PathBuf,
    /// The factor of all numbers of repetitions.
    times: usize,
    /// The size of the large table.
    items: usize,
}

impl Bench {
    /// The time from the start of the process to its first request for an event.
    async fn start(&self) -> Result<Vec<Row>> {
        let database = Database::start().await?;
        let (url, certificates) = database.behind_tls().await?;
        let over_tls = [("AWS_ENDPOINT_URL_DYNAMODB", url.as_str()), ("AWS_CA_BUNDLE", certificates.as_str())];
        let sides = [
            (&self.function, &[("OPENING_TIMEOUT_MS", "0")][..]),
            (&self.function, &over_tls[..]),
            (&self.ordinary, &[][..]),
            (&self.empty, &[][..]),
        ];
        let mut times = sides.map(|_| Vec::new());
        for _ in 0..20 * self.times {
            for ((program, variables), times) in sides.iter().zip(&mut times) {
                times.push(milliseconds(Environment::start(&[program], variables).await?.start));
            }
        }
        let [ours, opened, ordinary, empty] = times;
        let (ours, opened) = (Sample::of("function", "ms", ours), Sample::of("function", "ms", opened));
        let (ordinary, empty) = (Sample::of(ORDINARY, "ms", ordinary), Sample::of(STATIC, "ms", empty));
        Ok(vec![
            Row::new("start, connection not opened", ours.clone(), ordinary.clone(), Some(0.85)),
            Row::new("start, compared with a static handler", ours, empty.clone(), Some(1.65)),
            Row::new("start, connection opened over TLS", opened, empty, None),
        ])
    }

    /// The first delete of a new environment, compared with the later ones, over TLS.
    async fn first_delete(&self) -> Result<Vec<Row>> {
        let database = Database::start().await?;
        let (url, certificates) = database.behind_tls().await?;
        let (starts, each) = (8 * self.times, 20);
        database.fill("tls", APPLICATION, 2 * starts * each)?;
        let mut targets = (0..).map(|n| format!("tls-{n}"));
        let mut rows = Vec::new();
        for (figure, opening, to_reach) in [
            ("first delete, connection opened at the start", "1000", Some(1.5)),
            ("first delete, connection not opened", "0", None),
        ] {
            let (mut first, mut warm) = (Vec::new(), Vec::new());
            for _ in 0..starts {
                let variables = [
                    ("AWS_ENDPOINT_URL_DYNAMODB", url.as_str()),
                    ("AWS_CA_BUNDLE", certificates.as_str()),
                    ("OPENING_TIMEOUT_MS", opening),
                ];
                let mut environment = Environment::start(&[&self.function], &variables).await?;
                first.push(delete(&mut environment, &targets.next().unwrap_or_default()).await?);
                for _ in 1..each {
                    warm.push(delete(&mut environment, &targets.next().unwrap_or_default()).await?);
                }
            }
            rows.push(Row::new(figure, Sample::of("first", "ms", first), Sample::of("warm", "ms", warm), to_reach));
        }
        Ok(rows)
    }

    /// A later delete, compared with a handler that makes only its two SDK calls.
    async fn warm_delete(&self) -> Result<Vec<Row>> {
        let database = Database::start().await?;
        let (url, certificates) = database.behind_tls().await?;
        let in_the_clear = [("AWS_ENDPOINT_URL_DYNAMODB", database.url.as_str())];
        let over_tls = [("AWS_ENDPOINT_URL_DYNAMODB", url.as_str()), ("AWS_CA_BUNDLE", certificates.as_str())];
        let pairs = 200 * self.times;
        let mut rows = Vec::new();
        for (figure, processor_figure, prefix, variables) in [
            ("warm delete", "processor time of a warm delete", "clear", &in_the_clear[..]),
            ("warm delete over TLS", "processor time of a warm delete over TLS", "tls", &over_tls[..]),
        ] {
            database.fill(prefix, APPLICATION, 2 * (pairs + WARM_UP))?;
            let variables = [&[("CLIENTS_TABLE", "clients")], variables].concat();
            let mut function = Environment::start(&[&self.function], &variables).await?;
            let mut calls = Environment::start(&[&self.calls], &variables).await?;
            let (mut times, mut processor_times) = ([Vec::new(), Vec::new()], [0.0; 2]);
            for n in 0..pairs + WARM_UP {
                if n == WARM_UP {
                    times = [Vec::new(), Vec::new()];
                    processor_times = [function.processor_time()?, calls.processor_time()?];
                }
                let [ours, bare] = &mut times;
                ours.push(delete(&mut function, &format!("{prefix}-{}", 2 * n)).await?);
                let target = serde_json::to_string(&format!("{prefix}-{}", 2 * n + 1))?;
                bare.push(deleted(calls.invoke(target).await?)?);
            }
            let [ours, bare] = times;
            let [ours_before, bare_before] = processor_times;
            let each = |name, time| Sample::of(name, "ms", vec![time / pairs as f64]);
            let limit = (prefix == "clear").then_some(1.05);
            rows.push(Row::new(figure, Sample::of("function", "ms", ours), Sample::of(CALLS, "ms", bare), limit));
            rows.push(Row::new(
                processor_figure,
                each("function", function.processor_time()? - ours_before),
                each(CALLS, calls.processor_time()? - bare_before),
                None,
            ));
        }
        Ok(rows)
    }

    /// A later delete and its two SDK calls in this process, without Lambda's runtime.
    async fn without_runtime(&self) -> Result<Row> {
        let database = Database::start().await?;
        let pairs = 200 * self.times;
        database.fill("warm", APPLICATION, 2 * pairs)?;
        let function = function(database.store.clone())?;
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for n in 0..pairs {
            let event = event(&format!("warm-{}", 2 * n));
            let begun = Instant::now();
            let event: Event = serde_json::from_str(&event)?;
            let answer = serde_json::to_vec(&function.call(LambdaEvent::new(event, context(n))).await?)?;
            ours.push(milliseconds(begun.elapsed()));
            if !answer.starts_with(br#"{"statusCode":204"#) {
                return Err(format!("not deleted: {}", String::from_utf8_lossy(&answer)).into());
            }
            let target = format!("warm-{}", 2 * n + 1);
            let begun = Instant::now();
            sdk::delete(&database.client, &target).await.map_err(|error| error.to_string())?;
            bare.push(milliseconds(begun.elapsed()));
        }
        let (ours, bare) = (Sample::of("function", "ms", ours), Sample::of(CALLS, "ms", bare));
        Ok(Row::new("warm delete, without the runtime", ours, bare, None))
    }

    /// The instructions of a start and of a request, counted by callgrind.
    ///
    /// Those of a request are the difference between a long and a short run, divided by the difference of the requests.
    async fn instructions(&self) -> Result<Vec<Row>> {
        const FEW: usize = 20;
        const MANY: usize = 120;
        let database = Database::start().await?;
        database.fill("few", APPLICATION, FEW)?;
        database.fill("many", APPLICATION, MANY)?;
        let mut starts = Vec::new();
        for program in [&self.function, &self.empty] {
            starts.push(instructions_of(program, &database.url, Vec::new()).await?);
        }
        let [ours, start_of_empty] = starts.try_into().map_err(|_| "two starts")?;
        let refused = |_: &str, _: usize| event("refused").replace("Basic ", "Digest ");
        let deleted = |run: &str, n: usize| event(&format!("{run}-{n}"));
        let bare = |run: &str, n: usize| json!(format!("{run}-calls-{n}")).to_string();
        database.fill("few-calls", APPLICATION, FEW)?;
        database.fill("many-calls", APPLICATION, MANY)?;
        let mut counts = Vec::new();
        for (program, event_of) in [
            (&self.empty, &refused as &dyn Fn(&str, usize) -> String),
            (&self.function, &refused),
            (&self.calls, &bare),
            (&self.function, &deleted),
        ] {
            let mut runs = Vec::new();
            for (run, requests) in [("few", FEW), ("many", MANY)] {
                let events: Vec<String> = (0..requests).map(|n| event_of(run, n)).collect();
                runs.push(instructions_of(program, &database.url, events).await?);
            }
            let [few, many] = runs.try_into().map_err(|_| "two runs")?;
            counts.push((many - few) / (MANY - FEW) as f64);
        }
        let [empty, refused, bare, deleted] = counts.try_into().map_err(|_| "four counts")?;
        let row = |figure, ours: f64, name, beside: f64| {
            let sample = |name, count| Sample::of(name, "thousand instructions", vec![count / 1e3]);
            Row::new(figure, sample("function", ours), sample(name, beside), None)
        };
        Ok(vec![
            row("instructions, start", ours, STATIC, start_of_empty),
            row("instructions, refused at parsing", refused, STATIC, empty),
            row("instructions, delete", deleted, CALLS, bare),
        ])
    }

    /// The peak of a process's resident memory, after a thousand requests if the run is not `--quick`.
    async fn memory(&self) -> Result<Vec<Row>> {
        let requests = 200 * self.times;
        let database = Database::start().await?;
        let (url, certificates) = database.behind_tls().await?;
        let in_the_clear = [("AWS_ENDPOINT_URL_DYNAMODB", database.url.as_str())];
        let over_tls = [("AWS_ENDPOINT_URL_DYNAMODB", url.as_str()), ("AWS_CA_BUNDLE", certificates.as_str())];
        let sides = [
            ("ordinary", &self.ordinary, &[][..]),
            ("empty", &self.empty, &[][..]),
            ("empty-tls", &self.empty_with_tls, &over_tls[..]),
            ("clear", &self.function, &in_the_clear[..]),
            ("tls", &self.function, &over_tls[..]),
        ];
        let mut peaks = sides.map(|_| Vec::new());
        for run in 0..2 * self.times {
            for ((side, program, variables), peaks) in sides.iter().zip(&mut peaks) {
                let prefix = format!("memory-{side}-{run}");
                database.fill(&prefix, APPLICATION, requests)?;
                let mut environment = Environment::start(&[program], variables).await?;
                for n in 0..requests {
                    delete(&mut environment, &format!("{prefix}-{n}")).await?;
                }
                peaks.push(environment.peak_memory()? as f64 / 1024.0);
            }
        }
        let [ordinary, empty, empty_with_tls, clear, tls] = peaks;
        let (clear, tls) = (Sample::of("function", "MiB", clear), Sample::of("function", "MiB", tls));
        let (ordinary, empty) = (Sample::of(ORDINARY, "MiB", ordinary), Sample::of(STATIC, "MiB", empty));
        let empty_with_tls = Sample::of("static empty handler with TLS", "MiB", empty_with_tls);
        Ok(vec![
            Row::new("peak memory", clear.clone(), ordinary.clone(), Some(1.3)),
            Row::new("peak memory, compared with a static handler", clear, empty, None),
            Row::new("peak memory, over TLS", tls.clone(), ordinary, Some(1.6)),
            Row::new("peak memory, compared with a handler with TLS", tls, empty_with_tls, None),
        ])
    }

    /// The size of the stripped binary, compared with its target.
    fn size(&self) -> Result<Vec<Row>> {
        let deflated = Command::new("gzip").args(["-9", "-c"]).arg(&self.function).output()?;
        let megabytes = |name: &str, bytes: f64| Sample::of(name, "MB", vec![bytes / 1e6]);
        let row = |figure, bytes: u64, limit| {
            Row::new(figure, megabytes("function", bytes as f64), megabytes("target", limit), Some(1.0))
        };
        Ok(vec![
            row("stripped binary", fs::metadata(&self.function)?.len(), 6.5e6),
            row("stripped binary, deflated", deflated.stdout.len() as u64, 2.9e6),
        ])
    }

    /// A delete in a large table, compared with one in a small table. Also a delete in a table with many clients of
    /// another application, compared with one in a table without them.
    async fn other_clients(&self) -> Result<Vec<Row>> {
        let mut rows = Vec::new();
        for (figure, application, small, large) in [
            ("delete, by the size of the table", APPLICATION, self.items / 1000, self.items),
            ("delete, by the clients of others", OTHER_APPLICATION, 0, self.items / 10),
        ] {
            let mut sides = Vec::new();
            for items in [small, large] {
                let database = Database::start().await?;
                database.fill("filling", application, items)?;
                database.fill("target", APPLICATION, 100 * self.times)?;
                let function = function(database.store.clone())?;
                sides.push((items, database, function, Vec::new()));
            }
            for n in 0..100 * self.times {
                for (_, _, function, times) in &mut sides {
                    let event: Event = serde_json::from_str(&event(&format!("target-{n}")))?;
                    let begun = Instant::now();
                    function.call(LambdaEvent::new(event, context(n))).await?;
                    times.push(milliseconds(begun.elapsed()));
                }
            }
            let mut samples =
                sides.into_iter().map(|(items, _, _, times)| Sample::of(&format!("{items} items"), "ms", times));
            let (Some(small), Some(large)) = (samples.next(), samples.next()) else { return Err("two sides".into()) };
            rows.push(Row::new(figure, large, small, Some(1.1)));
        }
        Ok(rows)
    }

    /// Counts of round trips, and of allocations in the function's own code.
    async fn counts(&self) -> Result<String> {
        let function = function(Canned)?;
        let deletes = 1000;
        let one = async |n| {
            let event: Event = serde_json::from_str(&event("target"))?;
            let answer: EventResponse = function.call(LambdaEvent::new(event, context(n))).await?;
            if answer.response.status() == 204 {
                Ok::<_, Box<dyn Error>>(())
            } else {
                Err(format!("{answer:?}").into())
            }
        };
        one(0).await?;
        let region = Region::new(ALLOCATOR);
        for n in 0..deletes {
            one(n).await?;
        }
        let all = region.change();

        // The allocations of the store and of the invocation's context are not the function's.
        let id = |id: &str| Id::new(id).map(Key::Client).ok_or("an id");
        let keys = vec![BTreeSet::from([id(OWNER.0)?, id(sample::TARGET)?]); deletes];
        let region = Region::new(ALLOCATOR);
        for (n, keys) in keys.into_iter().enumerate() {
            context(n);
            Canned.load(keys).await?;
        }
        let other = region.change();
        Ok(format!(
            "Round trips: 2 for a delete, 1 for a refusal, 0 for a request that is refused at parsing. `tests/suite` \
             checks these. In the function's own code, from the event's text to the answer and without the SDK, a \
             delete makes {} allocations of {} bytes in all.\n",
            (all.allocations - other.allocations) / deletes,
            (all.bytes_allocated - other.bytes_allocated) / deletes,
        ))
    }

    /// Deletes by several environments at once, in one table.
    async fn environments(&self) -> Result<String> {
        let each = 100 * self.times;
        let mut table = String::from("| environments at once | deletes a second | p50 | p99 |\n|---|---|---|---|\n");
        for environments in [1, 2, 4, 8] {
            let database = Database::start().await?;
            database.fill("load", APPLICATION, environments * each)?;
            let mut running = Vec::new();
            for _ in 0..environments {
                let variables = [("AWS_ENDPOINT_URL_DYNAMODB", database.url.as_str())];
                running.push(Environment::start(&[&self.function], &variables).await?);
            }
            let begun = Instant::now();
            let mut deletes = JoinSet::new();
            for (run, mut environment) in running.into_iter().enumerate() {
                deletes.spawn(async move {
                    let mut times = Vec::new();
                    for n in run * each..(run + 1) * each {
                        times.push(delete(&mut environment, &format!("load-{n}")).await.unwrap_or(f64::NAN));
                    }
                    times
                });
            }
            let mut times: Vec<f64> = deletes.join_all().await.into_iter().flatten().collect();
            let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
            times.sort_by(f64::total_cmp);
            let at = |hundredths: usize| times.get(times.len() * hundredths / 100).copied().unwrap_or(f64::NAN);
            writeln!(table, "| {environments} | {rate:.0} | {:.2} ms | {:.2} ms |", at(50), at(99))?;
        }
        Ok(table)
    }

    /// Deletes by one environment that gets several invocations at once. The database answers from memory.
    async fn concurrency(&self) -> Result<String> {
        let deletes = 1000 * self.times;
        let url = canned::start(None, Duration::ZERO)?;
        let mut table = String::from(
            "| invocations at once | deletes a second | ratio | processor time a delete | p50 | p99 | peak memory |\n\
             |---|---|---|---|---|---|---|\n",
        );
        let mut alone = f64::NAN;
        for invocations in ["1", "8", "64"] {
            let variables = [("AWS_ENDPOINT_URL_DYNAMODB", url.as_str()), ("AWS_LAMBDA_MAX_CONCURRENCY", invocations)];
            let mut environment = Environment::start(&[&self.function], &variables).await?;
            let mut times = Vec::new();
            let (mut begun, mut processor_time) = (Instant::now(), 0.0);
            for counted in [WARM_UP, deletes] {
                times.clear();
                (begun, processor_time) = (Instant::now(), environment.processor_time()?);
                for _ in 0..counted {
                    environment.send(event(sample::TARGET))?;
                }
                for _ in 0..counted {
                    times.push(deleted(environment.answer().await?)?);
                }
            }
            let rate = deletes as f64 / begun.elapsed().as_secs_f64();
            let processor_time = (environment.processor_time()? - processor_time) / deletes as f64;
            if invocations == "1" {
                alone = rate;
            }
            times.sort_by(f64::total_cmp);
            let at = |hundredths: usize| times.get(times.len() * hundredths / 100).copied().unwrap_or(f64::NAN);
            writeln!(
                table,
                "| {invocations} | {rate:.0} | {:.2} | {processor_time:.3} ms | {:.2} ms | {:.2} ms | {:.1} MiB |",
                rate / alone,
                at(50),
                at(99),
                environment.peak_memory()? as f64 / 1024.0
            )?;
        }
        Ok(table)
    }

    /// Deletes a second on one thread and on two, with a database in the same process and without a Runtime API.
    fn threads(&self) -> Result<String> {
        let mut rates = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..self.times {
            for (rates, processes) in rates.iter_mut().zip([&["1"][..], &["2"], &["1", "1"]]) {
                let running =
                    processes.iter().map(|threads| self.start_threads(threads)).collect::<Result<Vec<_>>>()?;
                let mut rate = 0.0;
                for process in running {
                    let printed = String::from_utf8(process.wait_with_output()?.stderr)?;
                    rate += printed.trim().parse::<f64>().map_err(|_| printed)?;
                }
                rates.push(rate);
            }
        }
        let [one, two, processes] = rates.map(|rates| Sample::of("threads", "deletes a second", rates).median);
        Ok(format!(
            "| | deletes a second | ratio | target |\n|---|---|---|---|\n| one thread | {one:.0} | 1.00 | – |\n\
             | two threads | {two:.0} | {:.2} | ≥ 1.70 |\n\
             | two processes of one thread, which share nothing | {processes:.0} | {:.2} | – |\n",
            two / one,
            processes / one,
        ))
    }

    fn start_threads(&self, threads: &str) -> Result<Child> {
        let variables = [
            ("AWS_LAMBDA_RUNTIME_API", "none"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "bench"),
            ("AWS_SECRET_ACCESS_KEY", "bench"),
        ];
        let mut command = Command::new(&self.threads);
        command.args([threads, "20000"]).env_clear().envs(variables).stdout(Stdio::null()).stderr(Stdio::piped());
        Ok(command.spawn()?)
    }
}

/// A store with prepared answers. So only the function's own code costs time and memory.
#[derive(Clone)]
struct Canned;

impl Store for Canned {
    async fn load(&self, keys: BTreeSet<Key>) -> std::result::Result<Snapshot, Fault> {
        let record = |key: &Key| match key {
            Key::Client(id) if id.as_str() == OWNER.0 => sample::owner(),
            _ => sample::target(),
        };
        Ok(keys.into_iter().map(|key| (key.clone(), Record::Client(record(&key)))).collect())
    }

    async fn write_tombstone(&self, _: &Authorization<'_>, _: &Deletion) -> std::result::Result<WriteOutcome, Fault> {
        Ok(WriteOutcome::Written)
    }
}

/// Deletes this client in an environment. Returns the time until the answer, in milliseconds.
async fn delete(environment: &mut Environment, target: &str) -> Result<f64> {
    deleted(environment.invoke(event(target)).await?)
}

/// The time until this answer, in milliseconds. Fails if the status is not 204.
fn deleted((time, answer): (Duration, Value)) -> Result<f64> {
    if answer.get("statusCode") == Some(&json!(204)) { Ok(milliseconds(time)) } else { Err(answer.to_string().into()) }
}

/// The instructions of a process that starts and answers these events, counted by callgrind.
async fn instructions_of(program: &Path, database: &str, events: Vec<String>) -> Result<f64> {
    let out = std::env::temp_dir().join(format!("deregister-callgrind-{}", std::process::id()));
    let out_option = format!("--callgrind-out-file={}", out.display());
    let valgrind = ["/usr/bin/env", "valgrind", "--quiet", "--tool=callgrind", &out_option].map(Path::new);
    let command: Vec<&Path> = valgrind.into_iter().chain([program]).collect();
    let variables = [
        ("AWS_ENDPOINT_URL_DYNAMODB", database),
        ("OPENING_TIMEOUT_MS", "0"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ];
    let mut environment = Environment::start(&command, &variables).await?;
    for event in events {
        environment.invoke(event).await?;
    }
    environment.terminate()?;
    let counted = fs::read_to_string(&out)?;
    let total = counted.lines().find_map(|line| line.strip_prefix("totals: ")).ok_or("no totals of callgrind")?;
    Ok(total.trim().parse()?)
}

/// The event of the vendor's sample call, with this client to delete.
fn event(target: &str) -> String {
    include_str!("../../events/configuration/deleted.json").replace(sample::TARGET, target)
}

/// The context of an invocation.
fn context(n: usize) -> Context {
    let mut context = Context::default();
    context.request_id = format!("bench-{n}");
    context
}

/// The function over this store.
fn function<S: Store>(store: S) -> Result<Delete<S>> {
    let endpoints = Endpoints::read(&Variables::default())?;
    Ok(Delete::new(store, endpoints, now, functions::Environment::default()))
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[expect(clippy::disallowed_methods, reason = "the benchmark gets its clock here, and only here")]
fn now() -> SystemTime {
    SystemTime::now()
}
