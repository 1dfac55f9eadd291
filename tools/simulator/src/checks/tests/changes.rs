//! What results say was changed, and by whom reservations were made.

use super::*;
use crate::checks::{changes::View, listed::Listed};

/// The changes of the reserve, changed.
fn wrong_changes() -> Vec<Vec<ItemState>> {
    let mut ahead = taken();
    if let Some(ItemState::Seat { version, .. }) = ahead.first_mut() {
        *version += 1;
    }
    let mut padded = taken();
    padded.push(ItemState::Line {
        sku: "y".parse().unwrap(),
        version: 1,
        on_hand: 1,
        available: 1,
        reserved: 0,
    });
    vec![Vec::new(), taken().split_off(1), ahead, padded]
}

#[test]
fn the_ledger_lists_exactly_what_the_outcome_changed() {
    for wrong in wrong_changes() {
        let mut judged = Judged::new(SeatState::Available);
        let reserve = judged.send(&reserve_body("1"));
        let mut transaction = reserved(&reserve);
        let outcome = Outcome::Reserved { reservation: reservation() };
        transaction.writes[3] = changed(&reserve, outcome, wrong.clone(), at(1));
        assert_eq!(judged.commit(&transaction, at(1)), Some("changes"), "{wrong:?}");
    }
}

/// A history in which the reserve was sent and committed.
async fn reserved_history() -> (Told, Command, Outcome) {
    let command = command(&reserve_body("1"));
    let mut told = Told::new();
    told.send(1, &reserve_body("1"));
    told.commit(&reserved(&command)).await;
    (told, command, Outcome::Reserved { reservation: reservation() })
}

#[tokio::test(start_paused = true)]
async fn a_result_lists_exactly_what_its_command_changed() {
    let (mut told, command, outcome) = reserved_history().await;
    told.history.published(&publication(1, &command, &outcome, &Changes::Listed(taken())), false);
    assert_eq!(told.failed(), None);
    let omitted = std::iter::once(Changes::Omitted);
    for wrong in wrong_changes().into_iter().map(Changes::Listed).chain(omitted) {
        let (mut told, command, outcome) = reserved_history().await;
        told.history.published(&publication(1, &command, &outcome, &wrong), false);
        assert_eq!(told.failed(), Some("changes"), "{wrong:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_result_names_the_source_that_made_its_reservation() {
    let (_, command, outcome) = reserved_history().await;
    let right = publication(1, &command, &outcome, &Changes::Listed(taken()));
    let mut no_attribute = right.clone();
    no_attribute.attributes.remove("reservation_source");
    let mut other_attribute = right.clone();
    other_attribute.attributes.insert("reservation_source", "/other".to_owned());
    let mut other_body = other_attribute.clone();
    other_body.body =
        right.body.replace(r#""source":"/t","user_id""#, r#""source":"/other","user_id""#);
    assert_ne!(other_body.body, right.body);
    for wrong in [no_attribute, other_attribute, other_body] {
        let (mut told, ..) = reserved_history().await;
        told.history.published(&wrong, false);
        assert_eq!(told.failed(), Some("source"), "{wrong:?}");
    }
}

#[test]
fn a_view_of_results_alone_must_be_as_the_tables_are() {
    let mut judged = Judged::new(SeatState::Available);
    let reserve = judged.send(&reserve_body("1"));
    assert_eq!(judged.commit(&reserved(&reserve), at(1)), None);
    let check = |changes: &[ItemState], tables: &Tables| {
        let mut view = View::default();
        let listed: Vec<Listed> = changes.iter().map(Listed::from).collect();
        view.add(&reserve.key, &reserve.pool, &listed)?;
        view.check(tables, &judged.model)
    };
    assert_eq!(check(&taken(), &good_tables()), Ok(()));
    for wrong in &wrong_changes()[..3] {
        assert_eq!(check(wrong, &good_tables()).unwrap_err().check, "view", "{wrong:?}");
    }
    let mut other = good_tables();
    other.lines.insert(line_key(), line(4, 2, 2, at(1)));
    assert_eq!(check(&taken(), &other).unwrap_err().check, "view");
    let nothing_published = View::default();
    assert_eq!(nothing_published.check(&good_tables(), &judged.model), Ok(()));
}
