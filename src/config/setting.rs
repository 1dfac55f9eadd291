//! The declaration of a setting, from which help, `check-config`, completions and manual pages come.

use crate::naming;

/// The one declaration of a setting. Its default is text, which is parsed where nothing is set: help
/// and behaviour cannot differ.
#[derive(Debug)]
pub struct Setting {
    /// The environment variable.
    pub variable: &'static str,
    /// The flag, without its dashes; `None` where only the variable is read.
    pub flag: Option<&'static str>,
    /// The unit or kind of value, shown as `<SECONDS>`.
    pub unit: &'static str,
    /// The default, where there is one.
    pub default: Option<&'static str>,
    /// What it does, one sentence.
    pub help: &'static str,
    /// Its heading in `--help`.
    pub heading: &'static str,
    /// How to show a value that may carry a secret.
    pub mask: Option<fn(&str) -> String>,
    /// Whether the flag may stand without a value, which then is `true`.
    pub is_switch: bool,
    /// Whether `-h` shows it: what most deployments set. `--help` shows all.
    pub is_common: bool,
    /// Whether the default consists of names, comma-separated, that `INVENTORY_PREFIX` changes.
    pub is_prefixed: bool,
}

impl PartialEq for Setting {
    fn eq(&self, other: &Self) -> bool {
        (self.variable, self.flag) == (other.variable, other.flag)
    }
}

impl Setting {
    /// A setting without a default that has a flag and a variable.
    pub(super) const fn new(
        heading: &'static str,
        flag: &'static str,
        variable: &'static str,
        unit: &'static str,
        help: &'static str,
    ) -> Self {
        Self {
            variable,
            flag: Some(flag),
            unit,
            default: None,
            help,
            heading,
            mask: None,
            is_switch: false,
            is_common: false,
            is_prefixed: false,
        }
    }

    /// A setting that has a variable alone.
    pub(super) const fn variable(
        heading: &'static str,
        variable: &'static str,
        unit: &'static str,
        help: &'static str,
    ) -> Self {
        Self {
            variable,
            flag: None,
            unit,
            default: None,
            help,
            heading,
            mask: None,
            is_switch: false,
            is_common: false,
            is_prefixed: false,
        }
    }

    /// With a default.
    pub(super) const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// With a value that may carry a secret: shown only through `mask`, and never in a message.
    pub(super) const fn masked(mut self, mask: fn(&str) -> String) -> Self {
        self.mask = Some(mask);
        self
    }

    /// With a flag that may stand without a value.
    pub(super) const fn switch(mut self) -> Self {
        self.is_switch = true;
        self
    }

    /// Shown by `-h`, too.
    pub(super) const fn common(mut self) -> Self {
        self.is_common = true;
        self
    }

    /// With default names that `INVENTORY_PREFIX` changes.
    pub(super) const fn prefixed(mut self) -> Self {
        self.is_prefixed = true;
        self
    }

    /// The default where names have this prefix.
    pub(super) fn default_under(&self, prefix: &str) -> Option<String> {
        let default = self.default?;
        if !self.is_prefixed {
            return Some(default.to_owned());
        }
        Some(naming::under(prefix, default))
    }

    /// The value as it may be shown.
    #[must_use]
    pub fn shown(&self, value: &str) -> String {
        self.mask.map_or_else(|| value.to_owned(), |mask| mask(value))
    }
}
