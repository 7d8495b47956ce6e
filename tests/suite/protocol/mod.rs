//! The protocol, checked exhaustively for small sizes: every order of a few requests, the changes of other writers, and
//! the faults of a network.
//!
//! **What is real.** [`deletion::delete`](deregister::deletion::delete) carries out each request by the rule of its
//! endpoint, over a [`Store`](deregister::store::Store) that answers from the table of the model. The decisions, the
//! preconditions, the record of a deletion, and what follows from a failed condition are the library's own. The model
//! has its own copy of two things that the clients table does. One is the condition of the write
//! ([`ClientItem::meets`](item::ClientItem::meets)): the module [`conditions`] holds it against the database. The other is
//! that a failed condition after an ambiguous attempt is a fault. The module [`traces`] holds both, and everything else,
//! against the function: it runs traces of the model on the function over the embedded database.
//!
//! **What is modelled.** Clients, live, deleted or missing. Requests at the Configuration API and at the client
//! configuration endpoint, and the sweep. A request reads its items one by one, because a `BatchGetItem` is not a snapshot. Then it
//! attempts to write until it has an answer or no attempt left. An attempt takes effect and is answered, takes effect
//! without an answer, or never arrives. If its condition fails and the deletion is still permitted, the request writes
//! again. Meanwhile other writers make owners of clients, protect clients, rotate their secrets and note their use. Some
//! raise the version, and some forget it. An operator restores deleted clients, revokes what was issued to live ones, and
//! blocks and unblocks ids, stored or not. Expired tombstones are collected, and their ids go to new clients with new
//! secrets.
//!
//! **What is left out.** A decision and the arrival of an answer are not steps of their own: nothing that happens in
//! between changes them. An expired tombstone is a tombstone that is not restored any more. Time is modelled by two
//! rules only. A tombstone outlives the requests that were under way when it was written. An attempt does not arrive
//! after its sender gave it up, and no server fails. A [`Variant`](model::Variant) lifts either rule. Every attempt
//! before the last one has no answer or a 5xx, so that a second attempt always follows an ambiguous one. Failing reads,
//! addresses and the Authlete API are left to the other tests.
//!
//! **Bounds.** One to three clients, two or three requests with two or three attempts each, and up to five changes by
//! other writers.

mod conditions;
mod item;
mod library;
mod model;
mod properties;
mod script;
mod traces;
mod world;
