//! From an experiment's entries to arguments: the file's first, then those typed.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, Command};

use super::entry::{Entry, Experiment, Setting};
use super::parse::parse;
use crate::error::{Error, Result};
use crate::name::suggest;

/// Puts the arguments of an experiment file into `argv`, for `run FILE [flags]` and `SUB --config FILE [flags]`.
///
/// Any other `argv` is returned unchanged, mistakes included: clap reports them.
pub(crate) fn expand(argv: Vec<OsString>, command: &Command) -> Result<Vec<OsString>> {
    let mut root = command.clone();
    root.build(); // gives the subcommands the global flags
    let Some(at) = word(&argv, 1, &root) else { return Ok(argv) };
    let name = argv[at].to_string_lossy().into_owned();
    let Some(typed) = root.find_subcommand(&name) else { return Ok(argv) };

    let (file, mut rest) = if name == "run" {
        let Some(file) = word(&argv, at + 1, &root) else { return Ok(argv) };
        if let Some((other, _)) = config(&argv) {
            return Err(Error::value(
                "--config",
                other.display(),
                "one experiment file, the one after 'run'",
            ));
        }
        let rest = without(&argv, &[0, at, file]);
        (PathBuf::from(&argv[file]), rest)
    } else {
        let Some((file, used)) = config(&argv) else { return Ok(argv) };
        (file, without(&argv, &[&[0, at], &used[..]].concat()))
    };
    let experiment = read(&file)?;
    let sub = match (&experiment.command, name.as_str()) {
        (None, "run") => {
            let accepted = "'command: NAME', the subcommand to run";
            return Err(Error::Key { path: file, key: "command".into(), accepted: accepted.into() });
        }
        (None, _) => typed,
        (Some(entry), _) => named(&experiment, entry, &root, (name != "run").then_some(&name))?,
    };

    let mut args = vec![argv[0].clone(), sub.get_name().into()];
    let present = flags(&rest, sub);
    let mut seen = HashMap::new();
    for entry in &experiment.entries {
        let arg = flag(&experiment, entry, sub)?;
        if let Some(other) = seen.insert(arg.get_id(), entry) {
            let what = format!("line {}: '{}' and '{}' are the same flag", entry.line, other.key, entry.key);
            return Err(Error::malformed(&experiment.path, what, "one of them"));
        }
        if !excluded(arg, sub, &present) {
            args.extend(arguments(&experiment, entry, arg)?);
        }
    }
    args.append(&mut rest);
    Ok(args)
}

fn read(path: &Path) -> Result<Experiment> {
    parse(path, &crate::file::text(path)?)
}

/// The index of the next word that is neither a flag nor the value of a global flag.
fn word(argv: &[OsString], from: usize, root: &Command) -> Option<usize> {
    let mut at = from;
    while let Some(token) = argv.get(at) {
        let text = token.to_string_lossy();
        if text == "--" {
            return None;
        }
        if !text.starts_with('-') {
            return Some(at);
        }
        let separate =
            !text.contains('=') && find(root, &text).is_some_and(|arg| arg.get_action().takes_values());
        at += if separate { 2 } else { 1 };
    }
    None
}

/// The flag that a token such as `--seed=3`, `--seed` or `-s` names.
fn find<'a>(command: &'a Command, token: &str) -> Option<&'a Arg> {
    let is = |arg: &&Arg| match token.strip_prefix("--") {
        Some(long) => long.split('=').next().is_some_and(|long| has_name(arg, long)),
        None => {
            token.starts_with('-') && arg.get_short().is_some() && arg.get_short() == token.chars().nth(1)
        }
    };
    command.get_arguments().find(is)
}

/// Whether a flag is called so, now or formerly.
fn has_name(arg: &Arg, long: &str) -> bool {
    arg.get_long() == Some(long) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&long))
}

