//! Options that mean nothing without another one.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

/// Refuses an option that was typed without the one that it requires.
///
/// clap does so itself, but not where an option stands beside it that excludes the required one: that would be accepted, and
/// the option have no effect. So each option is parsed alone, which says what it requires.
pub(super) fn check(command: &Command, typed: &ArgMatches) -> Result<(), clap::Error> {
    let is_typed = |id: &str| typed.value_source(id) == Some(ValueSource::CommandLine);
    for arg in command.get_opts().filter(|arg| is_typed(arg.get_id().as_str())) {
        let Some(flag) = arg.get_long().map(|long| format!("--{long}")) else { continue };
        let value = typed.get_raw(arg.get_id().as_str()).and_then(|mut values| values.next());
        let mut word = std::ffi::OsString::from(flag);
        if let Some(value) = value.filter(|_| arg.get_action().takes_values()) {
            word.push("=");
            word.push(value);
        }
        let Err(error) = command.clone().no_binary_name(true).try_get_matches_from([word]) else { continue };
        let missing = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::Strings(missing)) if error.kind() == ErrorKind::MissingRequiredArgument => {
                missing
            }
            _ => continue,
        };
        let is_missing = |shown: &String| {
            let long = shown.strip_prefix("--").and_then(|rest| rest.split([' ', '=', '[']).next());
            let required = command.get_opts().find(|arg| long.is_some() && arg.get_long() == long);
            required.is_some_and(|required| !is_typed(required.get_id().as_str()))
        };
        if missing.iter().any(is_missing) {
            return Err(error);
        }
    }
    Ok(())
}
