//! What a request without valid credentials can cost. Anyone can send it, and can name any client.

use crate::support::{
    Fixture, basic, bearer,
    build::api_client,
    event,
    log::Captured,
    sample::{APPLICATION, CLIENT, OWNER, OWNER_ELSEWHERE, RFC_CLIENT, TARGET},
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{http::event::EventResponse, model::Id};
use serde_json::{Value, json};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// An endpoint, and the most that a request without valid credentials costs there.
struct Endpoint {
    method: &'static str,
    /// The path. `{}` is an id.
    path: &'static str,
    scheme: &'static str,
    /// The number of items that are read. An item of at most 4 KiB takes one read unit.
    reads: usize,
}

const ENDPOINTS: [Endpoint; 3] = [
    Endpoint { method: "DELETE", path: "/config/{}/clients/{}", scheme: "Basic", reads: 2 },
    Endpoint { method: "DELETE", path: "/register/{}", scheme: "Bearer", reads: 1 },
    Endpoint { method: "POST", path: "/api/{}/client/registration/delete", scheme: "Bearer", reads: 3 },
];
/// The database calls: one read, no write.
const MAX_CALLS: usize = 1;
/// The bytes of the database call: two ids of 2,040 bytes, each byte six bytes in JSON, and the rest of the call.
const MAX_CALL_BYTES: usize = 25 * KIB;
/// The bytes of the event's response.
const MAX_RESPONSE_BYTES: usize = KIB;
/// The bytes of the log.
const MAX_LOG_BYTES: usize = 2 * KIB;
/// The bytes of a read unit of DynamoDB.
const READ_UNIT_BYTES: usize = 4 * KIB;

impl Endpoint {
    fn path(&self, id: &str) -> String {
        self.path.replace("{}", id)
    }

    /// Credentials of an id and a secret that do not exist.
    fn credentials(&self, id: &str, secret: &str) -> String {
        if self.scheme == "Basic" { basic((id, secret)) } else { bearer(secret) }
    }

    /// A request that is large in every member, and requests that are large in one.
    fn requests(&self) -> Vec<String> {
        let [unknown, another] = ["\u{1}", "\u{2}"].map(|character| character.repeat(Id::MAX_BYTES));
        let usual = self.path("x");
        let credentials = self.credentials("x", "x");
        let request = |path: &str, query: &str, credentials: &str, body: &str| {
            event(self.method, path, query, &[("authorization", credentials), ("if-match", "\"1\"")], body)
        };
        let longest = request(
            &self.path(&unknown.replace('\u{1}', "%01")),
            "",
            &self.credentials(&another, &"x".repeat(10 * KIB)),
            &json!({ "clientId": unknown, "token": "x".repeat(30 * KIB) }).to_string(),
        );
        let json = |size: usize| json!({ "clientId": "x", "token": "x", "json": "x".repeat(size) }).to_string();
        let known = json!({ "clientId": CLIENT.0, "token": "x" }).to_string();
        let mut requests = vec![
            longest,
            request(&self.path(TARGET), "", &self.credentials(OWNER.0, "x"), &known),
            request(&self.path(RFC_CLIENT.0), "", &self.credentials(OWNER_ELSEWHERE.0, "x"), &known),
        ];
        for size in [10 * KIB, MIB / 4] {
            let much = "x".repeat(size);
            requests.extend([
                request(&self.path(&much), "", &credentials, &json(0)),
                request(&usual, &much, &credentials, &json(0)),
                request(&usual, &"a=b&".repeat(size / 4), &credentials, &json(0)),
                request(&usual, "", &self.credentials(&much, "x"), &json(0)),
                request(&usual, "", &self.credentials("x", &much), &json(0)),
                request(&usual, "", &format!("{} {much}", self.scheme), &json(0)),
                request(&usual, "", &much, &json(0)),
                event(self.method, &usual, "", &[("authorization", &credentials), ("if-match", &much)], &json(0)),
                event(self.method, &usual, "", &[("authorization", &credentials), ("content-type", &much)], &json(0)),
                event(self.method, &usual, "", &[("authorization", &credentials), (&much, &much)], &json(0)),
            ]);
        }
        let form = [("authorization", credentials.as_str()), ("content-type", "application/x-www-form-urlencoded")];
        requests.extend([
            request(&usual, "", &credentials, &json(10 * MIB)),
            event(self.method, &usual, "", &form, &"a=%41&".repeat(10 * MIB / 6)),
        ]);
        requests
    }
}

#[tokio::test]
async fn a_request_of_any_size_without_valid_credentials_costs_a_bounded_amount() {
    let fixture = Fixture::with_samples().await;
    let log = Captured::at("INFO");
    for endpoint in ENDPOINTS {
        let mut most_reads = 0;
        for event in endpoint.requests() {
            fixture.wire.take_calls();
            let answer = fixture.invoke(&event).await;
            let beginning: String = event.chars().take(200).collect();
            assert!(answer.status().is_client_error(), "{answer:?} to {beginning}");

            let calls = fixture.wire.take_calls();
            assert!(calls.len() <= MAX_CALLS && calls.iter().all(|call| call == "BatchGetItem"), "{calls:?}");
            if !calls.is_empty() {
                let call = fixture.wire.last_body();
                assert!(call.len() <= MAX_CALL_BYTES, "a call of {} bytes for {beginning}", call.len());
                let call: Value = serde_json::from_str(&call).unwrap();
                most_reads = most_reads.max(call["RequestItems"][&fixture.table]["Keys"].as_array().unwrap().len());
            }
            let response = EventResponse { response: answer, cookies: None };
            let response = serde_json::to_string(&response).unwrap();
            assert!(response.len() <= MAX_RESPONSE_BYTES, "{response}");
            let logged = log.take();
            assert!(logged.len() <= MAX_LOG_BYTES && logged.lines().count() == 1, "{logged}");
        }
        assert_eq!(most_reads, endpoint.reads, "{}", endpoint.path);
    }
}

/// So the number of keys is the number of read units.
#[tokio::test]
async fn a_sample_item_is_at_most_one_read_unit() {
    let fixture = Fixture::with_samples().await;
    let items = fixture.sdk.scan().table_name(&fixture.table).send().await.unwrap().items.unwrap();
    assert!(items.iter().all(|item| format!("{item:?}").len() <= READ_UNIT_BYTES));
}

#[tokio::test]
async fn unreadable_entries_of_an_allow_list_are_one_short_line_of_the_log() {
    let fixture = Fixture::with_samples().await;
    let many: Vec<_> = (0..10_000).map(|n| format!("{n}.0.113.0/33")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    let client = api_client().application(APPLICATION).secret("secret");
    fixture.create("many", client.clone().owner().allow_list(&many)).await;
    fixture.create("long", client.allow_list(&["x".repeat(300 * KIB).as_str()])).await;

    let log = Captured::at("INFO");
    for (client, credentials) in [("many", basic(("x", "x"))), ("long", basic(("many", "x")))] {
        let path = format!("/config/{APPLICATION}/clients/{client}");
        assert_eq!(fixture.send("DELETE", &path, Some(&credentials), "").await.status(), 401);
    }
    let logged = log.take();
    // A record for each request, and a warning for each list that it reads.
    assert_eq!(logged.lines().count(), 2 + 3, "{} bytes", logged.len());
    assert!(logged.lines().all(|line| line.len() <= MAX_LOG_BYTES), "{} bytes", logged.len());
}

/// Anyone can name such an item in a request, and then the function logs the reason.
#[tokio::test]
async fn the_reason_why_an_item_cannot_be_read_is_short_and_quotes_nothing_of_it() {
    let fixture = Fixture::with_samples().await;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let secret = "stored-in-clear-".repeat(KIB);
    for (client, member) in [("a", "secrets"), ("b", "protected"), ("c", "kind"), ("d", "features")] {
        let members = [("kind", text("api")), ("app_id", text(APPLICATION)), (member, text(&secret))];
        let members = members.map(|(name, value)| (name.to_owned(), value)).into();
        let put = fixture.sdk.put_item().table_name(&fixture.table).item("pk", text(&format!("client#{client}")));
        put.item("client", AttributeValue::M(members)).send().await.unwrap();

        let log = Captured::at("INFO");
        let answer = fixture.send("DELETE", &format!("/register/{client}"), Some(&bearer("x")), "").await;
        assert_eq!(answer.status(), 401);
        let logged = log.take();
        assert!(logged.contains(&format!("client#{client}")), "{member}");
        assert!(logged.len() <= MAX_LOG_BYTES, "{member}: {} bytes", logged.len());
        assert!(!logged.contains("stored-in-clear"), "{member}: {logged}");
    }
}

#[tokio::test]
async fn the_last_of_ten_thousand_entries_of_an_allow_list_counts() {
    let fixture = Fixture::with_samples().await;
    let others: Vec<_> = (0..10_000).map(|n| format!("10.{}.{}.0/24", n / 256, n % 256)).collect();
    for (caller, last, status) in [("outside", "203.0.113.8", 403), ("inside", "203.0.113.7", 204)] {
        let entries: Vec<_> = others.iter().map(String::as_str).chain([last]).collect();
        let client = api_client().application(APPLICATION).owner().secret("secret").allow_list(&entries);
        fixture.create(caller, client).await;
        let path = format!("/config/{APPLICATION}/clients/{TARGET}");
        let answer = fixture.send("DELETE", &path, Some(&basic((caller, "secret"))), "").await;
        assert_eq!(answer.status(), status, "{caller}");
    }
}
