//! The subscriber example: its view, kept from results alone, against the tables.

mod sale;

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use inventory_worker::{
    app::embedded::Embedded,
    domain::SeatState,
    ports::{Record, Table},
};
use serde_json::{Value, json};

/// Every seat and line, by pool, as the example prints them.
type Pools = BTreeMap<String, BTreeMap<&'static str, BTreeMap<String, Value>>>;

/// Every seat and line in the tables.
async fn tables(embedded: &Embedded) -> Pools {
    let mut pools = Pools::new();
    for table in [Table::Seats, Table::Stock] {
        let mut from = None;
        loop {
            let page = embedded.store.scan(table, from.as_ref()).await.unwrap();
            page.records.into_iter().for_each(|record| put(&mut pools, record));
            from = page.next;
            if from.is_none() {
                break;
            }
        }
    }
    pools
}

fn put(pools: &mut Pools, record: Record) {
    let (pool, of, name, state) = match record {
        Record::Seat(key, seat) => {
            let number = key.number.to_string();
            let mut state = json!({
                "seat_number": number, "version": seat.version, "status": seat.occupancy.status(),
            });
            if let SeatState::Reserved { until, .. } = seat.occupancy {
                state["reserved_until"] = json!(until);
            }
            (format!("event#{}", key.event_id), "seats", number, state)
        }
        Record::Line(key, line) => {
            let sku = key.sku.to_string();
            let state = json!({
                "sku": sku, "version": line.version, "on_hand": line.on_hand(),
                "available": line.available, "reserved": line.reserved,
            });
            (key.pool.to_string(), "lines", sku, state)
        }
        other => panic!("neither seat nor line: {other:?}"),
    };
    let empty = || BTreeMap::from([("seats", BTreeMap::new()), ("lines", BTreeMap::new())]);
    pools.entry(pool).or_insert_with(empty).get_mut(of).unwrap().insert(name, state);
}

/// Runs Python beside the example, and returns what it prints.
fn python(arguments: &[&str], stdin: &str) -> Value {
    let mut child = Command::new("python3")
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/python"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("python3 on the path");
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    serde_json::from_slice(&ended.stdout).unwrap()
}

/// The bodies of messages, a line each: the results from the last to the first, every third of them
/// twice, and every other four of them in one array, as result batches bring them.
fn bodies_out_of_order(results: &[String]) -> String {
    let times = |place: usize| 1 + usize::from(place.is_multiple_of(3));
    let repeated = results.iter().enumerate().rev();
    let repeated: Vec<_> =
        repeated.flat_map(|(place, result)| vec![result.as_str(); times(place)]).collect();
    let mut lines = String::new();
    for (place, some) in repeated.chunks(4).enumerate() {
        match place.is_multiple_of(2) {
            true => lines.push_str(&format!("[{}]", some.join(","))),
            false => lines.push_str(&some.join("\n")),
        }
        lines.push('\n');
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_kept_from_results_alone_is_equal_to_the_tables() {
    let ended = sale::run().await;
    let tables = tables(&ended.embedded).await;
    ended.embedded.stop().await;
    let results = bodies_out_of_order(&ended.results);

    let shown = python(&["view.py"], &results);
    assert_eq!(shown["unknown"], json!(sale::CHUNKED));
    for (pool, expected) in &tables {
        let shown = &shown["pools"][pool];
        if !sale::CHUNKED.contains(&pool.as_str()) {
            assert_eq!(*shown, json!(expected), "{pool}");
            continue;
        }
        // What was changed since is known, all else is not.
        for (of, items) in expected {
            let shown = shown[of].as_object().unwrap();
            assert!(shown.len() < items.len() || items.is_empty(), "{pool}: {shown:?}");
            for (name, state) in shown {
                assert_eq!(*state, items[name], "{name} of {pool}");
            }
        }
    }

    let reload = "\
import json, sys, view
results, tables = json.load(sys.stdin)
kept = view.View()
for line in results.splitlines():
    kept.receive(json.loads(line))
kept.reload(lambda pool: [state for items in tables[pool].values() for state in items.values()])
print(json.dumps({'pools': kept.pools, 'unknown': sorted(kept.unknown)}))
";
    let shown = python(&["-c", reload], &json!([results, tables]).to_string());
    assert_eq!(shown, json!({ "pools": tables, "unknown": [] }));
}
