//! `luna list`: the names that flags accept.

use std::io::{IsTerminal, Write};

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::exit::Failure;
use super::plain::{PlainFormat, write_json};
use crate::linalg::engine;
use crate::network::translator::DecoderKind;
use crate::study::approx_error::TRAINED;
use crate::study::claim;
use crate::study::scale_sweep::preset;
use crate::study::svd_spectrum::null;
use crate::task;
use crate::task::synthetic;
use crate::train::schedule;
use crate::{attention, metric, model, name, report};

/// A kind of name that flags name, with all names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registry {
    /// What each of them is, in the singular ("null model").
    pub kind: &'static str,
    /// What they are, and which flags name them, in one line.
    pub about: &'static str,
    /// The things, in the order to show.
    pub entries: Vec<Entry>,
}

/// One thing that can be named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The name to type.
    pub name: String,
    /// One line about it.
    pub about: String,
    /// Its equation, in the papers' letters; empty if it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub equation: String,
    /// Its parameters with defaults, as [`name::takes`] writes them; empty where there are none.
    pub takes: String,
    /// Its parameters one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<name::Param>,
    /// The paper or program that it comes from; empty if it is this program.
    pub source: String,
    /// Of a model family, which keys its queries see; empty for all else.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mask: String,
    /// Of a model family, how positions enter.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub positions: String,
    /// Of a model family, a model of it that people use.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub example: String,
}

impl Registry {
    fn of(kind: &'static str, about: &'static str, entries: impl IntoIterator<Item = Entry>) -> Self {
        Self { kind, about, entries: entries.into_iter().collect() }
    }
}

impl Entry {
    /// The same, with its parameters.
    fn taking(self, takes: &[name::Param]) -> Self {
        Self { takes: name::takes(takes), parameters: takes.to_vec(), ..self }
    }

    /// An entry without parameters or source.
    pub fn new(name: impl Into<String>, about: impl Into<String>) -> Self {
        Self { name: name.into(), about: about.into(), ..Self::default() }
    }
}

/// Every registry, in the order to show.
pub fn registries() -> Vec<Registry> {
    vec![
        Registry::of(
            "mechanism",
            "attention mechanisms, for --mechanism of approx-error, allocate and scale-sweep",
            attention::ALL.iter().copied().chain([&TRAINED]).map(|kind| Entry {
                equation: kind.equation.into(),
                source: kind.paper.into(),
                ..Entry::new(kind.name, kind.about).taking(kind.takes)
            }),
        ),
        Registry::of(
            "layer",
            "mechanisms of a layer, for --mechanism of train, and of scale-sweep with --unit",
            // Softmax with its matrices is measured beside it, and not named.
            crate::network::ALL
                .iter()
                .filter(|kind| kind.name != "materialised")
                .map(|kind| Entry::new(kind.name, kind.about).taking(kind.takes)),
        ),
        Registry::of(
            "preset",
            "sweeps of the papers' tables, for --preset of scale-sweep",
            preset::ALL.iter().map(|preset| Entry::new(preset.name, preset.about)),
        ),
        Registry::of(
            "task",
            "what train learns, for --task",
            task::ALL.iter().map(|task| Entry::new(task.name, task.about).taking(task.takes)),
        ),
        Registry::of(
            "recipe",
            "sizes and learning rates for --preset of train; the first of a task is its default",
            task::ALL
                .iter()
                .flat_map(|task| task.presets)
                .map(|preset| Entry::new(preset.name, preset.about)),
        ),
        Registry::of(
            "schedule",
            "learning rate schedules, for --schedule of train",
            schedule::ALL.iter().map(|kind| Entry::new(kind.name, kind.about)),
        ),
        Registry::of(
            "decoder",
            "attention of a translator's decoder, for --decoder of train",
            DecoderKind::ALL.iter().map(|kind| Entry::new(kind.name(), kind.about()).taking(kind.takes())),
        ),
        Registry::of(
            "family",
            "model types that --model opens, with a model of each (PE: positional encoding; *: layers may have a window)",
            model::ALL.iter().map(|family| Entry {
                mask: family.mask().into(),
                positions: family.positions().into(),
                example: family.example.into(),
                ..Entry::new(family.name, family.about)
            }),
        ),
        Registry::of(
            "embedded-model",
            "built-in trained models, for --model (default: the first); without --text they read a built-in text",
            model::embedded::ALL.iter().map(|model| Entry::new(model.name, model.about)),
        ),
        Registry::of(
            "synthetic-input",
            "heads for --synthetic",
            synthetic::ALL.iter().map(|input| Entry::new(input.name, input.about).taking(input.takes)),
        ),
        Registry::of(
            "null-model",
            "null models beside each head, for --null",
            null::ALL.iter().map(|null| Entry::new(null.name, null.about).taking(null.takes)),
        ),
        Registry::of(
            "metric",
            "metrics of spectra (also with the prefixes centred_ and null_...), of rows, and of approximations",
            metric::ALL.iter().map(|metric| Entry {
                source: metric.source.into(),
                ..Entry::new(metric.name, metric.about)
            }),
        ),
        Registry::of(
            "claim",
            "published claims, for luna check",
            claim::ALL.iter().map(|claim| Entry {
                equation: claim.holds(),
                source: claim.source.into(),
                ..Entry::new(claim.name, claim.about)
            }),
        ),
        Registry::of(
            "format",
            "output formats, for --format",
            report::Format::ALL.iter().map(|format| Entry::new(format.name, format.about)),
        ),
        Registry::of(
            "engine",
            "backends of the singular value decomposition, for --engine of svd-spectrum",
            // Also those that this build lacks, which `luna doctor` shows.
            engine::ALL.iter().map(|(_, name, about)| Entry::new(*name, *about)),
        ),
    ]
}

