//! `luna list`: everything that can be named on the command line.

use std::io::{IsTerminal, Write};

use clap::Args;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use super::{Failure, Format};
use crate::linalg::engine;
use crate::network::translator::DecoderKind;
use crate::study::approx_error::TRAINED;
use crate::study::scale_sweep::preset;
use crate::study::svd_spectrum::null;
use crate::study::train;
use crate::task::synthetic;
use crate::train::schedule;
use crate::{attention, metric, model, name, report};

/// A kind of thing that can be named, with all of its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Registry {
    /// What each of them is, in the singular ("null model").
    pub kind: &'static str,
    /// Where they are named and what for, in one line.
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
    /// Its parameters with defaults, as [`name::takes`] writes them; empty where there can be none.
    pub takes: String,
    /// Its parameters one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// The paper or program that it comes from; empty if it is this one.
    pub source: String,
}

/// A parameter of a thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Parameter {
    /// Its key.
    pub name: &'static str,
    /// Its value when none is typed; none if it is then off.
    pub default: Option<&'static str>,
    /// One line about it.
    pub about: &'static str,
}

impl Entry {
    /// The same, with its parameters.
    fn taking(self, takes: &[name::Param]) -> Self {
        let parameters = takes.iter().map(|param| Parameter {
            name: param.name,
            default: param.default,
            about: param.about,
        });
        Self { takes: name::takes(takes), parameters: parameters.collect(), ..self }
    }

    /// A thing without parameters or source.
    pub fn new(name: impl Into<String>, about: impl Into<String>) -> Self {
        Self { name: name.into(), about: about.into(), ..Self::default() }
    }
}

/// Everything that can be named, in the order to show.
pub fn registries() -> Vec<Registry> {
    let of_metric = |metric: &metric::Metric| Entry {
        source: metric.source.into(),
        ..Entry::new(metric.name, metric.about)
    };
    let synthetic =
        synthetic::ALL.iter().map(|input| Entry::new(input.name, input.about).taking(input.takes));
    let nulls = null::ALL.iter().map(|null| Entry::new(null.name, null.about).taking(null.takes));
    let attentions = attention::ALL.iter().copied().chain([&TRAINED]).map(|kind| Entry {
        equation: kind.equation.into(),
        source: kind.paper.into(),
        ..Entry::new(kind.name, kind.about).taking(kind.takes)
    });
    vec![
        Registry {
            kind: "attention",
            about: "mechanisms for --attention of approx-error and scale-sweep",
            entries: attentions.collect(),
        },
        Registry {
            kind: "layer",
            about: "mechanisms of a layer, for --attention of train, and of scale-sweep with --unit",
            // The form of softmax with its matrices is measured beside it, and not named.
            entries: crate::network::ALL
                .iter()
                .filter(|kind| kind.name != "materialised")
                .map(|kind| Entry::new(kind.name, kind.about).taking(kind.takes))
                .collect(),
        },
        Registry {
            kind: "preset",
            about: "sweeps of the papers' tables, for --preset of scale-sweep",
            entries: preset::ALL.iter().map(|preset| Entry::new(preset.name, preset.about)).collect(),
        },
        Registry {
            kind: "task",
            about: "what train learns, for --task",
            entries: train::TASKS
                .iter()
                .map(|task| Entry::new(task.name, task.about).taking(task.takes))
                .collect(),
        },
        Registry {
            kind: "recipe",
            about: "sizes and rates for --preset of train; the first of a task is its default",
            entries: train::PRESETS.iter().map(|preset| Entry::new(preset.name, preset.about)).collect(),
        },
        Registry {
            kind: "schedule",
            about: "how the rate of learning changes, for --schedule of train",
            entries: schedule::ALL.iter().map(|kind| Entry::new(kind.name, kind.about)).collect(),
        },
        Registry {
            kind: "decoder",
            about: "how the decoder of a translator attends, for --decoder of train",
            entries: DecoderKind::ALL.iter().map(|kind| Entry::new(kind.name(), kind.about())).collect(),
        },
        Registry {
            kind: "model-family",
            about: "trained models that --model opens, by model_type",
            entries: model::ALL.iter().map(|family| Entry::new(family.name, family.about)).collect(),
        },
        Registry {
            kind: "embedded-model",
            about: "trained models that the program carries, for --model (the first if none is named); \
                    without --text they read a text of their own",
            entries: model::embedded::ALL.iter().map(|model| Entry::new(model.name, model.about)).collect(),
        },
        Registry { kind: "synthetic-input", about: "heads for --synthetic", entries: synthetic.collect() },
        Registry { kind: "null-model", about: "what --null sets beside each head", entries: nulls.collect() },
        Registry {
            kind: "metric",
            about: "figures of spectra (also with the prefixes centred_ and null_...), of rows, and of stand-ins",
            entries: metric::ALL.iter().map(of_metric).collect(),
        },
        Registry {
            kind: "format",
            about: "what --format writes",
            entries: report::Format::ALL.iter().map(|format| Entry::new(format.name, format.about)).collect(),
        },
        engines(),
    ]
}

