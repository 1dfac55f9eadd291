//! Order within a group, and the group's lock.

use inventory_worker::ports::ReceiveRequest;

use super::{QueueHarness, helpers::*};
use crate::harness::{A_WHILE, LONG, LONGER};

pub async fn a_group_comes_in_order(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    let sent: Vec<String> = (0..25).map(|number| format!("m{number}")).collect();
    send(&queue, "g", &sent.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut seen = Vec::new();
    while seen.len() < sent.len() {
        let received = receive(&queue).await;
        assert!(!received.is_empty(), "after {seen:?}");
        seen.extend(bodies(&received).into_iter().map(str::to_owned));
        delete(&queue, &received).await;
    }
    assert_eq!(seen, sent);
}

pub async fn the_sequence_grows_as_a_number(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    let mut last = None;
    for number in 0..12 {
        send(&queue, "g", &[&number.to_string()]).await;
        let received = receive(&queue).await;
        let sequence: u128 = received[0].sequence.parse().expect("a decimal number");
        assert!(last < Some(sequence), "{sequence} after {last:?}");
        last = Some(sequence);
        delete(&queue, &received).await;
    }
}

pub async fn a_group_is_locked_while_a_message_of_it_is_in_flight(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1", "2", "3"]).await;
    let first = queue.receive(&ReceiveRequest { max: 2, ..request(LONG) }).await.unwrap();
    assert_eq!(bodies(&first), ["1", "2"]);
    assert_eq!(receive(&queue).await, []);
    delete(&queue, &first[..1]).await;
    assert_eq!(receive(&queue).await, [], "one of the two is still in flight");
    delete(&queue, &first[1..]).await;
    assert_eq!(bodies(&receive(&queue).await), ["3"]);
}

pub async fn groups_do_not_wait_for_each_other(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "a", &["a1", "a2"]).await;
    let first = queue.receive(&ReceiveRequest { max: 1, ..request(LONG) }).await.unwrap();
    assert_eq!(bodies(&first), ["a1"]);
    send(&queue, "b", &["b1"]).await;
    assert_eq!(bodies(&receive(&queue).await), ["b1"]);
}

pub async fn what_comes_back_comes_in_its_place(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1", "2", "3", "4"]).await;
    let first = queue.receive(&ReceiveRequest { max: 3, ..request(A_WHILE) }).await.unwrap();
    assert_eq!(bodies(&first), ["1", "2", "3"]);
    delete(&queue, &first[1..2]).await;
    harness.pass(LONGER).await;
    assert_eq!(bodies(&receive_all(&queue, 3).await), ["1", "3", "4"]);
}

pub async fn a_group_released_from_its_end_comes_in_order(harness: &dyn QueueHarness) {
    let queue = harness.queue().await;
    send(&queue, "g", &["1", "2", "3"]).await;
    let first = receive_all(&queue, 3).await;
    for delivery in first.iter().rev() {
        assert_eq!(receive(&queue).await, [], "{} is still in flight", delivery.body);
        release(&queue, std::slice::from_ref(delivery)).await;
    }
    assert_eq!(bodies(&receive_all(&queue, 3).await), ["1", "2", "3"]);
}