/// The file of the last `--config FILE` or `--config=FILE`, and the indices of all words of these.
fn config(argv: &[OsString]) -> Option<(PathBuf, Vec<usize>)> {
    let (mut file, mut used) = (None, Vec::new());
    let mut at = 1;
    while let Some(token) = argv.get(at).filter(|token| *token != "--") {
        if token == "--config" {
            file = Some(PathBuf::from(argv.get(at + 1)?));
            used.extend([at, at + 1]);
            at += 1;
        } else if let Some(value) = token.to_str().and_then(|text| text.strip_prefix("--config=")) {
            file = Some(PathBuf::from(value));
            used.push(at);
        }
        at += 1;
    }
    Some((file?, used))
}

fn without(argv: &[OsString], used: &[usize]) -> Vec<OsString> {
    argv.iter().enumerate().filter(|(i, _)| !used.contains(i)).map(|(_, token)| token.clone()).collect()
}

/// The subcommand of the file; it must be the one on the command line, if there is one.
fn named<'a>(
    experiment: &Experiment,
    entry: &Entry,
    root: &'a Command,
    typed: Option<&String>,
) -> Result<&'a Command> {
    let known =
        || root.get_subcommands().map(Command::get_name).filter(|name| !["run", "help"].contains(name));
    let wrong = |what: String, accepted: String| {
        Error::malformed(&experiment.path, format!("line {}: {what}", entry.line), accepted)
    };
    let Setting::Text(name) = &entry.setting else {
        return Err(wrong("'command' is not a name".into(), "the name of one subcommand".into()));
    };
    if let Some(typed) = typed.filter(|typed| *typed != name) {
        return Err(wrong(format!("command is '{name}'"), format!("'{typed}', as typed")));
    }
    let sub = known().find(|known| known == name).and_then(|name| root.find_subcommand(name));
    sub.ok_or_else(|| {
        let what = format!("unknown command '{name}'{}", did_you_mean(suggest(name, known())));
        wrong(what, format!("one of: {}", known().collect::<Vec<_>>().join(", ")))
    })
}

/// The flag of `sub` that an entry's key names.
fn flag<'a>(experiment: &Experiment, entry: &Entry, sub: &'a Command) -> Result<&'a Arg> {
    // An experiment file names no other file, and shows no help.
    let usable = |arg: &&Arg| !matches!(arg.get_long(), None | Some("config" | "help" | "version"));
    let mut known = sub.get_arguments().filter(usable);
    known.find(|arg| has_name(arg, &entry.key)).ok_or_else(|| {
        let known: Vec<&str> = sub.get_arguments().filter(usable).filter_map(Arg::get_long).collect();
        let meant = did_you_mean(suggest(&entry.key, known.iter().copied()));
        Error::malformed(
            &experiment.path,
            format!("line {}: unknown key '{}'{meant}", entry.line, entry.key.escape_debug()),
            format!("one of: command, {}", known.join(", ")),
        )
    })
}

fn did_you_mean(meant: Option<String>) -> String {
    meant.map(|name| format!(" (did you mean '{name}'?)")).unwrap_or_default()
}

/// The flags on the command line.
fn flags(typed: &[OsString], sub: &Command) -> HashSet<String> {
    let before_dashes = typed.iter().take_while(|token| *token != OsStr::new("--"));
    before_dashes.filter_map(|token| Some(find(sub, token.to_str()?)?.get_id().to_string())).collect()
}

/// Whether a flag on the command line excludes this one of the file, which it then overrides.
fn excluded(arg: &Arg, sub: &Command, typed: &HashSet<String>) -> bool {
    let is_typed = |other: &str| other != arg.get_id().as_str() && typed.contains(other);
    let excludes = |one: &Arg, other: &Arg| {
        sub.get_arg_conflicts_with(one).iter().any(|excluded| excluded.get_id() == other.get_id())
    };
    let by_conflict = sub
        .get_arguments()
        .any(|other| is_typed(other.get_id().as_str()) && (excludes(arg, other) || excludes(other, arg)));
    by_conflict
        || sub.get_groups().any(|group| {
            let members: Vec<_> = group.get_args().collect();
            let lets_many = group.clone().is_multiple();
            !lets_many
                && members.contains(&arg.get_id())
                && members.iter().any(|member| is_typed(member.as_str()))
        })
}

