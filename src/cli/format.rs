//! `--json`, the same for every subcommand.

use std::io;

use clap::{Args, builder::FalseyValueParser};
use serde::Serialize;

use super::CliContext;

/// In which format a subcommand prints what it found.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputFormat {
    /// Print JSON for programs, one line for each thing reported
    #[arg(
        long,
        env = "INVENTORY_JSON",
        hide_env_values = true,
        value_parser = FalseyValueParser::new()
    )]
    pub json: bool,
}

impl OutputFormat {
    /// Prints a value as one line of JSON, or for people as `print` does.
    ///
    /// # Errors
    ///
    /// Where the output cannot be written, or the value has no JSON.
    pub fn print(
        self,
        context: &CliContext,
        value: &impl Serialize,
        print: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        if self.json { context.out.json(value) } else { print() }
    }
}
