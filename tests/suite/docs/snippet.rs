//! The Rust code of `docs/integrating.md`, run.

use crate::support::{
    Fixture,
    build::{id, oauth_client},
    now,
};
use deregister::{
    dynamodb::ClientsTable,
    model::{Id, Restoration},
    store::{ClientStatus, ClientStatuses, Fault},
};
use std::{
    cell::RefCell,
    time::{Duration, SystemTime},
};

/// Whether to accept a token or another grant that was issued to the client at `issued_at`. Counts as a use of the client.
async fn accepts(clients: &ClientsTable, id: &Id, issued_at: SystemTime, now: SystemTime) -> Result<bool, Fault> {
    let status: ClientStatus = clients.client_status(id).await?;
    Ok(status.accepts(issued_at) && clients.note_use(id, &status, now).await?)
}

/// Issues a grant for a code, a consent or a refresh token that was issued at `basis_issued_at`. Returns `None` if the
/// client is deleted before the grant is handed out.
async fn issue(
    clients: &ClientsTable,
    id: &Id,
    basis_issued_at: SystemTime,
    now: SystemTime,
) -> Result<Option<Grant>, Fault> {
    let grant = store_grant(id).await;
    if accepts(clients, id, basis_issued_at, now).await? {
        return Ok(Some(grant));
    }
    withdraw(grant).await;
    Ok(None)
}

#[derive(Debug)]
struct Grant;

thread_local! {
    /// What the server did with grants.
    static CALLS: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
}

#[expect(clippy::unused_async, reason = "the page calls it as a server's function")]
async fn store_grant(_: &Id) -> Grant {
    CALLS.with_borrow_mut(|calls| calls.push("store"));
    Grant
}

#[expect(clippy::unused_async, reason = "the page calls it as a server's function")]
async fn withdraw(_: Grant) {
    CALLS.with_borrow_mut(|calls| calls.push("withdraw"));
}

#[test]
fn the_page_has_the_code_that_runs_here() {
    let code = |text: &'static str| {
        let (_, code) = text.split_once("/// Whether to accept a token").unwrap();
        code.split_once("    Ok(None)\n}\n").unwrap().0
    };
    assert_eq!(code(include_str!("../../../docs/integrating.md")), code(include_str!("snippet.rs")));
}

#[tokio::test]
async fn a_server_issues_and_accepts_until_the_deletion_and_what_is_later_than_the_restoration() {
    const HOUR: Duration = Duration::from_hours(1);
    let fixture = Fixture::empty().await;
    fixture.create("a", oauth_client().registration_token("token")).await;
    let (clients, client) = (&fixture.clients, id("a"));
    assert!(issue(clients, &client, now(), now()).await.unwrap().is_some());
    assert!(accepts(clients, &client, now(), now()).await.unwrap());
    let deleted = fixture.send("DELETE", "/register/a", Some("Bearer token"), "").await;
    assert_eq!(deleted.status(), 204);
    assert!(!accepts(clients, &client, now(), now()).await.unwrap());
    assert!(issue(clients, &client, now(), now()).await.unwrap().is_none());
    let restoration = Restoration { at: now(), by: "operator#jane".to_owned() };
    fixture.direct().restore(&client, &restoration).await.unwrap();
    assert!(issue(clients, &client, now(), now() + HOUR).await.unwrap().is_none(), "its basis is revoked");
    assert!(issue(clients, &client, now() + HOUR, now() + HOUR).await.unwrap().is_some());
    assert_eq!(CALLS.take(), ["store", "store", "withdraw", "store", "withdraw", "store"]);
}
