//! The sweep: it deletes clients that registered themselves and are not used, by its [rule](crate::rule::sweep).
//!
//! It is a function on a schedule. It reads the index of idle clients, so the cost of a run depends on the number of
//! due clients, not on the size of the table. It deletes as the endpoints do, so each client can be restored. By
//! default, it only reports which clients it would delete.
//!
//! With a notice period, a run announces a due client. A later run deletes the client if it was not used in between.
//!
//! No client stops a run. If the database is unavailable for one, the client gets another turn after the others.

use super::{
    record::{Cost, Environment},
    wait::Wait,
};
use crate::{
    deletion::{self, MAX_WRITES, NotDeleted},
    invocation::Invocation,
    model::{Id, Idle, IdlePartition},
    rule::{
        Denied,
        sweep::{Refusal, Request},
    },
    settings,
    snapshot::{Key, Lookup, Snapshot},
    store::{CallStatistics, Fault, Grants, IdleClients, IdlePage, Store, WriteOutcome, before},
    telemetry::{self, Metric, Metrics},
};
use futures::{
    Stream, StreamExt, TryStreamExt,
    stream::{self, FuturesUnordered},
};
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde::{Serialize, de::IgnoredAny};
use std::{
    fmt::Display,
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    mem,
    pin::pin,
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, timeout_at};

/// Time reserved for the report.
const RESPONSE_MARGIN: Duration = Duration::from_secs(1);
/// Time reserved for the last clients. If the invocation has little time, half of it is reserved instead.
const CLIENT_MARGIN: Duration = Duration::from_secs(9);
/// The maximum number of turns of a client, and of reads of a page of the index.
const MAX_TURNS: u32 = 5;
/// The maximum number of clients that wait for another turn. When it is reached, they get their turns before the next
/// new client.
const MAX_WAITING: usize = 1000;
/// The maximum number of failed clients that the log names. Also the maximum number of unreadable ones.
const MAX_NAMED: usize = 1000;

/// The function that deletes idle clients.
#[derive(Debug, Clone)]
pub struct Sweep<S, G> {
    /// The clients.
    pub store: S,
    /// The grants table, if there is one. A client with a grant that has not ended is kept.
    pub grants: Option<G>,
    /// How long clients may be idle, whether to delete, how many, and how many at the same time.
    pub settings: settings::Sweep,
    /// Gives the time.
    pub clock: fn() -> SystemTime,
    /// The execution environment, for the record.
    pub environment: Environment,
}

/// The report of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether the run deletes, or only reports.
    pub deletes: bool,
    /// The clients that the index listed as due and that the run checked.
    pub due: usize,
    /// Those that were deleted, or would be.
    pub swept: usize,
    /// Those whose deletion was announced, or would be.
    pub announced: usize,
    /// Those whose deletion was announced before, for a later time.
    pub noticed: usize,
    /// Those that were kept because they are protected.
    pub protected: usize,
    /// Those that were kept because they have a grant that has not ended.
    pub granted: usize,
    /// Those that were kept because their items have no room for the notice of their deletion.
    pub full: usize,
    /// Those that were used, restored, changed or deleted after they were listed.
    pub changed: usize,
    /// Those that could not be read.
    pub unreadable: usize,
    /// Those for which the database refused a call, or was unavailable in every turn. If the last write of a client got no
    /// answer, that client may be deleted.
    pub failed: usize,
    /// Whether the run checked every due client. If not, the next run continues: a deleted client is no longer listed.
    pub complete: bool,
}

/// A client that the index lists as due.
struct Due {
    id: Id,
    idle: Idle,
    /// The turns that it has had. The database was unavailable in each.
    turns: u32,
    /// The fault of the latest turn.
    fault: Option<Fault>,
    /// Whether a write may have deleted or announced it. Then it keeps its place within the limit.
    is_ambiguous: bool,
    /// The date of the first announcement that may have been written.
    announced_for: Option<SystemTime>,
}

/// What the run found out about a client.
#[derive(Clone, Copy)]
enum ClientOutcome {
    Swept,
    /// Its deletion is announced for this time.
    Announced(SystemTime),
    Noticed,
    Protected,
    Granted,
    /// Its item has no room for the notice.
    Full,
    Changed,
}

impl From<Fault> for Diagnostic {
    fn from(fault: Fault) -> Self {
        Self { error_type: "Fault".to_owned(), error_message: fault.to_string() }
    }
}

