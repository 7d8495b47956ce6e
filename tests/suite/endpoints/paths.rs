//! Paths: which sender has decoded them, ids with a slash, the stage, and the prefixes of the deployment.

use super::*;
use crate::support::{
    endpoints,
    envelope::{self, Sender},
};
use deregister::{
    functions::{Delete, Environment},
    settings::{Endpoints, Variables},
};

/// A sender, and the payload version of its events.
type From = (Sender, u8);

/// The senders that decode the path.
const DECODING: [From; 2] = [(Sender::HttpApi, 2), (Sender::HttpApi, 1)];
/// The senders that send the path as they got it.
const ENCODED: [From; 2] = [(Sender::FunctionUrl, 2), (Sender::Gateway, 1)];

/// A request with a percent-encoded path, as the client sends it.
fn request(method: &str, path: &str, authorization: &str) -> envelope::Request {
    envelope::Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: String::new(),
        headers: vec![("authorization".to_owned(), authorization.to_owned())],
        body: Vec::new(),
        source_ip: "203.0.113.7".to_owned(),
        stage: None,
    }
}

/// The status of the answer to the request from this sender.
async fn status(fixture: &Fixture, request: &envelope::Request, (sender, payload): From) -> u16 {
    let event = if payload == 2 { request.payload_2(sender) } else { request.payload_1(sender) };
    fixture.invoke(&event.to_string()).await.status().as_u16()
}

/// The function with these settings.
fn with(fixture: &Fixture, base_path: &str, registration_path: &str) -> Fixture {
    let (base_path, registration_path) = (base_path.to_owned(), registration_path.to_owned());
    let endpoints = Endpoints { base_path, registration_path, ..endpoints() };
    let mut fixture = fixture.clone();
    fixture.function = Delete::new(fixture.clients.clone(), endpoints, now, Environment::default());
    fixture
}

/// Creates OAuth clients with the registration access token `token`.
async fn register(fixture: &Fixture, ids: &[&str]) {
    for id in ids {
        create(fixture, id, oauth_client(SERVICE, "token"), false).await;
    }
}

/// Which of the clients are deleted.
async fn deleted_of<'i>(fixture: &Fixture, ids: &[&'i str]) -> Vec<&'i str> {
    let mut deleted = Vec::new();
    for id in ids {
        if !fixture.lives(id).await {
            deleted.push(*id);
        }
    }
    deleted
}

#[tokio::test]
async fn what_the_sender_has_decoded_is_not_decoded_again() {
    // The client sends `%2541`. An HTTP API decodes it to `%41`; a function URL does not decode it.
    for from in DECODING.into_iter().chain(ENCODED) {
        let fixture = Fixture::anywhere_with_samples().await;
        let ids = ["pc%41", "pcA", "pc%2541"];
        register(&fixture, &ids).await;
        assert_eq!(status(&fixture, &request("DELETE", "/register/pc%2541", "Bearer token"), from).await, 204);
        assert_eq!(deleted_of(&fixture, &ids).await, ["pc%41"], "{from:?}");

        let ids = ["api pc%41", "api pcA", "api pc%2541"];
        for id in ids {
            create(&fixture, id, api_client("a%41", &[], &[]), false).await;
        }
        create(&fixture, "owner", api_client("a%41", &["owner"], &["secret"]), false).await;
        let path = "/config/a%2541/clients/api%20pc%2541";
        assert_eq!(status(&fixture, &request("DELETE", path, &basic(("owner", "secret"))), from).await, 204);
        assert_eq!(deleted_of(&fixture, &ids).await, ["api pc%41"], "{from:?}");

        create_service(&fixture, "s%41", Service::default()).await;
        create(&fixture, "of the service", oauth_client("s%41", "token"), false).await;
        let path = "/api/s%2541/client/registration/delete";
        let mut call = request("POST", path, &bearer(ORGANIZATION_TOKEN));
        call.body = json!({ "clientId": "of the service", "token": "token" }).to_string().into_bytes();
        assert_eq!(status(&fixture, &call, from).await, 200);
        assert!(!fixture.lives("of the service").await, "{from:?}");
    }
}

