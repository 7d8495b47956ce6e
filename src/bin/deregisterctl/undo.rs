//! Undoing deletions, and looking them up.

use crate::{
    command::{Failure, Tool, show_deleted},
    options::{self, Whose},
    report::{Columns, Report, timestamp},
};
use deregister::{
    client::{Id, Restoration, Undone},
    rule::Unreadable,
    store::{Deletions, Page, Restored},
};
use serde_json::{Value, json};
use std::time::SystemTime;

/// The table that deletions are printed as, for people.
const DELETIONS: Columns =
    &[("client_id", 32), ("deleted_at", 20), ("restorable_until", 20), ("via", 13), ("deleted_by", 0)];

impl Tool {
    pub async fn restore_client(&self, id: Id, by: Option<String>) -> Result<Report, Failure> {
        let restoration = Restoration { at: (self.now)(), by: self.operator(by) };
        match self.store.restore(&id, &restoration).await? {
            Restored::Done(client) => Ok(Report::new("The client is live again, with the credentials that it had.")
                .with("client_id", id.as_str())
                .with("restored_by", restoration.by)
                .with("version", client.version.map(|version| version.0))
                .with("entity_tag", client.version.map(|version| version.to_string()))),
            Restored::Unknown => Err(Failure::NoClient(id)),
            Restored::Live => Err(Failure::NotDeleted(id)),
            Restored::Expired(until) => Err(Failure::TooLate(id, timestamp(until))),
            Restored::Changed => Err(Failure::Changed(id)),
        }
    }

    pub async fn show_deletion(&self, id: Id) -> Result<Report, Failure> {
        match self.store.deletions(&id).await? {
            Some(deletions) => Ok(show(&id, deletions, (self.now)())),
            None => Err(Failure::NoClient(id)),
        }
    }

    /// Lists deletions as they are found. One that cannot be read is told in the end.
    pub async fn list_deletions(&self, options::Deletions { whose, since }: options::Deletions) -> Result<(), Failure> {
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

fn show(id: &Id, Deletions { standing, undone }: Deletions, now: SystemTime) -> Report {
    let report = match standing {
        Some((deletion, until)) => {
            show_deleted(id, deletion).with("restorable_until", timestamp(until)).with("restorable", now < until)
        }
        None => Report::new("A live client.").with("client_id", id.as_str()).with("deleted", false),
    };
    let told = undone.iter().map(tell).collect();
    report.lines("history", undone.into_iter().map(past).collect::<Vec<_>>(), told)
}

/// A deletion that was undone, for programs.
fn past(Undone { deletion, restored }: Undone) -> Value {
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
fn tell(Undone { deletion, restored }: &Undone) -> String {
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
