//! The sample data: an event and a store.

use crate::domain::{
    Action, CommandKey, InvalidText, LineChange, PoolId, Restock, RestockMode, SeatChange,
};

/// The sections, with their rows and the price of a seat.
const SECTIONS: [(&str, [&str; 4], &str); 2] =
    [("Stalls", ["A", "B", "C", "D"], "79.00"), ("Balcony", ["E", "F", "G", "H"], "49.50")];
const ROW_SEATS: usize = 20;
/// General admission.
const LAWN: (&str, i64) = ("lawn", 200);
const STOCK: [(&str, i64); 4] = [("apple", 120), ("bread", 40), ("cheese", 25), ("umbrella", 3)];

/// The event of the sample.
pub(super) const EVENT_ID: u64 = 1;

/// The sample in one sentence.
pub(super) const WORDS: &str = "event 1: seats A-1 to H-20, and 200 places of `lawn`; \
                                store store-1: apple, bread, cheese, umbrella";

/// A command that works the first time.
pub(super) const EXAMPLE: &str = r#"{"specversion":"1.0","id":"try-1","source":"/me","type":"inventory.reserve.v1","data":{"event_id":1,"user_id":"me","seats":["A-1","A-2"]}}"#;

/// The restocks that create it, under the same identity each time: where tables were kept, the
/// ledger answers them, and they change nothing.
pub(super) fn commands() -> Result<Vec<(CommandKey, PoolId, Action)>, InvalidText> {
    let command = |id: &str, pool: PoolId, restock: Restock| {
        let key = CommandKey { source: "/inventory-dev".parse()?, id: id.parse()? };
        Ok((key, pool, Action::Restock(restock)))
    };
    Ok(vec![
        command("sample-event-1", PoolId::Event(EVENT_ID), event()?)?,
        command("sample-store-1", PoolId::Store("store-1".parse()?), restock(vec![], &STOCK)?)?,
    ])
}

fn event() -> Result<Restock, InvalidText> {
    let mut seats = Vec::new();
    for (section, rows, price) in SECTIONS {
        for row in rows {
            for number in 1..=ROW_SEATS {
                seats.push(SeatChange {
                    number: format!("{row}-{number}").parse()?,
                    section: Some(section.parse()?),
                    row_number: Some(row.parse()?),
                    seat_type: None,
                    price: Some(price.parse()?),
                    status: None,
                });
            }
        }
    }
    restock(seats, &[LAWN])
}

fn restock(seats: Vec<SeatChange>, lines: &[(&str, i64)]) -> Result<Restock, InvalidText> {
    let line = |(sku, quantity): &(&str, i64)| Ok(LineChange::new(sku.parse()?, *quantity));
    let lines = lines.iter().map(line).collect::<Result<_, InvalidText>>()?;
    Ok(Restock::new(seats, lines, RestockMode::Set))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message;

    #[test]
    fn the_example_is_a_command_on_the_sample() {
        let decoded = message::decode(EXAMPLE).unwrap();
        let Action::Reserve(reserve) = decoded.command.action else { panic!("no reserve") };
        let sample = commands().unwrap();
        let (_, pool, Action::Restock(event)) = &sample[0] else { panic!("no restock") };
        assert_eq!(*pool, decoded.command.pool);
        assert_eq!(event.seats.len(), 160);
        for seat in &reserve.seats {
            assert!(event.seats.iter().any(|change| change.number == *seat), "{seat}");
        }
    }
}
