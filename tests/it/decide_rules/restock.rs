use inventory_worker::{
    decide::{InapplicableLine, RestockEntries, apply_entries},
    domain::{
        Action, LineChange, ON_HAND_MAX, Outcome, QUANTITY_MAX, RejectedLine, RejectionCode,
        Restock, RestockMode, RestockStatus, RestockSummary, SeatChange, SeatDetails,
    },
};

use super::{EVENT, Show, line_key};
use crate::world::{
    Items, Ran, Universe, at, confirm, event, reserve, restock_lines, restock_seats, seat_change,
    sku, state_of, store,
};

fn set(lines: &[(&str, i64)], as_of: Option<&str>) -> Restock {
    Restock { as_of: as_of.map(at), ..restock_lines(RestockMode::Set, lines) }
}

fn add(lines: &[(&str, i64)]) -> Restock {
    restock_lines(RestockMode::Add, lines)
}

fn seats(changes: &[SeatChange]) -> Restock {
    Restock { seats: changes.to_vec(), ..restock_seats(&[]) }
}

fn summary(ran: &Ran) -> &RestockSummary {
    match &ran.verdict.outcome {
        Outcome::Restocked { restock, .. } => restock,
        other => panic!("not restocked: {other:?}"),
    }
}

#[test]
fn a_seat_that_does_not_exist_is_created_on_sale_unless_it_says_otherwise() {
    let mut show = Show::new();
    let reported = SeatChange {
        section: Some("stalls".parse().unwrap()),
        row_number: Some("B".parse().unwrap()),
        seat_type: Some("plush".parse().unwrap()),
        price: Some("49.50".parse().unwrap()),
        ..seat_change("B-1", None)
    };
    let blocked = seat_change("B-2", Some(RestockStatus::Blocked));
    let ran = show.restock(seats(&[reported, blocked]), "10:00:00");
    assert_eq!(summary(&ran), &RestockSummary { seats_applied: 2, ..RestockSummary::default() });
    let seat = show.seat("B-1");
    assert_eq!((seat.occupancy.status().as_str(), seat.version), ("AVAILABLE", 1));
    assert_eq!((seat.created_at, seat.updated_at), (at("10:00:00"), at("10:00:00")));
    let details = SeatDetails {
        section: Some("stalls".parse().unwrap()),
        row_number: Some("B".parse().unwrap()),
        seat_type: Some("plush".parse().unwrap()),
        price: Some("49.50".parse().unwrap()),
    };
    assert_eq!(seat.details, details);
    assert_eq!((show.status("B-2"), show.seat("B-2").version), ("BLOCKED", 1));
}

#[test]
fn a_field_that_is_not_given_stays_as_it_is() {
    let mut show = Show::new();
    let section = Some("stalls".parse().unwrap());
    let price = Some("49.50".parse().unwrap());
    for name in ["A-1", "A-5"] {
        let was = show.status(name);
        let first = SeatChange { section: section.clone(), ..seat_change(name, None) };
        show.restock(seats(&[first]), "10:00:00");
        show.restock(seats(&[SeatChange { price, ..seat_change(name, None) }]), "10:01:00");
        let seat = show.seat(name);
        assert_eq!((&seat.details.section, seat.details.price), (&section, price));
        assert_eq!((seat.occupancy.status().as_str(), seat.version), (was, 3));
        assert_eq!((seat.created_at, seat.updated_at), (at("09:00:00"), at("10:01:00")));
    }
}

#[test]
fn a_seat_is_blocked_and_put_back_on_sale() {
    let mut show = Show::new();
    show.restock(seats(&[seat_change("A-1", Some(RestockStatus::Blocked))]), "10:00:00");
    assert_eq!((show.status("A-1"), show.seat("A-1").version), ("BLOCKED", 2));
    let ran = show.reserve(reserve(1, "ann", &["A-1"], &[]), "10:00:01");
    assert_eq!(ran.code(), RejectionCode::SeatsUnavailable);
    show.restock(seats(&[seat_change("A-1", Some(RestockStatus::Available))]), "10:00:02");
    assert_eq!((show.status("A-1"), show.seat("A-1").version), ("AVAILABLE", 3));
    show.reserve(reserve(1, "ann", &["A-1"], &[]), "10:00:03").reservation();
}

