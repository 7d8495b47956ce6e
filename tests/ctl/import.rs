//! The promises of `deregisterctl import`: the real program, against the embedded DynamoDB.

use crate::support::{Fixture, basic, json as body};
use crate::tool::{Put, Ran, authlete, client, ctl, file, front, id, object, parse, table, text};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use deregister::{
    model::{AllowList, ApiClient, Client, Digest, Idle, Kind, Metadata, OAuthClient, StoredSecret, Version},
    snapshot::Record,
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read},
    process,
    sync::Arc,
    time::SystemTime,
};
use tokio::{sync::Semaphore, task::spawn_blocking};

const APPLICATION: &str = "73jzx34tnr5ruhsze494ssgz2b";
const SECRET: &str = "9956y4tv342e76nj9zub511ufbned98j";
const TOKEN: &str = "qs4Tu5TV7qqDYT93bFs6ISyhTByMF9o-54GY4JU5vTA";

#[tokio::test]
async fn an_imported_owner_deletes_an_imported_client() {
    let fixture = Fixture::empty().await;
    let list = json!([api_client("the-owner", &["owner"]), api_client("the-target", &["login_client"])]);
    let line = format!("import --app {APPLICATION} {}", file("owner.json", &list.to_string()).display());
    assert_eq!(object(&fixture, &line).await, tally(2, 0, 0));

    let path = format!("/config/{APPLICATION}/clients/the-target");
    let answer = fixture.send("DELETE", &path, Some(&basic(("the-owner", SECRET))), "").await;
    assert_eq!(answer.status(), 204);
    assert!(!fixture.lives("the-target").await);
}

#[tokio::test]
async fn an_api_client_is_imported_as_it_was_listed() {
    let fixture = Fixture::empty().await;
    let mut listed = api_client("me", &["access_issuer", "direct_access"]);
    listed["ipWhitelist"] = json!(["198.51.100.0/24", "2001:db8::1"]);
    import(&fixture, &json!([listed])).await;
    let expected = Client {
        kind: Kind::Api(ApiClient {
            app_id: APPLICATION.to_owned(),
            name: Some("this is a test client".to_owned()),
            features: vec!["access_issuer".to_owned(), "direct_access".to_owned()],
            ip_allow_list: AllowList::new(["198.51.100.0/24", "2001:db8::1"]),
            secrets: vec![StoredSecret { digest: Digest::of(SECRET), expires_at: None }],
        }),
        protected: false,
        version: Some(Version(1)),
        idle: None,
    };
    assert_eq!(client(&fixture, "me").await, Some(Record::Client(expected)));
}

#[tokio::test]
async fn an_imported_oauth_client_is_deleted_with_the_token_that_it_had() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 715948317").await;
    let access_token = object(&fixture, "token issue --service 715948317").await;
    let digest = Digest::of(TOKEN);
    let hashes = [BASE64_URL_SAFE_NO_PAD.encode(digest.as_bytes()), digest.to_hex()];
    let clients: Vec<_> = (1..).zip(&hashes).map(|(number, hash)| oauth_client(number, hash)).collect();
    assert_eq!(parse(&import_oauth(&fixture, &json!({ "clients": clients })).await.done()), tally(2, 0, 0));

    for number in ["1", "2"] {
        let registered = json!({ "client_id": number, "registration_access_token": TOKEN });
        let answer = fixture.invoke(&authlete("715948317", text(&access_token, "access_token"), &registered)).await;
        let answer = body(&answer);
        assert_eq!(answer["action"], "DELETED", "{answer}");
        let told = &answer["client"];
        assert_eq!((&told["clientType"], &told["responseTypes"]), (&json!("PUBLIC"), &json!(["CODE_ID_TOKEN"])));
        assert_eq!(told["grantTypes"], json!(["AUTHORIZATION_CODE", "DEVICE_CODE"]));
    }
}

