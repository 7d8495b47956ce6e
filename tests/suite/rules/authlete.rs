//! The Authlete API's rule. Rows "call" are about the API call; the others have the numbers of the table in `docs/api.md`.

use super::{
    Case, INSTANT, assert_grants, assert_order, assert_refusals, cannot_read, client, digest, tombstone, unreadable,
};
use crate::support::{
    build::{ClientBuilder, api_client, id, oauth_client},
    now,
};
use deregister::{
    model::{AccessToken, Service, TokenScope},
    rule::{
        DeletionRequest, Precondition,
        authlete::{CallRefusal, DeletionRefusal, Refusal, Request},
    },
    snapshot::{Key, Proof, Record, Snapshot},
};
use std::time::SystemTime;

/// An authorization server deletes a client of its own service.
fn granted() -> Case<Request> {
    let request = Request {
        access_token: digest("access token"),
        service: id("service"),
        client_id: "client".to_owned(),
        target: Some(id("client")),
        token: Some(digest("registration token")),
    };
    let mut case = Case::new(request, [(client("client"), registered().into())]);
    case.access_token(of_service("service"), None);
    case.service(Service { organization_id: Some("organization".to_owned()), ..Service::default() });
    case
}

fn registered() -> ClientBuilder {
    oauth_client().registration_token("registration token")
}

fn access_token() -> Key {
    Key::of_token(&digest("access token"))
}

fn service() -> Key {
    Key::Service(id("service"))
}

fn of_service(service: &str) -> TokenScope {
    TokenScope::ServiceId(id(service))
}

fn of_organization(organization: &str) -> TokenScope {
    TokenScope::OrganizationId(organization.to_owned())
}

impl Case<Request> {
    fn access_token(&mut self, scope: TokenScope, expires_at: Option<SystemTime>) {
        self.has(access_token(), Record::Token(AccessToken { scope, expires_at }));
    }

    fn service(&mut self, record: Service) {
        self.has(service(), Record::Service(record));
    }
}

#[test]
fn each_condition_of_the_call_has_its_refusal() {
    assert_refusals(
        granted,
        &[
            ("call", "the access token is unknown", CallRefusal::UnknownAccessToken.into(), |case| {
                case.lacks(access_token());
            }),
            ("call", "the access token expires now", CallRefusal::ExpiredAccessToken.into(), |case| {
                case.access_token(of_service("service"), Some(now()));
            }),
            ("call", "the service is unknown", CallRefusal::UnknownService.into(), |case| case.lacks(service())),
            ("call", "the token of another service", CallRefusal::AnotherService.into(), |case| {
                case.access_token(of_service("another service"), None);
            }),
            ("call", "the token of another organization", CallRefusal::AnotherService.into(), |case| {
                case.access_token(of_organization("another organization"), None);
            }),
            ("call", "an organization's token, a service without one", CallRefusal::AnotherService.into(), |case| {
                case.access_token(of_organization(""), None);
                case.service(Service::default());
            }),
            (
                "call",
                "the token of an organization named like the service",
                CallRefusal::AnotherService.into(),
                |case| case.access_token(of_organization("service"), None),
            ),
        ],
    );
}

#[test]
fn each_condition_of_the_deletion_has_its_refusal() {
    assert_refusals(
        granted,
        &[
            ("1", "dynamic registration is off", DeletionRefusal::NoDynamicRegistration.into(), |case| {
                case.service(Service { dynamic_registration: false, ..Service::default() });
            }),
            ("2", "the client id cannot be an id", DeletionRefusal::UnreadableClientId.into(), |case| {
                case.request.target = None;
            }),
            ("3", "the client is unknown", DeletionRefusal::UnknownClient.into(), |case| case.lacks(client("client"))),
            ("3", "the client is deleted", DeletionRefusal::UnknownClient.into(), |case| {
                case.client(tombstone());
            }),
            ("3", "the client is an API client", DeletionRefusal::UnknownClient.into(), |case| {
                case.client(api_client());
            }),
            ("3", "the client is another service's", DeletionRefusal::UnknownClient.into(), |case| {
                case.client(registered().service("another service"));
            }),
            ("3", "another service's client, an organization's token", DeletionRefusal::UnknownClient.into(), |case| {
                case.access_token(of_organization("organization"), None);
                case.client(registered().service("another service"));
            }),
            ("4", "the client did not register itself", DeletionRefusal::StaticClient.into(), |case| {
                case.client(registered().not_dynamic());
            }),
            ("5", "there is no token", DeletionRefusal::NoToken.into(), |case| case.request.token = None),
            ("6", "the client has no registration token", DeletionRefusal::NoRegistrationToken.into(), |case| {
                case.client(oauth_client());
            }),
            ("7", "another client's token", DeletionRefusal::WrongToken.into(), |case| {
                case.request.token = Some(digest("another client's token"));
            }),
            ("7", "the access token in place of the registration token", DeletionRefusal::WrongToken.into(), |case| {
                case.request.token = Some(digest("access token"));
            }),
            ("8", "the client is protected", DeletionRefusal::Protected.into(), |case| {
                case.client(registered().protected());
            }),
        ],
    );
}

#[test]
fn other_conditions_are_granted() {
    assert_grants(
        granted,
        &[
            ("call", "the token of the service's organization", |case| {
                case.access_token(of_organization("organization"), None);
            }),
            ("call", "the access token will expire", |case| {
                case.access_token(of_service("service"), Some(now() + INSTANT));
            }),
        ],
    );
}

