//! A table without a database. It checks the authorization of every write.

use crate::{
    now,
    sample::{
        APPLICATION, CLIENT, CLOSED_CLIENT, CLOSED_SERVICE, DELETED_OWNER, DIRECT_ACCESS, EXPIRED_TOKEN,
        FOREIGN_SERVICE, FOREIGN_TOKEN, ORGANIZATION, ORGANIZATION_TOKEN, OTHER_APPLICATION, OWNER, OWNER_ELSEWHERE,
        OWNERS_OLD_SECRET, PROTECTED_CLIENT, PROTECTED_TARGET, RFC_CLIENT, SERVICE, SERVICE_TOKEN, STATIC_CLIENT,
        STRICT_CLIENT, STRICT_SERVICE, TARGET, TARGET_ELSEWHERE, TOKENLESS_CLIENT, VERSION,
    },
};
use deregister::{
    model::{
        AccessToken, AllowList, ApiClient, Client, Deletion, Digest, Id, Kind, Metadata, OAuthClient, Service,
        StoredSecret, TokenScope,
    },
    rule::{Authorization, Precondition},
    snapshot::{Key, Record, Snapshot},
    store::{Fault, Store, WriteOutcome},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// A table of records. A write does not change it. The table records its calls.
#[derive(Clone, Debug, Default)]
pub struct Table {
    records: BTreeMap<Key, Record>,
    calls: Arc<Mutex<Calls>>,
}

/// The calls of a table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calls {
    /// The keys of each read.
    pub reads: Vec<BTreeSet<Key>>,
    /// Each write: the client, and the record of its deletion.
    pub writes: Vec<(Id, Deletion)>,
}

impl Table {
    /// Adds the record under the key.
    pub fn with(mut self, key: Key, record: Record) -> Self {
        self.records.insert(key, record);
        self
    }

    /// Adds the client under its id.
    pub fn with_client(self, id: &str, kind: Kind) -> Self {
        self.with(client(id), Record::Client(versioned(kind)))
    }

