//! Requests that two programs could read differently, and deep nesting.

use super::result_code;
use crate::support::{
    self, Fixture, basic, bearer, event,
    sample::{APPLICATION, CLIENT, OWNER, RFC_CLIENT, SERVICE, SERVICE_TOKEN, TARGET},
};
use lambda_http::RequestExt;
use serde_json::{Value, json};

/// What the endpoints read of an event.
fn reading(event: &str) -> Value {
    let (request, origin) = support::request(event);
    let lines = |name: &str| -> Vec<_> {
        request.headers().get_all(name).iter().map(|line| line.to_str().unwrap().to_owned()).collect()
    };
    json!({
        "method": request.method().as_str(),
        "path": request.raw_http_path(),
        "access_token": request.query_string_parameters_ref().and_then(|query| query.first("access_token")),
        "authorization": lines("authorization"),
        "content-type": lines("content-type"),
        "body": String::from_utf8_lossy(request.body()),
        "source_ip": origin.source_ip,
        "stage": origin.stage,
    })
}

/// If an event has the members of both payloads, those of payload 2.0 are read, except for header fields: those of
/// payload 1.0. The `version`, other members with the same content, and the order have no effect.
#[test]
fn an_event_with_the_members_of_both_payloads_is_read_in_one_way() {
    let payload_2 = [
        ("rawPath", json!("/two")),
        ("rawQueryString", json!("access_token=two")),
        ("headers", json!({ "authorization": "two", "content-type": "two" })),
        (
            "requestContext",
            json!({
                "stage": "stage",
                "path": "/context",
                "httpMethod": "PATCH",
                "http": { "method": "DELETE", "path": "/http", "sourceIp": "2.2.2.2" },
                "identity": { "sourceIp": "1.1.1.1" },
            }),
        ),
        ("body", json!("body")),
    ];
    let payload_1 = [
        ("httpMethod", json!("POST")),
        ("path", json!("/one")),
        ("resource", json!("/resource")),
        ("multiValueHeaders", json!({ "Authorization": ["one"] })),
        ("multiValueQueryStringParameters", json!({ "access_token": ["one"] })),
        ("queryStringParameters", json!({ "access_token": "none" })),
        ("cookies", json!(["authorization=none"])),
    ];
    let expected = json!({
        "method": "DELETE",
        "path": "/two",
        "access_token": "two",
        "authorization": ["one"],
        "content-type": [],
        "body": "body",
        "source_ip": "2.2.2.2",
        "stage": "stage",
    });
    for version in ["1.0", "2.0", "3.0", ""] {
        let version_member = [("version", json!(version))];
        let members = payload_2.iter().chain(&payload_1).chain(&version_member);
        let mut texts: Vec<_> = members.map(|(name, value)| format!("\"{name}\":{value}")).collect();
        assert_eq!(reading(&format!("{{{}}}", texts.join(","))), expected, "{version}");
        texts.reverse();
        assert_eq!(reading(&format!("{{{}}}", texts.join(","))), expected, "{version}, in reverse");
    }
}

#[test]
fn payload_1_does_not_complete_payload_2() {
    let event = json!({
        "httpMethod": "DELETE",
        "path": "/path",
        "requestContext": { "http": {}, "identity": { "sourceIp": "1.1.1.1" } },
    });
    let read = reading(&event.to_string());
    assert_eq!((&read["method"], &read["source_ip"]), (&json!("GET"), &Value::Null));

    for http in ["null", "5", "\"DELETE\"", "[]"] {
        let read = reading(&event.to_string().replace("\"http\":{}", &format!("\"http\":{http}")));
        assert_eq!((&read["method"], &read["source_ip"]), (&json!("DELETE"), &json!("1.1.1.1")), "{http}");
    }

    let event = json!({ "multiValueHeaders": {}, "headers": { "authorization": "two" } });
    assert_eq!(reading(&event.to_string())["authorization"], json!([]));
    let event = json!({ "multiValueHeaders": null, "headers": { "authorization": "two" } });
    assert_eq!(reading(&event.to_string())["authorization"], json!(["two"]));
}

#[test]
fn only_the_fields_that_an_endpoint_reads_are_kept() {
    let fields = ["Authorization", "CONTENT-TYPE", "if-match", "If-None-Match", "cookie", "host", "x-forwarded-for"];
    let fields: serde_json::Map<_, _> = fields.into_iter().map(|name| (name.to_owned(), json!("a"))).collect();
    let (request, _) = support::request(&json!({ "headers": fields }).to_string());
    let mut kept: Vec<_> = request.headers().keys().map(lambda_http::http::HeaderName::as_str).collect();
    kept.sort_unstable();
    assert_eq!(kept, ["authorization", "content-type", "if-match", "if-none-match"]);
}

