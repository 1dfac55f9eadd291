//! Joins rows into commands, and commands into messages.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    reader::Place,
    row::{ReservationRow, Row, RowError},
};
use crate::{
    client::PreparedCommand,
    domain::{
        Action, CommandId, CommandKey, Confirm, Digest, GroupId, LineChange, PoolId, Reserve,
        Restock, RestockMode, SeatChange, Source, command::HOLD_SECONDS_MAX,
    },
    message::{BATCH_COMMANDS_MAX, OutgoingCommand, Undecodable, join_batch},
    ports::Clock,
};

/// The most seats and lines of one restock: half of what the contract allows, so that one command
/// takes a worker seconds at most.
const RESTOCK_ROWS_MAX: usize = 5_000;

/// The most bytes of one message.
const UNIT_BYTES_MAX: usize = 512 * 1024;

/// The most rows that are held until their commands are full. Beyond, all commands are cut short.
const HELD_ROWS_MAX: usize = 100_000;

/// What the commands of a file are known by.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The source of its commands, and so of its reservations.
    pub source: Source,
    /// What distinguishes its content from that of every other file: hexadecimal digits.
    pub content: String,
}

impl Identity {
    /// Of a file by the digest of its content.
    #[must_use]
    pub fn of(source: Source, digest: [u8; 32]) -> Self {
        // 128 bits, as a UUID: two files that differ never share them by chance.
        let bytes = digest.iter().take(16);
        Self { source, content: bytes.map(|byte| format!("{byte:02x}")).collect() }
    }
}

/// A command of a file, in the form in which it is posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitCommand {
    /// The line of its first row.
    pub place: Place,
    /// Its pool's group.
    pub group: GroupId,
    /// Its identity.
    pub key: CommandKey,
    /// The digest of its content.
    pub digest: Digest,
    /// Its message body.
    pub body: String,
}

/// Commands of one pool that are posted as one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The pool's group.
    pub group: GroupId,
    /// The commands, in order.
    pub commands: Vec<UnitCommand>,
}

impl Unit {
    /// The body of the message.
    #[must_use]
    pub fn body(&self) -> String {
        match self.commands.as_slice() {
            [only] => only.body.clone(),
            commands => join_batch(commands.iter().map(|command| command.body.as_str())),
        }
    }

    /// The size of the message, about, bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.commands.iter().map(|command| command.body.len()).sum()
    }
}

/// What rows became.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Rows of seats.
    pub seats: u64,
    /// Rows of lines.
    pub lines: u64,
    /// Rows of holds that become reserves.
    pub holds: u64,
    /// Rows of bookings.
    pub bookings: u64,
    /// Holds that ran out before they were read: no command.
    pub run_out: u64,
    /// Holds that would last longer than a command may ask for, and are shortened.
    pub shortened: u64,
}

/// Joins rows into commands.
pub struct Chunks {
    identity: Identity,
    clock: Arc<dyn Clock>,
    open: BTreeMap<PoolId, Open>,
    held: usize,
    counts: RowCounts,
}

/// Rows of a pool whose message is not full. It holds the rows of one restock, or commands.
#[derive(Default)]
struct Open {
    restock: Option<OpenRestock>,
    commands: Vec<UnitCommand>,
    bytes: usize,
}

struct OpenRestock {
    first: Place,
    last: Place,
    names: BTreeSet<String>,
    seats: Vec<SeatChange>,
    lines: Vec<LineChange>,
}

impl OpenRestock {
    fn rows(&self) -> usize {
        self.seats.len().saturating_add(self.lines.len())
    }
}

impl Chunks {
    /// No rows yet. The ends of holds are counted from what `clock` says when their rows are pushed.
    #[must_use]
    pub fn new(identity: Identity, clock: Arc<dyn Clock>) -> Self {
        let (open, counts) = (BTreeMap::new(), RowCounts::default());
        Self { identity, clock, open, held: 0, counts }
    }

    /// What the rows became so far.
    #[must_use]
    pub fn counts(&self) -> RowCounts {
        self.counts
    }

