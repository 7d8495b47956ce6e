//! An execution environment: a process with a share of a processor. Its Runtime API does not use that share.

use crate::{
    Result,
    group::{Group, Usage},
    now,
    runtime_api::{Call, RuntimeApi},
};
use std::{
    fs,
    io::Write,
    path::Path,
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};
use tokio::time::Instant;

/// The time limit of a start and of an answer.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A shell script: joins the groups whose files are the arguments, waits for a line, and becomes the program `$0`.
const JOIN: &str = r#"for file; do echo $$ > "$file" || exit; done; read -r _; exec "$0""#;

/// A running process, ready for events.
pub(crate) struct Environment {
    process: Child,
    api: RuntimeApi,
    calls: Receiver<Call>,
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
        let (sender, calls) = channel();
        let api = RuntimeApi::start(now, move |call| {
            // An error is normal: after the end of the environment there is no receiver.
            let _ = sender.send(call);
        })?;
        let process = api
            .command("/bin/sh")
            .args(["-c", JOIN])
            .arg(program)
            .args(group.members())
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()?;
        let before = group.usage()?;
        let mut environment = Self { process, api, calls, start: Duration::ZERO, before, group };
        environment.begin()?;
        Ok(environment)
    }

    /// Waits until the shell has joined the group, and starts the program.
    fn begin(&mut self) -> Result<()> {
        let id = self.process.id().to_string();
        let deadline = Instant::now() + TIMEOUT;
        for members in self.group.members() {
            while !fs::read_to_string(&members)?.lines().any(|member| member == id) {
                if Instant::now() > deadline || self.process.try_wait()?.is_some() {
                    return Err("the process cannot join the group".into());
                }
                thread::sleep(Duration::from_millis(1));
            }
        }
        self.before = self.group.usage()?;
        let begun = Instant::now();
        self.process.stdin.take().ok_or("no input")?.write_all(b"\n")?;
        let Call::Next(at) = self.calls.recv_timeout(TIMEOUT)? else {
            return Err("the process answered before it got an event".into());
        };
        self.start = at - begun;
        Ok(())
    }

    /// Sends the process an event. Waits until it has answered and has asked for the next event.
    pub(crate) fn invoke(&mut self, event: &str) -> Result<Answered> {
        self.api.send(event.to_owned())?;
        let (Call::Answer { begun, at, body }, Call::Next(next)) =
            (self.calls.recv_timeout(TIMEOUT)?, self.calls.recv_timeout(TIMEOUT)?)
        else {
            return Err("the process does not answer and ask again".into());
        };
        Ok(Answered { time: at - begun, whole: next - begun, body })
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        // An error is normal: the process may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
