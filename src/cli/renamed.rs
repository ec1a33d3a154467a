//! Flags that have a new name: the old one works for one release and is answered with the new one.
//!
//! A flag is renamed by giving it the new name and `#[arg(alias = "OLD")]`, which help does not show; the rest follows
//! from the alias, in experiment files as well.

use std::ffi::OsString;
use std::io::Write;

use clap::{Arg, Command};

/// Says on stderr, a line each, which of the flags of these arguments have a new name.
pub(super) fn say(argv: &[OsString], command: &Command) {
    for (old, new) in found(argv, command) {
        // A closed stderr loses a hint and nothing else.
        let _ =
            writeln!(std::io::stderr(), "luna: --{old} is now --{new}; the old name works in this release");
    }
}

/// The old and the new name of each flag of these arguments that has one, once.
fn found<'a>(argv: &'a [OsString], command: &'a Command) -> Vec<(&'a str, &'a str)> {
    let words = || argv.iter().filter_map(|word| word.to_str());
    let Some(sub) = words().skip(1).find_map(|word| command.find_subcommand(word)) else { return Vec::new() };
    let flags = words().take_while(|word| *word != "--").filter_map(|word| word.strip_prefix("--"));
    let mut found = Vec::new();
    for flag in flags.filter_map(|flag| flag.split('=').next()) {
        let is_former = |arg: &&Arg| arg.get_all_aliases().is_some_and(|former| former.contains(&flag));
        let new = sub.get_arguments().find(is_former).and_then(Arg::get_long);
        found.extend(new.map(|new| (flag, new)).filter(|pair| !found.contains(pair)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_name_is_answered_with_the_new_one_once() {
        let mechanism = Arg::new("mechanism").long("mechanism").alias("attention");
        let study = Command::new("approx-error").arg(mechanism).arg(Arg::new("l").long("l"));
        let other = Command::new("svd-spectrum").arg(Arg::new("attention").long("attention"));
        let command = Command::new("luna").subcommands([study, other]);
        let of = |typed: &str| {
            let argv: Vec<OsString> = typed.split(' ').map(OsString::from).collect();
            let found = found(&argv, &command);
            found.iter().map(|(old, new)| format!("{old} {new}")).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(of("luna approx-error --l 3 --attention=x --attention y"), "attention mechanism");
        assert_eq!(of("luna approx-error --mechanism x -- --attention y"), "");
        assert_eq!(of("luna svd-spectrum --attention x"), "");
        assert_eq!(of("luna --quiet"), "");
    }
}
