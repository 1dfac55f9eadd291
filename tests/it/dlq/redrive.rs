//! Redrives dead letters.

use std::time::Duration;

use inventory_worker::{
    dlq::{Disposition, Ended, REDRIVE_AGE_MAX, Refusal, Selection},
    domain::time::saturating_add,
    ports::{
        EntryError, Queue as _,
        queue::{MESSAGE_BYTES_MAX, text_attribute},
    },
    worker::dead_letters::{FIRST_SENT_AT, ORIGINAL_MESSAGE_ID, REASON},
};
use jiff::SignedDuration;

use super::fixture::{Fault, Place, fates, names, receive_request};

#[tokio::test(start_paused = true)]
async fn every_group_goes_back_in_order_and_as_it_was_sent() {
    let place = Place::new();
    let sent_at = saturating_add(place.now(), SignedDuration::from_hours(-30));
    for name in names("", 25) {
        for group in ["a", "b", "c"] {
            place.bury_sent_at(group, &format!("{group}{name}"), "POISON", sent_at);
        }
    }
    let run = place.desk.redrive(&*place.source, &Selection::all()).await;
    assert!(run.is_done());
    assert_eq!((run.handled.len(), run.behind), (75, Some(0)));
    assert_eq!(place.in_dead(), [""; 0]);
    let messages = place.source.inner.messages();
    for group in ["a", "b", "c"] {
        let of_group = messages.iter().filter(|one| one.group.as_str() == group);
        let bodies: Vec<&str> = of_group.map(|one| one.body.as_str()).collect();
        assert_eq!(bodies, names(group, 25));
    }
    let stated = (FIRST_SENT_AT.to_owned(), sent_at.to_string().into());
    let producers = ("tenant".to_owned(), "t-1".into());
    for message in &messages {
        assert_eq!(message.attributes, [stated.clone(), producers.clone()].into());
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_would_go_back_and_changes_nothing() {
    let place = Place::new();
    let beyond = saturating_add(place.now(), -REDRIVE_AGE_MAX - SignedDuration::from_secs(1));
    place.bury_sent_at("g", "too old", "POISON", beyond);
    place.bury("g", "new", "POISON");
    let run = place.desk.would_redrive(&*place.source, &Selection::all()).await;
    let refused = Disposition::Refused { why: Refusal::OlderThanLedger };
    let fates: Vec<&Disposition> = fates(&run).into_iter().map(|(_, fate)| fate).collect();
    assert_eq!(fates, [&refused, &Disposition::WouldRedrive]);
    assert_eq!((place.in_dead().len(), place.in_source().len()), (2, 0));
}

#[tokio::test(start_paused = true)]
async fn only_what_was_named_goes_back() {
    let place = Place::new();
    let ids: Vec<String> =
        names("m", 14).iter().map(|name| place.bury("g", name, "POISON")).collect();
    let named = [ids[4].clone(), ids[2].clone(), ids[9].clone()];
    let run = place.desk.redrive(&*place.source, &Selection::of(named)).await;
    assert!(run.is_done());
    assert_eq!(place.in_source(), ["m2", "m4", "m9"], "in the order of the group");
    assert_eq!(place.in_dead().len(), 11);
}

#[tokio::test(start_paused = true)]
async fn one_named_behind_the_first_ten_of_its_group_is_said_to_be_out_of_sight() {
    let place = Place::new();
    let ids: Vec<String> =
        names("m", 14).iter().map(|name| place.bury("g", name, "POISON")).collect();
    let run = place.desk.redrive(&*place.source, &Selection::of([ids[12].clone()])).await;
    assert_eq!((run.missing.len(), run.behind), (1, Some(4)));
    assert_eq!((place.in_dead().len(), place.in_source().len()), (14, 0));
}

#[tokio::test(start_paused = true)]
async fn what_is_older_than_the_ledger_is_refused_and_does_not_hold_up_the_others() {
    let place = Place::new();
    let at_the_limit = saturating_add(place.now(), -REDRIVE_AGE_MAX);
    let beyond = saturating_add(at_the_limit, SignedDuration::from_millis(-1));
    let old = place.bury_sent_at("g", "too old", "POISON", beyond);
    place.bury_sent_at("g", "just in time", "POISON", at_the_limit);
    place.bury("g", "new", "POISON");
    let run = place.desk.redrive(&*place.source, &Selection::all()).await;
    let refused = Disposition::Refused { why: Refusal::OlderThanLedger };
    assert_eq!(fates(&run)[0], (old.as_str(), &refused));
    assert!(!run.is_done());
    assert_eq!(place.in_source(), ["just in time", "new"]);
    assert_eq!(place.in_dead(), ["too old"]);
}

#[tokio::test(start_paused = true)]
async fn an_age_survives_every_death_and_redrive() {
    let place = Place::new();
    let first = place.now();
    // It may already have been in a queue for the whole retention period.
    let at_the_earliest = saturating_add(first, SignedDuration::from_hours(-14 * 24));
    place.push(&place.source, "g", "worn out", "d-1", &[]);
    let mut refused_after_days = None;
    for day in 0..100 {
        // SQS moves it after its last receive, without recording when it was sent.
        for attempt in 0..4 {
            let request = receive_request(&format!("{day}.{attempt}"));
            place.source.inner.receive(&request).await.unwrap();
            place.source.inner.expire_all_leases();
        }
        let run = place.desk.redrive(&*place.source, &Selection::all()).await;
        let known = if day == 0 { first } else { at_the_earliest };
        assert_eq!(run.handled[0].letter.first_sent_at, known);
        if run.handled[0].fate == (Disposition::Refused { why: Refusal::OlderThanLedger }) {
            refused_after_days = Some(day);
            break;
        }
        assert!(run.is_done(), "day {day}: {run:?}");
        tokio::time::advance(Duration::from_secs(86_400)).await;
    }
    assert_eq!(refused_after_days, Some(75));
}

#[tokio::test(start_paused = true)]
async fn a_time_that_a_producer_made_up_does_not_make_a_message_younger() {
    let place = Place::new();
    let later = saturating_add(place.now(), SignedDuration::from_hours(1_000));
    for (number, stated) in [later.to_string(), "yesterday".to_owned()].into_iter().enumerate() {
        let attributes = [(FIRST_SENT_AT, stated), (REASON, "POISON".to_owned())];
        place.push(&place.dead, "g", "m", &number.to_string(), &attributes);
    }
    let now = place.now();
    place.desk.redrive(&*place.source, &Selection::all()).await;
    for message in place.source.inner.messages() {
        assert_eq!(text_attribute(&message.attributes, FIRST_SENT_AT).unwrap(), now.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_without_room_for_its_age_is_refused() {
    let place = Place::new();
    place.push(&place.dead, "g", &"x".repeat(MESSAGE_BYTES_MAX - 10), "d-1", &[]);
    place.bury("g", "m", "POISON");
    let run = place.desk.redrive(&*place.source, &Selection::all()).await;
    assert_eq!(run.handled[0].fate, Disposition::Refused { why: Refusal::NoRoomForAge });
    assert_eq!(place.in_source(), ["m"]);
}

#[tokio::test(start_paused = true)]
async fn a_redrive_that_died_before_it_deleted_is_finished_by_the_next() {
    let place = Place::new();
    for name in names("m", 3) {
        place.bury("g", &name, "POISON");
    }
    // The state after a killed run: one redriven and not deleted, and leases that must expire.
    place.dead.next("delete", [Some(Fault::Fails)]);
    place.dead.next("change_visibility", [Some(Fault::Fails)]);
    let run = place.desk.redrive(&*place.source, &Selection::all()).await;
    assert!(matches!(run.handled[0].fate, Disposition::NotDeleted { sent: true, .. }), "{run:?}");
    assert!(matches!(run.ended, Ended::Failed(_)));
    assert_eq!((place.in_source(), run.still_leased), (vec!["m0".to_owned()], 3));
    place.dead.inner.expire_all_leases();

    let run = place.desk.redrive(&*place.source, &Selection::all()).await;
    assert!(run.is_done(), "{run:?}");
    assert_eq!(place.in_source(), names("m", 3), "the first is not there twice");
    assert_eq!(place.in_dead(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_send_leaves_the_dead_letter_for_the_next_run() {
    let place = Place::new();
    for name in names("m", 3) {
        place.bury("g", &name, "POISON");
    }
    place.source.next("send", [None, Some(Fault::LosesAnswer)]);
    let run = place.desk.redrive(&*place.source, &Selection::all()).await;
    assert!(matches!(run.handled[1].fate, Disposition::NotSent { .. }));
    assert_eq!((run.handled.len(), run.is_done()), (2, false));
    assert_eq!(place.in_dead(), ["m1", "m2"]);
    assert!(place.desk.redrive(&*place.source, &Selection::all()).await.is_done());
    assert_eq!(place.in_source(), names("m", 3));
}

#[tokio::test(start_paused = true)]
async fn what_the_queue_refuses_keeps_its_followers_back_and_no_other_group() {
    let place = Place::new();
    for name in names("a", 3) {
        place.bury("a", &name, "POISON");
    }
    for name in names("b", 3) {
        place.bury("b", &name, "POISON");
    }
    let busy = EntryError::Retryable("busy".to_owned());
    place.source.next("send", [None, Some(Fault::FailsEntry(busy))]);
    let run = place.desk.redrive(&*place.source, &Selection::all()).await;
    assert_eq!(run.ended, Ended::Complete);
    assert_eq!(place.in_source(), ["a0", "b0", "b1", "b2"]);
    assert_eq!(place.in_dead(), ["a1", "a2"]);
}

#[tokio::test(start_paused = true)]
async fn followers_that_a_batch_had_no_room_for_do_not_go_before_what_is_stuck() {
    let place = Place::new();
    for name in names("a", 7) {
        place.bury("a", &name, "POISON");
    }
    for name in names("b", 6) {
        place.bury("b", &name, "POISON");
    }
    let busy = Some(Fault::FailsEntry(EntryError::Retryable("busy".to_owned())));
    place.source.next("send", [vec![None; 7], vec![busy]].concat());
    let run = place.desk.redrive(&*place.source, &Selection::all()).await;
    assert!(!run.is_done());
    assert_eq!(place.in_source(), names("a", 7));
    assert_eq!(place.in_dead(), names("b", 6));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_dies_again_goes_back_at_once_when_asked_for() {
    let place = Place::new();
    place.bury("g", "m", "POISON");
    for redrives in 1..=3 {
        let run = place.desk.redrive(&*place.source, &Selection::all()).await;
        assert!(run.is_done(), "{redrives}: {run:?}");
        assert_eq!(place.in_source(), ["m"], "not taken for a repetition");
        // The worker dead-letters it again: a copy, then a delete.
        let received = place.source.inner.receive(&receive_request(&redrives.to_string())).await;
        let received = received.unwrap();
        let stated = text_attribute(&received[0].attributes, FIRST_SENT_AT).unwrap();
        let attributes = [
            (REASON, "POISON".to_owned()),
            (ORIGINAL_MESSAGE_ID, received[0].message_id.clone()),
            (FIRST_SENT_AT, stated.to_owned()),
        ];
        place.push(&place.dead, "g", "m", &received[0].message_id, &attributes);
        place.source.inner.delete(&[received[0].receipt.clone()]).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn one_run_does_not_send_back_what_it_sent_back_already() {
    let place = Place::new();
    // More than a batch, so that the run receives again; the first is dead-lettered again at once.
    for name in names("m", 11) {
        place.bury("g", &name, "POISON");
    }
    let source = place.source.inner.clone();
    let dead = place.dead.inner.clone();
    let killer = async {
        loop {
            tokio::time::sleep(Duration::from_millis(1)).await;
            if let Some(first) = source.messages().first() {
                let copy = inventory_worker::ports::OutgoingMessage {
                    group: first.group.clone(),
                    body: "again".to_owned(),
                    deduplication_id: Some(first.message_id.clone()),
                    attributes: [(
                        ORIGINAL_MESSAGE_ID.to_owned(),
                        first.message_id.as_str().into(),
                    )]
                    .into(),
                };
                dead.push(&copy).unwrap();
                return;
            }
        }
    };
    // The long poll at the end of the run sees the copy.
    let selection = Selection::all();
    let (run, ()) = tokio::join!(place.desk.redrive(&*place.source, &selection), killer);
    assert_eq!(run.handled.len(), 12);
    assert_eq!(run.handled[11].fate, Disposition::Refused { why: Refusal::DiedAgain });
    assert!(run.is_done(), "all was sent back; that one of them was met again is chance");
    assert_eq!((place.in_source(), place.in_dead()), (names("m", 11), vec!["again".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_told_to_stop_finishes_the_message_at_hand() {
    let place = Place::new();
    for name in names("m", 5) {
        place.bury("g", &name, "POISON");
    }
    *place.source.stop_at_send.lock().unwrap() = Some(place.desk.stop.clone());
    let run = place.desk.redrive(&*place.source, &Selection::all()).await;
    assert_eq!((run.handled.len(), run.ended), (1, Ended::Stopped));
    assert_eq!((place.in_source(), place.in_dead().len()), (names("m", 1), 4));
}
