//! Reads JSON values with their paths, so that an error can name its field.
//!
//! A value is a slice of the canonical text: only the values that are read are built. A [`Path`] is
//! a chain of stack frames: it costs nothing until an error is written.

use std::{borrow::Cow, fmt, ops::RangeInclusive, str::FromStr};

use serde_json::Number;

use super::{
    canonical::{Document, string_end},
    rfc3339,
};
use crate::domain::{InvalidText, Rejection, RejectionCode, Timestamp};

/// The path of a value in a message: `data.lines[2].quantity`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Path<'p> {
    /// The whole message.
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

/// A fault of a message. Names the field and what was expected, never the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FieldError {
    code: RejectionCode,
    message: String,
}

impl FieldError {
    /// The value at `path` breaks the contract.
    pub(super) fn at(path: &Path<'_>, expected: impl fmt::Display) -> Self {
        Self {
            code: RejectionCode::InvalidMessage,
            message: format!("{path}: expected {expected}"),
        }
    }

    /// The message is valid as far as it can be checked, but its type is unknown.
    pub(super) fn unsupported(path: &Path<'_>, expected: impl fmt::Display) -> Self {
        Self { code: RejectionCode::UnsupportedType, ..Self::at(path, expected) }
    }
}

impl From<FieldError> for Rejection {
    fn from(fault: FieldError) -> Self {
        Self::new(fault.code, fault.message)
    }
}

/// A value and its path; the value may be missing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node<'v, 'p> {
    value: Option<&'v str>,
    path: Path<'p>,
}

impl<'v, 'p> Node<'v, 'p> {
    /// The whole message.
    pub(super) fn message(document: &'v Document) -> Self {
        Self { value: Some(document.text()), path: Path::Message }
    }

    /// The decoded content of `data_base64`: errors name its fields as those of `data`.
    pub(super) fn data(document: &'v Document) -> Self {
        Self { value: Some(document.text()), path: Path::Field(&Path::Message, "data") }
    }

    /// The node, if it has a value.
    pub(super) fn given(self) -> Option<Self> {
        self.value.map(|_| self)
    }

    /// The node, if it has a value other than `null`. CloudEvents JSON format, section 2.2: "When
    /// decoding attributes and a null value is encountered, it MUST be treated as the equivalent of
    /// unset or omitted."
    pub(super) fn attribute(self) -> Option<Self> {
        self.value.filter(|value| *value != "null").map(|_| self)
    }

    /// An error at this path.
    pub(super) fn fault(&self, expected: impl fmt::Display) -> FieldError {
        match self.value {
            Some(_) => FieldError::at(&self.path, expected),
            None => {
                let message = format!("{}: missing, expected {expected}", self.path);
                FieldError { code: RejectionCode::InvalidMessage, message }
            }
        }
    }

    /// The error of an unknown type.
    pub(super) fn unsupported(&self, expected: impl fmt::Display) -> FieldError {
        FieldError::unsupported(&self.path, expected)
    }

