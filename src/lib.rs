//! `deregister` deletes clients: API clients of the Configuration API, and OAuth clients. An OAuth client is deleted at the client configuration endpoint (RFC 7592) or through the Authlete API.
//!
//! A request is processed in three steps:
//!
//! 1. [`http`] parses the event of API Gateway into a deletion request, or refuses it.
//! 2. [`deletion`], the core, reads once, decides by the [`rule`] of the endpoint, and writes once, through the port
//!    [`store`].
//! 3. [`http`] answers with the outcome, and [`functions::Delete`] logs a record of it.
//!
//! Two more functions work in the background: [`functions::Cascade`] removes what was issued to a deleted client, and
//! [`functions::Sweep`] deletes clients that are not used.
//!
//! Imports point downwards only, and `tests/suite/imports.rs` checks it: functions, http, deletion, rule and store, snapshot,
//! model. [`dynamodb`] implements the port. Within this crate only the binaries import it.

pub mod deletion;
pub mod dynamodb;
pub mod functions;
pub mod http;
pub mod invocation;
mod json;
pub mod model;
pub mod rule;
pub mod settings;
pub mod snapshot;
pub mod store;
pub mod telemetry;

/// Compiles the Rust example of `docs/integrating.md` with the tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/integrating.md")]
struct Integrating;
