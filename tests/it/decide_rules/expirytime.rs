//! A command is decided until its `expirytime`, and not after it.

use inventory_worker::domain::{Action, RejectionCode, Restock, Timestamp};

use super::{EVENT, Show, reserved};
use crate::world::{
    Ran, at, cancel, confirm, confirm_stay, event, expire, extend, fulfil, holdings, modify,
    reserve, restock_seats,
};

const DEADLINE: &str = "10:05:00";

impl Show {
    fn run_by(&mut self, action: Action, deadline: Timestamp, now: &str) -> Ran {
        self.world.run_by(&event(EVENT), action, Some(deadline), at(now))
    }
}

/// One of each type, which succeeds on [`reserved`], after the confirm if it is one that needs it.
fn of_every_type() -> [Action; 8] {
    [
        Action::Reserve(reserve(2, "ben", &["A-3"], &[])),
        Action::Extend(extend(1, 900)),
        Action::Modify(modify(1, holdings(&["A-3"], &[]), holdings(&[], &[]))),
        Action::Confirm(confirm(1, "b-1")),
        Action::Fulfil(fulfil(1)),
        Action::Cancel(cancel(1)),
        Action::Restock(restock_seats(&["B-1"])),
        Action::Expire(expire(1)),
    ]
}

#[test]
fn a_command_is_decided_at_its_expirytime_and_refused_after_it_whatever_its_type() {
    for action in of_every_type() {
        let mut show = reserved();
        match &action {
            Action::Fulfil(_) => drop(show.confirm(confirm_stay(1, "b-1"), "10:01:00")),
            Action::Expire(_) => show = ended_early(),
            _ => {}
        }
        let before = show.world.items();
        let late = show.run_by(action.clone(), at(DEADLINE), "10:05:00.001");
        assert_eq!(late.code(), RejectionCode::CommandExpired, "{action:?}");
        assert!(late.rejection().message.contains("2026-11-22T10:05:00Z"), "{late:?}");
        assert_eq!((late.rejection().seats.len(), late.rejection().lines.len()), (0, 0));
        assert_eq!(late.verdict.read_dependencies, []);
        assert_eq!(show.world.items(), before, "{action:?}");
        let in_time = show.run_by(action.clone(), at(DEADLINE), DEADLINE);
        assert!(in_time.verdict.outcome.rejection().is_none(), "{in_time:?}");
    }
}

/// A hold that has run out at the deadline.
fn ended_early() -> Show {
    let mut show = Show::new();
    show.reserve(reserve(1, "ann", &["A-1"], &[]), "09:54:00").reservation();
    show
}

#[test]
fn the_expirytime_is_checked_before_everything_else() {
    let mut show = reserved();
    show.world.limits.reserve_entries_max = 1;
    let future = Restock { as_of: Some(at("23:00:00")), ..restock_seats(&["B-1"]) };
    for action in [
        Action::Reserve(reserve(2, "ben", &["A-3", "A-4"], &[])),
        Action::Reserve(reserve(1, "ben", &["A-3"], &[])),
        Action::Confirm(confirm(9, "b-1")),
        Action::Extend(extend(9, 600)),
        Action::Restock(future),
    ] {
        let refused = show.run_by(action.clone(), Timestamp::MAX, "10:06:00");
        assert_ne!(refused.code(), RejectionCode::CommandExpired, "{action:?}");
        let late = show.run_by(action.clone(), at(DEADLINE), "10:06:00");
        assert_eq!(late.code(), RejectionCode::CommandExpired, "{action:?}");
    }
}
