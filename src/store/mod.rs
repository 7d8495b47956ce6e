//! The port: what a deletion asks of a database.

pub mod connection;
pub mod dynamodb;
mod grants;
pub mod https;
mod idle;
mod issuer;
pub mod item;
mod meter;
mod registrar;
pub mod table;
mod undo;

pub use dynamodb::DynamoDb;
pub use grants::Grants;
pub use idle::List;
pub use issuer::Standing;
pub use meter::Meter;
pub use registrar::{Creation, Page, Repairs};
pub use undo::{Deletions, Restored};

use crate::{
    client::Deletion,
    rule::{Facts, Key, Permit, Record, Unreadable},
};
use std::{collections::BTreeSet, future::Future};

/// A database that holds clients, services and access tokens. What a call costs is counted on the meter given.
pub trait Store: Send + Sync {
    /// Everything that stands under `keys`, in one strongly consistent read. An item that is not of the table's form is
    /// a [`Record::Unreadable`], since it is no fault unless a decision needs it.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] or [`Fault::Unexpected`].
    fn load(&self, keys: BTreeSet<Key>, meter: &Meter) -> impl Future<Output = Result<Facts, Fault>> + Send;

    /// Turns the permitted client into a tombstone that carries `deletion`, in one write, if it is still live, not
    /// protected, and as every premise of the permit says.
    ///
    /// # Errors
    /// [`Fault::Unavailable`], where nobody knows whether the write took effect or still will, or [`Fault::Unexpected`].
    fn bury(
        &self,
        permit: &Permit<'_>,
        deletion: &Deletion,
        meter: &Meter,
    ) -> impl Future<Output = Result<Burial, Fault>> + Send;
}

/// What came of [`Store::bury`].
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one a request")]
pub enum Burial {
    /// The client is a tombstone.
    Done,
    /// Nothing was written: the client is no longer what the permit says. This is what stands there instead.
    Refused(Option<Record>),
}

/// Why the database gave no answer that can be decided on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It is throttled, out of reach or out of time: the same request may succeed later.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// It holds something that is not of the table's form.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// It refused the call: a wrong table name, a missing permission, a defect here.
    #[error("the database call failed: {0}")]
    Unexpected(String),
}
