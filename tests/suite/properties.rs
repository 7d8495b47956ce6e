//! What holds for every input: requests of any bytes get a well-formed answer that gives nothing back, ids of any
//! characters are matched whole, and the small parsers agree with their plainest description.

use crate::support::{Fixture, basic, bearer, sample};
use base64::{Engine, prelude::BASE64_STANDARD};
use deregister::{
    dynamodb::admin::Creation,
    http::event::EventResponse,
    model::{
        AccessToken, AllowList, ApiClient, Client, Digest, Id, IfMatch, Kind, Metadata, OAuthClient, Realm, Service,
        StoredSecret, TokenScope, Version,
    },
    settings::{Setting, Settings},
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};
use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv4Addr},
};
use tokio::runtime::Runtime;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Text of any characters, many of them with a meaning somewhere on the way.
fn anything() -> impl Strategy<Value = String> {
    let character = prop_oneof![any::<char>(), any::<u8>().prop_map(char::from), select(&MEANINGFUL[..])];
    vec(character, 0..24).prop_map(String::from_iter)
}

const MEANINGFUL: [char; 20] =
    ['/', '%', '?', '#', '&', '=', '+', '.', ':', ';', ',', ' ', '"', '\\', '{', '}', '\0', '\n', '\r', '\t'];

/// Text that its sender would recognize, so unlikely is it to come from anywhere else.
fn marker() -> impl Strategy<Value = String> {
    "[a-z]{4}[0-9a-z]{12}"
}

/// Text of any characters with the marker somewhere in it.
fn planted(marker: &str) -> impl Strategy<Value = String> + use<> {
    let marker = marker.to_owned();
    (anything(), anything()).prop_map(move |(before, after)| format!("{before}{marker}{after}"))
}

/// The same, or one of the known texts.
fn planted_or(marker: &str, known: &[&str]) -> impl Strategy<Value = String> + use<> {
    prop_oneof![planted(marker), select(known.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())]
}

/// The doors, and nowhere.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Door {
    Configuration,
    Registration,
    Authlete,
    Nowhere,
}

impl Door {
    fn method(self) -> &'static str {
        if self == Self::Authlete { "POST" } else { "DELETE" }
    }

    fn path(self, parent: &str, client: &str) -> String {
        match self {
            Self::Configuration => format!("/config/{parent}/clients/{client}"),
            Self::Registration => format!("/register/{client}"),
            Self::Authlete => format!("/api/{parent}/client/registration/delete"),
            Self::Nowhere => parent.to_owned(),
        }
    }

    /// Credentials that are good here, and good for nothing: what their holder could delete is never asked for.
    fn credentials(self) -> String {
        match self {
            Self::Configuration => basic(sample::OWNER),
            Self::Registration | Self::Nowhere => bearer(sample::PROTECTED_CLIENT.1),
            Self::Authlete => bearer(sample::SERVICE_TOKEN),
        }
    }

    /// Whether the body is an error as the door tells it, with no member beside the documented ones.
    fn is_error(self, status: u16, body: &Value) -> bool {
        let members: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        match self {
            Self::Configuration => members == ["errors"] && !text("errors").is_empty(),
            Self::Registration | Self::Nowhere => {
                members == ["error", "error_description"] && members.iter().all(|name| is_quotable(text(name)))
            }
            Self::Authlete => {
                let labelled = text("resultMessage").starts_with(&format!("[{}] ", text("resultCode")));
                let printable = !text("resultMessage").contains(char::is_control);
                let outcome = || {
                    let content: Value = serde_json::from_str(text("responseContent")).unwrap();
                    members == ["action", "responseContent", "resultCode", "resultMessage"]
                        && content["error_description"] == body["resultMessage"]
                };
                labelled && printable && (members == ["resultCode", "resultMessage"]) != (status == 200 && outcome())
            }
        }
    }
}

/// Whether the text is of the characters that RFC 6750, section 3, allows, and says something.
fn is_quotable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\')
}

/// Whether the text is one challenge, each parameter a quoted string (RFC 9110, section 11.6.1).
fn is_challenge(text: &str) -> bool {
    let parameter = |parameter: &str| {
        let (name, value) = parameter.split_once("=\"").unwrap_or_default();
        ["realm", "charset", "error", "error_description"].contains(&name) && is_quotable(value)
    };
    text.strip_prefix("Basic ")
        .or_else(|| text.strip_prefix("Bearer "))
        .and_then(|parameters| parameters.strip_suffix('"'))
        .is_some_and(|parameters| parameters.split("\", ").all(parameter))
}

