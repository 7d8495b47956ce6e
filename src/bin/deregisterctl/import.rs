//! Taking clients over from a vendor's list: a few at a time, each in one conditional write, so that an import that ends
//! anywhere leaves nothing half-written and can be run again.

use crate::{
    command::{AT_ONCE, Failure, Tool},
    export::List,
    options::{self, Whose},
    report::{self, Report},
};
use deregister::{
    model::{Client, Id, Idle, Kind, OAuthClient},
    snapshot::Record,
    store::Fault,
};
use indicatif::ProgressBar;
use serde_json::Value;
use std::{
    fs::File,
    io::{self, BufReader, Read, Seek},
    path::{Path, PathBuf},
    pin::pin,
    thread,
};
use tokio::{sync::mpsc, task::JoinSet};

/// What is told of a client that registered itself, and cannot delete itself.
const LACKS_TOKEN: &str = "it cannot delete itself: its registration access token could not be taken over";

/// What an entry says.
type Entry = Result<(Id, Client), String>;

/// What came of an entry.
enum Outcome {
    Imported,
    AlreadyThere,
    Skipped(String),
}

/// What came of all entries so far.
#[derive(Default)]
struct Tally {
    imported: usize,
    already_there: usize,
    skipped: usize,
    without_registration_token: usize,
}

/// An entry whose fate is known.
struct Done {
    index: usize,
    id: Option<Id>,
    /// Whether it registered itself, and its registration access token could not be taken over.
    lacks_token: bool,
    outcome: Outcome,
}

impl Tool {
    /// Imports a list. Where it is interrupted, or a write fails, no further writes are started, and those under way are
    /// waited for.
    pub async fn import(&self, options::Import { whose, file }: options::Import) -> Result<(), Failure> {
        let list = match whose {
            Whose { app: Some(app), .. } => List::IdentityCloud(app),
            Whose { service: Some(id), .. } => self.service(&id).await.map(|_| List::Authlete(id))?,
            Whose { app: None, service: None } => return Err(Failure::BelongsToNobody),
        };
        let (input, length) = open(&file, &list)?;
        // It is drawn on the standard error, and only where that is a terminal.
        let bar = length.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let mut entries = entries(input, list, file);
        let mut running = JoinSet::new();
        let (mut tally, mut result, mut is_open) = (Tally::default(), Ok(()), true);
        let mut interrupt = pin!(tokio::signal::ctrl_c());
        loop {
            tokio::select! {
                biased;
                _ = &mut interrupt, if result.is_ok() && (is_open || !running.is_empty()) => {
                    bar.suspend(|| report::complain("interrupted: waiting for the writes under way"));
                    result = Err(Failure::Interrupted("imports"));
                }
                Some(done) = running.join_next() => {
                    let told = done.map_err(Failure::from).flatten().and_then(|done: Done| {
                        bar.inc(1);
                        tally.add(&done);
                        done.report().map_or(Ok(()), |report| bar.suspend(|| self.print(&report)))
                    });
                    result = result.and(told);
                }
                entry = entries.recv(), if is_open && result.is_ok() && running.len() < AT_ONCE => match entry {
                    Some(Ok((index, entry))) => {
                        let tool = self.clone();
                        running.spawn(async move { tool.take_over(index, entry).await });
                    }
                    Some(Err(failure)) => result = Err(failure),
                    None => is_open = false,
                },
                else => break,
            }
        }
        bar.finish_and_clear();
        self.print(&tally.report())?;
        result.and(if tally.skipped == 0 { Ok(()) } else { Err(Failure::Skipped(tally.skipped)) })
    }

    async fn take_over(&self, index: usize, entry: Entry) -> Result<Done, Failure> {
        let (id, client) = match entry {
            Ok(client) => client,
            Err(why) => return Ok(Done { index, id: None, lacks_token: false, outcome: Outcome::Skipped(why) }),
        };
        // Nothing is known of its use: it is idle from now on at the earliest.
        let idle = client.is_dynamic().then(|| Idle::used((self.now)()));
        let client = Client { idle, ..client };
        let outcome = self.write(&id, &client).await?;
        let lacks_token =
            matches!(client.kind, Kind::OAuth(OAuthClient { dynamic: true, registration_token_digest: None, .. }));
        Ok(Done { index, id: Some(id), lacks_token, outcome })
    }

