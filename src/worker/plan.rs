//! Packs decided commands into transactions, and these into chains that may be committed side by
//! side. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    decide::{Change, ItemKey, Oversold},
    ports::{Check, Expected, LedgerKey, LedgerRecord, Transaction, Write},
};

/// One command's additions to the transactions of its batch.
#[derive(Clone, Debug, Default)]
pub struct DecidedCommand {
    /// Its place in the batch.
    pub place: usize,
    /// What it read or may have read, and its identity: commands that have one of these in common
    /// are committed in their order. May be empty where all commands of the batch fit one
    /// transaction.
    pub footprint: BTreeSet<Touched>,
    /// Changed items, each at most once, at the next version.
    pub changes: Vec<Change>,
    /// The outcome for the ledger; `None` for a replay or an answer that is not recorded.
    pub ledger: Option<(LedgerKey, LedgerRecord)>,
    /// Items it depends on without changing them, with their expected state.
    pub checks: Vec<(ItemKey, Expected)>,
    /// Lines it took below zero, and lines it brought back.
    pub oversold: Oversold,
}

/// What a command touches.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Touched {
    /// An item that it read, whether or not it changes it.
    Item(ItemKey),
    /// Its own entry in the ledger.
    Ledger(LedgerKey),
}

/// A transaction, and the commands that are durable once it is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedTransaction {
    /// What to commit; `None` where the commands need no write.
    pub transaction: Option<Transaction>,
    /// The places of the commands it carries.
    pub commands: Vec<usize>,
    /// Lines it takes below zero, and lines it brings back.
    pub oversold: Oversold,
}

/// Packs steps, in order, into as few transactions as possible: of at most `items_max` items each,
/// or of one command.
///
/// An item touched by several commands of one transaction is written once, in its last state,
/// conditioned on the version before the first. The 100-item limit also bounds the size: the
/// largest item, a ledger entry that names every item of its command twice, is below 80 KB, because a
/// command of more than 99 entries is a restock and is chunked. The 4 MB limit cannot be reached.
#[must_use]
pub fn pack(steps: Vec<DecidedCommand>, items_max: usize) -> Vec<PlannedTransaction> {
    let mut packed = Vec::new();
    let mut open = Open::default();
    for step in steps {
        if !open.commands.is_empty() && open.items_with(&step) > items_max {
            packed.push(std::mem::take(&mut open).close());
        }
        open.add(step);
    }
    if !open.commands.is_empty() {
        packed.push(open.close());
    }
    packed
}

/// Packs steps, in order, into chains of transactions. The transactions of one chain are committed
/// one after the other; chains share no item that one of them writes and none that a verdict rests
/// on, so that they may be committed side by side and in any order.
#[must_use]
pub fn chains(steps: Vec<DecidedCommand>, items_max: usize) -> Vec<Vec<PlannedTransaction>> {
    let mut chains: Vec<Vec<PlannedTransaction>> = Vec::new();
    let mut shared: Option<PlannedTransaction> = None;
    for component in components(steps) {
        let mut packed = pack(component, items_max);
        if packed.len() > 1 {
            chains.push(packed);
            continue;
        }
        let Some(small) = packed.pop() else { continue };
        shared = match shared {
            Some(with) if with.items() + small.items() <= items_max => Some(with.and(small)),
            Some(full) => {
                chains.push(vec![full]);
                Some(small)
            }
            None => Some(small),
        };
    }
    chains.extend(shared.map(|last| vec![last]));
    chains
}

/// The steps, by what they have in common: each in order, and the components in the order of their
/// first steps.
fn components(steps: Vec<DecidedCommand>) -> Vec<Vec<DecidedCommand>> {
    let mut leaders: Vec<usize> = (0..steps.len()).collect();
    let mut owners: BTreeMap<&Touched, usize> = BTreeMap::new();
    for (index, step) in steps.iter().enumerate() {
        if injected_bug!(ShareAcrossChains) {
            continue;
        }
        if injected_bug!(ChainWithoutReads) && step.changes.is_empty() {
            continue;
        }
        for touched in &step.footprint {
            if let Some(owner) = owners.insert(touched, index) {
                let (one, other) = (leader(&leaders, owner), leader(&leaders, index));
                // The first step leads.
                if let Some(of) = leaders.get_mut(one.max(other)) {
                    *of = one.min(other);
                }
            }
        }
    }
    drop(owners);
    let mut components: BTreeMap<usize, Vec<DecidedCommand>> = BTreeMap::new();
    for (index, step) in steps.into_iter().enumerate() {
        components.entry(leader(&leaders, index)).or_default().push(step);
    }
    components.into_values().collect()
}

