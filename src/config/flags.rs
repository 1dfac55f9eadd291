//! A section's settings as flags of a subcommand.

use std::{ffi::OsString, marker::PhantomData};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, parser::ValueSource, value_parser};

use super::{
    ConfigError, Effective, Environment, LogConfig, Section, Setting,
    reader::{Given, Reader},
};

/// The flags of a section, to be flattened into a subcommand's arguments:
/// `#[command(flatten)] settings: Flags<Config>`.
///
/// Values are taken as text here and parsed by [`Flags::load`], together with the environment, so
/// that everything that is wrong is reported at once.
pub struct Flags<S> {
    given: Given,
    section: PhantomData<fn() -> S>,
}

impl<S: Section> Flags<S> {
    /// Flags of which none was given.
    #[must_use]
    pub fn none() -> Self {
        Self { given: Given::new(), section: PhantomData }
    }

    /// The section's values, or everything that is wrong.
    pub fn load(&self, environment: &dyn Environment) -> Result<S, ConfigError> {
        self.load_reported(environment).map(|(section, _)| section)
    }

    /// The section's values and each setting as it stands, in the order of `--help`, or everything
    /// that is wrong. Every
    /// command reads the settings of the logs besides, so they are checked and reported here too.
    pub fn load_reported(
        &self,
        environment: &dyn Environment,
    ) -> Result<(S, Vec<Effective>), ConfigError> {
        let mut reader = Reader::new(environment, &self.given);
        let section = S::read(&mut reader);
        LogConfig::read(&mut reader);
        let mut effective = reader.finish()?;
        let shown = [S::settings(), LogConfig::settings()].concat();
        effective.sort_by_key(|read| shown.iter().position(|setting| *setting == read.setting));
        Ok((section, effective))
    }
}

fn arg(setting: &'static Setting, flag: &'static str) -> Arg {
    let arg = Arg::new(flag)
        .long(flag)
        .env(setting.variable)
        .hide_env_values(true)
        .value_name(setting.unit)
        .help(setting.help)
        .help_heading(setting.heading)
        .hide_short_help(!setting.is_common)
        .allow_negative_numbers(true)
        .value_parser(value_parser!(OsString));
    let arg = match setting.is_switch {
        true => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
        false => arg,
    };
    match setting.default {
        Some(default) => arg.default_value(default),
        None => arg,
    }
}

impl<S: Section> Args for Flags<S> {
    fn augment_args(command: Command) -> Command {
        let flags = S::settings().into_iter().filter_map(|one| Some(arg(one, one.flag?)));
        command.args(flags)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<S: Section> FromArgMatches for Flags<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self::none();
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    /// Takes what stood on the command line alone: variables are read through [`Environment`].
    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for setting in S::settings() {
            let Some(flag) = setting.flag else { continue };
            if matches.value_source(flag) == Some(ValueSource::CommandLine)
                && let Some(value) = matches.get_one::<OsString>(flag)
            {
                self.given.insert(setting.variable, value.clone());
            }
        }
        Ok(())
    }
}
