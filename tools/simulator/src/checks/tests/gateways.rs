//! What gateways answer.

use std::time::Duration;

use super::*;
use crate::{
    checks::{
        Violation,
        gateway::{
            Moment, Shown, commands, counts, lines, map, points,
            seats::{self, ShownSeat},
            walk,
        },
    },
    profile::SKEW_MAX_MS,
    topology::FIRST_GATEWAY,
};
use inventory_worker::{
    domain::SeatStatus,
    gateway::{
        Decided,
        queries::{Freshness, LineInfo, SeatAnswer, SeatFilter, SeatInfo, SeatOwner, ViewSource},
        view::{Availability, Counts, Group, LineEntry},
    },
};

/// Seat A: available at version 1, held until 11 at version 2 from second 1 on. Seat B: blocked.
/// Line x: 5 available at version 1.
fn model() -> Model {
    let mut model = Model::with_clocks_off_by(SKEW_MAX_MS);
    let by = command(&reserve_body("1")).key;
    model.seats.put(&seat_key(), seat(SeatState::Available, 1, at(-60)), at(-60), &by);
    model.seats.put(&seat_key(), seat(held(), 2, at(1)), at(1), &by);
    let blocked = seat(SeatState::Blocked, 1, at(-60));
    model.seats.put(&other_key(), blocked, at(-60), &by);
    model.lines.put(&line_key(), line(5, 0, 1, at(-60)), at(-60), &by);
    model
}

fn other_key() -> SeatKey {
    SeatKey { event_id: 1, number: "B".parse().unwrap() }
}

/// An answer at that second, of what was committed `age` seconds before.
fn moment(second: i64, age: u64) -> Moment {
    let freshness = Freshness {
        as_of: at(second - i64::try_from(age).unwrap()),
        age: Duration::from_secs(age),
        now: at(second),
        source: ViewSource::Memory,
    };
    Moment::new(((FIRST_GATEWAY, 0), false), at(second), &freshness)
}

fn shown(version: u64, status: SeatStatus, until: Option<Timestamp>, sells: bool) -> ShownSeat {
    let (number, details) = ("A".to_owned(), Default::default());
    ShownSeat { number, version, status, until, is_sellable: sells, details }
}

fn first() -> ShownSeat {
    shown(1, SeatStatus::Available, None, true)
}

fn second() -> ShownSeat {
    shown(2, SeatStatus::Reserved, Some(at(11)), false)
}

fn failed<T>(result: Result<T, Violation>) -> Option<&'static str> {
    result.err().map(|violation| violation.check)
}

fn check(seat: &ShownSeat, moment: &Moment) -> Option<&'static str> {
    failed(seats::check(&model(), &mut Shown::default(), moment, &seat_key(), seat))
}

#[test]
fn a_seat_is_shown_as_it_was_committed() {
    assert_eq!(check(&second(), &moment(5, 1)), None);
    let section = [Some("stalls".to_owned()), None, None, None];
    for wrong in [
        ShownSeat { version: 3, ..second() },
        ShownSeat { status: SeatStatus::Booked, ..second() },
        ShownSeat { until: Some(at(12)), ..second() },
        ShownSeat { until: None, ..second() },
        ShownSeat { details: section, ..second() },
    ] {
        assert_eq!(check(&wrong, &moment(5, 1)), Some("committed"), "{wrong:?}");
    }
    assert_eq!(check(&second(), &moment(0, 0)), Some("committed"), "before its commit");
}

#[test]
fn a_seat_is_no_older_than_the_answer_says() {
    assert_eq!(check(&first(), &moment(5, 5)), None);
    assert_eq!(check(&first(), &moment(5, 3)), Some("age"));
}

#[test]
fn a_seat_is_sellable_once_its_hold_has_run_out() {
    let sold = ShownSeat { is_sellable: true, ..second() };
    assert_eq!(check(&sold, &moment(11, 0)), None);
    assert_eq!(check(&second(), &moment(11, 0)), Some("sellable"));
    assert_eq!(check(&sold, &moment(10, 0)), Some("sellable"));
}

