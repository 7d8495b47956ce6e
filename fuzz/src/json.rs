//! A reference parser of JSON (RFC 8259). It keeps repeated members, the text of numbers, and texts that are not Unicode.

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    /// A number, as it is written.
    Number(String),
    /// A text. `None`: it has a lone surrogate, or is not UTF-8.
    Text(Option<String>),
    List(Vec<Json>),
    Object(Vec<(Option<String>, Json)>),
}

impl Json {
    /// Reads a JSON text. `None`: it is not JSON. A text in it need not be UTF-8.
    pub fn read(text: &[u8]) -> Option<Self> {
        let (value, rest) = value(text)?;
        space(rest).is_empty().then_some(value)
    }

    /// The member with this name, if there is exactly one.
    pub fn member(&self, name: &str) -> Option<&Self> {
        match &self.members(|known| known == name)[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// The members with these names, in their order.
    pub fn members(&self, is_wanted: impl Fn(&str) -> bool) -> Vec<&Self> {
        let Self::Object(members) = self else { return Vec::new() };
        members.iter().filter(|(name, _)| name.as_deref().is_some_and(&is_wanted)).map(|(_, value)| value).collect()
    }

    /// The text.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(Some(text)) = self { Some(text) } else { None }
    }

    /// The value, if it is an object.
    pub fn object(&self) -> Option<&Self> {
        matches!(self, Self::Object(_)).then_some(self)
    }
}

/// The text after white space.
fn space(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !b" \t\n\r".contains(byte)).unwrap_or(text.len());
    &text[end..]
}

/// A value, and the text after it.
fn value(text: &[u8]) -> Option<(Json, &[u8])> {
    let text = space(text);
    match text.first()? {
        b'n' => Some((Json::Null, text.strip_prefix(b"null")?)),
        b't' => Some((Json::Bool(true), text.strip_prefix(b"true")?)),
        b'f' => Some((Json::Bool(false), text.strip_prefix(b"false")?)),
        b'"' => string(text).map(|(string, rest)| (Json::Text(string), rest)),
        b'[' => {
            let (mut items, mut rest) = (Vec::new(), space(&text[1..]));
            if let Some(rest) = rest.strip_prefix(b"]") {
                return Some((Json::List(items), rest));
            }
            loop {
                let (item, after) = value(rest)?;
                items.push(item);
                rest = space(after);
                match rest.first()? {
                    b',' => rest = &rest[1..],
                    b']' => return Some((Json::List(items), &rest[1..])),
                    _ => return None,
                }
            }
        }
        b'{' => {
            let (mut members, mut rest) = (Vec::new(), space(&text[1..]));
            if let Some(rest) = rest.strip_prefix(b"}") {
                return Some((Json::Object(members), rest));
            }
            loop {
                let (name, after) = string(space(rest))?;
                let (member, after) = value(space(after).strip_prefix(b":")?)?;
                members.push((name, member));
                rest = space(after);
                match rest.first()? {
                    b',' => rest = &rest[1..],
                    b'}' => return Some((Json::Object(members), &rest[1..])),
                    _ => return None,
                }
            }
        }
        _ => number(text),
    }
}

/// A string, and the text after it.
fn string(text: &[u8]) -> Option<(Option<String>, &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    // UTF-16 joins the two escapes of one character.
    let mut is_unicode = true;
    let (mut units, mut bytes) = (Vec::new(), Vec::new());
    loop {
        let (first, after) = rest.split_first()?;
        rest = after;
        let unit = match first {
            b'\\' => {
                let (escape, after) = rest.split_first()?;
                rest = after;
                match escape {
                    b'"' | b'\\' | b'/' => u16::from(*escape),
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => 10,
                    b'r' => 13,
                    b't' => 9,
                    b'u' => {
                        let digits = std::str::from_utf8(rest.get(..4)?).ok()?;
                        rest = &rest[4..];
                        let is_hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                        is_hexadecimal.then(|| u16::from_str_radix(digits, 16).ok()).flatten()?
                    }
                    _ => return None,
                }
            }
            0..0x20 => return None,
            b'"' => break,
            _ => {
                is_unicode &= flush(&mut units, &mut bytes);
                bytes.push(*first);
                continue;
            }
        };
        units.push(unit);
    }
    is_unicode &= flush(&mut units, &mut bytes);
    Some((String::from_utf8(bytes).ok().filter(|_| is_unicode), rest))
}

/// Moves escaped characters to the bytes before them. Returns whether they are Unicode.
fn flush(units: &mut Vec<u16>, bytes: &mut Vec<u8>) -> bool {
    let text = String::from_utf16(units);
    units.clear();
    text.map(|text| bytes.extend(text.bytes())).is_ok()
}

/// A number, and the text after it.
fn number(text: &[u8]) -> Option<(Json, &[u8])> {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut end = usize::from(text.starts_with(b"-"));
    let whole = digits(&text[end..]);
    if whole == 0 || whole > 1 && text[end] == b'0' {
        return None;
    }
    end += whole;
    if text.get(end) == Some(&b'.') {
        let fraction = digits(&text[end + 1..]);
        end += 1 + fraction;
        if fraction == 0 {
            return None;
        }
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        end += 1;
        end += usize::from(matches!(text.get(end), Some(b'+' | b'-')));
        let exponent = digits(&text[end..]);
        end += exponent;
        if exponent == 0 {
            return None;
        }
    }
    Some((Json::Number(String::from_utf8(text[..end].to_vec()).ok()?), &text[end..]))
}
