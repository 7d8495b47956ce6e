//! What the endpoints have in common: ids, versions, tombstones, and the form of a response.

use super::*;

/// A path segment that cannot be an id.
fn no_ids() -> [String; 3] {
    [String::new(), "%FF".to_owned(), "x".repeat(2049)]
}

#[tokio::test]
async fn a_segment_that_cannot_be_a_client_id_is_not_found_without_a_call() {
    let requests = no_ids().map(|id| Request::new("DELETE", format!("/config/{APPLICATION}/clients/{id}")));
    refused(NO_CALL, &requests.map(|request| request.basic(OWNER)), &not_found()).await;
    let requests = no_ids().map(|id| Request::new("DELETE", format!("/register/{id}")));
    refused(NO_CALL, &requests.map(|request| request.bearer(UNKNOWN)), &invalid_token()).await;
}

#[tokio::test]
async fn a_segment_that_cannot_be_an_application_id_is_not_found_without_a_call() {
    let requests = no_ids().map(|id| Request::new("DELETE", format!("/config/{id}/clients/{TARGET}")));
    refused(NO_CALL, &requests.map(|request| request.basic(OWNER)), &not_found()).await;
}

#[tokio::test]
async fn a_segment_that_cannot_be_a_service_id_is_403_without_a_call() {
    let requests = no_ids().map(|id| {
        let path = format!("/api/{id}/client/registration/delete");
        Request { path, ..authlete(CLIENT) }
    });
    refused(NO_CALL, &requests, &not_covered()).await;
}

#[tokio::test]
async fn ids_are_any_strings_decoded_once() {
    let fixture = Fixture::anywhere_with_samples().await;
    for id in ["a/b", "a b", "a+b", "100%", "%2F", "%25", "..", "é☃", "client#a", "\u{1}"] {
        let [api, caller, oauth, server] = ["api", "caller", "oauth", "server"].map(|kind| format!("{id} {kind}"));
        create(&fixture, &caller, api_client(id, &["owner"], &["secret"]), false).await;
        create(&fixture, &api, api_client(id, &[], &[]), false).await;
        deleted_in(&fixture, &configuration(id, &api).basic((&caller, "secret")), &api, &no_content()).await;

        create(&fixture, &oauth, oauth_client(SERVICE, "token"), false).await;
        deleted_in(&fixture, &registration(&oauth).bearer("token"), &oauth, &no_content()).await;

        create_service(&fixture, id, Service::default()).await;
        create(&fixture, &server, oauth_client(id, "token"), false).await;
        deleted_in(&fixture, &organization((&server, "token"), id), &server, &deleted_client("")).await;
    }
}

#[tokio::test]
async fn only_an_asterisk_in_if_match_admits_a_client_without_a_version() {
    let fixture = Fixture::anywhere_with_samples().await;
    create(&fixture, "a", api_client(APPLICATION, &[], &[]), false).await;
    let request = || configuration(APPLICATION, "a").basic(OWNER);
    let requests = ["\"0\"", "\"1\"", "\"\""].map(|value| request().if_match(value));
    refused_in(&fixture, READ, &requests, &target_is_at_another_version()).await;
    deleted_in(&fixture, &request().if_match("*"), "a", &no_content()).await;
}

/// The lines of the field are one list, also if one of them has characters beyond ASCII.
#[tokio::test]
async fn no_line_of_if_none_match_is_lost() {
    let fixture = Fixture::anywhere_with_samples().await;
    let request = || configuration(APPLICATION, TARGET).basic(OWNER);
    let fields = ["\"3\"", "\"\u{fc}\", \"3\"", "*, \"9\"", "\"9\",\t*", "*,"];
    let requests = fields.map(|value| request().header("if-none-match", value));
    refused_in(&fixture, READ, &requests, &target_is_at_another_version()).await;
    let other = request().header("if-none-match", "\"\u{fc}\"");
    deleted_in(&fixture, &other, TARGET, &no_content()).await;
}

