//! The model and the function run the same traces. After each step, the answers and the table must agree.
//!
//! `TRACES` in the environment is the number of random traces, and `PROPTEST_RNG_SEED` their seed.

use super::{
    item::ClientItem,
    model::{Action, CONFIGURATION, Protocol, REGISTRATION, Request, SWEEP, State, Variant},
    world::World,
};
use crate::support::random::Random;
use stateright::Model;
use std::{env, thread};

/// The attempts of each write.
const ATTEMPTS: u8 = 2;
/// The most steps of a random trace.
const MAX_STEPS: usize = 40;

type Trace = Vec<(Action, State)>;

/// Two owners and the client itself, a client and the sweep, or three requests of one client.
fn protocols(variant: Variant) -> [Protocol; 3] {
    let request = |endpoint, caller: u8, credential, target, if_match| Request {
        endpoint,
        caller: caller.into(),
        credential,
        target,
        if_match,
    };
    let owners = vec![
        request(CONFIGURATION, 0, 0, 2, Some(0)),
        request(CONFIGURATION, 1, 16, 2, None),
        request(CONFIGURATION, 1, 16, 0, None),
    ];
    let swept =
        vec![request(SWEEP, 0, 0, 0, None), request(REGISTRATION, 0, 0, 0, None), request(SWEEP, 0, 0, 0, None)];
    let registrations = vec![
        request(REGISTRATION, 0, 0, 0, Some(0)),
        request(REGISTRATION, 0, 0, 0, None),
        request(REGISTRATION, 0, 1, 0, None),
    ];
    let protocol = |clients, requests| Protocol {
        clients,
        requests,
        attempts: ATTEMPTS,
        changes: 5,
        variant,
        examples: Vec::new(),
    };
    let api = |id, is_owner| ClientItem::new(id, true, is_owner);
    [
        protocol(vec![api(0, true), api(1, true), api(2, false)], owners),
        protocol(vec![ClientItem::new(0, false, false)], swept),
        protocol(vec![ClientItem::new(0, false, false)], registrations),
    ]
}

/// A random trace of the model.
fn random_trace(protocol: &Protocol, random: &mut Random) -> Trace {
    let mut trace: Trace = Vec::new();
    let mut state = protocol.init_states().remove(0);
    while trace.len() < MAX_STEPS {
        let mut actions = Vec::new();
        protocol.actions(&state, &mut actions);
        if actions.is_empty() {
            break;
        }
        let action = actions.swap_remove(random.below(actions.len()));
        let Some(next) = protocol.next_state(&state, action) else { continue };
        trace.push((action, next.clone()));
        state = next;
    }
    trace
}

/// Every trace of the model that cannot be continued.
fn every_trace(protocol: &Protocol) -> Vec<Trace> {
    let mut complete = Vec::new();
    let mut open: Vec<(Trace, State)> = vec![(Vec::new(), protocol.init_states().remove(0))];
    while let Some((trace, state)) = open.pop() {
        let mut actions = Vec::new();
        protocol.actions(&state, &mut actions);
        let next = actions.into_iter().filter_map(|action| Some((action, protocol.next_state(&state, action)?)));
        let before = open.len();
        open.extend(next.map(|(action, next)| {
            let mut trace = trace.clone();
            trace.push((action, next.clone()));
            (trace, next)
        }));
        if open.len() == before {
            complete.push(trace);
        }
    }
    complete
}

/// Runs random traces of the variant. Returns the number of the first that differs, and the difference.
fn first_difference(variant: Variant, mut random: Random, traces: usize) -> Option<(usize, String)> {
    let mut world = World::new(ATTEMPTS);
    let protocols = protocols(variant);
    for number in 0..traces {
        let protocol = &protocols[number % protocols.len()];
        let trace = random_trace(protocol, &mut random);
        if let Err(difference) = world.run(protocol, &trace) {
            return Some((number + 1, difference));
        }
    }
    None
}

#[test]
fn random_traces_agree() {
    let traces: usize = env::var("TRACES").map_or(400, |traces| traces.parse().unwrap());
    let threads = thread::available_parallelism().unwrap().get();
    println!("TRACES={traces}, in {threads} threads");
    let mut random = Random::new();
    thread::scope(|scope| {
        for _ in 0..threads {
            let random = random.branch();
            scope.spawn(move || {
                assert_eq!(first_difference(Variant::LateArrival, random, traces.div_ceil(threads)), None);
            });
        }
    });
}

#[test]
fn every_trace_of_one_request_and_one_change_agrees() {
    let mut world = World::new(ATTEMPTS);
    for protocol in protocols(Variant::LateArrival) {
        let requests = protocol.requests[..1].to_vec();
        let protocol = Protocol { requests, changes: 1, ..protocol };
        let traces = every_trace(&protocol);
        println!("{}: {} traces", protocol.requests[0].endpoint, traces.len());
        for trace in traces {
            assert_eq!(world.run(&protocol, &trace), Ok(()), "{trace:#?}");
        }
    }
}

#[test]
fn a_planted_difference_is_found() {
    for variant in [
        Variant::OmitsVersion,
        Variant::OmitsProtection,
        Variant::Omits("NotOwner"),
        Variant::Omits("RegistrationToken"),
        Variant::Omits("Idle"),
        Variant::EveryTombstoneIsOwn,
        Variant::NoTombstoneIsOwn,
        Variant::NoAnswerIsSuccess,
        Variant::RefusesAfterAmbiguous,
        Variant::TrustsServerErrors,
        Variant::RestoresSameVersion,
    ] {
        let (traces, difference) = first_difference(variant, Random::new(), 5_000).expect("a difference");
        println!("{variant:?}: found in trace {traces}: {}", difference.split(',').next().unwrap_or_default());
    }
}
