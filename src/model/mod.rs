//! The contents of the table, as Rust types: clients, services, access tokens, and the records of deletions.
//!
//! Nothing here does I/O, reads a clock, or knows DynamoDB.

mod allow_list;
mod client;
pub mod credential;
pub(crate) mod epoch_seconds;
mod id;
mod idle;
mod notice;
mod realm;
mod record;
mod service;
mod version;

pub use allow_list::AllowList;
pub use client::{ApiClient, Client, Kind, Metadata, OAuthClient, OWNER};
pub use credential::{Digest, StoredSecret};
pub use id::Id;
pub use idle::{Idle, IdlePartition, IdlePolicy};
pub use notice::{Notice, NoticePolicy, StoredNotice};
pub use realm::Realm;
pub use record::{Block, Deletion, PastDeletion, Restoration, Revocation};
pub use service::{AccessToken, Service, TokenScope};
pub use version::{EntityTags, StoredVersion, Version, VersionConditions};
