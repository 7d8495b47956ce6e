//! The promises of the protocol. They hold, and a planted defect breaks the promise that it concerns.

use super::{
    item::{ClientItem, Item, Tombstone},
    model::{Answer, CONFIGURATION, Protocol, REGISTRATION, Request, SWEEP, State, Variant},
};
use stateright::{Checker, Model};

/// A name, and a condition on a state.
pub type Promise = (&'static str, fn(&Protocol, &State) -> bool);

const NO_OWNER: Promise =
    ("no owner is deleted", |_, state| state.all_tombstones(|tombstone| !tombstone.client.is_owner));
const NO_PROTECTED: Promise =
    ("no protected client is deleted", |_, state| state.all_tombstones(|tombstone| !tombstone.client.is_protected));
const ONE_REPORT: Promise =
    ("no two answers report one deletion", |_, state| state.all_tombstones(|tombstone| tombstone.reports <= 1));
const TRUE_REPORT: Promise =
    ("a reported deletion took effect, and is recorded with caller and endpoint", |_, state| {
        state.all_tombstones(|tombstone| tombstone.is_recorded)
            && !state.any_request(|request| request.is_answered(Answer::Deleted, true) && request.deletions == 0)
    });
const TRUE_REFUSAL: Promise = ("no deletion of a refused request is in effect", |_, state| {
    !state.any_request(|request| request.is_refused() && request.is_in_effect)
});
const NO_OLD_SECRET: Promise = ("old secrets and tokens delete nothing, and the sweep no client in use", |_, state| {
    state.all_tombstones(|tombstone| tombstone.is_entitled)
});
const NO_GUESS: Promise = ("no deletion is reported on a guess, and no 503 hides a known one", |_, state| {
    !state.any_request(|request| request.is_answered(Answer::Deleted, false))
        && !state.any_request(|request| request.is_answered(Answer::Unavailable, true) && request.is_in_effect)
});
const THAT_VERSION: Promise = ("only the version that If-Match names is deleted", |model, state| {
    state.all_tombstones(|tombstone| {
        model.requests[tombstone.request].if_match.is_none_or(|version| version == tombstone.client.version)
    })
});

const LASTING_RESTORATION: Promise =
    ("a restoration lasts until a request that reads the client after it", |_, state| {
        !state.any_request(|request| request.undid_restoration)
    });
const ONE_RECORD: Promise =
    ("a request has at most one record", |_, state| !state.any_request(|request| request.deletions > 1));
const LATE_REFUSAL: Promise = ("no refusal is answered while an attempt may still take effect", |_, state| {
    !state.any_request(|request| request.is_refused() && request.delayed.is_some())
});

pub const PROMISES: [Promise; 11] = [
    NO_OWNER,
    NO_PROTECTED,
    ONE_REPORT,
    TRUE_REPORT,
    TRUE_REFUSAL,
    NO_OLD_SECRET,
    NO_GUESS,
    THAT_VERSION,
    LASTING_RESTORATION,
    ONE_RECORD,
    LATE_REFUSAL,
];

/// Two owners delete a client, one of them at one version only. The other also tries to delete the first.
fn owners() -> Protocol {
    let request = |caller: u8, target, if_match| Request {
        endpoint: CONFIGURATION,
        caller: caller.into(),
        credential: 16 * caller,
        target,
        if_match,
    };
    Protocol {
        clients: vec![ClientItem::new(0, true, true), ClientItem::new(1, true, true), ClientItem::new(2, true, false)],
        requests: vec![request(0, 2, Some(0)), request(1, 2, None), request(1, 0, None)],
        attempts: 2,
        changes: 2,
        variant: Variant::Usual,
        examples: vec![
            ("a lost answer, and a 204 all the same", |model, state| {
                let no_change = state.changes == model.changes;
                no_change
                    && state.any_request(|request| {
                        request.took_effect_unanswered && request.is_answered(Answer::Deleted, true)
                    })
            }),
            ("a 503, and the client is deleted", |_, state| {
                state.any_request(|request| request.is_answered(Answer::Unavailable, false) && request.is_in_effect)
            }),
            ("a deleted caller is refused", |_, state| {
                state.any_request(|request| request.is_refused_for("deleted_caller"))
            }),
            ("a client is deleted after a revocation", |_, state| {
                state.any_request(|request| request.is_in_effect)
                    && state.table[2].tombstone().is_some_and(|tombstone| tombstone.client.revocations > 0)
            }),
            ("a new owner is not deleted", |_, state| {
                state.any_request(|request| request.is_refused_for("target_is_owner"))
            }),
        ],
    }
}

/// A client deletes itself twice. A later client with its id or its secret does so once.
fn registrations() -> Protocol {
    let request = |credential| Request { endpoint: REGISTRATION, caller: 0, credential, target: 0, if_match: None };
    Protocol {
        clients: vec![ClientItem::new(0, false, false)],
        requests: vec![request(0), request(0), request(1)],
        attempts: 3,
        changes: 4,
        variant: Variant::Usual,
        examples: vec![
            ("a restored client is deleted again", |_, state| {
                state.any_request(|request| request.deletions > 0 && !request.is_in_effect)
                    && state.any_request(|request| request.is_in_effect)
            }),
            ("a client is deleted after the end of a block", |_, state| {
                matches!(state.table[0], Item::Deleted(Tombstone { client: ClientItem { restorations: 1, .. }, .. }))
                    && state.requests.iter().map(|request| request.deletions).sum::<u8>() == 1
            }),
            ("an id has a new client, and the old token is refused", |_, state| {
                let is_new = matches!(state.table[0], Item::Live(ClientItem { credential: 1, version: 0, .. }));
                is_new && state.requests[0].is_refused_for("wrong_token")
            }),
        ],
    }
}

/// The sweep runs twice, and the client deletes itself.
fn sweeps() -> Protocol {
    let request = |endpoint| Request { endpoint, caller: 0, credential: 0, target: 0, if_match: None };
    Protocol {
        clients: vec![ClientItem::new(0, false, false)],
        requests: vec![request(SWEEP), request(REGISTRATION), request(SWEEP)],
        attempts: 2,
        changes: 3,
        variant: Variant::Usual,
        examples: vec![
            ("a client that is used meanwhile is kept", |_, state| {
                state.any_request(|request| request.is_refused_for("used_meanwhile"))
            }),
            ("a restored client is not listed", |_, state| {
                state.any_request(|request| request.deletions > 0)
                    && state.any_request(|request| request.is_refused_for("not_listed"))
            }),
        ],
    }
}

/// Checks every state, and prints how many there are.
fn check(protocol: Protocol) -> impl Checker<Protocol> {
    let checker = protocol.checker().spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{:?}: {states} states, {depth} steps at most", checker.model().variant);
    checker
}

/// The promises that this variant breaks, with fewer requests and changes.
fn broken(variant: Variant, protocol: Protocol) -> Vec<&'static str> {
    let requests = protocol.requests[..2].to_vec();
    let broken = check(Protocol { variant, requests, attempts: 2, changes: 2, ..protocol }).discoveries();
    PROMISES.into_iter().map(|(name, _)| name).filter(|name| broken.contains_key(name)).collect()
}

