//! Reads the members of an item, each by its type, and collects those that cannot be read.
//!
//! A type here is the type that the condition of the write tests for. A flaw names a member and never a value, because a
//! value may be a secret in the wrong place.

use crate::{
    model::{Digest, Id, epoch_seconds},
    snapshot::Flaw,
};
use aws_sdk_dynamodb::types::AttributeValue;
use std::{collections::HashMap, fmt, time::SystemTime};

/// A map of members: an item, or a member of it that is a map.
pub type Map = HashMap<String, AttributeValue>;

/// A type of member: what it must be, and how it is read. `None`: the value has another type.
pub struct Type<T> {
    must: &'static str,
    read: fn(AttributeValue) -> Option<T>,
}

impl<T> Type<T> {
    /// What a member of this type must be.
    pub fn must(&self) -> &'static str {
        self.must
    }

    /// Reads a value. `None`: it has another type.
    pub fn read(&self, value: AttributeValue) -> Option<T> {
        (self.read)(value)
    }
}

pub const TEXT: Type<String> = Type { must: "be a string", read: text };
pub const TEXTS: Type<Vec<String>> = Type { must: "be a list of strings or a set of strings", read: texts };
pub const BOOLEAN: Type<bool> = Type { must: "be a Boolean", read: |value| value.as_bool().ok().copied() };
pub const MAP: Type<Map> = Type { must: "be a map", read: map };
const LIST: Type<Vec<AttributeValue>> = Type { must: "be a list", read: list };
pub const ID: Type<Id> = Type { must: "be a string of 1 to 2040 bytes", read: |value| Id::new(text(value)?) };
pub const DIGEST: Type<Digest> = Type { must: "be a binary of 32 bytes", read: digest };
pub const TIME: Type<SystemTime> =
    Type { must: "be a whole number of seconds from 1970 to 9999, since 1970-01-01T00:00:00Z", read: time };
/// A time that may have a fraction of a second, rounded down.
pub const SECONDS: Type<SystemTime> =
    Type { must: "be a number of seconds from 1970 to 9999, since 1970-01-01T00:00:00Z", read: seconds };

fn text(value: AttributeValue) -> Option<String> {
    if let AttributeValue::S(text) = value { Some(text) } else { None }
}

fn texts(value: AttributeValue) -> Option<Vec<String>> {
    match value {
        AttributeValue::L(values) => values.into_iter().map(text).collect(),
        AttributeValue::Ss(texts) => Some(texts),
        _ => None,
    }
}

fn map(value: AttributeValue) -> Option<Map> {
    if let AttributeValue::M(members) = value { Some(members) } else { None }
}

fn list(value: AttributeValue) -> Option<Vec<AttributeValue>> {
    if let AttributeValue::L(values) = value { Some(values) } else { None }
}

fn digest(value: AttributeValue) -> Option<Digest> {
    if let AttributeValue::B(bytes) = value { bytes.as_ref().try_into().ok() } else { None }
}

fn time(value: AttributeValue) -> Option<SystemTime> {
    if let AttributeValue::N(number) = value { number.parse().ok().and_then(epoch_seconds::at) } else { None }
}

fn seconds(value: AttributeValue) -> Option<SystemTime> {
    let AttributeValue::N(number) = value else { return None };
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
    let is_decimal = fraction.bytes().all(|digit| digit.is_ascii_digit());
    whole.parse().ok().filter(|_| is_decimal).and_then(epoch_seconds::at)
}

/// The members that cannot be read.
#[derive(Debug, Default)]
pub struct Flaws {
    /// Those that decide, the first one first. An item with one is unreadable.
    pub deciding: Vec<Flaw>,
    /// Those that only describe, and count as absent.
    pub descriptive: Vec<Flaw>,
    /// Times of expiry. They count as passed.
    pub expiries: Vec<Flaw>,
}

/// The place of a map in an item. It becomes a text only if a member has a flaw.
#[derive(Clone, Copy)]
struct Place<'p> {
    outer: Option<&'p Self>,
    name: &'p str,
    index: Option<usize>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(outer) = self.outer.filter(|outer| !outer.name.is_empty()) {
            write!(f, "{outer}.")?;
        }
        f.write_str(self.name)?;
        self.index.map_or(Ok(()), |index| write!(f, "[{index}]"))
    }
}

/// Takes members from a map.
pub struct Members<'f> {
    place: Place<'f>,
    map: Map,
    flaws: &'f mut Flaws,
}

impl<'f> Members<'f> {
    /// The members of a whole item.
    pub fn of_item(item: Map, flaws: &'f mut Flaws) -> Self {
        Self { place: Place { outer: None, name: "", index: None }, map: item, flaws }
    }

    /// Whether the map has this member.
    pub fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    fn flaw(&self, name: &str, index: Option<usize>, must: &'static str) -> Flaw {
        Flaw { member: Place { outer: Some(&self.place), name, index }.to_string(), must }
    }

    /// Takes a member that decides. `None` if it is absent or cannot be read.
    pub fn deciding<T>(&mut self, name: &str, of: &Type<T>) -> Option<T> {
        let read = (of.read)(self.map.remove(name)?);
        if read.is_none() {
            self.reject(name, of.must);
        }
        read
    }

    /// Takes a member that decides and that every item of this kind has.
    pub fn required<T>(&mut self, name: &str, of: &Type<T>) -> Option<T> {
        if !self.has(name) {
            self.reject(name, of.must);
        }
        self.deciding(name, of)
    }

    /// Takes a member that only describes.
    pub fn descriptive<T>(&mut self, name: &str, of: &Type<T>) -> Option<T> {
        let read = (of.read)(self.map.remove(name)?);
        if read.is_none() {
            self.ignore(name, of.must);
        }
        read
    }

    /// Takes a time of expiry. One that cannot be read has passed. `None` if there is none.
    pub fn expiry(&mut self, name: &str) -> Option<SystemTime> {
        let read = (TIME.read)(self.map.remove(name)?);
        Some(read.unwrap_or_else(|| {
            let flaw = self.flaw(name, None, TIME.must);
            self.flaws.expiries.push(flaw);
            SystemTime::UNIX_EPOCH
        }))
    }

    /// Takes a member without reading it.
    pub fn take(&mut self, name: &str) -> Option<AttributeValue> {
        self.map.remove(name)
    }

    /// The members of a map that was taken from this one.
    pub fn within<'s>(&'s mut self, name: &'s str, map: Map) -> Members<'s> {
        Members { place: Place { outer: Some(&self.place), name, index: None }, map, flaws: self.flaws }
    }

    /// Takes a list of maps that decides, and reads each map with `read`.
    pub fn each<T>(&mut self, name: &str, mut read: impl FnMut(&mut Members<'_>) -> Option<T>) -> Vec<T> {
        let values = self.deciding(name, &LIST).unwrap_or_default();
        let mut found = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            let index = Some(index);
            if let Some(map) = map(value) {
                let place = Place { outer: Some(&self.place), name, index };
                found.extend(read(&mut Members { place, map, flaws: self.flaws }));
            } else {
                let flaw = self.flaw(name, index, MAP.must);
                self.flaws.deciding.push(flaw);
            }
        }
        found
    }

    /// Notes that a member that decides cannot be read.
    pub fn reject(&mut self, name: &str, must: &'static str) {
        let flaw = self.flaw(name, None, must);
        self.flaws.deciding.push(flaw);
    }

    /// Notes that a member that only describes cannot be read.
    pub fn ignore(&mut self, name: &str, must: &'static str) {
        let flaw = self.flaw(name, None, must);
        self.flaws.descriptive.push(flaw);
    }
}
