//! Lists clients and deletions, as the pages of the table arrive.

use crate::{
    failure::Failure,
    options::{self, ParentFilter},
    report::Columns,
    show::{show_deleted, show_deletions, show_live},
    tool::Tool,
};
use deregister::{
    dynamodb::{
        admin::{Deletions, Page},
        item::Item,
    },
    model::Id,
    snapshot::{Key, Record, Unreadable},
    store::Fault,
};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use std::{num::NonZeroUsize, time::SystemTime};

/// The columns of each list, for people.
const API_CLIENTS: Columns = &[("client_id", 32), ("version", 7), ("protected", 9), ("features", 24), ("name", 0)];
const OAUTH_CLIENTS: Columns =
    &[("client_id", 32), ("version", 7), ("protected", 9), ("dynamic", 7), ("last_used_at", 20), ("client_name", 0)];
const CLIENTS: Columns = &[
    ("client_id", 32),
    ("kind", 12),
    ("version", 7),
    ("protected", 9),
    ("last_used_at", 20),
    ("name", 24),
    ("client_name", 0),
];
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

impl Tool {
    /// Lists clients. An unreadable item fails the command at the end, after all other clients.
    pub async fn list_clients(&self, list: options::List) -> Result<(), Failure> {
        let options::List { parent, limit, deleted, blocked } = list;
        if blocked {
            return self.list_blocked(limit).await;
        }
        let columns = match (deleted, &parent) {
            (true, _) => DELETED_CLIENTS,
            (false, ParentFilter { app: Some(_), .. }) => API_CLIENTS,
            (false, ParentFilter { service: Some(_), .. }) => OAUTH_CLIENTS,
            (false, ParentFilter { app: None, service: None }) => CLIENTS,
        };
        self.print_heading(columns)?;
        let limit = limit.map_or(usize::MAX, NonZeroUsize::get);
        let (mut printed, mut result) = (0, Ok(()));
        let mut clients = self.clients(&parent, deleted);
        while printed < limit
            && let Some((id, record)) = clients.try_next().await?
        {
            let report = match record {
                Record::Client(client) => show_live(&id, client),
                Record::Deleted(deletion) => show_deleted(&id, deletion),
                other => {
                    result = result.and(Err(Unreadable::new(Key::Client(id), &other)));
                    continue;
                }
            };
            printed += 1;
            self.print_row(&report, columns)?;
        }
        Ok(result.map_err(Fault::from)?)
    }

    /// Lists deletions. An unreadable item fails the command at the end, after all other deletions.
    pub async fn list_deletions(&self, list: options::Deletions) -> Result<(), Failure> {
        let options::Deletions { parent, since, via } = list;
        let now = (self.now)();
        let since = since.map(|since| since.at(now));
        self.print_heading(DELETIONS)?;
        let mut result = Ok(());
        let mut clients = self.deletions(&parent, since);
        while let Some((id, deletions)) = clients.try_next().await? {
            match deletions {
                Ok(Deletions { current: Some((deletion, _)), .. })
                    if via.as_ref().is_some_and(|via| deletion.via != *via) => {}
                Ok(deletions) => self.print_row(&show_deletions(&id, deletions, now), DELETIONS)?,
                Err(unreadable) => result = result.and(Err(unreadable)),
            }
        }
        Ok(result.map_err(Fault::from)?)
    }

    /// The clients, live or deleted.
    pub fn clients(
        &self,
        parent: &ParentFilter,
        deleted: bool,
    ) -> impl Stream<Item = Result<(Id, Record), Failure>> + Unpin {
        in_pages(move |after| async move {
            Ok(match parent {
                ParentFilter { app: Some(app), .. } => self.store.clients_of_application(app, deleted, after).await?,
                ParentFilter { service: Some(id), .. } => self.store.clients_of_service(id, deleted, after).await?,
                ParentFilter { app: None, service: None } => self.store.all_clients(deleted, after).await?,
            })
        })
    }

    fn deletions(
        &self,
        parent: &ParentFilter,
        since: Option<SystemTime>,
    ) -> impl Stream<Item = Result<(Id, Result<Deletions, Unreadable>), Failure>> + Unpin {
        in_pages(move |after| async move {
            match parent {
                ParentFilter { app: Some(app), .. } => {
                    Ok(self.store.deletions_of_application(app, since, after).await?)
                }
                ParentFilter { service: Some(id), .. } => Ok(self.store.deletions_of_service(id, since, after).await?),
                ParentFilter { app: None, service: None } => Ok(self.store.all_deletions(since, after).await?),
            }
        })
    }
}

/// The entries of all pages. A page is read when the entries before it are taken.
pub fn in_pages<T, F>(page: impl Fn(Option<Item>) -> F) -> impl Stream<Item = Result<(Id, T), Failure>> + Unpin
where
    F: Future<Output = Result<Page<T>, Failure>>,
{
    let pages = stream::try_unfold(Some(None), move |start| {
        let page = start.map(&page);
        async {
            let Some(page) = page else { return Ok::<_, Failure>(None) };
            let Page { clients, next } = page.await?;
            Ok(Some((stream::iter(clients).map(Ok), next.map(Some))))
        }
    });
    Box::pin(pages.try_flatten())
}
