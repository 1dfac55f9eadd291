use inventory_worker::domain::{Action, Outcome, RejectionCode, Reservation, ReservationStatus};

use super::{held, reserved};
use crate::world::{at, cancel, confirm, event, expire, reservation_id, reserve};

#[test]
fn an_expire_gives_back_a_hold_from_its_very_end_and_not_before() {
    let mut show = reserved();
    let active = show.world.items().reservations[&reservation_id(1)].clone();
    assert_eq!(show.expire(expire(1), "10:09:59.999").code(), RejectionCode::NotYetExpired);
    let ran = show.expire(expire(1), "10:10:00");
    let reservation = Reservation {
        status: ReservationStatus::Expired,
        version: 2,
        ended_at: Some(at("10:10:00")),
        ..active
    };
    assert_eq!(ran.verdict.outcome, Outcome::Expired { reservation });
    for name in ["A-1", "A-2"] {
        assert_eq!((show.status(name), show.seat(name).version), ("AVAILABLE", 3));
    }
    assert_eq!((show.figures("x"), show.line("x").version), ((10, 0), 3));
}

#[test]
fn an_expire_releases_only_what_is_still_its_own() {
    let mut show = reserved();
    show.reserve(reserve(2, "ben", &["A-2"], &[]), "10:10:00").reservation();
    show.expire(expire(1), "10:10:01").reservation();
    assert_eq!(show.status("A-1"), "AVAILABLE");
    assert_eq!(show.seat("A-2").occupancy, held(2, "ben", at("10:20:00")));
    assert_eq!(show.figures("x"), (10, 0));
}

#[test]
fn what_is_no_longer_active_cannot_expire_whatever_the_time() {
    for now in ["10:06:00", "10:10:00"] {
        let mut show = reserved();
        show.confirm(confirm(1, "b-1"), "10:05:00");
        assert_eq!(show.expire(expire(1), now).code(), RejectionCode::ReservationConfirmed);
        let mut show = reserved();
        show.cancel(cancel(1), "10:05:00");
        assert_eq!(show.expire(expire(1), now).code(), RejectionCode::ReservationCancelled);
        let mut show = reserved();
        show.expire(expire(1), "10:10:00");
        assert_eq!(show.expire(expire(1), now).code(), RejectionCode::ReservationExpired);
    }
}

#[test]
fn a_reservation_is_found_in_its_own_pool_alone() {
    let mut show = reserved();
    assert_eq!(show.expire(expire(9), "10:10:00").code(), RejectionCode::ReservationNotFound);
    let ran = show.run(&event(43), Action::Expire(expire(1)), "10:05:00");
    assert_eq!(ran.code(), RejectionCode::ReservationNotFound, "pool before expiry");
}