    async fn write(&self, id: &Id, client: &Client) -> Result<Outcome, Fault> {
        Ok(match self.store.import_client(id, client).await? {
            None => Outcome::Imported,
            // A vendor's list says nothing of protection and versions, which may have changed since an earlier import.
            Some(Record::Client(there)) if there.kind == client.kind => Outcome::AlreadyThere,
            Some(Record::Deleted(_)) => Outcome::Skipped("a client of this id was deleted here".to_owned()),
            Some(_) => Outcome::Skipped("there is another client of this id, or it was changed".to_owned()),
        })
    }
}

impl Tally {
    fn add(&mut self, done: &Done) {
        match done.outcome {
            Outcome::Imported => self.imported += 1,
            Outcome::AlreadyThere => self.already_there += 1,
            Outcome::Skipped(_) => self.skipped += 1,
        }
        if done.lacks_token && !matches!(done.outcome, Outcome::Skipped(_)) {
            self.without_registration_token += 1;
        }
    }

    fn report(&self) -> Report {
        Report::new("The import has ended.")
            .with("imported", self.imported)
            .with("already_there", self.already_there)
            .with("skipped", self.skipped)
            .with("without_registration_token", Some(self.without_registration_token).filter(|&count| count > 0))
    }
}

impl Done {
    /// What a person must know of it.
    fn report(&self) -> Option<Report> {
        let (outcome, reason) = match &self.outcome {
            Outcome::Skipped(why) => ("skipped", why.as_str()),
            _ if !self.lacks_token => return None,
            Outcome::Imported => ("imported", LACKS_TOKEN),
            Outcome::AlreadyThere => ("already_there", LACKS_TOKEN),
        };
        let id = self.id.as_ref().map(Id::as_str);
        let report = Report::new("A client to look at.").with("index", self.index).with("client_id", id);
        Some(report.with("outcome", outcome).with("reason", reason))
    }
}

/// The input, and how many entries it has. A file is read to its end before anything is written, so that one that is not
/// the list is refused; what comes through a pipe comes only once.
fn open(path: &Path, list: &List) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    if path.as_os_str() == options::STDIN {
        return Ok((Box::new(io::stdin()), None));
    }
    let unreadable = |error| Failure::UnreadableFile(path.to_owned(), error);
    let mut file = File::open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Ok((Box::new(file), None));
    }
    let mut length = 0;
    let mut count = |_| {
        length += 1;
        true
    };
    list.read(BufReader::new(&file), &mut count).map_err(|error| wrong(path, list, error))?;
    file.rewind().map_err(unreadable)?;
    Ok((Box::new(file), Some(length)))
}

/// Reads the entries, a few ahead of those who take them, each with its index; or why there are no more. The thread may
/// wait for the standard input for ever: nobody waits for the thread.
fn entries(input: Box<dyn Read + Send>, list: List, path: PathBuf) -> mpsc::Receiver<Result<(usize, Entry), Failure>> {
    let (sender, receiver) = mpsc::channel(AT_ONCE);
    thread::spawn(move || {
        let mut index = 0;
        let mut send = |entry: Value| {
            let sent = sender.blocking_send(Ok((index, list.client(entry))));
            index += 1;
            sent.is_ok()
        };
        if let Err(error) = list.read(BufReader::new(input), &mut send) {
            // Where nobody reads on, nobody wants to know.
            let _ = sender.blocking_send(Err(wrong(&path, &list, error)));
        }
    });
    receiver
}

/// What is wrong with the input. The text of the error is left out, since it may quote a secret.
fn wrong(path: &Path, list: &List, error: serde_json::Error) -> Failure {
    let (line, column) = (error.line(), error.column());
    if error.is_io() {
        return Failure::UnreadableFile(path.to_owned(), error.into());
    }
    Failure::WrongList { file: path.to_owned(), list: list.name(), line, column }
}
