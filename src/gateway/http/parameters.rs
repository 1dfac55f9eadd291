//! Query parameters: known, given once, and read by their types.

use std::{collections::BTreeMap, str::FromStr};

use url::form_urlencoded::{Serializer, parse};

use crate::{
    domain::{InvalidText, SeatStatus},
    gateway::http::Problem,
};

/// The longest name that an error repeats, characters.
pub(in crate::gateway::http) const NAME_SHOWN_MAX: usize = 64;

/// The parameters of a request.
#[derive(Debug)]
pub(in crate::gateway::http) struct Parameters(BTreeMap<&'static str, String>);

impl Parameters {
    /// Refuses parameters that are not known, or given twice.
    pub(in crate::gateway::http) fn parse(
        query: Option<&str>,
        known: &[&'static str],
    ) -> Result<Self, Problem> {
        let mut parameters = BTreeMap::new();
        for (name, value) in parse(query.unwrap_or_default().as_bytes()) {
            let Some(known) = known.iter().find(|known| **known == name) else {
                let name: String = name.chars().take(NAME_SHOWN_MAX).collect();
                let expected = match known {
                    [] => "no parameters".to_owned(),
                    known => format!("only {}", known.join(", ")),
                };
                let detail = format!("unknown parameter {name:?}: expected {expected}");
                return Err(Problem::bad_request(detail));
            };
            if parameters.insert(*known, value.into_owned()).is_some() {
                return Err(Problem::bad_request(format!("{known}: expected once")));
            }
        }
        Ok(Self(parameters))
    }

    /// Refuses any parameter.
    pub(in crate::gateway::http) fn none(query: Option<&str>) -> Result<(), Problem> {
        Self::parse(query, &[]).map(drop)
    }

    pub(in crate::gateway::http) fn get(&self, name: &'static str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(in crate::gateway::http) fn parsed<T: FromStr<Err = InvalidText>>(
        &self,
        name: &'static str,
    ) -> Result<Option<T>, Problem> {
        let value = self.get(name).map(str::parse).transpose();
        value.map_err(|wrong| Problem::bad_request(format!("{name}: {wrong}")))
    }

    pub(in crate::gateway::http) fn flag(
        &self,
        name: &'static str,
    ) -> Result<Option<bool>, Problem> {
        self.read(name, "true or false", |text| text.parse().ok())
    }

    /// A number; its range is checked by the query.
    pub(in crate::gateway::http) fn limit(
        &self,
        name: &'static str,
    ) -> Result<Option<u32>, Problem> {
        let expected = "an integer from 1 to 1000";
        self.read(name, expected, |text| text.parse().ok())
    }

    pub(in crate::gateway::http) fn status(
        &self,
        name: &'static str,
    ) -> Result<Option<SeatStatus>, Problem> {
        use SeatStatus::{Available, Blocked, Booked, Reserved};
        self.read(name, "AVAILABLE, RESERVED, BOOKED or BLOCKED", |text| {
            [Available, Reserved, Booked, Blocked].into_iter().find(|one| one.as_str() == text)
        })
    }

    /// The same parameters, with another value of one of them.
    pub(in crate::gateway::http) fn with(&self, name: &'static str, value: &str) -> String {
        let others = self.0.iter().filter(|(other, _)| **other != name);
        let mut query = Serializer::new(String::new());
        query.extend_pairs(others).append_pair(name, value).finish()
    }

    pub(in crate::gateway::http) fn read<T>(
        &self,
        name: &'static str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let wrong = || Problem::bad_request(format!("{name}: expected {expected}"));
        read(text).map(Some).ok_or_else(wrong)
    }
}
