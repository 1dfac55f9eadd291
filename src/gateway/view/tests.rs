//! The projection itself.

use std::{io::Read as _, sync::Arc};

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use super::{
    fixtures::{Tables, at, booked, epoch, event, held, line, seat, shop},
    *,
};
use crate::{
    adapters::memory::TokioClock,
    domain::{Seat, SeatState, SeatStatus},
};

fn tables() -> Arc<Tables> {
    Tables::new(&Arc::new(TokioClock::new(epoch())))
}

async fn read(tables: &Tables, pool: &PoolId) -> PoolView {
    match read_pool(tables, pool, usize::MAX).await.unwrap() {
        Content::View(view) => Arc::unwrap_or_clone(view),
        other => panic!("{other:?}"),
    }
}

fn entry(view: &PoolView, number: &str) -> SeatEntry {
    let number: SeatNumber = number.parse().unwrap();
    let position = view.layout().numbers.binary_search(&number).unwrap();
    view.seats()[position]
}

fn hint(number: &str, version: u64, status: SeatStatus) -> Hint {
    Hint::Seat(number.parse().unwrap(), SeatEntry::new(version, status, None, false))
}

#[tokio::test(start_paused = true)]
async fn a_pool_of_several_pages_is_read_whole_and_one_that_is_too_large_not_to_its_end() {
    let tables = tables();
    tables.fill().await;
    let view = read(&tables, &event()).await;
    assert_eq!((view.seats().len(), view.lines().count()), (25, 0));
    let place = view.layout().place(0).unwrap();
    assert_eq!(place.number.as_str(), "A-1");
    let text = |text: Option<&Arc<str>>| text.map(ToString::to_string);
    assert_eq!(text(place.section).as_deref(), Some("A"));
    assert_eq!(text(place.row_number).as_deref(), Some("1"));
    assert_eq!(text(place.price).as_deref(), Some("49.50"));
    assert_eq!(place.seat_type, None);
    let skus: Vec<String> =
        read(&tables, &shop()).await.lines().map(|(sku, _)| sku.to_string()).collect();
    assert_eq!(skus, ["apple", "bread"]);
    let before = tables.pages();
    assert_eq!(read_pool(&*tables, &event(), 9).await, Ok(Content::TooLarge));
    assert_eq!(tables.pages() - before, 1);
    assert_eq!(read_pool(&*tables, &PoolId::Event(7), 9).await, Ok(Content::Nothing));
}

#[tokio::test(start_paused = true)]
async fn an_entry_is_replaced_by_a_higher_version_alone() {
    let tables = tables();
    tables.fill().await;
    let mut view = read(&tables, &event()).await;
    let older = view.clone();
    for (version, expected, known) in
        [(5, Applied::Changed, 5), (5, Applied::Known, 5), (4, Applied::Known, 5)]
    {
        let before = view.generation();
        assert_eq!(view.apply(&hint("A-2", version, SeatStatus::Available)), expected);
        assert_eq!(entry(&view, "A-2").version, known);
        assert_eq!(view.generation() - before, u64::from(expected == Applied::Changed));
    }
    assert_eq!(view.apply(&hint("Z-9", 1, SeatStatus::Available)), Applied::Unknown);
    // A read that began before the hint.
    let merged = view.refreshed(&older);
    assert_eq!(entry(&merged, "A-2"), entry(&view, "A-2"));
    assert_eq!(merged.generation(), view.generation());
}