#[tokio::test]
async fn the_vendors_words_become_those_of_rfc_7591() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 715948317").await;
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
        "redirectUris": ["https://example.com/callback"],
        "responseTypes": of("responseTypes", |row| row.1),
        "grantTypes": of("grantTypes", |row| row.1),
        "tokenAuthMethod": "SELF_SIGNED_TLS_CLIENT_AUTH",
    });
    import_oauth(&fixture, &json!({ "totalCount": 1, "clients": [listed] })).await.done();
    let expected = Client {
        kind: Kind::OAuth(OAuthClient {
            service_id: id("715948317"),
            dynamic: false,
            registration_token_digest: None,
            metadata: Metadata {
                client_name: Some("My Test Client".to_owned()),
                redirect_uris: Some(vec!["https://example.com/callback".to_owned()]),
                response_types: Some(of("responseTypes", |row| row.2)),
                grant_types: Some(of("grantTypes", |row| row.2)),
                token_endpoint_auth_method: Some("self_signed_tls_client_auth".to_owned()),
            },
        }),
        protected: false,
        version: Some(Version(1)),
        idle: None,
    };
    assert_eq!(client(&fixture, "1140735077").await, Some(Record::Client(expected)));
}

#[tokio::test]
async fn an_imported_client_that_registered_itself_counts_as_used_now() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 715948317").await;
    let before = Idle::used(clock());
    import_oauth(&fixture, &json!({ "clients": [oauth_client(1, "")] })).await.done();
    let Some(Record::Client(Client { idle: Some(idle), .. })) = client(&fixture, "1").await else { panic!("no track") };
    assert!(idle.used && (before.since..=clock()).contains(&idle.since), "{idle:?}");

    import_oauth(&fixture, &json!({ "clients": [oauth_client(1, "")] })).await.done();
    let Some(Record::Client(again)) = client(&fixture, "1").await else { panic!("no client") };
    assert_eq!(again.idle, Some(idle), "and not again by importing it again");
}

#[tokio::test]
async fn an_oauth_client_is_known_by_the_id_that_oauth_calls_name() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 715948317").await;
    let clients = json!([
        { "clientId": 1, "clientIdAlias": "alias" },
        { "clientId": 2, "clientIdAlias": "disabled", "clientIdAliasEnabled": false },
        { "clientId": "3", "clientIdAlias": "", "clientIdAliasEnabled": true },
    ]);
    import_oauth(&fixture, &json!({ "clients": clients })).await.done();
    assert_eq!(keys(&fixture).await, ["client#2", "client#3", "client#alias"]);
}

#[tokio::test]
async fn a_client_whose_registration_access_token_cannot_be_taken_over_is_told() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 715948317").await;
    let mut without = oauth_client(2, "");
    without["registrationAccessTokenHash"] = Value::Null;
    let list = json!({ "clients": [oauth_client(1, "c2hvcnQ"), without, { "clientId": 3 }] });
    for (outcome, imported, already_there) in [("imported", 3, 0), ("already_there", 0, 3)] {
        let mut told: Vec<_> = import_oauth(&fixture, &list).await.done().lines().map(parse).collect();
        let mut expected = tally(imported, already_there, 0);
        expected["without_registration_token"] = json!(2);
        assert_eq!(told.pop().unwrap(), expected);
        told.sort_by_key(|client| client["index"].as_u64());
        assert_eq!(told.len(), 2);
        for (index, client) in told.iter().enumerate() {
            assert_eq!((&client["index"], text(client, "outcome")), (&json!(index), outcome));
            assert!(text(client, "reason").contains("registration access token"));
        }
    }
}

#[tokio::test]
async fn what_was_imported_is_already_there() {
    let fixture = Fixture::empty().await;
    let list = json!([api_client("one", &[]), api_client("two", &[])]);
    assert_eq!(parse(&import(&fixture, &list).await.done()), tally(2, 0, 0));
    object(&fixture, "client protect one").await;
    let before = table(&fixture, "clients").await;

    let again = json!([api_client("one", &[]), api_client("two", &[]), api_client("three", &[])]);
    assert_eq!(parse(&import(&fixture, &again).await.done()), tally(1, 2, 0));
    let after = table(&fixture, "clients").await;
    assert!(after.len() == 3 && before.iter().all(|item| after.contains(item)));
}

