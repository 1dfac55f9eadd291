//! A message as one text in the canonical form of JSON (RFC 8785), written while parsing.
//!
//! There is no tree of values: a body may hold half a million of them, and a tree costs a hundred
//! times the body. The canonical text is hardly longer than the body, whatever its content. It has
//! no repeated names and only one form, so [`super::reader`] navigates it without a parser, and the
//! digest of a part is that of its bytes.

use std::{cmp::Ordering, fmt, io::BufReader};

use base64::{
    alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    read::DecoderReader,
};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::de::{IoRead, Read, StrRead};

/// ECMAScript writes integers up to here exactly: 2^53.
const EXACT_MAX: u64 = 1 << 53;

/// A message in canonical form, except for numbers whose canonical form is unnecessarily long.
#[derive(Debug)]
pub(super) struct Document {
    text: String,
    is_shortened: bool,
}

impl Document {
    /// Parses a text like `serde_json`, with the same bounds on nesting and numbers. The last of
    /// repeated member names counts.
    ///
    /// # Errors
    ///
    /// An error of `serde_json`: the position and the grammar, never the text.
    pub(super) fn parse(json: &str) -> serde_json::Result<Self> {
        Self::write(StrRead::new(json), json.len(), Writer::default())
    }

    /// As [`Self::parse`], but keeps 64-bit integers that a double would round. For reading only:
    /// such a text is not in canonical form.
    ///
    /// # Errors
    ///
    /// As for [`Self::parse`].
    pub(super) fn parse_with_whole_integers(json: &str) -> serde_json::Result<Self> {
        let writer = Writer { keeps_integers: true, ..Writer::default() };
        Self::write(StrRead::new(json), json.len(), writer)
    }

    /// As [`Self::parse`], for JSON in base64 (RFC 4648, section 4), padded or not. Decodes while it
    /// parses, so that the decoded text is never in memory.
    ///
    /// # Errors
    ///
    /// As for [`Self::parse`]; an I/O error if it is not base64.
    pub(super) fn parse_base64(encoded: &str) -> serde_json::Result<Self> {
        const EITHER_PADDING: GeneralPurposeConfig =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        const ENGINE: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, EITHER_PADDING);
        let decoder = BufReader::new(DecoderReader::new(encoded.as_bytes(), &ENGINE));
        Self::write(IoRead::new(decoder), encoded.len() / 4 * 3, Writer::default())
    }

    fn write<'json>(
        json: impl Read<'json>,
        bytes: usize,
        writer: Writer,
    ) -> serde_json::Result<Self> {
        let mut writer = Writer { text: Vec::with_capacity(bytes), ..writer };
        let mut parser = serde_json::Deserializer::new(json);
        ValueOf(&mut writer).deserialize(&mut parser)?;
        parser.end()?;
        let Writer { text, is_shortened, .. } = writer;
        let text = String::from_utf8(text).map_err(serde_json::Error::custom)?;
        Ok(Self { text, is_shortened })
    }

    /// The whole message: valid JSON without white space, each name once, names in order.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Passes the canonical form of one of its values to `piece`, part by part.
    pub(super) fn canonical(&self, value: &str, mut piece: impl FnMut(&[u8])) {
        if !self.is_shortened {
            return piece(value.as_bytes());
        }
        let mut rest = value;
        while let Some(first) = rest.bytes().next() {
            let length = match first {
                b'"' => string_end(rest.as_bytes()),
                b'-' | b'0'..=b'9' => {
                    rest.bytes().take_while(|byte| !matches!(byte, b',' | b']' | b'}')).count()
                }
                _ => rest
                    .bytes()
                    .take_while(|byte| !matches!(byte, b'"' | b'-' | b'0'..=b'9'))
                    .count(),
            };
            let (token, after) = rest.split_at_checked(length).unwrap_or((rest, ""));
            match token.parse::<f64>() {
                Ok(number) if token.contains('e') => piece(number_text(number).as_bytes()),
                _ => piece(token.as_bytes()),
            }
            rest = after;
        }
    }
}

/// The length of the string at the start of a text, with its quotes.
pub(super) fn string_end(text: &[u8]) -> usize {
    let mut end = 1;
    while let Some(rest) = text.get(end..) {
        match rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
            Some(place) if rest.get(place) == Some(&b'"') => return end + place + 1,
            Some(place) => end += place + 2,
            None => break,
        }
    }
    text.len()
}

/// A double in ECMAScript's notation.
fn number_text(number: f64) -> String {
    // Only small integers have a simple notation. No parsed number is infinite.
    match as_integer(number) {
        Some(integer) => integer.to_string(),
        None => serde_json_canonicalizer::to_string(&number).unwrap_or_default(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "2^53 is a double")]
fn as_integer(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= EXACT_MAX as f64).then_some(number as i64)
}

/// A member of an object being written: where its name begins and its value ends.
#[derive(Clone, Copy)]
struct Member {
    start: u32,
    end: u32,
}

/// Eight bytes per member: an object may have two hundred thousand.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[derive(Default)]
struct Writer {
    text: Vec<u8>,
    /// Members of the current object, after those of the enclosing objects.
    members: Vec<Member>,
    /// The buffer for sorting members.
    spare: Vec<u8>,
    is_shortened: bool,
    /// Whether integers beyond [`EXACT_MAX`] are written exactly, not as doubles.
    keeps_integers: bool,
}

impl Writer {
    /// serde_json escapes the same characters as ECMAScript, in the same way.
    fn text<E: Error>(&mut self, text: &str) -> Result<(), E> {
        serde_json::to_writer(&mut self.text, text).map_err(E::custom)
    }

    fn integer(&mut self, number: impl fmt::Display) {
        use std::io::Write as _;

        // Writing into memory cannot fail.
        let _ = write!(self.text, "{number}");
    }

