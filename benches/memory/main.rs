//! `just bench-memory`: the function with the share of a processor that Lambda gives at each memory size.
//!
//! The share is the quota of a control group of Linux. Only the measured process is in the group. The Runtime API and
//! the database are in this process, and the database answers from memory. The function is compared with a plain
//! function and with an empty handler. The programs are measured in turn.
//!
//! It prints tables, and writes them with JSON and a picture to a folder. It never fails because of a time.
#![expect(clippy::cast_precision_loss, reason = "the counts stay far below 2^52")]

#[path = "../bench/canned.rs"]
mod canned;
mod environment;
mod group;
#[path = "../../tests/support/http.rs"]
mod http;
#[path = "../bench/machine.rs"]
mod machine;
mod report;
#[path = "../../tests/support/runtime_api.rs"]
mod runtime_api;

use base64::{Engine, prelude::BASE64_STANDARD};
use canned::Certificate;
use clap::Parser;
use environment::Environment;
use group::Group;
use report::{Measured, Run};
use std::{
    error::Error,
    fs, iter,
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// Measures the function with Lambda's share of a processor.
#[derive(Parser)]
struct Options {
    /// The function
    #[arg(long, default_value = "target/lambda/deregister/bootstrap")]
    function: PathBuf,
    /// The empty handler, built for the C library of this machine
    #[arg(long, default_value = "target/release/floor")]
    empty: PathBuf,
    /// The plain function, built for the C library of this machine
    #[arg(long, default_value = "target/bench/plain/release/plain")]
    plain: PathBuf,
    /// The folder for memory.md, memory.json and memory.svg
    #[arg(long, default_value = "target/bench/results")]
    out: PathBuf,
    /// A small part of the repetitions, to check that the benchmark works
    #[arg(long)]
    quick: bool,
    /// What `cargo bench` passes
    #[arg(long, hide = true)]
    bench: bool,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The memory sizes, in MB.
const MEMORIES: [u32; 5] = [128, 256, 512, 1024, 1769];
/// The time after which the database answers a call, in milliseconds. All programs are measured with it.
const DELAY_MS: u64 = 5;
/// Other such times. Only the function is measured with them.
const OTHER_DELAYS_MS: [u64; 2] = [2, 10];
/// The shortest time from one spaced request to the next, in milliseconds. [`measure`] adds 0 to 19, so that requests
/// begin at all times of a period. The mean is 50.
const LEAST_SPACING_MS: f64 = 40.5;

/// The numbers of repetitions.
#[derive(Clone, Copy)]
pub(crate) struct Repetitions {
    /// Environments of each program at each memory size.
    pub(crate) environments: usize,
    /// Spaced deletes in each environment.
    pub(crate) spaced: usize,
    /// Deletes back to back in each environment.
    pub(crate) back_to_back: usize,
    /// Refusals back to back in each environment.
    pub(crate) refused: usize,
}

/// A program that is measured, and its database.
struct Program {
    name: &'static str,
    binary: PathBuf,
    variables: Vec<(&'static str, String)>,
    /// The time after which the database answers a call, in milliseconds.
    database_ms: u64,
    /// The status of the program's answer to a request without usable credentials.
    refusal: u16,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let repetitions = if options.quick {
        Repetitions { environments: 2, spaced: 5, back_to_back: 20, refused: 5 }
    } else {
        Repetitions { environments: 10, spaced: 20, back_to_back: 100, refused: 20 }
    };
    if let Err(error) = new_group(0, 128).map_err(Into::into).and_then(|group| group.usage()) {
        println!("Skipped: this machine does not permit a control group with a share of a processor ({error}).");
        return Ok(());
    }

    let binaries = [found(&options.function)?, found(&options.plain)?, found(&options.empty)?];
    let certificate = Certificate::new()?;
    let folder = std::env::temp_dir().join(format!("deregister-bench-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let (own, all) = (folder.join("own.pem"), folder.join("all.pem"));
    let roots = rustls_native_certs::load_native_certs().certs;
    fs::write(&own, &certificate.pem)?;
    fs::write(&all, roots.iter().map(|root| pem(root)).chain([certificate.pem.clone()]).collect::<String>())?;

    let programs = programs(binaries, &certificate, &own, &all)?;
    let mut measured = Vec::new();
    for memory in MEMORIES {
        eprintln!("{memory} MB");
        let mut of_memory: Vec<_> =
            programs.iter().map(|program| Measured::new(memory, program.name, program.database_ms)).collect();
        for _ in 0..repetitions.environments {
            for (program, into) in programs.iter().zip(&mut of_memory) {
                measure(program, repetitions, into)?;
            }
        }
        measured.extend(of_memory);
    }
    fs::remove_dir_all(&folder)?;

    let text = format!(
        "{} The machine has {} root certificates.\n\n{}",
        machine::machine(),
        roots.len(),
        report::tables(&measured, repetitions)
    );
    fs::create_dir_all(&options.out)?;
    fs::write(options.out.join("memory.json"), serde_json::to_string_pretty(&report::figures(&measured))?)?;
    fs::write(options.out.join("memory.svg"), report::picture(&measured))?;
    fs::write(options.out.join("memory.md"), &text)?;
    println!("{text}");
    Ok(())
}

/// The absolute path of a program.
fn found(program: &Path) -> Result<PathBuf> {
    fs::canonicalize(program).map_err(|error| format!("{}: {error}", program.display()).into())
}

/// The programs, each with its database. `own` has only the database's certificate. `all` also has the machine's roots,
/// because the plain function reads all roots of the machine, as on Lambda.
fn programs(
    [deregister, plain, floor]: [PathBuf; 3],
    certificate: &Certificate,
    own: &Path,
    all: &Path,
) -> Result<Vec<Program>> {
    let [own, all] = [own, all].map(|file| file.display().to_string());
    let program = |name, binary, database_ms, refusal| {
        let url = canned::start(Some(certificate), Duration::from_millis(database_ms))?;
        let variables = vec![
            ("AWS_ENDPOINT_URL_DYNAMODB", url),
            ("AWS_CA_BUNDLE", own.clone()),
            ("SSL_CERT_FILE", all.clone()),
            ("CLIENTS_TABLE", "clients".to_owned()),
        ];
        Ok(Program { name, binary, variables, database_ms, refusal })
    };
    let compared = [
        program(report::FUNCTION, deregister.clone(), DELAY_MS, 401),
        program(report::PLAIN, plain, DELAY_MS, 401),
        program(report::FLOOR, floor, DELAY_MS, 204),
    ];
    let others = OTHER_DELAYS_MS.map(|delay| program(report::FUNCTION, deregister.clone(), delay, 401));
    compared.into_iter().chain(others).collect()
}

/// Measures the program in a new environment.
fn measure(program: &Program, repetitions: Repetitions, into: &mut Measured) -> Result<()> {
    let event = include_str!("../../events/configuration/deleted.json");
    let memory = into.memory.to_string();
    let variables: Vec<_> = program.variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let variables = [variables.as_slice(), &[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory.as_str())]].concat();
    let group = new_group(into.starts.len(), into.memory)?;
    let mut environment = Environment::start(&program.binary, group, &variables)?;

    into.starts.push(milliseconds(environment.start));
    let started = environment.group.usage()?;
    into.start_processor.push(started.processor - environment.before.processor);
    into.start_throttled.push((started.throttled - environment.before.throttled) as f64);
    let first = environment.invoke(event)?;
    first.expect(204)?;
    into.firsts.push(milliseconds(first.time));
    thread::sleep(Duration::from_millis(100));
    let answered = environment.group.usage()?;
    into.first_processor.push(answered.processor - started.processor);
    into.first_throttled.push((answered.throttled - started.throttled) as f64);

    let spacing = |n: usize| Duration::from_secs_f64((LEAST_SPACING_MS + (7 * n % 20) as f64) / 1e3);
    let steps = |count| (0..count).map(spacing);
    run(&mut environment, event, 204, steps(repetitions.spaced), &mut into.spaced)?;
    let at_once = |count| iter::repeat_n(Duration::ZERO, count);
    run(&mut environment, event, 204, at_once(repetitions.back_to_back), &mut into.back_to_back)?;
    if program.database_ms == DELAY_MS {
        let refused = event.replace("Basic ", "Digest ");
        run(&mut environment, &refused, program.refusal, at_once(repetitions.refused), &mut into.refused)?;
    }
    Ok(())
}

/// Sends the event repeatedly, and measures the answers. Each spacing is the least time from one event to the next.
fn run(
    environment: &mut Environment,
    event: &str,
    status: u16,
    spacings: impl Iterator<Item = Duration>,
    into: &mut Run,
) -> Result<()> {
    let mut before = environment.group.usage()?;
    let mut due = Instant::now();
    for spacing in spacings {
        let answered = environment.invoke(event)?;
        answered.expect(status)?;
        due = Instant::now().max(due + spacing);
        thread::sleep(due - Instant::now());
        let after = environment.group.usage()?;
        into.times.push(milliseconds(answered.time));
        into.whole.push(milliseconds(answered.whole));
        into.processor += after.processor - before.processor;
        into.throttled += usize::from(after.throttled > before.throttled);
        before = after;
    }
    Ok(())
}

fn new_group(n: usize, memory: u32) -> std::io::Result<Group> {
    Group::new(&format!("deregister-bench-{}-{memory}-{n}", std::process::id()), memory)
}

/// A certificate in PEM format.
fn pem(certificate: &[u8]) -> String {
    let encoded = BASE64_STANDARD.encode(certificate);
    let mut text = String::from("-----BEGIN CERTIFICATE-----\n");
    for (n, character) in encoded.chars().enumerate() {
        if n > 0 && n % 64 == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str("\n-----END CERTIFICATE-----\n");
    text
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

#[expect(clippy::disallowed_methods, reason = "the benchmark gets its clock here, and only here")]
fn now() -> SystemTime {
    SystemTime::now()
}