#[test]
fn no_version_goes_back_in_a_projection() {
    let (model, mut known) = (model(), Shown::default());
    let mut check = |seat: &ShownSeat, moment: &Moment| {
        failed(seats::check(&model, &mut known, moment, &seat_key(), seat))
    };
    let point = Moment { is_projected: false, ..moment(5, 5) };
    assert_eq!(check(&second(), &point), None);
    assert_eq!(check(&first(), &moment(5, 5)), None, "a projection may be older than a point read");
    assert_eq!(check(&second(), &moment(5, 5)), None);
    let other = Moment { gateway: (FIRST_GATEWAY, 1), ..moment(5, 5) };
    assert_eq!(check(&first(), &other), None, "the next incarnation has another projection");
    assert_eq!(check(&first(), &point), None, "read before, and answered late");
    assert_eq!(check(&first(), &moment(5, 5)), Some("goes-back"));
}

#[test]
fn a_line_is_shown_as_it_was_committed() {
    let entry = LineEntry::from(&line(5, 0, 1, at(-60)));
    let check = |line: &LineInfo| {
        failed(lines::check(&model(), &mut Shown::default(), &moment(5, 0), &line_key(), line))
    };
    let right = LineInfo::new(&line_key().sku, &entry);
    assert_eq!(check(&right), None);
    assert_eq!(check(&LineInfo { quantity: 6, ..right.clone() }), Some("committed"));
    assert_eq!(check(&LineInfo { version: 2, ..right }), Some("committed"));
}

#[test]
fn owners_are_shown_to_those_who_may_see_them() {
    let is = seat(held(), 2, at(1));
    let mut info = SeatInfo::stored(&seat_key().number, &is, at(5));
    info.owner = SeatOwner::of(&is);
    let freshness =
        Freshness { as_of: at(5), age: Duration::ZERO, now: at(5), source: ViewSource::Store };
    let answer = |seat| SeatAnswer { key: seat_key(), seat, freshness };
    let check = |may_see, seat| {
        let answer = answer(seat);
        failed(points::seat(&model(), &mut Shown::default(), &moment(5, 0), may_see, &answer))
    };
    assert_eq!(check(true, info.clone()), None);
    assert_eq!(check(false, info.clone()), Some("private"));
    assert_eq!(check(false, SeatInfo { owner: None, ..info.clone() }), None);
    assert_eq!(check(true, SeatInfo { owner: None, ..info }), Some("private"));
}

fn counted(counts: Counts) -> Availability {
    Availability { counts, groups: vec![Group { section: None, seat_type: None, counts }] }
}

#[test]
fn counts_are_within_what_may_be_shown() {
    let held = Counts { total: 2, held: 1, blocked: 1, ..Counts::default() };
    let free = Counts { total: 2, sellable: 1, available: 1, blocked: 1, ..Counts::default() };
    let ended = Counts { total: 2, sellable: 1, hold_ended: 1, blocked: 1, ..Counts::default() };
    let check = |counts, moment| failed(counts::check(&model(), &moment, 1, &counted(counts)));
    assert_eq!(check(held, moment(5, 1)), None);
    assert_eq!(check(free, moment(5, 1)), Some("counts"));
    assert_eq!(check(free, moment(5, 5)), None, "as it was at second 0");
    assert_eq!(check(ended, moment(11, 1)), None);
    assert_eq!(check(held, moment(11, 1)), Some("counts"));
    let blocked_sells = Counts { sellable: 1, ..held };
    assert_eq!(check(blocked_sells, moment(5, 1)), Some("counts"));
    let mut apart = counted(held);
    apart.groups.clear();
    assert_eq!(failed(counts::check(&model(), &moment(5, 1), 1, &apart)), Some("counts"));
}

