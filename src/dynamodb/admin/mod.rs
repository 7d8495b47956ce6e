//! The operator's calls, for `deregisterctl` and the local run. The functions do not use them.

mod block;
mod check;
mod clients;
mod deletions;
mod list;
mod revoke;
mod services;
mod table;

pub use block::{BlockOutcome, UnblockOutcome};
pub use check::{CheckedItem, Effect, Finding};
pub use clients::Creation;
pub use deletions::{Deletions, RestoreOutcome, Restored};
pub use list::{ClientFilter, Page, Parent, Position};
pub use revoke::RevokeOutcome;
pub use services::{ServiceChange, TokenRevocation};
pub use table::Repairs;
