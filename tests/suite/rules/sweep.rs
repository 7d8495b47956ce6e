//! The sweep's rule.

use super::{Case, INSTANT, assert_order, assert_refusals, assert_unreadable_is_a_fault, client, tombstone};
use crate::support::{
    build::{api_client, id, oauth_client},
    now,
};
use deregister::{
    model::{Idle, IdlePolicy, Metadata, Notice, NoticePolicy, StoredNotice},
    rule::{
        DeletionRequest, Precondition,
        sweep::{Announcement, Refusal, Request},
    },
    snapshot::Snapshot,
};
use std::time::Duration;

const POLICY: IdlePolicy = IdlePolicy { unused: Duration::from_hours(24), used: Duration::from_hours(90 * 24) };
const SECOND: Duration = Duration::from_secs(1);
const NOTICE: NoticePolicy = NoticePolicy { period: Duration::from_hours(24), client_name: false, contacts: false };

/// A client that was never used, and that is due from exactly this instant.
fn granted() -> Case<Request> {
    listed_as(just_due())
}

fn just_due() -> Idle {
    Idle::unused(now() - POLICY.unused)
}

/// A client that is idle as the index says.
fn listed_as(idle: Idle) -> Case<Request> {
    let request = Request { target: id("client"), idle, policy: POLICY, notice: None };
    Case::new(request, [(client("client"), oauth_client().idle(idle).into())])
}

#[test]
fn each_condition_has_its_refusal() {
    assert_refusals(
        granted,
        &[
            ("1", "the client is unknown", Refusal::UnknownClient, |case| case.lacks(client("client"))),
            ("2", "the client is deleted", Refusal::DeletedClient, |case| case.client(tombstone())),
            ("3", "the client did not register itself", Refusal::NotDynamic, |case| {
                case.client(oauth_client().not_dynamic().idle(just_due()));
            }),
            ("3", "it is an API client", Refusal::NotDynamic, |case| case.client(api_client().idle(just_due()))),
            ("4", "the client is protected", Refusal::Protected, |case| {
                case.client(oauth_client().protected().idle(just_due()));
            }),
            ("5", "registered a second earlier than listed", Refusal::UsedMeanwhile, |case| {
                case.client(oauth_client().idle(Idle::unused(just_due().since - SECOND)));
            }),
            ("5", "registered a second later than listed", Refusal::UsedMeanwhile, |case| {
                case.client(oauth_client().idle(Idle::unused(just_due().since + SECOND)));
            }),
            ("5", "registered now", Refusal::UsedMeanwhile, |case| {
                case.client(oauth_client().idle(Idle::unused(now())));
            }),
            ("5", "used at the time at which it is listed as unused", Refusal::UsedMeanwhile, |case| {
                case.client(oauth_client().idle(Idle::used(just_due().since)));
            }),
            ("5", "its use is not tracked", Refusal::UsedMeanwhile, |case| case.client(oauth_client())),
            ("6", "the policy allows a second more", Refusal::NotDue, |case| case.request.policy.unused += SECOND),
        ],
    );
}

#[test]
fn a_client_is_due_from_the_instant_at_which_its_idle_time_reaches_the_policy() {
    for idle in [just_due(), Idle::used(now() - POLICY.used)] {
        let case = listed_as(idle);
        assert!(case.decide().is_ok(), "{idle:?}");
        let before = case.request.decide(&case.snapshot, now() - INSTANT).err();
        assert_eq!(before, Some(Refusal::NotDue.into()), "{idle:?}");
    }
}

#[test]
fn used_and_unused_clients_each_have_their_own_idle_time() {
    let IdlePolicy { unused: short, used: long } = POLICY;
    for (idle, policy) in
        [(Idle::used(now() - short), POLICY), (Idle::unused(now() - short), IdlePolicy { unused: long, used: short })]
    {
        let case = listed_as(idle).with(|case| case.request.policy = policy);
        assert_eq!(case.decide(), Err(Refusal::NotDue.into()), "{idle:?}");
    }
}

#[test]
fn a_use_in_the_future_is_not_due() {
    let case = listed_as(Idle::used(now() + POLICY.used)).with(|case| case.request.policy.used = Duration::ZERO);
    assert_eq!(case.decide(), Err(Refusal::NotDue.into()));
}

#[test]
fn the_preconditions_are_having_registered_itself_and_the_idle_time() {
    let case = granted();
    assert_eq!(case.decide(), Ok(vec![Precondition::Dynamic, Precondition::Idle(case.request.idle)]));
}

/// A client that was announced, and that the sweep may delete from exactly this instant.
fn announced() -> Case<Request> {
    let notice = Notice { idle: just_due(), sweep_at: now() };
    noticed(StoredNotice::Notice(notice))
}

/// A client that is due, with this notice, if clients are announced.
fn noticed(notice: StoredNotice) -> Case<Request> {
    granted().with(|case| {
        case.request.notice = Some(NOTICE);
        case.client(oauth_client().idle(just_due()).notice(notice));
    })
}

/// Notices that announce nothing.
fn stale() -> [StoredNotice; 4] {
    let of = |idle| StoredNotice::Notice(Notice { idle, sweep_at: now() });
    let earlier = just_due().since - SECOND;
    [StoredNotice::Unreadable, of(Idle::used(just_due().since)), of(Idle::unused(earlier)), of(Idle::used(earlier))]
}

