//! Reads the ids of clients from a file.

use crate::{
    failure::Failure,
    mark::without_mark,
    options::{STDIN, Targets, id},
};
use deregister::model::Id;
use serde::Deserialize;
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read},
    path::Path,
};

/// The ids in the file, in their order. A line is an id, byte for byte, or a JSON object with the member `client_id`. Empty
/// lines are ignored.
fn read_ids(file: &Path) -> Result<Vec<Id>, Failure> {
    let unreadable = |error| Failure::UnreadableFile(file.to_owned(), error);
    let mut text = String::new();
    if file.as_os_str() == STDIN {
        io::stdin().read_to_string(&mut text).map_err(unreadable)?;
    } else {
        text = fs::read_to_string(file).map_err(unreadable)?;
    }
    let lines = without_mark(&text).lines().enumerate().filter(|(_, line)| !line.is_empty());
    lines.map(|(index, line)| id_in(line).map_err(|why| Failure::WrongId(file.to_owned(), index + 1, why))).collect()
}

impl Targets {
    /// The ids of the clients, from the command line or from the file, each once.
    pub fn ids(&self) -> Result<Vec<Id>, Failure> {
        self.from.as_deref().map_or_else(|| Ok(self.ids.clone()), read_ids).map(distinct)
    }
}

/// The ids, each once.
fn distinct(ids: Vec<Id>) -> Vec<Id> {
    let mut seen = BTreeSet::new();
    ids.into_iter().filter(|id| seen.insert(id.clone())).collect()
}

fn id_in(line: &str) -> Result<Id, &'static str> {
    #[derive(Deserialize)]
    struct Line {
        client_id: String,
    }
    // A line that is no such object is an id itself.
    match line.starts_with('{').then(|| serde_json::from_str(line)) {
        Some(Ok(Line { client_id })) => id(&client_id),
        _ => id(line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_id_byte_for_byte_or_an_object_with_one() {
        for (line, expected) in [
            ("a", "a"),
            (" a", " a"),
            ("a ", "a "),
            ("#a", "#a"),
            ("\u{a0}", "\u{a0}"),
            (r#"{"client_id":"a b\nc","via":"sweep"}"#, "a b\nc"),
            ("{", "{"),
            (r#"{"client_id":7}"#, r#"{"client_id":7}"#),
        ] {
            assert_eq!(id_in(line).unwrap().as_str(), expected, "{line}");
        }
    }
}
