//! Seats, lines and reservations, asked for by their keys.

use super::{Reader, Situation};
use crate::history::Lacked;
use inventory_worker::{
    domain::{LineKey, ReservationId, SeatKey},
    ports::Clock,
};

impl Reader<'_> {
    pub(super) async fn seat(&self, key: &SeatKey) {
        let asked = self.world.clock.now();
        match self.gateway.queries.seat(&self.caller, key).await {
            Ok(answer) => {
                self.check_allowed(self.who.reads_public());
                let moment = self.moment(&answer.freshness);
                let may_see = self.who.reads_private();
                self.world.history().showed_seat(&moment, may_see, &answer);
                self.cover_seat(&(&answer.seat).into(), moment.now);
                self.world.cover(Situation::Point);
                if answer.seat.owner.is_some() {
                    self.world.cover(Situation::OwnerShown);
                }
                let (status, version) = (answer.seat.status, answer.seat.version);
                self.trace(format_args!("shows {key:?}: {status}.{version}"));
            }
            Err(error) => {
                self.check_error(&error, (&Lacked::Seat(key), asked), self.who.reads_public());
            }
        }
    }

    pub(super) async fn line(&self, key: &LineKey) {
        let asked = self.world.clock.now();
        match self.gateway.queries.line(&self.caller, key).await {
            Ok(answer) => {
                self.check_allowed(self.who.reads_public());
                let moment = self.moment(&answer.freshness);
                self.world.history().showed_line(&moment, key, &answer);
                self.world.cover(Situation::Point);
                self.trace(format_args!("shows {key:?}: {}", answer.line.version));
            }
            Err(error) => {
                self.check_error(&error, (&Lacked::Line(key), asked), self.who.reads_public());
            }
        }
    }

    pub(super) async fn reservation(&self, id: &ReservationId) {
        let asked = self.world.clock.now();
        match self.gateway.queries.reservation(&self.caller, *id).await {
            Ok(answer) => {
                self.check_allowed(self.who.reads_private());
                let moment = self.moment(&answer.freshness);
                self.world.history().showed_reservation(&moment, &answer);
                self.world.cover(Situation::Point);
                self.trace(format_args!("shows {id}: {}", answer.reservation.version));
            }
            Err(error) => {
                let lacked = Lacked::Reservation(id);
                self.check_error(&error, (&lacked, asked), self.who.reads_private());
            }
        }
    }
}
