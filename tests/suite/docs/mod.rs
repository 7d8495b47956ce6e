//! The pages list what the code has: settings, answers, and the tests that the threat model names.

mod answers;
mod integrating;
mod settings;
mod snippet;
mod threats;

/// The text of a page from this heading to the next one.
fn section<'p>(page: &'p str, heading: &str) -> &'p str {
    let (_, section) = page.split_once(&format!("\n{heading}\n")).unwrap_or_else(|| panic!("no heading {heading:?}"));
    let end = section.match_indices("\n#").map(|(at, _)| at).next().unwrap_or(section.len());
    &section[..end]
}

/// The cells of the rows of the only table in a section, without the head.
fn rows(section: &str) -> Vec<Vec<&str>> {
    let lines = section.lines().filter(|line| line.starts_with('|')).skip(2);
    lines.map(|line| line.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

/// After `stats`, only its own columns exist.
#[test]
fn no_query_of_the_runbook_filters_after_stats() {
    let page = include_str!("../../../docs/operations.md");
    let queries = page.split("```text\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let queries: Vec<_> = queries.filter(|query| query.contains("| ")).collect();
    assert!(queries.iter().filter(|query| query.contains("stats ")).count() >= 3, "{queries:?}");
    for query in queries {
        let commands: Vec<_> = query.split('|').map(|command| command.split_whitespace().next()).collect();
        let after_stats = commands.iter().skip_while(|command| **command != Some("stats")).skip(1);
        let wrong: Vec<_> = after_stats.filter(|command| [Some("filter"), Some("fields")].contains(command)).collect();
        assert!(wrong.is_empty(), "{query}");
    }
}
