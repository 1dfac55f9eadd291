//! What callers are answered, from memory and from the tables.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    adapters::memory::TokioClock,
    domain::{LineKey, Reservation, ReservationId, ReservationStatus, SeatKey, SeatState},
    gateway::{
        Scopes,
        view::fixtures::{EVENT, Tables, at, epoch, event, held, line, seat, shop},
    },
    ports::{Expected, Write},
};

async fn filled(entries_max: usize) -> (Arc<Tables>, Queries) {
    let clock = Arc::new(TokioClock::new(epoch()));
    let tables = Tables::new(&clock);
    tables.fill().await;
    let store: Arc<dyn ScanStore> = Arc::clone(&tables) as _;
    let view = ViewSettings { entries_max, ..ViewSettings::default() };
    (tables, Queries::new(store, clock, QuerySettings { view }))
}

fn caller(scopes: &[Scope]) -> Caller {
    let scopes: Scopes = scopes.iter().copied().collect();
    Caller { scopes, ..Caller::local() }
}

fn public() -> Caller {
    caller(&[Scope::Read])
}

fn numbers(seats: &[SeatInfo]) -> Vec<&str> {
    seats.iter().map(|seat| seat.seat_number.as_str()).collect()
}

fn request(limit: u32, cursor: Option<String>) -> PageRequest {
    PageRequest { limit: Some(limit), cursor }
}

/// Every seat of a list, and the number of its pages.
async fn all_seats(queries: &Queries, filter: &SeatFilter, limit: u32) -> (Vec<SeatInfo>, usize) {
    let (mut seats, mut cursor) = (Vec::new(), None);
    for pages in 1..100 {
        let page = queries.seats(&public(), EVENT, filter, &request(limit, cursor)).await.unwrap();
        assert!(page.seats.len() <= limit.try_into().unwrap());
        seats.extend(page.seats);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return (seats, pages);
        }
    }
    panic!("the list does not end");
}

