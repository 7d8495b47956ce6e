//! The protocol, checked exhaustively for small sizes: every order in which a few requests, the changes of others and
//! the accidents of a network can meet.
//!
//! **What is real.** [`deletion::delete`] carries out each request by its door's rule, over a [`Store`] that answers from
//! the model's table: the decisions, the preconditions, the record of a deletion and what is made of a failed condition are
//! the library's own. Only the condition of the write is written down a second time ([`Held::is`]), and the last test
//! holds that against the database.
//!
//! **What is modelled.** Clients, live, deleted or gone, and requests at the Configuration API and at the client
//! configuration endpoint. A request reads its items one by one, since a `BatchGetItem` is no snapshot, and tries to
//! write until there is an answer or no try left. A try takes effect and is answered, takes effect unheard, or never
//! arrives. Meanwhile others make owners of clients, protect them and rotate their secrets; an operator restores what was
//! deleted; tombstones are collected once they have expired, and their ids go to new clients with new secrets.
//!
//! **What is left out.** A decision and the arrival of an answer are no steps of their own, since nothing that happens
//! in between has a say in them; an expired tombstone is one that nobody restores any more. Of time there is only this:
//! a tombstone outlives the requests that were under way when it was made, and no try arrives after its sender gave it
//! up; [`World`] lifts either. In the model every try before the last went unheard, so that a retry is always in doubt. Failing reads, addresses and the Authlete API are left to the other tests.
//!
//! **Bounds.** One to three clients, two or three requests of two or three tries, up to four changes by others.

use crate::support::Fixture;
use deregister::{
    deletion::{self, NotDeleted},
    invocation::Invocation,
    model::{
        ApiClient, Client, Deletion, Digest, Id, IfMatch, Kind, Metadata, OAuthClient, OWNER, StoredSecret, Version,
    },
    rule::{Authorization, DeletionRequest, Precondition, configuration, registration},
    snapshot::{Key, Record, Snapshot},
    store::{Fault, Store, WriteOutcome},
};
use stateright::{Checker, Model, Property};
use std::{collections::BTreeSet, sync::Mutex, time::Duration};
use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};

const APPLICATION: &str = "application";
const CONFIGURATION: &str = configuration::Request::DOOR;
const REGISTRATION: &str = registration::Request::DOOR;

/// What stands under a client's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Item {
    /// Nothing: this client may be created.
    Free(Held),
    Live(Held),
    Dead(Tombstone),
}

/// A client as the table holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Held {
    /// Whether it is an API client, and not an OAuth client.
    api: bool,
    owner: bool,
    protected: bool,
    /// The number of its secret or token. None is ever used again.
    credential: u8,
    version: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Tombstone {
    client: Held,
    /// The request that the record names, and whether it names the caller and the door, too.
    by: usize,
    recorded: bool,
    /// Whether who asked was an owner when it was read, or holds the client's own token.
    rightful: bool,
    /// How many requests were told that this deletion is theirs.
    claims: u8,
    /// The requests that were under way at the time and still are, a bit each.
    during: u8,
}

/// A request as its caller makes it.
#[derive(Debug, Clone, Copy)]
struct Ask {
    door: &'static str,
    caller: usize,
    credential: u8,
    target: usize,
    if_match: Option<u8>,
}

/// What a request has read, item by item.
type Seen = Vec<Option<Item>>;

/// How far a request has come.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Progress {
    phase: Phase,
    /// What a try was sent upon that its sender gave up, and that may still arrive.
    afloat: Option<Seen>,
    /// Whether its write ever took effect, whether it did so unheard, and whether that has not been undone.
    took: bool,
    unheard: bool,
    stands: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Phase {
    Reading(Seen),
    Writing { read: Seen, tries: u8 },
    // `heard`: the answer is what the database said.
    Answered { answer: Answer, heard: bool },
}

/// 204, 4xx with its reason in the log, 503.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Answer {
    Deleted,
    Refused(String),
    Unavailable,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct State {
    table: Vec<Item>,
    requests: Vec<Progress>,
    /// How many changes others may still make.
    changes: u8,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Action {
    Read { request: usize, item: usize },
    Try { request: usize, fate: Fate },
    ArriveLate { request: usize },
    Change { item: usize, into: Item },
}

/// What becomes of a try to write.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Answered,
    AnswerLost,
    NeverArrives,
    GivenUp,
}

