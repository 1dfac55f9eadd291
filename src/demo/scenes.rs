//! The scripted scenes: one for each way in which a sale can go wrong, on seats of their own.

use std::sync::Arc;

use futures::future::try_join_all;
use serde_json::json;

use super::{
    customer::Customer,
    exchange::Exchange,
    tally::result,
    theatre::{self, BLOCKED, STORE_SKUS, line, sku, text},
};

/// A scene and how it went.
#[derive(Clone, Debug)]
pub struct Scene {
    /// In a word or two.
    pub title: &'static str,
    /// What was done, and what it shows.
    pub told: String,
    /// Whether every command came to what it must.
    pub went_well: bool,
}

type Played = anyhow::Result<Scene>;

/// Puts everything on sale, through the queue of restocks. Plays before the doors open.
pub async fn stock_up(exchange: &Arc<Exchange>) -> Played {
    let mut house = Customer::new(exchange, "house-manager", theatre::event());
    let mut kiosk = Customer::new(exchange, "kiosk-manager", theatre::store()?);
    let (event, store) = (theatre::event_restock()?, theatre::store_restock()?);
    let (seats, skus) = (event.seats.len(), store.lines.len());
    tokio::try_join!(house.restock(event), kiosk.restock(store))?;
    Ok(Scene {
        title: "Restock",
        told: format!(
            "{seats} seats and {skus} SKUs went on sale in two messages. Neither fits one \
             transaction, so each ran in chunks with a marker apiece: a crash in between would \
             resume, not repeat."
        ),
        went_well: house.went_well && kiosk.went_well,
    })
}

/// Plays all scenes side by side, in the order they are told in.
pub async fn play(exchange: &Arc<Exchange>) -> anyhow::Result<Vec<Scene>> {
    let scenes: [futures::future::BoxFuture<'_, Played>; 8] = [
        Box::pin(duplicate(exchange)),
        Box::pin(reused_id(exchange)),
        Box::pin(ran_out(exchange)),
        Box::pin(takeover(exchange)),
        Box::pin(refund(exchange)),
        Box::pin(stranger(exchange)),
        Box::pin(unreadable(exchange)),
        Box::pin(store(exchange)),
    ];
    try_join_all(scenes).await
}

fn customer(exchange: &Arc<Exchange>, name: &str) -> anyhow::Result<Customer> {
    Customer::new(exchange, name, theatre::event()).in_group(format!("event-1/{name}"))
}

async fn duplicate(exchange: &Arc<Exchange>) -> Played {
    let mut ada = customer(exchange, "ada")?;
    let reserve =
        |ada: &mut Customer| ada.reserve_ask(&["X-1".to_owned()], &[], None, &[result::RESERVED]);
    let first = reserve(&mut ada)?;
    let repetition = reserve(&mut customer(exchange, "ada")?)?;
    let held = ada.ask(first).await?.and_then(|reply| reply.result.data.reservation);
    exchange.repeat(repetition)?;
    if let Some(held) = held {
        ada.confirm(&held, &[result::CONFIRMED]).await?;
    }
    Ok(Scene {
        title: "Duplicate",
        told: "A reserve was sent twice, past the queue's own deduplication. The second time the \
               ledger answered: the same outcome under the same result id, and nothing was done."
            .to_owned(),
        went_well: ada.went_well,
    })
}

async fn reused_id(exchange: &Arc<Exchange>) -> Played {
    let mut bob = customer(exchange, "bob")?;
    let first = bob.reserve_ask(&["X-2".to_owned()], &[], None, &[result::RESERVED])?;
    let id = first.id.clone();
    let held = bob.ask(first).await?.and_then(|reply| reply.result.data.reservation);
    let mut other = bob.reserve_ask(&["X-3".to_owned()], &[], None, &["COMMAND_ID_REUSED"])?;
    other.id = id;
    bob.ask(other).await?;
    if let Some(held) = held {
        bob.confirm(&held, &[result::CONFIRMED]).await?;
    }
    Ok(Scene {
        title: "Reused id",
        told: "The same id came again with another seat: COMMAND_ID_REUSED, and the first outcome \
               stands."
            .to_owned(),
        went_well: bob.went_well,
    })
}

async fn ran_out(exchange: &Arc<Exchange>) -> Played {
    let mut cleo = customer(exchange, "cleo")?;
    let seats = ["X-5".to_owned(), "X-6".to_owned()];
    if let Some(held) = cleo.reserve(&seats, &[], Some(1), &[result::RESERVED]).await? {
        exchange.tally().runs_out(held.reservation_id);
        exchange.until_expired(held.reservation_id).await;
        cleo.confirm(&held, &["RESERVATION_EXPIRED"]).await?;
    }
    Ok(Scene {
        title: "Expiry",
        told: "Holds of one second were left alone. The sweeper found them, posted an expiry for \
               each as a command like any other, and a confirm that came too late met \
               RESERVATION_EXPIRED."
            .to_owned(),
        went_well: cleo.went_well,
    })
}

