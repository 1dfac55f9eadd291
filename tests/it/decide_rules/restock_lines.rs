//! Lines: expected versions, removals, committed goods, `as_of` in the future.

use inventory_worker::{
    decide::{AppliedEntries, InapplicableLine, ItemKey, Limits, RestockEntries, apply_entries},
    domain::{
        LineChange, ON_HAND_MAX, Outcome, QUANTITY_MAX, RejectedLine, RejectionCode, Restock,
        RestockMode, RestockSummary, Timestamp,
    },
};

use super::{EVENT, Show, line_key, listed, reserved};
use crate::world::{
    Items, Ran, Universe, at, confirm_stay, event, reserve, restock_lines, restock_seats, sku,
    state_of,
};

use RestockMode::{Add, Set};

fn of(mode: RestockMode, lines: &[(&str, i64, Option<u64>)]) -> Restock {
    let line = |(name, quantity, expected_version): &(&str, i64, Option<u64>)| LineChange {
        expected_version: *expected_version,
        ..LineChange::new(sku(name), *quantity)
    };
    Restock { lines: lines.iter().map(line).collect(), ..restock_lines(mode, &[]) }
}

fn counted(as_of: &str, lines: &[(&str, i64)]) -> Restock {
    Restock { as_of: Some(at(as_of)), ..restock_lines(Set, lines) }
}

fn short(name: &str, requested: i64, available: i64) -> RejectedLine {
    RejectedLine::Quantity { sku: sku(name), requested, available }
}

fn mismatch(name: &str, expected: u64, actual: u64) -> RejectedLine {
    RejectedLine::Version { sku: sku(name), expected, actual }
}

fn summary(ran: &Ran) -> &RestockSummary {
    match &ran.verdict.outcome {
        Outcome::Restocked { restock, .. } => restock,
        other => panic!("not restocked: {other:?}"),
    }
}

#[test]
fn a_line_at_its_expected_version_is_applied_and_one_that_is_not_rejects_the_restock() {
    let mut show = Show::new();
    show.reserve(reserve(1, "ann", &[], &[("y", 1)]), "10:00:00");
    for mode in [Set, Add] {
        let lines = [("x", 5, Some(2)), ("z", 5, Some(1)), ("y", 5, Some(2))];
        let ran = show.restock(of(mode, &lines), "10:00:01");
        assert_eq!(ran.code(), RejectionCode::VersionMismatch);
        assert_eq!(ran.rejection().lines, [mismatch("x", 2, 1), mismatch("z", 1, 0)]);
        assert_eq!(ran.rejection().message, "2 lines are not at expected_version");
        assert_eq!(ran.verdict.read_dependencies, []);
    }
    let ran = show.restock(of(Set, &[("x", 5, Some(1)), ("y", 5, Some(2))]), "10:00:02");
    assert_eq!(listed(&ran), ["x v2 5 5 0", "y v3 5 4 1"]);
    let ran = show.restock(of(Add, &[("x", -5, Some(2))]), "10:00:03");
    assert_eq!(listed(&ran), ["x v3 0 0 0"]);
}

#[test]
fn expected_version_0_says_that_the_sku_must_not_exist() {
    let mut show = Show::new();
    let ran = show.restock(of(Set, &[("x", 5, Some(0))]), "10:00:00");
    assert_eq!(ran.code(), RejectionCode::VersionMismatch);
    assert_eq!(ran.rejection().lines, [mismatch("x", 0, 1)]);
    assert_eq!(ran.rejection().message, "1 line is not at expected_version");
    let ran = show.restock(of(Set, &[("z", 5, Some(0))]), "10:00:01");
    assert_eq!(listed(&ran), ["z v1 5 5 0"]);
    let ran = show.restock(of(Set, &[("z", 6, Some(0))]), "10:00:02");
    assert_eq!(ran.rejection().lines, [mismatch("z", 0, 1)]);
}

/// Otherwise the verdict could be of a version that was never there.
#[test]
fn a_line_at_its_expected_version_that_does_not_change_is_rested_on() {
    let mut show = Show::new();
    let ran = show.restock(of(Set, &[("x", 10, Some(1)), ("y", 9, Some(1))]), "10:00:00");
    assert_eq!((summary(&ran).lines_applied, listed(&ran)), (2, vec!["y v2 9 9 0".to_owned()]));
    assert_eq!(ran.verdict.read_dependencies, [ItemKey::Line(line_key("x"))]);
    let ran = show.restock(of(Set, &[("x", 10, None)]), "10:00:01");
    assert_eq!(ran.verdict.read_dependencies, []);
}