#[tokio::test]
async fn a_repeated_header_name_is_two_field_lines() {
    let fixture = Fixture::with_samples().await;
    let (right, path) = (bearer(RFC_CLIENT.1), format!("/register/{}", RFC_CLIENT.0));
    for (first, second) in [("authorization", "authorization"), ("authorization", "Authorization")] {
        for headers in ["headers", "multiValueHeaders"] {
            let event = format!(
                r#"{{"rawPath":"{path}","requestContext":{{"http":{{"method":"DELETE"}}}},
                "{headers}":{{"{first}":"{right}","{second}":"{right}"}}}}"#
            );
            assert_eq!(fixture.invoke(&event).await.status(), 400, "{first} and {second} in {headers}");
        }
    }
    assert!(fixture.lives(RFC_CLIENT.0).await);
}

#[tokio::test]
async fn only_the_exact_header_name_is_authorization() {
    let fixture = Fixture::with_samples().await;
    let right = bearer(RFC_CLIENT.1);
    let names = ["authorization ", " authorization", "authorization\0", "authorization:", "\u{430}uthorization"];
    let names =
        names.into_iter().chain(["author\u{131}zation", "proxy-authorization", "x-amzn-remapped-authorization"]);
    for name in names {
        let answer =
            fixture.invoke(&event("DELETE", &format!("/register/{}", RFC_CLIENT.0), "", &[(name, &right)], "")).await;
        assert_eq!(answer.status(), 401, "{name:?}");
    }
    assert!(fixture.lives(RFC_CLIENT.0).await);
}