#[tokio::test]
async fn a_client_that_is_there_with_another_content_or_was_deleted_is_skipped() {
    let fixture = Fixture::empty().await;
    import(&fixture, &json!([api_client("me", &["owner"]), api_client("one", &[]), api_client("two", &[])]))
        .await
        .done();
    let path = format!("/config/{APPLICATION}/clients/one");
    assert_eq!(fixture.send("DELETE", &path, Some(&basic(("me", SECRET))), "").await.status(), 204);
    let before = table(&fixture, "clients").await;

    let again = json!([api_client("one", &[]), api_client("two", &["direct_access"]), api_client("me", &["owner"])]);
    let ran = import(&fixture, &again).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(1), "deregisterctl: clients skipped: 2\n"));
    let mut told: Vec<_> = ran.stdout.lines().map(parse).collect();
    assert_eq!(told.pop(), Some(tally(0, 1, 2)));
    told.sort_by_key(|client| client["index"].as_u64());
    let reasons = ["a client of this id was deleted here", "there is another client of this id, or it was changed"];
    let expected = [(0, "one", reasons[0]), (1, "two", reasons[1])].map(|(index, client_id, reason)| {
        json!({ "index": index, "client_id": client_id, "outcome": "skipped", "reason": reason })
    });
    assert_eq!(told, expected);
    assert_eq!(table(&fixture, "clients").await, before);
}

#[tokio::test]
async fn a_malformed_entry_is_skipped_with_its_reason_and_no_secret_is_told() {
    let fixture = Fixture::empty().await;
    let with = |name: &str, value: Value| {
        let mut client = api_client("wrong", &[]);
        client[name] = value;
        client
    };
    let api_clients = [
        (json!(SECRET), "it is no JSON object"),
        (with("_id", Value::Null), "it has no _id"),
        (with("_id", json!(SECRET.repeat(64))), "its _id cannot be used: an id has 1 to 2040 bytes"),
        (with("_id", json!("a:b")), "its _id cannot be used: in Basic credentials the id ends at the first colon"),
        (with("_secret", Value::Null), "it has no _secret"),
        (with("_secret", json!(9_956_342_769_u64)), "its _secret is not a text"),
        (with("_secret", json!([SECRET])), "its _secret is not a text"),
        (with("_secret", json!("fifteen bytes !")), "its _secret has less than 16 bytes"),
        (with("_self", json!("/config/another/clients/wrong")), "its _self is not of this application"),
        (with("name", json!({ "secret": SECRET })), "its name is not a text"),
        (with("name", json!("x".repeat(400_000))), "it is too large for an item of DynamoDB"),
        (with("features", json!(SECRET)), "its features is not a list of texts"),
        (
            with("ipWhitelist", json!(["203.0.113.0/33"])),
            "its ipWhitelist has an entry that is no address and no CIDR block",
        ),
    ];
    let oauth_clients = [
        (json!({}), "it has no clientId"),
        (json!({ "clientId": 1.5 }), "its clientId is not a text or a whole number"),
        (json!({ "clientId": "" }), "its clientId cannot be used: an id has 1 to 2040 bytes"),
        (json!({ "clientId": 1, "dynamicallyRegistered": SECRET }), "its dynamicallyRegistered is not true or false"),
        (json!({ "clientId": 1, "grantTypes": [1] }), "its grantTypes is not a list of texts"),
    ];
    object(&fixture, "service create 715948317").await;
    for (entries, last) in [(&api_clients[..], api_client("good", &[])), (&oauth_clients, json!({ "clientId": 7 }))] {
        let list: Vec<_> = entries.iter().map(|(entry, _)| entry.clone()).chain([last]).collect();
        let ran = if list.len() == api_clients.len() + 1 {
            import(&fixture, &json!(list)).await
        } else {
            import_oauth(&fixture, &json!({ "clients": list })).await
        };
        assert_eq!(ran.code, Some(1));
        for private in [SECRET, "9956342769", "fifteen"] {
            assert!(!ran.stdout.contains(private) && !ran.stderr.contains(private), "{private}");
        }
        let mut told: Vec<_> = ran.stdout.lines().map(parse).collect();
        assert_eq!(told.pop(), Some(tally(1, 0, entries.len())));
        told.sort_by_key(|client| client["index"].as_u64());
        for (index, (told, (_, reason))) in told.iter().zip(entries).enumerate() {
            assert_eq!(*told, json!({ "index": index, "outcome": "skipped", "reason": reason }));
        }
    }
    assert!(fixture.lives("good").await && fixture.lives("7").await && !fixture.lives("wrong").await);
}