#[test]
fn an_add_below_zero_takes_stock_away_down_to_nothing_available_and_no_further() {
    let mut show = Show::new();
    show.reserve(reserve(1, "ann", &[], &[("x", 4)]), "10:00:00");
    let ran =
        show.restock(of(Add, &[("x", -7, None), ("y", -10, None), ("z", -1, None)]), "10:01:00");
    assert_eq!(ran.code(), RejectionCode::InsufficientStock);
    assert_eq!(ran.rejection().lines, [short("x", -7, 6), short("z", -1, 0)]);
    let ran = show.restock(of(Add, &[("x", -6, None), ("y", -10, None)]), "10:01:00");
    assert_eq!(listed(&ran), ["x v3 4 0 4", "y v2 0 0 0"]);
    let ran = show.restock(of(Add, &[("x", -1, None)]), "10:02:00");
    assert_eq!(ran.rejection().lines, [short("x", -1, 0)]);
}

#[test]
fn in_a_shortfall_nothing_is_taken_away_and_what_comes_in_is_added() {
    let mut show = Show::new();
    show.plant_line("x", -3, 5);
    let ran = show.restock(of(Add, &[("x", -1, None)]), "10:00:00");
    assert_eq!(ran.rejection().lines, [short("x", -1, -3)]);
    show.restock(of(Add, &[("x", 0, None)]), "10:00:00");
    show.restock(of(Add, &[("x", 2, None)]), "10:00:01");
    assert_eq!(show.stock("x"), [-1, 5, 0]);
}

#[test]
fn a_count_is_of_what_stands_on_the_shelf_so_held_and_committed_goods_are_taken_off_it() {
    let mut show = reserved();
    show.confirm(confirm_stay(1, "b-1"), "10:05:00").reservation();
    show.reserve(reserve(2, "ben", &[], &[("x", 2)]), "10:06:00").reservation();
    let ran = show.restock(of(Set, &[("x", 10, None)]), "10:07:00");
    assert_eq!((show.stock("x"), ran.changes.len()), ([5, 2, 3], 0), "as it was");
    show.restock(of(Set, &[("x", 30, None)]), "10:08:00");
    assert_eq!((show.stock("x"), show.line("x").on_hand()), ([25, 2, 3], 30));
    show.restock(of(Set, &[("x", 4, None)]), "10:09:00");
    assert_eq!((show.stock("x"), show.line("x").on_hand()), ([-1, 2, 3], 4));
    show.restock(of(Add, &[("x", 2, None)]), "10:10:00");
    assert_eq!(show.stock("x"), [1, 2, 3]);
}

#[test]
fn committed_goods_count_towards_the_bound_of_on_hand() {
    let mut show = reserved();
    show.confirm(confirm_stay(1, "b-1"), "10:05:00").reservation();
    show.plant_line("x", ON_HAND_MAX - 4, 0);
    assert_eq!(
        show.restock(of(Add, &[("x", 2, None)]), "10:06:00").code(),
        RejectionCode::LimitExceeded
    );
    show.restock(of(Add, &[("x", 1, None)]), "10:06:00");
    assert_eq!((show.stock("x"), show.line("x").on_hand()), ([ON_HAND_MAX - 3, 0, 3], ON_HAND_MAX));
}

#[test]
fn a_count_of_the_future_is_refused_beyond_what_clocks_may_differ() {
    let mut show = Show::new();
    let ran = show.restock(counted("10:01:00.000000001", &[("x", 5)]), "10:00:00");
    assert_eq!(ran.code(), RejectionCode::LimitExceeded);
    assert!(ran.rejection().message.contains("allows 60 seconds"), "{ran:?}");
    assert_eq!((show.line("x").version, show.line("x").as_of), (1, None));
    show.restock(counted("10:01:00", &[("x", 5)]), "10:00:00");
    assert_eq!(show.line("x").as_of, Some(at("10:01:00")));
    show.world.limits = Limits { as_of_ahead_seconds_max: 0, ..Limits::default() };
    let ran = show.restock(counted("10:02:00.001", &[("x", 6)]), "10:02:00");
    assert_eq!(ran.code(), RejectionCode::LimitExceeded);
    show.restock(counted("10:02:00", &[("x", 6)]), "10:02:00");
    assert_eq!(show.stock("x"), [6, 0, 0]);
}

