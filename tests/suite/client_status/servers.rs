//! Authorization servers at work while a client is deleted, its grants are removed, and it is restored.
//!
//! One database call runs at a time, and the order is random (`PROPTEST_RNG_SEED`).

use super::{SECOND, client_status, delete, deletion, dynamic, with};
use crate::support::{
    Fixture, RETENTION, authorization,
    build::{grants_settings, id},
    now,
    random::Random,
    wire::{Fault, Wire, http},
};
use aws_sdk_dynamodb::{Client as Sdk, config::Builder, types::AttributeValue};
use deregister::{
    dynamodb::{ClientsTable, GrantsTable, admin::RestoreOutcome},
    functions::{Cascade, Environment, cascade::PurgeOutcome},
    model::{Id, Restoration},
    store::{ClientStatuses, Store},
};
use std::{
    collections::HashMap,
    mem,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::SystemTime,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};

const ROUNDS: usize = 64;

/// A process with a connection of its own: an authorization server or an operator.
#[derive(Clone)]
struct Process {
    clients: ClientsTable,
    sdk: Sdk,
    /// The seconds that have passed. All processes share the clock.
    clock: Arc<AtomicU32>,
    /// The times at which this server issued what it handed out.
    handed_out: Arc<Mutex<Vec<SystemTime>>>,
}

impl Process {
    /// A time that no other call of `tick` returns.
    fn tick(&self) -> SystemTime {
        now() + self.clock.fetch_add(1, Relaxed) * SECOND
    }

    /// Issues a grant as `docs/integrating.md` shows it: store the grant, check the client, hand out the token.
    async fn issue(&self, client: &Id) {
        let at = self.tick();
        let key = [("client_id", client.as_str()), ("grant_id", &format!("{at:?}"))]
            .map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())));
        let key = Some(HashMap::from(key));
        self.sdk.put_item().table_name("grants").set_item(key.clone()).send().await.unwrap();
        let status = self.clients.client_status(client).await.unwrap();
        if self.clients.note_use(client, &status, at).await.unwrap() {
            self.handed_out.lock().unwrap().push(at);
        } else {
            self.sdk.delete_item().table_name("grants").set_key(key).send().await.unwrap();
        }
    }

    async fn delete(&self, client: &Id) {
        let authorization = authorization(&self.clients, client, &[]).await;
        self.clients.write_tombstone(&authorization, &deletion(self.tick())).await.unwrap();
    }
}

/// A process waits for its turn: the sender lets it continue. `None`: the process has ended.
type Arrival = Option<oneshot::Sender<()>>;

/// Three servers, an operator and the cascade on the same tables. One database call runs at a time.
struct Stage {
    fixture: Fixture,
    random: Random,
    servers: Vec<Process>,
    operator: Process,
    cascade: Cascade<ClientsTable, GrantsTable>,
    /// The grants, without the wire.
    grants: GrantsTable,
    arrives: mpsc::UnboundedSender<Arrival>,
    arrivals: mpsc::UnboundedReceiver<Arrival>,
}

impl Stage {
    async fn new() -> Self {
        let fixture = Fixture::empty().await;
        fixture.create_grants_table().await;
        let (arrives, arrivals) = mpsc::unbounded_channel();
        let clock = Arc::<AtomicU32>::default();
        let config = || fixture.sdk.config().to_builder().http_client(one_call_a_turn(&arrives));
        let process = |config: Builder| Process {
            clients: ClientsTable::new(config.clone(), &fixture.table, RETENTION),
            sdk: Sdk::from_conf(config.build()),
            clock: Arc::clone(&clock),
            handed_out: Arc::default(),
        };
        let servers = (0..3).map(|_| process(config())).collect();
        let operators = config();
        let operator = process(operators.clone());
        let cascade = Cascade::new(operator.clients.clone(), grants(operators).await, now, Environment::default());
        let grants = grants(fixture.sdk.config().to_builder()).await;
        Self { fixture, random: Random::new(), servers, operator, cascade, grants, arrives, arrivals }
    }

    /// Creates a client. Each server issues two grants to it while `work` runs. Returns the times of what was handed
    /// out.
    async fn play(&mut self, client: &Id, work: impl Future<Output = ()> + Send + 'static) -> Vec<SystemTime> {
        self.fixture.create(client.as_str(), dynamic()).await;
        let mut tasks = JoinSet::new();
        let mut waiting: Vec<_> = self.begin(&mut tasks, work).await.into_iter().collect();
        for server in self.servers.clone() {
            let client = client.clone();
            let issue = async move {
                server.issue(&client).await;
                server.issue(&client).await;
            };
            waiting.extend(self.begin(&mut tasks, issue).await);
        }
        // The work is the first that waits. Without a delay it would usually end before a server issues anything.
        let mut delay = self.random.below(16);
        while !waiting.is_empty() {
            let first = usize::from(delay > 0 && waiting.len() > 1);
            delay = delay.saturating_sub(1);
            let next = first + self.random.below(waiting.len() - first);
            waiting.swap_remove(next).send(()).unwrap();
            // Only the process that continues can arrive: it waits for its next turn, or it has ended.
            waiting.extend(self.arrivals.recv().await.unwrap());
        }
        tasks.join_all().await;
        self.servers.iter().flat_map(|server| mem::take(&mut *server.handed_out.lock().unwrap())).collect()
    }

