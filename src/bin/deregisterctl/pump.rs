//! Works on many items, a few at a time: the loop of every command that reads or writes more than one client.

use crate::{failure::Failure, output::Output, progress::Progress, report};
use futures::{
    Stream, StreamExt,
    stream::{self, FuturesUnordered},
};
use std::{future, num::NonZeroU16, ops::ControlFlow, pin::pin, time::Duration};
use tokio::time::timeout;

/// How many clients are written at once, unless an option says otherwise.
pub const CONCURRENCY: usize = 16;
/// The progress of a result that stands for one item.
pub const ONE: ControlFlow<(), usize> = ControlFlow::Continue(1);
/// After a signal, how long a command that only reads waits for the reader of its output.
const MAX_WAIT_FOR_READER: Duration = Duration::from_millis(200);

/// How a command works on its items.
pub struct Pump {
    /// How many items are worked on at once.
    pub concurrency: usize,
    /// The number of items, for the progress. `None`: it is not known.
    pub length: Option<u64>,
    /// What the work is, in the plural: `writes`, `deletions`.
    pub unit: &'static str,
    /// Whether the work has an effect. Then Ctrl-C waits for the work under way.
    pub has_effect: bool,
    /// What to do after Ctrl-C.
    pub advice: &'static str,
}

impl Pump {
    /// Reads this many segments of the table at the same time.
    pub fn reading(segments: NonZeroU16) -> Self {
        let advice = "not all items were read";
        Self { concurrency: segments.get().into(), length: None, unit: "items", has_effect: false, advice }
    }

    /// Starts `work` on each item of `source`, and passes each result to `finished` as soon as it is known. `finished`
    /// prints to `output`, and returns how many units of the progress the result is worth, or that it has enough. While
    /// the reader of the output is behind, no further work is started.
    ///
    /// After the first failure of the source, the work or the output, and after Ctrl-C or SIGTERM, it starts no further
    /// work. It waits for the work under way, and passes on its results too, unless the work has no effect. A second
    /// signal ends the wait. Returns the first failure.
    pub async fn run<I, T>(
        self,
        output: &Output,
        source: impl Stream<Item = Result<I, Failure>>,
        work: impl AsyncFn(I) -> Result<T, Failure>,
        mut finished: impl FnMut(T) -> Result<ControlFlow<(), usize>, Failure>,
    ) -> Result<(), Failure> {
        let Self { concurrency, length, unit, has_effect, advice } = self;
        let mut progress = Progress::new(unit, length, !has_effect);
        output.set_bar(progress.bar());
        let mut source = pin!(source.fuse());
        let mut under_way = FuturesUnordered::new();
        let mut signals = pin!(signals());
        let (mut result, mut is_stopped, mut is_interrupted) = (Ok(()), false, false);
        loop {
            let has_more = !is_stopped && !source.is_done();
            if !has_more && under_way.is_empty() && output.is_idle() {
                break;
            }
            let may_start = has_more && under_way.len() < concurrency && !output.is_full();
            let step = tokio::select! {
                biased;
                Some(()) = signals.next() => {
                    if !has_effect {
                        // An error of the output is no news now.
                        let _ = timeout(MAX_WAIT_FOR_READER, output.finish()).await;
                    }
                    if is_interrupted {
                        progress.suspend(|| report::complain(&format!("some {unit} under way may have taken effect")));
                    }
                    if is_interrupted || !has_effect {
                        output.abandon();
                        result = result.and(Err(Failure::Interrupted(advice)));
                        break;
                    }
                    is_interrupted = true;
                    progress.suspend(|| report::complain(&format!("interrupted: waiting for the {unit} under way")));
                    Err(Failure::Interrupted(advice))
                }
                () = progress.next_line() => Ok(()),
                written = output.advance(), if !output.is_idle() => written.map_err(Failure::Unprintable),
                Some(done) = under_way.next(), if !under_way.is_empty() => match Result::and_then(done, &mut finished) {
                    Ok(ControlFlow::Continue(units)) => {
                        progress.add(units);
                        Ok(())
                    }
                    Ok(ControlFlow::Break(())) => {
                        is_stopped = true;
                        Ok(())
                    }
                    Err(failure) => Err(failure),
                },
                next = source.next(), if may_start => match next {
                    Some(Ok(item)) => {
                        under_way.push(work(item));
                        Ok(())
                    }
                    Some(Err(failure)) => Err(failure),
                    None => Ok(()),
                },
            };
            is_stopped |= step.is_err();
            result = result.and(step);
            if is_stopped && !has_effect {
                under_way.clear();
            }
        }
        progress.end();
        result
    }
}

/// Ctrl-C and SIGTERM, each time.
fn signals() -> impl Stream<Item = ()> {
    let ctrl_c = stream::repeat(()).then(|()| async {
        // Without the handler, the signal ends the process.
        if tokio::signal::ctrl_c().await.is_err() {
            future::pending::<()>().await;
        }
    });
    #[cfg(unix)]
    let terminate = {
        use tokio::signal::unix::{SignalKind, signal};
        let signal = signal(SignalKind::terminate()).ok();
        stream::unfold(signal, |signal| async move {
            let mut signal = signal?;
            signal.recv().await?;
            Some(((), Some(signal)))
        })
    };
    #[cfg(not(unix))]
    let terminate = stream::empty();
    stream::select(ctrl_c, terminate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    fn pump(concurrency: usize) -> Pump {
        Pump { concurrency, length: None, unit: "items", has_effect: true, advice: "try again" }
    }

    #[tokio::test]
    async fn it_works_on_every_item_and_never_on_more_than_the_limit_at_once() {
        let (running, most, mut sum) = (Cell::new(0), Cell::new(0), 0);
        let work = async |number: u32| {
            running.set(running.get() + 1);
            most.set(most.get().max(running.get()));
            tokio::task::yield_now().await;
            running.set(running.get() - 1);
            Ok(number)
        };
        let add = |number| {
            sum += number;
            Ok(ONE)
        };
        pump(3).run(&Output::start(), stream::iter((1..=10).map(Ok)), work, add).await.unwrap();
        assert_eq!((sum, most.get()), (55, 3));
    }

    #[tokio::test]
    async fn after_a_failure_it_finishes_the_work_under_way_and_starts_no_more() {
        let failure = || Failure::Skipped(7);
        // The number that fails: in the source, in the work, in `finished`.
        for failing in [(Some(3), None, None), (None, Some(3), None), (None, None, Some(3))] {
            let (in_source, in_work, in_finished) = failing;
            let fail_at = |at, number: u32| if at == Some(number) { Err(failure()) } else { Ok(number) };
            let (started, finished) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
            let work = async |number| {
                started.borrow_mut().push(number);
                // The first works longest: it is under way when the third fails.
                for _ in 0..if number == 1 { 10 } else { 0 } {
                    tokio::task::yield_now().await;
                }
                fail_at(in_work, number)
            };
            let hand_on = |number| {
                finished.borrow_mut().push(number);
                fail_at(in_finished, number).map(|_| ONE)
            };
            let result = pump(2)
                .run(&Output::start(), stream::iter((1..100).map(|n| fail_at(in_source, n))), work, hand_on)
                .await;
            assert!(matches!(result, Err(Failure::Skipped(7))), "{failing:?}: {result:?}");
            let last = started.borrow().iter().max().copied();
            assert!(last <= Some(3), "{failing:?}: the last one started is {last:?}");
            assert!(finished.borrow().contains(&1), "{failing:?}: the first is not handed on");
        }
    }
}
