//! The gateway: what is looked up in memory, and reserves that wait for their outcome.

pub(super) mod gathered;
pub(super) mod lookups;
pub(super) mod reserves;
pub(super) mod streams;
pub(super) mod views;

use std::{sync::Arc, time::Duration};

use inventory_worker::{
    adapters::system::Random,
    client::{Client, ClientLimits, ClientPorts, OutcomePoller},
    domain::{BookingId, ReservationId, Seat, SeatState, Timestamp, UserId, time},
    gateway::{
        CommandParts, CommandSettings, Commands, Queries, QuerySettings, observer::NoopViewObserver,
    },
    message::BATCH_COMMANDS_MAX,
    ports::{Clock, Entropy as _, Record, ScanStore, SnapshotStore},
};
use jiff::SignedDuration;
use uuid::Uuid;

use crate::{load, world::World};

/// The seats of a large house.
const SEATS: usize = 20_000;

/// Commands that may await their outcomes at once: the default of `INVENTORY_COMMANDS_IN_FLIGHT`, less
/// its quarter.
const WAITERS_MAX: usize = 7_500;

/// A gateway on a world's ports.
struct Gateway {
    commands: Arc<Commands>,
    queries: Arc<Queries>,
    clock: Arc<dyn Clock>,
}

impl Gateway {
    /// Spreads the reserves of an event over that many groups.
    fn on(world: &World, groups: u16, settings: QuerySettings) -> Self {
        Self::sharing(world, groups, settings, None)
    }

    /// The same, and shares what it reads.
    fn sharing(
        world: &World,
        groups: u16,
        settings: QuerySettings,
        snapshots: Option<Arc<dyn SnapshotStore>>,
    ) -> Self {
        let clock = Arc::clone(&world.clock);
        let entropy = Arc::new(Random::seeded(21));
        let store: Arc<dyn ScanStore> = world.ports.store.clone();
        let ports = ClientPorts {
            commands: Arc::clone(&world.ports.queue),
            restocks: Arc::clone(&world.ports.queue),
            clock: Arc::clone(&clock),
            entropy: entropy.clone(),
        };
        let limits = ClientLimits {
            in_flight: WAITERS_MAX,
            deadline: Duration::from_secs(20),
            commands_per_message: BATCH_COMMANDS_MAX,
        };
        let parts = CommandParts {
            client: Client::new(ports, limits),
            outcomes: OutcomePoller::new(store.clone(), WAITERS_MAX),
            store: store.clone(),
            clock: Arc::clone(&clock),
            entropy,
        };
        let admission = CommandSettings { groups, queue_age_max: Duration::from_secs(5) };
        let commands = Arc::new(Commands::new(parts, admission));
        let (time, observer) = (Arc::clone(&clock), Arc::new(NoopViewObserver));
        let queries = Arc::new(Queries::observed(store, time, settings, observer, snapshots));
        Self { commands, queries, clock }
    }
}

/// A house in the middle of a sale, in no order that a compressor could find: of ten seats, three
/// are booked, one is held for up to ten minutes, and six are available.
fn house(now: Timestamp) -> anyhow::Result<Vec<Record>> {
    let chance = Random::seeded(42);
    let mut records = Vec::with_capacity(SEATS);
    for number in 0..SEATS {
        let reservation_id = ReservationId(Uuid::from_u128(number as u128));
        let by: UserId = format!("user-{number}").parse()?;
        let (version, occupancy) = match chance.fraction() {
            0.0..0.3 => {
                let booking_id: BookingId = format!("booking-{number}").parse()?;
                (3, SeatState::Booked { reservation_id, by, booking_id })
            }
            0.3..0.4 => {
                let left = SignedDuration::try_from_secs_f64(600.0 * chance.fraction())?;
                let until = time::saturating_add(now, left);
                (2, SeatState::Reserved { reservation_id, by, until })
            }
            _ => (1, SeatState::Available),
        };
        let seat = Seat { version, occupancy, ..load::seat(number, now)? };
        records.push(Record::Seat(load::seat_key(number)?, seat));
    }
    Ok(records)
}