    /// Takes a row; returns the messages that are full.
    ///
    /// # Errors
    ///
    /// A worker would refuse the command, or the seat or SKU is in it already.
    pub fn push(&mut self, place: Place, row: Row) -> Result<Vec<Unit>, RowError> {
        let mut units = Vec::new();
        match row {
            Row::Seat(event_id, change) => {
                let (name, bytes) = (change.number.to_string(), seat_bytes(&change));
                let restock = |open: &mut OpenRestock| open.seats.push(change);
                self.restock(PoolId::Event(event_id), (place, name, bytes), restock, &mut units)?;
                self.counts.seats += 1;
            }
            Row::Line(pool, change) => {
                // No seat's name ends so, as it holds no control character.
                let name = format!("{}\u{1f}", change.sku);
                let bytes = LINE_BYTES + json_bytes(change.sku.as_str());
                let restock = |open: &mut OpenRestock| open.lines.push(change);
                self.restock(pool, (place, name, bytes), restock, &mut units)?;
                self.counts.lines += 1;
            }
            Row::Reservation(pool, row) => self.reservation(place, &pool, &row, &mut units)?,
        }
        if self.held >= HELD_ROWS_MAX {
            units.extend(self.finish()?);
        }
        Ok(units)
    }

    /// The messages of all rows that are left.
    ///
    /// # Errors
    ///
    /// A worker would refuse a command.
    pub fn finish(&mut self) -> Result<Vec<Unit>, RowError> {
        self.held = 0;
        let mut units = Vec::new();
        for (pool, open) in std::mem::take(&mut self.open) {
            units.extend(self.unit(&pool, open)?);
        }
        Ok(units)
    }

    fn restock(
        &mut self,
        pool: PoolId,
        (place, name, bytes): (Place, String, usize),
        add: impl FnOnce(&mut OpenRestock),
        units: &mut Vec<Unit>,
    ) -> Result<(), RowError> {
        let is_full = self.open.get(&pool).is_some_and(|open| {
            let rows = open.restock.as_ref().map_or(0, OpenRestock::rows);
            !open.commands.is_empty()
                || rows >= RESTOCK_ROWS_MAX
                || open.bytes + bytes > UNIT_BYTES_MAX
        });
        if is_full {
            units.extend(self.close(&pool)?);
        }
        let open = self.open.entry(pool).or_default();
        let restock = open.restock.get_or_insert_with(|| OpenRestock {
            first: place,
            last: place,
            names: BTreeSet::new(),
            seats: Vec::new(),
            lines: Vec::new(),
        });
        if !restock.names.insert(name) {
            let expected = "each seat and SKU once: an earlier row has it";
            return Err(RowError::new("row", expected));
        }
        restock.last = place;
        add(restock);
        open.bytes += bytes;
        self.held += 1;
        Ok(())
    }

    fn reservation(
        &mut self,
        place: Place,
        pool: &PoolId,
        row: &ReservationRow,
        units: &mut Vec<Unit>,
    ) -> Result<(), RowError> {
        let Some(actions) = self.actions(place, pool, row)? else {
            self.counts.run_out += 1;
            return Ok(());
        };
        let mut commands = Vec::with_capacity(actions.len());
        for (key, action) in actions {
            commands.push(self.command(place, key, pool, action)?);
        }
        let bytes = commands.iter().map(|command| command.body.len() + 1).sum::<usize>();
        let is_full = self.open.get(pool).is_some_and(|open| {
            open.restock.is_some()
                || open.commands.len() + commands.len() > BATCH_COMMANDS_MAX
                || open.bytes + bytes > UNIT_BYTES_MAX
        });
        if is_full {
            units.extend(self.close(pool)?);
        }
        let count = match row.booking_id {
            Some(_) => &mut self.counts.bookings,
            None => &mut self.counts.holds,
        };
        *count += 1;
        self.held += 1;
        let open = self.open.entry(pool.clone()).or_default();
        open.commands.extend(commands);
        open.bytes += bytes;
        Ok(())
    }