impl<S: Store + IdleClients, G: Grants> Sweep<S, G> {
    /// Runs once, whatever the event, and logs the report.
    ///
    /// # Errors
    /// The [`Fault`] of the index if the database does not give it. Otherwise, the first fault of a client that failed.
    /// The run has then continued with the other clients.
    pub async fn call(&self, LambdaEvent { context, .. }: LambdaEvent<IgnoredAny>) -> Result<Report, Fault> {
        let started = Instant::now();
        let invocation = Invocation::new(&context, (self.clock)(), RESPONSE_MARGIN);
        let mut report = Report { deletes: self.settings.deletes, ..Report::default() };
        // Boxed, because the SDK's futures are large.
        let run = Box::pin(self.run(&invocation, &mut report));
        let (result, calls) = CallStatistics::collect(run).await;
        let is_cold = self.environment.is_cold();
        let record = SweepRecord {
            mode: if report.deletes { "delete" } else { "observe" },
            reason: result.as_ref().err().map(Fault::to_string),
            report: &report,
            cost: Cost::new(&context, &self.environment, is_cold, started.elapsed(), &calls),
        };
        telemetry::write(&record, self.environment.namespace(), (self.clock)());
        result.map(|()| report)
    }

    /// Gives every listed client a turn, and then gives further turns to those for which the database was unavailable.
    async fn run(&self, invocation: &Invocation, report: &mut Report) -> Result<(), Fault> {
        let time = invocation.deadline.duration_since(Instant::now());
        let last_start = Instant::now() + time.saturating_sub(CLIENT_MARGIN).max(time / 2);
        let mut run = Run::new(self, invocation, last_start, report);
        let mut listed = pin!(self.listed(invocation));
        let mut wait = Wait::FIRST;
        loop {
            run.give_turns(&mut listed).await;
            if run.waiting.is_empty() || run.is_at_limit() || !wait.ends_before(last_start) {
                break;
            }
            wait.pass(mem::take(&mut run.progress)).await;
            run.give_further_turns().await;
        }
        if run.waiting.is_empty() && run.index_fault.is_none() {
            match listed.next().await {
                None => run.report.complete = true,
                Some(Ok(_) | Err(Fault::Unreadable(_))) => {}
                Some(Err(fault)) => run.index_fault = Some(fault),
            }
        }
        run.end()
    }

    /// The clients that are due. An entry that is unreadable is a fault. At any other fault the stream ends.
    ///
    /// Reads every partition of the index. The id of the invocation chooses the first partition. Clients that are
    /// protected or have a grant stay due. They must not be the first in every run.
    fn listed(&self, invocation: &Invocation) -> impl Stream<Item = Result<Due, Fault>> {
        let Invocation { request_id, now, deadline, .. } = invocation;
        let mut partitions = IdlePartition::all();
        let hash = BuildHasherDefault::<DefaultHasher>::new().hash_one(request_id);
        let first = usize::try_from(hash).unwrap_or_default() % partitions.len();
        partitions.rotate_left(first);
        let mut partitions = partitions.into_iter();
        let start = partitions.next().map(|partition| (partition, None));
        let pages = stream::try_unfold((partitions, start), move |(mut partitions, position)| async move {
            let Some((partition, after)) = position else { return Ok(None) };
            let since = self.settings.policy.due_since(partition.used, *now);
            let page = self.page(partition, since, after, *deadline).await?;
            let due =
                |(id, idle)| Ok(Due { id, idle, turns: 0, fault: None, is_ambiguous: false, announced_for: None });
            let unreadable = page.unreadable.into_iter().map(|unreadable| Err(Fault::from(unreadable)));
            let entries: Vec<_> = page.clients.into_iter().map(due).chain(unreadable).collect();
            let next = match page.next {
                Some(after) => Some((partition, Some(after))),
                None => partitions.next().map(|partition| (partition, None)),
            };
            Ok::<_, Fault>(Some((entries, (partitions, next))))
        });
        pages.map_ok(stream::iter).try_flatten()
    }

    /// Reads a page of the index. If the database is unavailable, tries again while there is time.
    async fn page(
        &self,
        partition: IdlePartition,
        since: SystemTime,
        after: Option<S::Cursor>,
        deadline: Instant,
    ) -> Result<IdlePage<S::Cursor>, Fault> {
        let (mut wait, mut turns) = (Wait::FIRST, 1);
        loop {
            let result = before(deadline, self.store.idle_clients(partition, since, after.clone())).await;
            let is_temporary = matches!(result, Err(Fault::Unavailable(_)));
            if !is_temporary || turns >= MAX_TURNS || !wait.ends_before(deadline) {
                return result;
            }
            wait.pass(false).await;
            turns += 1;
        }
    }

