//! The standard output. A thread of its own writes it, so that a reader that pauses stops neither the calls under way nor
//! the handling of signals.

use indicatif::ProgressBar;
use std::{
    cell::{Cell, RefCell},
    io::{self, IsTerminal, Write},
    mem,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
};
use tokio::sync::Notify;

/// While more bytes than this wait to be written, no further work is started.
const MAX_WAITING: usize = 64 * 1024;

/// How many lines are written at once.
const LINES_AT_ONCE: usize = 16;

pub struct Output {
    /// What the thread does not have yet.
    waiting: RefCell<Vec<u8>>,
    /// Whether the thread has something to write.
    is_writing: Cell<bool>,
    /// After an error, and after [`abandon`](Self::abandon), nothing more is written.
    is_abandoned: Cell<bool>,
    /// The bar that is drawn meanwhile.
    bar: RefCell<Option<ProgressBar>>,
    chunks: SyncSender<Chunk>,
    written: Arc<Written>,
}

/// What the thread writes at once.
struct Chunk {
    bytes: Vec<u8>,
    bar: Option<ProgressBar>,
}

/// What the thread has written.
#[derive(Default)]
struct Written {
    /// The number of lines.
    lines: AtomicUsize,
    /// The result of the latest chunk.
    result: Mutex<Option<io::Result<()>>>,
    notify: Notify,
}

impl Output {
    /// Starts the thread.
    pub fn start() -> Self {
        let (chunks, receiver) = mpsc::sync_channel(1);
        let written = Arc::new(Written::default());
        thread::spawn({
            let written = written.clone();
            move || write(&receiver, &written)
        });
        Self {
            waiting: RefCell::default(),
            is_writing: Cell::default(),
            is_abandoned: Cell::default(),
            bar: RefCell::default(),
            chunks,
            written,
        }
    }

    /// Adds what `print` writes.
    pub fn print(&self, print: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<()> {
        if self.is_abandoned.get() { Ok(()) } else { print(&mut self.waiting.borrow_mut()) }
    }

    /// From now on, this bar is hidden while something is written to a terminal. Meanwhile nothing else can change the bar.
    pub fn set_bar(&self, bar: ProgressBar) {
        self.bar.replace(Some(bar).filter(|_| io::stdout().is_terminal()));
    }

    /// Whether so much waits that no further work should start.
    pub fn is_full(&self) -> bool {
        self.waiting.borrow().len() > MAX_WAITING
    }

    /// Whether everything is written.
    pub fn is_idle(&self) -> bool {
        self.waiting.borrow().is_empty() && !self.is_writing.get()
    }

    /// How many lines are written.
    pub fn lines(&self) -> usize {
        self.written.lines.load(Ordering::Relaxed)
    }

    /// Hands what waits to the thread, or waits until the thread has written. It can be dropped and called again.
    ///
    /// # Errors
    /// The error of the standard output.
    pub async fn advance(&self) -> io::Result<()> {
        if !self.is_writing.get() {
            let chunk = Chunk { bytes: mem::take(&mut self.waiting.borrow_mut()), bar: self.bar.borrow().clone() };
            // The thread has no chunk, so there is room for one.
            self.is_writing.set(self.chunks.try_send(chunk).is_ok());
            return Ok(());
        }
        self.written.notify.notified().await;
        let result = self.written.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        match result {
            None => Ok(()),
            Some(Ok(())) => {
                self.is_writing.set(false);
                Ok(())
            }
            Some(Err(error)) => {
                self.abandon();
                Err(error)
            }
        }
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// The error of the standard output.
    pub async fn finish(&self) -> io::Result<()> {
        while !self.is_idle() {
            self.advance().await?;
        }
        Ok(())
    }

    /// Drops what is not written.
    pub fn abandon(&self) {
        self.is_abandoned.set(true);
        self.waiting.borrow_mut().clear();
        self.is_writing.set(false);
    }
}

/// Writes the chunks, one after the other.
fn write(chunks: &Receiver<Chunk>, written: &Written) {
    for Chunk { bytes, bar } in chunks {
        let write = || {
            let mut out = io::stdout().lock();
            // Few lines at once: if the process ends, it is known how many were written, and none is cut.
            let lines: Vec<_> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
            for lines in lines.chunks(LINES_AT_ONCE) {
                out.write_all(&lines.concat())?;
                out.flush()?;
                written.lines.fetch_add(lines.len(), Ordering::Relaxed);
            }
            Ok(())
        };
        let result = match bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        };
        *written.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        written.notify.notify_one();
    }
}
