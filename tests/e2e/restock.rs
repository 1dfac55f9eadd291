//! A restock of many lines, and a worker killed in the middle of it.

use inventory_worker::ports::{LedgerKey, LedgerRecord, Record, Table};
use serde_json::{Value, json};

use crate::{
    messages::{command, key},
    stack::Stack,
    wait::until,
    world::{SHORT_LEASES, STORE, World},
};

on_every_stack! {
    a_large_restock_whose_worker_is_killed_is_resumed_and_applied_once
}

const LINES: usize = 5_000;

async fn a_large_restock_whose_worker_is_killed_is_resumed_and_applied_once(stack: Stack) {
    let mut world = World::new(stack).await;
    let lines: Vec<Value> =
        (0..LINES).map(|n| json!({ "sku": format!("sku-{n}"), "quantity": 7 })).collect();
    let data = json!({ "store_id": STORE, "mode": "add", "lines": lines });
    world.post("store", &[command("restock", "restock", data)]).await;

    // One chunk at a time, so that it does not finish before it is killed.
    let slow = [&SHORT_LEASES[..], &[("INVENTORY_RESTOCK_PARALLELISM", "1")]].concat();
    let first = world.worker(&slow).await;
    until("the fifth chunk", async || world.ledger(LedgerKey::Chunk(key("restock"), 4)).await)
        .await;
    first.kill().await;
    let record = world.ledger(LedgerKey::Command(key("restock"))).await.unwrap();
    let LedgerRecord::Intent { chunk_ends, .. } = record else { panic!("killed too late") };
    let applied = chunks(&world).await;
    assert!(applied < chunk_ends.len(), "killed too late");

    let second = world.worker(&SHORT_LEASES).await;
    let result = world.results.one("restock").await;
    let restock = json!({
        "seats_applied": 0, "lines_applied": LINES, "seats_skipped": 0, "lines_skipped": 0,
        "skipped": []
    });
    assert_eq!(result.body["data"]["restock"], restock);
    assert_eq!(result.id(), key("restock").result_id().to_string());
    assert_eq!(chunks(&world).await, chunk_ends.len());
    let stock = world.scan(Table::Stock).await;
    assert_eq!(stock.len(), LINES);
    for record in stock {
        let Record::Line(key, line) = record else { panic!("no line: {record:?}") };
        let figures = (line.available, line.reserved, line.version);
        assert_eq!(figures, (7, 0, 1), "{}: added once", key.sku);
    }
    world.drained().await;
    second.stop().await;
    world.results.assert_each_once();
    let report = world.audit().await;
    assert_eq!(report["lines"], LINES);
}

/// The number of chunks marked as applied.
async fn chunks(world: &World) -> usize {
    let is_chunk = |record: &Record| matches!(record, Record::Ledger(LedgerKey::Chunk(..), _));
    world.scan(Table::Ledger).await.iter().filter(|record| is_chunk(record)).count()
}
