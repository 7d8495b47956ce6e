//! Counts the grants of a client.

use crate::{report::Report, tool::Tool};
use deregister::{model::Id, store::Fault};

/// How many grants a client has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantCount {
    /// The grants that were counted.
    counted: usize,
    /// Whether there are more than were counted.
    are_more: bool,
}

impl Tool {
    /// Counts a client's grants up to `count_up_to`. `None`: the table of grants is not known.
    pub async fn count_grants(&self, client: &Id, count_up_to: usize) -> Result<Option<GrantCount>, Fault> {
        let Some(table) = &self.grants else { return Ok(None) };
        let found = table.count(client, count_up_to).await?;
        Ok(Some(GrantCount { counted: found.min(count_up_to), are_more: found > count_up_to }))
    }
}

/// Adds the number of grants, if they were counted.
pub fn with_grants(report: Report, count: Option<GrantCount>) -> Report {
    let Some(GrantCount { counted, are_more }) = count else { return report };
    let words = if are_more { format!("more than {counted}") } else { counted.to_string() };
    report.with_words("grants", counted, words).json_only("more_grants", are_more)
}
