//! The tests of the library and of the functions, one module a feature. The database is the embedded one, behind the
//! real SDK over HTTP. `tests/ctl` tests the operator's tool.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::allow_attributes,
    reason = "a test fails by panicking"
)]

mod abuse;
mod cascade;
mod check;
mod client_status;
mod connection;
mod docs;
mod endpoints;
mod faults;
mod history;
mod imports;
mod items;
mod log;
mod openapi;
mod properties;
mod protocol;
mod races;
mod restore;
mod rules;
mod secrets;
mod sources;
mod store;
#[path = "../support/mod.rs"]
mod support;
mod sweep;
mod template;
mod variables;
