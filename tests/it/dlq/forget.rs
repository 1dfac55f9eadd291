//! A user's id is removed from dead letters.

use inventory_worker::{
    dlq::{Disposition, Refusal},
    domain::UserId,
    ports::{Queue as _, queue::text_attribute},
};

use super::fixture::{Place, fates, names, receive_request};

fn user() -> UserId {
    "ann".parse().unwrap()
}

fn reserve(id: &str, user: &str) -> String {
    format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/s","type":"inventory.reserve.v1","data":{{"event_id":1,"user_id":"{user}","seats":["A-1"]}}}}"#
    )
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_names_the_user_is_replaced_and_keeps_its_reason_and_age() {
    let place = Place::new();
    let bodies = [reserve("1", "ann"), reserve("2", "bob"), reserve("3", "ann")];
    let ids: Vec<String> = bodies.iter().map(|body| place.bury("g", body, "POISON")).collect();
    let before = place.desk.list(&Default::default()).await.handled[0].letter.clone();
    let run = place.desk.forget(&user()).await;
    assert!(run.is_done(), "{run:?}");
    let found: Vec<&str> = fates(&run).iter().map(|(id, _)| *id).collect();
    assert_eq!(found, [ids[0].as_str(), ids[2].as_str()]);
    let left = place.in_dead();
    assert_eq!((left.len(), &left[0]), (3, &bodies[1]));
    assert!(left[1..].iter().all(|body| !body.contains("ann") && body.contains("forgotten-")));
    let listed = place.desk.list(&Default::default()).await;
    let after = &listed.handled[1].letter;
    assert_eq!(
        (&after.reason, &after.detail, after.first_sent_at, &after.original_message_id),
        (&before.reason, &before.detail, before.first_sent_at, &before.original_message_id)
    );
    assert_eq!(place.desk.forget(&user()).await.handled, [], "once");
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_without_its_age_gets_the_greatest_it_may_have() {
    let place = Place::new();
    place.push(&place.dead, "g", &reserve("1", "ann"), "d-1", &[]);
    let sent = place.now();
    assert!(place.desk.forget(&user()).await.is_done());
    let letter = place.desk.list(&Default::default()).await.handled.remove(0).letter;
    assert_eq!(sent.duration_since(letter.first_sent_at).as_hours(), 14 * 24);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_no_json_is_reported_and_one_behind_ten_others_too() {
    let place = Place::new();
    for name in names("m", 10) {
        place.bury("busy", &name, "POISON");
    }
    place.bury("busy", &reserve("1", "ann"), "POISON");
    let id = place.bury("text", "seats for ann", "INVALID_MESSAGE");
    let run = place.desk.forget(&user()).await;
    let refused = Disposition::Refused { why: Refusal::NoJson };
    assert_eq!(fates(&run), [(id.as_str(), &refused)]);
    assert!(!run.is_done());
    assert_eq!(run.behind, Some(1), "behind the first ten of its group");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_changes_nothing() {
    let place = Place::new();
    let body = reserve("1", "ann");
    let id = place.bury("g", &body, "POISON");
    let run = place.desk.would_forget(&user()).await;
    assert_eq!(fates(&run), [(id.as_str(), &Disposition::WouldRewrite)]);
    assert_eq!(place.in_dead(), [body]);
}

#[tokio::test(start_paused = true)]
async fn an_attribute_that_is_the_id_is_replaced_and_one_that_contains_it_is_reported() {
    let place = Place::new();
    let whole = [("customer", "ann".to_owned()), ("tenant", "t-1".to_owned())];
    let replaced = place.push(&place.dead, "a", &reserve("1", "bob"), "d-1", &whole);
    let within = [("trace", "for ann at 10".to_owned())];
    let reported = place.push(&place.dead, "b", &reserve("2", "bob"), "d-2", &within);
    let run = place.desk.would_forget(&user()).await;
    let refused = Disposition::Refused { why: Refusal::InAttribute };
    let expected = [(&*replaced, &Disposition::WouldRewrite), (&*reported, &refused)];
    assert_eq!(fates(&run), expected);

    let run = place.desk.forget(&user()).await;
    assert!(!run.is_done(), "{run:?}");
    assert_eq!(fates(&run)[1], (&*reported, &refused));
    assert!(matches!(fates(&run)[0].1, Disposition::Rewritten { .. }), "{run:?}");
    let left = place.dead.inner.receive(&receive_request("1")).await.unwrap();
    let attributes = &left.iter().find(|one| one.group.as_str() == "a").unwrap().attributes;
    assert_eq!(text_attribute(attributes, "customer"), Some("forgotten"));
    assert_eq!(text_attribute(attributes, "tenant"), Some("t-1"));
}
