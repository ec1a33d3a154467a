//! Replaces the attention of a model: a cell is a window with one mechanism.

use std::sync::Arc;

use ndarray::Array2;

use super::drift::Drift;
use super::rows::Measured;
use super::view;
use crate::error::{Error, Result};
use crate::model::{HeadTap, Model, Substitute, Unobserved};
use crate::report::Report;
use crate::study::allocation::{Assignment, attend};
use crate::study::approx_error::allocated::{self, Allocated};
use crate::study::approx_error::candidate::{Candidate, Candidates};
use crate::study::approx_error::config::Config;
use crate::study::approx_error::fits::Fits;
use crate::study::approx_error::{differences, frame};
use crate::study::input::{Head, Layers, Source, Trained};
use crate::study::{Context, Outcome};
use crate::sweep::{self, Cell, Hand, Shard, Study};

/// The study, on its input.
struct Replacement<'a> {
    config: &'a Config,
    source: &'a Trained,
    model: &'a Model,
    candidates: &'a [Candidate],
    layers: &'a [usize],
    fits: &'a Fits,
    allocated: Option<&'a Allocated>,
    context: Context<'a>,
}

/// One mechanism, by its number, over one window.
struct WindowOf {
    n: usize,
    window: usize,
    candidate: usize,
}

/// Runs the model of the input with each mechanism in the place of softmax attention.
pub(in crate::study::approx_error) fn run(
    config: &Config,
    chosen: &str,
    context: Context<'_>,
) -> Result<Outcome> {
    let mut source = Trained::open(&config.input, context.seed)?;
    let layers = layers(chosen, source.model()?)?;
    source.restrict(&layers);
    let (mut candidates, allocated) = allocated::candidates(config, &source, context.watch)?;
    differences::check(config.baseline.as_deref(), &candidates.all)?;
    candidates.restrict(&mut source, Some("--substitute"), context.watch)?;
    let Candidates { all, left_out } = candidates;
    let layers = source.layers().to_vec();
    let windows = Fits::windows(&all, config.fit_windows, source.windows())?;
    frame::check_memory(config, &source, source.lengths(), windows)?;
    let mut facts = frame::facts(config, "substitution", &source, context);
    if let Some(allocated) = &allocated {
        facts.push("allocation", allocated.hash.as_str());
    }
    let journal = frame::journal(config, facts, &all, windows)?;
    let (source, candidates, layers, model) = (&source, &all[..], &layers[..], source.model()?);
    // Which cells there are does not depend on what is fitted.
    let planned = Fits::planned(windows);
    let allocated = allocated.as_ref();
    let study = Replacement { config, source, model, candidates, layers, fits: &planned, allocated, context };
    let plan = study.plan();
    let mine = journal.shard().map_or_else(Vec::new, |shard| study.mine(&plan, shard));
    let mine: Vec<&WindowOf> =
        plan.iter().zip(mine).filter(|(_, mine)| *mine).map(|(cell, _)| &cell.of).collect();
    let needed =
        |candidate: usize, n: usize, _: &str| mine.iter().any(|of| (of.candidate, of.n) == (candidate, n));
    let fits = &Fits::run(candidates, source, (windows, &needed), &config.fit_options(), &journal, context)?;
    let study = Replacement { fits, ..study };
    let (mut report, complete) = sweep::run(&study, &journal, context.watch)?;
    frame::stamp(&mut report, source);
    report.stamp.push("substituted_layers", layers.to_vec());
    report.notes.extend(left_out);
    // An allocation alone takes no l.
    let lengths = if config.allocation.is_some() && config.mechanism.is_none() { &[][..] } else { &config.l };
    report.notes.extend(Candidate::notes(candidates, lengths, source.lengths()));
    Ok(Outcome { report, complete })
}

/// The layers that `--substitute` names.
fn layers(text: &str, model: &Model) -> Result<Vec<usize>> {
    let config = model.config();
    if text == "all" {
        return Ok((0..config.layers).collect());
    }
    let accepted = "all, full, sliding, or layers and ranges such as 0-3,5";
    let layers: Layers = text.parse().map_err(|_| Error::value("--substitute", text, accepted))?;
    layers.select("--substitute", config.layers, Some(&|layer| config.window(layer).is_some()))
}