/// What is not as usual: in the last six, the protocol itself, to show that the check would find it.
#[derive(Debug, Clone, Copy)]
enum World {
    Usual,
    /// A try may arrive after its sender gave it up.
    Late,
    /// A tombstone may be collected at once.
    Hasty,
    /// The write does not assert preconditions of this name.
    Forgets(&'static str),
    ForgetsProtection,
    /// Every tombstone is taken for one's own.
    AllTombstonesAreMine,
    /// One's own tombstone is taken for another's.
    NoTombstoneIsMine,
    /// No answer is taken for a good one.
    SilenceIsConsent,
    /// A refusal is told although an earlier try may still arrive, as it may in this world.
    NoDoubt,
}

#[derive(Debug, Clone)]
struct Protocol {
    clients: Vec<Held>,
    asks: Vec<Ask>,
    tries: u8,
    changes: u8,
    world: World,
    /// What must be possible.
    examples: Vec<Claim>,
}

/// Something said of a state.
type Claim = (&'static str, fn(&Protocol, &State) -> bool);

fn id(n: usize) -> Id {
    Id::new(n.to_string()).unwrap()
}

fn digest(credential: u8) -> Digest {
    Digest::of([credential])
}

/// The record of a deletion by this request, as far as it is ever read.
fn record_of(request: usize) -> Deletion {
    let [by, via] = [String::new(), String::new()];
    Deletion { at: support::now(), by, via, source_ip: None, request_id: request.to_string() }
}

impl Held {
    /// The first client under the id with this number.
    fn new(n: u8, api: bool, owner: bool) -> Self {
        Self { api, owner, protected: false, credential: 16 * n, version: 0 }
    }

    /// The client as the library knows it.
    fn client(self) -> Client {
        let digest = digest(self.credential);
        let kind = if self.api {
            let features = self.owner.then(|| OWNER.to_owned()).into_iter().collect();
            let secrets = vec![StoredSecret { digest, expires_at: None }];
            Kind::Api(ApiClient { app_id: APPLICATION.to_owned(), features, secrets, ..ApiClient::default() })
        } else {
            let (registration_token_digest, metadata) = (Some(digest), Metadata::default());
            Kind::OAuth(OAuthClient { service_id: id(0), dynamic: true, registration_token_digest, metadata })
        };
        Client { kind, protected: self.protected, version: Some(Version(self.version.into())), idle: None }
    }

    /// Whether the clause holds by which the write asserts the premise.
    fn is(self, premise: &Precondition<'_>) -> bool {
        match *premise {
            Precondition::Application(application) => self.api && application == APPLICATION,
            Precondition::NotOwner => !self.owner,
            Precondition::RegistrationToken(token) => !self.api && *token == digest(self.credential),
            Precondition::Dynamic => !self.api,
            Precondition::RegisteredAt(service) => !self.api && *service == id(0),
            Precondition::Idle(_) => unreachable!("nobody sweeps here"),
            Precondition::Version(Version(version)) => u64::from(self.version) == version,
        }
    }
}

impl Item {
    /// What a read says of it.
    fn record(&self) -> Option<Record> {
        match self {
            Self::Free(_) => None,
            Self::Live(client) => Some(Record::Client(client.client())),
            Self::Dead(tombstone) => Some(Record::Deleted(record_of(tombstone.by))),
        }
    }

    /// The write of this request, and its condition.
    fn bury(&mut self, permit: &Authorization<'_>, by: usize, world: World) -> WriteOutcome {
        let holds = |client: &Held, premise| match world {
            World::Forgets(name) if format!("{premise:?}").starts_with(name) => true,
            _ => client.is(premise),
        };
        let may = |client: &Held| !client.protected || matches!(world, World::ForgetsProtection);
        match *self {
            Self::Live(client)
                if may(&client) && permit.preconditions.iter().all(|premise| holds(&client, premise)) =>
            {
                *self = Self::Dead(Tombstone::of(client, by));
                WriteOutcome::Written
            }
            _ => WriteOutcome::ConditionFailed(self.record()),
        }
    }
}

impl Tombstone {
    fn of(client: Held, by: usize) -> Self {
        Self { client, by, recorded: false, rightful: false, claims: 0, during: 0 }
    }
}

/// The database as a request meets it.
struct Database<'m> {
    protocol: &'m Protocol,
    request: usize,
    read: &'m Seen,
    /// `None`: the write is not sent yet.
    fate: Option<Fate>,
    /// Whether a try before this one had no answer.
    doubt: bool,
    target: Mutex<Item>,
}

impl Store for Database<'_> {
    async fn load(&self, keys: BTreeSet<Key>, _: &Meter) -> Result<Snapshot, Fault> {
        let number = |key: &Key| key.to_string().trim_start_matches("client#").parse::<usize>().unwrap();
        let found = |key: Key| self.read[number(&key)].unwrap().record().map(|record| (key, record));
        Ok(keys.into_iter().filter_map(found).collect())
    }

