//! Restores a deleted client.

use crate::{
    failure::Failure,
    grants::with_grants,
    report::{Report, timestamp},
    show::lacking,
    tool::Tool,
};
use deregister::{
    dynamodb::admin::{RestoreOutcome, Restored},
    model::{Id, Kind, Restoration},
};

/// The members of a client that are credentials.
const CREDENTIALS: [&str; 2] = ["secrets", "registration_token_digest"];

impl Tool {
    /// Restores a client, and counts its grants up to `count_up_to`.
    pub async fn restore_client(&self, id: Id, by: Option<String>, count_up_to: usize) -> Result<(), Failure> {
        let restoration = Restoration { at: (self.now)(), by: self.operator(by) };
        let Restored { client, lacks } = match self.store.restore(&id, &restoration).await? {
            RestoreOutcome::Done(restored) => restored,
            RestoreOutcome::Unknown => return Err(Failure::NoClient(id)),
            RestoreOutcome::Live => return Err(Failure::IsLive(id)),
            RestoreOutcome::Expired(until) => return Err(Failure::TooLate(id, timestamp(until))),
            RestoreOutcome::Changed => return Err(Failure::Changed(id)),
        };
        let lacks_credentials = lacks.iter().any(|name| CREDENTIALS.contains(&name.as_str()));
        let headline = match (client.kind, lacks_credentials) {
            (Kind::Api(_), false) => "The client is live again, with its former credentials.",
            (Kind::Api(_), true) => "The client is live again, without its former credentials.",
            (Kind::OAuth(_), false) => {
                "The client is live again, with its former credentials. Grants that were removed are not restored."
            }
            (Kind::OAuth(_), true) => {
                "The client is live again, without its former credentials. Grants that were removed are not restored."
            }
        };
        let report = Report::new(headline)
            .with("client_id", id.as_str())
            .with("restored_by", restoration.by)
            .with("version", client.version.version().map(|version| version.0))
            .with("entity_tag", client.version.version().map(|version| version.to_string()))
            .with("lacks", lacking(lacks));
        // The client is restored, even if its grants cannot be counted.
        let counted = self.count_grants(&id, count_up_to).await;
        self.print(&with_grants(report, counted.as_ref().ok().copied().flatten()))?;
        Ok(counted.map(drop)?)
    }
}