#[test]
fn a_list_has_what_did_not_change_exactly_once() {
    let page = |second, keys: &[&str]| {
        (moment(second, 0), keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>())
    };
    let all = SeatFilter::default();
    let check = |filter: &SeatFilter, pages: &walk::Pages| {
        let walked = walk::seats(&model(), 1, filter, pages);
        failed(walked.and_then(|_| walk::ascends(pages)))
    };
    assert_eq!(check(&all, &[page(5, &["A"]), page(6, &["B"])]), None);
    assert_eq!(check(&all, &[page(5, &["A"]), page(6, &["A", "B"])]), Some("pages"));
    assert_eq!(check(&all, &[page(5, &["A"])]), Some("pages"), "B is missing");
    assert_eq!(check(&all, &[page(5, &["B", "A"])]), Some("pages"), "out of order");
    let sellable = SeatFilter { sellable: Some(true), ..SeatFilter::default() };
    assert_eq!(check(&sellable, &[page(0, &["A"]), page(5, &[])]), None);
    assert_eq!(check(&sellable, &[page(0, &[]), page(5, &[])]), None, "A changed meanwhile");
    assert_eq!(check(&sellable, &[page(5, &["A"])]), Some("pages"), "A is held");
    assert_eq!(check(&sellable, &[page(12, &[])]), Some("pages"), "its hold has run out");
}

#[test]
fn a_map_is_read_back_by_its_layout() {
    let layout = br#"{"event_id":1,"numbers":["A","B"],"sections":{"values":["stalls"],"of":[0,null]},"rows":{"values":[],"of":[null,null]},"types":{"values":[],"of":[null,null]},"prices":{"values":[],"of":[null,null]}}"#;
    let text = r#"{"event_id":1,"layout":"t","status":"RX","sellable":"00","versions":[2,1],"holds":{"from":"2026-11-22T10:00:11Z","after":[0]}}"#;
    let seats = map::read(("t", layout), text.as_bytes()).unwrap();
    let details = [Some("stalls".to_owned()), None, None, None];
    assert_eq!(seats[0], ShownSeat { details, ..second() });
    assert_eq!((seats[1].status, seats[1].version), (SeatStatus::Blocked, 1));
    assert_eq!(failed(map::read(("u", layout), text.as_bytes())), Some("map"), "another layout");
    let short = text.replace("\"RX\"", "\"R\"");
    assert_eq!(failed(map::read(("t", layout), short.as_bytes())), Some("map"));
}

#[test]
fn a_command_is_answered_as_the_ledger_says() {
    let reserve = command(&reserve_body("1"));
    let outcome = Outcome::Reserved { reservation: reservation() };
    let mut model = model();
    let decided = Decided {
        key: reserve.key.clone(),
        command_type: reserve.action.command_type().as_str(),
        digest: reserve.digest,
        pool: reserve.pool.clone(),
        outcome: outcome.clone(),
        changes: Changes::Listed(Vec::new()),
        decided_at: at(1),
    };
    let check = |model: &Model, digest, decided: &Decided| {
        failed(commands::decided(model, Some(&reserve.key), Some(digest), decided))
    };
    assert_eq!(check(&model, reserve.digest, &decided), Some("answer"), "nothing is decided");
    let Write::Ledger { key, record } = super::outcome(&reserve, outcome, at(1)) else {
        panic!("it is a ledger entry")
    };
    model.ledger.insert(key, record);
    assert_eq!(check(&model, reserve.digest, &decided), None);
    let late = Decided { decided_at: at(2), ..decided.clone() };
    assert_eq!(check(&model, reserve.digest, &late), Some("answer"));
    let other = inventory_worker::domain::Digest([7; 32]);
    let foreign = Decided { digest: other, ..decided.clone() };
    assert_eq!(check(&model, other, &foreign), Some("answer"), "another's success");
    let rejection = Rejection::new(RejectionCode::CommandIdReused, "used before");
    let reused = Decided { outcome: Outcome::Rejected { rejection }, ..foreign };
    assert_eq!(check(&model, other, &reused), None);
    let wrong = Decided { digest: reserve.digest, ..reused };
    assert_eq!(check(&model, reserve.digest, &wrong), Some("answer"), "it is its own");
}
