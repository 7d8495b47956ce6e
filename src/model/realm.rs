//! The realm: the protection space in the header `WWW-Authenticate`.

use std::fmt;

/// The realm: the protection space in the header `WWW-Authenticate` (RFC 9110, section 11.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Realm(String);

impl Realm {
    /// The realm with this name. `None` if the name is empty, or if a quoted string would have to escape a character of
    /// it.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let quotable = |b: u8| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\';
        (!name.is_empty() && name.bytes().all(quotable)).then(|| Self(name.to_owned()))
    }
}

/// The name, as it is written between the quotation marks of a challenge.
impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
