//! The rows, grouped by how they are measured.

mod batched;
mod calls;
mod cpu;
mod gateway;
mod innocents;
mod latency;
mod memory;
mod release;
mod restock;
mod store;
mod throughput;

use std::time::Duration;

use super::{Model, Row, Size};

/// Rows that are measured together.
pub(super) struct Part {
    /// Their names.
    pub(super) rows: &'static [&'static str],
    /// Measures them.
    pub(super) measure: fn(&Model, Size) -> anyhow::Result<Vec<Row>>,
}

/// Every row, in the order of the targets.
pub(super) static ALL: [Part; 15] = [
    Part {
        rows: &["hot_group", "hot_group_vs_one_by_one", "hot_group_vs_recipe", "section_groups_16"],
        measure: throughput::measure,
    },
    Part { rows: &["many_groups_cpu"], measure: cpu::measure },
    Part {
        rows: &["calls_hot", "calls_scattered", "calls_scattered_locks_after_conflict"],
        measure: calls::measure,
    },
    Part { rows: &["write_units", "cancelled_transactions"], measure: store::measure },
    Part { rows: &["restock_5000"], measure: restock::measure },
    Part { rows: &["latency_p99", "latency_p99_nominal"], measure: latency::measure },
    Part { rows: &["release_p99"], measure: release::measure },
    Part { rows: &["memory"], measure: memory::measure },
    Part { rows: &["memory_hostile"], measure: memory::measure_hostile },
    Part { rows: &["innocents_p99"], measure: innocents::measure },
    Part {
        rows: &[
            "hot_group_batched",
            "hot_line_batched",
            "hot_line_batched_ratio",
            "write_units_batched",
        ],
        measure: batched::measure,
    },
    Part {
        rows: &["map_20000", "map_20000_gzip", "availability_20000", "availability_20000_page"],
        measure: gateway::lookups::measure,
    },
    Part {
        rows: &["grpc_reserve_p99", "reserve_with_queries"],
        measure: gateway::reserves::measure,
    },
    Part {
        rows: &["view_read_units", "change_visible_p99", "change_visible_lost_hint"],
        measure: gateway::views::measure,
    },
    Part { rows: &["streams_5000", "drain_1000_streams"], measure: gateway::streams::measure },
];

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn count(count: impl TryInto<u64>) -> f64 {
    count.try_into().map_or(f64::INFINITY, |count| count as f64)
}

fn per_second(commands: usize, took: Duration) -> f64 {
    count(commands) / took.as_secs_f64()
}
