use super::*;
use crate::{
    adapters::memory::TokioClock,
    gateway::view::{
        Content,
        fixtures::{Tables, epoch, event, shop},
        read_pool,
    },
    ports::snapshots::SNAPSHOT_BYTES_MAX,
};
use std::sync::Arc;

async fn read(pool: &PoolId) -> PoolView {
    let tables = Tables::new(&Arc::new(TokioClock::new(epoch())));
    tables.fill().await;
    match read_pool(&*tables, pool, 1_000).await.unwrap() {
        Content::View(view) => Arc::unwrap_or_clone(view),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_projection_is_unpacked_as_it_was_packed() {
    for pool in [event(), shop()] {
        let view = read(&pool).await;
        assert_eq!(unpack(&pool, &pack(&view)), Some(view));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_of_another_pool_or_release_or_no_projection_is_not_unpacked() {
    let view = read(&event()).await;
    let packed = pack(&view);
    assert_eq!(unpack(&shop(), &packed), None);
    let mut json = String::new();
    GzDecoder::new(&*packed).read_to_string(&mut json).unwrap();
    let compressed = |json: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(json.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    assert_eq!(unpack(&event(), &compressed(&json)), Some(view));
    let others = [
        json.replace(r#""format":1"#, r#""format":2"#),
        json.replace("AVAILABLE", "SOLD"),
        json.replace("49.50", "a lot"),
        "{}".to_owned(),
        String::new(),
    ];
    for other in others {
        assert_eq!(unpack(&event(), &compressed(&other)), None, "{other}");
    }
    for bytes in [&packed[..packed.len() / 2], b"", b"text"] {
        assert_eq!(unpack(&event(), bytes), None);
    }
}

#[test]
fn the_largest_pool_that_is_kept_fits() {
    let seats = (0..50_000u64).map(|number| {
        let details = SeatDetails {
            section: Some(format!("section {}", number / 1_000).parse().unwrap()),
            row_number: Some(format!("row {}", number / 50).parse().unwrap()),
            seat_type: Some("standard".parse().unwrap()),
            price: Some("49.50".parse().unwrap()),
        };
        let until =
            Timestamp::from_millisecond(1_795_341_600_000 + 7_919 * i64::try_from(number).unwrap());
        let entry = SeatEntry::new(number % 977, SeatStatus::Reserved, until.ok(), false);
        (
            format!("S{}-{}-{}", number / 1_000, number / 50, number % 50).parse().unwrap(),
            details,
            entry,
        )
    });
    let view = assemble(&PoolId::Event(1), seats.collect(), Vec::new()).unwrap();
    assert!(pack(&view).len() <= SNAPSHOT_BYTES_MAX / 4);
}
