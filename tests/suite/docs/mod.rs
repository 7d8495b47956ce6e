//! The pages list what the code has: settings, answers, and the tests that the threat model names.

mod answers;
mod settings;
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
