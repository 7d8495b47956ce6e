//! The client configuration endpoint: the order of its rows, and repeated deletions.

use super::*;

#[tokio::test]
async fn a_repeated_deletion_is_401_invalid_token() {
    let fixture = Fixture::anywhere_with_samples().await;
    deleted_in(&fixture, &rfc_client(), RFC_CLIENT.0, &no_content()).await;
    refused_in(&fixture, READ, &[rfc_client(), registration(UNKNOWN).bearer(UNKNOWN)], &invalid_token()).await;
}

#[tokio::test]
async fn rows_are_decided_in_order() {
    let protected = || registration(PROTECTED_CLIENT.0);
    let requests = [
        (registration(RFC_CLIENT.0).query("access_token=b"), no_token()),
        (registration(RFC_CLIENT.0).basic(RFC_CLIENT).form("access_token=b"), no_token()),
        (registration(UNKNOWN).bearer(UNKNOWN).query("access_token=b"), invalid_request()),
        (registration(UNKNOWN).bearer("two words"), invalid_request()),
        (protected().bearer(UNKNOWN), invalid_token()),
        (protected().bearer(PROTECTED_CLIENT.1).if_match("\"2\""), insufficient_scope()),
    ];
    answered_in(&Fixture::anywhere_with_samples().await, &requests).await;
}

/// RFC 6750, section 3.
#[tokio::test]
async fn challenges_keep_to_the_characters_of_rfc_6750() {
    let fixture = Fixture::anywhere_with_samples().await;
    let protected = registration(PROTECTED_CLIENT.0).bearer(PROTECTED_CLIENT.1);
    for request in [rfc_client().query("access_token=b"), registration(UNKNOWN).bearer(UNKNOWN), protected] {
        let challenge = request.send(&fixture).await.headers.remove("www-authenticate").unwrap();
        let (_, description) = challenge.split_once("error_description=\"").unwrap();
        let description = description.strip_suffix('"').unwrap();
        assert!(description.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\'), "{description}");
    }
}
