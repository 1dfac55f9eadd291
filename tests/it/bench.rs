//! The bench measures every row, and what latency alone decides comes out as computed.

use std::collections::BTreeMap;

use inventory_worker::bench::{self, Model, Row, Size};

const ROWS: [&str; 14] = [
    "hot_group",
    "hot_group_vs_one_by_one",
    "hot_group_vs_recipe",
    "section_groups_16",
    "many_groups_cpu",
    "calls_hot",
    "calls_scattered",
    "calls_scattered_locks_after_conflict",
    "write_units",
    "cancelled_transactions",
    "restock_5000",
    "latency_p99",
    "release_p99",
    "memory",
];

#[test]
fn every_row_is_measured_and_the_modelled_ones_come_out_as_computed() {
    let rows = bench::measure(&Model::default(), Size::SMALL, None, |_| ()).unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
    assert_eq!(names, ROWS);
    let rows: BTreeMap<&str, Row> = rows.into_iter().map(|row| (row.name, row)).collect();
    for row in rows.values() {
        assert!(row.figure.is_finite(), "{row:?}");
    }
    // These are the model's and the same on every machine. A ceiling is never passed, but by the
    // millisecond in which the end of a run is seen.
    for name in ["hot_group", "calls_hot", "calls_scattered", "restock_5000"] {
        let row = &rows[name];
        assert!(row.met && row.ratio.unwrap() < 1.001, "{row:?}");
    }
    assert!(rows["calls_scattered_locks_after_conflict"].met);
    assert_eq!(rows["cancelled_transactions"].figure, 0.0);
}

#[test]
fn a_slower_call_slows_what_rests_on_it() {
    let model = Model::parse("[dynamodb]\ncommit = 64\n").unwrap();
    let rows = bench::measure(&model, Size::SMALL, Some("hot"), |_| ()).unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
    assert_eq!(names, ROWS[..4]);
    let hot = rows.iter().find(|row| row.name == "hot_group").unwrap();
    assert_eq!(hot.ceiling, Some(100.0));
    assert!(hot.ratio.unwrap() > 0.9 && hot.ratio.unwrap() < 1.001, "{hot:?}");
}

#[test]
fn a_row_that_does_not_exist_is_told_the_ones_that_do() {
    let measured = bench::measure(&Model::default(), Size::SMALL, Some("hit"), |_| ());
    assert!(measured.unwrap_err().to_string().contains("hot_group, hot_group_vs_one_by_one"));
}