#[tokio::test]
async fn a_repeated_member_of_a_body_is_refused_in_any_spelling() {
    let fixture = Fixture::with_samples().await;
    let (path, credentials) = (format!("/api/{SERVICE}/client/registration/delete"), bearer(SERVICE_TOKEN));
    let (client, token) = CLIENT;
    let json = [
        format!(r#"{{"clientId":"x","clientId":"{client}","token":"{token}"}}"#),
        format!(r#"{{"clientId":"x","\u0063lientId":"{client}","token":"{token}"}}"#),
        format!(r#"{{"clientId":null,"clientId":"{client}","token":"{token}"}}"#),
        format!(r#"{{"clientId":"{client}","token":"{token}"}}{{"clientId":"x"}}"#),
    ];
    let forms = [
        format!("clientId=x&clientId={client}&token={token}"),
        format!("clientId=x&%63lientId={client}&token={token}"),
        format!("clientId&clientId={client}&token={token}"),
    ];
    for (media_type, body) in json
        .iter()
        .map(|body| ("application/json", body))
        .chain(forms.iter().map(|body| ("application/x-www-form-urlencoded", body)))
    {
        let headers = [("authorization", credentials.as_str()), ("content-type", media_type)];
        let answer = fixture.invoke(&event("POST", &path, "", &headers, body)).await;
        assert_eq!(result_code(&answer), "A258201", "{body}");
    }
    assert!(fixture.lives(client).await);
}

/// Another program may ignore case, spaces or invisible characters.
#[tokio::test]
async fn only_the_exact_name_is_a_member_of_a_body() {
    let fixture = Fixture::with_samples().await;
    let path = format!("/api/{SERVICE}/client/registration/delete");
    for name in ["clientid", "ClientId", "client_id", "clientId ", "client\u{406}d", "client\u{200b}Id"] {
        let body = json!({ name: CLIENT.0, "token": CLIENT.1 }).to_string();
        assert_eq!(
            result_code(&fixture.send("POST", &path, Some(&bearer(SERVICE_TOKEN)), &body).await),
            "A215301",
            "{name:?}"
        );
    }
}

/// Only spaces separate a scheme from its credentials. White space around a value is spaces and tabs.
#[tokio::test]
async fn only_spaces_and_tabs_are_white_space_and_only_where_the_grammar_has_them() {
    let fixture = Fixture::with_samples().await;
    let (client, token) = RFC_CLIENT;
    for line in [format!("Bearer \t{token}"), format!("Bearer\t{token}"), format!("Bearer \u{a0}{token}")] {
        let answer = fixture.send("DELETE", &format!("/register/{client}"), Some(&line), "").await;
        assert!(answer.status().is_client_error(), "{line:?}");
    }
    let (path, credentials) = (format!("/api/{SERVICE}/client/registration/delete"), bearer(SERVICE_TOKEN));
    let body = json!({ "clientId": CLIENT.0, "token": CLIENT.1 }).to_string();
    for media_type in ["application/json\u{a0}", "\u{3000}application/json", "\u{85}application/json;charset=utf-8"] {
        let headers = [("authorization", credentials.as_str()), ("content-type", media_type)];
        let answer = fixture.invoke(&event("POST", &path, "", &headers, &body)).await;
        assert_eq!(result_code(&answer), "A258201", "{media_type:?}");
    }
    assert!(fixture.lives(client).await && fixture.lives(CLIENT.0).await);

    let line = format!(" \tBearer  {token}\t ");
    assert_eq!(fixture.send("DELETE", &format!("/register/{client}"), Some(&line), "").await.status(), 204);
}

#[tokio::test]
async fn a_token_in_the_query_is_refused_in_any_spelling_of_its_name() {
    let fixture = Fixture::with_samples().await;
    let path = format!("/register/{}", RFC_CLIENT.0);
    let headers = [("authorization", bearer(RFC_CLIENT.1))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    for query in
        ["access%5Ftoken=a", "%61ccess_token", "access_token=", "a=b&access_token=a", "%FF&&=&access_token=a&%zz"]
    {
        assert_eq!(fixture.invoke(&event("DELETE", &path, query, &headers, "")).await.status(), 400, "{query}");
    }
    assert!(fixture.lives(RFC_CLIENT.0).await);
}

#[tokio::test]
async fn a_path_is_split_before_it_is_decoded_and_never_resolved() {
    let fixture = Fixture::with_samples().await;
    let (client, owner, token) = (RFC_CLIENT.0, basic(OWNER), bearer(RFC_CLIENT.1));
    for (path, credentials, status) in [
        (format!("/register%2F{client}"), &token, 404),
        (format!("%2Fregister/{client}"), &token, 404),
        (format!("//register/{client}"), &token, 404),
        (format!("/./register/{client}"), &token, 404),
        (format!("/x/../register/{client}"), &token, 404),
        (format!("/Register/{client}"), &token, 404),
        (format!("/%72egister/{client}"), &token, 404),
        (format!("/register;v=1/{client}"), &token, 404),
        (format!("\\register\\{client}"), &token, 404),
        (format!("https://example.com/register/{client}"), &token, 404),
        (format!("/register/{client}%2F"), &token, 401),
        (format!("/register/x%2F..%2F{client}"), &token, 401),
        (format!("/register/{client}%00"), &token, 401),
        (format!("/register/{client}%0A"), &token, 401),
        (format!("/register/{client};v=1"), &token, 401),
        (format!("/register/{client}?x"), &token, 401),
        (format!("/register/{client}#x"), &token, 401),
        (format!("/config/{APPLICATION}%2Fclients%2F{TARGET}"), &owner, 404),
        (format!("/config/{APPLICATION}/clients/x/../{TARGET}"), &owner, 404),
        (format!("/config/{APPLICATION}/clients/{TARGET}%20"), &owner, 404),
    ] {
        assert_eq!(fixture.send("DELETE", &path, Some(credentials), "").await.status(), status, "{path}");
    }
    // Overlong forms, surrogates and incomplete characters are not UTF-8, so they are no id.
    fixture.wire.take_calls();
    for id in ["%C0%AF", "%E0%80%AF", "%ED%A0%80", "%C3", "%F4%90%80%80"] {
        assert_eq!(fixture.send("DELETE", &format!("/register/{id}"), Some(&token), "").await.status(), 401, "{id}");
    }
    assert!(fixture.wire.take_calls().is_empty());
    assert!(fixture.lives(client).await && fixture.lives(TARGET).await);
}

#[tokio::test]
async fn nesting_of_any_depth_overflows_no_stack() {
    let fixture = Fixture::with_samples().await;
    let authlete = format!("/api/{SERVICE}/client/registration/delete");
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));

        for members in [
            format!(r#""requestContext":{deep}"#),
            format!(r#""requestContext":{{"http":{deep}}}"#),
            format!(r#""requestContext":{{"authorizer":{deep}}}"#),
            format!(r#""headers":{deep}"#),
            format!(r#""headers":{{"authorization":{deep}}}"#),
            format!(r#""headers":{{"accept":{deep}}}"#),
            format!(r#""multiValueQueryStringParameters":{{"access_token":{deep}}}"#),
            format!(r#""body":{deep}"#),
            format!(r#""another":{deep}"#),
        ] {
            let event = format!(r#"{{"rawPath":"/register/x",{members}}}"#);
            assert_eq!(fixture.invoke(&event).await.status(), 405, "{}", &members[..40]);
        }

        // The endpoint reads the body of a call.
        let within_64_kib = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        for (body, status) in [
            (deep, 400),
            (format!(r#"{{"clientId":{within_64_kib}}}"#), 400),
            (format!(r#"{{"clientId":"x","json":{within_64_kib}}}"#), 200),
        ] {
            let answer = fixture.send("POST", &authlete, Some(&bearer(SERVICE_TOKEN)), &body).await;
            assert_eq!(answer.status(), status, "{}", &body[..40]);
        }
    }
}