#[test]
fn a_seat_that_is_held_or_booked_is_left_alone_even_when_its_hold_has_run_out() {
    let mut show = Show::new();
    show.reserve(reserve(1, "ann", &["A-1"], &[]), "10:00:00");
    show.reserve(reserve(2, "ann", &["A-2"], &[]), "10:00:00");
    show.confirm(confirm(2, "b"), "10:00:01");
    let (held, booked) = (show.seat("A-1"), show.seat("A-2"));
    let price = Some("1.00".parse().unwrap());
    let change = |name: &str, status| SeatChange { price, ..seat_change(name, status) };
    let on_sale = change("A-1", Some(RestockStatus::Available));
    let changes = [change("A-2", None), change("A-3", Some(RestockStatus::Blocked)), on_sale];
    let ran = show.restock(seats(&changes), "12:00:00");
    let expected = RestockSummary {
        seats_applied: 1,
        seats_skipped: 2,
        skipped: vec!["A-2".to_owned(), "A-1".to_owned()],
        ..RestockSummary::default()
    };
    assert_eq!(summary(&ran), &expected);
    assert_eq!((show.seat("A-1"), show.seat("A-2")), (held, booked));
    assert_eq!((show.status("A-3"), show.seat("A-3").details.price), ("BLOCKED", price));
}

#[test]
fn what_changes_nothing_is_applied_without_a_new_version() {
    let mut show = Show::new();
    let mut nothing =
        seats(&[seat_change("A-1", None), seat_change("A-5", Some(RestockStatus::Blocked))]);
    nothing.lines = set(&[("x", 10)], None).lines;
    let ran = show.restock(nothing, "10:00:00");
    let applied =
        RestockSummary { seats_applied: 2, lines_applied: 1, ..RestockSummary::default() };
    assert_eq!(summary(&ran), &applied);
    assert_eq!(ran.changes, []);
    assert_eq!(show.restock(add(&[("x", 0)]), "10:00:00").changes, []);
}

#[test]
fn a_sku_that_does_not_exist_is_created_by_set_and_by_add() {
    let mut show = Show::new();
    show.restock(set(&[("z", 7)], Some("08:00:00")), "10:00:00");
    let line = show.line("z");
    assert_eq!((line.available, line.reserved, line.version), (7, 0, 1));
    assert_eq!((line.as_of, line.updated_at), (Some(at("08:00:00")), at("10:00:00")));
    for lines in [add(&[("z", 4)]), add(&[("z", 0)]), set(&[("z", 0)], None)] {
        let mut show = Show::new();
        let quantity = lines.lines[0].quantity;
        show.restock(lines, "10:00:00");
        assert_eq!((show.figures("z"), show.line("z").version), ((quantity, 0), 1));
    }
}

#[test]
fn set_says_what_is_on_hand_and_add_what_came_in() {
    let mut show = Show::new();
    show.reserve(reserve(1, "ann", &[], &[("x", 3), ("y", 3)]), "10:00:00");
    show.restock(set(&[("x", 20)], None), "10:00:01");
    assert_eq!((show.figures("x"), show.line("x").on_hand()), ((17, 3), 20));
    show.restock(add(&[("y", 20)]), "10:00:01");
    assert_eq!((show.figures("y"), show.line("y").on_hand()), ((27, 3), 30));
    assert_eq!(show.line("y").version, 3);
}

