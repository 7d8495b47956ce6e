//! Texts that look alike are different texts, and a text forges no line of the log.

use super::result_code;
use crate::support::{
    Fixture, basic, bearer,
    build::{api_client, id, oauth_client},
    log::Captured,
    sample::{APPLICATION, OWNER, SERVICE, SERVICE_TOKEN, TARGET},
};
use deregister::model::Service;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Features that look like `owner`, or that another program may read as `owner`.
const OWNER_ALIKE: [&str; 9] = [
    "\u{43e}wner",
    "own\u{435}r",
    "\u{ff4f}\u{ff57}\u{ff4e}\u{ff45}\u{ff52}",
    "owner\0",
    "owner\u{200b}",
    "owner\u{301}",
    "owner\n",
    "\u{feff}owner",
    "owner,login_client",
];

#[tokio::test]
async fn a_feature_that_looks_like_owner_neither_authorizes_nor_protects() {
    let fixture = Fixture::with_samples().await;
    for feature in OWNER_ALIKE {
        let client = api_client().application(APPLICATION).feature(feature).secret("secret");
        fixture.create(&format!("a {feature}"), client).await;
        let path = format!("/config/{APPLICATION}/clients/{TARGET}");
        let answer = fixture.send("DELETE", &path, Some(&basic((&format!("a {feature}"), "secret"))), "").await;
        assert_eq!(answer.status(), 403, "{feature:?}");

        let path = format!("/config/{APPLICATION}/clients/a%20{}", encode(feature));
        assert_eq!(fixture.send("DELETE", &path, Some(&basic(OWNER)), "").await.status(), 204, "{feature:?}");
    }
}

/// An id, and others that look like it, or that another program may convert to it.
const ID_ALIKE: [&str; 9] = [
    "Caf\u{e9}",
    "Cafe\u{301}",
    "caf\u{e9}",
    "CAF\u{c9}",
    "\u{421}af\u{e9}",
    "\u{ff23}af\u{e9}",
    "Caf\u{e9}\u{200b}",
    " Caf\u{e9}",
    "Caf\u{c3}\u{a9}",
];

#[tokio::test]
async fn ids_that_look_alike_are_different_ids_at_every_endpoint() {
    let fixture = Fixture::with_samples().await;
    let [first, alike @ ..] = ID_ALIKE;
    fixture.create(&format!("{first} api"), api_client().application(first)).await;
    fixture.create(&format!("{first} owner"), api_client().application(first).owner().secret("secret")).await;
    fixture.create(&format!("{first} oauth"), oauth_client().service(SERVICE).registration_token("token")).await;
    fixture.direct().create_service(&id(first), &Service::default()).await.unwrap();

    let owner = basic((&format!("{first} owner"), "secret"));
    for other in alike {
        let [mine, another] = [first, other].map(encode);
        for (path, credentials, status) in [
            (format!("/config/{mine}/clients/{another}%20api"), &owner, 404),
            (format!("/config/{another}/clients/{mine}%20api"), &owner, 404),
            (format!("/config/{mine}/clients/{mine}%20api"), &basic((&format!("{other} owner"), "secret")), 401),
            (format!("/register/{another}%20oauth"), &bearer("token"), 401),
        ] {
            assert_eq!(
                fixture.send("DELETE", &path, Some(credentials), "").await.status(),
                status,
                "{other:?}: {path}"
            );
        }
        let call = format!("/api/{SERVICE}/client/registration/delete");
        let body = json!({ "clientId": format!("{other} oauth"), "token": "token" }).to_string();
        let answer = fixture.send("POST", &call, Some(&bearer(SERVICE_TOKEN)), &body).await;
        assert_eq!(result_code(&answer), "A215302", "{other:?}");
    }
    assert!(fixture.lives(&format!("{first} api")).await && fixture.lives(&format!("{first} oauth")).await);
}

#[tokio::test]
async fn an_id_with_line_breaks_and_quotes_forges_no_line_of_the_log() {
    let fixture = Fixture::with_samples().await;
    let forged = "x\",\"outcome\":\"deleted\"}\n{\"level\":\"INFO\",\"outcome\":\"deleted\"}\r\u{2028}\0";
    fixture.create(forged, oauth_client().service(SERVICE).registration_token("token")).await;
    let path = format!("/register/{}", encode(forged));
    let log = Captured::at("INFO");
    assert_eq!(fixture.send("DELETE", &path, Some(&bearer("x")), "").await.status(), 401);
    let logged = log.take();
    assert_eq!(logged.trim_end().split(['\n', '\r']).count(), 1, "{logged}");
    let line: Value = serde_json::from_str(&logged).unwrap();
    assert_eq!((&line["outcome"], &line["client_id"]), (&json!("refused"), &json!(forged)));
}
