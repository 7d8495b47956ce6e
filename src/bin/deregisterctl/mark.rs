//! The byte order mark, which some editors write at the start of a file. The tool ignores it in every input.

use std::io::{self, Cursor, Read};

/// The mark.
pub const MARK: &str = "\u{FEFF}";

/// The text without the mark.
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix(MARK).unwrap_or(text)
}

/// The input without the mark.
pub fn reader_without_mark(mut input: impl Read) -> io::Result<impl Read> {
    let mut start = Vec::new();
    input.by_ref().take(MARK.len() as u64).read_to_end(&mut start)?;
    if start == MARK.as_bytes() {
        start.clear();
    }
    Ok(Cursor::new(start).chain(input))
}
