//! The house as it is drawn.

use super::*;
use crate::{
    adapters::memory::{MemoryStore, TokioClock},
    config::ProcessEnvironment,
    domain::{Seat, SeatState},
    gateway::view::fixtures::{EVENT, Tables, booked, epoch, held, seat},
    terminal::{Output, wider_than_80},
};

async fn shown(
    store: &dyn ScanStore,
    clock: &TokioClock,
    json: bool,
) -> (anyhow::Result<ExitCode>, String) {
    let ((out, text), (errors, _)) = (Output::captured(), Output::captured());
    let context = CliContext { environment: Box::new(ProcessEnvironment), out, errors };
    let ended = show(store, clock, EVENT, OutputFormat { json }, &context).await;
    (ended, text.text())
}

/// A seat in a section and a row, where it has them.
fn placed(section: Option<&str>, row: Option<&str>, occupancy: SeatState) -> Seat {
    let mut placed = seat("x", 1, occupancy);
    placed.details.section = section.map(|text| text.parse().unwrap());
    placed.details.row_number = row.map(|text| text.parse().unwrap());
    placed
}

#[tokio::test(start_paused = true)]
async fn a_house_is_drawn_in_natural_order_with_nameless_parts_last() {
    let clock = Arc::new(TokioClock::new(epoch()));
    let tables = Tables::new(&clock);
    for (number, section, row, occupancy) in [
        ("S2-A-2", Some("S2"), Some("2"), booked()),
        ("S2-A-10", Some("S2"), Some("2"), SeatState::Blocked),
        ("S2-A-1", Some("S2"), Some("2"), SeatState::Available),
        ("S2-B-1", Some("S2"), Some("10"), held("2026-11-22T09:00:00Z")),
        ("S2-C-1", Some("S2"), None, held("2026-11-22T10:10:00Z")),
        ("S10-1", Some("S10"), Some("1"), SeatState::Available),
        ("z", None, None, SeatState::Available),
    ] {
        tables.put_seat(number, placed(section, row, occupancy)).await;
    }
    let (ended, text) = shown(&*tables, &clock, false).await;
    assert_eq!(ended.unwrap(), ExitCode::Done);
    assert_eq!(wider_than_80(&text), Vec::<&str>::new());
    insta::assert_snapshot!(text, @"
    S2
       2  ABX
      10  E
       -  H

    S10
      1  A

    without a section
      -  A

    A 3 available   H 1 held   E 1 hold ended   B 1 booked   X 1 blocked
    4 of 7 seats can be reserved now
    ");
}

#[tokio::test(start_paused = true)]
async fn a_long_row_goes_on_in_the_next_line_under_a_name_that_is_cut() {
    let clock = Arc::new(TokioClock::new(epoch()));
    let tables = Tables::new(&clock);
    for number in 0..61 {
        let row = Some("a row with a very long name");
        tables.put_seat(&number.to_string(), placed(Some("s"), row, SeatState::Available)).await;
    }
    let (_, text) = shown(&*tables, &clock, false).await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[1], format!("  a row with a ver  {}", "A".repeat(60)));
    assert_eq!(lines[1].chars().count(), 80);
    assert_eq!(lines[2], format!("  {}  A", " ".repeat(16)));
}

#[tokio::test(start_paused = true)]
async fn json_has_every_seat_and_its_counts_but_no_user() {
    let clock = Arc::new(TokioClock::new(epoch()));
    let tables = Tables::new(&clock);
    tables.fill().await;
    let (_, text) = shown(&*tables, &clock, true).await;
    assert_eq!(text.lines().count(), 1);
    assert!(!text.contains("user"));
    let house: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(house["seats"].as_array().unwrap().len(), 25);
    assert_eq!((&house["counts"]["booked"], &house["event_id"]), (&1.into(), &EVENT.into()));
    assert_eq!(house["now"], "2026-11-22T10:00:00Z");
}

#[tokio::test(start_paused = true)]
async fn an_event_without_seats_fails_with_a_line_that_says_so() {
    let clock = Arc::new(TokioClock::new(epoch()));
    let store = MemoryStore::new(Arc::<TokioClock>::clone(&clock));
    let (failed, text) = shown(&store, &clock, false).await;
    let failed = failed.unwrap_err();
    assert_eq!((failed.to_string().as_str(), text.as_str()), ("event 42 has no seats", ""));
    assert_eq!(crate::cli::exit_code_of(&failed), ExitCode::Failed);
}