#[test]
fn an_as_of_of_the_future_is_refused_with_add_and_with_seats_alone_too() {
    let mut show = Show::new();
    let future = Some(Timestamp::MAX);
    for restock in [of(Add, &[("x", 1, None)]), restock_seats(&["B-1"])] {
        let ran = show.restock(Restock { as_of: future, ..restock }, "10:00:00");
        assert_eq!(ran.code(), RejectionCode::LimitExceeded);
    }
}

/// `as_of` → expected versions → (older ones skipped) → stock to take away → bound of on hand.
#[test]
fn the_first_check_that_fails_gives_the_code() {
    let mut show = Show::new();
    show.restock(counted("09:30:00", &[("x", 10)]), "09:30:00");
    show.plant_line("y", ON_HAND_MAX, 0);
    let versions = [("x", 5, Some(9))];
    let future = Restock { as_of: Some(at("11:00:00")), ..of(Set, &versions) };
    assert_eq!(show.restock(future, "10:00:00").code(), RejectionCode::LimitExceeded);
    let old = Restock { as_of: Some(at("09:00:00")), ..of(Set, &versions) };
    assert_eq!(show.restock(old, "10:00:00").code(), RejectionCode::VersionMismatch);
    let old = Restock { as_of: Some(at("09:00:00")), ..of(Set, &[("x", 5, Some(2))]) };
    assert_eq!(summary(&show.restock(old, "10:00:00")).lines_skipped, 1);
    let all = [("y", 1, None), ("x", -11, None), ("z", 1, Some(1))];
    let ran = show.restock(of(Add, &all), "10:00:00");
    assert_eq!(ran.rejection().lines, [mismatch("z", 1, 0)]);
    let ran = show.restock(of(Add, &all[..2]), "10:00:00");
    assert_eq!(ran.code(), RejectionCode::InsufficientStock);
    assert_eq!(ran.rejection().lines, [short("x", -11, 10)]);
    let ran = show.restock(of(Add, &all[..1]), "10:00:00");
    assert_eq!(ran.rejection().lines, [short("y", 1, ON_HAND_MAX)]);
}

#[test]
fn reason_and_reference_are_repeated_in_the_outcome() {
    let mut show = Show::new();
    let reason = Some("stocktaking".parse().unwrap());
    let reference = Some("https://erp.example/counts/7".parse().unwrap());
    let restock = Restock { reason, reference, ..of(Set, &[("x", 5, None)]) };
    let ran = show.restock(restock.clone(), "10:00:00");
    let summary = RestockSummary { lines_applied: 1, ..RestockSummary::default() };
    let Restock { reason, reference, .. } = restock;
    assert_eq!(ran.verdict.outcome, Outcome::Restocked { restock: summary, reason, reference });
}

/// Of a restock in chunks, some of which have been applied.
#[test]
fn a_chunk_skips_and_counts_what_a_small_restock_is_rejected_for() {
    let universe = Universe::of(&[event(EVENT)], &[], &["a", "b", "c", "d"], 0);
    let mut state = state_of(&universe, &Items::default());
    let pool = &event(EVENT);
    let mut apply = |restock: &Restock| {
        let (range, inapplicable) = (0..restock.entries(), InapplicableLine::Skip);
        let entries = RestockEntries { pool, restock, range, inapplicable };
        apply_entries(&mut state, &entries, at("10:00:00")).unwrap()
    };
    let near = ON_HAND_MAX - i64::try_from(QUANTITY_MAX).unwrap() + 1;
    apply(&of(Add, &[("a", 5, None), ("b", near, None)]));
    let most = i64::try_from(QUANTITY_MAX).unwrap();
    let lines = [("a", -6, None), ("b", most, None), ("c", 1, Some(3)), ("d", 4, Some(0))];
    let AppliedEntries { summary, read_dependencies } = apply(&of(Add, &lines));
    assert_eq!((summary.lines_applied, summary.lines_skipped), (1, 3));
    // In the message's order, whichever check each failed.
    assert_eq!(summary.skipped, ["a", "b", "c"]);
    assert_eq!(read_dependencies, []);
    let available = |name: &str| {
        let line = state.line(&line_key(name)).unwrap();
        line.map(|line| line.available)
    };
    let quantities = ["a", "b", "c", "d"].map(available);
    assert_eq!(quantities, [Some(5), Some(near), None, Some(4)]);
}
