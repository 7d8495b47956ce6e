//! The Configuration API: the order of its rows, and requests that need their own caller.

use super::*;

/// Rows 2 and 3 have the same answer, and so do rows 4 and 5. No request can show their order.
#[tokio::test]
async fn rows_are_decided_in_order() {
    let fixture = Fixture::anywhere_with_samples().await;
    create(&fixture, "owner there", api_client(OTHER_APPLICATION, &["owner"], &[]), false).await;
    create(&fixture, "protected owner", api_client(APPLICATION, &["owner"], &[]), true).await;
    let requests = [
        (target().basic((OWNER_ELSEWHERE.0, UNKNOWN)), unauthenticated()),
        (target().basic((DIRECT_ACCESS.0, UNKNOWN)), unauthenticated()),
        (configuration(OTHER_APPLICATION, TARGET).basic(OWNER_ELSEWHERE), forbidden()),
        (configuration(OTHER_APPLICATION, TARGET).basic(DIRECT_ACCESS), forbidden()),
        (configuration(APPLICATION, UNKNOWN).basic(DIRECT_ACCESS), forbidden()),
        (configuration(OTHER_APPLICATION, "owner there").basic(OWNER), not_found()),
        (configuration(APPLICATION, "owner there").basic(OWNER), not_found()),
        (configuration(APPLICATION, "protected owner").basic(OWNER), target_is_owner()),
        (configuration(APPLICATION, PROTECTED_TARGET).basic(OWNER).if_match("\"2\""), target_is_protected()),
    ];
    answered_in(&fixture, &requests).await;
}

#[tokio::test]
async fn only_the_exact_feature_owner_authorizes_a_deletion() {
    let fixture = Fixture::anywhere_with_samples().await;
    let shut: [&[&str]; 4] = [
        &[],
        &["Owner"],
        &["owners", " owner"],
        &["access_issuer", "direct_access", "direct_read_access", "login_client", "metadata", "image_create"],
    ];
    for (n, features) in shut.into_iter().enumerate() {
        let caller = format!("caller {n}");
        create(&fixture, &caller, api_client(APPLICATION, features, &["secret"]), false).await;
        refused_in(&fixture, READ, &[target().basic((&caller, "secret"))], &forbidden()).await;
    }
    create(&fixture, "caller", api_client(APPLICATION, &["login_client", "owner"], &["secret"]), false).await;
    deleted_in(&fixture, &target().basic(("caller", "secret")), TARGET, &no_content()).await;
}

#[tokio::test]
async fn either_of_two_secrets_is_accepted_and_may_hold_colons() {
    for secret in ["old", "new:with:colons"] {
        let fixture = Fixture::anywhere_with_samples().await;
        create(&fixture, "caller", api_client(APPLICATION, &["owner"], &["old", "new:with:colons"]), false).await;
        deleted_in(&fixture, &target().basic(("caller", secret)), TARGET, &no_content()).await;
    }
}

#[tokio::test]
async fn an_oversized_caller_id_is_401_without_a_call() {
    refused(NO_CALL, &[target().basic((&"x".repeat(2042), OWNER.1))], &unauthenticated()).await;
}
