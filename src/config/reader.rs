//! Reads settings from flags and environment, and collects what is wrong.

use std::{collections::BTreeMap, ffi::OsString};

use super::{ConfigError, ConfigIssue, Environment, Setting};
use crate::naming;

/// Flags that were given, by variable.
pub(super) type Given = BTreeMap<&'static str, OsString>;

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Given on the command line.
    Flag,
    /// Set in the environment.
    Variable,
    /// Neither: the setting's default.
    Default,
}

impl Origin {
    /// The word that `check-config` prints.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Variable => "variable",
            Self::Default => "default",
        }
    }
}

/// A setting as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Effective {
    /// The declaration.
    pub setting: &'static Setting,
    /// Its value with secrets masked; `None` where it is unset and has no default.
    pub value: Option<String>,
    /// Where the value came from.
    pub origin: Origin,
}

/// Reads settings one by one and collects their errors.
pub struct Reader<'a> {
    environment: &'a dyn Environment,
    given: &'a Given,
    prefix: String,
    problems: Vec<ConfigIssue>,
    effective: Vec<Effective>,
}

impl<'a> Reader<'a> {
    /// A reader of these flags and this environment.
    pub(super) fn new(environment: &'a dyn Environment, given: &'a Given) -> Self {
        let prefix = naming::PREFIX.to_owned();
        Self { environment, given, prefix, problems: Vec::new(), effective: Vec::new() }
    }

    /// Gives default names that are read from now on this prefix.
    pub(super) fn prefix_names(&mut self, prefix: &str) {
        prefix.clone_into(&mut self.prefix);
    }

    /// What was read, or all errors.
    pub(super) fn finish(self) -> Result<Vec<Effective>, ConfigError> {
        if self.problems.is_empty() { Ok(self.effective) } else { Err(ConfigError(self.problems)) }
    }

    /// Reads a setting that has a default. The error of `parse` says what is accepted; `stand_in`
    /// replaces a wrong value and is never used.
    pub(super) fn value<T>(
        &mut self,
        setting: &'static Setting,
        stand_in: T,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        self.optional(setting, parse).unwrap_or(stand_in)
    }

    /// Reads a setting that may be unset.
    pub(super) fn optional<T>(
        &mut self,
        setting: &'static Setting,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let (raw, origin) = self.raw(setting);
        let text = match raw.map(OsString::into_string).transpose() {
            Ok(text) => text.map(|text| text.trim().to_owned()),
            Err(_) => {
                self.wrong(setting, origin, None, "a text in UTF-8".to_owned());
                return None;
            }
        };
        let value = text.as_deref().map(parse);
        self.effective.push(Effective {
            setting,
            value: text.as_deref().map(|text| setting.shown(text)),
            origin,
        });
        match value? {
            Ok(value) => Some(value),
            Err(expected) => {
                self.wrong(setting, origin, text.as_deref(), expected);
                None
            }
        }
    }

    fn raw(&self, setting: &'static Setting) -> (Option<OsString>, Origin) {
        if let Some(given) = self.given.get(setting.variable) {
            return (Some(given.clone()), Origin::Flag);
        }
        match self.environment.get(setting.variable).filter(|value| !value.is_empty()) {
            Some(value) => (Some(value), Origin::Variable),
            None => (setting.default_under(&self.prefix).map(OsString::from), Origin::Default),
        }
    }

    fn wrong(
        &mut self,
        setting: &'static Setting,
        origin: Origin,
        text: Option<&str>,
        expected: String,
    ) {
        let name = name_of(setting, origin);
        let found = match text {
            Some(text) if setting.mask.is_none() => format!("{name} is {text:?}"),
            _ => format!("{name} has a value that is not shown here"),
        };
        let fix = match (origin, setting.default_under(&self.prefix)) {
            (_, Some(default)) => format!("Correct it, or leave it out for the default, {default}"),
            (_, None) => "Correct it, or leave it out".to_owned(),
        };
        self.problems.push(ConfigIssue { settings: vec![setting], found, expected, fix });
    }

    /// Reports a relation that does not hold, unless one of its settings was wrong in itself.
    pub(super) fn relation(
        &mut self,
        settings: &[&'static Setting],
        holds: bool,
        expected: &str,
        fix: &str,
    ) {
        let already_wrong =
            settings.iter().any(|one| self.problems.iter().any(|p| p.settings == [*one]));
        if holds || already_wrong {
            return;
        }
        let found: Vec<String> = settings
            .iter()
            .map(|setting| {
                let effective = self.effective.iter().rev().find(|read| read.setting == *setting);
                let origin = effective.map_or(Origin::Default, |read| read.origin);
                let value = effective.and_then(|read| read.value.as_deref()).unwrap_or("unset");
                format!("{} is {value}", name_of(setting, origin))
            })
            .collect();
        self.problems.push(ConfigIssue {
            settings: settings.to_vec(),
            found: found.join(" and "),
            expected: expected.to_owned(),
            fix: fix.to_owned(),
        });
    }
}

/// The flag where it was given, the variable otherwise.
fn name_of(setting: &Setting, origin: Origin) -> String {
    match (origin, setting.flag) {
        (Origin::Flag, Some(flag)) => format!("--{flag}"),
        _ => setting.variable.to_owned(),
    }
}

/// A section with nothing set: its defaults.
pub(super) fn defaults<S: super::Section>() -> S {
    let empty: BTreeMap<&str, &str> = BTreeMap::new();
    S::read(&mut Reader::new(&empty, &Given::new()))
}