    /// The string without further checks.
    pub(super) fn str(&self) -> Option<Cow<'v, str>> {
        let written = self.value?;
        let text = written.strip_prefix('"')?.strip_suffix('"')?;
        if text.contains('\\') {
            return serde_json::from_str(written).ok().map(Cow::Owned);
        }
        Some(Cow::Borrowed(text))
    }

    /// JSON in base64 (RFC 4648, section 4), padded or not.
    pub(super) fn base64_json(&self) -> Result<Document, FieldError> {
        let encoded = self.str().ok_or_else(|| self.fault("base64"))?;
        Document::parse_base64(&encoded).map_err(|error| match error.is_io() {
            true => self.fault("base64"),
            false => self.fault(format_args!("base64 of JSON ({error})")),
        })
    }

    /// A string parsed by the rule of its type.
    pub(super) fn text<T: FromStr<Err = InvalidText>>(&self) -> Result<T, FieldError> {
        // No such text may be empty, so a missing value or a non-string reports the rule for the
        // empty text.
        self.str()
            .unwrap_or_default()
            .parse()
            .map_err(|wrong: InvalidText| self.fault(wrong.expected))
    }

    /// One of the listed words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, FieldError> {
        let given = self.str();
        let found = words.iter().find(|(word, _)| Some(*word) == given.as_deref());
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let words: Vec<_> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            self.fault(words.join(" or "))
        })
    }

    /// An integer within the range.
    pub(super) fn integer(&self, range: RangeInclusive<u64>) -> Result<u64, FieldError> {
        let given = self.number().as_ref().and_then(integral);
        given.filter(|number| range.contains(number)).ok_or_else(|| {
            self.fault(format_args!("an integer from {} to {}", range.start(), range.end()))
        })
    }

    /// An integer within the range, possibly negative.
    pub(super) fn signed(&self, range: RangeInclusive<i64>) -> Result<i64, FieldError> {
        let given = self.number().as_ref().and_then(signed_integral);
        given.filter(|number| range.contains(number)).ok_or_else(|| {
            self.fault(format_args!("an integer from {} to {}", range.start(), range.end()))
        })
    }

    /// A 64-bit integer, possibly negative.
    pub(super) fn signed_integer(&self) -> Result<i64, FieldError> {
        self.signed(i64::MIN..=i64::MAX).map_err(|_| self.fault("an integer of 64 bits"))
    }

    fn number(&self) -> Option<Number> {
        self.value.and_then(|value| serde_json::from_str(value).ok())
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Result<bool, FieldError> {
        match self.value {
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            _ => Err(self.fault("true or false")),
        }
    }

    /// An RFC 3339 time.
    pub(super) fn timestamp(&self) -> Result<Timestamp, FieldError> {
        let at = self.str().and_then(|text| rfc3339::parse(&text));
        at.ok_or_else(|| self.fault(rfc3339::EXPECTED))
    }

    /// An object.
    pub(super) fn object(self) -> Result<Object<'v, 'p>, FieldError> {
        match self.value {
            Some(text) if text.starts_with('{') => Ok(Object { text, path: self.path }),
            _ => Err(self.fault("an object")),
        }
    }

    /// An array.
    pub(super) fn array(self) -> Result<Array<'v, 'p>, FieldError> {
        match self.value {
            Some(text) if text.starts_with('[') => {
                Ok(Array { text, len: Parts::of(text).count(), path: self.path })
            }
            _ => Err(self.fault("an array")),
        }
    }
}

/// The number as an integer, if it is integral and exact as a double, or was written as an integer
/// of 64 bits.
fn integral(number: &Number) -> Option<u64> {
    /// 2^53: up to here every integer is exact as a double.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    let fits = |float: &f64| float.fract() == 0.0 && (0.0..=EXACT_MAX).contains(float);
    number.as_u64().or_else(|| number.as_f64().filter(fits).map(|float| float as u64))
}

/// As [`integral`], below zero too.
fn signed_integral(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| {
        let float = number.as_f64()?;
        let magnitude = Number::from_f64(float.abs()).as_ref().and_then(integral)?;
        let magnitude = i64::try_from(magnitude).ok()?;
        Some(if float < 0.0 { -magnitude } else { magnitude })
    })
}

/// The parts of an array or object in canonical form, in order: values, or for an object
/// alternating names and values.
struct Parts<'v>(&'v str);

impl<'v> Parts<'v> {
    fn of(text: &'v str) -> Self {
        Self(text.get(1..text.len() - 1).unwrap_or_default())
    }
}

impl<'v> Iterator for Parts<'v> {
    type Item = &'v str;

    fn next(&mut self) -> Option<&'v str> {
        let length = value_end(self.0.as_bytes());
        let (value, rest) = self.0.split_at_checked(length)?;
        // Skips the comma, or the colon after a name.
        self.0 = rest.get(1..).unwrap_or_default();
        (!value.is_empty()).then_some(value)
    }
}