impl Study for Replacement<'_> {
    type Cell = WindowOf;
    type Input = Arc<Array2<f32>>;
    type Rows = Drift;
    type View = Report;

    fn unit(&self) -> &'static str {
        "forward passes"
    }

    fn plan(&self) -> Vec<Cell<WindowOf>> {
        let mut cells = Vec::new();
        for n in self.source.lengths() {
            for window in (0..self.source.windows()).filter(|window| self.fits.is_judged(*window)) {
                let there = |(_, one): &(usize, &Candidate)| one.is_at(*n);
                for (candidate, one) in self.candidates.iter().enumerate().filter(there) {
                    let key = format!("{} n {n} window {window}", one.spec);
                    let of = WindowOf { n: *n, window, candidate };
                    cells.push(Cell {
                        key,
                        steps: 1,
                        cost: (*n as f64).powi(2) * self.layers.len() as f64,
                        of,
                    });
                }
            }
        }
        cells
    }

    /// Where something is fitted, all windows of a mechanism are in one shard, beside its fits.
    fn mine(&self, plan: &[Cell<WindowOf>], shard: Shard) -> Vec<bool> {
        let fitted = self.fits.trained_on() > 0;
        shard.cells(plan, |of| fitted.then(|| format!("n {} {}", of.n, self.candidates[of.candidate].spec)))
    }

    /// The last hidden states of the model as it was trained, once a window.
    fn inputs(&self, cells: &[(usize, &WindowOf)], hand: &mut Hand<'_, Arc<Array2<f32>>>) -> Result<()> {
        for of_window in cells.chunk_by(|(_, a), (_, b)| (a.n, a.window) == (b.n, b.window)) {
            let WindowOf { n, window, .. } = *of_window[0].1;
            let input = self.source.window(n, window)?;
            let exact = Arc::new(self.model.run(input, &mut Unobserved, None)?.last()?);
            of_window.iter().try_for_each(|(at, _)| hand(*at, Arc::clone(&exact)))?;
        }
        Ok(())
    }

    fn run(&self, of: &WindowOf, exact: &Arc<Array2<f32>>) -> Result<Drift> {
        let input = self.source.window(of.n, of.window)?;
        let candidate = &self.candidates[of.candidate];
        let Self { layers, fits, context, .. } = *self;
        let heads =
            self.allocated.filter(|_| Allocated::is(candidate)).map(|allocated| &allocated.assignment);
        let stand = StandIn { candidate, at: of.candidate, n: of.n, layers, fits, heads, context };
        let other = self.model.run(input, &mut Unobserved, Some(&stand))?.last()?;
        let drift = Drift::of(self.model, input, exact, &other)?;
        context.watch.step(1, &candidate.spec.to_string());
        Ok(drift)
    }

    fn view(&self, rows: Vec<(WindowOf, Drift)>) -> Result<Report> {
        let measured = |(of, drift): (WindowOf, Drift)| {
            let WindowOf { n, window, candidate } = of;
            Measured {
                candidate,
                role: self.fits.role(&self.candidates[candidate], window),
                window,
                n,
                drift,
            }
        };
        let measured: Vec<Measured> = rows.into_iter().map(measured).collect();
        let Self { config, source, candidates, layers, fits, .. } = *self;
        Ok(view::report(source, candidates, layers, fits, &measured, config.baseline.as_deref()))
    }
}

/// A mechanism in the place of the attention of some layers.
struct StandIn<'a> {
    candidate: &'a Candidate,
    at: usize,
    n: usize,
    layers: &'a [usize],
    fits: &'a Fits,
    /// The mechanism of each head, in the place of the candidate's.
    heads: Option<&'a Assignment>,
    context: Context<'a>,
}

impl Substitute for StandIn<'_> {
    fn replaces(&self, layer: usize) -> bool {
        self.layers.contains(&layer) && self.heads.is_none_or(|heads| heads.replaces(layer))
    }

    fn replaces_head(&self, layer: usize, head: usize) -> bool {
        self.heads.is_none_or(|heads| heads.replaces_head(layer, head))
    }

    fn attend(&self, head: &HeadTap) -> Result<Array2<f32>> {
        if let Some(heads) = self.heads {
            return heads.attend(head);
        }
        // Fits are by the label of the input, as in the comparison head by head.
        let label = Head::label_in(head.layer, head.head);
        let learned = self.fits.learned(self.at, self.n, &label);
        attend(&self.candidate.spec, self.context.seed, learned, head)
    }
}
