//! Tables to audit, filled by commands and then changed by hand.

use std::{collections::BTreeMap, sync::Arc};

use inventory_worker::{
    adapters::memory::{MemoryStore, TokioClock},
    decide,
    domain::{
        Action, Changes, Command, CommandKey, CommandType, Digest, LineKey, Outcome, PoolId,
        Reservation, RestockMode, RestockSummary, Seat, SeatKey, StockLevel, Timestamp,
    },
    ports::{LedgerKey, LedgerRecord, Record},
};

use crate::world::{
    Items, Ran, Universe, World, at, cancel, command, confirm, confirm_late, confirm_stay, event,
    expire, extend, holdings, modify, number, refund, reservation_id, reserve, restock_lines,
    restock_seats, sku,
};

/// When the show's tables are audited.
pub const NOW: &str = "10:30:00";

/// The event of the show.
pub const EVENT: u64 = 42;

/// The items and the ledger.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    pub items: Items,
    pub ledger: BTreeMap<LedgerKey, LedgerRecord>,
}

impl Tables {
    /// A show at 10:30, with reservations of every kind:
    ///
    /// 1. ACTIVE until 10:40, two of `x`
    /// 2. CONFIRMED: A-3, three of `x`
    /// 3. CANCELLED: had A-4
    /// 4. EXPIRED: had A-4, three of `y`
    /// 5. ACTIVE, ended at 10:10, one seat of it taken over
    /// 6. CANCELLED by refund, after it took over A-5
    /// 7. CONFIRMED with goods that stay, after it was extended and modified: A-8, two of `z`
    /// 8. CONFIRMED after it had expired, twice: one of `z`
    /// 10. CANCELLED by refund, after it had expired and was confirmed late
    ///
    /// `y` has a negative available quantity. There are also a finished chunked restock and one in
    /// progress.
    pub fn of_a_show() -> Self {
        let seats = ["A-1", "A-2", "A-3", "A-4", "A-5", "A-6", "A-7", "A-8"];
        let pool = event(EVENT);
        let universe = Universe::of(std::slice::from_ref(&pool), &seats, &["x", "y", "z"], 11);
        let mut show = (World::empty(universe), Self::default());
        let mut stock = restock_seats(&seats);
        stock.lines = restock_lines(RestockMode::Set, &[("x", 10), ("y", 10), ("z", 10)]).lines;
        let short = restock_lines(RestockMode::Set, &[("y", 2)]);
        let history = [
            ("09:00:00", Action::Restock(stock)),
            ("10:00:00", Action::Reserve(reserve(2, "ben", &["A-3"], &[("x", 3)]))),
            ("10:00:00", Action::Reserve(reserve(3, "cid", &["A-4"], &[]))),
            ("10:00:00", Action::Reserve(reserve(5, "eve", &["A-5", "A-6"], &[("y", 3)]))),
            ("10:05:00", Action::Confirm(confirm(2, "b-2"))),
            ("10:05:00", Action::Cancel(cancel(3))),
            ("10:05:00", Action::Confirm(confirm(2, "b-other"))),
            ("10:06:00", Action::Reserve(reserve(4, "dee", &["A-4"], &[("y", 3)]))),
            ("10:11:00", Action::Reserve(reserve(6, "fay", &["A-5"], &[("z", 1)]))),
            ("10:12:00", Action::Confirm(confirm(6, "b-6"))),
            ("10:13:00", Action::Cancel(refund(6))),
            ("10:16:00", Action::Expire(expire(4))),
            ("10:20:00", Action::Restock(short)),
            ("10:30:00", Action::Reserve(reserve(1, "ann", &["A-1", "A-2"], &[("x", 2)]))),
            ("10:20:00", Action::Reserve(reserve(7, "gil", &["A-7"], &[("z", 2)]))),
            ("10:21:00", Action::Extend(extend(7, 900))),
            (
                "10:22:00",
                Action::Modify(modify(7, holdings(&["A-8"], &[]), holdings(&["A-7"], &[]))),
            ),
            ("10:23:00", Action::Confirm(confirm_stay(7, "b-7"))),
            ("10:01:00", Action::Reserve(reserve(8, "hal", &[], &[("z", 1)]))),
            ("10:12:00", Action::Expire(expire(8))),
            ("10:13:00", Action::Confirm(confirm_late(8, "b-8"))),
            ("10:14:00", Action::Confirm(confirm_late(8, "b-8"))),
            ("10:01:00", Action::Reserve(reserve(10, "ida", &[], &[("z", 1)]))),
            ("10:12:00", Action::Expire(expire(10))),
            ("10:13:00", Action::Confirm(confirm_late(10, "b-10"))),
            ("10:14:00", Action::Cancel(refund(10))),
        ];
        for (time, action) in history {
            show.1.run(&mut show.0, &pool, action, at(time));
        }
        let mut tables = show.1;
        tables.add_chunked();
        tables
    }

    fn run(&mut self, world: &mut World, pool: &PoolId, action: Action, now: Timestamp) {
        let ran = world.run(pool, action, now);
        self.items = world.items();
        self.enter_ran(&ran, now);
    }

