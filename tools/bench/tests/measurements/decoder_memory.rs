//! The decoder's memory is a small multiple of the body, whatever the input.

use inventory_bench::hostile;
use inventory_worker::{
    message::{DECODING_FACTOR, decode, held_bytes_max},
    ports::queue::MESSAGE_BYTES_MAX,
};

/// The peak bytes of decoding besides the body, and the bytes it kept.
fn cost(body: &str) -> (usize, usize) {
    let mut kept = None;
    let info = allocation_counter::measure(|| kept = Some(decode(body)));
    (info.bytes_max.try_into().unwrap(), info.bytes_current.try_into().unwrap())
}

/// The excess of a body's cost, if any.
fn dear(name: &str, body: &str) -> Option<String> {
    let (peak, kept) = cost(body);
    let held = body.len() + kept;
    let told = format!("{name}: {} bytes, at most {peak} beside them, {kept} kept", body.len());
    println!("{told}, {} reckoned", held_bytes_max(body));
    let is_dear = peak - kept > DECODING_FACTOR * body.len() || held > held_bytes_max(body);
    is_dear.then_some(told)
}

#[test]
fn a_hostile_body_costs_no_more_than_a_few_times_its_length() {
    let bodies = hostile::bodies(MESSAGE_BYTES_MAX);
    let dear: Vec<String> = bodies.iter().filter_map(|(name, body)| dear(name, body)).collect();
    assert!(dear.is_empty(), "{dear:#?}");
}

#[test]
fn a_hostile_body_in_base64_costs_no_more() {
    use base64::{Engine as _, prelude::BASE64_STANDARD};

    // Base64 is a third longer than what it encodes.
    let bodies = hostile::bodies(MESSAGE_BYTES_MAX / 4 * 3 - 1024);
    let wrapped = |(name, body): &(&'static str, String)| {
        let message = serde_json::json!({
            "specversion": "1.0", "id": "1", "source": "/s", "type": "inventory.reserve.v1",
            "data_base64": BASE64_STANDARD.encode(body),
        });
        dear(name, &message.to_string())
    };
    let dear: Vec<String> = bodies.iter().filter_map(wrapped).collect();
    assert!(dear.is_empty(), "{dear:#?}");
}

#[test]
fn a_command_takes_what_is_reckoned_for_it_at_most() {
    let seat = |n: usize| format!("{{\"seat_number\":\"{n:x}\"}}");
    let labels = "\"section\":\"a\",\"row_number\":\"b\",\"seat_type\":\"c\",\"price\":\"1\"";
    let labelled = |n: usize| format!("{{\"seat_number\":\"{n:x}\",{labels}}}");
    let line = |n: usize| format!("{{\"sku\":\"{n:x}\",\"quantity\":1}}");
    let restock = |pool: &str, entries: &str| {
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\
             \"inventory.restock.v1\",\"data\":{{{pool},\"mode\":\"set\",{entries}}}}}"
        )
    };
    let joined = |count: usize, one: &dyn Fn(usize) -> String| {
        (0..count).map(one).collect::<Vec<_>>().join(",")
    };
    let mut bodies = vec![("restock", hostile::ordinary(MESSAGE_BYTES_MAX))];
    for count in [1, 100, 10_000] {
        let seats = |one| restock("\"event_id\":1", &format!("\"seats\":[{}]", joined(count, one)));
        bodies.push(("short seats", seats(&seat)));
        bodies.push(("seats with everything", seats(&labelled)));
        let lines = format!("\"lines\":[{}]", joined(count, &line));
        bodies.push(("short lines", restock("\"store_id\":\"1\"", &lines)));
    }
    let seats = joined(97, &|n| format!("\"{n:x}\""));
    let data = format!("\"event_id\":1,\"user_id\":\"u\",\"seats\":[{seats}]");
    bodies.push(("reserve", restock("\"x\":1", &data).replace("restock", "reserve")));
    for (name, body) in &bodies {
        assert!(decode(body).is_ok(), "{name}: {:?}", decode(body));
    }
    let dear: Vec<String> = bodies.iter().filter_map(|(name, body)| dear(name, body)).collect();
    assert!(dear.is_empty(), "{dear:#?}");
}

#[test]
fn no_number_of_levels_or_members_makes_it_dearer() {
    let within = |value: &str| {
        format!(
            "{{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\
             \"inventory.reserve.v1\",\"data\":{{\"event_id\":1,\"user_id\":\"u\",\"seats\":[\"A\"],\
             \"more\":{value}}}}}"
        )
    };
    // A long value at the bottom of objects whose members are out of order, so that each level
    // moves it.
    let long = "0,".repeat(MESSAGE_BYTES_MAX / 2 - 2_048);
    let deep = format!("{}[{}0]{}", "{\"b\":0,\"a\":".repeat(120), long, "}".repeat(120));
    let body = within(&deep);
    assert!(body.len() <= MESSAGE_BYTES_MAX && decode(&body).is_ok());
    let (peak, _) = cost(&body);
    assert!(peak <= DECODING_FACTOR * body.len(), "{peak}");
}
