//! Lists and discards dead letters.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use inventory_worker::{
    dlq::{Disposition, Ended, Selection, UNKNOWN},
    ports::{EntryError, Queue as _},
};

use super::fixture::{Fault, Place, fates, names, receive_request};

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_listed_with_its_reason_and_shown_with_its_body() {
    let place = Place::new();
    let id = place.bury("event-1", "{broken", "INVALID_MESSAGE");
    let run = place.desk.list(&Selection::all()).await;
    assert_eq!((run.ended.clone(), run.still_leased), (Ended::Complete, 0));
    assert_eq!((run.behind, run.elsewhere), (Some(0), Some(0)));
    let letter = &run.handled[0].letter;
    assert_eq!((letter.id.as_str(), letter.group.as_str()), (id.as_str(), "event-1"));
    assert_eq!((letter.reason.as_str(), letter.bytes), ("INVALID_MESSAGE", 7));
    assert_eq!(letter.detail.as_deref(), Some("data.seats: expected something else"));
    assert_eq!(letter.source_queue.as_deref(), Some("orders.fifo"));
    assert_eq!(letter.original_message_id.as_deref(), Some("original-1"));
    assert_eq!(letter.body, None, "a list has no user data");
    assert!(!serde_json::to_string(&run.handled).unwrap().contains("{broken"));

    let run = place.desk.show(&Selection::of([id])).await;
    assert_eq!(run.handled[0].letter.body.as_deref(), Some("{broken"));
    assert!(run.is_done());
    assert_eq!(place.in_dead(), ["{broken"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_looked_at_can_be_received_at_once_and_in_order() {
    let place = Place::new();
    for group in ["a", "b", "c"] {
        for name in names(group, 7) {
            place.bury(group, &name, "POISON");
        }
    }
    let run = place.desk.list(&Selection::all()).await;
    assert_eq!(run.handled.len(), 21);
    let mut seen: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for attempt in ["1", "2", "3"] {
        let batch = place.dead.inner.receive(&receive_request(attempt)).await.unwrap();
        let receipts: Vec<_> = batch.iter().map(|one| one.receipt.clone()).collect();
        for one in batch {
            seen.entry(one.group.as_str().to_owned()).or_default().push(one.body);
        }
        place.dead.inner.delete(&receipts).await.unwrap();
    }
    for group in ["a", "b", "c"] {
        assert_eq!(seen[group], names(group, 7));
    }
    assert_eq!(place.dead.inner.depth(), 0);
}

#[tokio::test(start_paused = true)]
async fn of_a_group_the_first_ten_are_seen_and_the_rest_is_counted() {
    let place = Place::new();
    // Together they fill batches unevenly: the tail of one group is cut off at first.
    for name in names("short", 7) {
        place.bury("short", &name, "POISON");
    }
    for name in names("long", 25) {
        place.bury("long", &name, "POISON");
    }
    for name in names("other", 3) {
        place.bury("other", &name, "POISON");
    }
    let run = place.desk.list(&Selection::all()).await;
    let of = |group: &str| run.handled.iter().filter(|one| one.letter.group == group).count();
    assert_eq!((of("short"), of("long"), of("other")), (7, 10, 3));
    assert_eq!(run.behind, Some(15));
    assert_eq!(place.in_dead().len(), 35);
}

#[tokio::test(start_paused = true)]
async fn a_run_looks_at_no_more_than_its_limit() {
    let place = Place::with_limit(12);
    for group in 0..30 {
        place.bury(&format!("g{group}"), &format!("m{group}"), "POISON");
    }
    let run = place.desk.list(&Selection::all()).await;
    assert_eq!((run.handled.len(), &run.ended), (12, &Ended::Limit));
    let run = place.desk.discard(&Selection::all()).await;
    assert_eq!((run.handled.len(), run.ended), (12, Ended::Limit));
    assert_eq!(place.in_dead().len(), 18);
}

#[tokio::test(start_paused = true)]
async fn what_is_leased_elsewhere_is_counted_and_left_alone() {
    let place = Place::new();
    place.bury("a", "a0", "POISON");
    let theirs = place.dead.inner.receive(&receive_request("theirs")).await.unwrap();
    place.bury("b", "b0", "POISON");
    let run = place.desk.discard(&Selection::all()).await;
    assert_eq!((run.handled.len(), run.elsewhere), (1, Some(1)));
    let receipt = [theirs[0].receipt.clone()];
    assert_eq!(place.dead.inner.delete(&receipt).await.unwrap(), [Ok(())], "their lease holds");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_does_not_say_why_it_is_here_is_listed_all_the_same() {
    let place = Place::new();
    place.push(&place.dead, "g", "big", "d-1", &[]);
    let now = place.now();
    let run = place.desk.list(&Selection::all().because_of(UNKNOWN)).await;
    let letter = &run.handled[0].letter;
    assert_eq!((letter.first_sent_at, letter.dead_since), (now, now));
}

#[tokio::test(start_paused = true)]
async fn only_what_was_named_is_discarded() {
    let place = Place::new();
    let ids: Vec<String> =
        names("m", 5).iter().map(|name| place.bury("g", name, "POISON")).collect();
    let named = [ids[1].clone(), ids[3].clone(), "nobody".to_owned()];
    let run = place.desk.discard(&Selection::of(named)).await;
    assert_eq!(
        fates(&run),
        [(ids[1].as_str(), &Disposition::Discarded), (ids[3].as_str(), &Disposition::Discarded)]
    );
    assert_eq!(run.missing, ["nobody"]);
    assert!(!run.is_done(), "one was not found");
    assert_eq!(place.in_dead(), ["m0", "m2", "m4"]);
    assert_eq!(place.in_source(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn only_what_died_for_the_reason_is_discarded() {
    let place = Place::new();
    for (number, name) in names("m", 30).iter().enumerate() {
        let reason = if number % 4 == 0 { "POISON" } else { "INVALID_MESSAGE" };
        place.bury("g", name, reason);
    }
    let run = place.desk.discard(&Selection::all().because_of("INVALID_MESSAGE")).await;
    assert_eq!(run.handled.len(), 22, "discarding lets those behind the first ten come forward");
    assert_eq!(run.behind, Some(0));
    assert_eq!(place.in_dead(), ["m0", "m4", "m8", "m12", "m16", "m20", "m24", "m28"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_tells_after_each_letter_how_far_it_is() {
    let mut place = Place::new();
    for (number, name) in names("m", 4).iter().enumerate() {
        place.bury("g", name, if number == 1 { "POISON" } else { "INVALID_MESSAGE" });
    }
    let reported = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&reported);
    place.desk.options.progress =
        Some(Arc::new(move |seen, done| heard.lock().unwrap().push((seen, done))));
    place.desk.discard(&Selection::all().because_of("INVALID_MESSAGE")).await;
    let mut reported = reported.lock().unwrap().clone();
    reported.dedup();
    assert_eq!(reported, [(1, 1), (2, 1), (3, 2), (4, 3)]);
}

#[tokio::test(start_paused = true)]
async fn a_discard_that_fails_is_told_and_loses_nothing() {
    let place = Place::new();
    for name in names("m", 3) {
        place.bury("g", &name, "POISON");
    }
    let busy = EntryError::Retryable("busy".to_owned());
    place.dead.next("delete", [None, Some(Fault::FailsEntry(busy))]);
    let run = place.desk.discard(&Selection::all()).await;
    assert_eq!(run.handled[0].fate, Disposition::Discarded);
    assert!(matches!(run.handled[1].fate, Disposition::NotDeleted { sent: false, .. }));
    assert_eq!(run.handled.len(), 2, "what stands behind it is left alone");
    assert!(!run.is_done());
    assert_eq!(place.in_dead(), ["m1", "m2"]);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_given_back_is_told_and_comes_back_by_itself() {
    let place = Place::new();
    place.bury("g", "m0", "POISON");
    place.dead.next("change_visibility", [Some(Fault::Fails)]);
    let run = place.desk.list(&Selection::all()).await;
    assert_eq!((run.handled.len(), run.still_leased), (1, 1));
    tokio::time::advance(std::time::Duration::from_secs(3_600)).await;
    assert_eq!(place.in_dead(), ["m0"]);
}

#[tokio::test(start_paused = true)]
async fn a_failing_receive_ends_the_run_and_gives_back_what_it_had() {
    let place = Place::new();
    for group in 0..15 {
        place.bury(&format!("g{group}"), "m", "POISON");
    }
    place.dead.next("receive", [None, Some(Fault::Fails)]);
    let run = place.desk.list(&Selection::all()).await;
    assert!(matches!(run.ended, Ended::Failed(_)));
    assert_eq!((run.handled.len(), run.is_done()), (10, false));
    assert_eq!(place.in_dead().len(), 15);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_says_which_command_of_whom_it_was() {
    let place = Place::new();
    let unknown = r#"{"specversion":"1.0","id":"r-1","source":"/services/booking","type":"inventory.teleport.v1","data":{"event_id":1}}"#;
    place.bury("event-1", unknown, "UNSUPPORTED_TYPE");
    place.bury("event-2", "{broken", "INVALID_MESSAGE");
    let run = place.desk.list(&Selection::all()).await;
    let of = |place: usize| {
        let letter = &run.handled[place].letter;
        let texts = [&letter.command_source, &letter.command_id, &letter.command_type];
        texts.map(|text| text.as_deref())
    };
    assert_eq!(of(0), [Some("/services/booking"), Some("r-1"), Some("inventory.teleport.v1")]);
    assert_eq!(of(1), [None, None, None]);
}

#[tokio::test(start_paused = true)]
async fn an_empty_queue_is_known_to_be_empty_at_once() {
    let place = Place::new();
    let begun = tokio::time::Instant::now();
    let run = place.desk.list(&Selection::all()).await;
    assert_eq!((run.ended, run.handled.len()), (Ended::Complete, 0));
    assert!(begun.elapsed().is_zero(), "{:?}", begun.elapsed());
}
