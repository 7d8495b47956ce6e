//! Keeping track of the use of clients that registered themselves before there was an index: a few at a time, each in one
//! conditional write, so that a run that ends anywhere can be run again.

use crate::{
    command::{AT_ONCE, Failure, Tool},
    report::{self, Report},
};
use deregister::{
    dynamodb::ClientsTable,
    model::Id,
    snapshot::{Key, Record, Unreadable},
    store::Fault,
};
use indicatif::ProgressBar;
use std::pin::pin;
use tokio::{sync::mpsc, task::JoinSet};

/// How many clients there were of each kind so far.
#[derive(Default)]
struct Tally {
    tracked: usize,
    already_tracked: usize,
    not_dynamic: usize,
    changed: usize,
}

impl Tool {
    /// Keeps track of the use of a service's clients. Where it is interrupted, or the database fails, no further writes
    /// are started, and those under way are waited for. A client that cannot be read is told in the end.
    pub async fn track_clients(&self, service: Id) -> Result<(), Failure> {
        self.service(&service).await?;
        // It is drawn on the standard error, and only where that is a terminal.
        let bar = ProgressBar::no_length();
        let mut clients = clients(self.store.clone(), service);
        let mut running = JoinSet::new();
        let (mut tally, mut result, mut unread, mut is_open) = (Tally::default(), Ok(()), Ok(()), true);
        let mut interrupt = pin!(tokio::signal::ctrl_c());
        loop {
            tokio::select! {
                biased;
                _ = &mut interrupt, if result.is_ok() && (is_open || !running.is_empty()) => {
                    bar.suspend(|| report::complain("interrupted: waiting for the writes under way"));
                    result = Err(Failure::Interrupted("tracks"));
                }
                Some(done) = running.join_next() => {
                    bar.inc(1);
                    match done.map_err(Failure::from).flatten() {
                        Ok(true) => tally.tracked += 1,
                        Ok(false) => tally.changed += 1,
                        Err(failure) => result = result.and(Err(failure)),
                    }
                }
                client = clients.recv(), if is_open && result.is_ok() && running.len() < AT_ONCE => match client {
                    Some(Ok((_, Record::Client(client)))) if !client.is_dynamic() => tally.not_dynamic += 1,
                    Some(Ok((_, Record::Client(client)))) if client.idle.is_some() => tally.already_tracked += 1,
                    Some(Ok((id, Record::Client(_)))) => {
                        let tool = self.clone();
                        running.spawn(async move { Ok(tool.store.track(&id, (tool.now)()).await?) });
                    }
                    Some(Ok((id, other))) => unread = unread.and(Err(Unreadable::new(Key::Client(id), &other))),
                    Some(Err(fault)) => result = Err(fault.into()),
                    None => is_open = false,
                },
                else => break,
            }
        }
        bar.finish_and_clear();
        self.print(&tally.report())?;
        result.and(unread.map_err(|unreadable| Fault::from(unreadable).into()))
    }
}

impl Tally {
    fn report(&self) -> Report {
        Report::new("The service's clients were looked at.")
            .with("tracked", self.tracked)
            .with("already_tracked", self.already_tracked)
            .with("not_dynamic", self.not_dynamic)
            .with("changed_meanwhile", Some(self.changed).filter(|&count| count > 0))
    }
}

/// A service's live clients, page after page; or why there are no more.
fn clients(store: ClientsTable, service: Id) -> mpsc::Receiver<Result<(Id, Record), Fault>> {
    let (sender, receiver) = mpsc::channel(AT_ONCE);
    tokio::spawn(async move {
        let mut after = None;
        loop {
            let (clients, next) = match store.clients_of_service(&service, false, after).await {
                Ok(page) => (page.clients.into_iter().map(Ok).collect(), page.next),
                Err(fault) => (vec![Err(fault)], None),
            };
            for client in clients {
                // Where nobody reads on, nobody wants to know.
                if sender.send(client).await.is_err() {
                    return;
                }
            }
            after = next;
            if after.is_none() {
                return;
            }
        }
    });
    receiver
}
