//! What the decoder takes of memory, whatever it is given: a small multiple of the body.

use inventory_worker::{bench::hostile, message::decode, ports::queue::MESSAGE_BYTES_MAX};

/// The most bytes that decoding had at one time beside the body, as a multiple of the body, and
/// what it kept.
fn cost(body: &str) -> (f64, f64) {
    let mut kept = None;
    let info = allocation_counter::measure(|| kept = Some(decode(body)));
    let of_body = |bytes: f64| bytes / body.len() as f64;
    (of_body(info.bytes_max as f64), of_body(info.bytes_current as f64))
}

#[test]
fn a_hostile_body_costs_no_more_than_a_few_times_its_length() {
    let mut dear = Vec::new();
    for (name, body) in hostile::bodies(MESSAGE_BYTES_MAX) {
        let (peak, kept) = cost(&body);
        println!("{name}: {peak:.2} times the body, {kept:.2} kept");
        if peak > 6.0 || kept > 2.5 {
            dear.push(format!("{name}: {peak:.1}, {kept:.1} kept"));
        }
    }
    assert!(dear.is_empty(), "{dear:#?}");
}

#[test]
fn the_largest_restocks_cost_no_more_than_a_few_times_their_length() {
    let (peak, kept) = cost(&hostile::ordinary(MESSAGE_BYTES_MAX));
    println!("{peak:.2} times the body, {kept:.2} kept");
    assert!(peak < 5.0 && kept < 2.5, "{peak:.1}, {kept:.1} kept");
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
    assert!(peak < 6.0, "{peak:.1}");
}
