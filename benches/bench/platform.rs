//! Execution environments, as on Lambda: each is a process with a Runtime API of its own.

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::Value;
use std::{
    error::Error,
    net::Ipv4Addr,
    path::Path as File,
    process::Stdio,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::{Mutex, mpsc},
    time::Instant,
};

/// The time limit of a start, an answer and an end.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A request of the process to the Runtime API.
enum Request {
    /// The process asks for its next event.
    Next(Instant),
    /// The process has answered an event.
    Answer(Instant, Bytes),
}

struct Api {
    requests: mpsc::UnboundedSender<Request>,
    events: Mutex<mpsc::UnboundedReceiver<String>>,
}

/// A running process, ready for events.
pub(crate) struct Environment {
    process: Child,
    requests: mpsc::UnboundedReceiver<Request>,
    events: mpsc::UnboundedSender<String>,
    /// The time from the start of the process to its first request for an event.
    pub(crate) start: Duration,
}

impl Environment {
    /// Starts `program` with these environment variables and those of Lambda.
    pub(crate) async fn start(program: &[&File], variables: &[(&str, &str)]) -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?.to_string();
        let (sender, mut requests) = mpsc::unbounded_channel();
        let (events, waiting) = mpsc::unbounded_channel();
        let api = Arc::new(Api { requests: sender, events: Mutex::new(waiting) });
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{end}", post(ended))
            .with_state(api);
        tokio::spawn(async move { axum::serve(listener, router).await });

        let (program, arguments) = program.split_first().ok_or("no program")?;
        let begun = Instant::now();
        let process = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", &address)
            .env("AWS_LAMBDA_FUNCTION_NAME", "deregister")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "bench")
            .env("AWS_SECRET_ACCESS_KEY", "bench")
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        match tokio::time::timeout(TIMEOUT, requests.recv()).await? {
            Some(Request::Next(at)) => Ok(Self { process, requests, events, start: at - begun }),
            _ => Err("the process answered before it was asked".into()),
        }
    }

    /// Sends the process an event. Returns the time until the answer, and the answer.
    pub(crate) async fn invoke(&mut self, event: String) -> Result<(Duration, Value), Box<dyn Error>> {
        let begun = Instant::now();
        self.events.send(event)?;
        let answer = loop {
            match tokio::time::timeout(TIMEOUT, self.requests.recv()).await? {
                Some(Request::Answer(at, body)) => break (at - begun, serde_json::from_slice(&body)?),
                Some(Request::Next(_)) => {}
                None => return Err("the process is gone".into()),
            }
        };
        Ok(answer)
    }

    /// The peak of the process's resident memory, in kilobytes.
    pub(crate) fn peak_memory(&self) -> Result<u64, Box<dyn Error>> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id().ok_or("it has ended")?))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// Asks the process to end, and waits for its end.
    pub(crate) async fn terminate(mut self) -> Result<(), Box<dyn Error>> {
        let id = self.process.id().ok_or("it has ended")?.to_string();
        Command::new("kill").arg(id).status().await?;
        tokio::time::timeout(TIMEOUT, self.process.wait()).await??;
        Ok(())
    }

    /// Kills the process.
    pub(crate) async fn end(mut self) -> Result<(), Box<dyn Error>> {
        self.process.kill().await?;
        Ok(())
    }
}

/// Answers with the next event and the platform's headers.
async fn next(State(api): State<Arc<Api>>) -> Response {
    let _ = api.requests.send(Request::Next(Instant::now()));
    let event = api.events.lock().await.recv().await.unwrap_or_default();
    let deadline = crate::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + Duration::from_secs(10);
    let id = format!("{:032x}", deadline.as_nanos());
    let headers = [
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:123456789012:function:deregister".into()),
    ];
    (headers, event).into_response()
}

async fn ended(State(api): State<Arc<Api>>, Path((_, _end)): Path<(String, String)>, body: Bytes) {
    let _ = api.requests.send(Request::Answer(Instant::now(), body));
}
