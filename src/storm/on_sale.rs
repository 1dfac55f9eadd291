//! An on-sale: more buyers than seats, and everybody wants those in front.

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
    Action, BookingId, Cancel, Confirm, GroupId, PoolId, ReservationId, Reserve, Restock,
    RestockMode, SeatChange, SeatNumber, UserId,
};

/// Seats of a section, which is a group of its own.
const SECTION_SEATS: usize = 200;

/// Seats that one restock creates.
const STOCK_SEATS: usize = 1_000;

/// Seats a buyer takes at most.
const PARTY_MAX: usize = 4;

/// How often a buyer tries before going home.
const TRIES: usize = 3;

/// How long those who walk away leave their seats held, seconds.
const ABANDONED_SECONDS: u32 = 30;

/// What an on-sale asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct OnSale {
    /// Events.
    pub events: usize,
    /// Seats of each.
    pub seats: usize,
    /// Buyers, over all events.
    pub buyers: usize,
    /// Nobody comes in after this.
    pub duration: Duration,
}

/// The event as its buyers see it: what they were told is taken.
struct Venue {
    pool: PoolId,
    seats: Vec<SeatNumber>,
    groups: Vec<GroupId>,
    taken: Mutex<BTreeSet<SeatNumber>>,
}

/// What a buyer does with what was got.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BuyerBehavior {
    Pays,
    ChangesMind,
    WantsMoneyBack,
    WalksAway,
}

impl BuyerBehavior {
    /// 85 % pay, 10 % change their mind before, one in twenty does neither or both.
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

    /// Seats side by side, the front preferred, in one section, and the section's group. The first
    /// time a buyer does not look at what is left.
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
    fn houses(&self, first_event: u64) -> anyhow::Result<Vec<Venue>> {
        (first_event..).take(self.events).map(|event| Venue::new(event, self.seats)).collect()
    }

    /// Puts the seats on sale.
    pub(super) async fn stock(
        &self,
        client: &Arc<LoadClient>,
        first_event: u64,
    ) -> anyhow::Result<()> {
        let mut stocking = JoinSet::new();
        for house in self.houses(first_event)? {
            for seats in house.seats.chunks(STOCK_SEATS) {
                let change = |number: &SeatNumber| SeatChange {
                    number: number.clone(),
                    section: None,
                    row_number: None,
                    seat_type: None,
                    price: "49.50".parse().ok(),
                    status: None,
                };
                let restock = Restock {
                    seats: seats.iter().map(change).collect(),
                    lines: Vec::new(),
                    mode: RestockMode::Set,
                    as_of: None,
                };
                let (client, pool) = (Arc::clone(client), house.pool.clone());
                stocking.spawn(async move {
                    client.ask(&pool, None, |_| Action::Restock(restock)).await
                });
            }
        }
        while let Some(stocked) = stocking.join_next().await {
            let answer = stocked??.context("seats could not be put on sale: no outcome in time")?;
            ensure!(!answer.is_rejected, "seats could not be put on sale: rejected");
        }
        Ok(())
    }

    /// Lets the buyers in, as many at a time as commands may be under way.
    pub(super) async fn play(
        &self,
        client: &Arc<LoadClient>,
        first_event: u64,
        in_flight: usize,
    ) -> anyhow::Result<()> {
        let closes = Instant::now() + self.duration;
        let houses = Arc::new(self.houses(first_event)?);
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
            let (client, houses) = (Arc::clone(client), Arc::clone(&houses));
            let (seed, _) = client.entropy.uuid().as_u64_pair();
            buyers.spawn(async move {
                let mut rng = Rng::with_seed(seed);
                if let Some(house) = houses.get(rng.usize(..houses.len().max(1))) {
                    visit(&client, house, number, &mut rng).await?;
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

/// One buyer: tries for seats, and decides what to do with what was got.
async fn visit(
    client: &LoadClient,
    house: &Venue,
    number: usize,
    rng: &mut Rng,
) -> anyhow::Result<()> {
    let user: UserId = format!("buyer-{number}").parse()?;
    let behavior = BuyerBehavior::of(number);
    let hold_seconds = (behavior == BuyerBehavior::WalksAway).then_some(ABANDONED_SECONDS);
    let party = 1 + rng.usize(..PARTY_MAX).min(rng.usize(..PARTY_MAX));
    for attempt in 0..TRIES {
        let Some((group, seats)) = house.choose(party, attempt > 0, rng) else { return Ok(()) };
        let wanted = seats.clone();
        let user_id = user.clone();
        let asked = client.ask(&house.pool, Some(group.clone()), |key| {
            Action::Reserve(Reserve {
                reservation_id: key.default_reservation_id(),
                user_id,
                seats: wanted,
                lines: Vec::new(),
                hold_seconds,
            })
        });
        let Some(answer) = asked.await? else { return Ok(()) };
        let Some(reservation_id) = answer.reservation_id else {
            let taken = answer.taken.iter().filter_map(|seat| seat.parse::<SeatNumber>().ok());
            house.taken().extend(taken);
            continue;
        };
        house.taken().extend(seats.iter().cloned());
        let held = Held { client, house, group, user, reservation_id };
        return held.decide(behavior, &seats).await;
    }
    Ok(())
}

/// Seats that a buyer holds.
struct Held<'a> {
    client: &'a LoadClient,
    house: &'a Venue,
    group: GroupId,
    user: UserId,
    reservation_id: ReservationId,
}

impl Held<'_> {
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
            let mut taken = self.house.taken();
            for seat in seats {
                taken.remove(seat);
            }
        }
        Ok(())
    }

    async fn confirm(&self) -> anyhow::Result<()> {
        let booking_id: BookingId = format!("booking-{}", self.reservation_id).parse()?;
        let (reservation_id, user_id) = (self.reservation_id, Some(self.user.clone()));
        let confirm = Confirm { reservation_id, booking_id, user_id };
        self.ask(Action::Confirm(confirm)).await
    }

    async fn cancel(&self, refund: bool) -> anyhow::Result<()> {
        let (reservation_id, user_id) = (self.reservation_id, Some(self.user.clone()));
        self.ask(Action::Cancel(Cancel { reservation_id, user_id, reason: None, refund })).await
    }

    async fn ask(&self, action: Action) -> anyhow::Result<()> {
        let asked = self.client.ask(&self.house.pool, Some(self.group.clone()), |_| action);
        asked.await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buyer_chooses_seats_side_by_side_in_one_section_and_then_free_ones() {
        let house = Venue::new(7, 450).unwrap();
        assert_eq!(house.groups.len(), 3);
        let mut rng = Rng::with_seed(1);
        for party in 1..=PARTY_MAX {
            for _ in 0..500 {
                let (group, seats) = house.choose(party, false, &mut rng).unwrap();
                assert_eq!(seats.len(), party);
                let section = group.as_str().rsplit('/').next().unwrap();
                assert!(seats.iter().all(|seat| seat.as_str().starts_with(section)), "{seats:?}");
            }
        }
        let free = house.seats[449].clone();
        house.taken().extend(house.seats[..449].iter().cloned());
        assert_eq!(house.choose(1, true, &mut rng).unwrap().1, std::slice::from_ref(&free));
        assert_eq!(house.choose(2, true, &mut rng), None);
        house.taken().insert(free);
        assert_eq!(house.choose(1, true, &mut rng), None);
    }
}