    /// Gives a due client a turn.
    async fn turn(&self, mut due: Due, invocation: &Invocation) -> (Due, Result<ClientOutcome, Fault>) {
        due.turns += 1;
        // A run takes time, and each record must have the time of its own deletion.
        let invocation = Invocation { now: (self.clock)(), ..invocation.clone() };
        let result = self.sweep(&mut due, &invocation).await;
        (due, result)
    }

    /// Deletes or announces a due client, or decides whether it would be deleted or announced.
    async fn sweep(&self, due: &mut Due, invocation: &Invocation) -> Result<ClientOutcome, Fault> {
        if due.is_ambiguous {
            if let Some(outcome) = self.earlier_write(due, invocation).await? {
                return Ok(outcome);
            }
            if due.turns > MAX_TURNS
                && let Some(fault) = due.fault.take()
            {
                due.is_ambiguous = false;
                return Err(fault);
            }
        }
        if let Some(grants) = &self.grants
            && before(invocation.deadline, grants.is_any_live(&due.id, invocation.now)).await?
        {
            return Ok(ClientOutcome::Granted);
        }
        let request = self.request(due);
        let mut outcome = if self.settings.deletes {
            let (outcome, calls) = CallStatistics::collect(deletion::delete(&self.store, request, invocation)).await;
            let is_unavailable = matches!(outcome.result, Err(NotDeleted::WriteFailed(Fault::Unavailable(_))));
            due.is_ambiguous |= is_unavailable && calls.ambiguous > 0;
            outcome
        } else {
            deletion::dry_run(&self.store, request, invocation).await
        };
        match outcome.result {
            Ok(()) => Ok(ClientOutcome::Swept),
            Err(NotDeleted::Refused(Refusal::NotAnnounced)) => {
                self.announce(due, &mut outcome.snapshot, invocation).await
            }
            Err(NotDeleted::Refused(refusal)) => Ok(due.kept(refusal, &outcome.snapshot, invocation)),
            Err(NotDeleted::ReadFailed(fault) | NotDeleted::WriteFailed(fault)) => {
                due.written(&outcome.snapshot, invocation).ok_or(fault)
            }
        }
    }

    /// Announces the deletion of a due client, or decides whether it would be announced.
    async fn announce(
        &self,
        due: &mut Due,
        snapshot: &mut Snapshot,
        invocation: &Invocation,
    ) -> Result<ClientOutcome, Fault> {
        let request = self.request(due);
        for _ in 0..MAX_WRITES {
            let announcement = match request.announcement(snapshot, invocation.now) {
                Ok(announcement) => announcement,
                Err(Denied::Refused(refusal)) => return Ok(due.kept(refusal, snapshot, invocation)),
                Err(Denied::Unreadable(unreadable)) => return Err(unreadable.into()),
            };
            let announced_for = announcement.notice.sweep_at;
            if !self.settings.deletes {
                return Ok(ClientOutcome::Announced(announced_for));
            }
            let write = before(invocation.deadline, self.store.announce(&announcement));
            let (result, calls) = CallStatistics::collect(write).await;
            if matches!(result, Err(Fault::Unavailable(_))) && calls.ambiguous > 0 {
                due.is_ambiguous = true;
                due.announced_for.get_or_insert(announced_for);
            }
            match result? {
                None => return Ok(ClientOutcome::Full),
                Some(WriteOutcome::Written) => return Ok(ClientOutcome::Announced(announced_for)),
                // The client changed after it was read. Decide again on the item as it is now, without a second read.
                Some(WriteOutcome::ConditionFailed(found)) => snapshot.set(Key::Client(due.id.clone()), found),
            }
        }
        Err(Fault::Unavailable("the client changed before each write".to_owned()))
    }

    /// What an earlier write of this run did, if it took effect.
    async fn earlier_write(&self, due: &Due, invocation: &Invocation) -> Result<Option<ClientOutcome>, Fault> {
        let look = deletion::dry_run(&self.store, self.request(due), invocation).await;
        match (look.snapshot.deletion(&due.id), look.result) {
            (None, Err(NotDeleted::ReadFailed(fault))) => Err(fault),
            _ => Ok(due.written(&look.snapshot, invocation)),
        }
    }

    fn request(&self, due: &Due) -> Request {
        let settings::Sweep { policy, notice, .. } = self.settings;
        Request { target: due.id.clone(), idle: due.idle, policy, notice }
    }
}

