//! The final invariants of the ledger, of the results and of the tables, whatever failed.

use std::collections::{BTreeMap, BTreeSet};

use inventory_worker::{
    domain::{CommandKey, LineKey, Timestamp},
    message::{ResultMessage, encode_result},
    ports::{LedgerKey, LedgerRecord, Record, Table},
};
use serde_json::{Value, json};

use super::load::Load;
use crate::{
    messages::key,
    results::Received,
    world::{EVENT, World},
};

/// The outcome of the run.
pub struct Verdict {
    /// Outcomes by word, of commands and of expiries.
    pub outcomes: BTreeMap<String, usize>,
    /// Results beyond the first of their command.
    pub repeated_results: usize,
}

/// Fails unless every command has one outcome, and results and tables agree with it.
pub async fn judge(world: &World, load: &Load) -> Verdict {
    let outcomes = outcomes(world).await;
    for id in load.commands.keys() {
        assert!(outcomes.contains_key(&key(id)), "{id} has no outcome");
    }
    let posted = outcomes.keys().filter(|key| key.source.as_str() == crate::messages::SOURCE);
    assert_eq!(posted.count(), load.commands.len(), "nobody else's commands");
    assert_eq!(untold(world).await, [].into(), "in the ledger and not published");
    let results = one_a_command(world, &outcomes);
    no_seat_has_two_owners(&results);
    lines_add_up(world, load, &results).await;
    let dead_letters = world.take_dead_letters().await;
    assert_eq!(dead_letters, load.unreadable, "dead letters");
    let mut words: BTreeMap<String, usize> = BTreeMap::new();
    for result in results.values() {
        *words.entry(result.word().to_owned()).or_default() += 1;
    }
    let of_outcomes = world.results.seen().iter().filter(|one| !is_unrecorded(one)).count();
    Verdict { outcomes: words, repeated_results: of_outcomes - results.len() }
}

async fn outcomes(world: &World) -> BTreeMap<CommandKey, LedgerRecord> {
    let mut outcomes = BTreeMap::new();
    for record in world.scan(Table::Ledger).await {
        match record {
            Record::Ledger(LedgerKey::Command(key), record) => {
                let is_outcome = matches!(record, LedgerRecord::Outcome { .. });
                assert!(is_outcome, "{key} was begun and never ended");
                outcomes.insert(key, record);
            }
            Record::Ledger(LedgerKey::Chunk(..), _) => {}
            other => panic!("{other:?} is no ledger entry"),
        }
    }
    outcomes
}

/// An answer to one message, which the ledger does not record.
fn is_unrecorded(result: &Received) -> bool {
    ["INVALID_MESSAGE", "UNSUPPORTED_TYPE", "NOT_YET_EXPIRED"].contains(&result.word())
}

/// The result of each command of the ledger: all its deliveries are equal, and equal to the
/// ledger's outcome.
fn one_a_command<'a>(
    world: &'a World,
    outcomes: &BTreeMap<CommandKey, LedgerRecord>,
) -> BTreeMap<CommandKey, &'a Received> {
    let mut results = BTreeMap::new();
    for result in world.results.seen().iter().filter(|one| !is_unrecorded(one)) {
        let command = &result.body["data"]["command"];
        let text = |name: &str| command[name].as_str().unwrap();
        let key =
            CommandKey { source: text("source").parse().unwrap(), id: text("id").parse().unwrap() };
        let record = outcomes.get(&key).unwrap_or_else(|| panic!("{key} is not in the ledger"));
        assert_eq!(content(&result.body), content(&reported(&key, record, result)), "{key}");
        results.entry(key).or_insert(result);
    }
    results
}

/// Outcomes of the ledger whose results have not arrived.
pub async fn untold(world: &World) -> BTreeSet<String> {
    let seen = world.results.seen().iter().map(Received::id);
    let seen: BTreeSet<&str> = seen.collect();
    let outcomes = outcomes(world).await.into_keys();
    let untold = outcomes.filter(|key| !seen.contains(key.result_id().to_string().as_str()));
    untold.map(|key| key.to_string()).collect()
}

/// The result according to the ledger.
fn reported(key: &CommandKey, record: &LedgerRecord, result: &Received) -> Value {
    let LedgerRecord::Outcome { digest, command_type, pool, outcome, changes, decided_at } = record
    else {
        panic!("{record:?} is no outcome");
    };
    let publication = encode_result(&ResultMessage {
        key,
        command_type: command_type.as_str(),
        sequence: None,
        group: &result.group.parse().unwrap(),
        pool: Some(pool),
        outcome,
        changes,
        decided_at: *decided_at,
        message_digest: *digest,
        traceparent: None,
    });
    serde_json::from_str(&publication.body).unwrap()
}

/// Everything except the sequence, which belongs to the message and not to the command.
fn content(body: &Value) -> Value {
    let mut body = body.clone();
    body["data"]["command"].as_object_mut().unwrap().remove("sequence");
    body
}

/// One reservation's life, according to its results.
struct Life {
    from: Timestamp,
    expires_at: Timestamp,
    confirmed: bool,
    ended_at: Option<Timestamp>,
    seats: Vec<String>,
    lines: Vec<(LineKey, i64)>,
}