/// The first step of the component that a step is in. Each step's leader is an earlier one or
/// itself.
fn leader(leaders: &[usize], mut step: usize) -> usize {
    while let Some(next) = leaders.get(step).copied().filter(|next| *next != step) {
        step = next;
    }
    step
}

impl PlannedTransaction {
    fn items(&self) -> usize {
        let of = |transaction: &Transaction| transaction.writes.len() + transaction.checks.len();
        self.transaction.as_ref().map_or(0, of)
    }

    /// Both as one. They share no item.
    fn and(mut self, other: Self) -> Self {
        self.transaction = match (self.transaction, other.transaction) {
            (Some(mut one), Some(more)) => {
                one.writes.extend(more.writes);
                one.checks.extend(more.checks);
                Some(one)
            }
            (one, more) => one.or(more),
        };
        self.commands.extend(other.commands);
        self.oversold += other.oversold;
        self
    }
}

#[derive(Default)]
struct Open {
    /// Indexes into `changes`: a map moves its values, and changes are large.
    items: BTreeMap<ItemKey, usize>,
    changes: Vec<(Expected, Change)>,
    ledger: Vec<(LedgerKey, LedgerRecord)>,
    checks: BTreeMap<ItemKey, Expected>,
    commands: Vec<usize>,
    oversold: Oversold,
}

impl Open {
    fn items_with(&self, step: &DecidedCommand) -> usize {
        let new = step.changes.iter().filter(|change| !self.items.contains_key(&change.key()));
        self.items.len()
            + self.ledger.len()
            + self.checks.len()
            + new.count()
            + usize::from(step.ledger.is_some())
            + step.checks.len()
    }

    fn add(&mut self, step: DecidedCommand) {
        self.commands.push(step.place);
        self.oversold += step.oversold;
        for (key, expected) in step.checks {
            // A written item is guarded by its own condition.
            if !self.items.contains_key(&key) {
                self.checks.entry(key).or_insert(expected);
            }
        }
        for change in step.changes {
            let key = change.key();
            self.checks.remove(&key);
            let place = self.items.get(&key).copied();
            match place.and_then(|place| self.changes.get_mut(place)) {
                Some((_, last)) => *last = change,
                None => {
                    let expected = match change.version() {
                        0 | 1 => Expected::Absent,
                        version => Expected::Version(version - 1),
                    };
                    self.items.insert(key, self.changes.len());
                    self.changes.push((expected, change));
                }
            }
        }
        self.ledger.extend(step.ledger);
    }

