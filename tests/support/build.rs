//! Builders: `api_client().owner().protected()`.

use deregister::{
    model::{
        AllowList, ApiClient, Client, Digest, Id, Idle, Kind, Metadata, OAuthClient, OWNER, StoredNotice, StoredSecret,
        StoredVersion, Version,
    },
    settings,
    snapshot::Record,
};
use std::time::{Duration, SystemTime};

/// The settings of the table `grants`, by client id.
pub fn grants_settings() -> settings::Grants {
    settings::Grants {
        table: "grants".to_owned(),
        index: None,
        key_prefix: String::new(),
        index_lag: Duration::ZERO,
        expires_at: "expires_at".to_owned(),
    }
}

/// The id with this text.
pub fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

/// A client.
#[derive(Clone)]
pub struct ClientBuilder(Client);

/// An API client of the application `application`, at version 1.
pub fn api_client() -> ClientBuilder {
    client(Kind::Api(ApiClient { app_id: "application".to_owned(), ..ApiClient::default() }))
}

/// An OAuth client that registered itself at the service `service`, at version 1.
pub fn oauth_client() -> ClientBuilder {
    client(Kind::OAuth(OAuthClient { service_id: Some(id("service")), dynamic: true, ..OAuthClient::default() }))
}

fn client(kind: Kind) -> ClientBuilder {
    ClientBuilder(Client::new(kind))
}

impl ClientBuilder {
    pub fn build(self) -> Client {
        self.0
    }

    pub fn protected(mut self) -> Self {
        self.0.protected = true;
        self
    }

    pub fn version(mut self, version: impl Into<Option<u64>>) -> Self {
        self.0.version = version.into().map_or(StoredVersion::None, |version| Version(version).into());
        self
    }

    /// A version that cannot be read.
    pub fn unreadable_version(mut self) -> Self {
        self.0.version = StoredVersion::Other("[]".to_owned());
        self
    }

    pub fn idle(mut self, idle: Idle) -> Self {
        self.0.idle = Some(idle);
        self
    }

    pub fn notice(mut self, notice: StoredNotice) -> Self {
        self.0.notice = notice;
        self
    }

    /// After a restoration that ended the deletion by this request.
    pub fn restored_from(mut self, request_id: &str) -> Self {
        self.0.restored_from = Some(request_id.to_owned());
        self
    }

    pub fn application(self, application: &str) -> Self {
        self.api(|client| application.clone_into(&mut client.app_id))
    }

    pub fn feature(self, feature: &str) -> Self {
        self.api(|client| client.features.push(feature.to_owned()))
    }

    pub fn owner(self) -> Self {
        self.feature(OWNER)
    }

    pub fn secret(self, secret: &str) -> Self {
        self.secret_until(secret, None)
    }

    pub fn secret_until(self, secret: &str, end: impl Into<Option<SystemTime>>) -> Self {
        let secret = StoredSecret { digest: Digest::of(secret), expires_at: end.into() };
        self.api(|client| client.secrets.push(secret))
    }

    pub fn allow_list(self, entries: &[&str]) -> Self {
        self.api(|client| client.ip_allow_list = AllowList::new(entries.iter().copied()))
    }

    pub fn service(self, service: &str) -> Self {
        self.oauth(|client| client.service_id = Some(id(service)))
    }

    pub fn not_dynamic(self) -> Self {
        self.oauth(|client| client.dynamic = false)
    }

    pub fn registration_token(self, token: &str) -> Self {
        self.oauth(|client| client.registration_token_digest = Some(Digest::of(token)))
    }

    pub fn name(mut self, name: &str) -> Self {
        let name = Some(name.to_owned());
        match &mut self.0.kind {
            Kind::Api(client) => client.name = name,
            Kind::OAuth(client) => client.metadata.client_name = name,
        }
        self
    }

    pub fn metadata(self, metadata: Metadata) -> Self {
        self.oauth(|client| client.metadata = metadata)
    }

    fn api(mut self, change: impl FnOnce(&mut ApiClient)) -> Self {
        let Kind::Api(client) = &mut self.0.kind else { panic!("not an API client") };
        change(client);
        self
    }

    fn oauth(mut self, change: impl FnOnce(&mut OAuthClient)) -> Self {
        let Kind::OAuth(client) = &mut self.0.kind else { panic!("not an OAuth client") };
        change(client);
        self
    }
}

impl From<ClientBuilder> for Record {
    fn from(client: ClientBuilder) -> Self {
        Self::Client(client.build())
    }
}
