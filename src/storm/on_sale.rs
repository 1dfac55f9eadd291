//! An on-sale: more buyers than seats, all of whom prefer the front rows.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use fastrand::Rng;
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

use super::load_client::LoadClient;
use crate::domain::{
    Action, BookingId, Cancel, Confirm, GroupId, Outcome, PoolId, ReservationId, Reserve, Restock,
    RestockMode, SeatChange, SeatNumber, UserId,
};

/// Seats per section; each section is a group.
const SECTION_SEATS: usize = 200;

/// Seats that one restock creates.
const STOCK_SEATS: usize = 1_000;

/// The most seats a buyer takes.
const PARTY_MAX: usize = 4;

/// How often a buyer tries before leaving.
const TRIES: usize = 3;

/// The length of holds that buyers abandon, seconds.
const ABANDONED_SECONDS: u32 = 30;

/// The load of an on-sale.
#[derive(Clone, Debug, PartialEq)]
pub struct OnSale {
    /// The number of events.
    pub events: usize,
    /// Seats per event.
    pub seats: usize,
    /// Buyers, over all events.
    pub buyers: usize,
    /// The time after which no buyer starts.
    pub duration: Duration,
}

/// An event, with the seats that results have shown as taken.
struct Venue {
    pool: PoolId,
    seats: Vec<SeatNumber>,
    groups: Vec<GroupId>,
    taken: Mutex<BTreeSet<SeatNumber>>,
}

/// What a buyer does with the seats that it holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BuyerBehavior {
    Pays,
    ChangesMind,
    WantsMoneyBack,
    WalksAway,
}

impl BuyerBehavior {
    /// 85 % pay, 10 % cancel before paying, 2.5 % pay and get a refund, 2.5 % let the hold expire.
    fn of(number: usize) -> Self {
        match number % 40 {
            3 | 13 | 23 | 33 => Self::ChangesMind,
            17 => Self::WantsMoneyBack,
            27 => Self::WalksAway,
            _ => Self::Pays,
        }
    }
}

impl Venue {
    fn new(event_id: u64, seats: usize) -> anyhow::Result<Self> {
        let sections = seats.div_ceil(SECTION_SEATS);
        Ok(Self {
            pool: PoolId::Event(event_id),
            seats: (0..seats).map(seat_number).collect::<anyhow::Result<_>>()?,
            groups: (0..sections)
                .map(|section| Ok(format!("event-{event_id}/S{section:03}").parse()?))
                .collect::<anyhow::Result<_>>()?,
            taken: Mutex::default(),
        })
    }

    fn taken(&self) -> MutexGuard<'_, BTreeSet<SeatNumber>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adjacent seats in one section, the front preferred, and the section's group. With `looks`
    /// only seats that are not known to be taken.
    fn choose(
        &self,
        party: usize,
        looks: bool,
        rng: &mut Rng,
    ) -> Option<(GroupId, Vec<SeatNumber>)> {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 ≤ start < seats"
        )]
        let start = (self.seats.len() as f64 * rng.f64().powf(1.5)) as usize;
        let starts = (start..self.seats.len()).chain(0..start);
        let taken = self.taken();
        for first in starts {
            let section = first / SECTION_SEATS;
            let Some(block) = self.seats.get(first..first + party) else { continue };
            let is_one_section = (first + party - 1) / SECTION_SEATS == section;
            if is_one_section && (!looks || block.iter().all(|seat| !taken.contains(seat))) {
                return Some((self.groups.get(section)?.clone(), block.to_vec()));
            }
        }
        None
    }
}

fn seat_number(number: usize) -> anyhow::Result<SeatNumber> {
    let (section, place) = (number / SECTION_SEATS, number % SECTION_SEATS);
    Ok(format!("S{section:03}-R{:02}-{:02}", place / 20, place % 20).parse()?)
}

impl OnSale {
    fn venues(&self, first_event: u64) -> anyhow::Result<Vec<Venue>> {
        (first_event..).take(self.events).map(|event| Venue::new(event, self.seats)).collect()
    }

    /// Puts the seats on sale.
    pub(super) async fn stock(
        &self,
        client: &Arc<LoadClient>,
        first_event: u64,
    ) -> anyhow::Result<()> {
        let mut stocking = JoinSet::new();
        for venue in self.venues(first_event)? {
            for seats in venue.seats.chunks(STOCK_SEATS) {
                let change = |number: &SeatNumber| SeatChange {
                    number: number.clone(),
                    section: None,
                    row_number: None,
                    seat_type: None,
                    price: "49.50".parse().ok(),
                    status: None,
                };
                let seats = seats.iter().map(change).collect();
                let restock = Restock::new(seats, Vec::new(), RestockMode::Set);
                let (client, pool) = (Arc::clone(client), venue.pool.clone());
                stocking.spawn(async move {
                    client.request(&pool, None, |_| Action::Restock(restock)).await
                });
            }
        }
        while let Some(stocked) = stocking.join_next().await {
            let result = stocked??.context("seats could not be put on sale: no outcome in time")?;
            ensure!(result.rejection().is_none(), "seats could not be put on sale: rejected");
        }
        Ok(())
    }