impl Life {
    /// When its seats ceased to be its own.
    fn until(&self) -> Timestamp {
        match (self.confirmed, self.ended_at) {
            (true, ended_at) => ended_at.unwrap_or(Timestamp::MAX),
            (false, None) => self.expires_at,
            (false, Some(ended_at)) => ended_at.min(self.expires_at),
        }
    }
}

fn lives(results: &BTreeMap<CommandKey, &Received>) -> BTreeMap<String, Life> {
    let time = |text: &Value| -> Timestamp { text.as_str().unwrap().parse().unwrap() };
    let id = |reservation: &Value| reservation["reservation_id"].as_str().unwrap().to_owned();
    let with = |word: &'static str| {
        results.values().filter(move |one| one.word() == word).map(|one| &one.body)
    };
    let mut lives = BTreeMap::new();
    for body in with("reserved") {
        let reservation = &body["data"]["reservation"];
        let pool: inventory_worker::domain::PoolId = match body["data"]["store_id"].as_str() {
            Some(store) => inventory_worker::domain::PoolId::Store(store.parse().unwrap()),
            None => inventory_worker::domain::PoolId::Event(EVENT),
        };
        let texts = reservation["seats"].as_array().unwrap().iter();
        let lines = reservation["lines"].as_array().unwrap().iter().map(|line| {
            let sku = line["sku"].as_str().unwrap().parse().unwrap();
            (LineKey { pool: pool.clone(), sku }, line["quantity"].as_i64().unwrap())
        });
        let life = Life {
            from: time(&body["time"]),
            expires_at: time(&reservation["expires_at"]),
            confirmed: false,
            ended_at: None,
            seats: texts.map(|seat| seat.as_str().unwrap().to_owned()).collect(),
            lines: lines.collect(),
        };
        assert!(lives.insert(id(reservation), life).is_none(), "reserved by one command alone");
    }
    for body in with("confirmed") {
        let life = lives.get_mut(&id(&body["data"]["reservation"])).expect("reserved before");
        life.confirmed = true;
    }
    for body in with("cancelled").chain(with("expired")) {
        let life = lives.get_mut(&id(&body["data"]["reservation"])).expect("reserved before");
        assert!(life.ended_at.replace(time(&body["time"])).is_none(), "ended by one command alone");
    }
    lives
}

/// According to the results, no two reservations had a seat at the same time. A reserve is decided
/// after it has read what freed its seat, and all workers here share one clock.
fn no_seat_has_two_owners(results: &BTreeMap<CommandKey, &Received>) {
    let mut owners: BTreeMap<String, Vec<(Timestamp, Timestamp, String)>> = BTreeMap::new();
    for (id, life) in lives(results) {
        for seat in &life.seats {
            owners.entry(seat.clone()).or_default().push((life.from, life.until(), id.clone()));
        }
    }
    for (seat, mut owners) in owners {
        owners.sort();
        for pair in owners.windows(2) {
            assert!(pair[0].1 <= pair[1].0, "{seat} had two owners: {pair:?}");
        }
    }
}

/// The tables hold the restocked quantities less those sold.
async fn lines_add_up(world: &World, load: &Load, results: &BTreeMap<CommandKey, &Received>) {
    let mut expected: BTreeMap<(String, String), (i64, i64)> = BTreeMap::new();
    let name = |key: &LineKey| (key.pool.to_string(), key.sku.to_string());
    let restocks = load.commands.iter().filter(|(_, one)| {
        one["data"]["lines"][0]["quantity"].is_i64() && one["type"] == "inventory.restock.v1"
    });
    for (id, restock) in restocks {
        let lines = restock["data"]["lines"].as_array().unwrap();
        let counts = &results[&key(id)].body["data"]["restock"];
        assert_eq!(counts["lines_applied"], json!(lines.len()), "{id}");
        let pool = match restock["data"]["store_id"].as_str() {
            Some(store) => format!("store#{store}"),
            None => format!("event#{EVENT}"),
        };
        for line in lines {
            let sku = line["sku"].as_str().unwrap().to_owned();
            expected.entry((pool.clone(), sku)).or_default().0 +=
                line["quantity"].as_i64().unwrap();
        }
    }
    for life in lives(results).into_values() {
        for (key, quantity) in &life.lines {
            let (available, reserved) = expected.get_mut(&name(key)).expect("it was restocked");
            match (life.confirmed, life.ended_at) {
                // Sold or held.
                (true, None) => *available -= quantity,
                (false, None) => {
                    *available -= quantity;
                    *reserved += quantity;
                }
                (_, Some(_)) => {}
            }
        }
    }
    let mut found = BTreeMap::new();
    for record in world.scan(Table::Stock).await {
        let Record::Line(key, line) = record else { panic!("no line: {record:?}") };
        assert!(line.available >= 0, "{key:?} was sold twice");
        found.insert(name(&key), (line.available, line.reserved));
    }
    assert_eq!(found, expected, "lines");
}

/// Commands that have no result yet.
pub fn missing(load: &Load, world: &World) -> BTreeSet<String> {
    let seen: BTreeSet<&str> = world.results.seen().iter().map(Received::command).collect();
    load.commands.keys().filter(|id| !seen.contains(id.as_str())).cloned().collect()
}
