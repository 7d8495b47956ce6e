//! `import`

mod clients;
mod input;
mod own;
mod stopped;

use crate::{
    fixture::authlete_call,
    run::{Ran, file, parse, text},
    support::{Fixture, basic, json as body},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use deregister::model::Digest;
use serde_json::{Value, json};

const APPLICATION: &str = "73jzx34tnr5ruhsze494ssgz2b";
const SECRET: &str = "9956y4tv342e76nj9zub511ufbned98j";
const TOKEN: &str = "qs4Tu5TV7qqDYT93bFs6ISyhTByMF9o-54GY4JU5vTA";

#[tokio::test]
async fn an_imported_owner_deletes_an_imported_client() {
    let fixture = Fixture::empty().await;
    let list = json!([api_client("the-owner", &["owner"]), api_client("the-target", &["login_client"])]);
    let line = format!("import --app {APPLICATION} {}", file("owner.json", &list.to_string()).display());
    assert_eq!(fixture.object(&line).await, summary(2, 0, 0));

    let path = format!("/config/{APPLICATION}/clients/the-target");
    let answer = fixture.send("DELETE", &path, Some(&basic(("the-owner", SECRET))), "").await;
    assert_eq!(answer.status(), 204);
    assert!(!fixture.lives("the-target").await);
}

#[tokio::test]
async fn an_imported_oauth_client_is_deleted_with_its_former_token() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 715948317").await;
    let access_token = fixture.object("token issue --service 715948317").await;
    let digest = Digest::of(TOKEN);
    let hashes = [BASE64_URL_SAFE_NO_PAD.encode(digest.as_bytes()), digest.to_hex()];
    let clients: Vec<_> = (1..).zip(&hashes).map(|(number, hash)| oauth_client(number, hash)).collect();
    assert_eq!(parse(&import_oauth(&fixture, &json!({ "clients": clients })).await.done()), summary(2, 0, 0));

    for number in ["1", "2"] {
        let registered = json!({ "client_id": number, "registration_access_token": TOKEN });
        let answer =
            fixture.invoke(&authlete_call("715948317", text(&access_token, "access_token"), &registered)).await;
        let answer = body(&answer);
        assert_eq!(answer["action"], "DELETED", "{answer}");
        let client = &answer["client"];
        assert_eq!((&client["clientType"], &client["responseTypes"]), (&json!("PUBLIC"), &json!(["CODE_ID_TOKEN"])));
        assert_eq!(client["grantTypes"], json!(["AUTHORIZATION_CODE", "DEVICE_CODE"]));
    }
}

#[tokio::test]
async fn a_second_import_changes_nothing() {
    let fixture = Fixture::empty().await;
    let list = json!([api_client("one", &[]), api_client("two", &[])]);
    assert_eq!(parse(&import(&fixture, &list).await.done()), summary(2, 0, 0));
    fixture.object("client protect one").await;
    let mut before = fixture.clients_by_key().await;

    let again = json!([api_client("one", &[]), api_client("two", &[]), api_client("three", &[])]);
    assert_eq!(parse(&import(&fixture, &again).await.done()), summary(1, 2, 0));
    let after = fixture.clients_by_key().await;
    before.insert("client#three".to_owned(), after["client#three"].clone());
    assert_eq!(after, before);
}

/// An earlier release imported the same list without contacts.
#[tokio::test]
async fn contacts_that_an_earlier_import_left_out_change_nothing() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 715948317").await;
    let mut client = oauth_client(1, "");
    for (contacts, imported, already_there) in [(Value::Null, 1, 0), (json!(["a@example.com"]), 0, 1)] {
        client["contacts"] = contacts;
        let (_, last) = reports(&import_oauth(&fixture, &json!({ "clients": [client] })).await);
        assert_eq!((&last["imported"], &last["already_there"]), (&json!(imported), &json!(already_there)));
    }
}

#[tokio::test]
async fn a_changed_or_deleted_client_is_skipped() {
    let fixture = Fixture::empty().await;
    let list = json!([api_client("me", &["owner"]), api_client("one", &[]), api_client("two", &[])]);
    import(&fixture, &list).await.done();
    let path = format!("/config/{APPLICATION}/clients/one");
    assert_eq!(fixture.send("DELETE", &path, Some(&basic(("me", SECRET))), "").await.status(), 204);
    let before = fixture.clients_by_key().await;

    let again = json!([api_client("one", &[]), api_client("two", &["direct_access"]), api_client("me", &["owner"])]);
    let ran = import(&fixture, &again).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), "deregisterctl: clients skipped: 2\n"));
    let expected = [
        (0, "one", "a client with this id was deleted here"),
        (1, "two", "another client has this id, or this client was changed here"),
    ];
    let expected = expected.map(|(index, client_id, reason)| {
        json!({ "index": index, "client_id": client_id, "outcome": "skipped", "reason": reason })
    });
    assert_eq!(reports(&ran), (expected.to_vec(), summary(0, 1, 2)));
    assert_eq!(fixture.clients_by_key().await, before);
}

