//! An execution environment: a process with a share of a processor, and its Runtime API, which does not use that share.

use crate::{
    Result,
    group::{Group, Usage},
    http::{self, Request},
    now,
};
use std::{
    fs,
    io::{BufReader, Write},
    mem,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
    thread,
    time::{Duration, Instant, SystemTime},
};

/// The time limit of a start and of an answer.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A shell script: joins the groups whose files are the arguments, waits for a line, and becomes the program `$0`.
const JOIN: &str = r#"for file; do echo $$ > "$file" || exit; done; read -r _; exec "$0""#;

/// What happens at the Runtime API, and when.
enum Call {
    /// The process opens a connection.
    Connect,
    /// The process asks for its next event.
    Next(Instant),
    /// The process gets the event.
    Event(Instant),
    /// The process has answered the event. The bytes are its answer.
    Answer(Instant, Vec<u8>),
}

/// A running process, ready for events.
pub(crate) struct Environment {
    process: Child,
    address: SocketAddr,
    calls: Receiver<Call>,
    events: Sender<String>,
    /// The time from the start of the program to its first request for an event.
    pub(crate) start: Duration,
    /// The usage of the group before the start of the program.
    pub(crate) before: Usage,
    /// It is dropped after the process has ended, because a group with a process cannot be removed.
    pub(crate) group: Group,
}

/// The answer to a request, and its time.
pub(crate) struct Answered {
    /// The time from the event to the answer.
    pub(crate) time: Duration,
    /// The time from the event until the process asked for the next one. Lambda charges for this time.
    pub(crate) whole: Duration,
    /// The body of the answer.
    pub(crate) body: Vec<u8>,
}

impl Answered {
    /// Checks the status of the answer. Fails if it is another one.
    pub(crate) fn expect(&self, status: u16) -> Result<()> {
        if self.body.starts_with(format!("{{\"statusCode\":{status},").as_bytes()) {
            return Ok(());
        }
        Err(format!("not {status}: {}", String::from_utf8_lossy(&self.body)).into())
    }
}

impl Environment {
    /// Starts the program in the group, with these environment variables and those of Lambda.
    pub(crate) fn start(program: &Path, group: Group, variables: &[(&str, &str)]) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (sender, calls) = mpsc::channel();
        let (events, waiting) = mpsc::channel();
        let waiting = Arc::new(Mutex::new(waiting));
        thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if sender.send(Call::Connect).is_err() {
                    return;
                }
                let (calls, events) = (sender.clone(), Arc::clone(&waiting));
                // An error is normal: the process is killed while the connection is open.
                thread::spawn(move || drop(serve(stream, &calls, &events)));
            }
        });
        let process = Command::new("/bin/sh")
            .args(["-c", JOIN])
            .arg(program)
            .args(group.members())
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "deregister")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "bench")
            .env("AWS_SECRET_ACCESS_KEY", "bench")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let before = group.usage()?;
        let mut environment = Self { process, address, calls, events, start: Duration::ZERO, before, group };
        environment.begin()?;
        Ok(environment)
    }

    /// Waits until the shell has joined the group, and starts the program.
    fn begin(&mut self) -> Result<()> {
        let id = self.process.id().to_string();
        let deadline = now() + TIMEOUT;
        for members in self.group.members() {
            while !fs::read_to_string(&members)?.lines().any(|member| member == id) {
                if now() > deadline || self.process.try_wait()?.is_some() {
                    return Err("the process cannot join the group".into());
                }
                thread::sleep(Duration::from_millis(1));
            }
        }
        self.before = self.group.usage()?;
        let begun = now();
        self.process.stdin.take().ok_or("no input")?.write_all(b"\n")?;
        match self.call()? {
            Call::Next(at) => self.start = at - begun,
            _ => return Err("the process answered before it got an event".into()),
        }
        Ok(())
    }

    /// Sends the process an event. Waits until it has answered and has asked for the next event.
    pub(crate) fn invoke(&mut self, event: &str) -> Result<Answered> {
        self.events.send(event.to_owned())?;
        let (Call::Event(begun), Call::Answer(answered, body), Call::Next(next)) =
            (self.call()?, self.call()?, self.call()?)
        else {
            return Err("the process does not ask, answer and ask again".into());
        };
        Ok(Answered { time: answered - begun, whole: next - begun, body })
    }

    fn call(&self) -> Result<Call> {
        loop {
            match self.calls.recv_timeout(TIMEOUT)? {
                Call::Connect => {}
                call => return Ok(call),
            }
        }
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        // Without a receiver, the thread that accepts connections ends at the next connection.
        drop(mem::replace(&mut self.calls, mpsc::channel().1));
        let _ = TcpStream::connect(self.address);
    }
}

/// Answers the requests of a connection.
fn serve(mut stream: TcpStream, calls: &Sender<Call>, events: &Mutex<Receiver<String>>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut requests = BufReader::new(stream.try_clone()?);
    while let Some(Request { head, body }) = http::read_request(&mut requests)? {
        if head.starts_with("POST ") {
            calls.send(Call::Answer(now(), body))?;
            stream.write_all(&http::answer("202 Accepted", &[], ""))?;
            continue;
        }
        calls.send(Call::Next(now()))?;
        let event = events.lock().map_err(|_| "another connection failed")?.recv()?;
        let deadline = SystemTime::UNIX_EPOCH.elapsed()? + Duration::from_secs(10);
        let fields = [
            ("content-type", "application/json"),
            ("lambda-runtime-aws-request-id", &format!("{:032x}", deadline.as_nanos())),
            ("lambda-runtime-deadline-ms", &deadline.as_millis().to_string()),
            ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-central-1:123456789012:function:deregister"),
        ];
        let answer = http::answer("200 OK", &fields, &event);
        calls.send(Call::Event(now()))?;
        stream.write_all(&answer)?;
    }
    Ok(())
}
