//! Imports clients from a list, each in one conditional write. An import can stop at any point and be run
//! again: no client is written in part.

use crate::{
    client_list::{ClientList, WrongEntry},
    failure::Failure,
    options::{self, STDIN},
    path_warning,
    pump::{CONCURRENCY, ONE, Pump},
    report::Report,
    tool::Tool,
};
use deregister::{
    model::{Client, Deletion, Id, Idle, Kind, Metadata, OAuthClient},
    snapshot::Record,
    store::Fault,
};
use futures::{Stream, stream};
use serde_json::Value;
use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs::File,
    io::{self, BufReader, Read, Seek},
    path::{Path, PathBuf},
    rc::Rc,
    thread,
};
use tokio::sync::{Mutex, mpsc};

/// The reason for a warning about a dynamically registered client without a registration access token.
const LACKS_TOKEN: &str = "it cannot delete itself: the list has no registration access token that can be imported";

/// The client of an entry, or what is wrong with the entry.
type Entry = Result<(Id, Client), WrongEntry>;

enum Outcome {
    Imported,
    AlreadyThere,
    Skipped(String),
}

/// An entry with its outcome.
struct Done {
    index: usize,
    id: Option<Id>,
    /// Whether the client registered itself, and its registration access token could not be imported.
    lacks_token: bool,
    outcome: Outcome,
}

/// How many entries had each outcome.
#[derive(Default)]
struct Summary {
    imported: usize,
    already_there: usize,
    skipped: usize,
    without_registration_token: usize,
}

/// The ids of the entries under way. If two entries have one id, the first one in the list is written first.
#[derive(Default)]
struct Turns(RefCell<BTreeMap<Id, Rc<Mutex<()>>>>);

impl Turns {
    async fn take<T>(&self, id: &Id, work: impl Future<Output = T>) -> T {
        let turn = self.0.borrow_mut().entry(id.clone()).or_default().clone();
        let guard = turn.lock().await;
        let result = work.await;
        drop(guard);
        // The map has one of the two.
        if Rc::strong_count(&turn) == 2 {
            self.0.borrow_mut().remove(id);
        }
        result
    }
}

impl Tool {
    pub async fn import(&self, import: options::Import) -> Result<(), Failure> {
        let options::Import { app, service, format, file } = import;
        if let Some(id) = &service {
            self.service(id).await?;
        }
        let list = match (app, service, format) {
            (Some(app), ..) => ClientList::IdentityCloud(app),
            (None, Some(service), None) => ClientList::Authlete(service),
            (None, service, _) => ClientList::Rfc7591(service),
        };
        let (input, length) = open(&file, &list)?;
        let warn = match &list {
            ClientList::IdentityCloud(app) if path_warning::of_application(app) => |_: &Id| {},
            ClientList::IdentityCloud(_) => path_warning::of_api_client,
            ClientList::Authlete(_) | ClientList::Rfc7591(_) => path_warning::of_oauth_client,
        };
        let pump = Pump {
            concurrency: CONCURRENCY,
            length,
            unit: "writes",
            has_effect: true,
            advice: "run the same command again to import the other clients",
        };
        let mut summary = Summary::default();
        let print = |done: Done| {
            summary.add(&done);
            if let (Some(id), Outcome::Imported | Outcome::AlreadyThere) = (&done.id, &done.outcome) {
                warn(id);
            }
            done.report().map_or(Ok(()), |report| self.print(&report)).map(|()| ONE)
        };
        let turns = Turns::default();
        let work = async |(index, entry): (usize, Entry)| match &entry {
            Ok((id, _)) => turns.take(&id.clone(), self.import_entry((index, entry))).await,
            Err(_) => self.import_entry((index, entry)).await,
        };
        let result = pump.run(&self.output, entries(input, list, file), work, print).await;
        self.print(&summary.report())?;
        result.and(if summary.skipped == 0 { Ok(()) } else { Err(Failure::Skipped(summary.skipped)) })
    }

