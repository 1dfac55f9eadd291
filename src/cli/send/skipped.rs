//! The names of what a restock left unchanged, with the reason.

use tracing::debug;

use crate::{
    domain::{PoolId, RestockSummary, SeatKey, SeatStatus},
    ports::{LoadRequest, ReadStore},
};

use super::post::NAMES_MAX;

/// What was skipped by name, the seats that are shown with their status as it is now: `A-1
/// (BOOKED)`. The result has the names alone. A seat that has become free since has no status here,
/// and none has where the table of seats cannot be read, which takes a permission that posting and
/// waiting do not need.
pub(super) async fn skipped_names(
    store: &dyn ReadStore,
    pool: &PoolId,
    restock: &RestockSummary,
) -> Vec<String> {
    let mut names = restock.skipped.clone();
    let Some(event_id) = pool.event_id() else { return names };
    // Seat numbers come first, then SKUs.
    let shown = usize::try_from(restock.seats_skipped).unwrap_or(usize::MAX).min(NAMES_MAX);
    let key = |name: &String| Some(SeatKey { event_id, number: name.parse().ok()? });
    let keys: Vec<Option<SeatKey>> = names.iter().take(shown).map(key).collect();
    let seats = keys.iter().flatten().cloned().collect();
    let wanted = LoadRequest { seats, ..LoadRequest::default() };
    if wanted.seats.is_empty() {
        return names;
    }
    let loaded = match store.load(&wanted).await {
        Ok(loaded) => loaded,
        Err(error) => {
            debug!(%error, "the status of the skipped seats is not known");
            return names;
        }
    };
    for (name, key) in names.iter_mut().zip(keys) {
        let seat = key.and_then(|key| loaded.seats.get(&key)?.as_ref());
        let status = seat.map(|seat| seat.occupancy.status());
        if let Some(status @ (SeatStatus::Reserved | SeatStatus::Booked)) = status {
            *name = format!("{name} ({status})");
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        adapters::memory::TokioClock,
        gateway::view::fixtures::{EVENT, Tables, booked, epoch, held, seat},
        ports::{PortError, ReadSet},
    };

    struct Unreadable;

    #[async_trait::async_trait]
    impl ReadStore for Unreadable {
        async fn load(&self, _: &LoadRequest) -> Result<ReadSet, PortError> {
            Err(PortError::Refused("AccessDeniedException".to_owned()))
        }

        async fn ping(&self) -> Result<(), PortError> {
            Ok(())
        }
    }

    fn restock() -> RestockSummary {
        let skipped = ["A-1", "A-2", "A-3", "lawn"].map(str::to_owned).into();
        RestockSummary { seats_skipped: 3, lines_skipped: 1, skipped, ..RestockSummary::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn seats_that_are_held_or_booked_are_named_with_their_status() {
        let clock = Arc::new(TokioClock::new(epoch()));
        let tables = Tables::new(&clock);
        tables.put_seat("A-1", seat("A-1", 1, booked())).await;
        tables.put_seat("A-2", seat("A-2", 1, held("2026-11-22T10:10:00Z"))).await;
        tables.put_seat("A-3", seat("A-3", 1, crate::domain::SeatState::Available)).await;
        let names = skipped_names(&*tables, &PoolId::Event(EVENT), &restock()).await;
        assert_eq!(names, ["A-1 (BOOKED)", "A-2 (RESERVED)", "A-3", "lawn"]);
    }

    #[tokio::test]
    async fn where_seats_cannot_be_read_names_stand_alone() {
        let names = skipped_names(&Unreadable, &PoolId::Event(EVENT), &restock()).await;
        assert_eq!(names, restock().skipped);
    }
}
