//! Reads JSON values and knows where they stand, so that an error can name its field.
//!
//! A [`Path`] is a chain of stack frames: it costs nothing until an error is written.

use std::{fmt, ops::RangeInclusive, str::FromStr};

use serde_json::{Map, Number, Value};

use super::rfc3339;
use crate::domain::{InvalidText, Rejection, RejectionCode, Timestamp};

/// Where in a message a value stands: `data.lines[2].quantity`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'p> {
    /// The message as a whole.
    Message,
    /// A member of an object.
    Field(&'p Path<'p>, &'static str),
    /// An entry of an array.
    Item(&'p Path<'p>, usize),
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message => f.write_str("message"),
            Self::Field(Path::Message, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// What is wrong with a message. Names the field and what was expected, never the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    code: RejectionCode,
    message: String,
}

impl Fault {
    /// The value at `path` breaks the contract.
    pub(super) fn at(path: &Path<'_>, expected: impl fmt::Display) -> Self {
        Self {
            code: RejectionCode::InvalidMessage,
            message: format!("{path}: expected {expected}"),
        }
    }

    /// The message is right as far as one can tell, of a type that is not known.
    pub(super) fn unsupported(path: &Path<'_>, expected: impl fmt::Display) -> Self {
        Self { code: RejectionCode::UnsupportedType, ..Self::at(path, expected) }
    }
}

impl From<Fault> for Rejection {
    fn from(fault: Fault) -> Self {
        Self::new(fault.code, fault.message)
    }
}

/// A value, or the place where one is missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'v, 'p> {
    value: Option<&'v Value>,
    path: Path<'p>,
}

impl<'v, 'p> Node<'v, 'p> {
    /// The message as a whole.
    pub(super) fn message(value: &'v Value) -> Self {
        Self { value: Some(value), path: Path::Message }
    }

    /// The node, where there is a value.
    pub(super) fn given(self) -> Option<Self> {
        self.value.map(|_| self)
    }

    /// The node, where there is a value other than `null`. CloudEvents JSON format, section 2.2:
    /// "When decoding attributes and a null value is encountered, it MUST be treated as the
    /// equivalent of unset or omitted."
    pub(super) fn attribute(self) -> Option<Self> {
        self.value.filter(|value| !value.is_null()).map(|_| self)
    }

    /// The value as it is.
    pub(super) fn value(&self) -> Option<&'v Value> {
        self.value
    }

    /// The error of this place.
    pub(super) fn fault(&self, expected: impl fmt::Display) -> Fault {
        match self.value {
            Some(_) => Fault::at(&self.path, expected),
            None => {
                let message = format!("{}: missing, expected {expected}", self.path);
                Fault { code: RejectionCode::InvalidMessage, message }
            }
        }
    }

    /// The error of a type that is not known.
    pub(super) fn unsupported(&self, expected: impl fmt::Display) -> Fault {
        Fault::unsupported(&self.path, expected)
    }

    /// A text as it is.
    pub(super) fn str(&self) -> Option<&'v str> {
        self.value.and_then(Value::as_str)
    }

    /// A text with rules of its own.
    pub(super) fn text<T: FromStr<Err = InvalidText>>(&self) -> Result<T, Fault> {
        // No such text may be empty: what is missing or no string is told the rule of one that is.
        self.str()
            .unwrap_or_default()
            .parse()
            .map_err(|wrong: InvalidText| self.fault(wrong.expected))
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, Fault> {
        let given = self.str();
        let found = words.iter().find(|(word, _)| Some(*word) == given);
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            self.fault(words.join(" or "))
        })
    }

    /// An integer.
    pub(super) fn integer(&self, range: RangeInclusive<u64>) -> Result<u64, Fault> {
        let given = match self.value {
            Some(Value::Number(number)) => integral(number),
            _ => None,
        };
        given.filter(|number| range.contains(number)).ok_or_else(|| {
            self.fault(format_args!("an integer from {} to {}", range.start(), range.end()))
        })
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Result<bool, Fault> {
        self.value.and_then(Value::as_bool).ok_or_else(|| self.fault("true or false"))
    }

    /// A time.
    pub(super) fn timestamp(&self) -> Result<Timestamp, Fault> {
        self.str().and_then(rfc3339::parse).ok_or_else(|| self.fault(rfc3339::EXPECTED))
    }

    /// An object.
    pub(super) fn object(self) -> Result<Object<'v, 'p>, Fault> {
        match self.value {
            Some(Value::Object(fields)) => Ok(Object { fields, path: self.path }),
            _ => Err(self.fault("an object")),
        }
    }

    /// An array.
    pub(super) fn array(self) -> Result<Array<'v, 'p>, Fault> {
        match self.value {
            Some(Value::Array(items)) => Ok(Array { items, path: self.path }),
            _ => Err(self.fault("an array")),
        }
    }
}

/// The number as an integer, where it is one within what a double holds exactly or was written as
/// an integer of 64 bits.
fn integral(number: &Number) -> Option<u64> {
    /// 2^53: up to here every integer is a double.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let fits = |float: &f64| float.fract() == 0.0 && (0.0..=EXACT_MAX).contains(float);
    number.as_u64().or_else(|| number.as_f64().filter(fits).map(|float| float as u64))
}

