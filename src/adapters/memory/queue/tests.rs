//! Rules that no server can show in a test: long times, limits, and AWS's own details. The rest is
//! in `tests/contract`.

use std::collections::BTreeMap;

use super::*;
use crate::adapters::memory::TokioClock;

fn queue() -> MemoryQueue {
    MemoryQueue::new("commands.fifo", Arc::new(TokioClock::new(Timestamp::UNIX_EPOCH)))
}

fn message(group: &str, body: &str) -> OutgoingMessage {
    OutgoingMessage {
        group: group.parse().unwrap(),
        body: body.to_owned(),
        deduplication_id: None,
        attributes: BTreeMap::new(),
    }
}

fn request(attempt_id: &str, visibility: u64) -> ReceiveRequest {
    ReceiveRequest {
        max: 10,
        wait: Duration::ZERO,
        visibility: Duration::from_secs(visibility),
        attempt_id: attempt_id.to_owned(),
    }
}

async fn bodies(queue: &MemoryQueue, attempt_id: &str) -> Vec<String> {
    let received = queue.receive(&request(attempt_id, 60)).await.unwrap();
    received.into_iter().map(|delivery| delivery.body).collect()
}

async fn advance(seconds: u64) {
    tokio::time::advance(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_receive_takes_as_many_of_one_group_as_it_can_and_fills_up_from_others() {
    let queue = queue();
    for (group, count) in [("a", 4), ("b", 4), ("c", 4)] {
        for number in 0..count {
            queue.push(&message(group, &format!("{group}{number}"))).unwrap();
        }
    }
    let expected = ["a0", "a1", "a2", "a3", "b0", "b1", "b2", "b3", "c0", "c1"];
    assert_eq!(bodies(&queue, "1").await, expected);
    assert_eq!(bodies(&queue, "2").await, [""; 0], "c is locked");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_whose_message_was_touched_cannot_be_repeated() {
    let queue = queue();
    queue.push(&message("g", "1")).unwrap();
    queue.push(&message("g", "2")).unwrap();
    for (number, touch) in ["change", "release", "delete"].into_iter().enumerate() {
        let request = request(&format!("attempt-{number}"), 60);
        let received = queue.receive(&request).await.unwrap();
        let receipt = received[0].receipt.clone();
        let answers = match touch {
            "change" => queue.change_visibility(&[(receipt, Duration::from_secs(30))]).await,
            "release" => queue.change_visibility(&[(receipt, Duration::ZERO)]).await,
            _ => queue.delete(&[receipt]).await,
        };
        assert_eq!(answers.unwrap(), [Ok(())]);
        let again = queue.receive(&request).await;
        assert!(matches!(again, Err(PortError::Refused(_))), "{touch}: {again:?}");
        queue.expire_all_leases();
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_whose_messages_went_to_another_cannot_be_repeated() {
    let queue = queue();
    queue.push(&message("g", "1")).unwrap();
    assert_eq!(bodies(&queue, "1").await, ["1"]);
    advance(60).await;
    assert_eq!(bodies(&queue, "2").await, ["1"]);
    assert!(queue.receive(&request("1", 60)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_whose_leases_ran_out_or_that_is_five_minutes_old_receives_anew() {
    let queue = queue();
    queue.push(&message("g", "1")).unwrap();
    assert_eq!(bodies(&queue, "1").await, ["1"]);
    advance(60).await;
    let received = queue.receive(&request("1", 600)).await.unwrap();
    assert_eq!(received[0].receive_count, 2);
    queue.push(&message("h", "2")).unwrap();
    advance(299).await;
    let received = queue.receive(&request("1", 600)).await.unwrap();
    assert_eq!((received.len(), received[0].receive_count), (1, 2), "still a repetition");
    advance(1).await;
    assert_eq!(bodies(&queue, "1").await, ["2"]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_got_nothing_may_be_repeated() {
    let queue = queue();
    assert_eq!(bodies(&queue, "1").await, [""; 0]);
    queue.push(&message("g", "1")).unwrap();
    assert_eq!(bodies(&queue, "1").await, ["1"]);
}

#[tokio::test(start_paused = true)]
async fn no_lease_lasts_longer_than_twelve_hours_from_its_receive() {
    let queue = queue();
    queue.push(&message("g", "1")).unwrap();
    let received = queue.receive(&request("1", 43_200)).await.unwrap();
    advance(10).await;
    let extend = |seconds| [(received[0].receipt.clone(), Duration::from_secs(seconds))];
    let answers = queue.change_visibility(&extend(43_191)).await.unwrap();
    assert!(matches!(answers[..], [Err(EntryError::Refused(_))]), "{answers:?}");
    assert_eq!(queue.change_visibility(&extend(43_190)).await.unwrap(), [Ok(())]);
    assert!(queue.receive(&request("2", 43_201)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn messages_are_dropped_after_their_retention_and_free_their_group() {
    let queue = queue();
    queue.push(&message("g", "1")).unwrap();
    advance(43_200).await;
    queue.push(&message("g", "2")).unwrap();
    let day = 86_400;
    advance(14 * day - 43_200 - 10).await;
    assert_eq!(bodies(&queue, "1").await, ["1", "2"]);
    advance(10).await;
    assert_eq!(queue.depth(), 1, "in flight or not");
    advance(50).await;
    assert_eq!(bodies(&queue, "2").await, ["2"]);
    advance(day).await;
    assert_eq!(queue.messages(), []);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_120_000_messages_are_in_flight() {
    let queue = queue();
    for number in 0..IN_FLIGHT_MAX + 5 {
        let deduplication_id = Some("x".to_owned());
        let message = message(&format!("g{number}"), "x");
        queue.push(&OutgoingMessage { deduplication_id, ..message }).unwrap();
    }
    let until = after(Timestamp::UNIX_EPOCH, Duration::from_secs(60));
    for sequence in (1..).take(IN_FLIGHT_MAX - 3) {
        queue.settled(Timestamp::UNIX_EPOCH).messages.lease(sequence, until);
    }
    let last = queue.receive(&request("last", 60)).await.unwrap();
    assert_eq!(last.len(), 3);
    assert_eq!(bodies(&queue, "none").await, [""; 0]);
    queue.delete(&[last[0].receipt.clone()]).await.unwrap();
    assert_eq!(bodies(&queue, "one-more").await, ["x"]);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_of_another_queue_or_of_no_queue_is_refused() {
    let clock = Arc::new(TokioClock::new(Timestamp::UNIX_EPOCH));
    let (one, other) = (queue(), MemoryQueue::new("other.fifo", clock));
    for queue in [&one, &other] {
        queue.push(&message("g", "1")).unwrap();
    }
    let received = one.receive(&request("1", 60)).await.unwrap();
    other.receive(&request("1", 60)).await.unwrap();
    for receipt in [received[0].receipt.0.as_str(), "", "x", "0.1.1", "0.1"] {
        let answers = other.delete(&[ReceiptHandle(receipt.to_owned())]).await.unwrap();
        assert!(matches!(answers[..], [Err(EntryError::Refused(_))]), "{receipt:?}");
    }
    assert_eq!(other.depth(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_of_what_went_to_the_dead_letters_is_void() {
    let clock: Arc<TokioClock> = Arc::new(TokioClock::new(Timestamp::UNIX_EPOCH));
    let dead = Arc::new(MemoryQueue::new("dead.fifo", clock.clone()));
    let queue = MemoryQueue::new("commands.fifo", clock).with_dead_letters(Arc::clone(&dead), 1);
    queue.push(&message("g", "1")).unwrap();
    let received = queue.receive(&request("1", 60)).await.unwrap();
    advance(60).await;
    assert_eq!(bodies(&queue, "2").await, [""; 0]);
    let answers = queue.delete(&[received[0].receipt.clone()]).await.unwrap();
    assert_eq!(answers, [Err(EntryError::LeaseLost)]);
    assert_eq!(dead.messages()[0].message_id, received[0].message_id);
}

#[tokio::test(start_paused = true)]
async fn a_receive_out_of_bounds_is_refused() {
    let queue = queue();
    let good = request("1", 60);
    let long_wait = Duration::from_millis(20_001);
    for wrong in [
        ReceiveRequest { max: 0, ..good.clone() },
        ReceiveRequest { max: 11, ..good.clone() },
        ReceiveRequest { wait: long_wait, ..good.clone() },
        ReceiveRequest { attempt_id: String::new(), ..good.clone() },
        ReceiveRequest { attempt_id: "ä".to_owned(), ..good },
    ] {
        let answer = queue.receive(&wrong).await;
        assert!(matches!(answer, Err(PortError::Refused(_))), "{wrong:?}: {answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_receive_comes_back_empty_when_its_wait_is_over() {
    let queue = queue();
    let start = Instant::now();
    let wait = Duration::from_secs(20);
    let received = queue.receive(&ReceiveRequest { wait, ..request("1", 60) }).await.unwrap();
    assert_eq!((received.len(), start.elapsed()), (0, wait));
}

#[tokio::test(start_paused = true)]
async fn a_lease_made_while_another_waits_ends_that_wait() {
    let queue = Arc::new(queue());
    let waits = |attempt: &str| {
        let wait = Duration::from_secs(20);
        let (queue, request) = (Arc::clone(&queue), ReceiveRequest { wait, ..request(attempt, 5) });
        tokio::spawn(async move { queue.receive(&request).await.unwrap().len() })
    };
    let (first, second) = (waits("1"), waits("2"));
    advance(1).await;
    let start = Instant::now();
    queue.push(&message("g", "1")).unwrap();
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (1, 1));
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[test]
fn messages_too_long_together_are_refused_and_one_too_long_alone_leaves_the_others() {
    let half = message("g", &"x".repeat(600_000));
    assert!(check::batch_bytes(&[half.clone(), half.clone()]).is_err());
    let long = message("g", &"x".repeat(1_100_000));
    assert_eq!(check::batch_bytes(&[half, long]), Ok(()));
}
