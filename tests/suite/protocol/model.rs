//! The states of the model and the steps between them.

use super::{
    item::{Blocked, ClientItem, Item, Tombstone},
    library::{Attempt, CarriedOut},
    properties::{PROMISES, Promise},
};
use deregister::{
    deletion,
    rule::{DeletionRequest, configuration, registration, sweep},
};
use stateright::{Model, Property};
use std::mem;

pub const CONFIGURATION: &str = configuration::Request::CHANNEL;
pub const REGISTRATION: &str = registration::Request::CHANNEL;
pub const SWEEP: &str = sweep::Request::CHANNEL;

/// The model: clients, requests, and how much may happen.
#[derive(Debug, Clone)]
pub struct Protocol {
    pub clients: Vec<ClientItem>,
    pub requests: Vec<Request>,
    /// The attempts of each write.
    pub attempts: u8,
    /// The changes that other writers may make.
    pub changes: u8,
    pub variant: Variant,
    /// What must be possible.
    pub examples: Vec<Promise>,
}

/// A request as its caller sends it.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    pub endpoint: &'static str,
    pub caller: usize,
    pub credential: u8,
    pub target: usize,
    pub if_match: Option<u8>,
}

/// What differs from the usual protocol.
#[derive(Debug, Clone, Copy)]
pub enum Variant {
    Usual,
    /// An attempt may arrive after its sender gave it up.
    LateArrival,
    /// A tombstone may be collected at once.
    EarlyCollection,
    /// Planted defect: the write does not assert the preconditions with this name.
    Omits(&'static str),
    /// Planted defect: the write does not assert that the client is not protected.
    OmitsProtection,
    /// Planted defect: the write does not assert the version. Attempts may arrive late.
    OmitsVersion,
    /// Planted defect: a request treats the tombstone of another request as its own.
    EveryTombstoneIsOwn,
    /// Planted defect: a request treats its own tombstone as that of another request.
    NoTombstoneIsOwn,
    /// Planted defect: no answer counts as success.
    NoAnswerIsSuccess,
    /// Planted defect: a refusal is answered after an ambiguous attempt. Attempts may arrive late.
    RefusesAfterAmbiguous,
    /// Planted defect: an attempt that is answered with a 5xx counts as one that changed nothing. Attempts may arrive
    /// late.
    TrustsServerErrors,
    /// Planted defect: a restoration does not change the version. Attempts may arrive late.
    RestoresSameVersion,
}

/// What a request has read, item by item.
pub type Reads = Vec<Option<Item>>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub table: Vec<Item>,
    pub requests: Vec<Progress>,
    /// The changes that other writers may still make.
    pub changes: u8,
}

/// The progress of a request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct Progress {
    pub phase: Phase,
    /// The reads behind an attempt that its sender gave up and that may still arrive.
    pub delayed: Option<Reads>,
    /// How often its write took effect.
    pub deletions: u8,
    /// Whether its write took effect without an answer.
    pub took_effect_unanswered: bool,
    /// Whether its write took effect and no restoration ended the deletion.
    pub is_in_effect: bool,
    /// Whether its target was restored after it was read.
    pub predates_restoration: bool,
    /// Whether its write took effect after such a restoration.
    pub undid_restoration: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Phase {
    Reading(Reads),
    Writing {
        reads: Reads,
        /// The attempts that are left.
        attempts: u8,
        /// Whether an earlier attempt may have taken effect, or may still take effect.
        is_ambiguous: bool,
        /// The writes that are left after this one.
        writes: u32,
    },
    /// `is_certain`: the answer is what the database said.
    Answered {
        answer: Answer,
        is_certain: bool,
    },
}

/// The answer to a request: 204, a 4xx with the reason in the log, or 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    Deleted,
    Refused(&'static str),
    Unavailable,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    Read { request: usize, item: usize },
    Attempt { request: usize, delivery: Delivery },
    ArriveLate { request: usize },
    Change { item: usize, into: Item },
}

/// What the network does with an attempt.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Delivery {
    Answered,
    AnswerLost,
    RequestLost,
    /// The sender gives the attempt up, and it may arrive later.
    Delayed,
    /// The write takes effect, or its condition fails. The answer is a 5xx.
    ServerError,
    /// The answer is a 5xx, and the attempt may arrive later.
    DelayedAfterServerError,
}

