//! The log, as what the function writes while a test looks.

use super::now;
use deregister::telemetry;
use serde_json::Value;
use std::{
    io,
    sync::{Arc, Mutex, Once},
};
use tracing::subscriber::{DefaultGuard, set_default, set_global_default};

/// Begins a log that nobody reads, for tests that do not look. `tracing` asks once for each kind of line whether anybody
/// wants it: asked while there is no log, and one begins in that moment, it would drop such lines for ever.
pub fn begin() {
    static BEGUN: Once = Once::new();
    BEGUN.call_once(|| set_global_default(telemetry::subscriber(None, now, io::sink)).unwrap());
}

/// What is written to the log in this thread while it is held.
pub struct Captured {
    lines: Arc<Mutex<Vec<u8>>>,
    _installed: DefaultGuard,
}

impl Captured {
    /// At this level and above.
    pub fn at(level: &str) -> Self {
        struct Buffer(Arc<Mutex<Vec<u8>>>);

        impl io::Write for Buffer {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let lines = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&lines);
        let subscriber = telemetry::subscriber(Some(level), now, move || Buffer(Arc::clone(&writer)));
        Self { lines, _installed: set_default(subscriber) }
    }

    /// All that was written.
    pub fn text(&self) -> String {
        String::from_utf8(self.lines.lock().unwrap().clone()).unwrap()
    }

    /// Its lines.
    pub fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