    /// Adds the outcome of a command, with what it changed, to the ledger.
    pub fn enter_ran(&mut self, ran: &Ran, now: Timestamp) {
        self.enter(&ran.command, ran.verdict.outcome.clone(), now);
        let entry = self.ledger.get_mut(&LedgerKey::Command(ran.command.key.clone()));
        let Some(LedgerRecord::Outcome { changes, .. }) = entry else { panic!("{entry:?}") };
        *changes = decide::listed(&ran.changes);
    }

    /// Adds an outcome to the ledger.
    pub fn enter(&mut self, command: &Command, outcome: Outcome, decided_at: Timestamp) {
        let record = LedgerRecord::Outcome {
            digest: command.digest,
            command_type: command.action.command_type(),
            pool: command.pool.clone(),
            outcome,
            changes: Changes::NONE,
            decided_at,
        };
        self.ledger.insert(LedgerKey::Command(command.key.clone()), record);
    }

    /// Adds an outcome under a new command.
    pub fn enter_new(&mut self, id: &str, command_type: CommandType, outcome: Outcome) {
        let record = LedgerRecord::Outcome {
            digest: Digest([9; 32]),
            command_type,
            pool: event(EVENT),
            outcome,
            changes: Changes::NONE,
            decided_at: at("10:20:00"),
        };
        self.ledger.insert(LedgerKey::Command(key(id)), record);
    }

    /// "done" in chunks 0 and 1 with its outcome; "begun" with its intent of three and chunk 2.
    fn add_chunked(&mut self) {
        let chunk = |number: u8, lines_applied: u64| LedgerRecord::Chunk {
            digest: Digest([number; 32]),
            begun_at: at("10:20:00"),
            summary: RestockSummary { lines_applied, ..RestockSummary::default() },
            decided_at: at("10:20:00"),
        };
        let sum = RestockSummary { lines_applied: 150, ..RestockSummary::default() };
        let restock = Action::Restock(restock_lines(RestockMode::Set, &[]));
        let done = Command {
            key: key("done"),
            digest: Digest([1; 32]),
            ..command(0, &event(EVENT), restock)
        };
        self.enter(
            &done,
            Outcome::Restocked { restock: sum, reason: None, reference: None },
            at("10:20:01"),
        );
        let intent = LedgerRecord::Intent {
            digest: Digest([2; 32]),
            chunk_ends: vec![98, 196, 200],
            decided_at: at("10:20:00"),
        };
        self.ledger.insert(LedgerKey::Chunk(key("done"), 0), chunk(1, 98));
        self.ledger.insert(LedgerKey::Chunk(key("done"), 1), chunk(1, 52));
        self.ledger.insert(LedgerKey::Command(key("begun")), intent);
        self.ledger.insert(LedgerKey::Chunk(key("begun"), 2), chunk(2, 4));
    }

    /// A store with these tables and tiny pages.
    pub fn store(&self) -> MemoryStore {
        let store = MemoryStore::new(Arc::new(TokioClock::new(at(NOW)))).with_page_size(2);
        store.insert(self.records());
        store
    }

    pub fn records(&self) -> Vec<Record> {
        let items = self.items.clone();
        let seats = items.seats.into_iter().map(|(key, seat)| Record::Seat(key, seat));
        let lines = items.lines.into_iter().map(|(key, line)| Record::Line(key, line));
        let reservations = items.reservations.into_values().map(Record::Reservation);
        let ledger = self.ledger.clone().into_iter().map(|(key, entry)| Record::Ledger(key, entry));
        seats.chain(lines).chain(reservations).chain(ledger).collect()
    }

    pub fn seat(&mut self, seat: &str) -> &mut Seat {
        self.items.seats.get_mut(&seat_key(seat)).unwrap()
    }

    pub fn line(&mut self, name: &str) -> &mut StockLevel {
        self.items.lines.get_mut(&line_key(name)).unwrap()
    }

    pub fn reservation(&mut self, id: u32) -> &mut Reservation {
        self.items.reservations.get_mut(&reservation_id(id)).unwrap()
    }

    /// The changes of an outcome in the ledger.
    pub fn changes(&mut self, id: &str) -> &mut Changes {
        let entry = self.ledger.get_mut(&LedgerKey::Command(key(id)));
        let Some(LedgerRecord::Outcome { changes, .. }) = entry else { panic!("{entry:?}") };
        changes
    }

    /// The first outcome of the ledger that `chosen` accepts.
    pub fn outcome(&mut self, chosen: impl Fn(&Outcome) -> bool) -> &mut Outcome {
        self.ledger
            .values_mut()
            .find_map(|record| match record {
                LedgerRecord::Outcome { outcome, .. } if chosen(outcome) => Some(outcome),
                _ => None,
            })
            .unwrap()
    }
}

pub fn key(id: &str) -> CommandKey {
    CommandKey { source: "/tests".parse().unwrap(), id: id.parse().unwrap() }
}

pub fn seat_key(seat: &str) -> SeatKey {
    SeatKey { event_id: EVENT, number: number(seat) }
}

pub fn line_key(name: &str) -> LineKey {
    LineKey { pool: event(EVENT), sku: sku(name) }
}
