//! Runs the tool.

use crate::support::Fixture;
use serde_json::Value;
use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

/// A run of the tool, before it starts.
pub struct Run {
    pub command: Command,
    stdin: String,
}

impl Run {
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn with_stdin(self, text: &str) -> Self {
        Self { stdin: text.to_owned(), ..self }
    }

    pub async fn run(mut self) -> Ran {
        let run = move || {
            let mut child = self.command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(self.stdin.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            let text = |bytes| String::from_utf8(bytes).unwrap();
            Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }
}

/// A run that has ended.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The output of a successful run.
    pub fn done(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""));
        self.stdout
    }

    /// The one sentence of a run that failed and printed nothing else.
    pub fn refused(self) -> String {
        assert_eq!((self.code, self.stdout.as_str(), self.stderr.lines().count()), (Some(1), "", 1), "{}", self.stderr);
        self.stderr.trim_end().strip_prefix("deregisterctl: ").unwrap().to_owned()
    }

    /// The objects of the output, one a line.
    pub fn objects(&self) -> Vec<Value> {
        self.stdout.lines().map(parse).collect()
    }
}

impl Fixture {
    /// A run on the fixture's database, with the arguments of `line`.
    pub fn ctl(&self, line: &str) -> Run {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deregisterctl"));
        command
            .args(line.split_whitespace())
            .env_clear()
            .env("AWS_ENDPOINT_URL_DYNAMODB", &self.endpoint)
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Run { command, stdin: String::new() }
    }

    /// The objects that a successful run prints, one a line.
    pub async fn objects(&self, line: &str) -> Vec<Value> {
        self.ctl(&format!("--json {line}")).run().await.done().lines().map(parse).collect()
    }

    /// The one object that a successful run prints.
    pub async fn object(&self, line: &str) -> Value {
        only(&self.ctl(&format!("--json {line}")).run().await.done())
    }
}

/// The one object of an output.
pub fn only(printed: &str) -> Value {
    assert_eq!(printed.lines().count(), 1, "{printed}");
    parse(printed)
}

pub fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

pub fn text<'o>(object: &'o Value, name: &str) -> &'o str {
    object[name].as_str().unwrap_or_else(|| panic!("no {name} in {object}"))
}

/// A new file with this content.
pub fn file(name: &str, content: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("ctl-{name}"));
    fs::write(&path, content).unwrap();
    path
}