#[test]
fn an_access_token_is_accepted_until_the_instant_at_which_it_expires() {
    let case = granted().with(|case| case.access_token(of_service("service"), Some(now())));
    assert!(case.request.decide(&case.snapshot, now() - INSTANT).is_ok());
    assert_eq!(case.decide(), Err(Refusal::from(CallRefusal::ExpiredAccessToken).into()));
}

#[test]
fn the_preconditions_are_the_registration_at_the_service_and_the_registration_token() {
    let (service, token) = (id("service"), digest("registration token"));
    let preconditions = vec![Precondition::RegisteredAt(&service), Precondition::RegistrationToken(&token)];
    assert_eq!(granted().decide(), Ok(preconditions));
}

#[test]
fn the_rows_are_decided_in_order() {
    let case = granted().with(|case| {
        case.access_token(of_service("another service"), Some(now()));
        case.service(Service { dynamic_registration: false, ..Service::default() });
        case.request.target = None;
        case.client(oauth_client().service("another service").not_dynamic().protected());
        case.request.token = None;
    });
    assert_order(
        case,
        &[
            (CallRefusal::ExpiredAccessToken.into(), |case| case.access_token(of_service("another service"), None)),
            (CallRefusal::AnotherService.into(), |case| case.access_token(of_service("service"), None)),
            (DeletionRefusal::NoDynamicRegistration.into(), |case| case.service(Service::default())),
            (DeletionRefusal::UnreadableClientId.into(), |case| case.request.target = Some(id("client"))),
            (DeletionRefusal::UnknownClient.into(), |case| case.client(oauth_client().not_dynamic().protected())),
            (DeletionRefusal::StaticClient.into(), |case| case.client(oauth_client().protected())),
            (DeletionRefusal::NoToken.into(), |case| case.request.token = Some(digest("another client's token"))),
            (DeletionRefusal::NoRegistrationToken.into(), |case| case.client(registered().protected())),
            (DeletionRefusal::WrongToken.into(), |case| case.request.token = Some(digest("registration token"))),
            (DeletionRefusal::Protected.into(), |case| case.client(registered())),
        ],
    );
}

#[test]
fn an_access_token_that_cannot_be_read_is_refused_like_an_unknown_one() {
    let case = granted().with(|case| case.has(access_token(), unreadable(&Proof::default())));
    assert_eq!(case.decide(), Err(Refusal::from(CallRefusal::UnreadableAccessToken).into()));
}

#[test]
fn only_an_access_token_for_it_learns_that_a_service_cannot_be_read() {
    let proof = Proof { organization_id: Some("organization".to_owned()), ..Proof::default() };
    let case = |scope: TokenScope| {
        granted().with(|case| {
            case.has(service(), unreadable(&proof));
            case.access_token(scope, None);
        })
    };
    let organization = |id: &str| TokenScope::OrganizationId(id.to_owned());
    for scope in [of_service("service"), organization("organization")] {
        assert_eq!(case(scope).decide(), cannot_read(service(), &proof));
    }
    for scope in [of_service("another service"), organization("another")] {
        assert_eq!(case(scope).decide(), Err(Refusal::from(CallRefusal::UnreadableService).into()));
    }
}

#[test]
fn only_the_holder_of_its_token_learns_that_a_client_cannot_be_read() {
    let proof = |service, token| Proof {
        service_id: Some(id(service)),
        registration_token_digest: Some(digest(token)),
        ..Proof::default()
    };
    let own = proof("service", "registration token");
    let case = granted().with(|case| case.client(unreadable(&own)));
    assert_eq!(case.decide(), cannot_read(client("client"), &own));
    for other in [proof("another", "registration token"), proof("service", "another token"), Proof::default()] {
        let case = granted().with(|case| case.client(unreadable(&other)));
        assert_eq!(case.decide(), Err(Refusal::from(DeletionRefusal::UnreadableClient).into()));
    }
    let case = granted().with(|case| {
        case.client(unreadable(&own));
        case.request.token = None;
    });
    assert_eq!(case.decide(), Err(Refusal::from(DeletionRefusal::UnreadableClient).into()));
}

#[test]
fn what_cannot_be_read_changes_no_refusal_of_the_call() {
    for key in [service(), client("client")] {
        let case = granted().with(|case| {
            case.request.access_token = digest("another access token");
            case.has(key, unreadable(&Proof::default()));
        });
        assert_eq!(case.decide(), Err(Refusal::from(CallRefusal::UnknownAccessToken).into()));
    }
    let case = granted().with(|case| {
        case.client(unreadable(&Proof::default()));
        case.access_token(of_service("another service"), None);
    });
    assert_eq!(case.decide(), Err(Refusal::from(CallRefusal::AnotherService).into()));
}

#[test]
fn it_reads_access_token_service_and_client() {
    let mut request = granted().request;
    assert_eq!(request.reads(), [access_token(), service(), client("client")].into());
    request.target = None;
    assert_eq!(request.reads(), [access_token(), service()].into());
}

#[test]
fn the_caller_is_the_scope_of_the_access_token() {
    let mut case = granted();
    assert_eq!(case.request.caller(&case.snapshot).as_deref(), Some("service#service"));
    case.access_token(of_organization("organization"), None);
    assert_eq!(case.request.caller(&case.snapshot).as_deref(), Some("organization#organization"));
    assert_eq!(case.request.caller(&Snapshot::default()), None);
}