#[tokio::test(start_paused = true)]
async fn a_line_is_replaced_by_a_higher_version_alone() {
    let tables = tables();
    tables.fill().await;
    let mut view = read(&tables, &shop()).await;
    let older = view.clone();
    let hint = |version, available| {
        Hint::Line("apple".parse().unwrap(), LineEntry::from(&line(version, available)))
    };
    assert_eq!(view.apply(&hint(6, 3)), Applied::Changed);
    assert_eq!(view.apply(&hint(5, 9)), Applied::Known);
    let merged = view.refreshed(&older);
    let (_, apple) = merged.lines().next().unwrap();
    assert_eq!((apple.version, apple.available, apple.on_hand()), (6, 3, 6));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_adds_removes_and_replaces() {
    let tables = tables();
    tables.fill().await;
    let before = read(&tables, &event()).await;
    assert_eq!(before.refreshed(&before.clone()), before);
    tables.put_seat("A-1", seat("A", 2, booked())).await;
    let sold = before.refreshed(&read(&tables, &event()).await);
    assert_eq!(sold.generation(), before.generation() + 1);
    assert_eq!(sold.layout_generation(), before.layout_generation());
    assert!(Arc::ptr_eq(&sold.layout, &before.layout));
    assert_eq!(entry(&sold, "A-1").status, SeatStatus::Booked);
    tables.put_seat("A-15", seat("A", 1, SeatState::Available)).await;
    let restocked = sold.refreshed(&read(&tables, &event()).await);
    assert_eq!(restocked.layout_generation(), before.layout_generation() + 1);
    assert_eq!(restocked.seats().len(), 26);
    assert_eq!(entry(&restocked, "A-2"), entry(&before, "A-2"));
    // Gone from the tables, gone from the view.
    assert_eq!(restocked.refreshed(&before).seats().len(), 25);
}

#[tokio::test(start_paused = true)]
async fn seats_are_counted_by_reason_at_an_instant() {
    let tables = tables();
    tables.fill().await;
    let ended = Seat { withheld: true, ..seat("B", 1, held("2026-11-22T09:00:00Z")) };
    tables.put_seat("B-2", ended).await;
    let view = read(&tables, &event()).await;
    let now = Availability::of(&view, at("2026-11-22T10:09:59.999Z"));
    let expected = Counts {
        total: 26,
        sellable: 22,
        available: 22,
        held: 2,
        hold_ended: 0,
        booked: 1,
        blocked: 1,
    };
    assert_eq!(now.counts, expected);
    let later = Availability::of(&view, at("2026-11-22T10:10:00Z"));
    assert_eq!(later.counts, Counts { sellable: 23, held: 1, hold_ended: 1, ..expected });
    let sections: Vec<(Option<&str>, u64)> =
        later.groups.iter().map(|one| (one.section.as_deref(), one.counts.total)).collect();
    assert_eq!(sections, [(Some("A"), 3), (Some("B"), 2), (Some("C"), 21)]);
    assert_eq!(view.next_end(epoch()), Some(at("2026-11-22T10:10:00Z")));
    assert_eq!(view.next_end(at("2026-11-22T10:10:00Z")), None);
}

fn unpacked(document: &Document) -> Value {
    let mut json = Vec::new();
    GzDecoder::new(document.gzip.as_deref().unwrap()).read_to_end(&mut json).unwrap();
    assert_eq!(json, document.plain);
    serde_json::from_slice(&json).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_map_has_a_letter_a_version_and_the_end_of_each_hold() {
    let tables = tables();
    tables.put_seat("1", seat("A", 1, SeatState::Available)).await;
    tables.put_seat("2", seat("A", 4, held("2026-11-22T10:10:00Z"))).await;
    tables.put_seat("3", seat("A", 3, booked())).await;
    tables.put_seat("4", seat("B", 2, SeatState::Blocked)).await;
    tables.put_seat("5", seat("B", 9, held("2026-11-22T10:09:00Z"))).await;
    let view = read(&tables, &event()).await;
    let layout = Document::layout(&view);
    let expected = json!({
        "event_id": 42,
        "numbers": ["1", "2", "3", "4", "5"],
        "sections": { "values": ["A", "B"], "of": [0, 0, 0, 1, 1] },
        "rows": { "values": ["1"], "of": [0, 0, 0, 0, 0] },
        "types": { "values": [], "of": [null, null, null, null, null] },
        "prices": { "values": ["49.50"], "of": [0, 0, 0, 0, 0] },
    });
    assert_eq!(unpacked(&layout), expected);
    let now = at("2026-11-22T10:09:30Z");
    let map = Document::map(&view, &layout.tag, now);
    let expected = json!({
        "event_id": 42,
        "layout": &*layout.tag,
        "status": "ARBXR",
        "sellable": "10001",
        "versions": [1, 4, 3, 2, 9],
        "holds": { "from": "2026-11-22T10:09:00Z", "after": [60, 0] },
    });
    assert_eq!(unpacked(&map), expected);
    assert_eq!(Document::map(&view, &layout.tag, now), map);
    assert_ne!(Document::map(&view, &layout.tag, at("2026-11-22T10:10:00Z")).tag, map.tag);
}

/// Every seat another state than its neighbour, every hold another end within 10 minutes: worse
/// than any sale, in which seats are held in blocks.
#[test]
fn a_map_of_20_000_seats_is_64_kilobytes_at_most() {
    let mut random = fastrand::Rng::with_seed(1);
    let statuses =
        [SeatStatus::Available, SeatStatus::Reserved, SeatStatus::Booked, SeatStatus::Blocked];
    let mut layout = SeatLayout::default();
    let seats: Vec<SeatEntry> = (0..20_000)
        .map(|number| {
            let number: SeatNumber = format!("A-{number:05}").parse().unwrap();
            layout.push(number, &crate::domain::SeatDetails::default());
            let seconds = jiff::SignedDuration::from_secs(random.i64(0..600));
            let until = epoch().checked_add(seconds).ok();
            let status = random.choice(statuses).unwrap();
            SeatEntry::new(random.u64(1..40), status, until, false)
        })
        .collect();
    let all_held = seats.iter().map(|seat| {
        let until = epoch().checked_add(jiff::SignedDuration::from_secs(random.i64(0..600)));
        SeatEntry::new(seat.version, SeatStatus::Reserved, until.ok(), false)
    });
    for seats in [all_held.collect(), seats.clone()] {
        let view = PoolView {
            pool: event(),
            generation: 1,
            layout_generation: 1,
            layout: Arc::new(layout.clone()),
            seats,
            skus: Arc::default(),
            lines: Vec::new(),
        };
        let bytes = Document::map(&view, "0123456789abcdef", epoch()).gzip.unwrap().len();
        assert!(bytes <= 64 * 1_024, "{bytes}");
    }
}