#[tokio::test]
async fn a_file_that_is_not_the_list_is_refused_before_anything_is_written() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 715948317").await;
    let good = api_client("good", &[]);
    for (whose, text) in [
        (format!("--app {APPLICATION}"), String::new()),
        (format!("--app {APPLICATION}"), format!("\"{SECRET}\"")),
        (format!("--app {APPLICATION}"), json!({ "clients": [good] }).to_string()),
        (format!("--app {APPLICATION}"), format!("[{good},")),
        (format!("--app {APPLICATION}"), format!("[{good}] and more")),
        ("--service 715948317".to_owned(), json!([{ "clientId": 1 }]).to_string()),
        ("--service 715948317".to_owned(), json!({ "start": 0 }).to_string()),
        ("--service 715948317".to_owned(), json!({ "clients": { "clientId": 1 } }).to_string()),
    ] {
        let file = file("not-the-list.json", &text);
        let sentence = ctl(&fixture, &format!("import {whose} {}", file.display())).run().await.refused();
        assert!(sentence.contains("is not a list of clients") && !sentence.contains(SECRET), "{text}: {sentence}");
    }
    assert!(ctl(&fixture, "import --app app no-such-file").run().await.refused().starts_with("no-such-file cannot be"));
    assert!(
        ctl(&fixture, "import --service nowhere no-such-file").run().await.refused().contains("no service nowhere")
    );
    assert_eq!(keys(&fixture).await, [""; 0]);
}

#[tokio::test]
async fn the_standard_input_is_imported_page_after_page() {
    let fixture = Fixture::empty().await;
    object(&fixture, "service create 715948317").await;
    let pages = [json!({ "clients": [{ "clientId": 1 }] }), json!({ "clients": [{ "clientId": 2 }], "end": 2 })];
    let pages = pages.map(|page| page.to_string()).join("\n");
    let run = ctl(&fixture, "--json import --service 715948317 -").with_stdin(&pages);
    assert_eq!(parse(&run.run().await.done()), tally(2, 0, 0));

    let cut = format!("{pages}{{\"clients\": [{{\"clientId\": 3}}, {{\"clientId\"");
    let ran = ctl(&fixture, "--json import --service 715948317 -").with_stdin(&cut).run().await;
    assert_eq!((ran.code, parse(&ran.stdout)), (Some(1), tally(1, 2, 0)), "what came is there");
    assert!(ran.stderr.contains("line 2, column"), "{}", ran.stderr);
    assert_eq!(keys(&fixture).await, ["client#1", "client#2", "client#3"]);
}

