//! The Configuration API's rule.

use super::{
    ALMOST_OWNER, Case, INSTANT, assert_grants, assert_order, assert_refusals, cannot_read, client, digest, tombstone,
    unreadable,
};
use crate::support::{
    build::{ClientBuilder, api_client, id, oauth_client},
    now,
};
use deregister::{
    model::{Client, EntityTags, StoredVersion, Version, VersionConditions},
    rule::{
        DeletionRequest, Precondition,
        configuration::{Refusal, Request},
    },
    snapshot::{Proof, Record},
};

/// An owner deletes a client of its own application.
fn granted() -> Case<Request> {
    let request = Request {
        caller: id("caller"),
        secret: digest("secret"),
        source_ip: "203.0.113.7".parse().ok(),
        application: "application".to_owned(),
        target: id("target"),
        conditions: VersionConditions::default(),
    };
    Case::new(request, [(client("caller"), caller().into()), (client("target"), target().into())])
}

fn caller() -> ClientBuilder {
    caller_without_features().owner()
}

fn caller_without_features() -> ClientBuilder {
    api_client().secret("secret")
}

fn target() -> ClientBuilder {
    api_client().version(3)
}

impl Case<Request> {
    fn caller(&mut self, caller: ClientBuilder) {
        self.has(client("caller"), caller);
    }

    fn target(&mut self, target: ClientBuilder) {
        self.has(client("target"), target);
    }
}