#[tokio::test(start_paused = true)]
async fn a_list_is_the_same_from_memory_and_from_the_tables_whatever_its_pages() {
    let (_, memory) = filled(50_000).await;
    let (_, store) = filled(24).await;
    let section = |text: &str| Some(text.parse().unwrap());
    let filters = [
        (SeatFilter::default(), 25),
        (SeatFilter { sellable: Some(true), ..SeatFilter::default() }, 22),
        (SeatFilter { sellable: Some(false), ..SeatFilter::default() }, 3),
        (SeatFilter { status: Some(SeatStatus::Reserved), ..SeatFilter::default() }, 1),
        (SeatFilter { section: section("A"), ..SeatFilter::default() }, 3),
        (SeatFilter { section: section("Z"), ..SeatFilter::default() }, 0),
    ];
    for (filter, count) in filters {
        let (expected, pages) = all_seats(&memory, &filter, 1_000).await;
        assert_eq!((expected.len(), pages), (count, 1), "{filter:?}");
        for limit in [1, 7, 25] {
            for queries in [&memory, &store] {
                assert_eq!(all_seats(queries, &filter, limit).await.0, expected, "{filter:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_goes_on_where_its_pool_has_left_memory_or_come_into_it() {
    let (_, memory) = filled(50_000).await;
    let (_, store) = filled(24).await;
    let all = all_seats(&memory, &SeatFilter::default(), 1_000).await.0;
    for (first, second) in [(&memory, &store), (&store, &memory)] {
        let filter = SeatFilter::default();
        let page = first.seats(&public(), EVENT, &filter, &request(13, None)).await.unwrap();
        let next = request(100, page.next_cursor);
        let rest = second.seats(&public(), EVENT, &filter, &next).await.unwrap();
        assert_eq!([page.seats, rest.seats].concat(), all);
        assert_ne!(page.freshness.source, rest.freshness.source);
    }
}

/// A house of 6,025 seats, too large to keep, which was found out.
async fn large() -> (Arc<Tables>, Queries) {
    let (tables, queries) = filled(24).await;
    for number in 0..6_000 {
        tables.put_seat(&format!("D-{number:04}"), seat("D", 1, SeatState::Available)).await;
    }
    queries.seats(&public(), EVENT, &SeatFilter::default(), &request(1, None)).await.unwrap();
    tables.take_limits();
    (tables, queries)
}

/// A filter that no seat matches.
fn nothing() -> SeatFilter {
    SeatFilter { section: Some("Z".parse().unwrap()), ..SeatFilter::default() }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_finds_nothing_reads_5_000_entries_of_the_tables_at_most() {
    let (tables, queries) = large().await;
    let before = tables.entries_read();
    let page = queries.seats(&public(), EVENT, &nothing(), &request(10, None)).await.unwrap();
    assert!(page.seats.is_empty() && page.next_cursor.is_some());
    assert_eq!(tables.entries_read() - before, 5_000);
    // The tables give ten at a time, whatever they are asked for.
    let limits = tables.take_limits();
    assert_eq!(limits[..6], [50, 100, 200, 400, 800, 1_000]);
    assert_eq!(limits[498..], [20, 10]);
    let next = request(10, page.next_cursor);
    let last = queries.seats(&public(), EVENT, &nothing(), &next).await.unwrap();
    assert!(last.seats.is_empty() && last.next_cursor.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_list_from_the_tables_reads_what_it_answers() {
    let (tables, queries) = large().await;
    let all = SeatFilter::default();
    let sellable = SeatFilter { sellable: Some(true), ..SeatFilter::default() };
    for (filter, limit, expected) in
        [(&all, 1, [1].as_slice()), (&all, 10, &[10]), (&all, 15, &[15, 5]), (&sellable, 1, &[50])]
    {
        queries.seats(&public(), EVENT, filter, &request(limit, None)).await.unwrap();
        assert_eq!(tables.take_limits(), expected, "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_list_that_would_wait_for_long_answers_what_it_has_or_is_refused() {
    let (_, queries) = large().await;
    let (caller, filter, all) = (public(), nothing(), SeatFilter::default());
    let first = request(10, None);
    let lists = (0..20).map(|_| queries.seats(&caller, EVENT, &filter, &first));
    // None has read all that one may: the others are in its way.
    for list in futures::future::join_all(lists).await {
        let mut cursor = list.unwrap().next_cursor;
        assert!(cursor.is_some());
        tokio::time::advance(Duration::from_secs(10)).await;
        while cursor.is_some() {
            let next = request(10, cursor);
            cursor = queries.seats(&caller, EVENT, &filter, &next).await.unwrap().next_cursor;
        }
    }
    tokio::time::advance(Duration::from_secs(10)).await;
    let long = request(1_000, None);
    let lists = (0..200).map(|_| queries.seats(&caller, EVENT, &all, &long));
    let lists = futures::future::join_all(lists).await;
    // The burst, and those that wait for two seconds at most.
    let (answered, refused): (Vec<_>, Vec<_>) = lists.iter().partition(|list| list.is_ok());
    assert!(answered.len() >= 20 && refused.len() >= 100, "{} answered", answered.len());
    assert!(refused.iter().all(|list| **list == Err(QueryError::Busy)));
}

#[tokio::test(start_paused = true)]
async fn a_cursor_of_other_filters_is_refused() {
    let (tables, queries) = filled(50_000).await;
    let filter = SeatFilter { sellable: Some(true), ..SeatFilter::default() };
    let page = queries.seats(&public(), EVENT, &filter, &request(5, None)).await.unwrap();
    let cursor = page.next_cursor.unwrap();
    let other = SeatFilter { sellable: Some(false), ..SeatFilter::default() };
    tables.put_seat("Z", seat("Z", 1, held("2026-11-22T10:10:00Z"))).await;
    for (event_id, filter, cursor) in [
        (EVENT, &other, cursor.as_str()),
        (EVENT + 1, &filter, &cursor),
        (EVENT, &filter, "garbage"),
        (EVENT, &filter, ""),
    ] {
        let request = request(5, Some(cursor.to_owned()));
        let refused = queries.seats(&public(), event_id, filter, &request).await.unwrap_err();
        let QueryError::Invalid { field: "cursor", .. } = refused else { panic!("{refused:?}") };
    }
    let lines = queries.lines(&public(), &event(), &request(5, Some(cursor))).await;
    assert!(matches!(lines, Err(QueryError::Invalid { field: "cursor", .. })), "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_a_caller_made_up_is_a_wrong_cursor() {
    let (_, queries) = filled(24).await;
    let filter = SeatFilter::default();
    let binding = filter.binding(&event());
    // A seat number has no line break.
    let cursor = cursor::Position { after: Some("made\nup".to_owned()) }.encode(binding);
    let refused = queries.seats(&public(), EVENT, &filter, &request(5, Some(cursor))).await;
    assert!(matches!(refused, Err(QueryError::Invalid { field: "cursor", .. })), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_from_1_to_1000() {
    let (_, queries) = filled(50_000).await;
    for limit in [0, 1_001, u32::MAX] {
        let seats =
            queries.seats(&public(), EVENT, &SeatFilter::default(), &request(limit, None)).await;
        assert!(matches!(seats, Err(QueryError::Invalid { field: "limit", .. })), "{limit}");
        let lines = queries.lines(&public(), &shop(), &request(limit, None)).await;
        assert!(matches!(lines, Err(QueryError::Invalid { field: "limit", .. })), "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn lines_are_listed_with_what_is_on_hand() {
    for entries_max in [50_000, 1] {
        let (_, queries) = filled(entries_max).await;
        let first = queries.lines(&public(), &shop(), &request(1, None)).await.unwrap();
        let apple = &first.lines[0];
        assert_eq!((apple.sku.as_str(), apple.quantity, apple.available), ("apple", 13, 10));
        let next = request(1_000, first.next_cursor);
        let rest = queries.lines(&public(), &shop(), &next).await.unwrap();
        assert_eq!((rest.lines[0].sku.as_str(), rest.next_cursor), ("bread", None));
    }
    let (_, queries) = filled(50_000).await;
    let unknown = PoolId::Store("no-such".parse().unwrap());
    let missing = queries.lines(&public(), &unknown, &PageRequest::default()).await;
    assert_eq!(missing, Err(QueryError::no_pool(&unknown)));
}

#[tokio::test(start_paused = true)]
async fn a_point_read_is_what_is_committed_whatever_the_view_has() {
    let (tables, queries) = filled(50_000).await;
    let page = PageRequest::default();
    queries.seats(&public(), EVENT, &SeatFilter::default(), &page).await.unwrap();
    tables.put_seat("A-1", seat("A", 2, held("2026-11-22T10:10:00Z"))).await;
    let key = SeatKey { event_id: EVENT, number: "A-1".parse().unwrap() };
    let found = queries.seat(&public(), &key).await.unwrap();
    assert_eq!((found.seat.version, found.seat.status), (2, SeatStatus::Reserved));
    assert_eq!(found.freshness.source, ViewSource::Store);
    let listed = queries.seats(&public(), EVENT, &SeatFilter::default(), &page).await.unwrap();
    assert_eq!(listed.seats[0].version, 1);
    let key = LineKey { pool: shop(), sku: "apple".parse().unwrap() };
    tables.put_line(&shop(), "apple", line(6, 1)).await;
    assert_eq!(queries.line(&public(), &key).await.unwrap().line.quantity, 4);
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_ran_out_is_sellable_without_a_write() {
    let (_, queries) = filled(50_000).await;
    tokio::time::advance(std::time::Duration::from_secs(600)).await;
    let filter =
        SeatFilter { sellable: Some(true), status: Some(SeatStatus::Reserved), section: None };
    let found = queries.seats(&public(), EVENT, &filter, &PageRequest::default()).await.unwrap();
    assert_eq!(numbers(&found.seats), ["A-2"]);
    assert_eq!(found.freshness.now, at("2026-11-22T10:10:00Z"));
    let key = SeatKey { event_id: EVENT, number: "A-2".parse().unwrap() };
    assert!(queries.seat(&public(), &key).await.unwrap().seat.sellable);
    let counts = queries.availability(&public(), EVENT).await.unwrap().availability.counts;
    assert_eq!((counts.sellable, counts.hold_ended, counts.held), (23, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn owners_are_for_those_who_may_read_what_is_private() {
    let (_, queries) = filled(50_000).await;
    let key = SeatKey { event_id: EVENT, number: "A-3".parse().unwrap() };
    assert_eq!(queries.seat(&public(), &key).await.unwrap().seat.owner, None);
    let private = caller(&[Scope::ReadPrivate]);
    let owner = queries.seat(&private, &key).await.unwrap().seat.owner.unwrap();
    assert_eq!(owner.user_id.as_str(), "user-8");
    assert_eq!(owner.booking_id.unwrap().as_str(), "booking-8");
    let filter = SeatFilter::default();
    let listed = queries.seats(&private, EVENT, &filter, &PageRequest::default()).await.unwrap();
    assert!(listed.seats.iter().all(|seat| seat.owner.is_none()));
    let id = ReservationId(uuid::Uuid::nil());
    let refused = queries.reservation(&public(), id).await.unwrap_err();
    assert_eq!(refused, QueryError::NoScope(Scope::ReadPrivate));
}

#[tokio::test(start_paused = true)]
async fn a_caller_without_the_scope_reads_nothing() {
    let (tables, queries) = filled(50_000).await;
    let unscoped = caller(&[Scope::Command]);
    let page = PageRequest::default();
    let seat = SeatKey { event_id: EVENT, number: "A-3".parse().unwrap() };
    let line = LineKey { pool: shop(), sku: "apple".parse().unwrap() };
    let refused = [
        queries.seat(&unscoped, &seat).await.err(),
        queries.line(&unscoped, &line).await.err(),
        queries.seats(&unscoped, EVENT, &SeatFilter::default(), &page).await.err(),
        queries.lines(&unscoped, &shop(), &page).await.err(),
        queries.availability(&unscoped, EVENT).await.err(),
        queries.layout(&unscoped, EVENT).await.err(),
        queries.map(&unscoped, EVENT).await.err(),
    ];
    assert!(refused.iter().all(|error| *error == Some(QueryError::NoScope(Scope::Read))));
    assert_eq!(tables.pages(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_is_not_found() {
    let (_, queries) = filled(50_000).await;
    let caller = Caller::local();
    let seat = SeatKey { event_id: EVENT, number: "no".parse().unwrap() };
    let line = LineKey { pool: shop(), sku: "no".parse().unwrap() };
    let id = ReservationId(uuid::Uuid::nil());
    let page = PageRequest::default();
    let errors = [
        queries.seat(&caller, &seat).await.err(),
        queries.line(&caller, &line).await.err(),
        queries.reservation(&caller, id).await.err(),
        queries.seats(&caller, 7, &SeatFilter::default(), &page).await.err(),
        queries.map(&caller, 7).await.err(),
    ];
    let codes = errors.map(|error| match error {
        Some(QueryError::NotFound { code, .. }) => code,
        other => panic!("{other:?}"),
    });
    let expected = [
        "SEAT_NOT_FOUND",
        "SKU_NOT_FOUND",
        "RESERVATION_NOT_FOUND",
        "EVENT_NOT_FOUND",
        "EVENT_NOT_FOUND",
    ];
    assert_eq!(codes, expected);
}

#[tokio::test(start_paused = true)]
async fn a_reservation_is_found_by_its_id() {
    let (tables, queries) = filled(50_000).await;
    let reservation = Reservation {
        reservation_id: ReservationId(uuid::Uuid::from_u128(7)),
        pool: event(),
        source: "/test".parse().unwrap(),
        user_id: "user-7".parse().unwrap(),
        status: ReservationStatus::Active,
        version: 1,
        seats: vec!["A-2".parse().unwrap()],
        lines: Vec::new(),
        booking_id: None,
        goods: None,
        fulfilled_at: None,
        created_at: epoch(),
        expires_at: at("2026-11-22T10:10:00Z"),
        ended_at: None,
    };
    let expected = Expected::Absent;
    tables.write(Write::Reservation { expected, reservation: reservation.clone() }).await;
    let found = queries.reservation(&Caller::local(), reservation.reservation_id).await.unwrap();
    assert_eq!(found.reservation, reservation);
}

#[tokio::test(start_paused = true)]
async fn an_event_too_large_to_keep_has_pages_but_no_map() {
    let (_, queries) = filled(24).await;
    let expected = QueryError::TooLarge { entries_max: 24 };
    assert_eq!(queries.map(&public(), EVENT).await, Err(expected.clone()));
    assert_eq!(queries.availability(&public(), EVENT).await, Err(expected));
}

#[tokio::test(start_paused = true)]
async fn tables_that_fail_are_an_error_to_retry() {
    let (tables, queries) = filled(50_000).await;
    let down = PortError::Unavailable("down".to_owned());
    tables.fail(Some(down.clone()));
    let key = SeatKey { event_id: EVENT, number: "A-3".parse().unwrap() };
    let expected = QueryError::Unavailable(down);
    assert_eq!(queries.seat(&public(), &key).await, Err(expected.clone()));
    assert_eq!(queries.map(&public(), EVENT).await, Err(expected));
}

proptest! {
    #[test]
    fn no_cursor_makes_a_query_panic(cursor in ".{0,60}") {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (_, queries) = filled(24).await;
            let request = request(5, Some(cursor));
            let filter = SeatFilter::default();
            let answer = queries.seats(&public(), EVENT, &filter, &request).await;
            assert!(matches!(answer, Err(QueryError::Invalid { field: "cursor", .. })));
        });
    }
}