/// An object and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object<'v, 'p> {
    fields: &'v Map<String, Value>,
    path: Path<'p>,
}

impl<'v> Object<'v, '_> {
    /// A member, there or missing.
    pub(super) fn field(&self, name: &'static str) -> Node<'v, '_> {
        let path = Path::Field(&self.path, name);
        #[cfg(test)]
        asked::record(&path);
        Node { value: self.fields.get(name), path }
    }

    /// The error of the object as a whole.
    pub(super) fn fault(&self, expected: impl fmt::Display) -> Fault {
        Fault::at(&self.path, expected)
    }
}

/// An array and where it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Array<'v, 'p> {
    items: &'v [Value],
    path: Path<'p>,
}

impl<'v> Array<'v, '_> {
    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.items.len()
    }

    /// Reads every entry.
    pub(super) fn read<T>(
        &self,
        mut one: impl FnMut(Node<'v, '_>) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        let nodes = self.items.iter().enumerate();
        nodes
            .map(|(index, value)| {
                one(Node { value: Some(value), path: Path::Item(&self.path, index) })
            })
            .collect()
    }

    /// Refuses a name that stands in two entries; the error names the second.
    pub(super) fn unique<'t, T>(
        &self,
        entries: &'t [T],
        field: Option<&'static str>,
        name: impl Fn(&'t T) -> &'t str,
    ) -> Result<(), Fault> {
        let mut named: Vec<_> =
            entries.iter().enumerate().map(|(index, entry)| (name(entry), index)).collect();
        named.sort_unstable();
        let repeated = named.windows(2).filter_map(|pair| match pair {
            [(one, _), (other, index)] if one == other => Some(*index),
            _ => None,
        });
        let Some(index) = repeated.min() else { return Ok(()) };
        let item = Path::Item(&self.path, index);
        let path = field.map_or(item, |name| Path::Field(&item, name));
        Err(Fault::at(&path, "one that is not named before"))
    }
}

/// What fields were asked for, so that a test can hold them against the schema.
#[cfg(test)]
pub(super) mod asked {
    use std::{cell::RefCell, collections::BTreeSet};

    use super::Path;

    thread_local! {
        static ASKED: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
    }

    fn pattern(path: &Path<'_>) -> String {
        match path {
            Path::Message => "message".to_owned(),
            Path::Field(Path::Message, name) => (*name).to_owned(),
            Path::Field(parent, name) => format!("{}.{name}", pattern(parent)),
            Path::Item(parent, _) => format!("{}[]", pattern(parent)),
        }
    }

    pub(super) fn record(path: &Path<'_>) {
        ASKED.with_borrow_mut(|asked| asked.insert(pattern(path)));
    }

    /// The fields asked for in this thread since the last call, `[]` standing for every index.
    pub(in crate::message) fn take() -> BTreeSet<String> {
        ASKED.take()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_names_its_field_and_never_the_value() {
        let value = json!({"data": {"lines": [{}, {"quantity": "secret"}]}});
        let message = Node::message(&value).object().unwrap();
        let data = message.field("data").object().unwrap();
        let lines = data.field("lines").array().unwrap();
        let read = lines.read(|line| line.object()?.field("quantity").integer(1..=9));
        let fault = read.unwrap_err();
        assert_eq!(
            fault.message,
            "data.lines[0].quantity: missing, expected an integer from 1 to 9"
        );
        let last = lines.read(|line| match line.object()?.field("quantity").given() {
            Some(quantity) => quantity.integer(1..=9),
            None => Ok(0),
        });
        assert_eq!(
            last.unwrap_err().message,
            "data.lines[1].quantity: expected an integer from 1 to 9"
        );
    }

    #[test]
    fn an_integral_number_is_an_integer_however_it_is_written() {
        let read = |text: &str| {
            let value: Value = serde_json::from_str(text).unwrap();
            Node::message(&value).integer(0..=9_007_199_254_740_991).ok()
        };
        for text in ["600", "600.0", "6e2", "6E+2", "60000e-2"] {
            assert_eq!(read(text), Some(600), "{text}");
        }
        assert_eq!(read("-0"), Some(0));
        assert_eq!(read("-0.0"), Some(0));
        assert_eq!(read("9007199254740991"), Some(9_007_199_254_740_991));
        assert_eq!(read("9007199254740991.0"), Some(9_007_199_254_740_991));
        for text in [
            "600.5",
            "-1",
            "-1.0",
            "9007199254740992",
            "9007199254740992.0",
            "1e300",
            "\"1\"",
            "true",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn the_first_repetition_is_the_one_that_is_named() {
        let value = json!(["b", "a", "c", "a", "b"]);
        let array = Node::message(&value).array().unwrap();
        let names = ["b", "a", "c", "a", "b"];
        let fault = array.unique(&names, Some("sku"), |name| name).unwrap_err();
        assert_eq!(fault.message, "message[3].sku: expected one that is not named before");
        assert_eq!(array.unique(&names[..3], None, |name| name), Ok(()));
    }
}
