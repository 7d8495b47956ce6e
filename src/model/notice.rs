//! The notice before the sweep deletes an idle client.

use super::{Idle, Metadata};
use std::time::{Duration, SystemTime};

/// The longest JSON text of a member of the metadata that an announcement repeats.
const MAX_MEMBER: usize = 1024;

/// The announcement that the sweep will delete a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    /// How long the client was idle when it was announced. After a use the notice is stale.
    pub idle: Idle,
    /// The sweep does not delete the client before this time. In whole seconds.
    pub sweep_at: SystemTime,
}

/// What an item holds as the notice of its client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StoredNotice {
    /// Nothing.
    #[default]
    None,
    /// A notice. It may be stale.
    Notice(Notice),
    /// Something else. It announces nothing.
    Unreadable,
}

impl StoredNotice {
    /// The notice, if it is of this idle time. A use makes it stale, and so does a restoration.
    #[must_use]
    pub fn of(&self, idle: Idle) -> Option<Notice> {
        match self {
            Self::Notice(notice) => Some(*notice).filter(|notice| notice.idle == idle),
            Self::None | Self::Unreadable => None,
        }
    }
}

/// How the sweep announces that it will delete a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoticePolicy {
    /// The least time between the announcement and the deletion.
    pub period: Duration,
    /// Whether the announcement repeats `client_name`.
    pub client_name: bool,
    /// Whether the announcement repeats `contacts`.
    pub contacts: bool,
}

impl NoticePolicy {
    /// The members of the registered metadata that the announcement repeats, as the text of a JSON object. A member
    /// with more than 1 KB of JSON is left out: anyone can register metadata, so its size needs a bound.
    #[must_use]
    pub fn metadata(&self, registered: &Metadata) -> String {
        let client_name = registered.client_name.clone().filter(|_| self.client_name);
        let contacts = registered.contacts.clone().filter(|_| self.contacts);
        let members = [Metadata { client_name, ..Metadata::default() }, Metadata { contacts, ..Metadata::default() }];
        let is_short = |member: &Metadata| serde_json::to_string(member).is_ok_and(|text| text.len() <= MAX_MEMBER);
        let [client_name, contacts] =
            members.map(|member| if is_short(&member) { member } else { Metadata::default() });
        serde_json::to_string(&Metadata { contacts: contacts.contacts, ..client_name })
            .unwrap_or_else(|_| "{}".to_owned())
    }
}
