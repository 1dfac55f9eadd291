//! Where variables come from.

use std::{collections::BTreeMap, ffi::OsString};

/// The variables of a process, or of a test.
pub trait Environment {
    /// The variable's value, where it is set.
    fn get(&self, variable: &str) -> Option<OsString>;
}

/// The environment of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, variable: &str) -> Option<OsString> {
        std::env::var_os(variable)
    }
}

impl Environment for BTreeMap<&str, &str> {
    fn get(&self, variable: &str) -> Option<OsString> {
        BTreeMap::get(self, variable).map(OsString::from)
    }
}
