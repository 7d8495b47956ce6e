//! The protocol, checked exhaustively for small sizes: every order of a few requests, the changes of other writers, and
//! the faults of a network.
//!
//! **What is real.** [`deletion::delete`](deregister::deletion::delete) carries out each request by the rule of its
//! endpoint, over a [`Store`](deregister::store::Store) that answers from the table of the model. The library itself
//! makes the decisions, the preconditions and the record of a deletion, and handles a failed condition. The model has
//! its own copy of one thing, the condition of the write ([`ClientItem::meets`](item::ClientItem::meets)). The module
//! [`conditions`] compares the copy with the database.
//!
//! **What is modelled.** Clients, live, deleted or missing. Requests at the Configuration API and at the client
//! configuration endpoint. A request reads its items one by one, because a `BatchGetItem` is not a snapshot. Then it
//! attempts to write until it has an answer or no attempt left. An attempt takes effect and is answered, takes effect
//! without an answer, or never arrives. Meanwhile other writers make clients owners, protect them, and rotate their
//! secrets. An operator restores deleted clients. Expired tombstones are collected, and new clients with new secrets
//! get their ids.
//!
//! **What is left out.** A decision and the arrival of an answer are not steps of their own: nothing that happens in
//! between changes them. An expired tombstone is a tombstone that is not restored any more. Time is modelled by two
//! rules only. A tombstone outlives the requests that were under way when it was written. An attempt does not arrive
//! after its sender gave it up. A [`Variant`](model::Variant) lifts either rule. Every attempt before the last one has
//! no answer, so a second attempt always follows an ambiguous one. Failing reads, addresses and the Authlete API are
//! left to the other tests.
//!
//! **Bounds.** One to three clients, two or three requests with two or three attempts each, and up to four changes by
//! other writers.

mod conditions;
mod item;
mod library;
mod model;
mod properties;
