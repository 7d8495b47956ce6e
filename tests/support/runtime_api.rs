//! Lambda's Runtime API for one process. It hands out events, and reports what the process does.
//!
//! The times of the benchmarks contain some time of this API. To keep that short, it uses blocking threads, and takes the
//! times next to the socket.

use crate::http::{self, Request};
use std::{
    ffi::OsStr,
    io::{self, BufReader, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::Command,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SendError, Sender, channel},
    },
    thread,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// The time from an event to its deadline.
const TIME_OUT: Duration = Duration::from_mins(1);

/// What the process does.
pub(crate) enum Call {
    /// It asks for its next event.
    Next(Instant),
    /// It has answered an event that it got at `begun`.
    Answer { begun: Instant, at: Instant, body: Vec<u8> },
}

/// A running API. It ends when it is dropped.
pub(crate) struct RuntimeApi {
    address: SocketAddr,
    events: Sender<String>,
    ended: Arc<AtomicBool>,
}

impl RuntimeApi {
    /// Starts the API, which passes each [`Call`] of the process to `report`. `clock` is for the deadlines of events.
    pub(crate) fn start(clock: fn() -> SystemTime, report: impl Fn(Call) + Send + Sync + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (events, waiting) = channel();
        let ended = Arc::<AtomicBool>::default();
        let has_ended = Arc::clone(&ended);
        let server = Arc::new(Server { begun: Instant::now(), events: Mutex::new(waiting), clock, report });
        thread::spawn(move || {
            for connection in listener.incoming().take_while(|_| !has_ended.load(Ordering::Relaxed)).flatten() {
                let server = Arc::clone(&server);
                // An error is normal: the process is killed while the connection is open.
                thread::spawn(move || server.serve(connection));
            }
        });
        Ok(Self { address, events, ended })
    }

    /// A command that starts the program with Lambda's environment variables, and with no others.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", self.address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "deregister")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "id")
            .env("AWS_SECRET_ACCESS_KEY", "key");
        command
    }

    /// Hands out an event. It waits until the process asks for one.
    pub(crate) fn send(&self, event: String) -> Result<(), SendError<String>> {
        self.events.send(event)
    }
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts connections.
        let _ = TcpStream::connect(self.address);
    }
}

struct Server<R> {
    begun: Instant,
    events: Mutex<Receiver<String>>,
    clock: fn() -> SystemTime,
    report: R,
}

impl<R: Fn(Call)> Server<R> {
    /// Answers the requests of a connection.
    fn serve(&self, connection: TcpStream) -> io::Result<()> {
        connection.set_nodelay(true)?;
        let mut writer = connection.try_clone()?;
        let mut reader = BufReader::new(connection);
        while let Some(Request { head, body }) = http::read_request(&mut reader)? {
            let answer = if head.starts_with("GET ") {
                (self.report)(Call::Next(Instant::now()));
                let Some((event, since_begun)) = self.next_event() else { return Ok(()) };
                let deadline = (self.clock)().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + TIME_OUT;
                let fields = [
                    ("content-type", "application/json"),
                    // The process repeats it in the path of its answer.
                    ("lambda-runtime-aws-request-id", &since_begun.as_nanos().to_string()),
                    ("lambda-runtime-deadline-ms", &deadline.as_millis().to_string()),
                    (
                        "lambda-runtime-invoked-function-arn",
                        "arn:aws:lambda:eu-central-1:123456789012:function:deregister",
                    ),
                ];
                http::answer("200 OK", &fields, &event)
            } else {
                let at = Instant::now();
                let id = head.split('/').find_map(|part| part.parse().ok()).unwrap_or_default();
                (self.report)(Call::Answer { begun: self.begun + Duration::from_nanos(id), at, body });
                http::answer("202 Accepted", &[], "")
            };
            writer.write_all(&answer)?;
        }
        Ok(())
    }

    /// Waits for the next event. Returns it with the time since the start of the API, which no other event has.
    fn next_event(&self) -> Option<(String, Duration)> {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        Some((events.recv().ok()?, self.begun.elapsed()))
    }
}
