//! Checks the items of the table, as its pages arrive.

use crate::{
    failure::Failure,
    report::{self, Columns, Report},
    tool::Tool,
};
use deregister::dynamodb::{admin::CheckedPage, item::Item};

/// The columns, for people.
const FINDINGS: Columns = &[("key", 40), ("member", 32), ("effect", 11), ("must", 0)];

/// How many items were read, and how many of them have findings.
#[derive(Default)]
struct Summary {
    read: usize,
    with_findings: usize,
}

impl Tool {
    /// Prints what cannot be read in the whole table, one row for each finding.
    pub async fn check_table(&self) -> Result<(), Failure> {
        self.print_heading(FINDINGS)?;
        let mut summary = Summary::default();
        let result = self.check_pages(&mut summary).await;
        let Summary { read, with_findings } = summary;
        report::note(&format!("items read: {read}, with findings: {with_findings}"));
        result.and(if with_findings == 0 { Ok(()) } else { Err(Failure::Findings(with_findings)) })
    }

    async fn check_pages(&self, summary: &mut Summary) -> Result<(), Failure> {
        let mut start: Option<Option<Item>> = Some(None);
        while let Some(after) = start {
            let CheckedPage { read, items, next } = self.store.check(after).await?;
            summary.read += read;
            for item in items {
                summary.with_findings += 1;
                for finding in item.findings {
                    let effect: &str = finding.effect.into();
                    let report = Report::new("A finding.")
                        .with("key", item.key.as_str())
                        .with("member", finding.flaw.member)
                        .with("must", finding.flaw.must)
                        .with_words("effect", effect, effect.replace('_', " "));
                    self.print_row(&report, FINDINGS)?;
                }
            }
            start = next.map(Some);
        }
        Ok(())
    }
}