#[test]
fn each_condition_has_its_refusal() {
    assert_refusals(
        granted,
        &[
            ("1", "the caller is unknown", Refusal::UnknownCaller, |case| case.lacks(client("caller"))),
            ("1", "the caller is an OAuth client", Refusal::UnknownCaller, |case| case.caller(oauth_client())),
            ("1", "the caller is deleted", Refusal::DeletedCaller, |case| case.has(client("caller"), tombstone())),
            ("1", "wrong secret", Refusal::WrongSecret, |case| case.request.secret = digest("another")),
            ("1", "the caller has no secrets", Refusal::WrongSecret, |case| case.caller(api_client().owner())),
            ("1", "the secret expires now", Refusal::ExpiredSecret, |case| {
                case.caller(api_client().owner().secret_until("secret", now()));
            }),
            ("2", "the address is outside the allow list", Refusal::OutsideAllowList, |case| {
                case.caller(caller().allow_list(&["198.51.100.0/24"]));
            }),
            ("2", "the address is unknown, and there is an allow list", Refusal::OutsideAllowList, |case| {
                case.caller(caller().allow_list(&["203.0.113.0/24"]));
                case.request.source_ip = None;
            }),
            ("3", "no features", Refusal::CallerIsNotOwner, |case| case.caller(caller_without_features())),
            ("4", "another application", Refusal::AnotherApplication, |case| application(case, "elsewhere")),
            ("4", "in upper case", Refusal::AnotherApplication, |case| application(case, "Application")),
            ("4", "with a space", Refusal::AnotherApplication, |case| application(case, "application ")),
            ("4", "no application", Refusal::AnotherApplication, |case| application(case, "")),
            ("4", "the target's application, not the caller's", Refusal::AnotherApplication, |case| {
                application(case, "elsewhere");
                case.target(target().application("elsewhere"));
            }),
            ("5", "the target is unknown", Refusal::UnknownClient, |case| case.lacks(client("target"))),
            ("5", "the target is deleted", Refusal::UnknownClient, |case| case.has(client("target"), tombstone())),
            ("5", "the target is an OAuth client", Refusal::UnknownClient, |case| case.target(oauth_client())),
            ("5", "the target is another application's", Refusal::UnknownClient, |case| {
                case.target(target().application("elsewhere"));
            }),
            ("6", "the target is an owner", Refusal::TargetIsOwner, |case| {
                case.target(target().feature("direct_access").owner());
            }),
            ("6", "the caller itself", Refusal::TargetIsOwner, |case| case.request.target = id("caller")),
            ("7", "the target is protected", Refusal::Protected, |case| case.target(target().protected())),
            ("8", "another version", Refusal::VersionMismatch, |case| precondition(case, r#""2""#)),
            ("8", "a weak tag", Refusal::VersionMismatch, |case| precondition(case, r#"W/"3""#)),
            ("8", "two other versions", Refusal::VersionMismatch, |case| precondition(case, r#""2", "4""#)),
            ("8", "no quotation marks", Refusal::VersionMismatch, |case| precondition(case, "3")),
            ("8", "an empty field", Refusal::VersionMismatch, |case| precondition(case, "")),
            ("8", "a tag, and a target without a version", Refusal::VersionMismatch, |case| {
                precondition(case, r#""3""#);
                case.target(target().version(None));
            }),
            ("8", "the version that If-None-Match names", Refusal::VersionMismatch, |case| {
                excludes(case, r#""2", "3""#);
            }),
            ("8", "the same, as a weak tag", Refusal::VersionMismatch, |case| excludes(case, r#"W/"3""#)),
            ("8", "any version", Refusal::VersionMismatch, |case| excludes(case, "*")),
            ("8", "any version, of a client without one", Refusal::VersionMismatch, |case| {
                excludes(case, "*");
                case.target(target().version(None));
            }),
            ("8", "any version in a list", Refusal::VersionMismatch, |case| excludes(case, r#"*, "9""#)),
            ("8", "any version on two lines", Refusal::VersionMismatch, |case| excludes(case, "*,*")),
            ("8", "a version that cannot be read", Refusal::VersionMismatch, |case| {
                excludes(case, r#""3""#);
                case.target(target().unreadable_version());
            }),
            ("8", "both preconditions, and one fails", Refusal::VersionMismatch, |case| {
                precondition(case, r#""3""#);
                excludes(case, r#""3""#);
            }),
        ],
    );
}

fn excludes(case: &mut Case<Request>, field: &str) {
    case.request.conditions.if_none_match = Some(EntityTags::parse(field));
}

fn application(case: &mut Case<Request>, application: &str) {
    application.clone_into(&mut case.request.application);
}

fn precondition(case: &mut Case<Request>, field: &str) {
    case.request.conditions.if_match = Some(EntityTags::parse(field));
}

#[test]
fn other_conditions_are_granted() {
    assert_grants(
        granted,
        &[
            ("1", "the first of two secrets, which will expire", |case| case.caller(rotating())),
            ("1", "the second of two secrets", |case| {
                case.caller(rotating());
                case.request.secret = digest("new secret");
            }),
            ("1", "the secret is stored twice, and one entry has expired", |case| {
                case.caller(api_client().owner().secret_until("secret", now()).secret("secret"));
            }),
            ("2", "the target has an allow list", |case| case.target(target().allow_list(&["198.51.100.0/24"]))),
            ("3", "owner among other features", |case| {
                case.caller(caller_without_features().feature("direct_access").owner().feature("metadata"));
            }),
        ],
    );
}

/// An owner whose first secret is being rotated out.
fn rotating() -> ClientBuilder {
    api_client().owner().secret_until("secret", now() + INSTANT).secret("new secret")
}

#[test]
fn a_secret_is_accepted_until_the_instant_at_which_it_expires() {
    let case = granted().with(|case| case.caller(api_client().owner().secret_until("secret", now())));
    assert!(case.request.decide(&case.snapshot, now() - INSTANT).is_ok());
    assert_eq!(case.decide(), Err(Refusal::ExpiredSecret.into()));
}

#[test]
fn only_the_exact_word_owner_counts() {
    for feature in ["access_issuer", "direct_access", "login_client"].into_iter().chain(ALMOST_OWNER) {
        let as_caller = granted().with(|case| case.caller(caller_without_features().feature(feature)));
        assert_eq!(as_caller.decide(), Err(Refusal::CallerIsNotOwner.into()), "{feature:?}");
        let as_target = granted().with(|case| case.target(target().feature(feature)));
        assert!(as_target.decide().is_ok(), "{feature:?}");
    }
}

#[test]
fn the_preconditions_are_the_application_and_not_being_an_owner() {
    assert_eq!(granted().decide(), Ok(vec![Precondition::Application("application"), Precondition::NotOwner]));
}

fn with_version(version: &StoredVersion) -> Record {
    Record::Client(Client { version: version.clone(), ..target().build() })
}

#[test]
fn the_version_that_was_read_is_asserted_whatever_it_is() {
    let number = StoredVersion::Number(Version(3));
    for version in [number, StoredVersion::None, StoredVersion::Other("a text".to_owned())] {
        let case = granted().with(|case| case.has(client("target"), with_version(&version)));
        assert_eq!(case.request.decide(&case.snapshot, now()).unwrap().version, version);
    }
}

#[test]
fn the_authorization_is_for_the_client_in_the_path() {
    let case = granted();
    assert_eq!(*case.request.decide(&case.snapshot, now()).unwrap().target, id("target"));
}

#[test]
fn the_rows_are_decided_in_order() {
    let case = granted().with(|case| {
        case.request.secret = digest("another secret");
        case.caller(caller_without_features().feature("direct_access").allow_list(&["198.51.100.0/24"]));
        application(case, "elsewhere");
        case.target(target().application("somewhere else").owner().protected());
        precondition(case, r#""2""#);
    });
    assert_order(
        case,
        &[
            (Refusal::WrongSecret, |case| case.request.secret = digest("secret")),
            (Refusal::OutsideAllowList, |case| case.caller(caller_without_features().feature("direct_access"))),
            (Refusal::CallerIsNotOwner, |case| case.caller(caller())),
            (Refusal::AnotherApplication, |case| application(case, "application")),
            (Refusal::UnknownClient, |case| case.target(target().owner().protected())),
            (Refusal::TargetIsOwner, |case| case.target(target().protected())),
            (Refusal::Protected, |case| case.target(target())),
            (Refusal::VersionMismatch, |case| case.request.conditions.if_match = None),
        ],
    );
}

#[test]
fn a_caller_that_cannot_be_read_is_refused_like_an_unknown_one() {
    let proof = Proof { app_id: Some("application".to_owned()), ..Proof::default() };
    let case = granted().with(|case| case.has(client("caller"), unreadable(&proof)));
    assert_eq!(case.decide(), Err(Refusal::UnreadableCaller.into()));
}

#[test]
fn only_an_owner_of_its_application_learns_that_a_target_cannot_be_read() {
    let proof = Proof { app_id: Some("application".to_owned()), ..Proof::default() };
    let mut case = granted().with(|case| case.has(client("target"), unreadable(&proof)));
    assert_eq!(case.decide(), cannot_read(client("target"), &proof));

    for app_id in [Some("another".to_owned()), None] {
        let of_another = Proof { app_id, service_id: Some(id("application")), ..Proof::default() };
        let case = granted().with(|case| case.has(client("target"), unreadable(&of_another)));
        assert_eq!(case.decide(), Err(Refusal::UnreadableClient.into()));
    }

    case.caller(caller_without_features());
    assert_eq!(case.decide(), Err(Refusal::CallerIsNotOwner.into()));

    case.request.secret = digest("another secret");
    assert_eq!(case.decide(), Err(Refusal::WrongSecret.into()));
}

#[test]
fn it_reads_caller_and_target_and_each_key_once() {
    let mut request = granted().request;
    assert_eq!(request.reads(), [client("caller"), client("target")].into());
    request.target = id("caller");
    assert_eq!(request.reads(), [client("caller")].into());
}

#[test]
fn the_caller_is_the_owner() {
    let case = granted();
    assert_eq!(case.request.caller(&case.snapshot).as_deref(), Some("client#caller"));
}