/// Former names of registries.
const FORMER: &[(&str, &str)] = &[("attention", "mechanism"), ("model-family", "family")];

/// Flags of `luna list`.
#[derive(Args, Clone, Debug)]
pub struct List {
    /// One kind of name [default: all]
    kind: Option<String>,
    /// How to write the list
    #[arg(long, value_enum, default_value_t)]
    format: PlainFormat,
}

impl List {
    /// Writes the registries, or the one asked for.
    pub fn run(&self, registries: &[Registry], out: &mut dyn Write) -> Result<(), Failure> {
        let shown = match &self.kind {
            Some(kind) => {
                let kind =
                    FORMER.iter().find(|(former, _)| former == kind).map_or(kind.as_str(), |(_, now)| now);
                std::slice::from_ref(name::find("kind of name", kind, registries, |registry| registry.kind)?)
            }
            None => registries,
        };
        match self.format {
            PlainFormat::Json => write_json(&shown, out)?,
            PlainFormat::Table => {
                let indent = 2;
                let width = super::study::width(std::io::stdout().is_terminal()).saturating_sub(indent);
                for (i, registry) in shown.iter().enumerate() {
                    let gap = if i == 0 { "" } else { "\n" };
                    writeln!(out, "{gap}{}: {}", registry.kind, registry.about)?;
                    let text = match &self.kind {
                        Some(_) if registry.entries.iter().any(|entry| !entry.example.is_empty()) => {
                            table(registry, width, &FACTS).to_string()
                        }
                        Some(_) => details(registry, width),
                        None => table(registry, width, &COLUMNS).to_string(),
                    };
                    for line in text.lines() {
                        writeln!(out, "{}", format!("  {line}").trim_end())?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// Every entry in full: what `luna list KIND` shows.
fn details(registry: &Registry, width: usize) -> String {
    let mut text = String::new();
    for entry in &registry.entries {
        let source = if entry.source.is_empty() { String::new() } else { format!("  ({})", entry.source) };
        text.push_str(&entry.name);
        text.push_str(&source);
        text.push('\n');
        for line in [&entry.about, &entry.equation] {
            text.push_str(&indented(line, width, 4));
        }
        for parameter in &entry.parameters {
            let default = parameter.default.unwrap_or_default();
            let line = format!("{}={default}: {}", parameter.name, parameter.about);
            text.push_str(&indented(&line, width, 6));
        }
    }
    text
}

/// Prose in lines of at most `width`, set in by some columns; nothing for an empty text.
fn indented(text: &str, width: usize, by: usize) -> String {
    let lines = report::wrap(text, width.saturating_sub(by).max(20));
    lines.iter().flat_map(|line| [" ".repeat(by), line.clone(), "\n".into()]).collect()
}

/// A column, and how an entry fills it.
type Column = (&'static str, fn(&Entry) -> &str);

/// What all kinds of names have.
const COLUMNS: [Column; 4] = [
    ("name", |entry| &entry.name),
    ("takes", |entry| &entry.takes),
    ("about", |entry| &entry.about),
    ("source", |entry| &entry.source),
];

/// What model families have.
const FACTS: [Column; 4] = [
    ("name", |entry| &entry.name),
    ("mask", |entry| &entry.mask),
    ("PE", |entry| &entry.positions),
    ("example", |entry| &entry.example),
];

fn table(registry: &Registry, width: usize, columns: &[Column]) -> Table {
    // Empty columns are left out.
    let columns: Vec<_> = columns
        .iter()
        .filter(|(_, cell)| registry.entries.iter().any(|entry| !cell(entry).is_empty()))
        .collect();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    table.set_header(columns.iter().map(|(title, _)| *title));
    for entry in &registry.entries {
        table.add_row(columns.iter().map(|(_, cell)| cell(entry)));
    }
    // Nothing stands behind the last column.
    if let Some(last) = table.column_iter_mut().last() {
        last.set_padding((1, 0));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(kind: Option<&str>, format: PlainFormat) -> Result<String, Failure> {
        let takes = [name::Param { name: "w", default: Some("17"), about: "width of the window in tokens" }];
        let local = Entry::new("local", "a window of keys").taking(&takes);
        let registries = [
            Registry { kind: "synthetic input", about: "named by --synthetic", entries: vec![local] },
            Registry { kind: "engine", about: "of --engine", entries: vec![Entry::new("faer", "pure Rust")] },
        ];
        let mut out = Vec::new();
        List { kind: kind.map(String::from), format }.run(&registries, &mut out)?;
        Ok(String::from_utf8(out).expect("text"))
    }

    #[test]
    fn a_table_has_no_empty_columns() {
        let text = written(None, PlainFormat::Table).unwrap();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["name", "takes", "about"]);
        assert_eq!(lines[2], ["local", "w=17", "a", "window", "of", "keys"]);
        assert_eq!(lines[5], ["name", "about"]);
        assert!(text.lines().all(|line| line.trim_end() == line));
    }

    #[test]
    fn what_only_one_command_takes_is_listed_with_its_command() {
        let all = registries();
        let attentions = &all.iter().find(|registry| registry.kind == "mechanism").unwrap().entries;
        let trained = attentions.iter().find(|entry| entry.name == "trained").unwrap();
        assert!(trained.about.contains("only for approx-error with --model RUN"), "{}", trained.about);
    }

    #[test]
    fn one_kind_is_shown_with_its_parameters() {
        let text = written(Some("synthetic input"), PlainFormat::Table).unwrap();
        let expected = [
            "synthetic input: named by --synthetic",
            "  local",
            "      a window of keys",
            "        w=17: width of the window in tokens",
        ];
        assert!(text.lines().eq(expected), "{text}");
    }

    #[test]
    fn families_take_a_line_each_in_a_terminal_of_80_columns() {
        let all = registries();
        let families = all.iter().find(|registry| registry.kind == "family").unwrap();
        let text = table(families, 78, &FACTS).to_string();
        assert_eq!(text.lines().count(), 1 + families.entries.len(), "{text}");
        assert!(text.lines().all(|line| line.trim_end().len() <= 78), "{text}");
        let gemma: Vec<_> =
            text.lines().find(|line| line.contains("gemma2")).unwrap().split_whitespace().collect();
        assert_eq!(gemma, ["gemma2", "causal*", "rotary", "google/gemma-2-2b"]);
    }

    #[test]
    fn json_has_one_registry_if_named() {
        let json: serde_json::Value =
            serde_json::from_str(&written(Some("engine"), PlainFormat::Json).unwrap()).unwrap();
        assert_eq!(json[0]["entries"][0]["name"], "faer");
        assert_eq!(json.as_array().unwrap().len(), 1);
    }

    #[test]
    fn an_unknown_kind_answers_with_the_list() {
        let error = written(Some("engines"), PlainFormat::Table).unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown kind of name 'engines' (did you mean 'engine'?); known: synthetic input, engine"
        );
    }
}
