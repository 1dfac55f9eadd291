//! Commands that cross each other: one reads what another changes at the same moment.

use std::time::Duration;

use uuid::Uuid;

use super::{Maker, Posting, key, outgoing};
use inventory_worker::{
    domain::{
        Action, Cancel, Confirm, Expire, Extend, GroupId, Holdings, Modify, PoolId, ReservationId,
        Reserve, Restock, RestockMode, SeatNumber, Timestamp,
    },
    message::{self, OutgoingCommand},
};

impl Maker {
    /// A reserve in one group. In another, at nearly the same time, a reserve of the same seat that
    /// is refused because of another seat, followed by the end of the first one's reservation:
    /// their batch may read the seat before the reservation is made, and the reservation after.
    pub(super) fn crossing(&mut self, number: usize, at: Duration) -> Vec<Posting> {
        let pool = PoolId::Event(1);
        let Some(seat) = self.seats.get(&pool).and_then(|seats| seats.last()).cloned() else {
            return Vec::new();
        };
        let Ok(absent) = "Z-1".parse::<SeatNumber>() else { return Vec::new() };
        let first = key("/web", &format!("x-{number}"));
        let reservation_id = ReservationId(Uuid::from_u128(self.rng.u128(..)));
        let hold = Reserve {
            reservation_id,
            user_id: self.user(),
            seats: vec![seat.clone()],
            lines: Vec::new(),
            hold_seconds: Some(self.rng.u32(1..=2)),
        };
        let refused = Reserve {
            reservation_id: ReservationId(Uuid::from_u128(self.rng.u128(..))),
            seats: vec![seat.clone(), absent.clone()],
            ..hold.clone()
        };
        let refused_too = refused.clone();
        let end = self.crossing_end(reservation_id, &seat);
        let (one, other) =
            (group(&format!("event-1/x{number}")), group(&format!("event-1/y{number}")));
        let apart = Duration::from_millis(self.rng.u64(0..=400));
        let both = at + Duration::from_millis(self.rng.u64(0..=400));
        let made = |at: Duration, group: &GroupId, key, action| {
            let (time, pool) = (Timestamp::UNIX_EPOCH, pool.clone());
            let (deadline, traceparent) = (None, None);
            let command = OutgoingCommand { key, time, deadline, pool, action, traceparent };
            let message = outgoing(group.clone(), message::encode_command(&command));
            Posting { at, queue: 0, message }
        };
        let mut all = vec![
            made(at + apart, &one, first, Action::Reserve(hold)),
            made(both, &other, key("/web", &format!("x-{number}-a")), Action::Reserve(refused)),
            made(both, &other, key("/web", &format!("x-{number}-b")), end),
        ];
        // A new seat, and shortly after, in the same group, a reserve of it that is refused because
        // of another seat: if the first commit takes effect late, both are in one batch.
        if let Ok(new) = format!("N-{number}").parse::<SeatNumber>() {
            let (third, change) =
                (group(&format!("event-1/z{number}")), self.seat_change(new.clone()));
            let restock = Restock::new(vec![change], Vec::new(), RestockMode::Add);
            let late = at + Duration::from_millis(self.rng.u64(50..=1_500));
            let seats = vec![new, absent];
            let id = ReservationId(Uuid::from_u128(self.rng.u128(..)));
            let refused = Reserve { reservation_id: id, seats, ..refused_too };
            let (one, other) = (format!("x-{number}-c"), format!("x-{number}-d"));
            all.push(made(at, &third, key("/web", &one), Action::Restock(restock)));
            all.push(made(late, &third, key("/web", &other), Action::Reserve(refused)));
        }
        all
    }

    /// A command that ends or changes the hold of a seat.
    fn crossing_end(&mut self, reservation_id: ReservationId, seat: &SeatNumber) -> Action {
        let booking = || "b1".parse().unwrap_or_else(|_| unreachable!("a booking's name is plain"));
        match self.rng.u32(0..8) {
            0..=1 => Action::Expire(Expire { reservation_id }),
            2..=3 => Action::Cancel(Cancel::new(reservation_id)),
            4 => {
                let hold_seconds = self.rng.u32(2..=10);
                Action::Extend(Extend { reservation_id, hold_seconds, user_id: None })
            }
            5 => {
                let add = Holdings { seats: vec![seat.clone()], lines: Vec::new() };
                let remove = Holdings::default();
                Action::Modify(Modify { reservation_id, add, remove, user_id: None })
            }
            6 => {
                let remove = Holdings { seats: vec![seat.clone()], lines: Vec::new() };
                let others = self.seats.get(&PoolId::Event(1)).into_iter().flatten();
                let seats = others.filter(|other| *other != seat).take(1).cloned().collect();
                let add = Holdings { seats, lines: Vec::new() };
                Action::Modify(Modify { reservation_id, add, remove, user_id: None })
            }
            _ => Action::Confirm(Confirm {
                allow_expired: self.rng.bool(),
                ..Confirm::new(reservation_id, booking())
            }),
        }
    }
}

fn group(name: &str) -> GroupId {
    name.parse().unwrap_or_else(|_| unreachable!("a group's name is short and plain"))
}
