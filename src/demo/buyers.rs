//! The rush: all buyers at once compete for the best seats.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use tokio::{task::JoinSet, time::Instant};

use super::{
    client::DemoClient,
    customer::Customer,
    expectations::{ExpectedOutcomes, result},
    venue::{self, LAWN, PARKING, ROW_SEATS, line, rush_rows, seat_name},
};
use crate::domain::OrderLine;

/// How long buyers keep coming.
const RUSH: Duration = Duration::from_millis(3_200);
/// The latest start of an attempt: on a busy machine seats sell slowly.
const CLOSES: Duration = Duration::from_millis(5_500);
/// The pause before a buyer pays, ms.
const THINKING_MS: std::ops::Range<u64> = 30..400;
/// How often a buyer tries before leaving.
const TRIES: u32 = 3;
/// The most seats a buyer takes.
const PARTY_MAX: usize = 4;

/// The possible outcomes of a reserve in the rush.
const MAY_LOSE: ExpectedOutcomes = &[result::RESERVED, "SEATS_UNAVAILABLE", "INSUFFICIENT_STOCK"];

/// What a buyer does with a hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum BuyerBehavior {
    Pays,
    ChangesMind,
    WantsMoneyBack,
    WalksAway,
}

impl BuyerBehavior {
    fn of(number: usize) -> Self {
        match number % 20 {
            7 => Self::WalksAway,
            3 | 12 => Self::ChangesMind,
            16 => Self::WantsMoneyBack,
            _ => Self::Pays,
        }
    }
}

/// Lets the buyers in, and returns once the last one has left.
pub async fn rush(client: &Arc<DemoClient>, buyers: usize, seed: u64) -> anyhow::Result<()> {
    let mut crowd = JoinSet::new();
    let closes = Instant::now() + CLOSES;
    for number in 0..buyers {
        let mut rng = Rng::with_seed(seed.wrapping_add(number as u64));
        let client = Arc::clone(client);
        let behavior = BuyerBehavior::of(number);
        // Most arrive early; those who walk away arrive first, so that their holds expire in time.
        let last = if behavior == BuyerBehavior::WalksAway { RUSH / 4 } else { RUSH };
        crowd.spawn(async move {
            tokio::time::sleep(last.mul_f64(rng.f64().powf(1.5))).await;
            visit(client, number, behavior, closes, &mut rng).await
        });
    }
    all_left(crowd).await
}

/// Buyers who arrive later, for the seats given back, and choose among free seats.
pub async fn latecomers(client: &Arc<DemoClient>, buyers: usize, seed: u64) -> anyhow::Result<()> {
    let mut crowd = JoinSet::new();
    for number in 0..buyers {
        let mut rng = Rng::with_seed(seed.wrapping_sub(1 + number as u64));
        let name = format!("latecomer-{number:02}");
        let client = Arc::clone(client);
        crowd.spawn(async move {
            tokio::time::sleep(Duration::from_millis(rng.u64(0..500))).await;
            let mut buyer = Customer::new(&client, name, venue::event());
            let party = rng.usize(1..=2);
            for _ in 0..TRIES {
                let Some((_, seats)) = free_seats(&client, party, &mut rng) else { return Ok(()) };
                if let Some(held) = buyer.reserve(&seats, &[], None, MAY_LOSE).await? {
                    return buyer.confirm(&held, &[result::CONFIRMED]).await;
                }
            }
            Ok(())
        });
    }
    all_left(crowd).await
}

async fn all_left(mut crowd: JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(left) = crowd.join_next().await {
        left??;
    }
    Ok(())
}

