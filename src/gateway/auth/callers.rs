//! What callers may do, by subject.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};

use crate::{
    domain::{InvalidText, Source},
    gateway::{
        Caller, Scope, Scopes,
        caller::{Sources, is_below},
    },
    message::RESERVED_SOURCES,
};

/// Subjects, and the prefixes of one.
const SUBJECTS_MAX: usize = 10_000;
const PREFIXES_MAX: usize = 100;

/// Rules for callers, by subject: `{"<subject>": {"scopes": […], "sources": […]}}`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallerRules(BTreeMap<String, Rule>);

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(default)]
    scopes: Vec<ScopeName>,
    #[serde(default)]
    sources: Vec<Prefix>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct ScopeName(Scope);

impl TryFrom<String> for ScopeName {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        text.parse().map(Self)
    }
}

/// The beginning of the sources that a caller's commands may have.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
struct Prefix(String);

impl TryFrom<String> for Prefix {
    type Error = InvalidText;

    fn try_from(text: String) -> Result<Self, InvalidText> {
        let is_workers = is_below(RESERVED_SOURCES, &text) || text.starts_with(RESERVED_SOURCES);
        if is_workers || text.parse::<Source>().is_err() {
            let expected = format!(
                "sources to be beginnings of a source such as /checkout/, apart from {RESERVED_SOURCES}"
            );
            return Err(InvalidText { expected });
        }
        Ok(Self(text))
    }
}

/// Rules, each subject once.
struct Subjects(BTreeMap<String, Rule>);

impl<'de> Deserialize<'de> for Subjects {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SubjectsVisitor)
    }
}

struct SubjectsVisitor;

impl<'de> Visitor<'de> for SubjectsVisitor {
    type Value = Subjects;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of subjects")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Subjects, A::Error> {
        let mut rules = BTreeMap::new();
        while let Some((subject, rule)) = map.next_entry()? {
            if rules.len() == SUBJECTS_MAX {
                return Err(A::Error::custom(format!("expected at most {SUBJECTS_MAX} subjects")));
            }
            if rules.insert(subject, rule).is_some() {
                // The first rule, or the last, would be passed over in silence.
                let number = rules.len() + 1;
                let message =
                    format!("expected each subject once: number {number} was there before");
                return Err(A::Error::custom(message));
            }
        }
        Ok(Subjects(rules))
    }
}

impl CallerRules {
    /// Rules in JSON.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn parse(json: &str) -> Result<Self, String> {
        let Subjects(rules) = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if rules.values().any(|rule| rule.sources.len() > PREFIXES_MAX) {
            return Err(format!("at most {PREFIXES_MAX} sources of a subject"));
        }
        let is_part = |subject: &String| format!("/callers/{subject}").parse::<Source>().is_ok();
        if !rules.keys().all(is_part) {
            return Err("expected subjects without control characters, at most 503 bytes".into());
        }
        Ok(Self(rules))
    }

    /// The caller that a token names: its scopes, and the sources that the rules give.
    pub(super) fn with_scopes(&self, subject: String, scopes: Scopes) -> Caller {
        let rule = self.0.get(&subject);
        let prefixes = rule.into_iter().flat_map(|rule| &rule.sources);
        let prefixes = prefixes.map(|prefix| prefix.0.clone()).collect();
        Caller { subject, scopes, sources: Sources::Own { prefixes } }
    }

    /// The caller that has its scopes from the rules too; none where it is not among them.
    pub(super) fn caller(&self, subject: String) -> Caller {
        let rule = self.0.get(&subject);
        let scopes = rule.into_iter().flat_map(|rule| &rule.scopes).map(|scope| scope.0).collect();
        self.with_scopes(subject, scopes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_has_the_scopes_and_sources_of_its_rule_alone() {
        let rules = CallerRules::parse(
            r#"{"shop": {"scopes": ["inventory.command"], "sources": ["/checkout/"]}, "x": {}}"#,
        );
        let rules = rules.unwrap();
        let shop = rules.caller("shop".to_owned());
        assert!(shop.scopes.has(Scope::Command) && !shop.scopes.has(Scope::Restock));
        assert!(shop.may_use(&"/checkout/web".parse().unwrap()));
        let other = rules.caller("other".to_owned());
        assert_eq!(other.scopes, Scopes::default());
        assert!(!other.may_use(&"/checkout/web".parse().unwrap()));
        let of_token = rules.with_scopes("shop".to_owned(), Scopes::parse("inventory.read"));
        assert!(of_token.scopes.has(Scope::Read) && !of_token.scopes.has(Scope::Command));
        assert!(of_token.may_use(&"/checkout/web".parse().unwrap()));
    }

    #[test]
    fn wrong_rules_are_refused_with_what_was_expected() {
        for (json, expected) in [
            ("[]", "map"),
            (r#"{"a": {"scope": []}}"#, "scopes"),
            (r#"{"a": {"scopes": ["inventory.raed"]}}"#, "inventory.read"),
            (r#"{"a": {"sources": [""]}}"#, "/checkout/"),
            (r#"{"a": {"sources": ["/"]}}"#, "/checkout/"),
            (r#"{"a": {"sources": ["/inventory-worker"]}}"#, "/checkout/"),
            (r#"{"a": {"sources": ["/inventory-worker/sweeper"]}}"#, "/checkout/"),
            ("{\"a\\u0000\": {}}", "control characters"),
            ("{\"a\": {},\n\"b\": {},\n\"a\": {}}", "number 3 was there before at line 3"),
        ] {
            let error = CallerRules::parse(json).unwrap_err();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
