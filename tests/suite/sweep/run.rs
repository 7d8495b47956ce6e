//! How a run ends: at its limit, or at its deadline.

use super::{DELETES, OBSERVES, SECOND, due, record, report, run, run_in, run_of, sweep, table_with};
use crate::support::{log::Captured, wire};
use deregister::{functions::sweep::Report, settings, store::Fault};
use std::time::Duration;

/// The time of a run. No turn starts in its second half.
const TIME: Duration = Duration::from_secs(6);

#[tokio::test]
async fn a_run_deletes_at_most_its_limit_and_the_next_continues() {
    let fixture = table_with(["1", "2", "3", "4", "5"].map(|client_id| (client_id, due()))).await;
    let limited = Report { swept: 2, complete: false, ..report(2) };
    let observes = sweep(&fixture, settings::Sweep { limit: 2, ..OBSERVES });
    assert_eq!(run(&observes).await, Report { deletes: false, ..limited.clone() });
    let deletes = sweep(&fixture, settings::Sweep { limit: 2, ..DELETES });
    assert_eq!(run(&deletes).await, limited);
    assert_eq!(run(&deletes).await, limited);
    assert_eq!(run(&deletes).await, Report { swept: 1, ..report(1) });
    assert_eq!(run(&deletes).await, report(0));
}

#[tokio::test]
async fn a_run_whose_last_client_reaches_the_limit_is_complete() {
    let fixture = table_with([("1", due()), ("2", due())]).await;
    let sweep = sweep(&fixture, settings::Sweep { limit: 2, ..DELETES });
    assert_eq!(run(&sweep).await, Report { swept: 2, ..report(2) });
}

/// The first clients take half of the time. The deadline is on the runtime's clock, which does not stop.
#[tokio::test]
async fn a_run_that_is_out_of_time_finishes_what_is_under_way_and_the_next_continues() {
    let run_with = async |concurrency| {
        let fixture = table_with([("1", due()), ("2", due()), ("3", due()), ("4", due())]).await;
        fixture.wire.always("UpdateItem", |_| Some(wire::Fault::meanwhile(tokio::time::sleep(TIME / 2))));
        let sweep = sweep(&fixture, settings::Sweep { concurrency, ..DELETES });
        let result = run_in(run_of(TIME), &sweep).await;
        assert_eq!(result, Ok(Report { swept: concurrency, complete: false, ..report(concurrency) }));
        fixture.wire.repair();
        assert_eq!(run(&sweep).await, Report { swept: 4 - concurrency, ..report(4 - concurrency) });
    };
    tokio::join!(run_with(1), run_with(3));
}

#[tokio::test]
async fn a_client_that_the_index_lists_too_late_is_left_to_the_next_run() {
    let fixture = table_with([("a", due())]).await;
    fixture.wire.plan("Query", wire::Fault::meanwhile(tokio::time::sleep(TIME / 2)));
    assert_eq!(run_in(run_of(TIME), &sweep(&fixture, DELETES)).await, Ok(Report { complete: false, ..report(0) }));
    assert!(fixture.lives("a").await);
}

#[tokio::test]
async fn a_database_that_does_not_answer_ends_the_run_at_its_deadline() {
    for operation in ["Query", "BatchGetItem", "UpdateItem"] {
        let fixture = table_with([("a", due())]).await;
        fixture.wire.plan(operation, wire::Fault::Silence);
        let log = Captured::at("INFO");
        let result = run_in(run_of(3 * SECOND), &sweep(&fixture, DELETES)).await;
        assert!(matches!(result, Err(Fault::Unavailable(_))), "{operation}: {result:?}");
        assert_eq!(record(&log)["level"], "ERROR", "{operation}");
        assert!(fixture.lives("a").await);
    }
}
