//! Restores deleted clients.

use crate::{
    failure::Failure,
    grants::with_grants,
    options,
    pump::{ONE, Pump},
    report::{self, Columns, Report, timestamp},
    show::lacking,
    tool::Tool,
};
use deregister::{
    dynamodb::admin::{RestoreOutcome, Restored},
    model::{Id, Kind, Restoration},
    store::Fault,
};
use futures::stream;

/// The columns of several restorations, for people.
const OUTCOMES: Columns = &[("client_id", 32), ("outcome", 10), ("reason", 0)];

/// The members of a client that are credentials.
const CREDENTIALS: [&str; 2] = ["secrets", "registration_token_digest"];

impl Tool {
    /// Restores a client, or several.
    pub async fn restore_clients(&self, restore: options::Restore) -> Result<(), Failure> {
        let options::Restore { targets, grants } = restore;
        let ids = targets.ids()?;
        let operator = self.operator(targets.by.by);
        match &targets.ids[..] {
            [id] => self.restore_client(id.clone(), operator, grants.count_up_to).await,
            _ => self.restore_several(ids, &operator, targets.concurrency.get()).await,
        }
    }

    /// Restores clients, and prints the outcome of each.
    async fn restore_several(&self, ids: Vec<Id>, operator: &str, concurrency: usize) -> Result<(), Failure> {
        let pump = Pump {
            concurrency,
            length: ids.len().try_into().ok(),
            unit: "restorations",
            has_effect: true,
            advice: "run the same command again to restore the other clients",
        };
        let work = async |id: Id| {
            let restoration = Restoration { at: (self.now)(), by: operator.to_owned() };
            let result = self.store.restore(&id, &restoration).await;
            Ok((id, result))
        };
        let (mut restored, mut not_found, mut refused, mut failed) = (0, 0, 0, 0);
        let print = |(id, result): (Id, Result<RestoreOutcome, Fault>)| {
            let report = Report::new("A client.").with("client_id", id.as_str());
            let (count, outcome, reason) = match &result {
                Ok(RestoreOutcome::Done(_)) => (&mut restored, "restored", None),
                Ok(RestoreOutcome::Unknown) => (&mut not_found, "not_found", None),
                Ok(RestoreOutcome::Live) => (&mut refused, "refused", Some("it is live".to_owned())),
                Ok(RestoreOutcome::Blocked) => {
                    (&mut refused, "refused", Some("it is blocked: unblock it first".to_owned()))
                }
                Ok(RestoreOutcome::Expired(until)) => {
                    (&mut refused, "refused", Some(format!("it could be restored until {}", timestamp(*until))))
                }
                Ok(RestoreOutcome::Changed) => (&mut failed, "failed", Some("it changed meanwhile".to_owned())),
                Err(fault) => (&mut failed, "failed", Some(fault.to_string())),
            };
            *count += 1;
            let lacks = match &result {
                Ok(RestoreOutcome::Done(Restored { lacks, .. })) => lacking(lacks.clone()),
                _ => None,
            };
            let report = report.with_outcome(outcome).with("lacks", lacks).with("reason", reason);
            self.print_row(&report, OUTCOMES)?;
            match result {
                // An unreadable item does not affect the other clients.
                Ok(_) | Err(Fault::Unreadable(_)) => Ok(ONE),
                Err(fault) => Err(fault.into()),
            }
        };
        let result = pump.run(&self.output, stream::iter(ids.into_iter().map(Ok)), work, print).await;
        report::note(&format!("restored: {restored}, not found: {not_found}, refused: {refused}, failed: {failed}"));
        result.and(Failure::if_any("clients not restored", not_found + refused + failed))
    }

    /// Restores a client, and counts its grants up to `count_up_to`.
    async fn restore_client(&self, id: Id, by: String, count_up_to: usize) -> Result<(), Failure> {
        let restoration = Restoration { at: (self.now)(), by };
        let Restored { client, lacks } = match self.store.restore(&id, &restoration).await? {
            RestoreOutcome::Done(restored) => restored,
            RestoreOutcome::Unknown => return Err(Failure::NoClient(id)),
            RestoreOutcome::Live => return Err(Failure::IsLive(id)),
            RestoreOutcome::Blocked => return Err(Failure::IsBlocked(id)),
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
