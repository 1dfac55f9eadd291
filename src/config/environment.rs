//! Where variables come from.

use std::{collections::BTreeMap, ffi::OsString};

/// The variables of a process, or of a test.
pub trait Environment {
    /// The variable's value, where it is set.
    fn get(&self, variable: &str) -> Option<OsString>;

    /// The names of all variables, as far as they are text.
    fn names(&self) -> Vec<String>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, variable: &str) -> Option<OsString> {
        std::env::var_os(variable)
    }

    fn names(&self) -> Vec<String> {
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
    }
}

impl Environment for BTreeMap<&str, &str> {
    fn get(&self, variable: &str) -> Option<OsString> {
        BTreeMap::get(self, variable).map(OsString::from)
    }

    fn names(&self) -> Vec<String> {
        self.keys().map(|name| (*name).to_owned()).collect()
    }
}