    /// Keeps the shorter notation: `1e20` has 21 digits in canonical form.
    fn float(&mut self, number: f64) {
        let (canonical, short) = (number_text(number), format!("{number:e}"));
        let is_shorter = short.len() < canonical.len();
        self.is_shortened |= is_shorter;
        self.text.extend_from_slice(if is_shorter { &short } else { &canonical }.as_bytes());
    }

    /// Ends the object that begins at `start`, whose members are those from `first` on: sorts them
    /// and drops the repeated ones.
    fn end_object(&mut self, start: usize, first: usize) {
        let Self { text, members, spare, .. } = self;
        let of_object = members.get_mut(first..).unwrap_or_default();
        let name = |member: &Member| name_at(text, member.start);
        let is_in_order = |one: &Member, other: &Member| order(name(one), name(other)).is_lt();
        if !of_object.is_sorted_by(is_in_order) {
            of_object.sort_unstable_by(|one, other| {
                order(name(one), name(other)).then(one.start.cmp(&other.start))
            });
            let length = text.len() - start;
            if spare.capacity() < length {
                // The buffer is never larger than the text; nested objects share it.
                *spare = Vec::new();
                spare.reserve_exact(length.saturating_mul(2).min(text.capacity()).max(length));
            }
            spare.clear();
            let mut left = of_object.iter().peekable();
            while let Some(member) = left.next() {
                if left.peek().is_some_and(|next| name(next) == name(member)) {
                    continue;
                }
                spare.push(if spare.is_empty() { b'{' } else { b',' });
                let written = text.get(member.start as usize..member.end as usize);
                spare.extend_from_slice(written.unwrap_or_default());
            }
            text.truncate(start);
            text.append(spare);
        }
        members.truncate(first);
        self.text.push(b'}');
    }
}

/// The name at this position, as written between its quotes.
fn name_at(text: &[u8], start: u32) -> &[u8] {
    let from = text.get(start as usize..).unwrap_or_default();
    from.get(1..string_end(from) - 1).unwrap_or_default()
}

/// RFC 8785, section 3.2.3: names are sorted by their UTF-16 code units.
fn order(one: &[u8], other: &[u8]) -> Ordering {
    let is_plain = |name: &[u8]| name.iter().all(|byte| byte.is_ascii() && *byte != b'\\');
    if is_plain(one) && is_plain(other) {
        return one.cmp(other);
    }
    ranks(one).cmp(ranks(other))
}

/// Sort keys that order a name's characters by their UTF-16 code units.
fn ranks(name: &[u8]) -> impl Iterator<Item = u32> {
    let mut left = std::str::from_utf8(name).unwrap_or_default().chars();
    std::iter::from_fn(move || {
        let character = match left.next()? {
            '\\' => match left.next()? {
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'u' => {
                    let digits = left.by_ref().take(4);
                    let code =
                        digits.fold(0, |sum, digit| sum * 16 + digit.to_digit(16).unwrap_or(0));
                    char::from_u32(code)?
                }
                itself => itself,
            },
            itself => itself,
        };
        // A character of two units begins with one from D800 on, which sorts before E000.
        let code = u32::from(character);
        Some(match code {
            0..0xE000 => code,
            0xE000..0x1_0000 => code + 0x11_0000,
            _ => code,
        })
    })
}

/// Writes the next value.
struct ValueOf<'w>(&'w mut Writer);

impl<'de> DeserializeSeed<'de> for ValueOf<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ValueOf<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any valid JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.text.extend_from_slice(b"null");
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.0.text.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        match number {
            0..=EXACT_MAX => self.0.integer(number),
            _ if self.0.keeps_integers => self.0.integer(number),
            #[expect(clippy::cast_precision_loss, reason = "RFC 8785 has doubles alone")]
            _ => self.0.float(number as f64),
        }
        Ok(())
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        match number.unsigned_abs() {
            0..=EXACT_MAX => self.0.integer(number),
            _ if self.0.keeps_integers => self.0.integer(number),
            #[expect(clippy::cast_precision_loss, reason = "RFC 8785 has doubles alone")]
            _ => self.0.float(number as f64),
        }
        Ok(())
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.0.float(number);
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.0.text(text)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let writer = self.0;
        writer.text.push(b'[');
        let start = writer.text.len();
        while items.next_element_seed(Separated(writer, start))?.is_some() {}
        writer.text.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let writer = self.0;
        let (start, first) = (writer.text.len(), writer.members.len());
        writer.text.push(b'{');
        while let Some(name) = members.next_key_seed(NameOf(writer, start))? {
            writer.text.push(b':');
            members.next_value_seed(ValueOf(writer))?;
            let end = place(writer.text.len());
            writer.members.push(Member { start: name, end });
        }
        writer.end_object(start, first);
        Ok(())
    }
}

/// Writes an entry of the array whose entries begin at this position.
struct Separated<'w>(&'w mut Writer, usize);

impl<'de> DeserializeSeed<'de> for Separated<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        if self.0.text.len() > self.1 {
            self.0.text.push(b',');
        }
        ValueOf(self.0).deserialize(from)
    }
}

/// Writes a member's name in the object that begins at this position, and returns where it stands.
struct NameOf<'w>(&'w mut Writer, usize);

impl<'de> DeserializeSeed<'de> for NameOf<'_> {
    type Value = u32;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<u32, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for NameOf<'_> {
    type Value = u32;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<u32, E> {
        let Self(writer, object) = self;
        if writer.text.len() > object + 1 {
            writer.text.push(b',');
        }
        let start = place(writer.text.len());
        writer.text(name)?;
        Ok(start)
    }
}

#[cfg(test)]
mod tests;
