//! A measured row, and its target.

use serde::{Serialize, Serializer};

use inventory_worker::report::Plot;

/// The target of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// The measured value is at least this.
    AtLeast(f64),
    /// The measured value is at most this.
    AtMost(f64),
    /// The measured value is below this.
    Below(f64),
    /// The ratio to the ceiling is at least this.
    RatioAtLeast(f64),
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, ">= {least}"),
            Self::AtMost(most) => write!(f, "<= {most}"),
            Self::Below(bound) => write!(f, "< {bound}"),
            Self::RatioAtLeast(least) => write!(f, "ratio >= {least}"),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A row of the bench.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name in the targets.
    pub name: &'static str,
    /// The measured value.
    pub figure: f64,
    /// Its unit.
    pub unit: &'static str,
    /// The best that the model allows, in the same unit, where it can be computed.
    pub ceiling: Option<f64>,
    /// The value's ratio to the ceiling; 1 reaches it.
    pub ratio: Option<f64>,
    /// The target.
    pub target: Target,
    /// Whether the target is met.
    pub met: bool,
    /// How it was measured, its bound, further values.
    pub note: String,
    /// The plots of the row.
    #[serde(skip)]
    pub plots: Vec<Plot>,
}

/// Whether a higher or a lower value is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Better {
    More,
    Less,
}

impl Row {
    /// A row without a ceiling.
    pub(super) fn new(name: &'static str, figure: f64, unit: &'static str, target: Target) -> Self {
        let row = Self {
            name,
            figure,
            unit,
            ceiling: None,
            ratio: None,
            target,
            met: false,
            note: String::new(),
            plots: Vec::new(),
        };
        row.judged()
    }

    /// Adds the best value that the model allows.
    pub(super) fn with_ceiling(mut self, ceiling: f64, better: Better) -> Self {
        self.ceiling = Some(ceiling);
        let ratio = match better {
            Better::More => self.figure / ceiling,
            Better::Less => ceiling / self.figure,
        };
        self.ratio = Some(ratio).filter(|ratio| ratio.is_finite());
        self.judged()
    }

    pub(super) fn noting(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    pub(super) fn showing(mut self, plot: Plot) -> Self {
        self.plots.push(plot);
        self
    }

    fn judged(mut self) -> Self {
        let ratio = self.ratio.unwrap_or(f64::NAN);
        // A comparison with NaN is never true.
        self.met = match self.target {
            Target::AtLeast(least) => self.figure >= least,
            Target::AtMost(most) => self.figure <= most,
            Target::Below(bound) => self.figure < bound,
            Target::RatioAtLeast(least) => ratio >= least,
        };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_met_by_its_own_measure_alone() {
        let met = |figure, target| Row::new("r", figure, "u", target).met;
        assert!(met(1.0, Target::AtLeast(1.0)) && !met(0.9, Target::AtLeast(1.0)));
        assert!(met(1.0, Target::AtMost(1.0)) && !met(1.1, Target::AtMost(1.0)));
        assert!(!met(1.0, Target::Below(1.0)));
        assert!(!met(f64::NAN, Target::AtMost(1.0)));
        assert!(!met(5.0, Target::RatioAtLeast(0.9)), "no ceiling, no ratio");
        let of =
            |better| Row::new("r", 5.0, "u", Target::RatioAtLeast(0.9)).with_ceiling(4.0, better);
        assert!(of(Better::More).met && !of(Better::Less).met);
    }

    #[test]
    fn a_row_is_written_with_the_fields_programs_read() {
        let row = Row::new("hot_group", 200.0, "commands/s", Target::RatioAtLeast(0.9))
            .with_ceiling(208.0, Better::More);
        let json = serde_json::to_value(&row).unwrap();
        let names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(
            ["name", "figure", "unit", "ceiling", "ratio", "target", "met"]
                .iter()
                .all(|name| names.contains(name)),
            "{names:?}"
        );
        assert_eq!(json["target"], "ratio >= 0.9");
        assert_eq!(json["met"], true);
    }
}