/// The length of the value at the start of a canonical text.
fn value_end(text: &[u8]) -> usize {
    let mut end = 0;
    let mut depth = 0_usize;
    while let Some(byte) = text.get(end) {
        match byte {
            b'"' => end += text.get(end..).map_or(1, string_end),
            b'{' | b'[' => (depth, end) = (depth + 1, end + 1),
            b'}' | b']' => (depth, end) = (depth.saturating_sub(1), end + 1),
            b',' if depth == 0 => return end,
            _ => end += 1,
        }
        if depth == 0 && matches!(byte, b'"' | b'}' | b']') {
            return end;
        }
    }
    end
}

/// An object and its path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Object<'v, 'p> {
    text: &'v str,
    path: Path<'p>,
}

impl<'v> Object<'v, '_> {
    /// The members with these names, each present or missing; found in one pass.
    pub(super) fn fields<const N: usize>(&self, names: [&'static str; N]) -> [Node<'v, '_>; N] {
        let mut nodes = names.map(|name| {
            let path = Path::Field(&self.path, name);
            #[cfg(test)]
            asked::record(&path);
            Node { value: None, path }
        });
        let mut parts = Parts::of(self.text);
        while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
            let name = name.get(1..name.len() - 1).unwrap_or_default();
            let wanted = nodes.iter_mut().zip(names).find(|(_, wanted)| *wanted == name);
            if let Some((node, _)) = wanted {
                node.value = Some(value);
            }
        }
        nodes
    }

    /// The object in canonical form.
    pub(super) fn text(&self) -> &'v str {
        self.text
    }

    /// A member, present or missing.
    #[cfg(test)]
    pub(super) fn field(&self, name: &'static str) -> Node<'v, '_> {
        let [node] = self.fields([name]);
        node
    }

    /// An error of the whole object.
    pub(super) fn fault(&self, expected: impl fmt::Display) -> FieldError {
        FieldError::at(&self.path, expected)
    }
}

/// An array and its path.
#[derive(Clone, Copy, Debug)]
pub(super) struct Array<'v, 'p> {
    text: &'v str,
    len: usize,
    path: Path<'p>,
}

impl<'v> Array<'v, '_> {
    /// The number of entries.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Reads every entry; the caller has checked their number.
    pub(super) fn read<T>(
        &self,
        mut one: impl FnMut(Node<'v, '_>) -> Result<T, FieldError>,
    ) -> Result<Vec<T>, FieldError> {
        let mut read = Vec::with_capacity(self.len);
        for (index, value) in Parts::of(self.text).enumerate() {
            read.push(one(Node { value: Some(value), path: Path::Item(&self.path, index) })?);
        }
        Ok(read)
    }

    /// Rejects a name that occurs in two entries; the error names the second.
    pub(super) fn unique<'t, T>(
        &self,
        entries: &'t [T],
        field: Option<&'static str>,
        name: impl Fn(&'t T) -> &'t str,
    ) -> Result<(), FieldError> {
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
        Err(FieldError::at(&path, "one that is not named before"))
    }
}

/// Records the fields that were read, so that a test can compare them with the schema.
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

    /// The fields read in this thread since the last call, with `[]` for every index.
    pub(in crate::message) fn take() -> BTreeSet<String> {
        ASKED.take()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn document(value: &Value) -> Document {
        Document::parse(&value.to_string()).unwrap()
    }

    #[test]
    fn an_error_names_its_field_and_never_the_value() {
        let value = json!({"data": {"lines": [{}, {"quantity": "secret"}]}});
        let document = document(&value);
        let message = Node::message(&document).object().unwrap();
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
            Node::message(&Document::parse(text).unwrap()).integer(0..=9_007_199_254_740_991).ok()
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
        let document = document(&value);
        let array = Node::message(&document).array().unwrap();
        let names = ["b", "a", "c", "a", "b"];
        let fault = array.unique(&names, Some("sku"), |name| name).unwrap_err();
        assert_eq!(fault.message, "message[3].sku: expected one that is not named before");
        assert_eq!(array.unique(&names[..3], None, |name| name), Ok(()));
    }
}
