//! The three Lambda functions. Each takes an invocation, returns its response, and declares the record that it logs.

pub mod cascade;
mod delete;
mod record;
pub mod sweep;
mod wait;

pub use cascade::Cascade;
pub use delete::Delete;
pub use record::Environment;
pub use sweep::Sweep;
