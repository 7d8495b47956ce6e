//! Writes the events of the table of cases, for `cargo lambda invoke` and the tests in Python.
//!
//! `cargo run --example events -- FOLDER` writes every named request in both payload versions, and `answers.json`.
//! `cargo run --example events -- --by-hand` writes the files in `events/` that are invoked by hand.
#![allow(dead_code, clippy::allow_attributes, reason = "the tests use the rest of these modules")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "the table is part of the sources")]

#[path = "../tests/support/by_hand.rs"]
mod by_hand;
#[path = "../tests/support/cases.rs"]
mod cases;
#[path = "local/envelope.rs"]
mod envelope;

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args().nth(1).ok_or("which folder?")?;
    if folder == "--by-hand" {
        for (file, event) in by_hand::files() {
            let path = Path::new("events").join(file);
            fs::create_dir_all(path.parent().ok_or("no folder")?)?;
            fs::write(path, event)?;
        }
        return Ok(());
    }
    fs::create_dir_all(&folder)?;
    let mut answers = serde_json::Map::new();
    for (name, (event, answer)) in cases::events() {
        let file = format!("{name}.json");
        fs::write(Path::new(&folder).join(&file), serde_json::to_string_pretty(&event)?)?;
        answers.insert(file, serde_json::from_str(answer.get())?);
    }
    fs::write(Path::new(&folder).join("answers.json"), serde_json::to_string_pretty(&answers)?)?;
    Ok(())
}