/// One buyer: tries for seats, or the lawn, and pays, cancels or walks away.
async fn visit(
    client: Arc<DemoClient>,
    number: usize,
    behavior: BuyerBehavior,
    closes: Instant,
    rng: &mut Rng,
) -> anyhow::Result<()> {
    let name = format!("buyer-{number:03}");
    let mut buyer = Customer::new(&client, name.as_str(), venue::event());
    let hold_seconds = (behavior == BuyerBehavior::WalksAway).then_some(1);
    let party = 1 + rng.usize(..PARTY_MAX).min(rng.usize(..PARTY_MAX));
    for attempt in 0..TRIES {
        if Instant::now() >= closes {
            return Ok(());
        }
        let (section, seats) = match attempt {
            _ if number % 5 == 4 => ("lawn", Vec::new()),
            0 => best_seats(party, rng),
            _ => match free_seats(&client, party, rng) {
                Some(found) => found,
                None => return Ok(()),
            },
        };
        buyer.group = Some(venue::text(group(number, section, &name))?);
        let lines = extras(number, seats.len(), party)?;
        let Some(held) = buyer.reserve(&seats, &lines, hold_seconds, MAY_LOSE).await? else {
            tokio::time::sleep(Duration::from_millis(rng.u64(THINKING_MS) / 2)).await;
            continue;
        };
        if behavior == BuyerBehavior::WalksAway {
            client.expectations().runs_out(held.reservation_id);
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(THINKING_MS))).await;
        return match behavior {
            BuyerBehavior::Pays | BuyerBehavior::WalksAway => {
                buyer.confirm(&held, &[result::CONFIRMED]).await
            }
            BuyerBehavior::ChangesMind => buyer.cancel(&held, false, &[result::CANCELLED]).await,
            BuyerBehavior::WantsMoneyBack => {
                buyer.confirm(&held, &[result::CONFIRMED]).await?;
                buyer.cancel(&held, true, &[result::CANCELLED]).await
            }
        };
    }
    Ok(())
}

/// The producer chooses the group: most use one per section, some one per event or per buyer. The
/// same seat is requested in several groups, so no group's order protects it.
fn group(number: usize, section: &str, name: &str) -> String {
    let event = venue::EVENT;
    match number % 10 {
        0..6 => format!("event-{event}/{section}"),
        6..8 => format!("event-{event}"),
        _ => format!("event-{event}/{name}"),
    }
}

/// Lawn places for buyers without seats, parking for some of those with seats.
fn extras(number: usize, seats: usize, party: usize) -> anyhow::Result<Vec<OrderLine>> {
    let quantity = u64::try_from(party)?;
    Ok(match (seats, number % 8) {
        (0, _) => vec![line(LAWN.0, quantity)?],
        (_, 1) => vec![line(PARKING.0, 1)?],
        _ => Vec::new(),
    })
}

/// The most wanted seats, in front and in the middle, whether or not they are free.
fn best_seats(party: usize, rng: &mut Rng) -> (&'static str, Vec<String>) {
    let rows: Vec<_> = rush_rows().collect();
    #[expect(clippy::cast_precision_loss, reason = "a dozen rows")]
    let spread = rows.len() as f64 * rng.f64().powf(1.7);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ spread < 12")]
    let (section, row) = rows.get(spread as usize).copied().unwrap_or(("Stalls", "A"));
    let room = ROW_SEATS - party + 1;
    let start = usize::midpoint(rng.usize(..room), rng.usize(..room));
    (section, (start..start + party).map(|index| seat_name(row, index)).collect())
}

/// Adjacent seats that no result shows as taken, starting at a random row.
fn free_seats(
    client: &DemoClient,
    party: usize,
    rng: &mut Rng,
) -> Option<(&'static str, Vec<String>)> {
    let taken = client.expectations().seats();
    let is_free = |name: &String| !taken.keys().any(|seat| seat.as_str() == name);
    let rows: Vec<_> = rush_rows().collect();
    let first = rng.usize(..rows.len());
    rows.iter().cycle().skip(first).take(rows.len()).find_map(|(section, row)| {
        let names: Vec<String> = (0..ROW_SEATS).map(|index| seat_name(row, index)).collect();
        let block = names.windows(party).find(|block| block.iter().all(is_free))?;
        Some((*section, block.to_vec()))
    })
}