async fn takeover(exchange: &Arc<Exchange>) -> Played {
    let (mut dora, mut eve) = (customer(exchange, "dora")?, customer(exchange, "eve")?);
    let seats = ["X-7".to_owned(), "X-8".to_owned()];
    let mut was_first = false;
    if let Some(held) = dora.reserve(&seats, &[], Some(1), &[result::RESERVED]).await? {
        exchange.tally().runs_out(held.reservation_id);
        let clock = &exchange.embedded.backends.clock;
        exchange.until(|| clock.now() >= held.expires_at).await;
        if let Some(taken) = eve.reserve(&seats, &[], None, &[result::RESERVED]).await? {
            dora.confirm(&held, &["RESERVATION_EXPIRED"]).await?;
            eve.confirm(&taken, &[result::CONFIRMED]).await?;
            exchange.until_expired(held.reservation_id).await;
            let released = exchange.tally().ended_at(held.reservation_id);
            was_first = released.is_some_and(|released| taken.created_at < released);
        }
    }
    let when = if was_first { "and before the sweeper came" } else { "right after the sweeper" };
    Ok(Scene {
        title: "Takeover",
        told: format!(
            "The moment a hold ran out, {when}, someone else took its seats and paid. The first \
             owner's late confirm and expiry left them alone."
        ),
        went_well: dora.went_well && eve.went_well,
    })
}

async fn refund(exchange: &Arc<Exchange>) -> Played {
    let (mut finn, mut gwen) = (customer(exchange, "finn")?, customer(exchange, "gwen")?);
    if let Some(held) = finn.hold(&["X-9", "X-10"]).await? {
        finn.confirm(&held, &[result::CONFIRMED]).await?;
        finn.cancel(&held, false, &["RESERVATION_CONFIRMED"]).await?;
        finn.cancel(&held, true, &[result::CANCELLED]).await?;
    }
    if let Some(held) = gwen.hold(&["X-9", "X-10"]).await? {
        gwen.confirm(&held, &[result::CONFIRMED]).await?;
    }
    Ok(Scene {
        title: "Refund",
        told: "A paid reservation cannot be cancelled by accident (RESERVATION_CONFIRMED). With \
               `refund` it was, and both seats were sold to the next customer."
            .to_owned(),
        went_well: finn.went_well && gwen.went_well,
    })
}

async fn stranger(exchange: &Arc<Exchange>) -> Played {
    let (mut hana, mut ivan) = (customer(exchange, "hana")?, customer(exchange, "ivan")?);
    if let Some(held) = hana.hold(&["X-11"]).await? {
        ivan.confirm(&held, &["NOT_OWNER"]).await?;
        hana.confirm(&held, &[result::CONFIRMED]).await?;
    }
    ivan.reserve(&["Z-99".to_owned()], &[], None, &["SEAT_NOT_FOUND"]).await?;
    ivan.reserve(&[BLOCKED.to_owned()], &[], None, &["SEATS_UNAVAILABLE"]).await?;
    Ok(Scene {
        title: "Wrong requests",
        told: "Another user's reservation (NOT_OWNER), a seat that does not exist \
               (SEAT_NOT_FOUND), a seat off sale (SEATS_UNAVAILABLE): each got its answer, and \
               nothing changed."
            .to_owned(),
        went_well: hana.went_well && ivan.went_well,
    })
}

async fn unreadable(exchange: &Arc<Exchange>) -> Played {
    let mut jo = customer(exchange, "jo")?;
    let group = text("event-1/jo")?;
    exchange.post_text(&group, "{\"specversion\": \"1.0\", \"id\":".to_owned(), None).await?;
    let unknown = json!({
        "specversion": "1.0", "id": "teleport-1", "source": "/demo/box-office",
        "type": "inventory.teleport.v1", "data": { "event_id": theatre::EVENT },
    });
    let expected: &[&str] = &["UNSUPPORTED_TYPE"];
    let answer = Some(("teleport-1", expected));
    let reply = exchange.post_text(&group, unknown.to_string(), answer).await?;
    jo.went_well &= reply.is_some_and(|reply| reply.is_expected);
    if let Some(held) = jo.hold(&["X-12"]).await? {
        jo.confirm(&held, &[result::CONFIRMED]).await?;
    }
    exchange.until(|| exchange.embedded.dead_letters() >= UNREADABLE).await;
    let dead = exchange.embedded.dead_letters();
    Ok(Scene {
        title: "Poison",
        told: format!(
            "A message that is not JSON and one of an unknown type were copied whole to the \
             dead-letter queue with the reason ({dead} copies). The reserve right behind them in \
             their group was sold as usual."
        ),
        went_well: jo.went_well && dead == UNREADABLE,
    })
}

/// Messages of the scenes that belong in the dead-letter queue.
pub const UNREADABLE: usize = 2;

async fn store(exchange: &Arc<Exchange>) -> Played {
    let pool = theatre::store()?;
    let mut kim = Customer::new(exchange, "kim", pool.clone());
    let mut kiosk = Customer::new(exchange, "kiosk-clerk", pool);
    let basket = |quantity| -> anyhow::Result<Vec<_>> {
        let skus = [1, 2, STORE_SKUS];
        Ok(skus.iter().map(|number| line(&sku(*number), quantity)).collect::<Result<_, _>>()?)
    };
    let stocked = theatre::STORE_QUANTITY;
    if let Some(held) = kim.reserve(&[], &basket(stocked)?, None, &[result::RESERVED]).await? {
        kim.reserve(&[], &basket(1)?, None, &["INSUFFICIENT_STOCK"]).await?;
        kim.confirm(&held, &[result::CONFIRMED]).await?;
    }
    kim.reserve(&[], &[line("no-such-sku", 1)?], None, &["SKU_NOT_FOUND"]).await?;
    kiosk.add(basket(5)?).await?;
    if let Some(held) = kim.reserve(&[], &basket(2)?, None, &[result::RESERVED]).await? {
        kim.confirm(&held, &[result::CONFIRMED]).await?;
    }
    Ok(Scene {
        title: "Store",
        told: "A basket of three SKUs was bought out; the next one met INSUFFICIENT_STOCK on all \
               three, until a delivery came in and it could be had. All or nothing, each time."
            .to_owned(),
        went_well: kim.went_well && kiosk.went_well,
    })
}
