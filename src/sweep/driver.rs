//! Runs the cells of a study that are still to be run, and shows all of them.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use rayon::prelude::*;

use super::pace::Pace;
use super::{Cell, Journal, Study, Watch};
use crate::error::{Error, Result};
use crate::profile::clock::{Stopwatch, timed};

/// Between two looks at whether work was asked to stop.
const LOOK: Duration = Duration::from_millis(100);
/// For work to stop by itself.
const GRACE: Duration = Duration::from_millis(1500);

/// Runs a study: its view, and whether every cell of the plan is in it.
///
/// A study that is stopped shows the cells that were finished; if there are none, [`Error::Interrupted`]. Any other error
/// ends it, with the finished cells in the journal.
pub fn run<S: Study>(study: &S, journal: &Journal, watch: &dyn Watch) -> Result<(S::View, bool)> {
    let plan = study.plan();
    if journal.list(&plan) {
        if !study.is_first_stage() {
            journal.end_without_view()?;
        }
        return Ok((study.view(Vec::new())?, true));
    }
    let earlier = |cell: &Cell<S::Cell>| journal.take(&cell.key).filter(|rows| study.suffices(rows));
    let mut rows: Vec<Option<S::Rows>> = plan.iter().map(earlier).collect();
    if let Some(merged) = journal.merged() {
        return merge(study, plan, rows, merged.partial);
    }
    let mine = journal.shard().map_or_else(|| vec![true; plan.len()], |shard| study.mine(&plan, shard));
    let steps = |done: bool| -> usize {
        let cells = plan.iter().zip(&rows).zip(&mine);
        cells
            .filter(|((_, rows), mine)| rows.is_some() == done && **mine)
            .map(|((cell, _), _)| cell.steps)
            .sum()
    };
    let (done, left) = (steps(true), steps(false));
    watch.begin(done + left, study.unit());
    if done > 0 {
        watch.skip(done);
    }
    let pace = Pace::default();
    let driver = Driver { study, plan: &plan, mine: &mine, journal, watch, pace: &pace };
    let ended = thread::scope(|scope| {
        let (end, ended) = mpsc::channel();
        scope.spawn(move || driver.leave_if_late(&ended));
        let ran = driver.run(&mut rows);
        drop(end);
        ran
    });
    match ended {
        // What a shard found is shown when it is merged; without the others, figures over all heads would mislead.
        Ok(()) if !study.is_first_stage() => journal.end_without_view()?,
        Err(Error::Interrupted) if journal.shard().is_some() => return Err(Error::Interrupted),
        Ok(()) => {}
        Err(Error::Interrupted) if rows.iter().any(Option::is_some) => {}
        Err(error) => return Err(error),
    }
    let complete = ended.is_ok();
    let rows = plan.into_iter().zip(rows).filter_map(|(cell, rows)| Some((cell.of, rows?)));
    Ok((study.view(rows.collect())?, complete))
}

/// Shows recorded cells; unless `partial`, all must be there.
fn merge<S: Study>(
    study: &S,
    plan: Vec<Cell<S::Cell>>,
    rows: Vec<Option<S::Rows>>,
    partial: bool,
) -> Result<(S::View, bool)> {
    let missing: Vec<&str> = plan
        .iter()
        .zip(&rows)
        .filter(|(_, rows)| rows.is_none())
        .map(|(cell, _)| cell.key.as_str())
        .collect();
    let complete = missing.is_empty();
    if !complete && (!partial || missing.len() == plan.len()) {
        let (of, missing) = (plan.len(), missing.iter().map(ToString::to_string).collect());
        return Err(Error::CellsMissing { of, missing });
    }
    let rows = plan.into_iter().zip(rows).filter_map(|(cell, rows)| Some((cell.of, rows?)));
    Ok((study.view(rows.collect())?, complete))
}

struct Driver<'a, S: Study> {
    study: &'a S,
    plan: &'a [Cell<S::Cell>],
    /// Which of them are run here.
    mine: &'a [bool],
    journal: &'a Journal,
    watch: &'a dyn Watch,
    pace: &'a Pace,
}

impl<S: Study> Clone for Driver<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: Study> Copy for Driver<'_, S> {}

