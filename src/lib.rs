//! `deregister` deletes clients: API clients at the Configuration API, and OAuth clients that registered themselves at
//! the client configuration endpoint (RFC 7592) or through an authorization server's call of the Authlete API.
//!
//! The story of a request, in order:
//!
//! 1. [`event`] makes a request of what API Gateway sends.
//! 2. A door makes of it a request to delete, or refuses it.
//! 3. [`deletion`] reads once, decides by the [`rule`] of that door, and writes once, through the [`store`].
//! 4. The door makes an answer of how that ended, and [`telemetry`] a line in the log.
//!
//! What a deletion leaves behind, and what nobody deletes, two more functions see to: [`cascade`] removes what was issued
//! to a deleted client, and [`sweep`] deletes the clients that nobody uses.
//!
//! Arrows point inwards: doors know the rules, the rules know the model ([`client`], [`credential`], [`allow_list`]);
//! only [`store`] knows the database, only the doors and [`event`] know HTTP.

pub mod allow_list;
pub mod cascade;
pub mod client;
pub mod credential;
pub mod deletion;
mod door;
pub mod event;
mod function;
pub mod rule;
pub mod settings;
pub mod store;
pub mod sweep;
pub mod telemetry;

pub use door::authorization::Realm;
pub use function::Function;

/// Its example is compiled with the tests.
#[cfg(doctest)]
#[doc = include_str!("../docs/integrating.md")]
struct Integrating;