#[test]
fn every_promise_holds_at_the_configuration_api() {
    check(owners()).assert_properties();
}

#[test]
fn every_promise_holds_at_the_client_configuration_endpoint() {
    check(registrations()).assert_properties();
}

#[test]
fn every_promise_holds_for_the_sweep() {
    check(sweeps()).assert_properties();
}

/// An attempt is delayed, the next one finds the client protected for a while, and then the first one arrives. The
/// answer was not a refusal. Or the next one deletes the client, an operator restores it, and then the first one
/// arrives. The client lives.
#[test]
fn an_attempt_that_arrives_late_breaks_no_promise() {
    assert_eq!(broken(Variant::LateArrival, owners()), [""; 0]);
    assert_eq!(broken(Variant::LateArrival, registrations()), [""; 0]);
    assert_eq!(broken(Variant::LateArrival, sweeps()), [""; 0]);
}

/// An attempt takes effect without an answer, and the next one finds neither the client nor the tombstone. The answer
/// was not a refusal. Only a new client with the same id, application and version can be deleted by the next attempt.
#[test]
fn a_tombstone_that_does_not_outlive_its_request_breaks_one_promise_at_most() {
    assert_eq!(broken(Variant::EarlyCollection, owners()), [ONE_RECORD.0]);
    assert_eq!(broken(Variant::EarlyCollection, registrations()), [""; 0]);
}

#[test]
fn a_planted_defect_breaks_the_promise_that_it_concerns_and_no_other() {
    for (variant, protocol, promises) in [
        (Variant::Omits("NotOwner"), owners(), vec![NO_OWNER]),
        (Variant::OmitsVersion, owners(), vec![THAT_VERSION, LASTING_RESTORATION, ONE_RECORD]),
        (Variant::OmitsVersion, registrations(), vec![LASTING_RESTORATION, ONE_RECORD]),
        (Variant::RestoresSameVersion, registrations(), vec![LASTING_RESTORATION, ONE_RECORD]),
        (Variant::TrustsServerErrors, owners(), vec![TRUE_REFUSAL, LATE_REFUSAL]),
        (Variant::Omits("RegistrationToken"), registrations(), vec![NO_OLD_SECRET]),
        (Variant::Omits("Idle"), sweeps(), vec![NO_OLD_SECRET]),
        (Variant::OmitsProtection, owners(), vec![NO_PROTECTED]),
        (Variant::OmitsProtection, registrations(), vec![NO_PROTECTED]),
        (Variant::EveryTombstoneIsOwn, owners(), vec![ONE_REPORT, TRUE_REPORT]),
        (Variant::NoTombstoneIsOwn, owners(), vec![NO_GUESS]),
        (Variant::NoAnswerIsSuccess, owners(), vec![ONE_REPORT, NO_GUESS]),
        (Variant::RefusesAfterAmbiguous, owners(), vec![TRUE_REFUSAL, LATE_REFUSAL]),
        (Variant::RefusesAfterAmbiguous, registrations(), vec![TRUE_REFUSAL, LATE_REFUSAL]),
    ] {
        let names: Vec<_> = promises.into_iter().map(|(name, _)| name).collect();
        assert_eq!(broken(variant, protocol), names, "{variant:?}");
    }
}