    async fn write_tombstone(
        &self,
        permit: &Authorization<'_>,
        deletion: &Deletion,
        _: &Meter,
    ) -> Result<WriteOutcome, Fault> {
        let world = self.protocol.world;
        let Ask { door, caller, credential, target, .. } = self.protocol.asks[self.request];
        assert_eq!(*permit.target, id(target));
        let write = || {
            let mut item = self.target.lock().unwrap();
            let burial = item.write_tombstone(permit, deletion.request_id.parse().unwrap(), world);
            if let (WriteOutcome::Written, Item::Dead(dead)) = (&burial, &mut *item) {
                dead.recorded = deletion.by == format!("client#{caller}") && deletion.via == door;
                dead.rightful = match self.read[caller] {
                    Some(Item::Live(owner)) if door == CONFIGURATION => owner.owner && owner.credential == credential,
                    _ => door == REGISTRATION && dead.client.credential == credential,
                };
            }
            burial
        };
        let silence = Err(Fault::Unavailable("no answer".to_owned()));
        let answer = match self.fate {
            None => return silence,
            Some(Fate::Answered) => Ok(write()),
            Some(Fate::AnswerLost) => Ok(write()).and(silence.clone()),
            Some(Fate::NeverArrives | Fate::GivenUp) => silence.clone(),
        };
        let found = |by| Ok(WriteOutcome::ConditionFailed(Some(Record::Deleted(record_of(by)))));
        let answer = match (world, &answer) {
            (World::AllTombstonesAreMine, Ok(WriteOutcome::ConditionFailed(Some(Record::Deleted(_))))) => {
                found(self.request)
            }
            (World::NoTombstoneIsMine, Ok(WriteOutcome::ConditionFailed(Some(Record::Deleted(_))))) => {
                found(usize::MAX)
            }
            (World::SilenceIsConsent, Err(_)) => Ok(WriteOutcome::Written),
            _ => answer,
        };
        let is_own = answer == found(self.request);
        // What went unheard before may have been undone, or may still arrive.
        let doubt = self.doubt && !matches!(world, World::NoDoubt);
        if doubt && !is_own && matches!(answer, Ok(WriteOutcome::ConditionFailed(_))) { silence } else { answer }
    }
}

/// What the library makes of the request.
fn carry_out(database: &Database<'_>, request: impl DeletionRequest) -> Answer {
    thread_local!(static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().unwrap());
    let invocation = Invocation {
        now: support::now(),
        deadline: Instant::now() + Duration::from_hours(1),
        source_ip: None,
        request_id: database.request.to_string(),
    };
    let ended = RUNTIME.with(|runtime| runtime.block_on(deletion::delete(database, request, &invocation)));
    match ended.result {
        Ok(()) => Answer::Deleted,
        Err(NotDeleted::Refused(reason)) => Answer::Refused(reason.to_string()),
        Err(NotDeleted::ReadFailed(_) | NotDeleted::WriteFailed(_)) => Answer::Unavailable,
    }
}

