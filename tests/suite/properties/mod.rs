//! What holds for every input: a request of any bytes gets a well-formed answer, an id of any characters is compared
//! whole, and each small parser agrees with a short second implementation.

mod ids;
mod parsers;
mod requests;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::{collection::vec, prelude::*, sample::select};

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Text of any characters. Many of them have a meaning in a path, a query, a header or JSON.
fn anything() -> impl Strategy<Value = String> {
    let character = prop_oneof![any::<char>(), any::<u8>().prop_map(char::from), select(&MEANINGFUL[..])];
    vec(character, 0..24).prop_map(String::from_iter)
}

const MEANINGFUL: [char; 20] =
    ['/', '%', '?', '#', '&', '=', '+', '.', ':', ';', ',', ' ', '"', '\\', '{', '}', '\0', '\n', '\r', '\t'];

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Whether the text has only the characters that RFC 6750, section 3, allows, and is not empty.
fn is_quotable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\')
}
