//! The operator's calls, for `deregisterctl` and the local run. The functions do not use them.

mod check;
mod clients;
mod deletions;
mod list;
mod table;

pub use check::{CheckedItem, CheckedPage, Effect, Finding};
pub use clients::Creation;
pub use deletions::{Deletions, RestoreOutcome, Restored};
pub use list::Page;
pub use table::Repairs;
