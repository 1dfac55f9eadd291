//! What restocks alone change: numbers, sections, rows, types, prices.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use crate::domain::{Label, SeatDetails, SeatNumber};

/// The layout of an event's seats, in columns, by seat number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeatLayout {
    /// The numbers, in ascending byte order.
    pub(super) numbers: Vec<SeatNumber>,
    /// Sections.
    pub(super) sections: Column,
    /// Row numbers.
    pub(super) rows: Column,
    /// Seat types.
    pub(super) types: Column,
    /// Prices, as written.
    pub(super) prices: Column,
}

/// The descriptive fields of one seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeatPlace<'a> {
    /// Its number.
    pub number: &'a SeatNumber,
    /// Its section.
    pub section: Option<&'a Arc<str>>,
    /// Its row.
    pub row_number: Option<&'a Arc<str>>,
    /// Its type.
    pub seat_type: Option<&'a Arc<str>>,
    /// Its price, a decimal text.
    pub price: Option<&'a Arc<str>>,
}

impl SeatLayout {
    /// How many seats there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there is no seat.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The position of the first seat after a number; 0 without one.
    #[must_use]
    pub fn position_after(&self, number: Option<&str>) -> usize {
        number.map_or(0, |after| {
            let is_shown = |one: &str| one <= after && !(injected_bug!(RepeatSeat) && one == after);
            self.numbers.partition_point(|one| is_shown(one.as_str()))
        })
    }

    /// The seat at a position.
    #[must_use]
    pub fn place(&self, position: usize) -> Option<SeatPlace<'_>> {
        Some(SeatPlace {
            number: self.numbers.get(position)?,
            section: self.sections.get(position),
            row_number: self.rows.get(position),
            seat_type: self.types.get(position),
            price: self.prices.get(position),
        })
    }

    pub(super) fn push(&mut self, number: SeatNumber, details: &SeatDetails) {
        self.sections.push(details.section.as_ref().map(Label::as_str));
        self.rows.push(details.row_number.as_ref().map(Label::as_str));
        self.types.push(details.seat_type.as_ref().map(Label::as_str));
        self.prices.push(details.price.map(|price| price.to_string()).as_deref());
        self.numbers.push(number);
    }

    /// Gives the memory back that only building needs.
    pub(super) fn finish(&mut self) {
        self.numbers.shrink_to_fit();
        for column in [&mut self.sections, &mut self.rows, &mut self.types, &mut self.prices] {
            column.finish();
        }
    }
}

/// A column of texts of which many are equal. Written as `{"values": […], "of": […]}`: the distinct
/// texts in the order of their first use, and of each seat the index of its text or `null`.
#[derive(Clone, Debug, Default)]
pub(super) struct Column {
    values: Vec<Arc<str>>,
    /// Of each seat the index of its value plus one; 0 without.
    of: Vec<u32>,
    /// The same plus one, by value, while the column is built.
    known: BTreeMap<Arc<str>, u32>,
}

impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        (&self.values, &self.of) == (&other.values, &other.of)
    }
}

impl Eq for Column {}

impl Column {
    pub(super) fn get(&self, position: usize) -> Option<&Arc<str>> {
        let index = usize::try_from(*self.of.get(position)?).ok()?.checked_sub(1)?;
        self.values.get(index)
    }

    fn push(&mut self, text: Option<&str>) {
        let number = text.map_or(0, |text| self.number(text));
        self.of.push(number);
    }

    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.known.get(text) {
            return *number;
        }
        let text: Arc<str> = Arc::from(text);
        self.values.push(Arc::clone(&text));
        let number = u32::try_from(self.values.len()).unwrap_or(0);
        self.known.insert(text, number);
        number
    }

    fn finish(&mut self) {
        self.known = BTreeMap::new();
        self.values.shrink_to_fit();
        self.of.shrink_to_fit();
    }
}

impl Serialize for Column {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let of: Vec<Option<u32>> = self.of.iter().map(|number| number.checked_sub(1)).collect();
        let mut column = serializer.serialize_struct("Column", 2)?;
        column.serialize_field("values", &self.values)?;
        column.serialize_field("of", &of)?;
        column.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_keeps_each_text_once() {
        let mut column = Column::default();
        for text in [Some("b"), None, Some("a"), Some("b")] {
            column.push(text);
        }
        column.finish();
        let json = serde_json::to_string(&column).unwrap();
        assert_eq!(json, r#"{"values":["b","a"],"of":[0,null,1,0]}"#);
        let texts: Vec<Option<&str>> =
            (0..5).map(|position| column.get(position).map(AsRef::as_ref)).collect();
        assert_eq!(texts, [Some("b"), None, Some("a"), Some("b"), None]);
    }
}