#[tokio::test]
async fn a_tombstone_says_who_when_from_where_and_how() {
    let itself = format!("client#{}", RFC_CLIENT.0);
    let owner = format!("client#{}", OWNER.0);
    let service = format!("service#{SERVICE}");
    let organization_id = format!("organization#{ORGANIZATION}");
    let deletions = [
        (target().basic(OWNER), TARGET, "configuration", &owner),
        (rfc_client(), RFC_CLIENT.0, "registration", &itself),
        (authlete(CLIENT), CLIENT.0, "authlete", &service),
        (organization(STRICT_CLIENT, STRICT_SERVICE), STRICT_CLIENT.0, "authlete", &organization_id),
    ];
    let fixture = Fixture::anywhere_with_samples().await;
    for (request, client, channel, by) in deletions {
        let key = format!("client#{client}");
        let was = fixture.item(&key).await.unwrap().remove("client").unwrap();
        let context = invocation();
        let request_id = context.request_id.clone();
        let event = serde_json::from_str(&request.event()).unwrap();
        fixture.function.call(LambdaEvent::new(event, context)).await.unwrap();

        let text = |text: &str| AttributeValue::S(text.to_owned());
        let seconds = |instant: std::time::SystemTime| {
            AttributeValue::N(instant.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string())
        };
        let deleted = [
            ("at", seconds(now())),
            ("by", text(by)),
            ("via", text(channel)),
            ("source_ip", text("203.0.113.7")),
            ("request_id", text(&request_id)),
        ];
        let deleted = deleted.map(|(name, value)| (name.to_owned(), value));
        let tombstone = Item::from([
            (KEY.to_owned(), text(&key)),
            ("tombstone".to_owned(), was),
            ("deleted".to_owned(), AttributeValue::M(deleted.into())),
            ("expires_at".to_owned(), seconds(now() + RETENTION)),
        ]);
        assert_eq!(fixture.item(&key).await, Some(tombstone), "{channel}");
    }
}

#[tokio::test]
async fn credentials_of_a_deleted_client_are_refused_at_every_endpoint() {
    let fixture = Fixture::anywhere_with_samples().await;
    let deleted_caller = || configuration(APPLICATION, PROTECTED_TARGET).basic(DIRECT_ACCESS);
    refused_in(&fixture, READ, &[deleted_caller()], &forbidden()).await;
    let request = configuration(APPLICATION, DIRECT_ACCESS.0).basic(OWNER);
    deleted_in(&fixture, &request, DIRECT_ACCESS.0, &no_content()).await;
    refused_in(&fixture, READ, &[deleted_caller()], &unauthenticated()).await;
    refused_in(&fixture, READ, &[request], &not_found()).await;

    let itself = || registration(CLIENT.0).bearer(CLIENT.1);
    deleted_in(&fixture, &authlete(CLIENT), CLIENT.0, &my_test_client()).await;
    refused_in(&fixture, READ, &[itself()], &invalid_token()).await;
    let unknown = bad_request("A215302", "Client with id '1140735077' not found.");
    refused_in(&fixture, READ, &[authlete(CLIENT)], &unknown).await;
}

#[tokio::test]
async fn only_a_response_of_payload_2_lists_cookies() {
    let fixture = Fixture::anywhere().await;
    for (event, listed) in [
        (r#"{"version": "2.0", "rawPath": "/elsewhere"}"#, Some(json!([]))),
        (r#"{"resource": "/{proxy+}", "path": "/elsewhere", "httpMethod": "GET"}"#, None),
    ] {
        let event = LambdaEvent::new(serde_json::from_str(event).unwrap(), support::invocation());
        let answer = serde_json::to_value(fixture.function.call(event).await.unwrap()).unwrap();
        assert_eq!(answer.get("cookies"), listed.as_ref());
    }
}

#[tokio::test]
async fn a_response_without_a_body_has_no_member_body() {
    let fixture = Fixture::anywhere_with_samples().await;
    let mut given = Vec::new();
    for _ in 0..2 {
        let event = target().basic(OWNER).event();
        given.push(
            serde_json::to_value(EventResponse { response: fixture.invoke(&event).await, cookies: None }).unwrap(),
        );
    }
    let headers = json!({ "cache-control": "no-store", "pragma": "no-cache" });
    assert_eq!(given[0], json!({ "statusCode": 204, "headers": headers, "isBase64Encoded": false }));
    let headers = json!({ "cache-control": "no-store", "pragma": "no-cache", "content-type": "application/json" });
    let body = not_found().body;
    assert_eq!(given[1], json!({ "statusCode": 404, "headers": headers, "isBase64Encoded": false, "body": body }));
}