/// A path segment, encoded or as it is.
fn segment(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (text, any::<bool>()).prop_map(|(text, encoded)| if encoded { encode(&text) } else { text.replace('/', "%") })
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Header fields, each with as many lines as it likes.
fn headers(marker: &str, door: Door) -> impl Strategy<Value = Vec<(String, String)>> + use<> {
    let base64 = |scheme: &'static str| move |text: String| format!("{scheme} {}", BASE64_STANDARD.encode(text));
    let authorization = prop_oneof![
        20 => Just(door.credentials()),
        1 => planted(marker),
        1 => planted(marker).prop_map(base64("Basic")),
        1 => planted(marker).prop_map(base64("Bearer")),
        1 => planted(marker).prop_map(|secret| basic((sample::OWNER.0, &secret))),
        1 => planted(marker).prop_map(|token| bearer(&token)),
    ];
    let media_type = select(vec!["application/json", "application/x-www-form-urlencoded", "text/plain"]);
    let field = prop_oneof![
        4 => (Just("authorization".to_owned()), authorization),
        1 => (planted_or(marker, &["Authorization", "if-match", "content-type"]), planted(marker)),
        2 => media_type.prop_map(|value| ("content-type".to_owned(), value.to_owned())),
    ];
    vec(field, 1..3)
}

/// A body. The marker is never the client id, which the Authlete API echoes as documented.
fn body(marker: &str) -> impl Strategy<Value = String> + use<> {
    let client_id =
        || prop_oneof![anything(), select(vec![sample::PROTECTED_CLIENT.0, sample::CLIENT.0]).prop_map_into()];
    let token = || planted_or(marker, &[sample::PROTECTED_CLIENT.1, ""]);
    prop_oneof![
        1 => planted(marker),
        1 => (planted(marker), planted(marker)).prop_map(|(name, value)| json!({ name: value }).to_string()),
        4 => (client_id(), token(), planted(marker))
            .prop_map(|(id, token, json)| json!({ "clientId": id, "token": token, "json": json }).to_string()),
        2 => (client_id(), token())
            .prop_map(|(id, token)| format!("clientId={}&token={}", encode(&id), encode(&token))),
    ]
}

/// An event, with the marker wherever its sender could put one.
#[derive(Debug, Clone)]
struct Attempt {
    marker: String,
    event: String,
    door: Door,
}

fn attempts() -> impl Strategy<Value = Attempt> {
    let door = select(vec![Door::Configuration, Door::Registration, Door::Authlete, Door::Nowhere]);
    (marker(), door).prop_flat_map(|(marker, door)| {
        let parent = if door == Door::Authlete { sample::SERVICE } else { sample::APPLICATION };
        let parent = segment(prop_oneof![1 => planted(&marker), 3 => Just(parent.to_owned())]);
        let known = [sample::OWNER.0, sample::PROTECTED_TARGET, sample::PROTECTED_CLIENT.0, sample::CLIENT.0];
        let path = (parent, segment(planted_or(&marker, &known)))
            .prop_map(move |(parent, client)| door.path(&parent, &client));
        let method = prop_oneof![9 => Just(door.method().to_owned()), 1 => planted_or(&marker, &["GET", "PUT"])];
        let query = option::weighted(0.2, (planted_or(&marker, &["access_token"]), planted(&marker)));
        let request = (method, path, query, headers(&marker, door), body(&marker));
        let stage = select(vec![None, Some("$default"), Some("prod"), Some("config"), Some("")]);
        (request, stage, any::<[bool; 3]>()).prop_map(move |(request, stage, [payload_1, is_base64, says_base64])| {
            let (method, path, query, headers, body) = request;
            let path = stage.filter(|stage| !stage.is_empty()).map_or(path.clone(), |stage| format!("/{stage}{path}"));
            let body = if is_base64 { BASE64_STANDARD.encode(body) } else { body };
            let event = if payload_1 {
                let mut lines: HashMap<String, Vec<String>> = HashMap::new();
                for (name, value) in headers {
                    lines.entry(name).or_default().push(value);
                }
                json!({
                    "httpMethod": method,
                    "path": path,
                    "multiValueQueryStringParameters": query.map(|(name, value)| json!({ name: [value] })),
                    "multiValueHeaders": lines,
                    "requestContext": { "stage": stage, "identity": { "sourceIp": "203.0.113.7" } },
                    "body": body,
                    "isBase64Encoded": says_base64,
                })
            } else {
                json!({
                    "version": "2.0",
                    "rawPath": path,
                    "rawQueryString": query.map(|(name, value)| format!("{name}={value}")),
                    "headers": headers.into_iter().collect::<HashMap<_, _>>(),
                    "requestContext": { "stage": stage, "http": { "method": method, "sourceIp": "203.0.113.7" } },
                    "body": body,
                    "isBase64Encoded": says_base64,
                })
            };
            Attempt { marker: marker.clone(), event: event.to_string(), door }
        })
    })
}

#[test]
fn any_request_gets_a_well_formed_answer_that_gives_nothing_back_and_writes_nothing() {
    let runtime = Runtime::new().unwrap();
    let fixture = runtime.block_on(Fixture::with_samples());
    fixture.wire.take_calls();
    proptest!(cases(1500), |(attempt in attempts())| {
        let Attempt { marker, event, door } = attempt;
        let answer = runtime.block_on(fixture.invoke(&event));
        let status = answer.status().as_u16();
        let sent = serde_json::to_value(Answer { response: answer, cookies: None }).unwrap();
        prop_assert!(!sent.to_string().contains(&marker), "{sent}");

        let field = |name: &str| sent["headers"][name].as_str();
        prop_assert!(status == 200 || (400..500).contains(&status), "{sent}");
        prop_assert_eq!(field("cache-control"), Some("no-store"));
        prop_assert_eq!(field("pragma"), Some("no-cache"));
        prop_assert_eq!(field("content-type"), Some("application/json"));
        prop_assert_eq!(field("allow").is_some(), status == 405, "{}", sent);
        prop_assert!(field("www-authenticate").map_or(status != 401, is_challenge), "{sent}");

        let body: Value = serde_json::from_str(sent["body"].as_str().unwrap()).unwrap();
        prop_assert!(door.is_error(status, &body), "{sent}");
    });
    let calls = fixture.wire.take_calls();
    assert!(!calls.is_empty(), "no request came as far as the table");
    assert!(calls.iter().all(|operation| operation == "BatchGetItem"), "{calls:?}");
}

/// Creates a client with this name, which is also the name of its application and its service, and clients with names
/// that it could be mistaken for; then sends the door a request to delete it, with credentials that would delete any.
async fn delete_among_neighbours(name: &str, door: Door) {
    let (fixture, encoded) = (Fixture::empty().await, encode(name));
    let (store, id) = (fixture.direct(), |name: &str| Id::new(name).unwrap());
    let secrets = |secret: &str| vec![StoredSecret { digest: Digest::of(secret), expires_at: None }];
    let api = |features: &[&str]| {
        let features = features.iter().map(|&feature| feature.to_owned()).collect();
        Kind::Api(ApiClient { app_id: name.to_owned(), features, secrets: secrets("secret"), ..ApiClient::default() })
    };
    let oauth = || {
        let registration_token_digest = Some(Digest::of("registration-token"));
        Kind::OAuth(OAuthClient {
            service_id: id(name),
            dynamic: true,
            registration_token_digest,
            metadata: Metadata::default(),
        })
    };
    let create = async |name: &str, kind| {
        let client = Client { kind, protected: false, version: None, idle: None };
        assert_eq!(store.create_client(&id(name), &client).await, Ok(Creation::Done));
    };
    let neighbours = [encoded.clone(), format!("{name} "), format!("{name}\0"), format!("/{name}")];
    let neighbours: HashSet<_> = neighbours.iter().map(String::as_str).filter(|&neighbour| neighbour != name).collect();
    for &client in neighbours.iter().chain([&name]) {
        create(client, if door == Door::Configuration { api(&[]) } else { oauth() }).await;
    }
    create("the owner", api(&["owner"])).await;
    store.create_service(&id(name), &Service::default()).await.unwrap();
    let scope = TokenScope::ServiceId(id(name));
    store.add_token(&Digest::of("access-token"), &AccessToken { scope, expires_at: None }).await.unwrap();

    let authorization = match door {
        Door::Configuration => basic(("the owner", "secret")),
        Door::Authlete => bearer("access-token"),
        _ => bearer("registration-token"),
    };
    let body = json!({ "clientId": name, "token": "registration-token" }).to_string();
    let answer = fixture.send(door.method(), &door.path(&encoded, &encoded), Some(&authorization), &body).await;

    assert!(answer.status().is_success(), "{answer:?}");
    assert!(!fixture.lives(name).await, "{answer:?}");
    for neighbour in neighbours {
        assert!(fixture.lives(neighbour).await, "{neighbour:?}");
    }
}

#[test]
fn an_id_of_any_characters_is_deleted_and_no_other() {
    let runtime = Runtime::new().unwrap();
    let door = select(vec![Door::Configuration, Door::Registration, Door::Authlete]);
    let name = anything().prop_filter("an id is not empty", |name| !name.is_empty());
    proptest!(cases(60), |(name in name, door in door)| {
        runtime.block_on(delete_among_neighbours(&name, door));
    });
}

/// The value of a setting, most often a number, or none.
fn setting() -> impl Strategy<Value = Option<String>> {
    option::weighted(0.5, prop_oneof![1 => anything(), 5 => "[1-9][0-9]{0,3}", 1 => "[0-9]{6}", 2 => "[a-z_.-]{2,8}"])
}

/// Whether the setting may have this value, in the words of [`Settings::TABLE`].
fn is_allowed(setting: &Setting, value: &str) -> bool {
    match setting.name {
        "CLIENTS_TABLE" => {
            (3..=255).contains(&value.len()) && value.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
        }
        "REALM" => is_quotable(value),
        _ => {
            let (_, range) = setting.must_be.split_once(" from ").unwrap();
            let (least, most) = range.split_once(" to ").unwrap();
            let range = least.parse::<u64>().unwrap()..=most.parse().unwrap();
            value.parse().is_ok_and(|number| range.contains(&number))
        }
    }
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn settings_are_read_as_their_table_says(values in vec(setting(), Settings::TABLE.len())) {
        let values: HashMap<_, _> = Settings::TABLE.iter().map(|setting| setting.name).zip(values).collect();
        let value = |setting: &Setting| values[setting.name].clone().unwrap_or_else(|| setting.default.to_owned());
        let wrong = Settings::TABLE.into_iter().find(|setting| !is_allowed(setting, &value(setting)));

        match (Settings::read(|name| values[name].clone()), wrong) {
            (Ok(settings), None) => {
                let read: HashMap<_, _> = Settings::TABLE.iter().map(|setting| (setting.name, value(setting))).collect();
                prop_assert_eq!(&settings.table, &read["CLIENTS_TABLE"]);
                prop_assert_eq!(Some(settings.realm), Realm::new(&read["REALM"]));
                prop_assert_eq!(Ok(settings.retention.as_secs() / 86_400), read["RETENTION_DAYS"].parse());
                prop_assert_eq!(Ok(settings.attempts), read["DATABASE_ATTEMPTS"].parse());
            }
            (Err(error), Some(Setting { name, must_be, .. })) => {
                prop_assert!(error.to_string().starts_with(&format!("{name} must be {must_be}, ")), "{error}");
            }
            (read, wrong) => prop_assert!(false, "{read:?}, and {wrong:?} is wrong"),
        }
    }

    #[test]
    fn any_if_match_can_be_read(field in anything(), version in any::<u64>()) {
        let tag = Version(version).to_string();
        prop_assert_eq!(IfMatch::parse(&field).admits(Some(Version(version))), field.trim() == "*" || field.contains(&tag));
    }

    /// A version is admitted in its own spelling alone.
    #[test]
    fn if_match_admits_the_versions_that_are_spelled_out(
        tags in vec(r#"(W/)?"?[+-]?0?[0-3]"?"#, 1..4), version in 0..4_u64
    ) {
        let tag = Version(version).to_string();
        let admits = IfMatch::parse(&tags.join(", ")).admits(Some(Version(version)));
        prop_assert_eq!(admits, tags.contains(&tag));
    }

    #[test]
    fn an_allow_list_is_the_union_of_its_blocks(
        blocks in vec((any::<u32>(), 0..=32_u8), 1..4), address in any::<u32>(), nearby in option::of(0..32_u32)
    ) {
        // Most addresses of the whole range are in no block, and most decisions are at its edge.
        let address = nearby.map_or(address, |bit| blocks[0].0 ^ (1 << bit));
        let prefix = |address: u32, length: u8| address.checked_shr(32 - u32::from(length)).unwrap_or(0);
        let inside = blocks.iter().any(|&(block, length)| prefix(block, length) == prefix(address, length));

        let list = AllowList::new(blocks.iter().map(|&(block, length)| format!("{}/{length}", Ipv4Addr::from(block))));
        let address = Ipv4Addr::from(address);
        prop_assert_eq!(list.admits(Some(IpAddr::V4(address))), inside);
        prop_assert_eq!(list.admits(Some(IpAddr::V6(address.to_ipv6_mapped()))), inside);
    }

    #[test]
    fn an_id_is_a_number_if_that_is_how_the_number_is_written(number in 0..=i64::MAX, text in "[+-]?[0-9]{1,20}") {
        prop_assert_eq!(Id::new(number.to_string()).unwrap().as_number(), Some(number));
        if let Some(number) = Id::new(text.as_str()).unwrap().as_number() {
            prop_assert_eq!(number.to_string(), text);
        }
    }
}