fn engines() -> Registry {
    // Also those that this build lacks: the list is of names, and `luna doctor` tells the builds apart.
    let entries = engine::ALL.iter().map(|(_, name, about)| Entry::new(*name, *about)).collect();
    Registry {
        kind: "engine",
        about: "what decomposes matrices in svd-spectrum --method exact, named by --engine",
        entries,
    }
}

/// What `luna list` takes.
#[derive(Args, Clone, Debug)]
pub struct List {
    /// One kind of thing; all kinds if left out
    kind: Option<String>,
    /// How to write the list
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl List {
    /// Writes the registries, or the one asked for.
    pub fn run(&self, registries: &[Registry], out: &mut dyn Write) -> Result<(), Failure> {
        let shown = match &self.kind {
            Some(kind) => {
                std::slice::from_ref(name::find("kind of thing", kind, registries, |registry| registry.kind)?)
            }
            None => registries,
        };
        match self.format {
            Format::Json => super::write_json(&shown, out)?,
            Format::Table => {
                let indent = 2;
                let width = super::study::width(std::io::stdout().is_terminal()).saturating_sub(indent);
                for (i, registry) in shown.iter().enumerate() {
                    let gap = if i == 0 { "" } else { "\n" };
                    writeln!(out, "{gap}{}: {}", registry.kind, registry.about)?;
                    let text = match &self.kind {
                        Some(_) => details(registry, width),
                        None => table(registry, width).to_string(),
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

/// How an entry fills one column.
type Fill = fn(&Entry) -> &str;

fn table(registry: &Registry, width: usize) -> Table {
    let columns: [(&str, Fill); 4] = [
        ("name", |entry| &entry.name),
        ("takes", |entry| &entry.takes),
        ("about", |entry| &entry.about),
        ("source", |entry| &entry.source),
    ];
    // A column in which nobody has anything would only take room.
    let columns: Vec<_> = columns
        .into_iter()
        .filter(|(_, cell)| registry.entries.iter().any(|entry| !cell(entry).is_empty()))
        .collect();
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    table.set_header(columns.iter().map(|(title, _)| *title));
    for entry in &registry.entries {
        table.add_row(columns.iter().map(|(_, cell)| cell(entry)));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(kind: Option<&str>, format: Format) -> Result<String, Failure> {
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
    fn a_table_has_only_the_columns_that_say_something() {
        let text = written(None, Format::Table).unwrap();
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[1], ["name", "takes", "about"]);
        assert_eq!(lines[2], ["local", "w=17", "a", "window", "of", "keys"]);
        assert_eq!(lines[5], ["name", "about"]);
        assert!(text.lines().all(|line| line.trim_end() == line));
    }

    #[test]
    fn what_only_one_command_takes_is_listed_with_its_command() {
        let all = registries();
        let attentions = &all.iter().find(|registry| registry.kind == "attention").unwrap().entries;
        let trained = attentions.iter().find(|entry| entry.name == "trained").unwrap();
        assert!(trained.about.contains("only for approx-error with --model RUN"), "{}", trained.about);
    }

    #[test]
    fn one_kind_is_shown_with_its_parameters() {
        let text = written(Some("synthetic input"), Format::Table).unwrap();
        let expected = [
            "synthetic input: named by --synthetic",
            "  local",
            "      a window of keys",
            "        w=17: width of the window in tokens",
        ];
        assert!(text.lines().eq(expected), "{text}");
    }

    #[test]
    fn json_holds_what_was_asked_for() {
        let json: serde_json::Value =
            serde_json::from_str(&written(Some("engine"), Format::Json).unwrap()).unwrap();
        assert_eq!(json[0]["entries"][0]["name"], "faer");
        assert_eq!(json.as_array().unwrap().len(), 1);
    }

    #[test]
    fn an_unknown_kind_answers_with_the_list() {
        let error = written(Some("engines"), Format::Table).unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown kind of thing 'engines' (did you mean 'engine'?); known: synthetic input, engine"
        );
    }
}
