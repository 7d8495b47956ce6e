//! The rules, row by row: each door's table and the sweep's, in the order in which it is decided. No database, no runtime.
//!
//! Every test starts from a case that is permitted and spoils one thing. What a door refuses before there is anything
//! to ask the table, such as credentials that cannot be made out, is not the rules' and not here.

use deregister::{
    deletion::NotDeleted,
    model::{
        AccessToken, AllowList, ApiClient, Client, Deletion, Digest, Id, IfMatch, Kind, Metadata, OAuthClient, Service,
        StoredSecret, TokenScope, Version,
    },
    rule::{DeletionRequest, Precondition},
    snapshot::{Key, Record, Snapshot, Unreadable},
    store::Fault,
};
use std::time::{Duration, SystemTime};

/// Features that could be mistaken for `owner`, the last two by a letter that only looks like an o.
const NOT_QUITE_OWNER: [&str; 8] = ["", "Owner", "OWNER", " owner", "owner ", "owner\0", "\u{43e}wner", "\u{ff4f}wner"];
/// The least difference between two instants.
const AN_INSTANT: Duration = Duration::from_nanos(1);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
}

#[expect(clippy::expect_used, reason = "the tests' ids are ids")]
fn id(text: &str) -> Id {
    Id::new(text).expect("an id")
}

fn client(text: &str) -> Key {
    Key::Client(id(text))
}

fn digest(text: &str) -> Digest {
    Digest::of(text)
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn live(kind: Kind, protected: bool, version: Option<Version>) -> Record {
    Record::Client(Client { kind, protected, version, idle: None })
}

fn deleted() -> Record {
    Record::Deleted(Deletion {
        at: now(),
        by: "client#somebody".to_owned(),
        via: "configuration".to_owned(),
        source_ip: None,
        request_id: "earlier".to_owned(),
    })
}

fn oauth_client() -> OAuthClient {
    OAuthClient {
        service_id: id("service"),
        dynamic: true,
        registration_token_digest: Some(digest("registration token")),
        metadata: Metadata::default(),
    }
}

fn broken() -> Record {
    Record::Unreadable("broken".to_owned())
}

/// The preconditions of the permit, or why there is none.
type Decision<'r, Refusal> = Result<Vec<Precondition<'r>>, NotDeleted<Refusal>>;

fn decide<'r, R: DeletionRequest>(request: &'r R, snapshot: &Snapshot) -> Decision<'r, R::Refusal> {
    request.decide(snapshot, now()).map(|permit| permit.preconditions)
}

/// The decision that there is none, since the item under this key is broken.
fn unread<'r, Refusal>(key: Key) -> Decision<'r, Refusal> {
    Err(NotDeleted::ReadFailed(Fault::Unreadable(Unreadable { key, why: "broken".to_owned() })))
}

mod configuration {
    use super::*;
    use deregister::rule::configuration::{Refusal, Request};

    type Stair = (Refusal, fn(&mut Case));

    struct Case {
        request: Request,
        caller: ApiClient,
        target: ApiClient,
        protected: bool,
        version: Option<Version>,
    }

    fn permitted() -> Case {
        Case {
            request: Request {
                caller: id("caller"),
                secret: digest("secret"),
                source_ip: "203.0.113.7".parse().ok(),
                application: "application".to_owned(),
                target: id("target"),
                if_match: None,
            },
            caller: ApiClient {
                app_id: "application".to_owned(),
                features: words(&["owner"]),
                secrets: vec![StoredSecret { digest: digest("secret"), expires_at: None }],
                ..ApiClient::default()
            },
            target: ApiClient { app_id: "application".to_owned(), ..ApiClient::default() },
            protected: false,
            version: Some(Version(3)),
        }
    }

    impl Case {
        fn snapshot(&self) -> Snapshot {
            Snapshot::from_iter([
                (client("caller"), live(Kind::Api(self.caller.clone()), false, None)),
                (client("target"), live(Kind::Api(self.target.clone()), self.protected, self.version)),
            ])
        }

