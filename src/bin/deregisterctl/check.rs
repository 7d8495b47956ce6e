//! Checks the items of the table, as its pages arrive.

use crate::{
    failure::Failure,
    list::Positions,
    options,
    pump::Pump,
    report::{self, Columns, Report},
    tool::Tool,
};
use deregister::dynamodb::admin::{CheckedItem, Page};
use std::ops::ControlFlow;

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
        let positions = Positions::starts(options::SEGMENTS);
        let print = |Page { read, entries, next }: Page<CheckedItem>| {
            positions.add(next);
            summary.read += read;
            for item in entries {
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
            Ok(ControlFlow::Continue(read))
        };
        let work = async |from| Ok(self.store.check(from).await?);
        let result = Pump::reading(options::SEGMENTS).run(&self.output, positions.stream(), work, print).await;
        let Summary { read, with_findings } = summary;
        if !matches!(result, Err(Failure::Unprintable(_))) {
            report::note(&format!("items read: {read}, with findings: {with_findings}"));
        }
        result.and(if with_findings == 0 { Ok(()) } else { Err(Failure::Findings(with_findings)) })
    }
}
