//! Flags as the values that a study takes, for programs that call this library.

use clap::{Args, Command};

use super::needed;
use crate::error::{Error, Result, one_line};

/// The configuration that these flags say, such as `["--null", "none"]` for
/// [`svd_spectrum::Config`](crate::study::svd_spectrum::Config): names, values and defaults are those of the command.
pub fn parse<T: Args>(flags: &[String]) -> Result<T> {
    let mut command = T::augment_args(Command::new("luna")).no_binary_name(true);
    let parsed = command.try_get_matches_from_mut(flags).and_then(|mut matches| {
        needed::check(&command, &matches)?;
        T::from_arg_matches_mut(&mut matches)
    });
    parsed.map_err(|error| Error::Refused(one_line(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::svd_spectrum::Config;

    #[test]
    fn flags_are_those_of_the_command() {
        let of = |flags: &[&str]| {
            let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
            parse::<Config>(&flags).map_err(|error| error.to_string())
        };
        let config = of(&["--null", "none", "--at", "4,8"]).unwrap();
        assert_eq!((config.null.as_deref(), config.at.to_vec()), (Some("none"), vec![4, 8]));
        assert!(of(&["--null-draws", "x"]).unwrap_err().contains("invalid value 'x'"));
        assert!(of(&["--nul", "none"]).unwrap_err().contains("unexpected argument '--nul'"));
    }
}