impl<S: Study> Driver<'_, S> {
    /// Leaves work that goes on long after it was asked to stop, such as a library's decomposition or the forward pass of a
    /// large model, if every finished cell is recorded on the disk, or there is none.
    fn leave_if_late(&self, ended: &Receiver<()>) {
        let mut asked = None;
        while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
            if !self.watch.stopped() {
                continue;
            }
            let since = asked.get_or_insert_with(Stopwatch::start);
            if since.elapsed() > GRACE && self.journal.loses_nothing() {
                self.watch.leave();
            }
        }
    }

    /// Runs the cells that have no rows yet.
    fn run(&self, rows: &mut [Option<S::Rows>]) -> Result<()> {
        let left: Vec<usize> = (0..rows.len()).filter(|at| rows[*at].is_none() && self.mine[*at]).collect();
        let left: Vec<(usize, &S::Cell)> = left.into_iter().map(|at| (at, &self.plan[at].of)).collect();
        if left.is_empty() {
            return Ok(());
        }
        let mut waiting: Vec<(usize, S::Input)> = Vec::new();
        self.study.inputs(&left, &mut |at, input| {
            self.watch.check()?;
            let together = self.study.together(&self.plan[at].of, &input);
            waiting.push((at, input));
            if waiting.len() >= together { self.cells(&mut waiting, rows) } else { Ok(()) }
        })?;
        self.cells(&mut waiting, rows)
    }

    /// Runs the cells that wait. What is finished stays when another one fails or is stopped.
    fn cells(&self, waiting: &mut Vec<(usize, S::Input)>, rows: &mut [Option<S::Rows>]) -> Result<()> {
        let cells = std::mem::take(waiting);
        let finished: Vec<(usize, Result<S::Rows>)> = match cells.as_slice() {
            // On this thread, so that the cell itself has all others.
            [(at, input)] => vec![(*at, self.cell(*at, input))],
            _ => cells.par_iter().map(|(at, input)| (*at, self.cell(*at, input))).collect(),
        };
        let mut ended = Ok(());
        for (at, result) in finished {
            match result {
                Ok(found) => rows[at] = Some(found),
                Err(Error::Interrupted) if ended.is_err() => {}
                Err(error) => ended = Err(error),
            }
        }
        ended
    }

    fn cell(&self, at: usize, input: &S::Input) -> Result<S::Rows> {
        self.watch.check()?;
        let cell = &self.plan[at];
        if self.pace.seconds(cell.cost).is_some_and(|seconds| !self.watch.has_time(seconds)) {
            return Err(Error::Interrupted);
        }
        let (found, seconds) = timed(|| self.study.run(&cell.of, input));
        let found = found?;
        self.pace.add(cell.cost, seconds);
        self.journal.write(&cell.key, &found)?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::{Fingerprint, Hand, RunFolder, Unwatched};
    use super::*;

    /// Squares of the numbers below ten; counts how many it computed.
    #[derive(Default)]
    struct Squares {
        ran: AtomicUsize,
        together: usize,
        fails_at: Option<usize>,
    }

    impl Study for Squares {
        type Cell = usize;
        type Input = ();
        type Rows = usize;
        type View = Vec<usize>;

        fn unit(&self) -> &'static str {
            "squares"
        }

        fn plan(&self) -> Vec<Cell<usize>> {
            let cell = |of: usize| Cell { key: format!("square of {of}"), steps: 1, cost: 1.0, of };
            (0..10).map(cell).collect()
        }

        fn inputs(&self, cells: &[(usize, &usize)], hand: &mut Hand<'_, ()>) -> Result<()> {
            cells.iter().try_for_each(|(at, _)| hand(*at, ()))
        }

        fn together(&self, _: &usize, (): &()) -> usize {
            self.together
        }

        fn run(&self, of: &usize, (): &()) -> Result<usize> {
            if self.fails_at == Some(*of) {
                return Err(Error::value("number", of, "another one"));
            }
            self.ran.fetch_add(1, Ordering::Relaxed);
            Ok(of * of)
        }

        fn view(&self, rows: Vec<(usize, usize)>) -> Result<Vec<usize>> {
            assert!(rows.iter().all(|(of, square)| of * of == *square));
            Ok(rows.into_iter().map(|(_, square)| square).collect())
        }
    }

    /// Stops after so many checks.
    struct Stop(AtomicUsize);

    impl Watch for Stop {
        fn stopped(&self) -> bool {
            self.0.fetch_sub(1, Ordering::Relaxed) <= 1
        }
    }

    #[test]
    fn a_stopped_run_is_continued_and_shows_the_same() {
        for together in [1, 4] {
            let (whole, complete) =
                run(&Squares { together, ..Squares::default() }, &Journal::default(), &Unwatched).unwrap();
            assert!(complete && whole.len() == 10);
            for checks in 4..16 {
                let dir = tempfile::tempdir().unwrap();
                let open = |resume| {
                    let folder = RunFolder { path: Some(dir.path().into()), resume, ..RunFolder::default() };
                    Journal::open(&folder, &Fingerprint::of_study("squares")).unwrap()
                };
                let first = Squares { together, ..Squares::default() };
                let stopped = run(&first, &open(false), &Stop(AtomicUsize::new(checks)));
                let ran = first.ran.into_inner();
                match stopped {
                    Ok((shown, complete)) => assert!(!complete && shown.len() == ran),
                    Err(error) => assert!(matches!(error, Error::Interrupted) && ran == 0),
                }
                let second = Squares { together, ..Squares::default() };
                assert_eq!(run(&second, &open(true), &Unwatched).unwrap(), (whole.clone(), true));
                assert_eq!(second.ran.into_inner(), 10 - ran, "no cell is run twice");
            }
        }
    }

    /// Cells that never look whether they are to stop: they are left when nothing is lost by it, and not before.
    #[test]
    fn late_work_is_left_if_its_cells_are_recorded() {
        struct Late {
            left: AtomicUsize,
        }
        impl Watch for Late {
            fn stopped(&self) -> bool {
                true
            }

            // As if the first cells had begun before the stop.
            fn check(&self) -> Result<()> {
                Ok(())
            }

            fn leave(&self) {
                self.left.fetch_add(1, Ordering::Relaxed);
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder { path: Some(dir.path().into()), ..RunFolder::default() };
        let kept = Journal::open(&folder, &Fingerprint::of_study("slow")).unwrap();
        let late = GRACE + 5 * LOOK;
        for (journal, left) in [(&kept, true), (&Journal::default(), false)] {
            let watch = Late { left: AtomicUsize::new(0) };
            run(&Slow { pause: [Duration::ZERO, late] }, journal, &watch).unwrap();
            assert_eq!(watch.left.into_inner() > 0, left);
        }
        let watch = Late { left: AtomicUsize::new(0) };
        run(&Slow { pause: [late, Duration::ZERO] }, &Journal::default(), &watch).unwrap();
        assert!(watch.left.into_inner() > 0, "no cell was finished when it was late");
    }

    /// The first cell begins always, so that every start gets on; of the second it is known that it takes too long.
    #[test]
    fn a_cell_that_does_not_fit_is_not_begun() {
        struct Late;
        impl Watch for Late {
            fn has_time(&self, seconds: f64) -> bool {
                assert!((0.02..10.0).contains(&seconds), "{seconds}");
                false
            }
        }
        let dir = tempfile::tempdir().unwrap();
        let folder = RunFolder {
            path: Some(dir.path().into()),
            shard: Some("1/1".parse().unwrap()),
            ..RunFolder::default()
        };
        let journal = Journal::open(&folder, &Fingerprint::of_study("slow")).unwrap();
        let study = Slow { pause: [Duration::from_millis(20), Duration::from_secs(3600)] };
        assert!(matches!(run(&study, &journal, &Late), Err(Error::Interrupted)));
        let text = std::fs::read_to_string(dir.path().join("journal.jsonl")).unwrap();
        assert_eq!(text.lines().count(), 2);
    }

    /// Two cells of these times.
    struct Slow {
        pause: [Duration; 2],
    }

    impl Study for Slow {
        type Cell = Duration;
        type Input = ();
        type Rows = ();
        type View = ();

        fn unit(&self) -> &'static str {
            "pauses"
        }

        fn plan(&self) -> Vec<Cell<Duration>> {
            let cell =
                |(at, of): (usize, &Duration)| Cell { key: at.to_string(), steps: 1, cost: 1.0, of: *of };
            self.pause.iter().enumerate().map(cell).collect()
        }

        fn inputs(&self, cells: &[(usize, &Duration)], hand: &mut Hand<'_, ()>) -> Result<()> {
            cells.iter().try_for_each(|(at, _)| hand(*at, ()))
        }

        fn run(&self, of: &Duration, (): &()) -> Result<()> {
            thread::sleep(*of);
            Ok(())
        }

        fn view(&self, _: Vec<(Duration, ())>) -> Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_failure_is_the_error_and_leaves_what_was_finished() {
        let dir = tempfile::tempdir().unwrap();
        let open = |resume| {
            let folder = RunFolder { path: Some(dir.path().into()), resume, ..RunFolder::default() };
            Journal::open(&folder, &Fingerprint::of_study("squares")).unwrap()
        };
        let failing = Squares { together: 5, fails_at: Some(7), ..Squares::default() };
        assert!(run(&failing, &open(false), &Unwatched).unwrap_err().to_string().contains("'7'"));
        let mended = Squares { together: 5, ..Squares::default() };
        assert_eq!(run(&mended, &open(true), &Unwatched).unwrap().0.len(), 10);
        assert_eq!(mended.ran.into_inner(), 1);
    }
}
