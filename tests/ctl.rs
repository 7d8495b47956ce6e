//! The promises of the operator's tool.

mod support;