    /// Starts buyers, as many at a time as commands may be in flight.
    pub(super) async fn play(
        &self,
        client: &Arc<LoadClient>,
        first_event: u64,
        in_flight: usize,
    ) -> anyhow::Result<()> {
        let closes = Instant::now() + self.duration;
        let venues = Arc::new(self.venues(first_event)?);
        let inside = Arc::new(Semaphore::new(in_flight.max(1)));
        let mut buyers = JoinSet::new();
        for number in 0..self.buyers {
            let admitted = Arc::clone(&inside).acquire_owned().await?;
            if Instant::now() >= closes {
                break;
            }
            while let Some(left) = buyers.try_join_next() {
                left??;
            }
            let (client, venues) = (Arc::clone(client), Arc::clone(&venues));
            let (seed, _) = client.entropy.uuid().as_u64_pair();
            buyers.spawn(async move {
                let mut rng = Rng::with_seed(seed);
                if let Some(venue) = venues.get(rng.usize(..venues.len().max(1))) {
                    visit(&client, venue, number, &mut rng).await?;
                }
                client.buyer_left();
                drop(admitted);
                anyhow::Ok(())
            });
        }
        while let Some(left) = buyers.join_next().await {
            left??;
        }
        Ok(())
    }
}

/// One buyer: tries for seats, and pays, cancels or walks away.
async fn visit(
    client: &LoadClient,
    venue: &Venue,
    number: usize,
    rng: &mut Rng,
) -> anyhow::Result<()> {
    let user: UserId = format!("buyer-{number}").parse()?;
    let behavior = BuyerBehavior::of(number);
    let hold_seconds = (behavior == BuyerBehavior::WalksAway).then_some(ABANDONED_SECONDS);
    let party = 1 + rng.usize(..PARTY_MAX).min(rng.usize(..PARTY_MAX));
    for attempt in 0..TRIES {
        let Some((group, seats)) = venue.choose(party, attempt > 0, rng) else { return Ok(()) };
        let wanted = seats.clone();
        let user_id = user.clone();
        let requested = client.request(&venue.pool, Some(group.clone()), |key| {
            Action::Reserve(Reserve {
                reservation_id: key.default_reservation_id(),
                user_id,
                seats: wanted,
                lines: Vec::new(),
                hold_seconds,
            })
        });
        let Some(result) = requested.await? else { return Ok(()) };
        let Outcome::Reserved { reservation } = result.outcome else {
            let unavailable = result.rejection().map(|rejection| rejection.seats.iter().cloned());
            venue.taken().extend(unavailable.into_iter().flatten());
            continue;
        };
        let reservation_id = reservation.reservation_id;
        venue.taken().extend(seats.iter().cloned());
        let held = HeldReservation { client, venue, group, user, reservation_id };
        return held.decide(behavior, &seats).await;
    }
    Ok(())
}

/// Seats that a buyer holds.
struct HeldReservation<'a> {
    client: &'a LoadClient,
    venue: &'a Venue,
    group: GroupId,
    user: UserId,
    reservation_id: ReservationId,
}

impl HeldReservation<'_> {
    async fn decide(&self, behavior: BuyerBehavior, seats: &[SeatNumber]) -> anyhow::Result<()> {
        match behavior {
            BuyerBehavior::Pays => self.confirm().await?,
            BuyerBehavior::WalksAway => {}
            BuyerBehavior::ChangesMind => self.cancel(false).await?,
            BuyerBehavior::WantsMoneyBack => {
                self.confirm().await?;
                self.cancel(true).await?;
            }
        }
        if matches!(behavior, BuyerBehavior::ChangesMind | BuyerBehavior::WantsMoneyBack) {
            let mut taken = self.venue.taken();
            for seat in seats {
                taken.remove(seat);
            }
        }
        Ok(())
    }

    async fn confirm(&self) -> anyhow::Result<()> {
        let booking_id: BookingId = format!("booking-{}", self.reservation_id).parse()?;
        let user_id = Some(self.user.clone());
        let confirm = Confirm { user_id, ..Confirm::new(self.reservation_id, booking_id) };
        self.request(Action::Confirm(confirm)).await
    }

    async fn cancel(&self, refund: bool) -> anyhow::Result<()> {
        let user_id = Some(self.user.clone());
        let cancel = Cancel { user_id, refund, ..Cancel::new(self.reservation_id) };
        self.request(Action::Cancel(cancel)).await
    }

    async fn request(&self, action: Action) -> anyhow::Result<()> {
        let requested = self.client.request(&self.venue.pool, Some(self.group.clone()), |_| action);
        requested.await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buyer_chooses_seats_side_by_side_in_one_section_and_then_free_ones() {
        let venue = Venue::new(7, 450).unwrap();
        assert_eq!(venue.groups.len(), 3);
        let mut rng = Rng::with_seed(1);
        for party in 1..=PARTY_MAX {
            for _ in 0..500 {
                let (group, seats) = venue.choose(party, false, &mut rng).unwrap();
                assert_eq!(seats.len(), party);
                let section = group.as_str().rsplit('/').next().unwrap();
                assert!(seats.iter().all(|seat| seat.as_str().starts_with(section)), "{seats:?}");
            }
        }
        let free = venue.seats[449].clone();
        venue.taken().extend(venue.seats[..449].iter().cloned());
        assert_eq!(venue.choose(1, true, &mut rng).unwrap().1, std::slice::from_ref(&free));
        assert_eq!(venue.choose(2, true, &mut rng), None);
        venue.taken().insert(free);
        assert_eq!(venue.choose(1, true, &mut rng), None);
    }
}
