//! `luna completions SHELL`: a script that lets the shell complete commands and flags.

use std::io::{self, Write};

use clap::{Args, Command};
use clap_complete::Shell;

/// What `luna completions` takes.
#[derive(Args, Clone, Debug)]
pub struct Completions {
    /// The shell that will read the script
    shell: Shell,
}

impl Completions {
    /// Writes the script.
    pub fn run(&self, mut app: Command, out: &mut dyn Write) -> io::Result<()> {
        // Into memory first: the generator panics where a pipe is closed.
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut app, "luna", &mut script);
        out.write_all(&script)
    }
}
