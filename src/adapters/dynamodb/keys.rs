//! Keys in the tables' form.

use crate::{
    domain::{
        CommandKey, LineKey, ReservationId, SeatKey,
        ids::{EVENT_ID_MAX, KEY_SEPARATOR},
    },
    ports::{LedgerKey, Table},
};

use super::attributes::{Item, Reader, Unreadable, n, s};

/// Separates a command's key from the number of a chunk: `chunk-00012`.
const CHUNK_PREFIX: &str = "chunk-";

/// Precedes a message's id in the key of its attempts. The separator before it makes the first part
/// empty, which no command's source can be.
const ATTEMPTS_WORD: &str = "attempts";

/// Precedes a task in the key of its leases, in the same way.
const LEASES_WORD: &str = "leases";

/// The name of a table's partition key.
pub(super) fn partition_key(table: Table) -> &'static str {
    match table {
        Table::Seats => "event_id",
        Table::Stock => "pool",
        Table::Reservations => "reservation_id",
        Table::Ledger => "command",
    }
}

/// The name of a table's sort key, if it has one.
pub(super) fn sort_key(table: Table) -> Option<&'static str> {
    match table {
        Table::Seats => Some("seat_number"),
        Table::Stock => Some("sku"),
        Table::Reservations | Table::Ledger => None,
    }
}

/// The key of one item of one table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ItemKey {
    Seat(SeatKey),
    Line(LineKey),
    Reservation(ReservationId),
    Ledger(LedgerKey),
}

impl ItemKey {
    pub(super) fn table(&self) -> Table {
        match self {
            Self::Seat(_) => Table::Seats,
            Self::Line(_) => Table::Stock,
            Self::Reservation(_) => Table::Reservations,
            Self::Ledger(_) => Table::Ledger,
        }
    }

    /// The key attributes.
    pub(super) fn attributes(&self) -> Item {
        let mut item = Item::new();
        self.write(&mut item);
        item
    }

    /// Adds the key attributes to an item.
    pub(super) fn write(&self, item: &mut Item) {
        let table = self.table();
        let (partition, sort) = match self {
            Self::Seat(key) => (n(key.event_id), Some(s(key.number.as_str()))),
            Self::Line(key) => (s(key.pool.to_string()), Some(s(key.sku.as_str()))),
            Self::Reservation(id) => (s(id.to_string()), None),
            Self::Ledger(key) => (s(ledger_text(key)), None),
        };
        item.insert(partition_key(table).to_owned(), partition);
        if let (Some(name), Some(value)) = (sort_key(table), sort) {
            item.insert(name.to_owned(), value);
        }
    }
}

/// The ledger's key for an entry. No two keys give the same text: neither part of a command's key
/// may hold the separator.
pub(super) fn ledger_text(key: &LedgerKey) -> String {
    match key {
        LedgerKey::Command(command) => command.joined(),
        LedgerKey::Chunk(command, number) => {
            format!("{}{KEY_SEPARATOR}{CHUNK_PREFIX}{number:05}", command.joined())
        }
    }
}

/// The ledger's key for the attempts at a message.
pub(super) fn attempts_text(message_id: &str) -> String {
    format!("{KEY_SEPARATOR}{ATTEMPTS_WORD}{KEY_SEPARATOR}{message_id}")
}

/// The ledger's key for the leases on a task.
pub(super) fn leases_text(task: &str) -> String {
    format!("{KEY_SEPARATOR}{LEASES_WORD}{KEY_SEPARATOR}{task}")
}

/// A key that no item of the table can have.
pub(super) fn absent_key(table: Table) -> Item {
    let none = || s(KEY_SEPARATOR);
    let partition = if table == Table::Seats { n(0) } else { none() };
    let mut key = Item::from([(partition_key(table).to_owned(), partition)]);
    if let Some(name) = sort_key(table) {
        key.insert(name.to_owned(), none());
    }
    key
}

pub(super) fn read_seat_key(item: Reader<'_>) -> Result<SeatKey, Unreadable> {
    let event_id = item.integer("event_id")?;
    if event_id > EVENT_ID_MAX {
        return Err(Unreadable { attribute: "event_id", expected: "at most 2^53 - 1" });
    }
    Ok(SeatKey { event_id, number: item.parsed("seat_number", "a seat number (S)")? })
}

