//! The log of the function, captured.

use super::now;
use deregister::telemetry;
use serde_json::Value;
use std::{
    io, mem,
    sync::{Arc, Mutex, Once},
};
use tracing::{
    Dispatch, Subscriber,
    subscriber::{DefaultGuard, set_default, set_global_default},
};

/// Installs a log that is written nowhere, for all threads that do not capture theirs.
///
/// `tracing` decides once for each kind of line whether a subscriber wants it. With at most one subscriber, it decides
/// without a lock. If another thread begins to capture at that moment, the decision can be wrong, and the line is never
/// captured. Two permanent subscribers make every decision take the lock.
pub fn install_silent() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let silent = || Dispatch::new(telemetry::subscriber(None, now, io::sink));
        mem::forget(silent());
        set_global_default(telemetry::subscriber(None, now, io::sink)).unwrap();
    });
}

/// What this thread logs until the value is dropped. A test that runs on one thread captures the function, the SDK and
/// the embedded database.
pub struct Captured {
    bytes: Arc<Mutex<Vec<u8>>>,
    _installed: DefaultGuard,
}

/// A writer to the captured bytes.
pub struct Buffer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Captured {
    /// Captures what the function logs if `AWS_LAMBDA_LOG_LEVEL` has this value.
    pub fn at(level: &str) -> Self {
        Self::by(|buffer| telemetry::subscriber(Some(level), now, buffer))
    }

    /// Captures what another subscriber writes.
    pub fn by<S: Subscriber + Send + Sync + 'static>(
        subscriber: impl FnOnce(Box<dyn Fn() -> Buffer + Send + Sync>) -> S,
    ) -> Self {
        install_silent();
        let bytes = Arc::default();
        let writer = Arc::clone(&bytes);
        let subscriber = subscriber(Box::new(move || Buffer(Arc::clone(&writer))));
        Self { bytes, _installed: set_default(subscriber) }
    }

    /// All that was logged.
    pub fn text(&self) -> String {
        String::from_utf8(self.bytes.lock().unwrap().clone()).unwrap()
    }

    /// All that was logged since the last call.
    pub fn take(&self) -> String {
        String::from_utf8(mem::take(&mut self.bytes.lock().unwrap())).unwrap()
    }

    /// The lines, each a JSON object.
    pub fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The only line.
    pub fn only_line(&self) -> Value {
        let [line] = self.lines().try_into().unwrap_or_else(|lines| panic!("not one line: {lines:?}"));
        line
    }
}