#[tokio::test]
async fn an_import_that_is_interrupted_finishes_the_writes_under_way_and_is_taken_up_again() {
    let fixture = Fixture::empty().await;
    let list = many(100);
    let (arrived, let_go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (counted, held) = (arrived.clone(), let_go.clone());
    let becomes = move |put| {
        counted.add_permits(1);
        if put < 50 { Put::Done } else { Put::Held(held.clone()) }
    };
    let endpoint = front(&fixture, becomes).await;
    let line = format!("--json import --app {APPLICATION} {}", file("interrupted.json", &list.to_string()).display());
    let run = ctl(&fixture, &line).with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint);
    let patient = run.with_env("DATABASE_ATTEMPT_TIMEOUT_MS", "60000").with_env("DATABASE_CALL_TIMEOUT_MS", "60000");
    let mut child = { patient }.command.spawn().unwrap();

    // All that are written at once are under way, and none can end.
    arrived.acquire_many(50 + 16).await.unwrap().forget();
    let interrupt = format!("kill -INT {}", child.id());
    assert!(process::Command::new("sh").args(["-c", &interrupt]).status().unwrap().success());
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let (line, stderr) = spawn_blocking(move || {
        let mut line = String::new();
        stderr.read_line(&mut line).unwrap();
        (line, stderr)
    })
    .await
    .unwrap();
    assert_eq!(line, "deregisterctl: interrupted: waiting for the writes under way\n");
    let_go.add_permits(16);

    let ended = spawn_blocking(move || {
        let mut stderr = stderr;
        let mut rest = String::new();
        stderr.read_to_string(&mut rest).unwrap();
        (child.wait_with_output().unwrap(), rest)
    });
    let (output, rest) = ended.await.unwrap();
    assert_eq!((output.status.code(), rest.lines().count()), (Some(1), 1), "{rest}");
    assert_eq!(parse(&String::from_utf8(output.stdout).unwrap()), tally(66, 0, 0));
    assert_eq!((keys(&fixture).await.len(), arrived.available_permits()), (66, 0), "no write was started after it");

    assert_eq!(parse(&import(&fixture, &list).await.done()), tally(34, 66, 0));
    assert_eq!(keys(&fixture).await.len(), 100);
}

#[tokio::test]
async fn an_import_that_the_database_stops_is_taken_up_again() {
    let fixture = Fixture::empty().await;
    let list = many(100);
    let endpoint = front(&fixture, |put| if put < 50 { Put::Done } else { Put::Refused }).await;
    let line = format!("--json import --app {APPLICATION} {}", file("stopped.json", &list.to_string()).display());
    let ran = ctl(&fixture, &line).with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint).run().await;
    assert_eq!((ran.code, parse(&ran.stdout)), (Some(1), tally(50, 0, 0)));
    assert!(ran.stderr.contains("the database call failed") && ran.stderr.lines().count() == 1, "{}", ran.stderr);

    assert_eq!(parse(&import(&fixture, &list).await.done()), tally(50, 50, 0));
    assert_eq!(keys(&fixture).await.len(), 100);
}

#[tokio::test]
async fn a_report_for_people_tells_the_same() {
    let fixture = Fixture::empty().await;
    let list = json!([api_client("one", &[]), 7]);
    let run = ctl(&fixture, &format!("import --app {APPLICATION} -")).with_stdin(&list.to_string());
    let expected = "\
A client to look at.
  index    1
  outcome  skipped
  reason   it is no JSON object
The import has ended.
  imported       1
  already there  0
  skipped        1\n";
    assert_eq!(run.run().await.stdout, expected);
}

// The lists.

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

/// A client that registered itself, as Authlete lists it.
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

/// A list of so many API clients.
fn many(count: u32) -> Value {
    (0..count).map(|number| api_client(&format!("client-{number}"), &["login_client"])).collect()
}

/// Imports a list of API clients through the standard input, and prints JSON.
async fn import(fixture: &Fixture, list: &Value) -> Ran {
    ctl(fixture, &format!("--json import --app {APPLICATION} -")).with_stdin(&list.to_string()).run().await
}

/// The same of a list of OAuth clients.
async fn import_oauth(fixture: &Fixture, list: &Value) -> Ran {
    ctl(fixture, "--json import --service 715948317 -").with_stdin(&list.to_string()).run().await
}

/// The last line of a report.
fn tally(imported: usize, already_there: usize, skipped: usize) -> Value {
    json!({ "imported": imported, "already_there": already_there, "skipped": skipped })
}

/// The tool's clock.
#[expect(clippy::disallowed_methods, reason = "the tool has the real one")]
fn clock() -> SystemTime {
    SystemTime::now()
}

/// The key of each client, in order.
async fn keys(fixture: &Fixture) -> Vec<String> {
    let items = table(fixture, "clients").await.into_iter();
    let keys = items.map(|mut item| item.remove("pk").unwrap().as_s().unwrap().clone());
    let mut keys: Vec<_> = keys.filter(|key| key.starts_with("client#")).collect();
    keys.sort();
    keys
}
