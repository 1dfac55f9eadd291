//! The rush: everybody at once, for the best seats.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use tokio::{task::JoinSet, time::Instant};

use super::{
    customer::Customer,
    exchange::Exchange,
    tally::{Expected, result},
    theatre::{self, LAWN, PARKING, ROW_SEATS, line, rush_rows, seat_name},
};
use crate::domain::OrderLine;

/// How long buyers keep coming.
const RUSH: Duration = Duration::from_millis(3_200);
/// From then on nobody tries any more: on a busy machine the house sells slowly.
const CLOSES: Duration = Duration::from_millis(5_500);
/// A moment's thought before paying.
const THINKING_MS: std::ops::Range<u64> = 30..400;
/// How often a buyer tries before going home.
const TRIES: u32 = 3;
/// Seats a buyer takes at most.
const PARTY_MAX: usize = 4;

/// What a reserve in the rush may come to.
const MAY_LOSE: Expected = &[result::RESERVED, "SEATS_UNAVAILABLE", "INSUFFICIENT_STOCK"];

/// What a buyer does with what was got.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Temper {
    Pays,
    ChangesMind,
    WantsMoneyBack,
    WalksAway,
}

impl Temper {
    fn of(number: usize) -> Self {
        match number % 20 {
            7 => Self::WalksAway,
            3 | 12 => Self::ChangesMind,
            16 => Self::WantsMoneyBack,
            _ => Self::Pays,
        }
    }
}

/// Sends in the buyers and waits until the last one has left.
pub async fn rush(exchange: &Arc<Exchange>, buyers: usize, seed: u64) -> anyhow::Result<()> {
    let mut crowd = JoinSet::new();
    let closes = Instant::now() + CLOSES;
    for number in 0..buyers {
        let mut rng = Rng::with_seed(seed.wrapping_add(number as u64));
        let exchange = Arc::clone(exchange);
        let temper = Temper::of(number);
        // Most come early; those who walk away first, so that their holds run out in time.
        let last = if temper == Temper::WalksAway { RUSH / 4 } else { RUSH };
        crowd.spawn(async move {
            tokio::time::sleep(last.mul_f64(rng.f64().powf(1.5))).await;
            visit(exchange, number, temper, closes, &mut rng).await
        });
    }
    everyone(crowd).await
}

/// Those who come later, for what was given back. They look before they choose.
pub async fn latecomers(exchange: &Arc<Exchange>, buyers: usize, seed: u64) -> anyhow::Result<()> {
    let mut crowd = JoinSet::new();
    for number in 0..buyers {
        let mut rng = Rng::with_seed(seed.wrapping_sub(1 + number as u64));
        let name = format!("latecomer-{number:02}");
        let exchange = Arc::clone(exchange);
        crowd.spawn(async move {
            tokio::time::sleep(Duration::from_millis(rng.u64(0..500))).await;
            let mut buyer = Customer::new(&exchange, name, theatre::event());
            let party = rng.usize(1..=2);
            for _ in 0..TRIES {
                let Some((_, seats)) = look(&exchange, party, &mut rng) else { return Ok(()) };
                if let Some(held) = buyer.reserve(&seats, &[], None, MAY_LOSE).await? {
                    return buyer.confirm(&held, &[result::CONFIRMED]).await;
                }
            }
            Ok(())
        });
    }
    everyone(crowd).await
}

async fn everyone(mut crowd: JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(left) = crowd.join_next().await {
        left??;
    }
    Ok(())
}

/// One buyer: tries for seats, or the lawn, and decides what to do with what was got.
async fn visit(
    exchange: Arc<Exchange>,
    number: usize,
    temper: Temper,
    closes: Instant,
    rng: &mut Rng,
) -> anyhow::Result<()> {
    let name = format!("buyer-{number:03}");
    let mut buyer = Customer::new(&exchange, name.as_str(), theatre::event());
    let hold_seconds = (temper == Temper::WalksAway).then_some(1);
    let party = 1 + rng.usize(..PARTY_MAX).min(rng.usize(..PARTY_MAX));
    for attempt in 0..TRIES {
        if Instant::now() >= closes {
            return Ok(());
        }
        let (section, seats) = match attempt {
            _ if number % 5 == 4 => ("lawn", Vec::new()),
            0 => dream(party, rng),
            _ => match look(&exchange, party, rng) {
                Some(found) => found,
                None => return Ok(()),
            },
        };
        buyer.group = Some(theatre::text(group(number, section, &name))?);
        let lines = extras(number, seats.len(), party)?;
        let Some(held) = buyer.reserve(&seats, &lines, hold_seconds, MAY_LOSE).await? else {
            tokio::time::sleep(Duration::from_millis(rng.u64(THINKING_MS) / 2)).await;
            continue;
        };
        if temper == Temper::WalksAway {
            exchange.tally().runs_out(held.reservation_id);
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(THINKING_MS))).await;
        return match temper {
            Temper::Pays | Temper::WalksAway => buyer.confirm(&held, &[result::CONFIRMED]).await,
            Temper::ChangesMind => buyer.cancel(&held, false, &[result::CANCELLED]).await,
            Temper::WantsMoneyBack => {
                buyer.confirm(&held, &[result::CONFIRMED]).await?;
                buyer.cancel(&held, true, &[result::CANCELLED]).await
            }
        };
    }
    Ok(())
}

/// The producer's choice: most shops order by section, some by event, some by buyer. The same seat
/// is asked for in several groups, so no group's order can protect it.
fn group(number: usize, section: &str, name: &str) -> String {
    let event = theatre::EVENT;
    match number % 10 {
        0..6 => format!("event-{event}/{section}"),
        6..8 => format!("event-{event}"),
        _ => format!("event-{event}/{name}"),
    }
}

/// Places on the lawn for those without seats, parking for some of those with.
fn extras(number: usize, seats: usize, party: usize) -> anyhow::Result<Vec<OrderLine>> {
    let quantity = u64::try_from(party)?;
    Ok(match (seats, number % 8) {
        (0, _) => vec![line(LAWN.0, quantity)?],
        (_, 1) => vec![line(PARKING.0, 1)?],
        _ => Vec::new(),
    })
}

/// The seats everybody wants: in front, in the middle. Without a look at what is left.
fn dream(party: usize, rng: &mut Rng) -> (&'static str, Vec<String>) {
    let rows: Vec<_> = rush_rows().collect();
    #[expect(clippy::cast_precision_loss, reason = "a dozen rows")]
    let spread = rows.len() as f64 * rng.f64().powf(1.7);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ spread < 12")]
    let (section, row) = rows.get(spread as usize).copied().unwrap_or(("Stalls", "A"));
    let room = ROW_SEATS - party + 1;
    let start = usize::midpoint(rng.usize(..room), rng.usize(..room));
    (section, (start..start + party).map(|index| seat_name(row, index)).collect())
}

/// Seats side by side that are free as far as results tell, from a random row on.
fn look(exchange: &Exchange, party: usize, rng: &mut Rng) -> Option<(&'static str, Vec<String>)> {
    let taken = exchange.tally().seats();
    let is_free = |name: &String| !taken.keys().any(|seat| seat.as_str() == name);
    let rows: Vec<_> = rush_rows().collect();
    let first = rng.usize(..rows.len());
    rows.iter().cycle().skip(first).take(rows.len()).find_map(|(section, row)| {
        let names: Vec<String> = (0..ROW_SEATS).map(|index| seat_name(row, index)).collect();
        let block = names.windows(party).find(|block| block.iter().all(is_free))?;
        Some((*section, block.to_vec()))
    })
}