impl Delivery {
    /// Whether the write is carried out at once.
    pub fn arrives(self) -> bool {
        matches!(self, Self::Answered | Self::AnswerLost | Self::ServerError)
    }

    fn is_delayed(self) -> bool {
        matches!(self, Self::Delayed | Self::DelayedAfterServerError)
    }

    fn is_server_error(self) -> bool {
        matches!(self, Self::ServerError | Self::DelayedAfterServerError)
    }
}

impl Progress {
    /// Whether the request has read something that it decides on, and may still write.
    fn is_under_way(&self) -> bool {
        let may_write = match &self.phase {
            Phase::Reading(reads) => reads.iter().any(Option::is_some),
            Phase::Writing { .. } => true,
            Phase::Answered { .. } => false,
        };
        may_write || self.delayed.is_some()
    }

    /// Whether the request has read this item and may still write.
    fn has_read(&self, item: usize) -> bool {
        let may_write = match &self.phase {
            Phase::Reading(reads) => reads[item].is_some(),
            Phase::Writing { .. } => true,
            Phase::Answered { .. } => false,
        };
        may_write || self.delayed.is_some()
    }

    /// The answer, if the request has one.
    pub fn answer(&self) -> Option<Answer> {
        match self.phase {
            Phase::Answered { answer, .. } => Some(answer),
            _ => None,
        }
    }

    pub fn is_refused(&self) -> bool {
        matches!(self.phase, Phase::Answered { answer: Answer::Refused(_), .. })
    }

    pub fn is_refused_for(&self, reason: &str) -> bool {
        matches!(self.phase, Phase::Answered { answer: Answer::Refused(known), .. } if known == reason)
    }

    /// Whether this is the answer, and whether it is certain.
    pub fn is_answered(&self, expected: Answer, certain: bool) -> bool {
        matches!(self.phase, Phase::Answered { answer, is_certain } if answer == expected && is_certain == certain)
    }
}

impl State {
    pub fn any_request(&self, condition: impl FnMut(&Progress) -> bool) -> bool {
        self.requests.iter().any(condition)
    }

    pub fn all_tombstones(&self, condition: impl FnMut(&Tombstone) -> bool) -> bool {
        self.table.iter().filter_map(Item::tombstone).all(condition)
    }
}

impl Protocol {
    /// The items that a request has yet to read.
    fn unread<'m>(&'m self, request: usize, reads: &'m Reads) -> impl Iterator<Item = usize> + 'm {
        let Request { caller, target, .. } = self.requests[request];
        (0..reads.len()).filter(move |&item| [caller, target].contains(&item) && reads[item].is_none())
    }

    /// What other writers may change an item to.
    fn changes(&self, item: Item) -> Vec<Item> {
        match item {
            Item::Free(client) => vec![Item::Live(client), Item::Blocked(Blocked::Free(client))],
            Item::Live(old) => {
                let renaming = ClientItem { version: old.version + 1, ..old };
                // Some writers forget the version.
                let protection = ClientItem { is_protected: !old.is_protected, ..old };
                let rotation = ClientItem { credential: old.credential + 1, ..old };
                let ownership = old.is_api.then_some(ClientItem { is_owner: !old.is_owner, ..old });
                // A noted use changes nothing of the client itself.
                let is_tracked = !old.is_api && !old.is_used && self.requests.iter().any(|r| r.endpoint == SWEEP);
                let used = is_tracked.then_some(ClientItem { is_used: true, ..old });
                // One is enough: a revocation is a change of the version that is no restoration.
                let revocation = (old.revocations == 0).then_some(ClientItem { revocations: 1, ..renaming });
                let changed =
                    [renaming, protection, rotation].into_iter().chain(ownership).chain(used).chain(revocation);
                // The operator's rule refuses the others.
                let block = (!old.is_owner && !old.is_protected).then_some(Item::Blocked(Blocked::Live(old)));
                changed.map(Item::Live).chain(block).collect()
            }
            Item::Blocked(Blocked::Free(client)) => vec![Item::Free(client)],
            Item::Blocked(Blocked::Live(client)) => vec![Item::Live(self.restored(client))],
            Item::Blocked(Blocked::Deleted(tombstone)) => vec![Item::Deleted(tombstone)],
            Item::Deleted(tombstone @ Tombstone { client, under_way, .. }) => {
                let may_be_collected = under_way == 0 || matches!(self.variant, Variant::EarlyCollection);
                let credential = client.credential + 1;
                let successor = ClientItem { credential, ..ClientItem::new(0, client.is_api, false) };
                let others = [Item::Live(self.restored(client)), Item::Blocked(Blocked::Deleted(tombstone))];
                others.into_iter().chain(may_be_collected.then_some(Item::Free(successor))).collect()
            }
        }
    }

