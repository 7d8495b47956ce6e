//! The sample data: the clients of the vendors' and the RFC's own examples, and a client for each rule.
//!
//! The secrets and tokens are published samples, or made up in the same form. They are valid only in a local run.

use deregister::{
    dynamodb::{ClientsTable, admin::Creation},
    model::{
        AccessToken, AllowList, ApiClient, Client, Deletion, Digest, Id, Idle, Kind, Metadata, OAuthClient, Service,
        StoredSecret, TokenScope, Version,
    },
    rule::Authorization,
    store::{Fault, Store},
};
use std::time::{Duration, SystemTime};

/// The application of the Configuration API's sample call.
pub const APPLICATION: &str = "htb8fuhxnf8e38jrzub3c7pfrr";
/// Another application.
pub const OTHER_APPLICATION: &str = "yxwvutsrqpnmkjhgfedcba9876";

/// The owner whose credentials the sample call carries.
pub const OWNER: (&str, &str) = ("sgnyvus6pc4jm7khr2neq5gs89gbr2eq", "wt4c3un9wkkcfvyknqx44ync476afs68");
/// An expired secret of the same owner.
pub const OWNERS_OLD_SECRET: &str = "y7n2xq4kz9c3vb8mt6ha5wrd2fgje4su";
/// An owner with an allow list: it can call only from the documentation network 198.51.100.0/24.
pub const OWNER_ELSEWHERE: (&str, &str) = ("2e5nqg8rh7c4u9vy6wk3xmz8tbajsfdp", "k8v3n6xz2yqc9t5mwr7hb4ajgf2sedup");
/// A client of the same application that is not an owner.
pub const DIRECT_ACCESS: (&str, &str) = ("4gk9s2myh8xq7vzt3bnc6wrfa5jdupe2", "q5w8e2r9t4y7u3pa6sd8fg2hj5kzx9cv");
/// A deleted owner.
pub const DELETED_OWNER: (&str, &str) = ("7pdu2wrfza5js8myt4gk9hxq3vbnc6ee", "z8x5c2vb9nm4a7sd3fg6hj8kq2we5rt9");

/// The client that the sample call deletes.
pub const TARGET: &str = "nmub5w3rru9k6rzupqaeb7bbwv6jn658";
/// An API client that is protected from deletion.
pub const PROTECTED_TARGET: &str = "b7vx3kz9q4mt8nyc2hw6rg5sadfjpue3";
/// An API client of [`OTHER_APPLICATION`].
pub const TARGET_ELSEWHERE: &str = "m3ur8xt5kq2zv7hcy9nw4bg6asdfjpe8";

/// The service of the Authlete API's sample.
pub const SERVICE: &str = "715948317";
/// Another service of the same organization, with `unauthorizedOnClientConfigSupported`.
pub const STRICT_SERVICE: &str = "715948318";
/// Another service of the same organization, without dynamic registration.
pub const CLOSED_SERVICE: &str = "715948319";
/// A service of another organization.
pub const FOREIGN_SERVICE: &str = "826059428";
/// The organization of the first three.
pub const ORGANIZATION: &str = "org-1001";

/// The Service Access Token of [`SERVICE`].
pub const SERVICE_TOKEN: &str = "sat_3kQ7vN9wZ2xR5tY8uB4mC6pD1sF0gHjL";
/// The Organization Token of [`ORGANIZATION`].
pub const ORGANIZATION_TOKEN: &str = "org_8hJ2kL5nM9pQ3rS6tV0wX4yZ7aB1cD2e";
/// The Service Access Token of [`FOREIGN_SERVICE`].
pub const FOREIGN_TOKEN: &str = "sat_9zY6xW3vU0tS7rQ4pN1mL8kJ5hG2fD9c";
/// An access token of [`SERVICE`] that has expired.
pub const EXPIRED_TOKEN: &str = "sat_0aB3cD6eF9gH2jK5lM8nP1qR4sT7uV0w";