impl Progress {
    /// Whether it has read something that it decides on, and may yet write.
    fn is_under_way(&self) -> bool {
        let may_write = match &self.phase {
            Phase::Reading(read) => read.iter().any(Option::is_some),
            Phase::Writing { .. } => true,
            Phase::Answered { .. } => false,
        };
        may_write || self.afloat.is_some()
    }

    fn is_refused(&self, because: &str) -> bool {
        matches!(&self.phase, Phase::Answered { answer: Answer::Refused(reason), .. } if reason.contains(because))
    }

    /// Whether this is its answer, and whether the database said so.
    fn is_told(&self, what: &Answer, for_certain: bool) -> bool {
        matches!(&self.phase, Phase::Answered { answer, heard } if answer == what && *heard == for_certain)
    }
}

impl State {
    fn any(&self, condition: impl FnMut(&Progress) -> bool) -> bool {
        self.requests.iter().any(condition)
    }

    fn all_dead(&self, mut condition: impl FnMut(&Tombstone) -> bool) -> bool {
        self.table.iter().all(|item| if let Item::Dead(tombstone) = item { condition(tombstone) } else { true })
    }
}

impl Protocol {
    /// Lets the library carry out a request as far as the write's fate allows: the answer, and what becomes of the target.
    fn run(&self, request: usize, read: &Seen, fate: Option<Fate>, doubt: bool, table: &[Item]) -> (Answer, Item) {
        let Ask { door, caller, credential, target, if_match } = self.asks[request];
        let database = Database { protocol: self, request, read, fate, doubt, target: Mutex::new(table[target]) };
        let (caller, token, target) = (id(caller), digest(credential), id(target));
        let if_match = if_match.map(|version| IfMatch::OneOf(vec![Version(version.into())]));
        let answer = if door == CONFIGURATION {
            let (secret, application) = (token, APPLICATION.to_owned());
            let request = configuration::Request { caller, secret, source_ip: None, application, target, if_match };
            carry_out(&database, request)
        } else {
            carry_out(&database, registration::Request { target, token, if_match })
        };
        (answer, database.target.into_inner().unwrap())
    }

    /// The items that a request has yet to read.
    fn unread<'m>(&'m self, request: usize, read: &'m Seen) -> impl Iterator<Item = usize> + 'm {
        let Ask { caller, target, .. } = self.asks[request];
        (0..read.len()).filter(move |&item| [caller, target].contains(&item) && read[item].is_none())
    }

    /// What others may make of an item.
    fn changes(&self, item: Item) -> Vec<Item> {
        match item {
            Item::Free(client) => vec![Item::Live(client)],
            Item::Live(old) => {
                let client = Held { version: old.version + 1, ..old };
                let protected = Held { protected: !old.protected, ..client };
                let rotated = Held { credential: old.credential + 1, ..client };
                let owner = old.api.then_some(Held { owner: !old.owner, ..client });
                [protected, rotated].into_iter().chain(owner).map(Item::Live).collect()
            }
            Item::Dead(Tombstone { client, during, .. }) => {
                let may_be_collected = during == 0 || matches!(self.world, World::Hasty);
                let successor = Held { credential: client.credential + 1, ..Held::new(0, client.api, false) };
                [Item::Live(client)].into_iter().chain(may_be_collected.then_some(Item::Free(successor))).collect()
            }
        }
    }

    /// A try to write on what was read: the answer that it makes.
    fn write(&self, state: &mut State, request: usize, read: &Seen, fate: Fate, doubt: bool) -> Answer {
        let during = state.requests.iter().rev().fold(0, |bits, other| 2 * bits + u8::from(other.is_under_way()));
        let (answer, mut target) = self.run(request, read, Some(fate), doubt, &state.table);
        let before = &mut state.table[self.asks[request].target];
        if let (Item::Live(_), Item::Dead(tombstone)) = (&before, &mut target) {
            tombstone.during = during;
            let progress = &mut state.requests[request];
            (progress.took, progress.stands) = (true, true);
            progress.unheard |= fate != Fate::Answered;
        }
        *before = target;
        answer
    }

