//! The tests of the operator's tool: the real program, over the embedded DynamoDB.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod block;
mod check;
mod command_line;
mod create;
mod delete;
mod deletions;
mod dry_run;
mod faults;
mod fixture;
mod import;
mod list;
mod protect;
mod register;
mod restore;
mod revoke;
mod rotate;
mod run;
mod secrets;
mod service;
mod settings;
mod show;
#[path = "../support/mod.rs"]
mod support;
mod table;
mod token;
mod track;
mod write_proxy;