#[tokio::test]
async fn an_imported_id_that_no_path_can_name_is_warned_of() {
    let fixture = Fixture::empty().await;
    let list = json!([api_client("a?b", &[]), api_client("a/b", &[]), api_client("ab", &[])]);
    for count in [(3, 0), (0, 3)] {
        let ran = import(&fixture, &list).await;
        assert_eq!((ran.code, parse(&ran.stdout)), (Some(0), summary(count.0, count.1, 0)));
        let mut lines: Vec<_> = ran.stderr.lines().collect();
        lines.sort_unstable();
        assert_eq!(lines.len(), 2, "{}", ran.stderr);
        assert!(lines[0].contains("the client a/b, because its id holds a /"), "{}", lines[0]);
        assert!(lines[1].contains("the client a?b, because its id holds a ?"), "{}", lines[1]);
    }
    let list = json!([{ "_id": "c?d", "_secret": SECRET }]);
    let ran = fixture.ctl("--json import --app x/y -").with_stdin(&list.to_string()).run().await;
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(0), 1), "{}", ran.stderr);
    assert!(ran.stderr.contains("the application x/y, because its id holds a /"), "{}", ran.stderr);

    fixture.object("service create 715948317").await;
    let mut clients = [oauth_client(1, ""), oauth_client(2, "")];
    clients[0]["clientIdAlias"] = json!("https://api.example.com/mcp");
    clients[1]["clientIdAlias"] = json!("https://api.example.com/?mcp");
    let ran = import_oauth(&fixture, &json!({ "clients": clients })).await;
    assert_eq!((ran.code, ran.stderr.lines().count()), (Some(0), 1), "{}", ran.stderr);
    assert!(ran.stderr.contains("the client https://api.example.com/?mcp, because its id holds a ?"), "{}", ran.stderr);
}

#[tokio::test]
async fn people_see_the_same_report() {
    let fixture = Fixture::empty().await;
    let list = json!([api_client("one", &[]), 7]);
    let run = fixture.ctl(&format!("import --app {APPLICATION} -")).with_stdin(&list.to_string());
    let expected = "\
Check this client.
  index    1
  outcome  skipped
  reason   it is not a JSON object
The import has ended.
  imported       1
  already there  0
  skipped        1\n";
    assert_eq!(run.run().await.stdout, expected);
}

/// An API client as Identity Cloud lists it.
fn api_client(id: &str, features: &[&str]) -> Value {
    json!({
        "_self": format!("/config/{APPLICATION}/clients/{id}"),
        "_settings": format!("/config/{APPLICATION}/clients/{id}/settings"),
        "_id": id,
        "_secret": SECRET,
        "name": "this is a test client",
        "features": features,
        "ipWhitelist": ["0.0.0.0/0"],
    })
}

/// A dynamically registered client as Authlete lists it.
fn oauth_client(number: u32, token_hash: &str) -> Value {
    json!({
        "number": number,
        "serviceNumber": 5041,
        "developer": "authlete_21653835348762",
        "clientId": number,
        "clientIdAlias": number.to_string(),
        "clientIdAliasEnabled": true,
        "clientName": "My Dynamic Client",
        "clientSecret": "bMsjvZm2FE1_mqJgxhmYj_Wr8rA0Pia_A_j-V076qQm6",
        "clientType": "PUBLIC",
        "redirectUris": ["https://example.com/callback"],
        "responseTypes": ["CODE_ID_TOKEN"],
        "grantTypes": ["AUTHORIZATION_CODE", "DEVICE_CODE"],
        "tokenAuthMethod": "NONE",
        "dynamicallyRegistered": true,
        "registrationAccessTokenHash": token_hash,
        "createdAt": 1_641_735_467_000_u64,
    })
}

/// Imports a list of API clients from the standard input, and prints JSON.
async fn import(fixture: &Fixture, list: &Value) -> Ran {
    fixture.ctl(&format!("--json import --app {APPLICATION} -")).with_stdin(&list.to_string()).run().await
}

/// Imports a list of OAuth clients from the standard input, and prints JSON.
async fn import_oauth(fixture: &Fixture, list: &Value) -> Ran {
    fixture.ctl("--json import --service 715948317 -").with_stdin(&list.to_string()).run().await
}

/// The last line of the output.
fn summary(imported: usize, already_there: usize, skipped: usize) -> Value {
    json!({ "imported": imported, "already_there": already_there, "skipped": skipped })
}

/// The reports of single entries, by their index, and the summary.
fn reports(ran: &Ran) -> (Vec<Value>, Value) {
    let mut objects = ran.objects();
    let summary = objects.pop().unwrap();
    objects.sort_by_key(|report| report["index"].as_u64());
    (objects, summary)
}