pub(super) fn read_line_key(item: Reader<'_>) -> Result<LineKey, Unreadable> {
    Ok(LineKey {
        pool: item.parsed("pool", "event#<integer> or store#<store id> (S)")?,
        sku: item.parsed("sku", "a SKU (S)")?,
    })
}

pub(super) fn read_reservation_id(item: Reader<'_>) -> Result<ReservationId, Unreadable> {
    item.parsed("reservation_id", "a UUID (S)")
}

pub(super) fn read_ledger_key(item: Reader<'_>) -> Result<LedgerKey, Unreadable> {
    let wrong = Unreadable {
        attribute: "command",
        expected: "source, unit separator, id and, for a chunk, unit separator, chunk-<number> (S)",
    };
    let text = item.text("command")?;
    parse_ledger_text(text).ok_or(wrong)
}

fn parse_ledger_text(text: &str) -> Option<LedgerKey> {
    let mut parts = text.split(KEY_SEPARATOR);
    let source = parts.next()?.parse().ok()?;
    let id = parts.next()?.parse().ok()?;
    let command = CommandKey { source, id };
    let key = match parts.next() {
        None => LedgerKey::Command(command),
        Some(suffix) => LedgerKey::Chunk(command, suffix.strip_prefix(CHUNK_PREFIX)?.parse().ok()?),
    };
    // A key in any other spelling is another entry.
    (ledger_text(&key) == text).then_some(key)
}

/// An item's key for logs and operators; ids only.
pub(super) fn describe(table: Table, item: &Item) -> String {
    let part = |name: &'static str| match item.get(name) {
        Some(value) => match (value.as_s(), value.as_n()) {
            (Ok(text), _) => format!("{name} {text:?}"),
            (_, Ok(number)) => format!("{name} {number}"),
            _ => format!("{name} of another type"),
        },
        None => format!("no {name}"),
    };
    match sort_key(table) {
        Some(sort) => format!("{}, {}", part(partition_key(table)), part(sort)),
        None => part(partition_key(table)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn command(source: &str, id: &str) -> CommandKey {
        CommandKey { source: source.parse().unwrap(), id: id.parse().unwrap() }
    }

    fn any_ledger_key() -> impl Strategy<Value = LedgerKey> {
        // Short texts of few characters, so that two keys are often nearly the same.
        let text = "[ab/0-]{1,3}|chunk-00001|attempts";
        (text, text, proptest::option::of(0..200_000u32)).prop_map(|(source, id, chunk)| {
            let key = command(&source, &id);
            match chunk {
                Some(number) => LedgerKey::Chunk(key, number),
                None => LedgerKey::Command(key),
            }
        })
    }

    proptest! {
        #[test]
        fn a_ledger_key_reads_back_as_written(key in any_ledger_key()) {
            prop_assert_eq!(parse_ledger_text(&ledger_text(&key)), Some(key));
        }

        #[test]
        fn two_ledger_keys_never_share_a_text(a in any_ledger_key(), b in any_ledger_key()) {
            prop_assert_eq!(a == b, ledger_text(&a) == ledger_text(&b));
        }

        #[test]
        fn attempts_and_leases_never_share_a_text_with_a_ledger_key(
            key in any_ledger_key(),
            message_id in "[a-f0-9\u{1f}-]{0,40}",
        ) {
            prop_assert_ne!(ledger_text(&key), attempts_text(&message_id));
            prop_assert_eq!(parse_ledger_text(&attempts_text(&message_id)), None);
            prop_assert_ne!(ledger_text(&key), leases_text(&message_id));
            prop_assert_ne!(attempts_text(&message_id), leases_text(&message_id));
            prop_assert_eq!(parse_ledger_text(&leases_text(&message_id)), None);
        }
    }

    #[test]
    fn a_chunk_is_kept_under_its_command_with_a_suffix() {
        let key = LedgerKey::Chunk(command("/s", "7"), 12);
        assert_eq!(ledger_text(&key), "/s\u{1f}7\u{1f}chunk-00012");
        assert_eq!(attempts_text("m-1"), "\u{1f}attempts\u{1f}m-1");
        for wrong in ["", "/s", "/s\u{1f}7\u{1f}chunk-12", "/s\u{1f}7\u{1f}chunk-00012\u{1f}x"] {
            assert_eq!(parse_ledger_text(wrong), None, "{wrong:?}");
        }
    }
}