#[test]
fn after_a_shortfall_nothing_is_sold_until_available_is_positive() {
    let mut show = Show::new();
    show.reserve(reserve(1, "ann", &[], &[("x", 8)]), "10:00:00");
    show.restock(set(&[("x", 5)], None), "10:00:01");
    assert_eq!((show.figures("x"), show.line("x").on_hand()), ((-3, 8), 5));
    let one = |id| reserve(id, "ben", &[], &[("x", 1)]);
    let ran = show.reserve(one(2), "10:00:02");
    assert_eq!(ran.code(), RejectionCode::InsufficientStock);
    let short = RejectedLine::quantity(&sku("x"), 1, -3);
    assert_eq!(ran.rejection().lines, [short]);
    show.restock(add(&[("x", 3)]), "10:00:03");
    assert_eq!(show.reserve(one(2), "10:00:04").code(), RejectionCode::InsufficientStock);
    show.restock(add(&[("x", 1)]), "10:00:05");
    show.reserve(one(2), "10:00:06").reservation();
    assert_eq!(show.figures("x"), (0, 9));
}

#[test]
fn a_set_older_than_one_applied_before_is_skipped_and_an_equal_one_applied() {
    let mut show = Show::new();
    show.restock(set(&[("x", 20)], Some("09:30:00")), "10:00:00");
    let ran = show.restock(set(&[("x", 30), ("y", 30)], Some("09:29:59.999")), "10:00:01");
    let expected = RestockSummary {
        lines_applied: 1,
        lines_skipped: 1,
        skipped: vec!["x".to_owned()],
        ..RestockSummary::default()
    };
    assert_eq!(summary(&ran), &expected);
    assert_eq!((show.figures("x"), show.figures("y")), ((20, 0), (30, 0)));
    show.restock(set(&[("x", 40)], Some("09:30:00")), "10:00:02");
    assert_eq!(show.figures("x"), (40, 0));
    show.restock(set(&[("x", 50)], Some("09:31:00")), "10:00:03");
    assert_eq!((show.figures("x"), show.line("x").as_of), ((50, 0), Some(at("09:31:00"))));
}

#[test]
fn a_newer_as_of_is_remembered_even_where_the_figure_stays() {
    let mut show = Show::new();
    show.restock(set(&[("x", 10)], Some("09:30:00")), "10:00:00");
    assert_eq!((show.line("x").as_of, show.line("x").version), (Some(at("09:30:00")), 2));
    let ran = show.restock(set(&[("x", 11)], Some("09:29:00")), "10:00:01");
    assert_eq!(summary(&ran).lines_skipped, 1);
}

#[test]
fn a_set_without_as_of_applies_and_forgets_no_as_of() {
    let mut show = Show::new();
    show.restock(set(&[("x", 20)], Some("09:30:00")), "10:00:00");
    show.restock(set(&[("x", 30)], None), "10:00:01");
    assert_eq!((show.figures("x"), show.line("x").as_of), ((30, 0), Some(at("09:30:00"))));
    let ran = show.restock(set(&[("x", 40)], Some("09:29:00")), "10:00:02");
    assert_eq!(summary(&ran).lines_skipped, 1);
}

#[test]
fn an_add_is_never_too_old() {
    let mut show = Show::new();
    show.restock(set(&[("x", 20)], Some("09:30:00")), "10:00:00");
    let late = Restock { as_of: Some(at("09:00:00")), ..add(&[("x", 5)]) };
    assert_eq!(summary(&show.restock(late, "10:00:01")).lines_applied, 1);
    assert_eq!((show.figures("x"), show.line("x").as_of), ((25, 0), Some(at("09:30:00"))));
}

