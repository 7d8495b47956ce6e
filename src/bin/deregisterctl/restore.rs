//! Restores a deleted client.

use crate::{
    failure::Failure,
    grants::with_grants,
    report::{Report, timestamp},
    tool::Tool,
};
use deregister::{
    dynamodb::admin::RestoreOutcome,
    model::{Id, Kind, Restoration},
};

impl Tool {
    /// Restores a client, and counts its grants up to `count_up_to`.
    pub async fn restore_client(&self, id: Id, by: Option<String>, count_up_to: usize) -> Result<(), Failure> {
        let restoration = Restoration { at: (self.now)(), by: self.operator(by) };
        let client = match self.store.restore(&id, &restoration).await? {
            RestoreOutcome::Done(client) => client,
            RestoreOutcome::Unknown => return Err(Failure::NoClient(id)),
            RestoreOutcome::Live => return Err(Failure::IsLive(id)),
            RestoreOutcome::Expired(until) => return Err(Failure::TooLate(id, timestamp(until))),
            RestoreOutcome::Changed => return Err(Failure::Changed(id)),
        };
        let headline = match client.kind {
            Kind::Api(_) => "The client is live again, with its former credentials.",
            Kind::OAuth(_) => {
                "The client is live again, with its former credentials. Grants that were removed are not restored."
            }
        };
        let report = Report::new(headline)
            .with("client_id", id.as_str())
            .with("restored_by", restoration.by)
            .with("version", client.version.version().map(|version| version.0))
            .with("entity_tag", client.version.version().map(|version| version.to_string()));
        // The client is restored, even if its grants cannot be counted.
        let counted = self.count_grants(&id, count_up_to).await;
        self.print(&with_grants(report, counted.as_ref().ok().copied().flatten()))?;
        Ok(counted.map(drop)?)
    }
}