    /// A reserve, and for a booking its confirm; `None` for a hold that has run out.
    fn actions(
        &mut self,
        place: Place,
        pool: &PoolId,
        row: &ReservationRow,
    ) -> Result<Option<Vec<(CommandKey, Action)>>, RowError> {
        let reserve = self.key(&format!("{pool}:{}:reserve", place.line))?;
        let default = reserve.default_reservation_id();
        let reservation_id = row.reservation_id.unwrap_or(default);
        let hold_seconds = match (&row.booking_id, row.expires_at) {
            (None, Some(until)) => {
                let left = until.duration_since(self.clock.now());
                // Up to the whole second, so that no hold becomes shorter.
                let left = left.as_secs() + i64::from(left.subsec_nanos() > 0);
                let longest = i64::from(HOLD_SECONDS_MAX);
                self.counts.shortened += u64::from(left > longest);
                match u32::try_from(left.min(longest)) {
                    Ok(left) if left > 0 => Some(left),
                    _ => return Ok(None),
                }
            }
            _ => None,
        };
        let action = Action::Reserve(Reserve {
            reservation_id,
            user_id: row.user_id.clone(),
            seats: row.seats.clone(),
            lines: row.lines.clone(),
            hold_seconds,
        });
        let mut actions = vec![(reserve, action)];
        if let Some(booking_id) = &row.booking_id {
            // The hold may run out while the queue is behind.
            let confirm = Confirm {
                goods: row.goods,
                allow_expired: true,
                ..Confirm::new(reservation_id, booking_id.clone())
            };
            let key = self.key(&format!("{pool}:{}:confirm", place.line))?;
            actions.push((key, Action::Confirm(confirm)));
        }
        Ok(Some(actions))
    }

    /// The message of a pool's rows.
    fn close(&mut self, pool: &PoolId) -> Result<Option<Unit>, RowError> {
        let Some(open) = self.open.remove(pool) else { return Ok(None) };
        let rows = open.restock.as_ref().map_or(open.commands.len(), OpenRestock::rows);
        self.held = self.held.saturating_sub(rows);
        self.unit(pool, open)
    }

    fn unit(&self, pool: &PoolId, open: Open) -> Result<Option<Unit>, RowError> {
        let mut commands = open.commands;
        if let Some(OpenRestock { first, last, seats, lines, .. }) = open.restock {
            let key = self.key(&format!("{pool}:{}-{}", first.line, last.line))?;
            let action = Action::Restock(Restock::new(seats, lines, RestockMode::Set));
            commands.push(self.command(first, key, pool, action)?);
        }
        let group = commands.first().map(|command| command.group.clone());
        Ok(group.map(|group| Unit { group, commands }))
    }

    fn key(&self, what: &str) -> Result<CommandKey, RowError> {
        let Identity { source, content } = &self.identity;
        let id: CommandId = format!("{content}:{what}")
            .parse()
            .map_err(|_| RowError::new("row", "a pool with a shorter name"))?;
        Ok(CommandKey { source: source.clone(), id })
    }

    fn command(
        &self,
        place: Place,
        key: CommandKey,
        pool: &PoolId,
        action: Action,
    ) -> Result<UnitCommand, RowError> {
        let (time, pool) = (self.clock.now(), pool.clone());
        let (deadline, traceparent) = (None, None);
        let outgoing = OutgoingCommand { key, time, deadline, pool, action, traceparent };
        let refused = |error: Box<Undecodable>| RowError::new("row", error.to_string());
        let prepared = PreparedCommand::encode(&outgoing, None).map_err(refused)?;
        let PreparedCommand { command, group, body, .. } = prepared;
        Ok(UnitCommand { place, group, key: command.key, digest: command.digest, body })
    }
}

/// The most bytes of a line in a restock besides its SKU: `{"sku":,"quantity":1000000000},`.
const LINE_BYTES: usize = 32;

/// The most bytes of a seat in a restock.
fn seat_bytes(change: &SeatChange) -> usize {
    let SeatChange { number, section, row_number, seat_type, price, status } = change;
    let label =
        |name: &str, text: Option<&str>| text.map_or(0, |text| name.len() + json_bytes(text) + 4);
    let labels = [("section", section), ("row_number", row_number), ("seat_type", seat_type)];
    let labels = labels.map(|(name, value)| label(name, value.as_ref().map(|text| text.as_str())));
    let price = price.map_or(0, |price| price.to_string().len() + 11);
    let status = status.map_or(0, |_| 21);
    r#"{"seat_number":},"#.len()
        + json_bytes(number.as_str())
        + labels.iter().sum::<usize>()
        + price
        + status
}

/// The bytes of a text in JSON, without control characters.
fn json_bytes(text: &str) -> usize {
    text.len() + text.bytes().filter(|byte| matches!(byte, b'"' | b'\\')).count() + 2
}