    async fn import_entry(&self, (index, entry): (usize, Entry)) -> Result<Done, Failure> {
        let (id, client) = match entry {
            Ok(client) => client,
            Err(WrongEntry { id, why }) => {
                return Ok(Done { index, id, lacks_token: false, outcome: Outcome::Skipped(why) });
            }
        };
        // If the list does not say when the client was used, its idle time starts now.
        let idle = client.is_dynamic().then(|| client.idle.unwrap_or_else(|| Idle::used((self.now)())));
        let client = Client { idle, ..client };
        let outcome = self.write(&id, &client).await?;
        let lacks_token =
            matches!(client.kind, Kind::OAuth(OAuthClient { dynamic: true, registration_token_digest: None, .. }));
        Ok(Done { index, id: Some(id), lacks_token, outcome })
    }

    async fn write(&self, id: &Id, client: &Client) -> Result<Outcome, Fault> {
        Ok(match self.store.import_client(id, client).await? {
            None => Outcome::Imported,
            // Protection and version are not in a list, and may have changed since an earlier import.
            Some(Record::Client(existing)) if is_same(&existing.kind, &client.kind) => Outcome::AlreadyThere,
            Some(Record::Deleted(Deletion { blocked: Some(_), .. })) => {
                Outcome::Skipped("this id is blocked here".to_owned())
            }
            Some(Record::Deleted(_)) => Outcome::Skipped("a client with this id was deleted here".to_owned()),
            Some(_) => Outcome::Skipped("another client has this id, or this client was changed here".to_owned()),
        })
    }
}

/// Whether the client was imported with these members. An earlier release did not import contacts.
fn is_same(existing: &Kind, imported: &Kind) -> bool {
    match (existing, imported) {
        (Kind::OAuth(existing), Kind::OAuth(imported)) if existing.metadata.contacts.is_none() => {
            let metadata = Metadata { contacts: None, ..imported.metadata.clone() };
            *existing == OAuthClient { metadata, ..imported.clone() }
        }
        _ => existing == imported,
    }
}

impl Summary {
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
    /// The report of an entry that needs the operator's attention.
    fn report(&self) -> Option<Report> {
        let (outcome, reason) = match &self.outcome {
            Outcome::Skipped(why) => ("skipped", why.as_str()),
            _ if !self.lacks_token => return None,
            Outcome::Imported => ("imported", LACKS_TOKEN),
            Outcome::AlreadyThere => ("already_there", LACKS_TOKEN),
        };
        let id = self.id.as_ref().map(Id::as_str);
        let report = Report::new("Check this client.").with("index", self.index).with("client_id", id);
        Some(report.with_outcome(outcome).with("reason", reason))
    }
}

/// Opens the input. Returns it with the number of its entries, if it is a file.
///
/// A file is read to its end before the first write, so nothing of a wrong file is imported. A pipe can be read only
/// once, so it is not checked first.
fn open(path: &Path, list: &ClientList) -> Result<(Box<dyn Read + Send>, Option<u64>), Failure> {
    if path.as_os_str() == STDIN {
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

/// The entries, each with its index. A thread reads a few ahead. The process ends without waiting for the thread, which
/// may block on the standard input.
fn entries(
    input: Box<dyn Read + Send>,
    list: ClientList,
    path: PathBuf,
) -> impl Stream<Item = Result<(usize, Entry), Failure>> {
    let (sender, mut receiver) = mpsc::channel(CONCURRENCY);
    thread::spawn(move || {
        let mut index = 0;
        let mut send = |entry: Value| {
            let sent = sender.blocking_send(Ok((index, list.client(entry))));
            index += 1;
            sent.is_ok()
        };
        if let Err(error) = list.read(BufReader::new(input), &mut send) {
            // This fails only if the import has already stopped.
            let _ = sender.blocking_send(Err(wrong(&path, &list, error)));
        }
    });
    stream::poll_fn(move |context| receiver.poll_recv(context))
}

/// The failure for a wrong input. The text of the error is left out: it may quote a secret.
fn wrong(path: &Path, list: &ClientList, error: serde_json::Error) -> Failure {
    let (line, column) = (error.line(), error.column());
    if error.is_io() {
        return Failure::UnreadableFile(path.to_owned(), error.into());
    }
    Failure::WrongList { file: path.to_owned(), list: list.name(), line, column }
}
