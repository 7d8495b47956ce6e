//! The start of every program: the real programs, with environments that lack something or hold odd values.
#![cfg(unix)]
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod concurrency;
#[path = "../support/http.rs"]
mod http;
mod missing;
mod odd;
#[path = "../support/runtime_api.rs"]
#[expect(dead_code, reason = "the benchmarks use the times")]
mod runtime_api;

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::PathBuf,
    process::Command,
};

/// The programs, each with arguments that make it call the database.
const PROGRAMS: [(&str, &[&str]); 4] =
    [(FUNCTION, &[]), (CASCADE, &[]), (SWEEP, &[]), (TOOL, &["client", "show", "me"])];
const FUNCTION: &str = env!("CARGO_BIN_EXE_deregister");
const CASCADE: &str = env!("CARGO_BIN_EXE_deregister-cascade");
const SWEEP: &str = env!("CARGO_BIN_EXE_deregister-sweep");
const TOOL: &str = env!("CARGO_BIN_EXE_deregisterctl");

/// An environment in which a program starts, and then cannot reach the database.
const COMPLETE: [(&str, &str); 7] = [
    ("AWS_REGION", "eu-central-1"),
    ("AWS_ACCESS_KEY_ID", "id"),
    ("AWS_SECRET_ACCESS_KEY", "key"),
    ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1"),
    ("DATABASE_ATTEMPTS", "1"),
    ("GRANTS_TABLE", "grants"),
    // Otherwise the SDK looks for an instance.
    ("AWS_EC2_METADATA_DISABLED", "true"),
];
/// What Lambda adds for a function.
const OF_LAMBDA: [(&str, &str); 4] = [
    ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1"),
    ("AWS_LAMBDA_FUNCTION_NAME", "function"),
    ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
    ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
];

/// The start of a program.
struct Start {
    program: &'static str,
    arguments: Vec<&'static str>,
    variables: Vec<(OsString, OsString)>,
}

impl Start {
    /// The program in the complete environment.
    fn of(program: &'static str) -> Self {
        let (_, arguments) = PROGRAMS.into_iter().find(|(other, _)| *other == program).unwrap();
        let of_lambda = if program == TOOL { &[][..] } else { &OF_LAMBDA };
        let variables = COMPLETE.iter().chain(of_lambda).map(|(name, value)| (name.into(), value.into()));
        Self { program, arguments: arguments.to_vec(), variables: variables.collect() }
    }

    fn with(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self = self.without(name);
        self.variables.push((name.into(), value.as_ref().to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.variables.retain(|(other, _)| other != name);
        self
    }

    /// Runs the program, which must fail. Returns its one sentence.
    #[track_caller]
    fn refused(&self) -> String {
        let output = Command::new(self.program).args(&self.arguments).env_clear().envs(self.variables.clone()).output();
        let output = output.unwrap();
        let printed = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let (start, last) = (self.last(), printed.lines().next_back().unwrap_or_default());
        assert_eq!(output.status.code(), Some(1), "{start}: {printed}");
        if self.program == TOOL {
            assert_eq!(printed.lines().count(), 1, "{start}: {printed}");
            return last.strip_prefix("deregisterctl: ").unwrap().to_owned();
        }
        let line: serde_json::Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{start}: {printed}"));
        line["message"].as_str().unwrap().strip_prefix("the function stopped: ").unwrap().to_owned()
    }

    /// The program and its last variable, for messages.
    fn last(&self) -> String {
        format!("{} {:?}", self.program, self.variables.last())
    }
}

/// A value that is not Unicode text.
fn not_unicode() -> &'static OsStr {
    OsStr::from_bytes(b"t\xff")
}

/// A new file with this content.
fn file(name: &str, content: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("start-{name}"));
    std::fs::write(&path, content).unwrap();
    path
}