/// The arguments that an entry stands for: `--key=value`, or `--key` alone for a switch that is on.
fn arguments(experiment: &Experiment, entry: &Entry, arg: &Arg) -> Result<Vec<OsString>> {
    let takes_value = arg.get_action().takes_values();
    let valued = |value: &dyn std::fmt::Display| OsString::from(format!("--{}={value}", entry.key));
    Ok(match &entry.setting {
        Setting::Switch(on) if takes_value => vec![valued(on)],
        Setting::Switch(true) => vec![format!("--{}", entry.key).into()],
        Setting::Switch(false) => vec![],
        Setting::Text(value) if takes_value => vec![valued(value)],
        // A flag that may be repeated is repeated; any other list is one value with commas.
        Setting::List(items) if matches!(arg.get_action(), ArgAction::Append) => {
            items.iter().map(|item| valued(item)).collect()
        }
        Setting::List(items) if takes_value => vec![valued(&items.join(","))],
        Setting::Text(_) | Setting::List(_) => {
            let what = format!("line {}: '{}' is a switch and has a value", entry.line, entry.key);
            return Err(Error::malformed(&experiment.path, what, "true or false"));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{ArgGroup, CommandFactory};

    fn app() -> Command {
        let model = Arg::new("model").long("model");
        let synthetic = Arg::new("synthetic").long("synthetic");
        let study = Command::new("svd-spectrum")
            .args([model, synthetic, Arg::new("at").long("at"), Arg::new("skip").long("skip")])
            .arg(Arg::new("plot").long("plot").action(ArgAction::SetTrue))
            .arg(Arg::new("no-plot").long("no-plot").action(ArgAction::SetTrue).conflicts_with("plot"))
            .arg(Arg::new("mechanism").long("mechanism").alias("attention"))
            .arg(Arg::new("assert").long("assert").action(ArgAction::Append))
            .group(ArgGroup::new("input").args(["model", "synthetic"]))
            .args_override_self(true);
        Command::new("luna")
            .arg(Arg::new("seed").long("seed").short('s').global(true))
            .arg(Arg::new("config").long("config").global(true))
            .subcommand(Command::new("run").arg(Arg::new("FILE").required(true)))
            .subcommand(study)
            .subcommand(Command::new("doctor"))
    }

    /// What comes of `typed`, in which `FILE` is a file that holds `text`.
    fn expanded(typed: &str, text: &str) -> Result<String> {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("run.yaml");
        std::fs::write(&file, text).expect("a file");
        let shown = file.display().to_string();
        let argv = typed.split(' ').map(|token| OsString::from(token.replace("FILE", &shown))).collect();
        let args = expand(argv, &app())?;
        let args: Vec<_> = args.iter().map(|arg| arg.to_string_lossy().replace(&shown, "FILE")).collect();
        Ok(args.join(" "))
    }

    const FILE: &str = "command: svd-spectrum\nseed: 7\nat: [16, 32]\nmodel: m\nplot: true\nskip: -1\n";
    const SAID: &str = "--seed=7 --at=16,32 --model=m --plot --skip=-1";

    #[test]
    fn flags_of_the_file_come_first() {
        for (typed, expected) in [
            ("luna run FILE", format!("luna svd-spectrum {SAID}")),
            ("luna run FILE --at 8", format!("luna svd-spectrum {SAID} --at 8")),
            ("luna -s 3 run --seed 4 FILE", format!("luna svd-spectrum {SAID} -s 3 --seed 4")),
            ("luna svd-spectrum --at 8 --config FILE", format!("luna svd-spectrum {SAID} --at 8")),
            ("luna --config=FILE svd-spectrum", format!("luna svd-spectrum {SAID}")),
        ] {
            assert_eq!(expanded(typed, FILE).unwrap(), expected, "{typed}");
        }
    }

    #[test]
    fn conflicting_flags_of_the_file_are_left_out() {
        let args = expanded("luna run FILE --synthetic identity --no-plot", FILE).unwrap();
        assert_eq!(args, "luna svd-spectrum --seed=7 --at=16,32 --skip=-1 --synthetic identity --no-plot");
    }

    #[test]
    fn a_repeated_flag_is_repeated_and_a_false_switch_left_out() {
        let args = expanded("luna svd-spectrum --config FILE", "plot: false\nassert: [a, b]\n").unwrap();
        assert_eq!(args, "luna svd-spectrum --assert=a --assert=b");
    }

    #[test]
    fn former_names_of_flags_are_keys() {
        let args = expanded("luna svd-spectrum --config FILE", "attention: luna\n").unwrap();
        assert_eq!(args, "luna svd-spectrum --attention=luna");
        let twice = expanded("luna svd-spectrum --config FILE", "attention: luna\nmechanism: local\n");
        let error = twice.unwrap_err().to_string();
        assert!(error.contains("line 2: 'attention' and 'mechanism' are the same flag"), "{error}");
    }

    #[test]
    fn other_arguments_are_left_to_clap() {
        for typed in
            ["luna", "luna --help", "luna run", "luna run --help", "luna nothing FILE", "luna -- run FILE"]
        {
            assert_eq!(expanded(typed, FILE).unwrap(), typed);
        }
        assert_eq!(expanded("luna svd-spectrum --config", FILE).unwrap(), "luna svd-spectrum --config");
    }

    #[test]
    fn the_result_is_what_clap_understands() {
        let args = expanded("luna run FILE --seed 9 --at 8", FILE).unwrap();
        let matches = app().try_get_matches_from(args.split(' ')).unwrap();
        let (name, matches) = matches.subcommand().unwrap();
        assert_eq!(name, "svd-spectrum");
        let value = |id: &str| matches.get_one::<String>(id).cloned();
        assert_eq!(value("at").as_deref(), Some("8"));
        assert_eq!(value("seed").as_deref(), Some("9"));
        assert_eq!(value("skip").as_deref(), Some("-1"));
    }

    #[test]
    fn mistakes_name_the_file_the_line_and_the_way_out() {
        for (typed, text, what) in [
            ("luna run FILE", "seed: 1\n", "no key 'command'"),
            (
                "luna run FILE",
                "command: svd-spectum\n",
                "line 1: unknown command 'svd-spectum' (did you mean 'svd-spectrum'?)",
            ),
            ("luna run FILE", "command: run\n", "line 1: unknown command 'run'"),
            ("luna run FILE", "command: [a]\n", "line 1: 'command' is not a name"),
            (
                "luna doctor --config FILE",
                FILE,
                "line 1: command is 'svd-spectrum'; expected 'doctor', as typed",
            ),
            (
                "luna run FILE",
                "command: svd-spectrum\n\nsede: 1\n",
                "line 3: unknown key 'sede' (did you mean 'seed'?)",
            ),
            (
                "luna run FILE",
                "command: doctor\nconfig: x\n",
                "line 2: unknown key 'config'; expected one of: command, seed",
            ),
            ("luna run FILE", "command: svd-spectrum\nplot: 3\n", "line 2: 'plot' is a switch"),
        ] {
            let error = expanded(typed, text).expect_err(typed).to_string();
            assert!(error.contains(what) && error.contains("run.yaml"), "{error}");
        }
        assert!(expanded("luna run FILE/none", FILE).is_err());
        let twice = expanded("luna run FILE --config FILE", FILE).unwrap_err().to_string();
        assert!(twice.starts_with("--config: "), "{twice}");
    }

    /// Published results must remain reproducible.
    #[test]
    fn every_experiment_of_this_project_parses() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
        let folders =
            std::fs::read_dir(root).expect("experiments").map(|entry| entry.expect("an entry").path());
        let files: Vec<PathBuf> = folders
            .filter(|folder| folder.is_dir())
            .flat_map(|folder| std::fs::read_dir(folder).expect("a folder"))
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "yaml"))
            .collect();
        assert!(files.len() >= 10, "{files:?}");
        for file in files {
            let argv = vec!["luna".into(), "run".into(), file.clone().into()];
            let argv = expand(argv, &crate::cli::App::command()).expect("an experiment file");
            if let Err(error) = crate::cli::App::parse(argv) {
                panic!("{}: {error}", file.display());
            }
        }
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let marked = format!("\u{feff}{FILE}");
        assert_eq!(expanded("luna run FILE", &marked).unwrap(), format!("luna svd-spectrum {SAID}"));
    }
}
