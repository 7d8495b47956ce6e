//! The Authlete API: the order of its rows, faults, and what its answers say.

use super::*;

fn no_registration_access_token() -> Answer {
    bad_request("A215305", "The registration access token is not present.")
}

fn tokenless() -> Answer {
    let text = "The client (1140735079) has no registration access token, so that none can be presented for it.";
    bad_request("A215306", text)
}

fn wrong_token(client: &str, action: &str) -> Answer {
    let text = "The registration access token presented does not match the registration access token for this client";
    outcome("A215307", &format!("{text} ({client})."), action)
}

#[tokio::test]
async fn an_oversized_client_id_is_a215301() {
    let answer = bad_request("A215301", &format!("Unable to parse client ID ({}).", "é".repeat(64)));
    refused(READ, &[authlete((&"é".repeat(1024), CLIENT.1))], &answer).await;
}

#[tokio::test]
async fn the_longest_client_id_is_a215302() {
    let answer = bad_request("A215302", &format!("Client with id '{}' not found.", "9".repeat(64)));
    refused(READ, &[authlete((&"9".repeat(Id::MAX_BYTES), STRICT_CLIENT.1))], &answer).await;
}

#[tokio::test]
async fn an_integer_is_its_decimal_digits_whatever_its_size() {
    let body =
        |integer: &str| call(SERVICE, &json!({})).bearer(SERVICE_TOKEN).body(format!(r#"{{"clientId":{integer}}}"#));
    let unknown = |id: &str| bad_request("A215302", &format!("Client with id '{id}' not found."));
    let unreadable = bad_request("A215301", &format!("Unable to parse client ID ({}).", "9".repeat(64)));
    let requests = [
        (body("0"), unknown("0")),
        (body("-5"), unknown("-5")),
        (body("18446744073709551616"), unknown("18446744073709551616")),
        (body(&"9".repeat(Id::MAX_BYTES)), unknown(&"9".repeat(64))),
        (body(&"9".repeat(Id::MAX_BYTES + 1)), unreadable),
        (body("1e3"), unreadable_body()),
        (body("-0.0"), unreadable_body()),
    ];
    let fixture = Fixture::anywhere_with_samples().await;
    answered_in(&fixture, &requests).await;

    create(&fixture, "340282366920938463463374607431768211456", oauth_client(SERVICE, "token"), false).await;
    let body = r#"{"clientId":340282366920938463463374607431768211456,"token":"token"}"#;
    let request = call(SERVICE, &json!({})).bearer(SERVICE_TOKEN).body(body);
    let answer = deleted_client(r#""serviceNumber":715948317"#);
    deleted_in(&fixture, &request, "340282366920938463463374607431768211456", &answer).await;
}

#[tokio::test]
async fn row_10_a_fault_of_the_database_is_a001101() {
    let fixture = Fixture::anywhere_with_samples().await;
    fixture.wire.plan("UpdateItem", wire::Fault::error(400, "AccessDeniedException"));
    let text = "The client could not be deleted, because of a failure of the database.";
    let answer = outcome("A001101", text, "INTERNAL_SERVER_ERROR");
    refused_in(&fixture, READ_AND_WRITE, &[authlete(CLIENT)], &answer).await;
}

#[tokio::test]
async fn rows_are_decided_in_order() {
    let token_only = json!({ "token": UNKNOWN });
    let closed = "Service (715948319) does not support dynamic client registration.";
    let not_found = "Client with id '1140735078' not found.";
    let requests = [
        (call(CLOSED_SERVICE, &token_only).bearer(ORGANIZATION_TOKEN), bad_request("A206201", closed)),
        (at_service(&token_only), bad_request("A215301", "Unable to parse client ID ().")),
        (organization(STATIC_CLIENT, STRICT_SERVICE), outcome("A215302", not_found, "UNAUTHORIZED")),
        (authlete((STATIC_CLIENT.0, "")), bad_request("A215303", "Client (1140735078) is not dynamically registered.")),
        (authlete((TOKENLESS_CLIENT, "")), no_registration_access_token()),
        (authlete((TOKENLESS_CLIENT, UNKNOWN)), tokenless()),
        (authlete((PROTECTED_CLIENT.0, UNKNOWN)), wrong_token(PROTECTED_CLIENT.0, "BAD_REQUEST")),
    ];
    answered_in(&Fixture::anywhere_with_samples().await, &requests).await;
}

#[tokio::test]
async fn a_body_has_64_kib_at_most() {
    let body = |length: usize| {
        let parameters = |json: &str| json!({ "clientId": CLIENT.0, "token": CLIENT.1, "json": json });
        let padding = length - parameters("").to_string().len();
        at_service(&parameters(&"x".repeat(padding)))
    };
    refused(NO_CALL, &[body(64 * 1024 + 1)], &unreadable_body()).await;
    deleted(body(64 * 1024), CLIENT.0, &my_test_client()).await;
}

#[tokio::test]
async fn an_unexpected_fault_is_500_a001101() {
    let fixture = Fixture::anywhere_with_samples().await;
    fixture.wire.plan("BatchGetItem", wire::Fault::error(400, "AccessDeniedException"));
    let answer = failure(500, "A001101", "an internal error occurred.");
    refused_in(&fixture, READ, &[authlete(CLIENT)], &answer).await;
}

#[tokio::test]
async fn credentials_are_checked_first() {
    let unreadable = || my_call().body("{");
    let requests = [
        (unreadable(), no_access_token()),
        (unreadable().bearer("two words"), malformed_access_token()),
        (call(UNKNOWN, &json!({})).bearer(UNKNOWN), invalid_access_token()),
        (call(CLOSED_SERVICE, &json!({})).bearer(UNKNOWN), invalid_access_token()),
        (call(CLOSED_SERVICE, &json!({})).bearer(SERVICE_TOKEN), not_covered()),
    ];
    answered_in(&Fixture::anywhere_with_samples().await, &requests).await;
}

#[tokio::test]
async fn an_echoed_client_id_is_short_and_printable() {
    let client = format!("\0\n\u{7f}\u{85}{}", "é".repeat(100));
    let shown = format!("{}{}", "\u{fffd}".repeat(4), "é".repeat(60));
    let answer = bad_request("A215302", &format!("Client with id '{shown}' not found."));
    refused(READ, &[authlete((&client, UNKNOWN))], &answer).await;
}

#[tokio::test]
async fn an_id_is_an_integer_or_left_out() {
    let fixture = Fixture::anywhere_with_samples().await;
    let names = format!(r#""serviceNumber":715948317,"clientName":"My Test Client",{MY_TEST_CLIENT}"#);
    deleted_in(&fixture, &authlete(RFC_CLIENT), RFC_CLIENT.0, &deleted_client(&names)).await;

    for id in ["007", "-1", "+1", "1.0", "9223372036854775808"] {
        create(&fixture, id, oauth_client(SERVICE, "token"), false).await;
        let answer = deleted_client(r#""serviceNumber":715948317"#);
        deleted_in(&fixture, &authlete((id, "token")), id, &answer).await;
    }

    create_service(&fixture, "my-service", Service::default()).await;
    create(&fixture, "9223372036854775807", oauth_client("my-service", "token"), false).await;
    let answer = deleted_client(r#""number":9223372036854775807,"clientId":9223372036854775807"#);
    let request = organization(("9223372036854775807", "token"), "my-service");
    deleted_in(&fixture, &request, "9223372036854775807", &answer).await;
}

#[tokio::test]
async fn a_service_can_leave_out_the_description_and_the_uri_of_errors() {
    let fixture = Fixture::anywhere_with_samples().await;
    for (description, uri) in [(true, true), (true, false), (false, true), (false, false)] {
        let service =
            Service { error_description_omitted: !description, error_uri_omitted: !uri, ..Service::default() };
        let id = format!("service {description} {uri}");
        create_service(&fixture, &id, service).await;

        let text = format!("Client with id '{UNKNOWN}' not found.");
        let answer = answer_with("A215302", &text, "BAD_REQUEST", |message| {
            let description = format!(r#","error_description":"{message}""#).repeat(description.into());
            let uri = r#","error_uri":"https://docs.authlete.com/#A215302""#.repeat(uri.into());
            format!(r#"{{"error":"invalid_request"{description}{uri}}}"#)
        });
        refused_in(&fixture, READ, &[organization((UNKNOWN, UNKNOWN), &id)], &answer).await;
    }
}
