//! Undoing deletions, and looking them up.

use crate::{
    command::{Failure, Tool, show_deleted},
    grants::with_grants,
    options::{self, Whose},
    report::{Columns, Report, timestamp},
};
use deregister::{
    dynamodb::admin::{Deletions, Page, RestoreOutcome},
    model::{Id, Kind, PastDeletion, Restoration},
    snapshot::Unreadable,
};
use serde_json::{Value, json};
use std::time::SystemTime;

/// The table that deletions are printed as, for people.
const DELETIONS: Columns = &[
    ("client_id", 32),
    ("deleted_at", 20),
    ("restorable_until", 20),
    ("via", 13),
    ("source_ip", 15),
    ("deleted_by", 0),
];

impl Tool {
    /// Restores a client, and tells how many grants it has left, counted up to this bound.
    pub async fn restore_client(&self, id: Id, by: Option<String>, bound: usize) -> Result<(), Failure> {
        let restoration = Restoration { at: (self.now)(), by: self.operator(by) };
        let client = match self.store.restore(&id, &restoration).await? {
            RestoreOutcome::Done(client) => client,
            RestoreOutcome::Unknown => return Err(Failure::NoClient(id)),
            RestoreOutcome::Live => return Err(Failure::NotDeleted(id)),
            RestoreOutcome::Expired(until) => return Err(Failure::TooLate(id, timestamp(until))),
            RestoreOutcome::Changed => return Err(Failure::Changed(id)),
        };
        let headline = match client.kind {
            Kind::Api(_) => "The client is live again, with the credentials that it had.",
            Kind::OAuth(_) => {
                "The client is live again, with the credentials that it had. Grants that are gone stay gone."
            }
        };
        let report = Report::new(headline)
            .with("client_id", id.as_str())
            .with("restored_by", restoration.by)
            .with("version", client.version.map(|version| version.0))
            .with("entity_tag", client.version.map(|version| version.to_string()));
        // It is restored, whether or not they can be counted.
        let counted = self.count_grants(&id, bound).await;
        self.print(&with_grants(report, counted.as_ref().ok().copied().flatten()))?;
        Ok(counted.map(drop)?)
    }

    pub async fn show_deletion(&self, id: Id) -> Result<Report, Failure> {
        match self.store.deletions(&id).await? {
            Some(deletions) => Ok(show(&id, deletions, (self.now)())),
            None => Err(Failure::NoClient(id)),
        }
    }

    /// Lists deletions as they are found. One that cannot be read is told in the end.
    pub async fn list_deletions(&self, list: options::Deletions) -> Result<(), Failure> {
        let options::Deletions { whose, since, via } = list;
        let now = (self.now)();
        let since = since.map(|since| since.at(now));
        let (mut after, mut result) = (None, Ok(()));
        self.print_heading(DELETIONS)?;
        loop {
            let Page { clients, next } = match &whose {
                Whose { app: Some(app), .. } => self.store.deletions_of_application(app, since, after).await?,
                Whose { service: Some(id), .. } => self.store.deletions_of_service(id, since, after).await?,
                Whose { app: None, service: None } => return Err(Failure::BelongsToNobody),
            };
            for (id, deletions) in clients {
                match deletions {
                    Ok(Deletions { current: Some((deletion, _)), .. })
                        if via.as_ref().is_some_and(|via| deletion.via != *via) => {}
                    Ok(deletions) => self.print_row(&show(&id, deletions, now), DELETIONS)?,
                    Err(unreadable) => result = result.and(Err(unreadable)),
                }
            }
            after = next;
            if after.is_none() {
                return result.map_err(|unreadable: Unreadable| Failure::Database(unreadable.into()));
            }
        }
    }
}

fn show(id: &Id, Deletions { current, past }: Deletions, now: SystemTime) -> Report {
    let report = match current {
        Some((deletion, until)) => {
            show_deleted(id, deletion).with("restorable_until", timestamp(until)).with("restorable", now < until)
        }
        None => Report::new("A live client.").with("client_id", id.as_str()).with("deleted", false),
    };
    let told = past.iter().map(tell).collect();
    report.lines("history", past.into_iter().map(past_deletion).collect::<Vec<_>>(), told)
}

/// A deletion that was undone, for programs.
fn past_deletion(PastDeletion { deletion, restored }: PastDeletion) -> Value {
    json!({
        "deleted_at": timestamp(deletion.at),
        "deleted_by": deletion.by,
        "via": deletion.via,
        "source_ip": deletion.source_ip,
        "request_id": deletion.request_id,
        "restored_at": timestamp(restored.at),
        "restored_by": restored.by,
    })
}

/// A deletion that was undone, for people.
fn tell(PastDeletion { deletion, restored }: &PastDeletion) -> String {
    let from = deletion.source_ip.as_ref().map(|address| format!(" from {address}")).unwrap_or_default();
    format!(
        "deleted {} by {} via {}{from} ({}), restored {} by {}",
        timestamp(deletion.at),
        deletion.by,
        deletion.via,
        deletion.request_id,
        timestamp(restored.at),
        restored.by,
    )
}