#[tokio::test]
async fn the_raw_path_of_an_http_api_names_the_id_that_it_says() {
    for event in [
        json!({ "version": "2.0", "rawPath": "/register/pc%41?x#y",
            "headers": { "authorization": "Bearer token" },
            "requestContext": { "domainName": "abc.execute-api.eu-central-1.amazonaws.com", "http": { "method": "DELETE" } } }),
        json!({ "version": "1.0", "path": "/register/pc%41?x#y", "httpMethod": "DELETE",
            "headers": { "authorization": "Bearer token" }, "requestContext": {} }),
    ] {
        let fixture = Fixture::anywhere().await;
        let ids = ["pc%41?x#y", "pcA?x#y", "pcA", "pc%41"];
        register(&fixture, &ids).await;
        assert_eq!(fixture.invoke(&event.to_string()).await.status(), 204, "{event}");
        assert_eq!(deleted_of(&fixture, &ids).await, ["pc%41?x#y"]);
    }
}

#[tokio::test]
async fn an_id_with_slashes_is_deleted_through_every_sender() {
    let url = "https://api.example.com/mcp/";
    let others = ["https:/api.example.com/mcp/", "https://api.example.com/mcp", "mcp", "", "https:"];
    for (from, path, expected) in [
        (DECODING, format!("/register/{url}"), 204),
        (DECODING, format!("/register/{}", segment(url)), 204),
        (ENCODED, format!("/register/{}", segment(url)), 204),
        (ENCODED, format!("/register/{url}"), 404),
    ] {
        for from in from {
            let fixture = Fixture::anywhere().await;
            register(&fixture, &[url]).await;
            register(&fixture, &others.map(|id| if id.is_empty() { "/" } else { id })).await;
            assert_eq!(status(&fixture, &request("DELETE", &path, "Bearer token"), from).await, expected, "{path}");
            assert_eq!(fixture.lives(url).await, expected == 404, "{path} from {from:?}");
            assert_eq!(deleted_of(&fixture, &others[..3]).await, [""; 0]);
        }
    }
}

#[tokio::test]
async fn an_id_in_a_decoded_path_has_the_same_limits() {
    let fixture = Fixture::anywhere_with_samples().await;
    fixture.wire.take_calls();
    for from in DECODING {
        for (path, expected) in [
            ("/register/".to_owned(), 401),
            (format!("/register/{}", "x/".repeat(Id::MAX_BYTES / 2 + 1)), 401),
            (format!("/config//clients/{TARGET}"), 404),
            (format!("/config/{APPLICATION}/clients/"), 404),
            (format!("/config/{APPLICATION}/clients/{}", "x".repeat(Id::MAX_BYTES + 1)), 404),
        ] {
            let authorization = if path.starts_with("/register") { bearer("token") } else { basic(OWNER) };
            assert_eq!(status(&fixture, &request("DELETE", &path, &authorization), from).await, expected, "{path}");
        }
    }
    assert_eq!(fixture.wire.take_calls(), NO_CALL);
    let longest = format!("/register/{}", "x/".repeat(Id::MAX_BYTES / 2));
    assert_eq!(status(&fixture, &request("DELETE", &longest, "Bearer token"), DECODING[0]).await, 401);
    assert_eq!(fixture.wire.take_calls(), READ);
}

/// The requests of the three endpoints with these prefixes, and whether each deletes its sample client.
async fn deletes_all(
    fixture: &Fixture,
    prefix: &str,
    registration_path: &str,
    stage: Option<&str>,
    from: From,
) -> bool {
    let mut call = request("POST", &format!("{prefix}/api/{SERVICE}/client/registration/delete"), "");
    call.headers = vec![("authorization".to_owned(), bearer(SERVICE_TOKEN))];
    call.body = json!({ "clientId": CLIENT.0, "token": CLIENT.1 }).to_string().into_bytes();
    let configuration = format!("{prefix}/config/{APPLICATION}/clients/{TARGET}");
    let registration = format!("{prefix}{registration_path}/{}", RFC_CLIENT.0);
    let mut done = Vec::new();
    for mut request in [
        request("DELETE", &configuration, &basic(OWNER)),
        request("DELETE", &registration, &bearer(RFC_CLIENT.1)),
        call,
    ] {
        request.stage = stage.map(str::to_owned);
        done.push(status(fixture, &request, from).await);
    }
    match done[..] {
        [204, 204, 200] => true,
        [404, 404, 404] => false,
        _ => panic!("{prefix}, {stage:?}, {from:?}: {done:?}"),
    }
}