#[test]
fn on_hand_beyond_its_bound_rejects_the_whole_restock_naming_every_line() {
    let mut show = Show::new();
    show.plant_line("x", ON_HAND_MAX - 4, 1);
    show.plant_line("y", ON_HAND_MAX, 0);
    let mut beyond = add(&[("x", 4), ("z", 1), ("y", 1)]);
    beyond.seats = seats(&[seat_change("B-1", None)]).seats;
    let ran = show.restock(beyond, "10:00:00");
    assert_eq!(ran.code(), RejectionCode::LimitExceeded);
    let over =
        |name, requested, available| RejectedLine::quantity(&sku(name), requested, available);
    assert_eq!(ran.rejection().lines, [over("x", 4, ON_HAND_MAX - 4), over("y", 1, ON_HAND_MAX)]);
    let ran = show.restock(add(&[("x", 4)]), "10:00:01");
    let message = format!("on hand would pass {ON_HAND_MAX} on 1 line");
    assert_eq!(ran.rejection().message, message);
    show.restock(add(&[("x", 3), ("y", 0)]), "10:00:01");
    assert_eq!(show.line("x").on_hand(), ON_HAND_MAX);
}

#[test]
fn a_line_takes_the_largest_quantity() {
    let mut show = Show::new();
    let max = i64::try_from(QUANTITY_MAX).unwrap();
    for restock in [set(&[("x", max)], None), add(&[("z", max)])] {
        let ran = show.restock(restock, "10:00:00");
        assert_eq!(summary(&ran).lines_applied, 1);
    }
}

#[test]
fn a_pool_is_stocked_alone() {
    let mut show = Show::new();
    show.run(&store("s"), Action::Restock(set(&[("x", 3)], None)), "10:00:00");
    show.run(&event(43), Action::Restock(restock_seats(&["A-1"])), "10:00:00");
    assert_eq!(show.figures("x"), (10, 0));
    assert_eq!(show.seat("A-1").version, 1);
}

#[test]
fn only_the_first_five_hundred_skipped_are_named_and_all_are_counted() {
    let names: Vec<String> = (0..600).map(|n| format!("S-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut world = crate::world::World::empty(Universe::of(&[event(EVENT)], &[], &names, 1));
    let all: Vec<(&str, i64)> = names.iter().map(|name| (*name, 1)).collect();
    world.run(&event(EVENT), Action::Restock(set(&all, Some("10:00:00"))), at("10:00:00"));
    let ran =
        world.run(&event(EVENT), Action::Restock(set(&all, Some("09:00:00"))), at("10:00:01"));
    let summary = summary(&ran);
    assert_eq!((summary.lines_skipped, summary.skipped.len()), (600, 500));
    assert_eq!(summary.skipped, names[..500]);
    assert_eq!(ran.changes, []);
}

#[test]
fn a_chunk_applies_its_own_entries_alone_and_skips_a_line_beyond_the_bound() {
    let universe = Universe::of(&[event(EVENT)], &["A-1", "A-2"], &["x", "y", "z"], 0);
    let mut state = state_of(&universe, &Items::default());
    let mut restock = add(&[("x", 1), ("y", 2), ("z", 3)]);
    restock.seats = seats(&[seat_change("A-1", None), seat_change("A-2", None)]).seats;
    let mut apply = |restock: &Restock, range| {
        let pool = &event(EVENT);
        let entries = RestockEntries { pool, restock, range, inapplicable: InapplicableLine::Skip };
        apply_entries(&mut state, &entries, at("10:00:00")).unwrap().summary
    };
    let summary = apply(&restock, 1..3);
    assert_eq!((summary.seats_applied, summary.lines_applied), (1, 1));
    for _ in 0..9 {
        // A quantity that no message may carry, to approach the bound in few steps.
        let near = 1_000_000_000_000_000;
        let lines = vec![LineChange::new(sku("y"), near)];
        apply(&Restock { lines, ..add(&[]) }, 0..1);
    }
    let summary = apply(&restock, 3..5);
    let expected = RestockSummary {
        lines_applied: 1,
        lines_skipped: 1,
        skipped: vec!["y".to_owned()],
        ..RestockSummary::default()
    };
    assert_eq!(summary, expected);
    assert_eq!(state.line(&line_key("y")).unwrap().unwrap().available, ON_HAND_MAX);
    assert_eq!(state.line(&line_key("z")).unwrap().unwrap().available, 3);
}
