//! Starts to track the use of clients that were registered before the table had its index, each in one conditional
//! write. A run can stop at any point and be run again.

use crate::{
    failure::Failure,
    pump::{CONCURRENCY, ONE, Pump},
    report::Report,
    tool::Tool,
};
use deregister::{
    dynamodb::admin::{ClientFilter, Parent},
    model::Id,
    snapshot::{Key, Record, Unreadable},
    store::Fault,
};

/// The outcome for a client.
enum Outcome {
    Tracked,
    AlreadyTracked,
    NotDynamic,
    /// The client changed after it was read.
    Changed,
    Unreadable(Unreadable),
}

/// How many clients had each outcome.
#[derive(Default)]
struct Summary {
    tracked: usize,
    already_tracked: usize,
    not_dynamic: usize,
    changed: usize,
}

impl Tool {
    /// Starts to track the clients of a service, or all. An unreadable item fails the command at the end, after all other
    /// clients.
    pub async fn track_clients(&self, service: Option<Id>) -> Result<(), Failure> {
        if let Some(service) = &service {
            self.service(service).await?;
        }
        let pump = Pump {
            concurrency: CONCURRENCY,
            length: None,
            unit: "writes",
            has_effect: true,
            advice: "run the same command again to track the other clients",
        };
        let (mut summary, mut unreadable) = (Summary::default(), Ok(()));
        let add = |outcome| {
            *match outcome {
                Outcome::Tracked => &mut summary.tracked,
                Outcome::AlreadyTracked => &mut summary.already_tracked,
                Outcome::NotDynamic => &mut summary.not_dynamic,
                Outcome::Changed => &mut summary.changed,
                Outcome::Unreadable(item) => {
                    unreadable = unreadable.clone().and(Err(item));
                    return Ok(ONE);
                }
            } += 1;
            Ok(ONE)
        };
        let filter = ClientFilter { parent: service.map(Parent::Service), ..ClientFilter::default() };
        let result =
            pump.run(&self.output, self.live_clients(&filter), async |client| self.track(client).await, add).await;
        self.print(&summary.report())?;
        result.and(unreadable.map_err(|unreadable| Fault::from(unreadable).into()))
    }

    async fn track(&self, (id, record): (Id, Record)) -> Result<Outcome, Failure> {
        Ok(match record {
            Record::Client(client) if !client.is_dynamic() => Outcome::NotDynamic,
            Record::Client(client) if client.idle.is_some() => Outcome::AlreadyTracked,
            Record::Client(_) if self.store.track(&id, (self.now)()).await? => Outcome::Tracked,
            Record::Client(_) => Outcome::Changed,
            other => Outcome::Unreadable(Unreadable::new(Key::Client(id), &other)),
        })
    }
}

impl Summary {
    fn report(&self) -> Report {
        Report::new("Checked the clients.")
            .with("tracked", self.tracked)
            .with("already_tracked", self.already_tracked)
            .with("not_dynamic", self.not_dynamic)
            .with("changed_meanwhile", Some(self.changed).filter(|&count| count > 0))
    }
}