impl Due {
    /// What a write of this run did, as the snapshot shows it. The write may have taken effect late.
    fn written(&self, snapshot: &Snapshot, invocation: &Invocation) -> Option<ClientOutcome> {
        if snapshot.deletion(&self.id).is_some_and(|deletion| deletion.is_of(&invocation.request_id)) {
            return Some(ClientOutcome::Swept);
        }
        let Ok(Lookup::Live(client)) = snapshot.client(&self.id) else { return None };
        let notice = client.notice.of(self.idle)?;
        self.announced_for.filter(|first| *first <= notice.sweep_at)?;
        Some(ClientOutcome::Announced(notice.sweep_at))
    }

    /// Why the client is kept.
    fn kept(&self, refusal: Refusal, snapshot: &Snapshot, invocation: &Invocation) -> ClientOutcome {
        self.written(snapshot, invocation).unwrap_or(match refusal {
            Refusal::Protected => ClientOutcome::Protected,
            Refusal::Announced => ClientOutcome::Noticed,
            _ => ClientOutcome::Changed,
        })
    }
}

/// A run, and how far it has come.
struct Run<'r, S, G> {
    sweep: &'r Sweep<S, G>,
    invocation: &'r Invocation,
    /// No turn starts after this time.
    last_start: Instant,
    report: &'r mut Report,
    /// The clients that get another turn.
    waiting: Vec<Due>,
    /// The number of clients that failed and may be deleted or announced. They keep their places within the limit.
    unknown: usize,
    /// Whether the run found out about a client since the last wait.
    progress: bool,
    index_fault: Option<Fault>,
    /// The fault of the first client that failed.
    first_fault: Option<Fault>,
}

impl<'r, S: Store + IdleClients, G: Grants> Run<'r, S, G> {
    fn new(sweep: &'r Sweep<S, G>, invocation: &'r Invocation, last_start: Instant, report: &'r mut Report) -> Self {
        let (waiting, unknown, progress, index_fault, first_fault) = (Vec::new(), 0, false, None, None);
        Self { sweep, invocation, last_start, report, waiting, unknown, progress, index_fault, first_fault }
    }

    /// Gives each client a turn, several at the same time, as long as turns may start. Waits for the turns under way.
    async fn give_turns(&mut self, clients: &mut (impl Stream<Item = Result<Due, Fault>> + Unpin)) {
        let (sweep, invocation) = (self.sweep, self.invocation);
        let mut turns = FuturesUnordered::new();
        loop {
            let may_start = self.may_start(turns.len());
            tokio::select! {
                biased;
                Some((due, result)) = turns.next() => self.turn_ended(due, result),
                // The index may take longer than there is time to start a turn.
                Ok(Some(next)) = timeout_at(self.last_start, clients.next()), if may_start => match next {
                    Ok(due) => turns.push(sweep.turn(due, invocation)),
                    Err(fault) => self.not_listed(fault),
                },
                else => return,
            }
        }
    }

    /// Gives the waiting clients another turn. Those that may be deleted or announced already are the first: they have
    /// their places.
    async fn give_further_turns(&mut self) {
        let mut waiting = mem::take(&mut self.waiting);
        waiting.sort_by_key(|due| !due.is_ambiguous);
        let mut waiting = waiting.into_iter();
        self.give_turns(&mut stream::iter(waiting.by_ref().map(Ok))).await;
        self.waiting.extend(waiting);
    }

    /// Whether another turn may start while this many are under way. Each of them may delete or announce a client.
    fn may_start(&self, under_way: usize) -> bool {
        let settings::Sweep { limit, concurrency, .. } = self.sweep.settings;
        let ambiguous = self.waiting.iter().filter(|due| due.is_ambiguous).count();
        under_way < concurrency
            && self.towards_limit() + ambiguous + under_way < limit
            && self.waiting.len() + under_way < MAX_WAITING
            && Instant::now() < self.last_start
    }

    fn is_at_limit(&self) -> bool {
        self.towards_limit() >= self.sweep.settings.limit
    }

    /// The larger one of two numbers: the clients that were deleted, and those that were announced. Each has the whole
    /// limit. A client that failed and may be deleted or announced counts as both.
    fn towards_limit(&self) -> usize {
        self.report.swept.max(self.report.announced) + self.unknown
    }

    /// Counts an entry of the index that is unreadable, or ends the index.
    fn not_listed(&mut self, fault: Fault) {
        match fault {
            Fault::Unreadable(unreadable) => self.unreadable(&unreadable),
            fault => self.index_fault = Some(fault),
        }
    }

