//! What only operators call: `deregisterctl` and the local run. The functions call none of this.

mod clients;
mod deletions;
mod list;
mod table;

pub use clients::Creation;
pub use deletions::{Deletions, RestoreOutcome};
pub use list::Page;
pub use table::Repairs;
