//! What is wrong with a configuration, with what to do about it.

use std::fmt;

use super::Setting;

/// One error of a configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfigIssue {
    /// The settings it concerns.
    pub settings: Vec<&'static Setting>,
    /// What was found, naming the flag or variable. Never shows a secret.
    pub found: String,
    /// What is accepted.
    pub expected: String,
    /// What to do about it.
    pub fix: String,
}

impl fmt::Display for ConfigIssue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}. {}.", self.found, self.expected, self.fix)
    }
}

/// All errors of a configuration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct ConfigError(pub Vec<ConfigIssue>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "the configuration has 1 problem:")?,
            many => write!(f, "the configuration has {many} problems:")?,
        }
        self.0.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
    }
}
