//! The adapter: the port of [`store`](crate::store) on DynamoDB. No other module imports the AWS SDK.
//!
//! | on the path of every deletion | [`ClientsTable`]: `load`, `write_tombstone`; [`connection`] with `variables` and `sources`, [`https`], [`item`], `call` with `reason` |
//! |---|---|
//! | for the background functions | [`GrantsTable`], the index of idle clients, the client status |
//! | for authorization servers in Rust | the client status, [`ClientsTable::note_use`] |
//! | for operators | [`admin`] |

mod abridged;
pub mod admin;
mod call;
mod client_status;
mod clients_table;
pub mod connection;
mod grants_table;
pub mod https;
mod idle_index;
pub mod item;
mod members;
mod reason;
pub mod schema;
mod sources;
mod variables;

pub use clients_table::ClientsTable;
pub use grants_table::GrantsTable;