    /// Counts the client, or lets it wait for another turn.
    fn turn_ended(&mut self, due: Due, result: Result<ClientOutcome, Fault>) {
        // After the last turn there is one more, if only to see whether the write took effect.
        let has_turns = due.turns < MAX_TURNS || due.is_ambiguous && due.turns == MAX_TURNS;
        match result {
            Err(fault @ Fault::Unavailable(_)) if has_turns => {
                self.waiting.push(Due { fault: Some(fault), ..due });
                return;
            }
            Err(Fault::Unreadable(unreadable)) => self.unreadable(&unreadable),
            Err(fault) => self.failed(&due, fault),
            Ok(outcome) => self.checked(&due, outcome),
        }
        self.progress = true;
    }

    fn checked(&mut self, due: &Due, outcome: ClientOutcome) {
        self.report.due += 1;
        *match outcome {
            ClientOutcome::Swept => &mut self.report.swept,
            ClientOutcome::Announced(_) => &mut self.report.announced,
            ClientOutcome::Noticed => &mut self.report.noticed,
            ClientOutcome::Protected => &mut self.report.protected,
            ClientOutcome::Granted => &mut self.report.granted,
            ClientOutcome::Full => &mut self.report.full,
            ClientOutcome::Changed => &mut self.report.changed,
        } += 1;
        let (client_id, used) = (due.id.as_str(), due.idle.used);
        let since = humantime::format_rfc3339_seconds(due.idle.since);
        match outcome {
            ClientOutcome::Swept => {
                let message = if self.report.deletes { "swept a client" } else { "would sweep a client" };
                tracing::info!(client_id, used, idle_since = %since, "{message}");
            }
            ClientOutcome::Announced(sweep_at) => {
                let message = if self.report.deletes { "announced a client" } else { "would announce a client" };
                let sweep_at = humantime::format_rfc3339_seconds(sweep_at);
                tracing::info!(client_id, used, idle_since = %since, sweep_at = %sweep_at, "{message}");
            }
            ClientOutcome::Full => {
                tracing::warn!(client_id, used, idle_since = %since, "a client's item has no room for a notice");
            }
            _ => {}
        }
    }

    fn unreadable(&mut self, unreadable: &impl Display) {
        self.report.due += 1;
        self.report.unreadable += 1;
        if self.report.unreadable <= MAX_NAMED {
            tracing::error!("{unreadable}");
        }
    }

    fn failed(&mut self, due: &Due, fault: Fault) {
        self.report.due += 1;
        self.report.failed += 1;
        self.unknown += usize::from(due.is_ambiguous);
        if self.report.failed <= MAX_NAMED {
            tracing::error!(client_id = due.id.as_str(), "an idle client cannot be swept: {fault}");
        }
        self.first_fault.get_or_insert(fault);
    }

    /// Ends the run. Clients that still wait have failed, because the time is over. At the limit they only stay due, as
    /// the clients do that had no turn.
    fn end(mut self) -> Result<(), Fault> {
        let waiting = mem::take(&mut self.waiting);
        if !self.is_at_limit() {
            for mut due in waiting {
                if let Some(fault) = due.fault.take() {
                    self.failed(&due, fault);
                }
            }
        }
        let Report { failed, unreadable, .. } = *self.report;
        let not_named = failed.saturating_sub(MAX_NAMED) + unreadable.saturating_sub(MAX_NAMED);
        if not_named > 0 {
            tracing::error!(clients = not_named, "the log does not name all idle clients that cannot be swept");
        }
        self.index_fault.or(self.first_fault).map_or(Ok(()), Err)
    }
}

/// The record of a run.
#[derive(Serialize)]
struct SweepRecord<'r> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(flatten)]
    report: &'r Report,
    #[serde(flatten)]
    cost: Cost<'r>,
}

impl telemetry::Record for SweepRecord<'_> {
    const METRICS: &'static [Metrics] = &[Metrics {
        dimensions: &[&["mode"]],
        metrics: &[
            Metric { name: "due", unit: "Count" },
            Metric { name: "swept", unit: "Count" },
            Metric { name: "announced", unit: "Count" },
            Metric { name: "unreadable", unit: "Count" },
            Metric { name: "duration_ms", unit: "Milliseconds" },
        ],
    }];

    fn is_failure(&self) -> bool {
        self.reason.is_some()
    }

    fn message(&self) -> &'static str {
        if self.reason.is_none() { "read the index of idle clients" } else { "the sweep failed" }
    }
}
