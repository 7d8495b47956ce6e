//! What the tool prints: a list of members, as text for people or as JSON for programs.

use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::{
    fmt::Write as _,
    io::{self, Write},
    time::SystemTime,
};

/// The columns of a table: the name of each member, and its least width. The widths are fixed, because rows are printed
/// before all values are known.
pub type Columns = &'static [(&'static str, usize)];

/// Writes the line above a table.
pub fn write_heading(mut out: impl Write, columns: Columns) -> io::Result<()> {
    write_line(&mut out, columns.iter().map(|&(name, width)| (name.replace('_', " "), width)))
}

fn write_line(out: &mut impl Write, cells: impl Iterator<Item = (String, usize)>) -> io::Result<()> {
    let line: Vec<_> = cells.map(|(text, width)| format!("{text:width$}")).collect();
    writeln!(out, "{}", line.join("  ").trim_end())?;
    out.flush()
}

/// The output of a command, or the row of a list.
pub struct Report {
    headline: &'static str,
    members: Vec<(&'static str, Shown)>,
}

enum Shown {
    /// A value, and its words for people.
    Plain(Value, String),
    /// A list, and a line of words for each value.
    Lines(Value, Vec<String>),
    /// A secret or token. It is exposed only when it is printed.
    Secret(SecretString),
    /// A value for programs only.
    JsonOnly(Value),
}

impl Report {
    /// A report without members. Only people see the headline.
    pub fn new(headline: &'static str) -> Self {
        Self { headline, members: Vec::new() }
    }

    /// Adds a member, unless the value is null.
    pub fn with(self, name: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let words = match &value {
            Value::Null => return self,
            Value::Bool(yes) => if *yes { "yes" } else { "no" }.to_owned(),
            Value::String(text) => text.clone(),
            Value::Array(values) if values.is_empty() => "none".to_owned(),
            Value::Array(values) => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            other => other.to_string(),
        };
        self.with_words(name, value, words)
    }

    /// Adds a member with other words for people.
    pub fn with_words(mut self, name: &'static str, value: impl Into<Value>, words: impl Into<String>) -> Self {
        self.members.push((name, Shown::Plain(value.into(), words.into())));
        self
    }

    /// Adds the outcome for a client or another item: a name in `snake_case` for programs, and its words for people.
    pub fn with_outcome(self, outcome: &'static str) -> Self {
        self.with_words("outcome", outcome, outcome.replace('_', " "))
    }

    /// Adds a list, with a line of words for each value.
    pub fn lines(mut self, name: &'static str, values: impl Into<Value>, words: Vec<String>) -> Self {
        self.members.push((name, Shown::Lines(values.into(), words)));
        self
    }

    /// Adds a member for programs only.
    pub fn json_only(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.members.push((name, Shown::JsonOnly(value.into())));
        self
    }

    /// Adds a secret or token.
    pub fn secret(mut self, name: &'static str, secret: SecretString) -> Self {
        self.members.push((name, Shown::Secret(secret)));
        self
    }

    /// Writes the report, as text or as one line of JSON.
    pub fn write(&self, mut out: impl Write, json: bool) -> io::Result<()> {
        if json {
            // JSON has such characters only in its texts.
            let mut line = String::new();
            for character in serde_json::to_string(self)?.chars() {
                if is_unprintable(character) {
                    line.extend(character.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
                } else {
                    line.push(character);
                }
            }
            writeln!(out, "{line}")?;
        } else {
            writeln!(out, "{}", self.headline)?;
            let width = self.members.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
            for (name, shown) in &self.members {
                let words = match shown {
                    Shown::Plain(_, words) => &printable(words),
                    Shown::Lines(_, lines) if lines.is_empty() => "none",
                    Shown::Lines(_, lines) => &lines
                        .iter()
                        .map(|line| printable(line))
                        .collect::<Vec<_>>()
                        .join(&format!("\n{:width$}", "", width = width + 4)),
                    Shown::Secret(secret) => secret.expose_secret(),
                    Shown::JsonOnly(_) => continue,
                };
                writeln!(out, "  {:width$}  {words}", name.replace('_', " "))?;
            }
            if self.members.iter().any(|(_, shown)| matches!(shown, Shown::Secret(_))) {
                writeln!(out, "Keep it now: it is not shown again.")?;
            }
        }
        out.flush()
    }

    /// Writes the report as a row of a table. A column is blank if the report has no such member, or if it is a secret. The
    /// name of an OAuth client is its `client_name`.
    pub fn write_row(&self, mut out: impl Write, columns: Columns) -> io::Result<()> {
        let member = |name: &str| self.members.iter().find(|(member, _)| *member == name);
        let cell = |name: &str| match member(name).or_else(|| member("client_name").filter(|_| name == "name")) {
            Some((_, Shown::Plain(_, words))) => printable(words),
            Some((_, Shown::Lines(..) | Shown::Secret(_) | Shown::JsonOnly(_))) | None => String::new(),
        };
        write_line(&mut out, columns.iter().map(|&(name, width)| (cell(name), width)))
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.members.iter().map(|(name, shown)| (name, shown)))
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Plain(value, _) | Self::Lines(value, _) | Self::JsonOnly(value) => value.serialize(serializer),
            Self::Secret(secret) => serializer.serialize_str(secret.expose_secret()),
        }
    }
}

