//! `luna completions SHELL`: a script that lets the shell complete commands, flags and values.

use std::io::{self, Write};

use clap::builder::PossibleValuesParser;
use clap::{Arg, Args, Command, ValueHint};
use clap_complete::Shell;

use super::list::{Registry, registries};

/// Flags of `luna completions`.
#[derive(Args, Clone, Debug)]
pub struct Completions {
    /// The shell that will read the script
    shell: Shell,
}

/// Flags whose values are names of a registry; a flag of some other meaning has the command before it.
const NAMED: &[(&str, &str)] = &[
    ("mechanism", "mechanism"),
    ("train mechanism", "layer"),
    ("synthetic", "synthetic-input"),
    ("null", "null-model"),
    ("engine", "engine"),
    ("scale-sweep preset", "preset"),
    ("train preset", "recipe"),
    ("task", "task"),
    ("schedule", "schedule"),
    ("decoder", "decoder"),
];

impl Completions {
    /// Writes the script.
    pub fn run(&self, app: Command, out: &mut dyn Write) -> io::Result<()> {
        let known = registries();
        let mut app = app.mut_subcommands(|command| {
            let name = command.get_name().to_string();
            command.mut_args(|arg| completed(arg, &name, &known))
        });
        // Into memory first: the generator panics where a pipe is closed.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut app, "luna", &mut script);
        out.write_all(&script)
    }
}

/// The argument with the values that its registry knows; where it takes neither these nor a file, nothing is completed.
fn completed(arg: Arg, command: &str, known: &[Registry]) -> Arg {
    if !arg.get_action().takes_values() || !arg.get_possible_values().is_empty() {
        return arg;
    }
    let id = arg.get_long().unwrap_or(arg.get_id().as_str()).to_string();
    let names = |kind: &str| -> Vec<String> {
        let registry = known.iter().filter(|registry| registry.kind == kind);
        registry.flat_map(|registry| registry.entries.iter().map(|entry| entry.name.clone())).collect()
    };
    let values: Vec<String> = match (command, id.as_str()) {
        ("list", "kind") => known.iter().map(|registry| registry.kind.to_string()).collect(),
        ("check", "claims") => names("claim"),
        // Some commands have formats of their own as possible values.
        (_, "format") => names("format"),
        (_, flag) => {
            let of_command = format!("{command} {flag}");
            let kind = |key: &str| NAMED.iter().find(|(named, _)| *named == key).map(|(_, kind)| *kind);
            kind(&of_command).or_else(|| kind(flag)).map(names).unwrap_or_default()
        }
    };
    if !values.is_empty() {
        // clap keeps names for the whole run of the program.
        let values = values.into_iter().map(|name| &*name.leak());
        return arg.value_parser(PossibleValuesParser::new(values));
    }
    let takes =
        |word: &str| arg.get_value_names().is_some_and(|names| names.iter().any(|name| name.contains(word)));
    if takes("DIR") {
        arg.value_hint(ValueHint::DirPath)
    } else if takes("FILE") || arg.is_positional() {
        arg.value_hint(ValueHint::FilePath)
    } else {
        arg.value_hint(ValueHint::Other)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn flags_with_known_values_complete_them_and_no_file_names() {
        let mut script = Vec::new();
        Completions { shell: Shell::Bash }.run(super::super::App::command(), &mut script).unwrap();
        let script = String::from_utf8(script).unwrap();
        let sweep = &script[script.find("        luna__scale__sweep)").unwrap_or(0)..];
        let after = |flag: &str| {
            let at = sweep.find(&format!("                --{flag})\n")).unwrap_or_else(|| panic!("{flag}"));
            sweep[at..at + sweep[at..].find(";;").unwrap()].to_string()
        };
        assert!(after("format").contains("table json csv jsonl markdown latex"), "{}", after("format"));
        assert!(after("preset").contains("luna-table-4"), "{}", after("preset"));
        assert!(after("mechanism").contains("luna-causal"), "{}", after("mechanism"));
        assert!(!after("rounds").contains("compgen"), "{}", after("rounds"));
        assert!(after("text").contains("compgen -f"), "{}", after("text"));
    }
}