#[tokio::test]
async fn the_base_path_is_ignored_at_the_beginning_of_a_path() {
    for (base, prefix, stage, expected) in [
        ("/b1", "/b1", None, true),
        ("/b1", "", None, true),
        ("/b1", "/b1", Some("prod"), true),
        ("/b1", "", Some("prod"), true),
        ("/clients/b1.0", "/clients/b1.0", None, true),
        ("/clients/b1.0", "/clients", None, false),
        ("/clients/b1.0", "/b1.0", None, false),
        ("/b1", "/b1/b1", None, false),
        ("/b1", "/b10", None, false),
        ("/b1", "/xb1", None, false),
        ("/b1", "/B1", None, false),
        ("/b1", "//b1", None, false),
        ("", "/b1", None, false),
        ("/config", "/config", None, true),
        ("/register", "/register", Some("register"), true),
    ] {
        for from in DECODING.into_iter().chain(ENCODED) {
            let fixture = with(&Fixture::anywhere_with_samples().await, base, "/register");
            let deletes = deletes_all(&fixture, prefix, "/register", stage, from).await;
            assert_eq!(deletes, expected, "base {base:?}, path {prefix:?}, stage {stage:?}, {from:?}");
        }
    }
}

/// A REST API behind a custom domain sends the base path in `path`, and its stage elsewhere.
#[tokio::test]
async fn the_base_path_can_be_before_the_stage_too() {
    for (path, expected) in [
        (format!("/v1/config/{APPLICATION}/clients/{TARGET}"), 204),
        (format!("/v1/prod/config/{APPLICATION}/clients/{TARGET}"), 204),
        (format!("/prod/v1/config/{APPLICATION}/clients/{TARGET}"), 204),
        (format!("/prod/config/{APPLICATION}/clients/{TARGET}"), 204),
        (format!("/prod/v1/prod/config/{APPLICATION}/clients/{TARGET}"), 404),
        (format!("/v1prod/config/{APPLICATION}/clients/{TARGET}"), 404),
        (format!("/prodv1/config/{APPLICATION}/clients/{TARGET}"), 404),
    ] {
        let fixture = with(&Fixture::anywhere_with_samples().await, "/v1", "/register");
        let event = json!({
            "resource": "/{proxy+}",
            "path": path,
            "httpMethod": "DELETE",
            "multiValueHeaders": { "Authorization": [basic(OWNER)] },
            "requestContext": { "stage": "prod", "path": "/v1/config", "identity": { "sourceIp": "203.0.113.7" } },
        });
        assert_eq!(fixture.invoke(&event.to_string()).await.status(), expected, "{path}");
    }
}

#[tokio::test]
async fn the_stage_and_the_base_path_are_removed_before_an_id_is_read() {
    for (base, stage, path, id) in [
        ("", "register", "/register/x", "x"),
        ("", "register", "/register/register/x", "register/x"),
        ("", "prod", "/register/prod/register/x", "prod/register/x"),
        ("/register", "prod", "/register/register/x", "x"),
        ("/v1", "v1", "/v1/register/v1/x", "v1/x"),
    ] {
        for from in DECODING {
            let fixture = Fixture::anywhere().await;
            let ids = ["x", "register/x", "prod/register/x", "v1/x", "register/register/x"];
            register(&fixture, &ids).await;
            let mut request = request("DELETE", path, "Bearer token");
            request.stage = Some(stage.to_owned());
            assert_eq!(status(&with(&fixture, base, "/register"), &request, from).await, 204, "{stage}, {path}");
            assert_eq!(deleted_of(&fixture, &ids).await, [id], "{stage}, {path}");
        }
    }
}

#[tokio::test]
async fn an_empty_stage_is_not_a_prefix() {
    let fixture = Fixture::anywhere_with_samples().await;
    for stage in [json!(""), json!(null)] {
        let mut event = request("DELETE", &format!("//register/{}", RFC_CLIENT.0), &bearer(RFC_CLIENT.1))
            .payload_2(Sender::HttpApi);
        event["requestContext"]["stage"] = stage;
        assert_eq!(fixture.invoke(&event.to_string()).await.status(), 404, "{event}");
    }
}

#[tokio::test]
async fn the_registration_path_is_the_prefix_of_its_endpoint_alone() {
    for registration_path in ["/reg", "/oauth2/register", "/connect/register", "/api", "/config", "/registers"] {
        for from in DECODING.into_iter().chain(ENCODED) {
            for prefix in ["", "/v1"] {
                let fixture = with(&Fixture::anywhere_with_samples().await, "/v1", registration_path);
                let old = request("DELETE", &format!("{prefix}/register/{}", RFC_CLIENT.0), &bearer(RFC_CLIENT.1));
                assert_eq!(status(&fixture, &old, from).await, 404, "{registration_path}");
                let extended = format!("{prefix}{registration_path}x/{}", RFC_CLIENT.0);
                let extended = request("DELETE", &extended, &bearer(RFC_CLIENT.1));
                assert_eq!(status(&fixture, &extended, from).await, 404, "{registration_path}");
                assert!(deletes_all(&fixture, prefix, registration_path, None, from).await, "{registration_path}");
            }
        }
    }
}