    /// A deleted client after its restoration.
    fn restored(&self, client: ClientItem) -> ClientItem {
        let version = client.version + u8::from(!matches!(self.variant, Variant::RestoresSameVersion));
        ClientItem { version, restorations: client.restorations + 1, is_used: !client.is_api, ..client }
    }

    /// An attempt to write, based on these reads. Returns the answer to the request that it makes, or the reads for
    /// another write.
    fn write(&self, state: &mut State, request: usize, reads: &Reads, attempt: Attempt) -> Result<Answer, Reads> {
        let under_way = state.requests.iter().rev().fold(0, |bits, other| 2 * bits + u8::from(other.is_under_way()));
        let CarriedOut { answer, mut target, again } = self.carry_out(request, reads, Some(attempt), &state.table);
        let item = &mut state.table[self.requests[request].target];
        if let (Item::Live(_), Item::Deleted(tombstone)) = (&item, &mut target) {
            tombstone.under_way = under_way;
            let progress = &mut state.requests[request];
            progress.deletions += 1;
            progress.is_in_effect = true;
            progress.took_effect_unanswered |= attempt.delivery != Delivery::Answered;
            progress.undid_restoration |= progress.predates_restoration;
        }
        *item = target;
        match again {
            Some(found) => {
                let mut reads = reads.clone();
                reads[self.requests[request].target] = Some(found);
                Err(reads)
            }
            None => Ok(answer),
        }
    }

    fn answer(&self, state: &mut State, request: usize, answer: Answer, is_certain: bool) {
        let tombstone = state.table[self.requests[request].target].tombstone_mut();
        if let (Answer::Deleted, Some(tombstone)) = (answer, tombstone) {
            tombstone.reports += 1;
        }
        state.requests[request].phase = Phase::Answered { answer, is_certain };
    }

    /// Reads an item. After the last one the request decides.
    fn read(&self, state: &mut State, request: usize, item: usize) -> Option<()> {
        let found = state.table[item];
        let Phase::Reading(reads) = &mut state.requests[request].phase else { return None };
        reads[item] = Some(found);
        if self.unread(request, reads).next().is_none() {
            let reads = mem::take(reads);
            match self.carry_out(request, &reads, None, &state.table).answer {
                // Only the write has no answer: the rule authorized it.
                Answer::Unavailable => {
                    let (attempts, writes) = (self.attempts, deletion::MAX_WRITES - 1);
                    state.requests[request].phase = Phase::Writing { reads, attempts, is_ambiguous: false, writes };
                }
                answer => self.answer(state, request, answer, true),
            }
        }
        Some(())
    }

    fn attempt(&self, state: &mut State, request: usize, delivery: Delivery) -> Option<()> {
        let phase = state.requests[request].phase.clone();
        let Phase::Writing { reads, attempts, is_ambiguous, writes } = phase else { return None };
        let result = self.write(state, request, &reads, Attempt { delivery, is_after_ambiguous: is_ambiguous });
        if delivery.is_delayed() {
            state.requests[request].delayed = Some(reads.clone());
        }
        let is_answered = delivery == Delivery::Answered;
        let attempts = attempts - 1;
        match result {
            Err(reads) => match writes.checked_sub(1) {
                Some(writes) => {
                    let attempts = self.attempts;
                    state.requests[request].phase = Phase::Writing { reads, attempts, is_ambiguous: false, writes };
                }
                None => self.answer(state, request, Answer::Unavailable, true),
            },
            Ok(answer) if is_answered || attempts == 0 => {
                let target = state.table[self.requests[request].target];
                let is_own = target.tombstone().is_some_and(|tombstone| tombstone.request == request);
                let is_certain = is_answered && (!is_ambiguous || is_own || answer != Answer::Unavailable);
                self.answer(state, request, answer, is_certain);
            }
            Ok(_) => {
                let is_trusted = delivery.is_server_error() && matches!(self.variant, Variant::TrustsServerErrors);
                let is_ambiguous = is_ambiguous || !is_trusted;
                state.requests[request].phase = Phase::Writing { reads, attempts, is_ambiguous, writes };
            }
        }
        Some(())
    }