/// "My Test Client", which registered itself at [`SERVICE`].
pub const CLIENT: (&str, &str) = ("1140735077", "rat_T5yU8iO2pA6sD9fG3hJ7kL1zX4cV0bNm");
/// A client of [`SERVICE`] that did not register itself.
pub const STATIC_CLIENT: (&str, &str) = ("1140735078", "rat_Q1wE4rT7yU0iO3pA6sD9fG2hJ5kL8zXc");
/// A client of [`SERVICE`] without a registration access token.
pub const TOKENLESS_CLIENT: &str = "1140735079";
/// A client of [`SERVICE`] that is protected from deletion.
pub const PROTECTED_CLIENT: (&str, &str) = ("1140735080", "rat_V9bN2mQ5wE8rT1yU4iO7pA0sD3fG6hJk");
/// A client of [`STRICT_SERVICE`].
pub const STRICT_CLIENT: (&str, &str) = ("2251846188", "rat_L4zX7cV0bN3mQ6wE9rT2yU5iO8pA1sDf");
/// A client of [`CLOSED_SERVICE`].
pub const CLOSED_CLIENT: (&str, &str) = ("2251846189", "rat_G2hJ5kL8zX1cV4bN7mQ0wE3rT6yU9iOp");
/// The client of RFC 7592's own examples, with its registration access token.
pub const RFC_CLIENT: (&str, &str) = ("s6BhdRkqt3", "reg-23410913-abewfq.123483");
/// A client of [`SERVICE`] that registered itself two days ago and was never used.
pub const UNUSED_CLIENT: &str = "1140735081";
/// A client of [`SERVICE`] that was last used a hundred days ago.
pub const IDLE_CLIENT: &str = "1140735082";

/// The version of every sample client.
pub const VERSION: Version = Version(3);

/// Writes the sample data. The expired secret, the expired token and the idle clients are dated relative to `now`. An
/// item that exists stays as it is.
///
/// # Errors
/// The [`Fault`] of the first write that fails.
pub async fn write(store: &ClientsTable, now: SystemTime) -> Result<(), Fault> {
    let yesterday = Some(now - Duration::from_hours(24));
    let owner = |credentials: (&str, &str)| api(APPLICATION, &["owner"], credentials.1);

    let mut rotated = owner(OWNER);
    rotated.secrets.push(StoredSecret { digest: Digest::of(OWNERS_OLD_SECRET), expires_at: yesterday });
    let elsewhere = ApiClient { ip_allow_list: AllowList::new(["198.51.100.0/24"]), ..owner(OWNER_ELSEWHERE) };
    let direct_access = api(APPLICATION, &["direct_access"], DIRECT_ACCESS.1);
    let plain = |application| api(application, &["login_client"], "2mq8zv5xk9tb3nc7hw4ry6gasdfjpue8");
    for (id, client, protected) in [
        (OWNER.0, rotated, false),
        (OWNER_ELSEWHERE.0, elsewhere, false),
        (DIRECT_ACCESS.0, direct_access, false),
        (TARGET, plain(APPLICATION), false),
        (PROTECTED_TARGET, plain(APPLICATION), true),
        (TARGET_ELSEWHERE, plain(OTHER_APPLICATION), false),
    ] {
        put(store, id, Kind::Api(client), protected).await?;
    }

    let of_organization = || Service { organization_id: Some(ORGANIZATION.to_owned()), ..Service::default() };
    for (service_id, service) in [
        (SERVICE, of_organization()),
        (STRICT_SERVICE, Service { unauthorized_on_client_config: true, ..of_organization() }),
        (CLOSED_SERVICE, Service { dynamic_registration: false, ..of_organization() }),
        (FOREIGN_SERVICE, Service { organization_id: Some("org-2002".to_owned()), ..Service::default() }),
    ] {
        store.create_service(&id(service_id), &service).await?;
    }
    for (token, scope, expires_at) in [
        (SERVICE_TOKEN, TokenScope::ServiceId(id(SERVICE)), None),
        (ORGANIZATION_TOKEN, TokenScope::OrganizationId(ORGANIZATION.to_owned()), None),
        (FOREIGN_TOKEN, TokenScope::ServiceId(id(FOREIGN_SERVICE)), None),
        (EXPIRED_TOKEN, TokenScope::ServiceId(id(SERVICE)), yesterday),
    ] {
        store.add_token(&Digest::of(token), &AccessToken { scope, expires_at }).await?;
    }
    for (client_id, client, protected) in [
        (CLIENT.0, oauth(SERVICE, Some(CLIENT.1)), false),
        (STATIC_CLIENT.0, OAuthClient { dynamic: false, ..oauth(SERVICE, Some(STATIC_CLIENT.1)) }, false),
        (TOKENLESS_CLIENT, oauth(SERVICE, None), false),
        (PROTECTED_CLIENT.0, oauth(SERVICE, Some(PROTECTED_CLIENT.1)), true),
        (STRICT_CLIENT.0, oauth(STRICT_SERVICE, Some(STRICT_CLIENT.1)), false),
        (CLOSED_CLIENT.0, oauth(CLOSED_SERVICE, Some(CLOSED_CLIENT.1)), false),
        (RFC_CLIENT.0, oauth(SERVICE, Some(RFC_CLIENT.1)), false),
    ] {
        put(store, client_id, Kind::OAuth(client), protected).await?;
    }
    for (client_id, idle) in [
        (UNUSED_CLIENT, Idle::unused(now - Duration::from_hours(2 * 24))),
        (IDLE_CLIENT, Idle::used(now - Duration::from_hours(100 * 24))),
    ] {
        let kind = Kind::OAuth(oauth(SERVICE, None));
        let client = Client { idle: Some(idle), ..client(kind) };
        store.create_client(&id(client_id), &client).await?;
    }
    put(store, DELETED_OWNER.0, Kind::Api(plain(APPLICATION)), false).await?;
    let deletion = Deletion {
        at: now,
        by: format!("client#{}", OWNER.0),
        via: "configuration".to_owned(),
        source_ip: None,
        request_id: "sample".to_owned(),
        lacks: Vec::new(),
        blocked: None,
    };
    let (id, client) = (id(DELETED_OWNER.0), client(Kind::Api(plain(APPLICATION))));
    store.write_tombstone(&Authorization::new(&id, &client, Vec::new()), &deletion).await?;
    Ok(())
}

