//! The rule of the client configuration endpoint (RFC 7592).

use super::{Case, assert_grants, assert_order, assert_refusals, cannot_read, client, digest, tombstone, unreadable};
use crate::support::{
    build::{ClientBuilder, api_client, id, oauth_client},
    now,
};
use deregister::{
    model::{Client, EntityTags, StoredVersion, Version, VersionConditions},
    rule::{
        DeletionRequest, Precondition,
        registration::{Refusal, Request},
    },
    snapshot::{Proof, Record},
};

/// A client deletes itself.
fn granted() -> Case<Request> {
    let request =
        Request { target: id("client"), token: digest("registration token"), conditions: VersionConditions::default() };
    Case::new(request, [(client("client"), registered().into())])
}

fn registered() -> ClientBuilder {
    without_token().registration_token("registration token")
}

fn without_token() -> ClientBuilder {
    oauth_client().version(3)
}

#[test]
fn each_condition_has_its_refusal() {
    assert_refusals(
        granted,
        &[
            ("3", "the client is unknown", Refusal::UnknownClient, |case| case.lacks(client("client"))),
            ("3", "the client is deleted", Refusal::DeletedClient, |case| case.client(tombstone())),
            ("3", "it is an API client", Refusal::NotAnOAuthClient, |case| case.client(api_client())),
            ("3", "the client has no registration token", Refusal::NoRegistrationToken, |case| {
                case.client(without_token());
            }),
            ("3", "another client's token", Refusal::WrongToken, |case| case.request.token = digest("another's")),
            ("4", "the client is protected", Refusal::Protected, |case| case.client(registered().protected())),
            ("5", "another version", Refusal::VersionMismatch, |case| {
                case.request.conditions.if_match = Some(EntityTags::parse(r#""2""#));
            }),
            ("5", "the version that If-None-Match names", Refusal::VersionMismatch, |case| {
                case.request.conditions.if_none_match = Some(EntityTags::parse(r#""3""#));
            }),
        ],
    );
}

#[test]
fn other_conditions_are_granted() {
    assert_grants(
        granted,
        &[("6", "the client did not register itself, and has a token", |case| {
            case.client(registered().not_dynamic());
        })],
    );
}

#[test]
fn the_precondition_is_the_registration_token() {
    let token = digest("registration token");
    assert_eq!(granted().decide(), Ok(vec![Precondition::RegistrationToken(&token)]));
}

#[test]
fn the_version_that_was_read_is_asserted_whatever_it_is() {
    let number = StoredVersion::Number(Version(3));
    for version in [number, StoredVersion::None, StoredVersion::Other("a text".to_owned())] {
        let case = granted()
            .with(|case| case.client(Record::Client(Client { version: version.clone(), ..registered().build() })));
        assert_eq!(case.request.decide(&case.snapshot, now()).unwrap().version, version);
    }
}

#[test]
fn the_rows_are_decided_in_order() {
    let case = granted().with(|case| {
        case.client(without_token().protected());
        case.request.token = digest("another client's token");
        case.request.conditions.if_match = Some(EntityTags::parse(r#""2""#));
    });
    assert_order(
        case,
        &[
            (Refusal::NoRegistrationToken, |case| case.client(registered().protected())),
            (Refusal::WrongToken, |case| case.request.token = digest("registration token")),
            (Refusal::Protected, |case| case.client(registered())),
            (Refusal::VersionMismatch, |case| case.request.conditions.if_match = None),
        ],
    );
}

#[test]
fn only_the_holder_of_its_token_learns_that_a_client_cannot_be_read() {
    let proof = |token| Proof { registration_token_digest: Some(digest(token)), ..Proof::default() };
    let own = proof("registration token");
    let case = granted().with(|case| case.client(unreadable(&own)));
    assert_eq!(case.decide(), cannot_read(client("client"), &own));
    for other in [proof("another token"), Proof::default()] {
        let case = granted().with(|case| case.client(unreadable(&other)));
        assert_eq!(case.decide(), Err(Refusal::UnreadableClient.into()));
    }
}

#[test]
fn it_reads_the_client_which_is_the_caller_too() {
    let case = granted();
    assert_eq!(case.request.reads(), [client("client")].into());
    assert_eq!(case.request.caller(&case.snapshot).as_deref(), Some("client#client"));
}