/// Behind an HTTP API, a path of another endpoint could also be an id of this one.
#[tokio::test]
async fn the_paths_of_the_other_endpoints_win_over_the_registration_path() {
    let path = format!("/api/{SERVICE}/client/registration/delete");
    for from in DECODING {
        let fixture = with(&Fixture::anywhere_with_samples().await, "", "/api");
        register(&fixture, &[&format!("{SERVICE}/client/registration/delete"), "x"]).await;
        assert_eq!(status(&fixture, &request("DELETE", &path, "Bearer token"), from).await, 405);
        assert_eq!(status(&fixture, &request("DELETE", "/api/x", "Bearer token"), from).await, 204);
        let fixture = with(&fixture, "", "/config");
        let path = format!("/config/{APPLICATION}/clients/x");
        assert_eq!(status(&fixture, &request("DELETE", &path, "Bearer token"), from).await, 401);
        assert!(fixture.lives(&format!("{SERVICE}/client/registration/delete")).await);
    }
}

/// Such a path would mean something else encoded, decoded or resolved, or would not end between segments.
#[test]
fn a_prefix_that_is_not_a_plain_path_stops_the_start_by_name() {
    for name in ["BASE_PATH", "REGISTRATION_PATH"] {
        let read = |value: &str| Endpoints::read(&Variables::from_iter([(name, value)]));
        for value in ["/v1", "/connect/register", "/v1.0", "/...", "/a/.b/c..", "/~a_b-c"] {
            assert!(read(value).is_ok(), "{name}={value}");
        }
        for value in [
            "/",
            "//",
            "v1",
            "v1/",
            "/v1/",
            "//v1",
            "/a//b",
            "/.",
            "/..",
            "/a/../b",
            "/a/./b",
            "/%76",
            "/a%2Fb",
            "/a b",
            " /a",
            "/a ",
            "/a\n",
            "/a?b",
            "/a#b",
            "/a;b",
            "/a\\b",
            "/é",
            "/a\0",
            "https://example.com/a",
            "/{id}",
            "/a+",
        ] {
            let error = read(value).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name} must be ")), "{value:?}: {error}");
        }
    }
}

#[tokio::test]
async fn an_event_of_a_load_balancer_or_of_lattice_reaches_no_endpoint() {
    let fixture = Fixture::anywhere_with_samples().await;
    let log = support::log::Captured::at("INFO");
    let mut request = request("DELETE", &format!("/register/{}", RFC_CLIENT.0), &bearer(RFC_CLIENT.1));
    request.query = "a=b".to_owned();
    for sender in [Sender::LoadBalancer, Sender::Lattice] {
        for event in [request.payload_1(sender), request.payload_2(sender)] {
            // Also with the members of a supported sender.
            let mut both = request.payload_2(Sender::HttpApi);
            let context = both["requestContext"].as_object_mut().unwrap();
            context.extend(event["requestContext"].as_object().cloned().unwrap_or_default());
            let context = both["requestContext"].take();
            both.as_object_mut().unwrap().extend(event.as_object().cloned().unwrap());
            both["requestContext"] = context;
            for event in [event, both] {
                let answer = fixture.invoke(&event.to_string()).await;
                let description = "This function answers API Gateway and function URLs only.";
                assert_eq!(Answer::of(&answer), oauth_error(404, "not_found", description), "{event}");
                let logged: Value = serde_json::from_str(&log.take()).unwrap();
                assert_eq!((&logged["endpoint"], &logged["reason"]), (&json!("none"), &json!("unsupported_event")));
                let response = serde_json::to_value(EventResponse { response: answer, cookies: None }).unwrap();
                let members: Vec<_> = response.as_object().unwrap().keys().collect();
                assert_eq!(members, ["body", "headers", "isBase64Encoded", "statusCode"]);
            }
        }
    }
    // Without the object, or with a value of a wrong type, it is not a load balancer.
    for elb in [json!(null), json!(1), json!([])] {
        let mut event = request.payload_1(Sender::Gateway);
        event["requestContext"]["elb"] = elb;
        event["requestContext"]["serviceNetworkArn"] = json!({});
        event["raw_path"] = json!(1);
        assert_ne!(fixture.invoke(&event.to_string()).await.status(), 404, "{event}");
    }
}