/// Writes an error to the standard error, in one line.
pub fn complain(sentence: &str) {
    let sentence = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
    note(&format!("deregisterctl: {sentence}"));
}

/// Writes a sentence to the standard error.
pub fn note(sentence: &str) {
    // If the standard error cannot be written, there is nowhere to report it.
    let _ = writeln!(io::stderr(), "{}", printable(sentence));
}

/// The text without characters that control the terminal, or the direction of the text. Clients choose their names.
pub fn printable(text: &str) -> String {
    text.replace(is_unprintable, "\u{FFFD}")
}

/// Whether the character controls the terminal, ends a line, or changes the direction or the order of the text around it.
fn is_unprintable(character: char) -> bool {
    let is_of_text =
        matches!(character, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    character.is_control() || is_of_text
}

/// Formats a time as in RFC 3339, in UTC. RFC 3339 has no year after 9999.
pub fn timestamp(instant: SystemTime) -> String {
    let mut text = String::new();
    match write!(text, "{}", humantime::format_rfc3339_seconds(instant)) {
        Ok(()) => text,
        Err(_) => "after the year 9999".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;

    fn written(report: &Report, json: bool) -> String {
        let mut out = Vec::new();
        report.write(&mut out, json).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_and_json_have_the_same_members() {
        let report = Report::new("A client.")
            .with("client_id", "a")
            .with("name", None::<String>)
            .with("protected", false)
            .with("version", 3)
            .with_words("allow_list", json!([]), "any address")
            .json_only("more", true)
            .secret("client_secret", "s".to_owned().into());
        let text = "A client.\n  client id      a\n  protected      no\n  version        3\n  allow list     \
                    any address\n  client secret  s\nKeep it now: it is not shown again.\n";
        assert_eq!(written(&report, false), text);
        let json = "{\"client_id\":\"a\",\"protected\":false,\"version\":3,\"allow_list\":[],\"more\":true,\
                    \"client_secret\":\"s\"}\n";
        assert_eq!(written(&report, true), json);
    }

    #[test]
    fn a_name_cannot_control_the_terminal() {
        let report = Report::new("A client.").with("name", "\u{1b}[2J\nowner");
        assert_eq!(written(&report, false), "A client.\n  name  \u{FFFD}[2J\u{FFFD}owner\n");
    }

    #[test]
    fn a_name_cannot_control_the_terminal_in_json_either_and_stays_what_it_is() {
        let name = "\u{9b}2J\u{202e}\u{2066}a\u{7f}\u{e4}\u{1f980}";
        let json = written(&Report::new("A client.").with("name", name), true);
        assert_eq!(json, "{\"name\":\"\\u009b2J\\u202e\\u2066a\\u007f\u{e4}\u{1f980}\"}\n");
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["name"], name);
    }

    #[test]
    fn every_time_has_a_text() {
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH), "1970-01-01T00:00:00Z");
        let far = SystemTime::UNIX_EPOCH + Duration::from_hours(70_389_528);
        assert_eq!(timestamp(far), "after the year 9999");
    }
}