    /// Another writer changes an item.
    fn change(&self, state: &mut State, item: usize, into: Item) {
        let from = mem::replace(&mut state.table[item], into);
        let is_restoration = matches!(from, Item::Deleted(_) | Item::Blocked(_)) && matches!(into, Item::Live(_));
        if is_restoration {
            if let Some(restored) = from.tombstone() {
                state.requests[restored.request].is_in_effect = false;
            }
            let of_item = self.requests.iter().zip(&mut state.requests).filter(|(request, _)| request.target == item);
            for (_, progress) in of_item {
                progress.predates_restoration |= progress.has_read(item);
            }
        }
        state.changes -= 1;
    }

    fn arrive_late(&self, state: &mut State, request: usize) -> Option<()> {
        let reads = state.requests[request].delayed.take()?;
        let attempt = Attempt { delivery: Delivery::AnswerLost, is_after_ambiguous: false };
        // No request waits for its answer.
        let _ = self.write(state, request, &reads, attempt);
        Some(())
    }
}

/// Forgets, in every tombstone, the requests that are no longer under way.
fn forget_ended(state: &mut State) {
    let ended = state.requests.iter().enumerate().filter(|(_, request)| !request.is_under_way());
    let ended: u8 = ended.map(|(request, _)| 1 << request).sum();
    for tombstone in state.table.iter_mut().filter_map(Item::tombstone_mut) {
        tombstone.under_way &= !ended;
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let progress = Progress {
            phase: Phase::Reading(vec![None; self.clients.len()]),
            delayed: None,
            deletions: 0,
            took_effect_unanswered: false,
            is_in_effect: false,
            predates_restoration: false,
            undid_restoration: false,
        };
        let table = self.clients.iter().copied().map(Item::Live).collect();
        vec![State { table, requests: vec![progress; self.requests.len()], changes: self.changes }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (request, Progress { phase, delayed, .. }) in state.requests.iter().enumerate() {
            match phase {
                Phase::Reading(reads) => {
                    actions.extend(self.unread(request, reads).map(|item| Action::Read { request, item }));
                }
                Phase::Writing { .. } => {
                    let is_late = matches!(
                        self.variant,
                        Variant::LateArrival
                            | Variant::RefusesAfterAmbiguous
                            | Variant::TrustsServerErrors
                            | Variant::RestoresSameVersion
                            | Variant::OmitsVersion
                    );
                    let deliveries = [Delivery::Answered, Delivery::AnswerLost, Delivery::RequestLost].into_iter();
                    let late = [Delivery::Delayed, Delivery::ServerError, Delivery::DelayedAfterServerError];
                    let late = late.into_iter().filter(|late| is_late && (delayed.is_none() || !late.is_delayed()));
                    let deliveries = deliveries.chain(late);
                    actions.extend(deliveries.map(|delivery| Action::Attempt { request, delivery }));
                }
                Phase::Answered { .. } => {}
            }
            actions.extend(delayed.is_some().then_some(Action::ArriveLate { request }));
        }
        for (item, &current) in state.table.iter().enumerate().filter(|_| state.changes > 0) {
            actions.extend(self.changes(current).into_iter().map(|into| Action::Change { item, into }));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Read { request, item } => self.read(&mut state, request, item)?,
            Action::Attempt { request, delivery } => self.attempt(&mut state, request, delivery)?,
            Action::ArriveLate { request } => self.arrive_late(&mut state, request)?,
            Action::Change { item, into } => self.change(&mut state, item, into),
        }
        forget_ended(&mut state);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let promises = PROMISES.iter().map(|&(name, holds)| Property::always(name, holds));
        promises.chain(self.examples.iter().map(|&(name, holds)| Property::sometimes(name, holds))).collect()
    }
}
