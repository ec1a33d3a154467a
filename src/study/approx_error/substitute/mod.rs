//! The whole model with its attention replaced, without retraining: how far do its outputs drift?

mod drift;
mod report;

use ndarray::Array2;

use super::Config;
use super::asked::Asked;
use super::fits::{Fits, Role};
use crate::attention::{Attention, Input, Mask, Origin};
use crate::error::{Error, Result};
use crate::linalg::gemm::{Threads, product};
use crate::model::{HeadTap, Substitute, Unobserved};
use crate::name::Indices;
use crate::study::input::{Source, Trained};
use crate::study::{Context, Outcome};

pub(super) use report::row_columns;

use drift::Drift;

/// One mechanism over one window.
#[derive(Clone, Debug)]
struct Measured {
    asked: usize,
    role: Role,
    window: usize,
    n: usize,
    drift: Drift,
}

/// The layers that `--substitute` names.
fn layers(text: &str, count: usize) -> Result<Vec<usize>> {
    if text == "all" {
        return Ok((0..count).collect());
    }
    let indices: Indices = text
        .parse()
        .map_err(|_| Error::value("--substitute", text, "all, or layers and ranges such as 0-3,5"))?;
    indices.select("--substitute", count)
}

/// Runs the model of the input with each mechanism in the place of softmax attention.
pub(super) fn run(config: &Config, chosen: &str, context: Context<'_>) -> Result<Outcome> {
    let mut source = Trained::open(&config.input, context.seed)?;
    let layers = layers(chosen, source.model()?.config().layers)?;
    source.restrict(layers.clone());
    let asked = Asked::all(config.attention.as_deref(), &config.l, &source)?;
    super::differences::check(config.baseline.as_deref(), &asked)?;
    let windows = Fits::windows(&asked, config.fit_windows, source.windows())?;
    super::check_memory(&source, windows)?;
    let fitted = Asked::count(asked.iter().filter(|asked| asked.fitted), source.lengths());
    let passes = source.lengths().len() + Asked::count(asked.iter(), source.lengths());
    context.watch.begin(fitted * source.heads() + (source.windows() - windows) * passes, "passes and fits");
    let fits = Fits::run(&asked, &source, windows, &config.fit_options(), context)?;
    let mut measured = Vec::new();
    let complete = match visit(&source, &asked, &fits, &layers, context, &mut measured) {
        Ok(()) => true,
        Err(Error::Interrupted) if !measured.is_empty() => false,
        Err(error) => return Err(error),
    };
    let mut report = report::report(&source, &asked, &layers, &measured, config.baseline.as_deref());
    super::stamp(&mut report, &source);
    report::describe(&mut report, &source, &layers, &fits);
    report.notes.extend(Asked::notes(&asked, &config.l, source.lengths()));
    Ok(Outcome { report, complete })
}

fn visit(
    source: &Trained,
    asked: &[Asked],
    fits: &Fits,
    layers: &[usize],
    context: Context<'_>,
    measured: &mut Vec<Measured>,
) -> Result<()> {
    let model = source.model()?;
    let hidden = |out: crate::model::Output| {
        let what = "the forward pass of the model".to_string();
        out.hidden.ok_or(Error::Convergence { what })
    };
    for n in source.lengths() {
        for window in (0..source.windows()).filter(|window| fits.is_judged(*window)) {
            context.watch.check()?;
            let Some(ids) = source.ids(*n, window) else { continue };
            let exact = hidden(model.forward(ids, &mut Unobserved)?)?;
            context.watch.step(1, "softmax");
            for (at, one) in asked.iter().enumerate().filter(|(_, one)| one.is_at(*n)) {
                context.watch.check()?;
                let stand = StandIn { asked: one, at, n: *n, layers, fits, context };
                let other = hidden(model.forward_with(ids, &mut Unobserved, &stand)?)?;
                let drift = Drift::of(model, ids, &exact, &other)?;
                measured.push(Measured { asked: at, role: fits.role(one, window), window, n: *n, drift });
                context.watch.step(1, &one.spec.to_string());
            }
        }
    }
    Ok(())
}

/// A mechanism in the place of the attention of some layers.
struct StandIn<'a> {
    asked: &'a Asked,
    at: usize,
    n: usize,
    layers: &'a [usize],
    fits: &'a Fits,
    context: Context<'a>,
}

impl Substitute for StandIn<'_> {
    fn replaces(&self, layer: usize) -> bool {
        self.layers.contains(&layer)
    }

    fn attend(&self, head: &HeadTap) -> Result<Array2<f32>> {
        // The label of the input, so that draws and fits are those of the comparison head by head.
        let label = format!("layer {} head {}", head.layer, head.head);
        let learned = self.fits.learned(self.at, self.n, &label);
        let origin = Origin { seed: self.context.seed, label: &label, learned };
        let mask = if head.causal { Mask::Causal } else { Mask::Full };
        let input = Input { scale: head.scale, ..Input::new(head.q.view(), head.k.view(), mask) };
        let matrix = Attention::build(&self.asked.spec, &origin)?.matrix(&input)?;
        Ok(product(matrix.view(), head.v.view(), Threads::One))
    }
}
