//! The client that an entry becomes.

use super::{APPLICATION, SECRET, api_client, import, import_oauth, oauth_client, reports, summary};
use crate::{
    fixture::clock,
    run::text,
    support::{Fixture, build},
};
use deregister::model::{Idle, Metadata};
use serde_json::{Value, json};

#[tokio::test]
async fn every_member_of_an_api_client_is_imported() {
    let fixture = Fixture::empty().await;
    let mut listed = api_client("me", &["access_issuer", "direct_access"]);
    listed["ipWhitelist"] = json!(["198.51.100.0/24", "2001:db8::1"]);
    import(&fixture, &json!([listed])).await;
    let expected = build::api_client().application(APPLICATION).name("this is a test client").secret(SECRET);
    let expected = expected.feature("access_issuer").feature("direct_access");
    let expected = expected.allow_list(&["198.51.100.0/24", "2001:db8::1"]).version(1);
    assert_eq!(fixture.live("me").await, expected.build());
}

#[tokio::test]
async fn authletes_words_become_those_of_rfc_7591() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 715948317").await;
    let words = [
        ("responseTypes", "NONE", "none"),
        ("responseTypes", "CODE", "code"),
        ("responseTypes", "TOKEN", "token"),
        ("responseTypes", "ID_TOKEN", "id_token"),
        ("responseTypes", "CODE_TOKEN", "code token"),
        ("responseTypes", "CODE_ID_TOKEN", "code id_token"),
        ("responseTypes", "ID_TOKEN_TOKEN", "id_token token"),
        ("responseTypes", "CODE_ID_TOKEN_TOKEN", "code id_token token"),
        ("grantTypes", "AUTHORIZATION_CODE", "authorization_code"),
        ("grantTypes", "IMPLICIT", "implicit"),
        ("grantTypes", "PASSWORD", "password"),
        ("grantTypes", "CLIENT_CREDENTIALS", "client_credentials"),
        ("grantTypes", "REFRESH_TOKEN", "refresh_token"),
        ("grantTypes", "CIBA", "urn:openid:params:grant-type:ciba"),
        ("grantTypes", "DEVICE_CODE", "urn:ietf:params:oauth:grant-type:device_code"),
        ("grantTypes", "TOKEN_EXCHANGE", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("grantTypes", "JWT_BEARER", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("grantTypes", "PRE_AUTHORIZED_CODE", "urn:ietf:params:oauth:grant-type:pre-authorized_code"),
    ];
    let of = |member, column: fn(&(&str, &'static str, &'static str)) -> &'static str| -> Vec<_> {
        words.iter().filter(|(name, ..)| *name == member).map(|row| column(row).to_owned()).collect()
    };
    let listed = json!({
        "clientId": 1_140_735_077,
        "clientName": "My Test Client",
        "clientType": "CONFIDENTIAL",
        "contacts": ["jane@example.com"],
        "redirectUris": ["https://example.com/callback"],
        "responseTypes": of("responseTypes", |row| row.1),
        "grantTypes": of("grantTypes", |row| row.1),
        "tokenAuthMethod": "SELF_SIGNED_TLS_CLIENT_AUTH",
    });
    import_oauth(&fixture, &json!({ "totalCount": 1, "clients": [listed] })).await.done();
    let metadata = Metadata {
        client_name: Some("My Test Client".to_owned()),
        redirect_uris: Some(vec!["https://example.com/callback".to_owned()]),
        response_types: Some(of("responseTypes", |row| row.2)),
        grant_types: Some(of("grantTypes", |row| row.2)),
        token_endpoint_auth_method: Some("self_signed_tls_client_auth".to_owned()),
        contacts: Some(vec!["jane@example.com".to_owned()]),
    };
    let expected = build::oauth_client().service("715948317").not_dynamic().metadata(metadata).version(1);
    assert_eq!(fixture.live("1140735077").await, expected.build());
}

#[tokio::test]
async fn a_dynamic_client_counts_as_used_at_its_first_import() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 715948317").await;
    let before = Idle::used(clock());
    import_oauth(&fixture, &json!({ "clients": [oauth_client(1, "")] })).await.done();
    let idle = fixture.live("1").await.idle.unwrap();
    assert!(idle.used && (before.since..=clock()).contains(&idle.since), "{idle:?}");

    import_oauth(&fixture, &json!({ "clients": [oauth_client(1, "")] })).await.done();
    assert_eq!(fixture.live("1").await.idle, Some(idle), "a second import is not a use");
}

#[tokio::test]
async fn the_id_is_the_client_id_of_oauth_calls() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 715948317").await;
    let clients = json!([
        { "clientId": 1, "clientIdAlias": "alias" },
        { "clientId": 2, "clientIdAlias": "disabled", "clientIdAliasEnabled": false },
        { "clientId": "3", "clientIdAlias": "", "clientIdAliasEnabled": true },
    ]);
    import_oauth(&fixture, &json!({ "clients": clients })).await.done();
    assert_eq!(fixture.client_keys().await, ["client#2", "client#3", "client#alias"]);
}

#[tokio::test]
async fn a_client_whose_token_cannot_be_imported_is_printed() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 715948317").await;
    let mut without = oauth_client(2, "");
    without["registrationAccessTokenHash"] = Value::Null;
    let list = json!({ "clients": [oauth_client(1, "c2hvcnQ"), without, { "clientId": 3 }] });
    for (outcome, imported, already_there) in [("imported", 3, 0), ("already_there", 0, 3)] {
        let ran = import_oauth(&fixture, &list).await;
        let (clients, printed) = reports(&ran);
        ran.done();
        let mut expected = summary(imported, already_there, 0);
        expected["without_registration_token"] = json!(2);
        assert_eq!((printed, clients.len()), (expected, 2));
        for (index, client) in clients.iter().enumerate() {
            assert_eq!((&client["index"], text(client, "outcome")), (&json!(index), outcome));
            assert!(text(client, "reason").contains("registration access token"));
        }
    }
}