    fn answer(&self, state: &mut State, request: usize, answer: Answer, heard: bool) {
        if let (Answer::Deleted, Item::Dead(tombstone)) = (&answer, &mut state.table[self.asks[request].target]) {
            tombstone.claims += 1;
        }
        state.requests[request].phase = Phase::Answered { answer, heard };
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let phase = Phase::Reading(vec![None; self.clients.len()]);
        let progress = Progress { phase, afloat: None, took: false, unheard: false, stands: false };
        let table = self.clients.iter().copied().map(Item::Live).collect();
        vec![State { table, requests: vec![progress; self.asks.len()], changes: self.changes }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (request, Progress { phase, afloat, .. }) in state.requests.iter().enumerate() {
            match phase {
                Phase::Reading(read) => {
                    actions.extend(self.unread(request, read).map(|item| Action::Read { request, item }));
                }
                Phase::Writing { .. } => {
                    let may_be_late = matches!(self.world, World::Late | World::NoDoubt) && afloat.is_none();
                    let fates = [Fate::Answered, Fate::AnswerLost, Fate::NeverArrives].into_iter();
                    let fates = fates.chain(may_be_late.then_some(Fate::GivenUp));
                    actions.extend(fates.map(|fate| Action::Try { request, fate }));
                }
                Phase::Answered { .. } => {}
            }
            actions.extend(afloat.is_some().then_some(Action::ArriveLate { request }));
        }
        for (item, &now) in state.table.iter().enumerate().filter(|_| state.changes > 0) {
            actions.extend(self.changes(now).into_iter().map(|into| Action::Change { item, into }));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Read { request, item } => {
                let Phase::Reading(read) = &mut state.requests[request].phase else { return None };
                read[item] = Some(last.table[item]);
                if self.unread(request, read).next().is_none() {
                    let read = std::mem::take(read);
                    match self.run(request, &read, None, false, &last.table) {
                        // Only the write has no answer: it is permitted.
                        (Answer::Unavailable, _) => {
                            state.requests[request].phase = Phase::Writing { read, tries: self.tries };
                        }
                        (answer, _) => self.answer(&mut state, request, answer, true),
                    }
                }
            }
            Action::Try { request, fate } => {
                let Phase::Writing { read, tries } = &last.requests[request].phase else { return None };
                let doubt = *tries < self.tries;
                let answer = self.write(&mut state, request, read, fate, doubt);
                let (answered, tries) = (fate == Fate::Answered, tries - 1);
                let is_own = matches!(state.table[self.asks[request].target], Item::Dead(dead) if dead.by == request);
                let heard = answered && (!doubt || is_own || answer != Answer::Unavailable);
                if fate == Fate::GivenUp {
                    state.requests[request].afloat = Some(read.clone());
                }
                if answered || tries == 0 {
                    self.answer(&mut state, request, answer, heard);
                } else {
                    state.requests[request].phase = Phase::Writing { read: read.clone(), tries };
                }
            }
            Action::ArriveLate { request } => {
                let read = state.requests[request].afloat.take()?;
                self.write(&mut state, request, &read, Fate::AnswerLost, false);
            }
            Action::Change { item, into } => {
                state.table[item] = into;
                if let (Item::Dead(restored), Item::Live(_)) = (last.table[item], into) {
                    state.requests[restored.by].stands = false;
                }
                state.changes -= 1;
            }
        }
        let over = state.requests.iter().enumerate().filter(|(_, request)| !request.is_under_way());
        let over: u8 = over.map(|(request, _)| 1 << request).sum();
        for item in &mut state.table {
            if let Item::Dead(tombstone) = item {
                tombstone.during &= !over;
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let promises = PROMISES.iter().map(|&(name, holds)| Property::always(name, holds));
        promises.chain(self.examples.iter().map(|&(name, holds)| Property::sometimes(name, holds))).collect()
    }
}

const NO_OWNER: Claim = ("no owner is deleted", |_, state| state.all_dead(|dead| !dead.client.owner));
const NO_PROTECTED: Claim =
    ("no protected client is deleted", |_, state| state.all_dead(|dead| !dead.client.protected));
const ONE_CLAIM: Claim = ("no two requests report one deletion", |_, state| state.all_dead(|dead| dead.claims <= 1));
const DONE: Claim = ("what is reported was done, and recorded with its caller and door", |_, state| {
    state.all_dead(|dead| dead.recorded)
        && !state.any(|request| request.is_told(&Answer::Deleted, true) && !request.took)
});
const UNCHANGED: Claim = ("nothing stands that a refused request did", |_, state| {
    !state.any(|request| request.is_refused("") && request.stands)
});
const NO_OLD_SECRET: Claim = ("old secrets and tokens delete nothing", |_, state| state.all_dead(|dead| dead.rightful));
const NO_GUESS: Claim = ("no deletion is reported on a guess, and no 503 hides a known one", |_, state| {
    !state.any(|request| request.is_told(&Answer::Deleted, false))
        && !state.any(|request| request.is_told(&Answer::Unavailable, true) && request.stands)
});
const THAT_VERSION: Claim = ("only the version that If-Match names is deleted", |model, state| {
    state.all_dead(|dead| model.asks[dead.by].if_match.is_none_or(|version| version == dead.client.version))
});

const PROMISES: [Claim; 8] =
    [NO_OWNER, NO_PROTECTED, ONE_CLAIM, DONE, UNCHANGED, NO_OLD_SECRET, NO_GUESS, THAT_VERSION];

/// Two owners that delete a client, one of them at one version alone, and the other its rival, once that is no owner.
fn owners() -> Protocol {
    let ask = |caller: u8, target, if_match| Ask {
        door: CONFIGURATION,
        caller: caller.into(),
        credential: 16 * caller,
        target,
        if_match,
    };
    Protocol {
        clients: vec![Held::new(0, true, true), Held::new(1, true, true), Held::new(2, true, false)],
        asks: vec![ask(0, 2, Some(0)), ask(1, 2, None), ask(1, 0, None)],
        tries: 2,
        changes: 2,
        world: World::Usual,
        examples: vec![
            ("a lost answer, and a 204 all the same", |model, state| {
                let untouched = state.changes == model.changes;
                untouched && state.any(|request| request.unheard && request.is_told(&Answer::Deleted, true))
            }),
            ("a 503, and the client is deleted", |_, state| {
                state.any(|request| request.is_told(&Answer::Unavailable, false) && request.stands)
            }),
            ("a deleted caller is refused", |_, state| state.any(|request| request.is_refused("deleted_caller"))),
            ("a new owner is not deleted", |_, state| state.any(|request| request.is_refused("target_is_owner"))),
        ],
    }
}

/// A client that deletes itself twice, and whoever has its id or its secret after it.
fn holders() -> Protocol {
    let ask = |credential| Ask { door: REGISTRATION, caller: 0, credential, target: 0, if_match: None };
    Protocol {
        clients: vec![Held::new(0, false, false)],
        asks: vec![ask(0), ask(0), ask(1)],
        tries: 3,
        changes: 4,
        world: World::Usual,
        examples: vec![
            ("a restored client is deleted again", |_, state| {
                state.any(|request| request.took && !request.stands) && state.any(|request| request.stands)
            }),
            ("an id is given away, and the old token is refused", |_, state| {
                let given_away = matches!(state.table[0], Item::Live(Held { credential: 1, version: 0, .. }));
                given_away && state.requests[0].is_refused("wrong_token")
            }),
        ],
    }
}

/// Checks it all. What it cost is printed.
fn check(protocol: Protocol) -> impl Checker<Protocol> {
    let checker = protocol.checker().spawn_bfs().join();
    let (states, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{:?}: {states} states, {depth} steps at the most", checker.model().world);
    checker
}

/// The promises that do not hold in this world, with fewer requests and changes.
fn broken(world: World, protocol: Protocol) -> Vec<&'static str> {
    let asks = protocol.asks[..2].to_vec();
    let broken = check(Protocol { world, asks, tries: 2, changes: 2, ..protocol }).discoveries();
    PROMISES.into_iter().map(|(name, _)| name).filter(|name| broken.contains_key(name)).collect()
}

#[test]
fn whatever_happens_meanwhile_what_is_promised_to_owners_holds() {
    check(owners()).assert_properties();
}

#[test]
fn whatever_happens_meanwhile_what_is_promised_to_holders_of_a_token_holds() {
    check(holders()).assert_properties();
}

#[test]
fn a_try_that_arrives_late_breaks_nothing() {
    // A try hangs, the next finds the client protected for the time being, and then the first arrives: no refusal was told.
    assert_eq!(broken(World::Late, owners()), [""; 0]);
    assert_eq!(broken(World::Late, holders()), [""; 0]);
}

#[test]
fn a_tombstone_that_does_not_outlive_its_request_breaks_nothing() {
    // A try takes effect unheard, and the next finds neither the client nor the tombstone: no refusal was told.
    assert_eq!(broken(World::Hasty, owners()), [""; 0]);
    assert_eq!(broken(World::Hasty, holders()), [""; 0]);
}

#[test]
fn a_defect_of_the_protocol_breaks_the_promise_that_it_concerns_and_no_other() {
    for (world, protocol, promises) in [
        (World::Forgets("NotOwner"), owners(), vec![NO_OWNER]),
        (World::Forgets("Version"), owners(), vec![THAT_VERSION]),
        (World::Forgets("RegistrationToken"), holders(), vec![NO_OLD_SECRET]),
        (World::ForgetsProtection, owners(), vec![NO_PROTECTED]),
        (World::ForgetsProtection, holders(), vec![NO_PROTECTED]),
        (World::AllTombstonesAreMine, owners(), vec![ONE_CLAIM, DONE]),
        (World::NoTombstoneIsMine, owners(), vec![NO_GUESS]),
        (World::SilenceIsConsent, owners(), vec![ONE_CLAIM, NO_GUESS]),
        (World::NoDoubt, owners(), vec![UNCHANGED]),
        (World::NoDoubt, holders(), vec![UNCHANGED]),
    ] {
        let names: Vec<_> = promises.into_iter().map(|(name, _)| name).collect();
        assert_eq!(broken(world, protocol), names, "{world:?}");
    }
}

/// Every client, live, deleted or gone, and every premise, against the database's own reading of the condition.
#[tokio::test]
async fn the_condition_of_the_model_is_the_databases() {
    let fixture = Fixture::empty().await;
    let (store, meter) = (fixture.direct(), Meter::default());
    let (token, service, deletion) = (digest(0), id(0), record_of(0));
    let preconditions = [
        None,
        Some(Precondition::Application(APPLICATION)),
        Some(Precondition::Application("another")),
        Some(Precondition::NotOwner),
        Some(Precondition::RegistrationToken(&token)),
        Some(Precondition::Dynamic),
        Some(Precondition::RegisteredAt(&service)),
        Some(Precondition::Version(Version(0))),
    ];
    let held = (0..32_u8).map(|bits| {
        let [api, owner, protected, rotated, changed] = [1, 2, 4, 8, 16].map(|bit| bits & bit != 0);
        Held { api, owner: api && owner, protected, credential: rotated.into(), version: changed.into() }
    });
    let unused = Held::new(0, true, false);
    let items = held.map(Item::Live).chain([Item::Free(unused), Item::Dead(Tombstone::of(unused, 0))]);
    for (n, (mut item, premise)) in items.flat_map(|item| preconditions.map(|premise| (item, premise))).enumerate() {
        let target = id(n);
        let all = Authorization { target: &target, preconditions: vec![] };
        if let Item::Live(client) | Item::Dead(Tombstone { client, .. }) = item {
            store.create_client(&target, &client.client()).await.unwrap();
        }
        if let Item::Dead(_) = item {
            store.write_tombstone(&all, &deletion, &meter).await.unwrap();
        }
        let permit = Authorization { preconditions: premise.into_iter().collect(), ..all };
        let burial = store.write_tombstone(&permit, &deletion, &meter).await.unwrap();
        assert_eq!(burial, item.write_tombstone(&permit, 0, World::Usual), "{item:?} {permit:?}");
    }
}
