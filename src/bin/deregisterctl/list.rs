//! Lists clients, deletions, services and access tokens, as the pages of the table arrive.

use crate::{
    failure::Failure,
    options::{self, ParentFilter, Selection},
    pump::Pump,
    report::{self, Columns, Report},
    show::{show_deleted, show_deletions, show_live, show_service, show_token},
    tool::Tool,
};
use deregister::{
    dynamodb::admin::{ClientFilter, Page, Parent, Position},
    model::Id,
    snapshot::{Key, Record, Unreadable},
    store::Fault,
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use std::{
    cell::{Cell, RefCell},
    num::{NonZeroU16, NonZeroUsize},
    ops::ControlFlow,
    task::Poll,
};

/// The columns of each list, for people.
const API_CLIENTS: Columns = &[("client_id", 32), ("version", 7), ("protected", 9), ("features", 24), ("name", 0)];
const OAUTH_CLIENTS: Columns =
    &[("client_id", 32), ("version", 7), ("protected", 9), ("dynamic", 7), ("last_used_at", 20), ("client_name", 0)];
const CLIENTS: Columns = &[("client_id", 32), ("kind", 12), ("last_used_at", 20), ("name", 0)];
const DELETED_CLIENTS: Columns =
    &[("client_id", 32), ("deleted_at", 20), ("via", 13), ("deleted_by", 24), ("lacks", 0)];
const DELETIONS: Columns = &[
    ("client_id", 32),
    ("deleted_at", 20),
    ("restorable_until", 20),
    ("via", 13),
    ("source_ip", 15),
    ("deleted_by", 24),
    ("lacks", 0),
];

const BLOCKED_IDS: Columns =
    &[("client_id", 32), ("blocked_at", 20), ("blocked_by", 24), ("deleted_at", 20), ("via", 0)];
const SERVICES: Columns = &[("service_id", 26), ("organization_id", 26), ("dynamic_registration", 0)];
const TOKENS: Columns = &[("token", 64), ("scope", 32), ("expires_at", 20), ("expired", 0)];

impl Tool {
    /// Lists clients. An unreadable item fails the command at the end, after all other clients.
    pub async fn list_clients(&self, list: options::List) -> Result<(), Failure> {
        let options::List { selection, idle_since, since, deleted, blocked } = list;
        if blocked {
            return self.list_blocked(&selection).await;
        }
        let columns = match (deleted, &selection.parent) {
            (true, _) => DELETED_CLIENTS,
            (false, ParentFilter { app: Some(_), .. }) => API_CLIENTS,
            (false, ParentFilter { service: Some(_), .. }) => OAUTH_CLIENTS,
            (false, ParentFilter { app: None, service: None }) => CLIENTS,
        };
        let now = (self.now)();
        let filter = ClientFilter {
            idle_since: idle_since.map(|since| since.at(now)),
            deleted_since: since.map(|since| since.at(now)),
            ..selection.filter()
        };
        let page = |from| self.store.clients(&filter, deleted, from);
        let report = |(id, record)| match record {
            Record::Client(client) => Ok(show_live(&id, client)),
            Record::Deleted(deletion) => Ok(show_deleted(&id, deletion)),
            other => Err(Unreadable::new(Key::Client(id), &other)),
        };
        self.list(selection.segments, page, selection.limit, columns, report).await
    }

    /// Lists deletions. An unreadable item fails the command at the end, after all other deletions.
    pub async fn list_deletions(&self, list: options::Deletions) -> Result<(), Failure> {
        let options::Deletions { selection, since, via } = list;
        let now = (self.now)();
        let filter = ClientFilter { deleted_since: since.map(|since| since.at(now)), via, ..selection.filter() };
        let page = |from| self.store.deleted_clients(&filter, from);
        let report = |(id, deletions): (Id, Result<_, _>)| Ok(show_deletions(&id, deletions?, now));
        self.list(selection.segments, page, selection.limit, DELETIONS, report).await
    }

    /// Lists blocked ids. An unreadable item fails the command at the end, after all other ids.
    async fn list_blocked(&self, selection: &Selection) -> Result<(), Failure> {
        let page = |from| self.store.blocked_ids(from);
        let report = |(id, record)| match record {
            Record::Deleted(deletion) => Ok(show_deleted(&id, deletion)),
            other => Err(Unreadable::new(Key::Client(id), &other)),
        };
        self.list(selection.segments, page, selection.limit, BLOCKED_IDS, report).await
    }

    /// Lists services. An unreadable item fails the command at the end, after all other services.
    pub async fn list_services(&self) -> Result<(), Failure> {
        let report = |(key, record)| match (key, record) {
            (Key::Service(id), Record::Service(service)) => Ok(show_service(Report::new("A service."), &id, service)),
            (key, other) => Err(Unreadable::new(key, &other)),
        };
        self.list(options::SEGMENTS, |from| self.store.services(from), None, SERVICES, report).await
    }

    /// Lists access tokens. An unreadable item fails the command at the end, after all other tokens.
    pub async fn list_tokens(&self) -> Result<(), Failure> {
        let now = (self.now)();
        let report = |(key, record)| match (key, record) {
            (Key::Token(digest), Record::Token(token)) => Ok(show_token(&digest, &token, now)),
            (key, other) => Err(Unreadable::new(key, &other)),
        };
        self.list(options::SEGMENTS, |from| self.store.tokens(from), None, TOKENS, report).await
    }

    /// Prints the entries of all pages, up to the limit. An unreadable entry fails the command at the end.
    async fn list<T, F>(
        &self,
        segments: NonZeroU16,
        page: impl Fn(Position) -> F,
        limit: Option<NonZeroUsize>,
        columns: Columns,
        report: impl Fn(T) -> Result<Report, Unreadable>,
    ) -> Result<(), Failure>
    where
        F: Future<Output = Result<Page<T>, Fault>>,
    {
        self.print_heading(columns)?;
        let heading = usize::from(!self.json);
        let limit = limit.map_or(usize::MAX, NonZeroUsize::get);
        let (mut printed, mut read, mut unreadable) = (0, 0, Ok(()));
        let positions = Positions::starts(segments);
        let print = |page: Page<T>| {
            positions.add(page.next);
            read += page.read;
            for entry in page.entries {
                match report(entry) {
                    Ok(report) => {
                        self.print_row(&report, columns)?;
                        printed += 1;
                    }
                    Err(item) => unreadable = unreadable.clone().and(Err(item)),
                }
                if printed == limit {
                    return Ok(ControlFlow::Break(()));
                }
            }
            Ok(ControlFlow::Continue(page.read))
        };
        let work = async |from| Ok(page(from).await?);
        let result = Pump::reading(segments).run(&self.output, positions.stream(), work, print).await;
        if matches!(result, Err(Failure::Interrupted(_))) {
            let listed = self.output.lines().saturating_sub(heading);
            report::note(&format!("listed: {listed}, items read: {read}"));
        }
        result.and(unreadable.map_err(|unreadable| Fault::from(unreadable).into()))
    }

    /// The live clients, each as it is found.
    pub fn live_clients(&self, filter: &ClientFilter) -> impl Stream<Item = Result<(Id, Record), Failure>> {
        let pages_from = |start| {
            Box::pin(stream::try_unfold(Some(start), async |from: Option<Position>| {
                let Some(from) = from else { return Ok(None) };
                let page = self.store.clients(filter, false, from).await?;
                Ok::<_, Failure>(Some((stream::iter(page.entries).map(Ok), page.next)))
            }))
        };
        stream::select_all(Position::starts(options::SEGMENTS).map(pages_from)).try_flatten()
    }
}

/// The starts of the pages of a table, as they become known.
pub struct Positions {
    waiting: RefCell<Vec<Position>>,
    /// The number of pages that are being read. Each can have a next page.
    under_way: Cell<usize>,
}

impl Positions {
    /// The starts of this many segments.
    pub fn starts(segments: NonZeroU16) -> Self {
        Self { waiting: RefCell::new(Position::starts(segments).collect()), under_way: Cell::new(0) }
    }

    /// Adds the start of the page after one that was read.
    pub fn add(&self, next: Option<Position>) {
        self.under_way.set(self.under_way.get().saturating_sub(1));
        self.waiting.borrow_mut().extend(next);
    }

    /// The positions. The stream wakes no task: poll it again after [`add`](Self::add).
    pub fn stream(&self) -> impl Stream<Item = Result<Position, Failure>> {
        stream::poll_fn(|_| match self.waiting.borrow_mut().pop() {
            Some(position) => {
                self.under_way.set(self.under_way.get() + 1);
                Poll::Ready(Some(Ok(position)))
            }
            None if self.under_way.get() > 0 => Poll::Pending,
            None => Poll::Ready(None),
        })
    }
}

impl Selection {
    fn filter(&self) -> ClientFilter {
        ClientFilter { parent: self.parent.parent(), name: self.name.clone(), ..ClientFilter::default() }
    }
}

impl ParentFilter {
    /// The application or service, if there is one.
    pub fn parent(&self) -> Option<Parent> {
        let service = self.service.clone().map(Parent::Service);
        self.app.clone().map(Parent::Application).or(service)
    }
}