#[expect(clippy::expect_used, reason = "sample ids are ids")]
fn id(id: &str) -> Id {
    Id::new(id).expect("sample ids are ids")
}

/// The owner whose credentials the sample call carries.
pub fn owner() -> Client {
    client(Kind::Api(api(APPLICATION, &["owner"], OWNER.1)))
}

/// The client that the sample call deletes.
pub fn target() -> Client {
    client(Kind::Api(api(APPLICATION, &["login_client"], "2mq8zv5xk9tb3nc7hw4ry6gasdfjpue8")))
}

/// A client that was changed twice.
fn client(kind: Kind) -> Client {
    Client { version: VERSION.into(), ..Client::new(kind) }
}

fn api(application: &str, features: &[&str], secret: &str) -> ApiClient {
    ApiClient {
        app_id: application.to_owned(),
        name: Some("Sample".to_owned()),
        features: features.iter().map(|&feature| feature.to_owned()).collect(),
        ip_allow_list: AllowList::default(),
        secrets: vec![StoredSecret { digest: Digest::of(secret), expires_at: None }],
    }
}

fn oauth(service: &str, token: Option<&str>) -> OAuthClient {
    OAuthClient {
        service_id: Some(id(service)),
        dynamic: true,
        registration_token_digest: token.map(Digest::of),
        metadata: Metadata {
            client_name: Some("My Test Client".to_owned()),
            redirect_uris: Some(vec!["https://example.com/callback".to_owned()]),
            response_types: Some(vec!["code".to_owned()]),
            grant_types: Some(vec!["authorization_code".to_owned()]),
            token_endpoint_auth_method: Some("none".to_owned()),
            ..Metadata::default()
        },
    }
}

async fn put(store: &ClientsTable, client_id: &str, kind: Kind, protected: bool) -> Result<Creation, Fault> {
    store.create_client(&id(client_id), &Client { protected, ..client(kind) }).await
}
