//! The reason of each refusal, as the log has it. Queries and alarms search for these words.

use deregister::rule::{authlete, configuration, operator, registration, sweep};

#[track_caller]
fn assert_reasons<R: Into<&'static str>>(reasons: impl IntoIterator<Item = (R, &'static str)>) {
    for (refusal, reason) in reasons {
        assert_eq!(refusal.into(), reason);
    }
}

#[test]
fn of_the_configuration_api() {
    use configuration::Refusal;
    assert_reasons([
        (Refusal::NoCredentials, "no_credentials"),
        (Refusal::MalformedCredentials, "malformed_credentials"),
        (Refusal::UnknownCaller, "unknown_caller"),
        (Refusal::DeletedCaller, "deleted_caller"),
        (Refusal::UnreadableCaller, "unreadable_caller"),
        (Refusal::WrongSecret, "wrong_secret"),
        (Refusal::ExpiredSecret, "expired_secret"),
        (Refusal::OutsideAllowList, "outside_allow_list"),
        (Refusal::CallerIsNotOwner, "caller_is_not_owner"),
        (Refusal::AnotherApplication, "another_application"),
        (Refusal::UnknownClient, "unknown_client"),
        (Refusal::UnreadableClient, "unreadable_client"),
        (Refusal::TargetIsOwner, "target_is_owner"),
        (Refusal::Protected, "protected"),
        (Refusal::VersionMismatch, "version_mismatch"),
    ]);
}

#[test]
fn of_the_client_configuration_endpoint() {
    use registration::Refusal;
    assert_reasons([
        (Refusal::NoCredentials, "no_credentials"),
        (Refusal::MalformedCredentials, "malformed_credentials"),
        (Refusal::TokenOutsideHeader, "token_outside_header"),
        (Refusal::UnknownClient, "unknown_client"),
        (Refusal::DeletedClient, "deleted_client"),
        (Refusal::UnreadableClient, "unreadable_client"),
        (Refusal::NotAnOAuthClient, "not_an_oauth_client"),
        (Refusal::NoRegistrationToken, "no_registration_token"),
        (Refusal::WrongToken, "wrong_token"),
        (Refusal::Protected, "protected"),
        (Refusal::VersionMismatch, "version_mismatch"),
    ]);
}

#[test]
fn of_the_authlete_api() {
    use authlete::{CallRefusal, DeletionRefusal, Refusal};
    let of_calls = [
        (CallRefusal::NoCredentials, "no_credentials"),
        (CallRefusal::MalformedCredentials, "malformed_credentials"),
        (CallRefusal::MalformedBody, "malformed_body"),
        (CallRefusal::UnknownAccessToken, "unknown_access_token"),
        (CallRefusal::UnreadableAccessToken, "unreadable_access_token"),
        (CallRefusal::ExpiredAccessToken, "expired_access_token"),
        (CallRefusal::UnknownService, "unknown_service"),
        (CallRefusal::UnreadableService, "unreadable_service"),
        (CallRefusal::AnotherService, "another_service"),
    ];
    let of_deletions = [
        (DeletionRefusal::NoDynamicRegistration, "no_dynamic_registration"),
        (DeletionRefusal::UnreadableClientId, "unreadable_client_id"),
        (DeletionRefusal::UnknownClient, "unknown_client"),
        (DeletionRefusal::UnreadableClient, "unreadable_client"),
        (DeletionRefusal::StaticClient, "static_client"),
        (DeletionRefusal::NoToken, "no_token"),
        (DeletionRefusal::NoRegistrationToken, "no_registration_token"),
        (DeletionRefusal::WrongToken, "wrong_token"),
        (DeletionRefusal::Protected, "protected"),
    ];
    assert_reasons(of_calls.map(|(refusal, reason)| (Refusal::from(refusal), reason)));
    assert_reasons(of_deletions.map(|(refusal, reason)| (Refusal::from(refusal), reason)));
}

#[test]
fn of_the_operator() {
    use operator::Refusal;
    assert_reasons([
        (Refusal::UnknownClient, "unknown_client"),
        (Refusal::DeletedClient, "deleted_client"),
        (Refusal::TargetIsOwner, "target_is_owner"),
        (Refusal::Protected, "protected"),
    ]);
}

#[test]
fn of_the_sweep() {
    use sweep::Refusal;
    assert_reasons([
        (Refusal::UnknownClient, "unknown_client"),
        (Refusal::DeletedClient, "deleted_client"),
        (Refusal::NotDynamic, "not_dynamic"),
        (Refusal::Protected, "protected"),
        (Refusal::UsedMeanwhile, "used_meanwhile"),
        (Refusal::NotDue, "not_due"),
        (Refusal::NotAnnounced, "not_announced"),
        (Refusal::Announced, "announced"),
    ]);
}
