//! Ids are opaque: an id of any characters names one client, and no client with a similar id.

use super::{anything, cases, encode};
use crate::support::{
    Fixture, basic, bearer,
    build::{api_client, id, oauth_client},
    endpoint::Endpoint,
    event,
};
use deregister::model::{AccessToken, Digest, Id, Service, TokenScope};
use proptest::{prelude::*, sample::select};
use serde_json::json;
use std::collections::HashSet;
use tokio::runtime::Runtime;

/// Creates a client with this name, whose application and service have the same name, and clients with similar names.
/// Then sends the endpoint a request to delete the client, with credentials that would delete any of them. A function URL
/// sends the path encoded, an HTTP API decoded.
async fn delete_among_similar_ids(name: &str, endpoint: Endpoint, is_decoded: bool) {
    let (fixture, encoded) = (Fixture::empty().await, encode(name));
    let similar = [encoded.clone(), format!("{name} "), format!("{name}\0"), format!("/{name}")];
    let similar: HashSet<_> = similar.iter().map(String::as_str).filter(|&other| other != name).collect();
    for &client in similar.iter().chain([&name]) {
        let client_of_endpoint = match endpoint {
            Endpoint::Configuration => api_client().application(name),
            Endpoint::Registration | Endpoint::Authlete => oauth_client().service(name).registration_token("token"),
        };
        fixture.create(client, client_of_endpoint).await;
    }
    fixture.create("the owner", api_client().application(name).owner().secret("secret")).await;
    let clients = fixture.direct();
    clients.create_service(&id(name), &Service::default()).await.unwrap();
    let scope = TokenScope::ServiceId(id(name));
    clients.add_token(&Digest::of("access-token"), &AccessToken { scope, expires_at: None }).await.unwrap();

    // Between other segments a decoded slash would end the id.
    let is_decoded = is_decoded && (endpoint == Endpoint::Registration || !name.contains('/'));
    let id = if is_decoded { name } else { &encoded };
    let (method, path, authorization) = match endpoint {
        Endpoint::Configuration => ("DELETE", format!("/config/{id}/clients/{id}"), basic(("the owner", "secret"))),
        Endpoint::Registration => ("DELETE", format!("/register/{id}"), bearer("token")),
        Endpoint::Authlete => ("POST", format!("/api/{id}/client/registration/delete"), bearer("access-token")),
    };
    let body = json!({ "clientId": name, "token": "token" }).to_string();
    let event = event(method, &path, "", &[("authorization", &authorization)], &body);
    let event = if is_decoded { event.replace(".lambda-url.", ".execute-api.") } else { event };
    let answer = fixture.invoke(&event).await;

    assert!(answer.status().is_success(), "{answer:?}");
    assert!(!fixture.lives(name).await, "{answer:?}");
    for other in similar {
        assert!(fixture.lives(other).await, "{other:?}");
    }
}

#[test]
fn an_id_of_any_characters_is_deleted_and_no_other() {
    let runtime = Runtime::new().unwrap();
    let name = anything().prop_filter("an id is not empty", |name| !name.is_empty());
    proptest!(cases(60), |(name in name, endpoint in select(&Endpoint::ALL[..]), is_decoded in any::<bool>())| {
        runtime.block_on(delete_among_similar_ids(&name, endpoint, is_decoded));
    });
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn an_id_is_a_number_if_it_is_the_decimal_form_of_one(number in 0..=i64::MAX, text in "[+-]?[0-9]{1,20}") {
        prop_assert_eq!(Id::new(number.to_string()).unwrap().as_number(), Some(number));
        if let Some(number) = Id::new(text.as_str()).unwrap().as_number() {
            prop_assert_eq!(number.to_string(), text);
        }
    }
}
