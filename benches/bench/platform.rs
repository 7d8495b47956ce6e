//! Execution environments, as on Lambda. Each is a process with its own Runtime API.
//!
//! Each figure contains some time of the Runtime API. To keep this time short, it uses blocking threads, and takes the
//! times next to the socket.

use crate::http;
use serde_json::Value;
use std::{
    error::Error,
    io::{self, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::Instant,
};

/// The time limit of a start, an answer and an end.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A request of the process to the Runtime API.
enum Request {
    /// The process asks for its next event.
    Next(Instant),
    /// The process has answered an event: the time since it got the event, and the answer.
    Answer(Duration, Vec<u8>),
}

struct Api {
    address: SocketAddr,
    begun: Instant,
    requests: UnboundedSender<Request>,
    events: Mutex<mpsc::Receiver<String>>,
    ended: AtomicBool,
}

/// A running process, ready for events.
pub(crate) struct Environment {
    process: Child,
    api: Arc<Api>,
    requests: UnboundedReceiver<Request>,
    events: mpsc::Sender<String>,
    /// The time from the start of the process to its first request for an event.
    pub(crate) start: Duration,
}

impl Environment {
    /// Starts `program` with these environment variables and those of Lambda. It has no others.
    pub(crate) async fn start(program: &[&Path], variables: &[(&str, &str)]) -> Result<Self, Box<dyn Error>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (sender, mut requests) = unbounded_channel();
        let (events, waiting) = mpsc::channel();
        let (begun, ended) = (Instant::now(), AtomicBool::default());
        let api = Arc::new(Api { address, begun, requests: sender, events: Mutex::new(waiting), ended });
        let serving = Arc::clone(&api);
        thread::spawn(move || {
            for connection in listener.incoming().take_while(|_| !serving.ended.load(Ordering::Relaxed)).flatten() {
                let api = Arc::clone(&serving);
                // An error is normal: the process is killed while the connection is open.
                thread::spawn(move || api.serve(connection));
            }
        });

        let (program, arguments) = program.split_first().ok_or("no program")?;
        let begun = Instant::now();
        let process = Command::new(program)
            .args(arguments)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "deregister")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "bench")
            .env("AWS_SECRET_ACCESS_KEY", "bench")
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .spawn()?;
        let mut environment = Self { process, api, requests: unbounded_channel().1, events, start: Duration::ZERO };
        match tokio::time::timeout(TIMEOUT, requests.recv()).await? {
            Some(Request::Next(at)) => environment.start = at - begun,
            _ => return Err("the process answered before it was asked".into()),
        }
        environment.requests = requests;
        Ok(environment)
    }

    /// Sends the process an event. Returns the time from the event to the answer, and the answer.
    pub(crate) async fn invoke(&mut self, event: String) -> Result<(Duration, Value), Box<dyn Error>> {
        self.send(event)?;
        self.answer().await
    }

    /// Sends the process an event.
    pub(crate) fn send(&self, event: String) -> Result<(), Box<dyn Error>> {
        Ok(self.events.send(event)?)
    }

    /// Waits for the next answer. Returns the time from its event to the answer, and the answer.
    pub(crate) async fn answer(&mut self) -> Result<(Duration, Value), Box<dyn Error>> {
        loop {
            match tokio::time::timeout(TIMEOUT, self.requests.recv()).await? {
                Some(Request::Answer(time, body)) => break Ok((time, serde_json::from_slice(&body)?)),
                Some(Request::Next(_)) => {}
                None => return Err("the process is gone".into()),
            }
        }
    }

    /// The peak of the process's resident memory, in kilobytes.
    pub(crate) fn peak_memory(&self) -> Result<u64, Box<dyn Error>> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// The processor time of the process so far, in milliseconds.
    pub(crate) fn processor_time(&self) -> Result<f64, Box<dyn Error>> {
        let mut nanoseconds = 0.0;
        for task in std::fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let statistics = std::fs::read_to_string(task?.path().join("schedstat"))?;
            nanoseconds += statistics.split(' ').next().unwrap_or_default().parse::<f64>()?;
        }
        Ok(nanoseconds / 1e6)
    }

    /// Sends the process SIGTERM, and waits until it has ended.
    pub(crate) fn terminate(mut self) -> Result<(), Box<dyn Error>> {
        Command::new("kill").arg(self.process.id().to_string()).status()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Environment {
    /// Kills the process, and ends the Runtime API.
    fn drop(&mut self) {
        // An error is normal: the process may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.api.ended.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts connections.
        let _ = TcpStream::connect(self.api.address);
    }
}

impl Api {
    /// Answers the requests of a connection.
    fn serve(&self, connection: TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut writer = connection.try_clone()?;
        let mut reader = BufReader::new(connection);
        while let Some(http::Request { head, body }) = http::read_request(&mut reader)? {
            let answer = if head.starts_with("GET ") {
                self.say(Request::Next(Instant::now()));
                let event = self.events.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok(event) = event else { return Ok(()) };
                let deadline = crate::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + TIMEOUT;
                let fields = [
                    ("content-type", "application/json"),
                    // The time at which the invocation begins. The process repeats it in the path of its answer.
                    ("lambda-runtime-aws-request-id", &self.begun.elapsed().as_nanos().to_string()),
                    ("lambda-runtime-deadline-ms", &deadline.as_millis().to_string()),
                    (
                        "lambda-runtime-invoked-function-arn",
                        "arn:aws:lambda:eu-central-1:123456789012:function:deregister",
                    ),
                ];
                http::answer("200 OK", &fields, &event)
            } else {
                let id = head.split('/').find_map(|part| part.parse().ok()).unwrap_or_default();
                self.say(Request::Answer(self.begun.elapsed().saturating_sub(Duration::from_nanos(id)), body));
                http::answer("202 Accepted", &[], "")
            };
            writer.write_all(&answer)?;
        }
        Ok(())
    }

    fn say(&self, request: Request) {
        // An error is normal: after the end of the environment there is no receiver.
        let _ = self.requests.send(request);
    }
}
