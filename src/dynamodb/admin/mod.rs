//! The operator's calls, for `deregisterctl` and the local run. The functions do not use them.

mod block;
mod check;
mod clients;
mod deletions;
mod list;
mod revoke;
mod table;

pub use block::{BlockOutcome, UnblockOutcome};
pub use check::{CheckedItem, CheckedPage, Effect, Finding};
pub use clients::Creation;
pub use deletions::{Deletions, RestoreOutcome, Restored};
pub use list::Page;
pub use revoke::RevokeOutcome;
pub use table::Repairs;
