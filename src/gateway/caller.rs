//! Who calls, and what they may do.

use std::{collections::BTreeSet, fmt, str::FromStr};

use crate::domain::{InvalidText, Source};

/// A right that a caller has or lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// `inventory.read`: public fields, no user or booking id.
    Read,
    /// `inventory.read.private`: reservations, users and bookings.
    ReadPrivate,
    /// `inventory.command`: every command but restocks.
    Command,
    /// `inventory.restock`: restocks.
    Restock,
    /// `inventory.stress`: load on the deployment itself.
    Stress,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 5] =
        [Self::Read, Self::ReadPrivate, Self::Command, Self::Restock, Self::Stress];

    /// The name of the scope in a token.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "inventory.read",
            Self::ReadPrivate => "inventory.read.private",
            Self::Command => "inventory.command",
            Self::Restock => "inventory.restock",
            Self::Stress => "inventory.stress",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        let names = || Self::ALL.map(Self::as_str).join(", ");
        found.ok_or_else(|| InvalidText { expected: format!("one of {}", names()) })
    }
}

/// The scopes of a caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// Every scope.
    #[must_use]
    pub fn all() -> Self {
        Scope::ALL.into_iter().collect()
    }

    /// The known scopes of a space-separated list (RFC 6749, section 3.3). Others are for other
    /// services.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        text.split_ascii_whitespace().filter_map(|name| name.parse().ok()).collect()
    }

    /// Whether the scope is among them; to read what is private includes to read what is public.
    #[must_use]
    pub fn has(&self, scope: Scope) -> bool {
        self.0.contains(&scope) || scope == Scope::Read && self.0.contains(&Scope::ReadPrivate)
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().collect())
    }
}

/// An authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Who it is: `local` without authentication, else a token's `sub`, a SPIFFE URI or a common
    /// name.
    pub subject: String,
    /// What it may do.
    pub scopes: Scopes,
    /// The sources that its commands may have.
    pub sources: Sources,
}

/// The sources that a caller's commands may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sources {
    /// Any but the workers' own: without authentication.
    Any,
    /// The default, `/callers/<subject>`, and those that begin with one of the prefixes.
    Own {
        /// Prefixes, each ending at a `/` or at the end of the source.
        prefixes: Vec<String>,
    },
}

impl Caller {
    /// Any caller of a gateway without authentication.
    #[must_use]
    pub fn local() -> Self {
        Self { subject: "local".to_owned(), scopes: Scopes::all(), sources: Sources::Any }
    }

    /// The source of its commands unless they name another: `/callers/<subject>`.
    ///
    /// # Errors
    ///
    /// The subject cannot be a part of a source.
    pub fn default_source(&self) -> Result<Source, InvalidText> {
        format!("/callers/{}", self.subject).parse()
    }

    /// Whether its commands may have the source.
    #[must_use]
    pub fn may_use(&self, source: &Source) -> bool {
        match &self.sources {
            Sources::Any => true,
            Sources::Own { prefixes } => {
                self.default_source().is_ok_and(|own| own == *source)
                    || prefixes.iter().any(|prefix| is_below(source.as_str(), prefix))
            }
        }
    }
}

/// Whether the source is the prefix, or continues it at a `/`.
pub(super) fn is_below(source: &str, prefix: &str) -> bool {
    let Some(rest) = source.strip_prefix(prefix) else { return false };
    rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(prefixes: &[&str]) -> Caller {
        let prefixes = prefixes.iter().map(|&prefix| prefix.to_owned()).collect();
        let sources = Sources::Own { prefixes };
        Caller { subject: "shop".to_owned(), scopes: Scopes::default(), sources }
    }

    #[test]
    fn a_caller_uses_its_own_sources_alone() {
        let (plain, with_prefix) = (caller(&[]), caller(&["/checkout"]));
        let source = |text: &str| text.parse::<Source>().unwrap();
        assert!(plain.may_use(&source("/callers/shop")));
        assert!(!plain.may_use(&source("/callers/shop2")));
        assert!(!plain.may_use(&source("/callers/shop/till")));
        for (text, may) in
            [("/checkout", true), ("/checkout/web", true), ("/checkout2", false), ("/x", false)]
        {
            assert_eq!(with_prefix.may_use(&source(text)), may, "{text}");
        }
        assert!(Caller::local().may_use(&source("/x")));
    }

    #[test]
    fn scopes_are_those_that_are_known() {
        let scopes = Scopes::parse("openid inventory.read.private  inventory.command");
        assert!(scopes.has(Scope::ReadPrivate) && scopes.has(Scope::Read));
        assert!(scopes.has(Scope::Command) && !scopes.has(Scope::Restock));
        assert!(!Scopes::parse("inventory.read").has(Scope::ReadPrivate));
    }
}