#[test]
fn with_a_notice_period_only_an_announced_client_is_deleted_and_not_before_the_date() {
    assert!(announced().decide().is_ok());
    assert_refusals(
        announced,
        &[
            ("7", "the client has no notice", Refusal::NotAnnounced, |case| {
                case.client(oauth_client().idle(just_due()));
            }),
            ("8", "the date is a second away", Refusal::Announced, |case| {
                let notice = Notice { idle: just_due(), sweep_at: now() + SECOND };
                case.client(oauth_client().idle(just_due()).notice(StoredNotice::Notice(notice)));
            }),
        ],
    );
    for notice in stale() {
        assert_eq!(noticed(notice).decide(), Err(Refusal::NotAnnounced.into()), "{notice:?}");
    }
}

#[test]
fn the_notice_is_a_precondition() {
    let (due, notice) = (just_due(), Notice { idle: just_due(), sweep_at: now() });
    let expected = vec![Precondition::Dynamic, Precondition::Idle(due), Precondition::Notice(notice)];
    assert_eq!(announced().decide(), Ok(expected));
    let without_a_period = announced().with(|case| case.request.notice = None);
    assert_eq!(without_a_period.decide(), Ok(vec![Precondition::Dynamic, Precondition::Idle(due)]));
}

#[test]
fn an_announcement_has_the_idle_time_and_the_date_and_asserts_that_there_is_no_notice() {
    let due = [Precondition::Dynamic, Precondition::Idle(just_due())];
    for notice in [StoredNotice::None].into_iter().chain(stale()) {
        let case = noticed(notice);
        let announcement = case.request.announcement(&case.snapshot, now() + INSTANT).unwrap();
        let Announcement { authorization, removal, notice: written, metadata } = announcement;
        assert_eq!(written, Notice { idle: just_due(), sweep_at: now() + NOTICE.period });
        assert_eq!(metadata, "{}");
        assert_eq!(authorization.preconditions, [&due[..], &[Precondition::NoNotice]].concat());
        let stale = [&due[..], &[Precondition::StaleNotice(just_due())]].concat();
        let expected = (notice != StoredNotice::None).then_some(stale);
        assert_eq!(removal.map(|removal| removal.preconditions), expected, "{notice:?}");
    }
}

#[test]
fn a_client_that_is_kept_or_announced_is_not_announced() {
    let refusal = |case: Case<Request>| case.request.announcement(&case.snapshot, now()).map(drop);
    assert_eq!(refusal(announced()), Err(Refusal::Announced.into()));
    assert_eq!(refusal(granted()), Err(Refusal::NotAnnounced.into()));
    for (client, expected) in [
        (oauth_client().idle(just_due()).protected(), Refusal::Protected),
        (oauth_client().idle(just_due()).not_dynamic(), Refusal::NotDynamic),
        (oauth_client().idle(Idle::used(now())), Refusal::UsedMeanwhile),
    ] {
        let case = noticed(StoredNotice::None).with(|case| case.client(client));
        assert_eq!(refusal(case), Err(expected.into()));
    }
}

#[test]
fn the_announced_metadata_is_what_the_policy_names() {
    let registered = Metadata {
        client_name: Some("Jane".to_owned()),
        contacts: Some(vec!["jane@example.com".to_owned()]),
        redirect_uris: Some(Vec::new()),
        ..Metadata::default()
    };
    for (client_name, contacts, expected) in [
        (false, false, "{}"),
        (true, false, r#"{"client_name":"Jane"}"#),
        (false, true, r#"{"contacts":["jane@example.com"]}"#),
        (true, true, r#"{"client_name":"Jane","contacts":["jane@example.com"]}"#),
    ] {
        assert_eq!(NoticePolicy { client_name, contacts, ..NOTICE }.metadata(&registered), expected);
    }
}

#[test]
fn the_authorization_is_for_the_listed_client() {
    let case = granted();
    assert_eq!(*case.request.decide(&case.snapshot, now()).unwrap().target, id("client"));
}

#[test]
fn the_rows_are_decided_in_order() {
    let used = || oauth_client().idle(Idle::used(now()));
    let case = listed_as(Idle::unused(now())).with(|case| case.client(used().not_dynamic().protected()));
    assert_order(
        case,
        &[
            (Refusal::NotDynamic, |case| case.client(oauth_client().idle(Idle::used(now())).protected())),
            (Refusal::Protected, |case| case.client(oauth_client().idle(Idle::used(now())))),
            (Refusal::UsedMeanwhile, |case| case.client(oauth_client().idle(case.request.idle))),
            (Refusal::NotDue, |case| case.request.policy.unused = Duration::ZERO),
        ],
    );
}

#[test]
fn a_client_that_cannot_be_read_is_a_fault() {
    assert_unreadable_is_a_fault(granted, client("client"));
}

#[test]
fn it_reads_the_client_and_the_caller_is_the_sweep() {
    let case = granted();
    assert_eq!(case.request.reads(), [client("client")].into());
    for snapshot in [&case.snapshot, &Snapshot::default()] {
        assert_eq!(case.request.caller(snapshot).as_deref(), Some("sweep"));
    }
}
