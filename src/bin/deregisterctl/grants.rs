//! What was issued to a client: how much of it there is.

use crate::{command::Tool, report::Report};
use deregister::{model::Id, store::Fault};

/// How many grants a client has, as far as they were counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    grants: usize,
    are_more: bool,
}

impl Tool {
    /// Counts a client's grants up to this bound, where their table is known.
    pub async fn count_grants(&self, client: &Id, bound: usize) -> Result<Option<Counted>, Fault> {
        let Some(table) = &self.grants else { return Ok(None) };
        let found = table.count(client, bound).await?;
        Ok(Some(Counted { grants: found.min(bound), are_more: found > bound }))
    }
}

/// Adds to a report how many grants there are, where they were counted.
pub fn with_grants(report: Report, counted: Option<Counted>) -> Report {
    let Some(Counted { grants, are_more }) = counted else { return report };
    let words = if are_more { format!("more than {grants}") } else { grants.to_string() };
    report.worded("grants", grants, words).untold("more_grants", are_more)
}