    fn close(self) -> PlannedTransaction {
        let mut transaction = Transaction::default();
        transaction.writes.reserve(self.items.len() + self.ledger.len());
        let mut changes: Vec<Option<(Expected, Change)>> =
            self.changes.into_iter().map(Some).collect();
        // In key order.
        for place in self.items.into_values() {
            let change = changes.get_mut(place).and_then(Option::take);
            let Some((expected, change)) = change else { continue };
            transaction.writes.push(match change {
                Change::Seat(key, seat) => Write::Seat { key, expected, seat },
                Change::Line(key, line) => Write::Line { key, expected, line },
                Change::Reservation(reservation) => Write::Reservation { expected, reservation },
            });
        }
        let ledger = self.ledger.into_iter().map(|(key, record)| Write::Ledger { key, record });
        transaction.writes.extend(ledger);
        let checks = self.checks.into_iter().map(|(key, expected)| match key {
            ItemKey::Reservation(reservation_id) => Check::Reservation { reservation_id, expected },
            ItemKey::Seat(key) => Check::Seat { key, expected },
            ItemKey::Line(key) => Check::Line { key, expected },
        });
        transaction.checks.extend(checks);
        let is_empty = transaction.writes.is_empty();
        PlannedTransaction {
            transaction: (!is_empty).then_some(transaction),
            commands: self.commands,
            oversold: self.oversold,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_map, prelude::*};
    use uuid::Uuid;

    use super::*;
    use crate::{
        domain::{
            Changes, CommandKey, CommandType, Digest, LineKey, Outcome, PoolId, Rejection,
            RejectionCode, Reservation, ReservationId, ReservationStatus, StockLevel, Timestamp,
        },
        ports::store,
    };

    const MAX: usize = store::TRANSACTION_ITEMS_MAX;

    fn line(sku: &str, version: u64) -> Change {
        let key = LineKey { pool: PoolId::Event(1), sku: sku.parse().unwrap() };
        let updated_at = Timestamp::UNIX_EPOCH;
        Change::Line(
            key,
            StockLevel {
                available: 0,
                reserved: 0,
                committed: 0,
                as_of: None,
                version,
                updated_at,
            },
        )
    }

    fn reservation(id: ReservationId, version: u64) -> Change {
        Change::Reservation(Reservation {
            reservation_id: id,
            pool: PoolId::Event(1),
            source: "/test".parse().unwrap(),
            user_id: "u".parse().unwrap(),
            status: ReservationStatus::Active,
            version,
            seats: Vec::new(),
            lines: Vec::new(),
            booking_id: None,
            goods: None,
            fulfilled_at: None,
            created_at: Timestamp::UNIX_EPOCH,
            expires_at: Timestamp::UNIX_EPOCH,
            ended_at: None,
        })
    }

    fn ledger(id: usize) -> Option<(LedgerKey, LedgerRecord)> {
        let key =
            CommandKey { source: "/test".parse().unwrap(), id: id.to_string().parse().unwrap() };
        let rejection = Rejection::new(RejectionCode::NotOwner, "");
        let record = LedgerRecord::Outcome {
            digest: Digest([0; 32]),
            command_type: CommandType::Reserve,
            pool: PoolId::Event(1),
            outcome: Outcome::Rejected { rejection },
            changes: Changes::NONE,
            decided_at: Timestamp::UNIX_EPOCH,
        };
        Some((LedgerKey::Command(key), record))
    }

    fn transactions(packed: &[PlannedTransaction]) -> Vec<&Transaction> {
        packed.iter().filter_map(|packed| packed.transaction.as_ref()).collect()
    }

    #[test]
    fn commands_on_one_line_write_it_once_from_the_first_version_to_the_last() {
        let steps = (0..10)
            .map(|n| DecidedCommand {
                changes: vec![line("sku", 8 + n)],
                ledger: ledger(n as usize),
                ..DecidedCommand::default()
            })
            .collect();
        let packed = pack(steps, MAX);
        let [transaction] = transactions(&packed)[..] else { panic!("{packed:?}") };
        assert_eq!(transaction.writes.len(), 11);
        let written = transaction.writes.iter().find_map(|write| match write {
            Write::Line { expected, line, .. } => Some((*expected, line.version)),
            _ => None,
        });
        assert_eq!(written, Some((Expected::Version(7), 17)));
        assert_eq!(packed[0].commands.len(), 10);
    }

    #[test]
    fn a_transaction_never_passes_a_hundred_items_nor_splits_a_command() {
        let steps = (0..7)
            .map(|n| DecidedCommand {
                changes: (0..40).map(|i| line(&format!("{n}-{i}"), 1)).collect(),
                ledger: ledger(n),
                ..DecidedCommand::default()
            })
            .collect();
        let packed = pack(steps, MAX);
        assert_eq!(packed.iter().map(|p| p.commands.len()).collect::<Vec<_>>(), [2, 2, 2, 1]);
        for transaction in transactions(&packed) {
            assert!(transaction.writes.len() <= store::TRANSACTION_ITEMS_MAX);
        }
    }

    #[test]
    fn an_item_written_again_in_the_next_transaction_is_expected_as_the_first_left_it() {
        let wide = |n: usize, version| DecidedCommand {
            changes: (0..70)
                .map(|i| line(&format!("{n}-{i}"), 1))
                .chain([line("shared", version)])
                .collect(),
            ledger: ledger(n),
            ..DecidedCommand::default()
        };
        let packed = pack(vec![wide(0, 4), wide(1, 5)], MAX);
        let shared: Vec<Expected> = transactions(&packed)
            .iter()
            .flat_map(|transaction| &transaction.writes)
            .filter_map(|write| match write {
                Write::Line { key, expected, .. } if key.sku.as_str() == "shared" => {
                    Some(*expected)
                }
                _ => None,
            })
            .collect();
        assert_eq!(shared, [Expected::Version(3), Expected::Version(4)]);
    }

    #[test]
    fn what_a_later_command_changes_stays_out_of_an_earlier_transaction() {
        let first = DecidedCommand {
            changes: (0..99).map(|i| line(&i.to_string(), 1)).collect(),
            ledger: ledger(0),
            ..DecidedCommand::default()
        };
        let second = DecidedCommand {
            changes: vec![line("0", 2), line("1", 2)],
            ledger: ledger(1),
            ..DecidedCommand::default()
        };
        let packed = pack(vec![first, second], MAX);
        let transactions = transactions(&packed);
        assert_eq!(transactions.len(), 2);
        assert!(transactions[0].writes.iter().all(|write| match write {
            Write::Line { line, .. } => line.version == 1,
            _ => true,
        }));
    }

    #[test]
    fn a_check_gives_way_to_a_write_of_the_same_item() {
        let id = ReservationId(Uuid::from_u128(7));
        let checks = vec![(ItemKey::Reservation(id), Expected::Version(3))];
        let check = DecidedCommand { ledger: ledger(0), checks, ..DecidedCommand::default() };
        let write = DecidedCommand {
            changes: vec![reservation(id, 4)],
            ledger: ledger(1),
            ..DecidedCommand::default()
        };
        for steps in [vec![check.clone(), write.clone()], vec![write, check.clone()]] {
            let packed = pack(steps, MAX);
            let transactions = transactions(&packed);
            assert_eq!((transactions.len(), transactions[0].checks.len()), (1, 0));
        }
        let packed = pack(vec![check], MAX);
        assert_eq!(transactions(&packed)[0].checks.len(), 1);
    }

    #[test]
    fn commands_without_writes_need_no_transaction() {
        let packed = pack(vec![DecidedCommand::default(), DecidedCommand::default()], MAX);
        assert_eq!(
            packed,
            [PlannedTransaction {
                transaction: None,
                commands: vec![0, 0],
                oversold: Oversold::default()
            }]
        );
    }

    /// Commands as the lines that each reads, and whether it changes them.
    fn touching(commands: &[BTreeMap<u8, bool>]) -> Vec<DecidedCommand> {
        let mut versions: BTreeMap<u8, u64> = BTreeMap::new();
        let one = |(place, lines): (usize, &BTreeMap<u8, bool>)| {
            let mut step = DecidedCommand { place, ledger: ledger(place), ..Default::default() };
            for (name, is_changed) in lines {
                let sku = name.to_string().parse().unwrap();
                let key = ItemKey::Line(LineKey { pool: PoolId::Event(1), sku });
                step.footprint.insert(Touched::Item(key.clone()));
                let version = versions.entry(*name).or_insert(1);
                match is_changed {
                    true => {
                        *version += 1;
                        step.changes.push(line(&name.to_string(), *version));
                    }
                    false => step.checks.push((key, Expected::Version(*version))),
                }
            }
            step
        };
        commands.iter().enumerate().map(one).collect()
    }

    proptest! {
        /// Side by side, chains must not meet, and inside one, commands that have something in common
        /// keep their order.
        #[test]
        fn chains_share_nothing_and_keep_the_order_of_what_is_shared(
            commands in prop::collection::vec(btree_map(0..24_u8, any::<bool>(), 0..5), 0..40),
        ) {
            let items_max = 8;
            let chains = chains(touching(&commands), items_max);
            let orders: Vec<Vec<usize>> = chains
                .iter()
                .map(|chain| chain.iter().flat_map(|one| one.commands.clone()).collect())
                .collect();
            let mut all = orders.concat();
            all.sort_unstable();
            prop_assert!(all.iter().copied().eq(0..commands.len()), "each once: {orders:?}");
            let place = |command| {
                let in_chain = |order: &Vec<usize>| order.iter().position(|one| *one == command);
                let found = orders.iter().enumerate();
                found.filter_map(|(chain, order)| Some((chain, in_chain(order)?))).next().unwrap()
            };
            for (later, lines) in commands.iter().enumerate() {
                for (earlier, others) in commands.iter().enumerate().take(later) {
                    if others.keys().any(|line| lines.contains_key(line)) {
                        let (one, other) = (place(earlier), place(later));
                        prop_assert!(one.0 == other.0 && one.1 < other.1, "{earlier}, {later}");
                    }
                }
            }
            for planned in chains.iter().flatten() {
                let fits = planned.items() <= items_max || planned.commands.len() == 1;
                prop_assert!(fits, "{} items", planned.items());
            }
        }
    }
}
