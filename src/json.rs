//! Reads JSON of any content.
//!
//! A value is skipped, or kept as its text, before it is parsed. So a huge number, deep nesting, a lone surrogate or a
//! wrong type affects only the member that contains it.

use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeSeed, IgnoredAny},
};
pub(crate) use serde_json::value::RawValue;
use std::{borrow::Cow, fmt, str::FromStr};

/// Reads an object, in JSON that is valid.
///
/// `number_of` gets each name, and returns a number if the member is wanted. `take` gets that number and the value. Names
/// are bytes, because a name with a lone surrogate is not UTF-8. Returns `None` if the JSON is not an object.
pub(crate) fn read_object<'j>(
    json: &'j [u8],
    number_of: &dyn Fn(&[u8]) -> Option<usize>,
    take: &mut dyn FnMut(usize, &'j RawValue),
) -> Option<()> {
    struct Members<'f, 'j>(&'f dyn Fn(&[u8]) -> Option<usize>, &'f mut dyn FnMut(usize, &'j RawValue));

    impl<'j> de::Visitor<'j> for Members<'_, 'j> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<M: de::MapAccess<'j>>(self, mut members: M) -> Result<(), M::Error> {
            while let Some(number) = members.next_key_seed(Name(self.0))? {
                match number {
                    Some(number) => (self.1)(number, members.next_value()?),
                    None => drop(members.next_value::<IgnoredAny>()?),
                }
            }
            Ok(())
        }
    }

    let mut deserializer = serde_json::Deserializer::from_slice(json);
    deserializer.deserialize_map(Members(number_of, take)).ok()?;
    deserializer.end().ok()
}

/// The name of a member.
struct Name<'f>(&'f dyn Fn(&[u8]) -> Option<usize>);

impl<'j> DeserializeSeed<'j> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'j>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl de::Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_bytes<E: de::Error>(self, name: &[u8]) -> Result<Self::Value, E> {
        Ok((self.0)(name))
    }
}

/// A member of an object, by its name.
#[derive(Clone, Copy)]
pub(crate) enum Member<'j> {
    Absent,
    Once(&'j RawValue),
    Repeated,
}

/// The members with these names. `None` if the JSON is not an object.
pub(crate) fn members<'j, const N: usize>(json: &'j [u8], names: [&str; N]) -> Option<[Member<'j>; N]> {
    let mut members = [Member::Absent; N];
    let number_of = |name: &[u8]| names.iter().position(|known| known.as_bytes() == name);
    read_object(json, &number_of, &mut |number, value| {
        if let Some(member) = members.get_mut(number) {
            *member = if let Member::Absent = member { Member::Once(value) } else { Member::Repeated };
        }
    })?;
    Some(members)
}

/// The values of the members with these names. A member that is there twice counts as absent. So does each member of a
/// value that is not an object.
pub(crate) fn values<'j, const N: usize>(json: Option<&'j RawValue>, names: [&str; N]) -> [Option<&'j RawValue>; N] {
    let members = json.and_then(|json| members(json.get().as_bytes(), names)).unwrap_or([Member::Absent; N]);
    members.map(|member| if let Member::Once(value) = member { Some(value) } else { None })
}

/// The value, if it is an object.
pub(crate) fn object(json: &RawValue) -> Option<&RawValue> {
    json.get().starts_with('{').then_some(json)
}

/// The items of a list. `None` if the value is not a list.
pub(crate) fn list(json: &RawValue) -> Option<Vec<&RawValue>> {
    // Most values are texts. The check saves serde's error.
    if json.get().starts_with('[') { serde_json::from_str(json.get()).ok() } else { None }
}

/// The text. `None` if the value is not a text in Unicode. Copied only if it contains escapes.
pub(crate) fn text(json: &RawValue) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Text<'j>(#[serde(borrow)] Cow<'j, str>);

    serde_json::from_str(json.get()).ok().map(|Text(text)| text)
}

/// What the text says. `None` if the value is not a text, or the text cannot be parsed.
pub(crate) fn parsed<T: FromStr>(json: &RawValue) -> Option<T> {
    text(json)?.parse().ok()
}
