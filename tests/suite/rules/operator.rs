//! The operator's rule.

use super::{Case, assert_grants, assert_order, assert_refusals, assert_unreadable_is_a_fault, client, tombstone};
use crate::support::build::{api_client, id, oauth_client};
use deregister::{
    rule::{
        DeletionRequest, Precondition,
        operator::{Refusal, Request},
    },
    snapshot::Snapshot,
};

/// An operator deletes an API client.
fn granted() -> Case<Request> {
    let request = Request { operator: "operator#jane".to_owned(), target: id("client"), blocks: false };
    Case::new(request, [(client("client"), api_client().into())])
}

#[test]
fn each_condition_has_its_refusal() {
    assert_refusals(
        granted,
        &[
            ("1", "the client is unknown", Refusal::UnknownClient, |case| case.lacks(client("client"))),
            ("2", "the client is deleted", Refusal::DeletedClient, |case| case.client(tombstone())),
            ("3", "the client is an owner", Refusal::TargetIsOwner, |case| {
                case.client(api_client().owner());
            }),
            ("4", "the API client is protected", Refusal::Protected, |case| {
                case.client(api_client().protected());
            }),
            ("4", "the OAuth client is protected", Refusal::Protected, |case| {
                case.client(oauth_client().protected());
            }),
        ],
    );
}

#[test]
fn a_client_of_any_kind_is_granted() {
    assert_grants(
        granted,
        &[
            ("5", "registered itself", |case| case.client(oauth_client())),
            ("5", "did not register itself", |case| case.client(oauth_client().not_dynamic())),
            ("5", "other features than owner", |case| {
                case.client(api_client().feature("direct_access"));
            }),
        ],
    );
}

#[test]
fn the_precondition_is_not_being_an_owner() {
    let case = granted();
    assert_eq!(case.decide(), Ok(vec![Precondition::NotOwner]));
}

#[test]
fn the_rows_are_decided_in_order() {
    assert_order(
        granted().with(|case| case.client(api_client().owner().protected())),
        &[
            (Refusal::TargetIsOwner, |case| case.client(api_client().protected())),
            (Refusal::Protected, |case| case.client(api_client())),
        ],
    );
}

#[test]
fn a_client_that_cannot_be_read_is_a_fault() {
    assert_unreadable_is_a_fault(granted, client("client"));
}

#[test]
fn it_reads_the_client_and_the_caller_is_the_operator() {
    let case = granted();
    assert_eq!(case.request.reads(), [client("client")].into());
    assert_eq!(case.request.caller(&Snapshot::default()).as_deref(), Some("operator#jane"));
}