    /// Starts a process, up to its first call.
    async fn begin(&mut self, tasks: &mut JoinSet<()>, work: impl Future<Output = ()> + Send + 'static) -> Arrival {
        /// Reports the end of the process, even if it panics.
        struct End(mpsc::UnboundedSender<Arrival>);

        impl Drop for End {
            fn drop(&mut self) {
                let _ = self.0.send(None);
            }
        }

        let end = End(self.arrives.clone());
        tasks.spawn(async move {
            let _end = end;
            work.await;
        });
        self.arrivals.recv().await.unwrap()
    }

    /// Deletes the client and removes its grants. Returns the times of what was handed out, and the number of grants
    /// left.
    async fn delete_and_purge(&mut self, client: &Id) -> (Vec<SystemTime>, usize) {
        let (operator, cascade, target) = (self.operator.clone(), self.cascade.clone(), client.clone());
        let work = async move {
            operator.delete(&target).await;
            // The stream delivers the deletion after it took effect.
            assert_eq!(cascade.purge(&target, &mut 0).await, Ok(PurgeOutcome::Removed));
        };
        let handed_out = self.play(client, Box::pin(work)).await;
        (handed_out, self.grants.count(client, 100).await.unwrap())
    }

    /// Deletes the client and restores it. Returns the times of what was handed out, and the time of the restoration.
    async fn delete_and_restore(&mut self, client: &Id) -> (Vec<SystemTime>, SystemTime) {
        let (operator, target) = (self.operator.clone(), client.clone());
        let (restored, result) = oneshot::channel();
        let work = async move {
            operator.delete(&target).await;
            let at = operator.tick();
            let restoration = Restoration { at, by: "operator#jane".to_owned() };
            let outcome = operator.clients.restore(&target, &restoration).await.unwrap();
            assert!(matches!(outcome, RestoreOutcome::Done(_)), "{outcome:?}");
            restored.send(at).unwrap();
        };
        let handed_out = self.play(client, Box::pin(work)).await;
        (handed_out, result.await.unwrap())
    }
}

async fn grants(config: Builder) -> GrantsTable {
    GrantsTable::open(config, grants_settings()).await.unwrap()
}

/// A wire on which each call waits for its turn.
fn one_call_a_turn(arrives: &mpsc::UnboundedSender<Arrival>) -> Wire {
    const OPERATIONS: [&str; 6] = ["BatchWriteItem", "DeleteItem", "GetItem", "PutItem", "Query", "UpdateItem"];
    let wire = Wire::over(http());
    for operation in OPERATIONS.repeat(10 * ROUNDS) {
        let arrives = arrives.clone();
        let turn = async move {
            let (go, turn) = oneshot::channel();
            arrives.send(Some(go)).unwrap();
            turn.await.unwrap();
        };
        wire.plan(operation, Fault::meanwhile(turn));
    }
    wire
}

#[tokio::test]
async fn no_token_and_no_grant_outlives_its_client_in_64_orders() {
    let mut stage = Stage::new().await;
    let mut all = 0;
    for round in 0..ROUNDS {
        let client = id(&format!("client-{round}"));
        let (handed_out, grants) = stage.delete_and_purge(&client).await;
        let status = client_status(&stage.fixture, client.as_str()).await;
        assert!(handed_out.iter().all(|issued_at| !status.accepts(*issued_at)), "round {round}");
        assert_eq!(grants, 0, "round {round}");
        all += handed_out.len();
    }
    assert!((1..ROUNDS * 6).contains(&all), "{all}: some grants are handed out, and some are not");
}

#[tokio::test]
async fn exactly_what_is_issued_after_the_restoration_is_accepted_in_64_orders() {
    let mut stage = Stage::new().await;
    let (mut refused, mut accepted) = (0, 0);
    for round in 0..ROUNDS {
        let client = id(&format!("client-{round}"));
        let (handed_out, restored) = stage.delete_and_restore(&client).await;
        let status = client_status(&stage.fixture, client.as_str()).await;
        for issued_at in handed_out {
            let is_accepted = status.accepts(issued_at);
            assert_eq!(is_accepted, issued_at > restored, "round {round}");
            *(if is_accepted { &mut accepted } else { &mut refused }) += 1;
        }
    }
    assert!(refused > 0 && accepted > 0, "{refused} {accepted}");
}

/// Why a server stores a grant before it checks the client.
#[tokio::test]
async fn a_server_that_checks_before_it_stores_can_store_a_grant_after_the_cascade() {
    let fixture = with(dynamic()).await;
    fixture.create_grants_table().await;
    let config = fixture.sdk.config().to_builder();
    let grants = grants(config.clone()).await;
    let cascade = Cascade::new(fixture.direct(), grants.clone(), now, Environment::default());
    let put = Sdk::from_conf(config.http_client(fixture.wire.clone()).build()).put_item().table_name("grants");
    let put =
        ["client_id", "grant_id"].iter().fold(put, |put, name| put.item(*name, AttributeValue::S("a".to_owned())));

    let status = client_status(&fixture, "a").await;
    assert_eq!(fixture.clients.note_use(&id("a"), &status, now()).await, Ok(true));
    let bystander = fixture.clone();
    let delete_and_purge = async move {
        delete(&bystander, "a", now()).await;
        assert_eq!(cascade.purge(&id("a"), &mut 0).await, Ok(PurgeOutcome::Removed));
    };
    fixture.wire.plan("PutItem", Fault::meanwhile(delete_and_purge));
    put.send().await.unwrap();
    assert_eq!(grants.count(&id("a"), 100).await, Ok(1));
}
