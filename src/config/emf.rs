//! Metrics for CloudWatch in the log.

use super::{Reader, Section, Setting};

/// CloudWatch: the longest name of a namespace, characters.
const NAMESPACE_MAX: usize = 255;

static NAMESPACE: Setting = Setting::new(
    "Metrics",
    "emf-namespace",
    "INVENTORY_EMF_NAMESPACE",
    "NAMESPACE",
    "Write the metrics to the log each minute in CloudWatch's embedded metric format, under this \
     namespace",
);

/// Whether metrics are written to the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EmfConfig {
    /// `INVENTORY_EMF_NAMESPACE`: the namespace; `None` where metrics are not written.
    pub namespace: Option<String>,
}

impl Section for EmfConfig {
    fn settings() -> Vec<&'static Setting> {
        vec![&NAMESPACE]
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        Self { namespace: reader.optional(&NAMESPACE, namespace).flatten() }
    }
}

/// `None` for an empty flag, which overrides the variable.
fn namespace(text: &str) -> Result<Option<String>, String> {
    let is_known = |c: char| c.is_ascii_alphanumeric() || ".-_/#: ".contains(c);
    let is_theirs = text.starts_with("AWS/");
    let expected = "1 to 255 letters, digits and . - _ / # : and spaces, without AWS/ before them";
    match text {
        "" => Ok(None),
        _ if text.len() <= NAMESPACE_MAX && text.chars().all(is_known) && !is_theirs => {
            Ok(Some(text.to_owned()))
        }
        _ => Err(expected.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_what_cloudwatch_takes() {
        assert_eq!(namespace("Shop/Inventory").unwrap().as_deref(), Some("Shop/Inventory"));
        assert_eq!(namespace("").unwrap(), None);
        for wrong in ["AWS/Inventory", "Lager\u{e4}", "a\"b", &"x".repeat(256)] {
            assert!(namespace(wrong).is_err(), "{wrong}");
        }
    }
}
