//! Execution environments, as on Lambda. Each is a process with its own Runtime API.

use crate::runtime_api::{Call, RuntimeApi};
use serde_json::Value;
use std::{
    error::Error,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    time::{Instant, timeout},
};

/// The time limit of a start and of an answer.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A running process, ready for events.
pub(crate) struct Environment {
    process: Child,
    api: RuntimeApi,
    calls: UnboundedReceiver<Call>,
    /// The time from the start of the process to its first request for an event.
    pub(crate) start: Duration,
}

impl Environment {
    /// Starts `program` with these environment variables and those of Lambda. It has no others.
    pub(crate) async fn start(program: &[&Path], variables: &[(&str, &str)]) -> Result<Self, Box<dyn Error>> {
        let (sender, calls) = unbounded_channel();
        let api = RuntimeApi::start(crate::now, move |call| {
            // An error is normal: after the end of the environment there is no receiver.
            let _ = sender.send(call);
        })?;
        let (program, arguments) = program.split_first().ok_or("no program")?;
        let mut command = api.command(program);
        command.args(arguments).envs(variables.iter().copied()).stdout(Stdio::null());
        let begun = Instant::now();
        let mut environment = Self { process: command.spawn()?, api, calls, start: Duration::ZERO };
        match timeout(TIMEOUT, environment.calls.recv()).await? {
            Some(Call::Next(at)) => environment.start = at - begun,
            _ => return Err("the process answered before it was asked".into()),
        }
        Ok(environment)
    }

    /// Sends the process an event. Returns the time from the event to the answer, and the answer.
    pub(crate) async fn invoke(&mut self, event: String) -> Result<(Duration, Value), Box<dyn Error>> {
        self.send(event)?;
        self.answer().await
    }

    /// Sends the process an event.
    pub(crate) fn send(&self, event: String) -> Result<(), Box<dyn Error>> {
        Ok(self.api.send(event)?)
    }

    /// Waits for the next answer. Returns the time from its event to the answer, and the answer.
    pub(crate) async fn answer(&mut self) -> Result<(Duration, Value), Box<dyn Error>> {
        loop {
            match timeout(TIMEOUT, self.calls.recv()).await? {
                Some(Call::Answer { begun, at, body }) => break Ok((at - begun, serde_json::from_slice(&body)?)),
                Some(Call::Next(_)) => {}
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
    fn drop(&mut self) {
        // An error is normal: the process may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