    /// Takes the calls since the last time.
    pub fn take_calls(&self) -> Calls {
        mem::take(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn record(&self, add: impl FnOnce(&mut Calls)) {
        add(&mut self.calls.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The sample data, as [`sample::write`](crate::sample::write) writes it.
    pub fn samples() -> Self {
        let owner = |secret: &str| api(APPLICATION, &["owner"], &[secret]);
        let plain = |application| Kind::Api(api(application, &["login_client"], &["2mq8zv5xk9tb3nc7hw4ry6gasdfjpue8"]));
        let expired_secret =
            StoredSecret { digest: Digest::of(OWNERS_OLD_SECRET), expires_at: Some(now() - Duration::from_hours(24)) };
        let mut rotating = owner(OWNER.1);
        rotating.secrets.push(expired_secret);
        let elsewhere = ApiClient { ip_allow_list: AllowList::new(["198.51.100.0/24"]), ..owner(OWNER_ELSEWHERE.1) };
        let of_itself = |service: &str, token: &str| Kind::OAuth(oauth(service, Some(token)));
        let static_client = OAuthClient { dynamic: false, ..oauth(SERVICE, Some(STATIC_CLIENT.1)) };
        let protect = |kind| Record::Client(Client { protected: true, ..versioned(kind) });
        let deletion = Deletion {
            at: now(),
            by: format!("client#{}", OWNER.0),
            via: "configuration".to_owned(),
            source_ip: None,
            request_id: "sample".to_owned(),
            lacks: Vec::new(),
            blocked: None,
        };

        let clients = Self::default()
            .with_client(OWNER.0, Kind::Api(rotating))
            .with_client(OWNER_ELSEWHERE.0, Kind::Api(elsewhere))
            .with_client(DIRECT_ACCESS.0, Kind::Api(api(APPLICATION, &["direct_access"], &[DIRECT_ACCESS.1])))
            .with_client(TARGET, plain(APPLICATION))
            .with_client(TARGET_ELSEWHERE, plain(OTHER_APPLICATION))
            .with(client(PROTECTED_TARGET), protect(plain(APPLICATION)))
            .with(client(DELETED_OWNER.0), Record::Deleted(deletion))
            .with_client(CLIENT.0, of_itself(SERVICE, CLIENT.1))
            .with_client(STATIC_CLIENT.0, Kind::OAuth(static_client))
            .with_client(TOKENLESS_CLIENT, Kind::OAuth(oauth(SERVICE, None)))
            .with(client(PROTECTED_CLIENT.0), protect(of_itself(SERVICE, PROTECTED_CLIENT.1)))
            .with_client(STRICT_CLIENT.0, of_itself(STRICT_SERVICE, STRICT_CLIENT.1))
            .with_client(CLOSED_CLIENT.0, of_itself(CLOSED_SERVICE, CLOSED_CLIENT.1))
            .with_client(RFC_CLIENT.0, of_itself(SERVICE, RFC_CLIENT.1));

        let of_organization = || Service { organization_id: Some(ORGANIZATION.to_owned()), ..Service::default() };
        let foreign = Service { organization_id: Some("org-2002".to_owned()), ..Service::default() };
        let of_service = |service| TokenScope::ServiceId(id(service));
        clients
            .with_service(SERVICE, of_organization())
            .with_service(STRICT_SERVICE, Service { unauthorized_on_client_config: true, ..of_organization() })
            .with_service(CLOSED_SERVICE, Service { dynamic_registration: false, ..of_organization() })
            .with_service(FOREIGN_SERVICE, foreign)
            .with_token(SERVICE_TOKEN, of_service(SERVICE))
            .with_token(ORGANIZATION_TOKEN, TokenScope::OrganizationId(ORGANIZATION.to_owned()))
            .with_token(FOREIGN_TOKEN, of_service(FOREIGN_SERVICE))
            .with_expired_token(EXPIRED_TOKEN, of_service(SERVICE))
    }

    /// Adds the service under its id.
    pub fn with_service(self, service: &str, record: Service) -> Self {
        self.with(Key::Service(id(service)), Record::Service(record))
    }

    /// Adds an access token of the Authlete API under its digest.
    pub fn with_token(self, token: &str, scope: TokenScope) -> Self {
        self.with(token_key(token), Record::Token(AccessToken { scope, expires_at: None }))
    }

    fn with_expired_token(self, token: &str, scope: TokenScope) -> Self {
        self.with(token_key(token), Record::Token(AccessToken { scope, expires_at: Some(now()) }))
    }
}

impl Store for Table {
    async fn load(&self, keys: BTreeSet<Key>) -> Result<Snapshot, Fault> {
        let found = keys.iter().filter_map(|key| Some((key.clone(), self.records.get(key)?.clone()))).collect();
        self.record(|calls| calls.reads.push(keys));
        Ok(found)
    }

    async fn write_tombstone(
        &self,
        authorization: &Authorization<'_>,
        deletion: &Deletion,
    ) -> Result<WriteOutcome, Fault> {
        assert!(self.justifies(authorization, &deletion.via), "{authorization:?} {deletion:?}");
        self.record(|calls| calls.writes.push((authorization.target.clone(), deletion.clone())));
        Ok(WriteOutcome::Written)
    }
}

impl Table {
    /// Whether the channel can delete the client, and the authorization has the kind, the version and the features of the
    /// client, every precondition that the decision needs, and no other.
    fn justifies(&self, authorization: &Authorization<'_>, channel: &str) -> bool {
        let Authorization { target, kind, version, features, preconditions } = authorization;
        let Some(Record::Client(client)) = self.records.get(&Key::Client((*target).clone())) else { return false };
        let needed = match (channel, &client.kind) {
            ("configuration", Kind::Api(api)) if !api.is_owner() => {
                vec![Precondition::Application(&api.app_id), Precondition::NotOwner]
            }
            ("registration", Kind::OAuth(oauth)) => {
                oauth.registration_token_digest.iter().map(Precondition::RegistrationToken).collect()
            }
            ("authlete", Kind::OAuth(oauth)) if oauth.dynamic => {
                let token = oauth.registration_token_digest.iter().map(Precondition::RegistrationToken);
                token.chain(oauth.service_id.iter().map(Precondition::RegisteredAt)).collect()
            }
            _ => return false,
        };
        !client.protected
            && features == client.kind.features()
            && (*kind, version) == (client.kind.name(), &client.version)
            && !needed.is_empty()
            && needed.iter().all(|needed| preconditions.contains(needed))
            && preconditions.iter().all(|given| needed.contains(given))
    }
}

/// A client at the version of the samples.
fn versioned(kind: Kind) -> Client {
    Client { version: VERSION.into(), ..Client::new(kind) }
}

/// The id with this text.
pub fn id(text: &str) -> Id {
    Id::new(text).expect("an id")
}

/// The key of the client with this id.
pub fn client(text: &str) -> Key {
    Key::Client(id(text))
}

/// The key of the access token.
pub fn token_key(token: &str) -> Key {
    Key::of_token(&Digest::of(token))
}

/// An API client of the application, with these features and secrets.
pub fn api(application: &str, features: &[&str], secrets: &[&str]) -> ApiClient {
    let stored = |secret: &&str| StoredSecret { digest: Digest::of(*secret), expires_at: None };
    ApiClient {
        app_id: application.to_owned(),
        features: features.iter().map(|&feature| feature.to_owned()).collect(),
        secrets: secrets.iter().map(stored).collect(),
        ..ApiClient::default()
    }
}

/// An OAuth client that registered itself at the service, with this registration access token.
pub fn oauth(service: &str, token: Option<&str>) -> OAuthClient {
    let metadata = Metadata {
        client_name: Some("My Test Client".to_owned()),
        redirect_uris: Some(vec!["https://example.com/callback".to_owned()]),
        ..Metadata::default()
    };
    OAuthClient {
        service_id: Some(id(service)),
        dynamic: true,
        registration_token_digest: token.map(Digest::of),
        metadata,
    }
}