        fn decide(&self) -> Decision<'_, Refusal> {
            decide(&self.request, &self.snapshot())
        }
    }

    #[track_caller]
    fn refused(reason: Refusal, spoil: impl FnOnce(&mut Case)) {
        let mut case = permitted();
        spoil(&mut case);
        assert_eq!(case.decide(), Err(reason.into()));
    }

    /// Refused where this stands under the key instead.
    #[track_caller]
    fn refused_with(reason: Refusal, key: Key, record: Option<Record>) {
        let Case { request, .. } = permitted();
        let mut snapshot = permitted().snapshot();
        snapshot.set(key, record);
        assert_eq!(decide(&request, &snapshot), Err(reason.into()));
    }

    #[test]
    fn row_1_an_unknown_caller_is_refused() {
        refused_with(Refusal::UnknownCaller, client("caller"), None);
    }

    #[test]
    fn row_1_an_oauth_client_is_no_caller() {
        let record = live(Kind::OAuth(oauth_client()), false, None);
        refused_with(Refusal::UnknownCaller, client("caller"), Some(record));
    }

    #[test]
    fn row_1_a_deleted_caller_is_refused() {
        refused_with(Refusal::DeletedCaller, client("caller"), Some(deleted()));
    }

    #[test]
    fn row_1_a_wrong_secret_is_refused() {
        refused(Refusal::WrongSecret, |case| case.request.secret = digest("another secret"));
    }

    #[test]
    fn row_1_a_caller_without_secrets_is_refused() {
        refused(Refusal::WrongSecret, |case| case.caller.secrets.clear());
    }

    #[test]
    fn row_1_a_secret_is_accepted_until_the_instant_at_which_it_expires() {
        let mut case = permitted();
        case.caller.secrets = vec![StoredSecret { digest: digest("secret"), expires_at: Some(now()) }];
        assert!(case.request.decide(&case.snapshot(), now() - AN_INSTANT).is_ok());
        assert_eq!(case.decide(), Err(Refusal::ExpiredSecret.into()));
    }

    #[test]
    fn row_1_both_secrets_are_valid_while_one_is_rotated_out() {
        for secret in ["secret", "new secret"] {
            let mut case = permitted();
            case.request.secret = digest(secret);
            case.caller.secrets = vec![
                StoredSecret { digest: digest("secret"), expires_at: Some(now() + AN_INSTANT) },
                StoredSecret { digest: digest("new secret"), expires_at: None },
            ];
            assert!(case.decide().is_ok(), "{secret}");
        }
    }

    #[test]
    fn row_1_of_two_entries_for_one_secret_the_one_that_has_not_expired_counts() {
        let mut case = permitted();
        case.caller.secrets.insert(0, StoredSecret { digest: digest("secret"), expires_at: Some(now()) });
        assert!(case.decide().is_ok());
    }

    #[test]
    fn row_2_a_caller_outside_its_allow_list_is_refused() {
        refused(Refusal::OutsideAllowList, |case| case.caller.ip_allow_list = AllowList::new(["198.51.100.0/24"]));
    }

    #[test]
    fn row_2_an_unknown_address_is_outside_an_allow_list() {
        refused(Refusal::OutsideAllowList, |case| {
            case.caller.ip_allow_list = AllowList::new(["203.0.113.0/24"]);
            case.request.source_ip = None;
        });
    }

    #[test]
    fn row_2_the_allow_list_of_the_target_has_no_say() {
        let mut case = permitted();
        case.target.ip_allow_list = AllowList::new(["198.51.100.0/24"]);
        assert!(case.decide().is_ok());
    }

    #[test]
    fn row_3_a_caller_without_the_feature_owner_is_refused() {
        for feature in ["access_issuer", "direct_access", "login_client"].into_iter().chain(NOT_QUITE_OWNER) {
            refused(Refusal::CallerIsNotOwner, |case| case.caller.features = words(&[feature]));
        }
        refused(Refusal::CallerIsNotOwner, |case| case.caller.features.clear());
    }

    #[test]
    fn row_3_owner_among_other_features_counts() {
        let mut case = permitted();
        case.caller.features = words(&["direct_access", "owner", "metadata"]);
        assert!(case.decide().is_ok());
    }

    #[test]
    fn row_4_another_application_is_not_found() {
        for application in ["elsewhere", "Application", "application ", ""] {
            refused(Refusal::AnotherApplication, |case| case.request.application = application.to_owned());
        }
    }

    #[test]
    fn row_4_the_application_of_the_target_does_not_help() {
        refused(Refusal::AnotherApplication, |case| {
            case.request.application = "elsewhere".to_owned();
            case.target.app_id = "elsewhere".to_owned();
        });
    }

    #[test]
    fn row_5_an_unknown_client_is_not_found() {
        refused_with(Refusal::UnknownClient, client("target"), None);
    }

    #[test]
    fn row_5_a_deleted_client_is_not_found() {
        refused_with(Refusal::UnknownClient, client("target"), Some(deleted()));
    }

    #[test]
    fn row_5_an_oauth_client_is_not_found() {
        let record = live(Kind::OAuth(oauth_client()), false, None);
        refused_with(Refusal::UnknownClient, client("target"), Some(record));
    }

    #[test]
    fn row_5_a_client_of_another_application_is_not_found() {
        refused(Refusal::UnknownClient, |case| case.target.app_id = "elsewhere".to_owned());
    }

    #[test]
    fn row_6_an_owner_is_never_deleted() {
        refused(Refusal::TargetIsOwner, |case| case.target.features = words(&["direct_access", "owner"]));
    }

    #[test]
    fn row_6_an_owner_does_not_delete_itself() {
        refused(Refusal::TargetIsOwner, |case| case.request.target = id("caller"));
    }

    #[test]
    fn row_6_no_other_feature_protects() {
        for feature in NOT_QUITE_OWNER {
            let mut case = permitted();
            case.target.features = words(&[feature]);
            assert!(case.decide().is_ok(), "{feature:?}");
        }
    }

    #[test]
    fn row_7_a_protected_client_is_not_deleted() {
        refused(Refusal::Protected, |case| case.protected = true);
    }

    #[test]
    fn row_8_a_client_at_another_version_is_not_deleted() {
        for field in [r#""2""#, r#"W/"3""#, r#""2", "4""#, "3", ""] {
            refused(Refusal::VersionMismatch, |case| case.request.if_match = Some(IfMatch::parse(field)));
        }
    }

    #[test]
    fn row_8_a_client_without_a_version_matches_no_tag() {
        refused(Refusal::VersionMismatch, |case| {
            case.request.if_match = Some(IfMatch::parse(r#""3""#));
            case.version = None;
        });
    }

    #[test]
    fn row_9_the_permit_rests_on_the_application_and_on_not_being_an_owner() {
        let case = permitted();
        assert_eq!(case.decide(), Ok(vec![Precondition::Application("application"), Precondition::NotOwner]));
    }

    #[test]
    fn row_9_the_permit_rests_on_the_version_where_one_was_asked_for() {
        let mut case = permitted();
        case.request.if_match = Some(IfMatch::parse(r#""2", "3""#));
        let preconditions =
            vec![Precondition::Application("application"), Precondition::NotOwner, Precondition::Version(Version(3))];
        assert_eq!(case.decide(), Ok(preconditions));
    }

    #[test]
    fn row_9_the_permit_rests_on_no_version_where_any_would_do() {
        for version in [Some(Version(3)), None] {
            let mut case = permitted();
            case.request.if_match = Some(IfMatch::parse("*"));
            case.version = version;
            assert_eq!(case.decide(), Ok(vec![Precondition::Application("application"), Precondition::NotOwner]));
        }
    }

    #[test]
    fn the_permit_is_for_the_client_that_was_named() {
        let case = permitted();
        let permit = case.request.decide(&case.snapshot(), now()).unwrap();
        assert_eq!(*permit.target, id("target"));
    }

    #[test]
    fn the_rows_are_decided_in_order() {
        let mut case = permitted();
        case.request.secret = digest("another secret");
        case.caller.ip_allow_list = AllowList::new(["198.51.100.0/24"]);
        case.caller.features = words(&["direct_access"]);
        case.request.application = "elsewhere".to_owned();
        case.target.app_id = "somewhere else".to_owned();
        case.target.features = words(&["owner"]);
        case.protected = true;
        case.request.if_match = Some(IfMatch::parse(r#""2""#));

        let stairs: [Stair; 8] = [
            (Refusal::WrongSecret, |case| case.request.secret = digest("secret")),
            (Refusal::OutsideAllowList, |case| case.caller.ip_allow_list = AllowList::default()),
            (Refusal::CallerIsNotOwner, |case| case.caller.features = words(&["owner"])),
            (Refusal::AnotherApplication, |case| case.request.application = "application".to_owned()),
            (Refusal::UnknownClient, |case| case.target.app_id = "application".to_owned()),
            (Refusal::TargetIsOwner, |case| case.target.features.clear()),
            (Refusal::Protected, |case| case.protected = false),
            (Refusal::VersionMismatch, |case| case.request.if_match = None),
        ];
        for (reason, lift) in stairs {
            assert_eq!(case.decide(), Err(reason.into()));
            lift(&mut case);
        }
        assert!(case.decide().is_ok());
    }

    #[test]
    fn a_broken_caller_is_a_fault() {
        let mut snapshot = permitted().snapshot();
        snapshot.set(client("caller"), Some(broken()));
        assert_eq!(decide(&permitted().request, &snapshot), unread(client("caller")));
    }

    #[test]
    fn a_broken_target_is_a_fault_only_to_a_caller_who_may_call() {
        let Case { mut request, caller, .. } = permitted();
        let mut snapshot = permitted().snapshot();
        snapshot.set(client("target"), Some(broken()));
        assert_eq!(decide(&request, &snapshot), unread(client("target")));

        snapshot.set(client("caller"), Some(live(Kind::Api(ApiClient { features: vec![], ..caller }), false, None)));
        assert_eq!(decide(&request, &snapshot), Err(Refusal::CallerIsNotOwner.into()));

        request.secret = digest("another secret");
        assert_eq!(decide(&request, &snapshot), Err(Refusal::WrongSecret.into()));
    }

    #[test]
    fn caller_and_target_are_read_and_each_key_once() {
        let Case { mut request, .. } = permitted();
        assert_eq!(request.reads(), [client("caller"), client("target")].into());
        request.target = id("caller");
        assert_eq!(request.reads(), [client("caller")].into());
    }

    #[test]
    fn the_caller_asks() {
        let case = permitted();
        assert_eq!(case.request.caller(&case.snapshot()).as_deref(), Some("client#caller"));
    }
}

mod registration {
    use super::*;
    use deregister::rule::registration::{Refusal, Request};

    type Stair = (Refusal, fn(&mut Case));

    struct Case {
        request: Request,
        client: OAuthClient,
        protected: bool,
        version: Option<Version>,
    }

    fn permitted() -> Case {
        Case {
            request: Request { target: id("client"), token: digest("registration token"), if_match: None },
            client: oauth_client(),
            protected: false,
            version: Some(Version(3)),
        }
    }

    impl Case {
        fn snapshot(&self) -> Snapshot {
            Snapshot::from_iter([(
                client("client"),
                live(Kind::OAuth(self.client.clone()), self.protected, self.version),
            )])
        }

        fn decide(&self) -> Decision<'_, Refusal> {
            decide(&self.request, &self.snapshot())
        }
    }

    #[track_caller]
    fn refused(reason: Refusal, spoil: impl FnOnce(&mut Case)) {
        let mut case = permitted();
        spoil(&mut case);
        assert_eq!(case.decide(), Err(reason.into()));
    }

    /// Refused where this stands under the client's key instead.
    #[track_caller]
    fn refused_with(reason: Refusal, record: Option<Record>) {
        let mut snapshot = Snapshot::default();
        snapshot.set(client("client"), record);
        assert_eq!(decide(&permitted().request, &snapshot), Err(reason.into()));
    }

    #[test]
    fn row_3_an_unknown_client_is_refused() {
        refused_with(Refusal::UnknownClient, None);
    }

    #[test]
    fn row_3_a_deleted_client_is_refused() {
        refused_with(Refusal::DeletedClient, Some(deleted()));
    }

    #[test]
    fn row_3_an_api_client_is_refused() {
        refused_with(Refusal::NotAnOAuthClient, Some(live(Kind::Api(ApiClient::default()), false, None)));
    }

    #[test]
    fn row_3_a_client_without_a_registration_token_is_refused() {
        refused(Refusal::NoRegistrationToken, |case| case.client.registration_token_digest = None);
    }

    #[test]
    fn row_3_a_wrong_token_is_refused() {
        refused(Refusal::WrongToken, |case| case.request.token = digest("another client's token"));
    }

    #[test]
    fn row_4_a_protected_client_is_not_deleted() {
        refused(Refusal::Protected, |case| case.protected = true);
    }

    #[test]
    fn row_5_a_client_at_another_version_is_not_deleted() {
        refused(Refusal::VersionMismatch, |case| case.request.if_match = Some(IfMatch::parse(r#""2""#)));
    }

    #[test]
    fn row_6_the_permit_rests_on_the_registration_token() {
        let case = permitted();
        assert_eq!(case.decide(), Ok(vec![Precondition::RegistrationToken(&digest("registration token"))]));
    }

    #[test]
    fn row_6_the_permit_rests_on_the_version_where_one_was_asked_for() {
        let mut case = permitted();
        case.request.if_match = Some(IfMatch::parse(r#""3""#));
        let token = digest("registration token");
        assert_eq!(case.decide(), Ok(vec![Precondition::RegistrationToken(&token), Precondition::Version(Version(3))]));
    }

    #[test]
    fn row_6_a_client_that_was_registered_by_hand_may_delete_itself_if_it_has_a_token() {
        let mut case = permitted();
        case.client.dynamic = false;
        assert!(case.decide().is_ok());
    }

    #[test]
    fn the_rows_are_decided_in_order() {
        let mut case = permitted();
        case.client.registration_token_digest = None;
        case.request.token = digest("another client's token");
        case.protected = true;
        case.request.if_match = Some(IfMatch::parse(r#""2""#));

        let stairs: [Stair; 4] = [
            (Refusal::NoRegistrationToken, |case| case.client = oauth_client()),
            (Refusal::WrongToken, |case| case.request.token = digest("registration token")),
            (Refusal::Protected, |case| case.protected = false),
            (Refusal::VersionMismatch, |case| case.request.if_match = None),
        ];
        for (reason, lift) in stairs {
            assert_eq!(case.decide(), Err(reason.into()));
            lift(&mut case);
        }
        assert!(case.decide().is_ok());
    }

    #[test]
    fn a_broken_client_is_a_fault() {
        let snapshot = Snapshot::from_iter([(client("client"), broken())]);
        assert_eq!(decide(&permitted().request, &snapshot), unread(client("client")));
    }

    #[test]
    fn the_client_is_read_and_asks() {
        let case = permitted();
        assert_eq!(case.request.reads(), [client("client")].into());
        assert_eq!(case.request.caller(&case.snapshot()).as_deref(), Some("client#client"));
    }
}

mod authlete {
    use super::*;
    use deregister::rule::authlete::{CallRefusal, DeletionRefusal, Refusal, Request};

    type Stair = (Refusal, fn(&mut Case));

    struct Case {
        request: Request,
        access_token: AccessToken,
        service: Service,
        client: OAuthClient,
        protected: bool,
    }

    fn permitted() -> Case {
        Case {
            request: Request {
                access_token: digest("access token"),
                service: id("service"),
                client_id: "client".to_owned(),
                target: Some(id("client")),
                token: Some(digest("registration token")),
            },
            access_token: AccessToken { scope: TokenScope::ServiceId(id("service")), expires_at: None },
            service: Service { organization_id: Some("organization".to_owned()), ..Service::default() },
            client: oauth_client(),
            protected: false,
        }
    }

    fn access_token() -> Key {
        Key::of_token(&digest("access token"))
    }

    fn service() -> Key {
        Key::Service(id("service"))
    }

    fn of_organization(organization: &str) -> TokenScope {
        TokenScope::OrganizationId(organization.to_owned())
    }

    impl Case {
        fn snapshot(&self) -> Snapshot {
            Snapshot::from_iter([
                (access_token(), Record::Token(self.access_token.clone())),
                (service(), Record::Service(self.service.clone())),
                (client("client"), live(Kind::OAuth(self.client.clone()), self.protected, None)),
            ])
        }

        fn decide(&self) -> Decision<'_, Refusal> {
            decide(&self.request, &self.snapshot())
        }
    }

    #[track_caller]
    fn refused(reason: impl Into<Refusal>, spoil: impl FnOnce(&mut Case)) {
        let mut case = permitted();
        spoil(&mut case);
        assert_eq!(case.decide(), Err(reason.into().into()));
    }

    /// What is decided where this stands under the key instead.
    fn decide_with(request: &Request, key: Key, record: Option<Record>) -> Decision<'_, Refusal> {
        let mut snapshot = permitted().snapshot();
        snapshot.set(key, record);
        decide(request, &snapshot)
    }

    #[track_caller]
    fn refused_with(reason: impl Into<Refusal>, key: Key, record: Option<Record>) {
        assert_eq!(decide_with(&permitted().request, key, record), Err(reason.into().into()));
    }

    #[test]
    fn call_an_unknown_access_token_is_refused() {
        refused_with(CallRefusal::UnknownAccessToken, access_token(), None);
    }

    #[test]
    fn call_an_access_token_is_accepted_until_the_instant_at_which_it_expires() {
        let mut case = permitted();
        case.access_token.expires_at = Some(now());
        assert!(case.request.decide(&case.snapshot(), now() - AN_INSTANT).is_ok());
        assert_eq!(case.decide(), Err(Refusal::from(CallRefusal::ExpiredAccessToken).into()));
    }

    #[test]
    fn call_an_unknown_service_is_refused() {
        refused_with(CallRefusal::UnknownService, service(), None);
    }

    #[test]
    fn call_the_access_token_of_another_service_is_refused() {
        refused(CallRefusal::AnotherService, |case| {
            case.access_token.scope = TokenScope::ServiceId(id("another service"));
        });
    }

    #[test]
    fn call_the_token_of_another_organization_is_refused() {
        refused(CallRefusal::AnotherService, |case| case.access_token.scope = of_organization("another organization"));
    }

    #[test]
    fn call_no_organization_token_covers_a_service_without_an_organization() {
        refused(CallRefusal::AnotherService, |case| {
            case.access_token.scope = of_organization("");
            case.service.organization_id = None;
        });
    }

    #[test]
    fn call_an_organization_is_not_mistaken_for_a_service_of_that_name() {
        refused(CallRefusal::AnotherService, |case| case.access_token.scope = of_organization("service"));
    }

    #[test]
    fn call_an_organization_token_covers_the_services_of_its_organization() {
        let mut case = permitted();
        case.access_token.scope = of_organization("organization");
        assert!(case.decide().is_ok());
    }

    #[test]
    fn row_1_a_service_without_dynamic_registration_deletes_nothing() {
        refused(DeletionRefusal::NoDynamicRegistration, |case| case.service.dynamic_registration = false);
    }

    #[test]
    fn row_2_a_client_id_that_cannot_be_one_is_refused() {
        refused(DeletionRefusal::UnreadableClientId, |case| case.request.target = None);
    }

    #[test]
    fn row_3_an_unknown_client_is_not_found() {
        refused_with(DeletionRefusal::UnknownClient, client("client"), None);
    }

    #[test]
    fn row_3_a_deleted_client_is_not_found() {
        refused_with(DeletionRefusal::UnknownClient, client("client"), Some(deleted()));
    }

    #[test]
    fn row_3_an_api_client_is_not_found() {
        let record = live(Kind::Api(ApiClient::default()), false, None);
        refused_with(DeletionRefusal::UnknownClient, client("client"), Some(record));
    }

    #[test]
    fn row_3_a_client_of_another_service_is_not_found() {
        refused(DeletionRefusal::UnknownClient, |case| case.client.service_id = id("another service"));
    }

    #[test]
    fn row_3_a_client_of_another_service_is_not_found_with_an_organization_token_either() {
        refused(DeletionRefusal::UnknownClient, |case| {
            case.access_token.scope = of_organization("organization");
            case.client.service_id = id("another service");
        });
    }

    #[test]
    fn row_4_a_client_that_did_not_register_itself_is_refused() {
        refused(DeletionRefusal::StaticClient, |case| case.client.dynamic = false);
    }

    #[test]
    fn row_5_a_missing_token_is_refused() {
        refused(DeletionRefusal::NoToken, |case| case.request.token = None);
    }

    #[test]
    fn row_6_a_client_without_a_registration_token_is_refused() {
        refused(DeletionRefusal::NoRegistrationToken, |case| case.client.registration_token_digest = None);
    }

    #[test]
    fn row_7_a_wrong_token_is_refused() {
        refused(DeletionRefusal::WrongToken, |case| case.request.token = Some(digest("another client's token")));
    }

    #[test]
    fn row_7_the_access_token_is_no_registration_token() {
        refused(DeletionRefusal::WrongToken, |case| case.request.token = Some(digest("access token")));
    }

    #[test]
    fn row_8_a_protected_client_is_not_deleted() {
        refused(DeletionRefusal::Protected, |case| case.protected = true);
    }

    #[test]
    fn row_9_the_permit_rests_on_the_registration_at_the_service_and_the_registration_token() {
        let case = permitted();
        let (service, token) = (id("service"), digest("registration token"));
        assert_eq!(
            case.decide(),
            Ok(vec![Precondition::RegisteredAt(&service), Precondition::RegistrationToken(&token)])
        );
    }

    #[test]
    fn the_rows_are_decided_in_order() {
        let mut case = permitted();
        case.access_token =
            AccessToken { scope: TokenScope::ServiceId(id("another service")), expires_at: Some(now()) };
        case.service.dynamic_registration = false;
        case.request.target = None;
        case.client.service_id = id("another service");
        case.client.dynamic = false;
        case.request.token = None;
        case.client.registration_token_digest = None;
        case.protected = true;

        let stairs: [Stair; 10] = [
            (CallRefusal::ExpiredAccessToken.into(), |case| case.access_token.expires_at = None),
            (CallRefusal::AnotherService.into(), |case| case.access_token.scope = TokenScope::ServiceId(id("service"))),
            (DeletionRefusal::NoDynamicRegistration.into(), |case| case.service.dynamic_registration = true),
            (DeletionRefusal::UnreadableClientId.into(), |case| case.request.target = Some(id("client"))),
            (DeletionRefusal::UnknownClient.into(), |case| case.client.service_id = id("service")),
            (DeletionRefusal::StaticClient.into(), |case| case.client.dynamic = true),
            (DeletionRefusal::NoToken.into(), |case| case.request.token = Some(digest("another client's token"))),
            (DeletionRefusal::NoRegistrationToken.into(), |case| case.client = oauth_client()),
            (DeletionRefusal::WrongToken.into(), |case| case.request.token = Some(digest("registration token"))),
            (DeletionRefusal::Protected.into(), |case| case.protected = false),
        ];
        for (reason, lift) in stairs {
            assert_eq!(case.decide(), Err(reason.into()));
            lift(&mut case);
        }
        assert!(case.decide().is_ok());
    }

    #[test]
    fn a_broken_access_token_service_or_client_is_a_fault() {
        for key in [access_token(), service(), client("client")] {
            assert_eq!(decide_with(&permitted().request, key.clone(), Some(broken())), unread(key));
        }
    }

    #[test]
    fn a_broken_service_or_client_is_no_fault_to_an_unknown_access_token() {
        let mut request = permitted().request;
        request.access_token = digest("another access token");
        for key in [service(), client("client")] {
            let decision = decide_with(&request, key, Some(broken()));
            assert_eq!(decision, Err(Refusal::from(CallRefusal::UnknownAccessToken).into()));
        }
    }

    #[test]
    fn a_broken_client_is_no_fault_to_the_access_token_of_another_service() {
        let case = permitted();
        let mut snapshot = case.snapshot();
        snapshot.set(client("client"), Some(broken()));
        let scope = TokenScope::ServiceId(id("another service"));
        snapshot.set(access_token(), Some(Record::Token(AccessToken { scope, expires_at: None })));
        assert_eq!(decide(&case.request, &snapshot), Err(Refusal::from(CallRefusal::AnotherService).into()));
    }

    #[test]
    fn access_token_service_and_client_are_read() {
        let mut request = permitted().request;
        assert_eq!(request.reads(), [access_token(), service(), client("client")].into());
        request.target = None;
        assert_eq!(request.reads(), [access_token(), service()].into());
    }

    #[test]
    fn whom_the_access_token_is_of_asks() {
        let mut case = permitted();
        assert_eq!(case.request.caller(&case.snapshot()).as_deref(), Some("service#service"));
        case.access_token.scope = of_organization("organization");
        assert_eq!(case.request.caller(&case.snapshot()).as_deref(), Some("organization#organization"));
        assert_eq!(case.request.caller(&Snapshot::default()), None);
    }
}

mod sweep {
    use super::*;
    use deregister::{
        client::Idle,
        rule::sweep::{IdlePolicy, Refusal, Request},
    };

    type Stair = (Refusal, fn(&mut Case));

    const PATIENCE: IdlePolicy = IdlePolicy { unused: Duration::from_hours(24), used: Duration::from_hours(90 * 24) };

    struct Case {
        request: Request,
        kind: Kind,
        protected: bool,
        idle: Option<Idle>,
    }

    /// A client that was never used, and is due at this very instant.
    fn permitted() -> Case {
        of(Idle::unused(now() - PATIENCE.unused))
    }

    /// A client that is listed as it is.
    fn of(idle: Idle) -> Case {
        Case {
            request: Request { target: id("client"), idle, policy: PATIENCE },
            kind: Kind::OAuth(oauth_client()),
            protected: false,
            idle: Some(idle),
        }
    }

    fn static_client() -> Kind {
        Kind::OAuth(OAuthClient { dynamic: false, ..oauth_client() })
    }

    impl Case {
        fn snapshot(&self) -> Snapshot {
            let Self { kind, protected, idle, .. } = self;
            let record = Client { kind: kind.clone(), protected: *protected, version: Some(Version(3)), idle: *idle };
            Snapshot::from_iter([(client("client"), Record::Client(record))])
        }

        fn decide(&self) -> Decision<'_, Refusal> {
            decide(&self.request, &self.snapshot())
        }
    }

    #[track_caller]
    fn refused(reason: Refusal, spoil: impl FnOnce(&mut Case)) {
        let mut case = permitted();
        spoil(&mut case);
        assert_eq!(case.decide(), Err(reason.into()));
    }

    /// Refused where this stands under the client's key instead.
    #[track_caller]
    fn refused_with(reason: Refusal, record: Option<Record>) {
        let mut snapshot = Snapshot::default();
        snapshot.set(client("client"), record);
        assert_eq!(decide(&permitted().request, &snapshot), Err(reason.into()));
    }

    #[test]
    fn row_1_an_unknown_client_is_not_swept() {
        refused_with(Refusal::UnknownClient, None);
    }

    #[test]
    fn row_2_a_deleted_client_is_not_swept() {
        refused_with(Refusal::DeletedClient, Some(deleted()));
    }

    #[test]
    fn row_3_a_client_that_did_not_register_itself_is_not_swept() {
        refused(Refusal::NotDynamic, |case| case.kind = static_client());
    }

    #[test]
    fn row_3_an_api_client_is_not_swept() {
        refused(Refusal::NotDynamic, |case| case.kind = Kind::Api(ApiClient::default()));
    }

    #[test]
    fn row_4_a_protected_client_is_not_swept() {
        refused(Refusal::Protected, |case| case.protected = true);
    }

    #[test]
    fn row_5_a_client_that_is_not_idle_as_it_is_listed_is_not_swept() {
        let listed = permitted().request.idle;
        let second = Duration::from_secs(1);
        for since in [listed.since - second, listed.since + second, now()] {
            refused(Refusal::UsedMeanwhile, |case| case.idle = Some(Idle::unused(since)));
        }
        refused(Refusal::UsedMeanwhile, |case| case.idle = Some(Idle::used(listed.since)));
        refused(Refusal::UsedMeanwhile, |case| case.idle = None);
    }

    #[test]
    fn row_6_a_client_is_due_from_the_instant_at_which_the_patience_with_it_ends() {
        for idle in [Idle::unused(now() - PATIENCE.unused), Idle::used(now() - PATIENCE.used)] {
            let case = of(idle);
            assert!(case.decide().is_ok(), "{idle:?}");
            let before = case.request.decide(&case.snapshot(), now() - AN_INSTANT).err();
            assert_eq!(before, Some(Refusal::NotDue.into()), "{idle:?}");
        }
    }

    #[test]
    fn row_6_the_patience_with_used_clients_says_nothing_of_unused_ones_nor_the_other_way_round() {
        let IdlePolicy { unused: short, used: long } = PATIENCE;
        for (idle, policy) in [
            (Idle::used(now() - short), PATIENCE),
            (Idle::unused(now() - short), IdlePolicy { unused: long, used: short }),
        ] {
            let mut case = of(idle);
            case.request.policy = policy;
            assert_eq!(case.decide(), Err(Refusal::NotDue.into()), "{idle:?}");
        }
    }

    #[test]
    fn row_6_a_use_that_is_yet_to_come_is_not_due() {
        let mut case = of(Idle::used(now() + PATIENCE.used));
        case.request.policy.used = Duration::ZERO;
        assert_eq!(case.decide(), Err(Refusal::NotDue.into()));
    }

    #[test]
    fn row_7_the_permit_rests_on_having_registered_itself_and_on_being_idle_since_that_second() {
        let case = permitted();
        assert_eq!(case.decide(), Ok(vec![Precondition::Dynamic, Precondition::Idle(case.request.idle)]));
    }

    #[test]
    fn the_permit_is_for_the_client_that_was_listed() {
        let case = permitted();
        let permit = case.request.decide(&case.snapshot(), now()).unwrap();
        assert_eq!(*permit.target, id("client"));
    }

    #[test]
    fn the_rows_are_decided_in_order() {
        let mut case = of(Idle::unused(now()));
        case.kind = static_client();
        case.protected = true;
        case.idle = Some(Idle::used(now()));

        let stairs: [Stair; 4] = [
            (Refusal::NotDynamic, |case| case.kind = Kind::OAuth(oauth_client())),
            (Refusal::Protected, |case| case.protected = false),
            (Refusal::UsedMeanwhile, |case| case.idle = Some(case.request.idle)),
            (Refusal::NotDue, |case| case.request.policy.unused = Duration::ZERO),
        ];
        for (reason, lift) in stairs {
            assert_eq!(case.decide(), Err(reason.into()));
            lift(&mut case);
        }
        assert!(case.decide().is_ok());
    }

    #[test]
    fn a_broken_client_is_a_fault() {
        let snapshot = Snapshot::from_iter([(client("client"), broken())]);
        assert_eq!(decide(&permitted().request, &snapshot), unread(client("client")));
    }

    #[test]
    fn the_client_is_read_and_the_sweep_asks() {
        let case = permitted();
        assert_eq!(case.request.reads(), [client("client")].into());
        for snapshot in [case.snapshot(), Snapshot::default()] {
            assert_eq!(case.request.caller(&snapshot).as_deref(), Some("sweep"));
        }
    }
}

#[test]
fn an_item_of_another_kind_is_as_good_as_broken() {
    let snapshot = Snapshot::from_iter([(client("client"), Record::Service(Service::default()))]);
    let why = "it is an item of another kind".to_owned();
    assert_eq!(snapshot.client(&id("client")), Err(Unreadable { key: client("client"), why }));
}

#[test]
fn an_entity_tag_of_another_spelling_is_another_tag() {
    for tag in [r#""03""#, r#""+3""#, r#"" 3""#, r#""3 ""#, r"'3'", r#"w/"3""#] {
        assert!(!IfMatch::parse(tag).admits(Some(Version(3))), "{tag}");
    }
}
