//! The scripted scenes: one for each accident of a sale, each on its own seats.

use std::sync::Arc;

use futures::future::try_join_all;
use serde_json::json;

use super::{
    client::DemoClient,
    customer::Customer,
    expectations::result,
    venue::{self, BLOCKED, STORE_SKUS, line, sku, text},
};
use crate::domain::LineChange;

/// A scene that was played.
#[derive(Clone, Debug)]
pub struct Scene {
    /// One or two words.
    pub title: &'static str,
    /// The events of the scene, and what they show.
    pub description: String,
    /// Whether every outcome was as expected.
    pub went_well: bool,
}

type Played = anyhow::Result<Scene>;

/// Puts everything on sale, through the queue of restocks. Runs before the sale starts.
pub async fn stock_up(client: &Arc<DemoClient>) -> Played {
    let mut house = Customer::new(client, "house-manager", venue::event());
    let mut kiosk = Customer::new(client, "kiosk-manager", venue::store()?);
    let (event, store) = (venue::event_restock()?, venue::store_restock()?);
    let (seats, skus) = (event.seats.len(), store.lines.len());
    tokio::try_join!(house.restock(event), kiosk.restock(store))?;
    Ok(Scene {
        title: "Restock",
        description: format!(
            "{seats} seats and {skus} SKUs went on sale in two messages. Neither fits one \
             transaction, so each ran in chunks with a marker apiece: a crash in between would \
             resume, not repeat."
        ),
        went_well: house.went_well && kiosk.went_well,
    })
}

/// Plays all scenes concurrently; returns them in display order.
pub async fn play(client: &Arc<DemoClient>) -> anyhow::Result<Vec<Scene>> {
    let scenes: [futures::future::BoxFuture<'_, Played>; 8] = [
        Box::pin(duplicate(client)),
        Box::pin(reused_id(client)),
        Box::pin(ran_out(client)),
        Box::pin(takeover(client)),
        Box::pin(refund(client)),
        Box::pin(stranger(client)),
        Box::pin(unreadable(client)),
        Box::pin(store(client)),
    ];
    try_join_all(scenes).await
}

fn customer(client: &Arc<DemoClient>, name: &str) -> anyhow::Result<Customer> {
    Customer::new(client, name, venue::event()).in_group(format!("event-1/{name}"))
}

async fn duplicate(client: &Arc<DemoClient>) -> Played {
    let mut ada = customer(client, "ada")?;
    let reserve = |ada: &mut Customer| {
        ada.reserve_command(&["X-1".to_owned()], &[], None, &[result::RESERVED])
    };
    let first = reserve(&mut ada)?;
    let repetition = reserve(&mut customer(client, "ada")?)?;
    let held = ada.request_hold(first).await?;
    client.repeat(repetition).await?;
    if let Some(held) = held {
        ada.confirm(&held, &[result::CONFIRMED]).await?;
    }
    Ok(Scene {
        title: "Duplicate",
        description:
            "A reserve was sent twice, past the queue's own deduplication. The second time the \
               ledger answered: the same outcome under the same result id, and nothing was done."
                .to_owned(),
        went_well: ada.went_well,
    })
}

async fn reused_id(client: &Arc<DemoClient>) -> Played {
    let mut bob = customer(client, "bob")?;
    let first = bob.reserve_command(&["X-2".to_owned()], &[], None, &[result::RESERVED])?;
    let id = first.id.clone();
    let held = bob.request_hold(first).await?;
    let mut other = bob.reserve_command(&["X-3".to_owned()], &[], None, &["COMMAND_ID_REUSED"])?;
    other.id = id;
    bob.request(other).await?;
    if let Some(held) = held {
        bob.confirm(&held, &[result::CONFIRMED]).await?;
    }
    Ok(Scene {
        title: "Reused id",
        description:
            "The same id came again with another seat: COMMAND_ID_REUSED, and the first outcome \
               stands."
                .to_owned(),
        went_well: bob.went_well,
    })
}

async fn ran_out(client: &Arc<DemoClient>) -> Played {
    let mut cleo = customer(client, "cleo")?;
    let seats = ["X-5".to_owned(), "X-6".to_owned()];
    if let Some(held) = cleo.reserve(&seats, &[], Some(1), &[result::RESERVED]).await? {
        client.expectations().runs_out(held.reservation_id);
        client.until_expired(held.reservation_id).await;
        cleo.confirm(&held, &["RESERVATION_EXPIRED"]).await?;
    }
    Ok(Scene {
        title: "Expiry",
        description:
            "Holds of one second were left alone. The sweeper found them, posted an expiry for \
               each as a command like any other, and a confirm that came too late met \
               RESERVATION_EXPIRED."
                .to_owned(),
        went_well: cleo.went_well,
    })
}

async fn takeover(client: &Arc<DemoClient>) -> Played {
    let (mut dora, mut eve) = (customer(client, "dora")?, customer(client, "eve")?);
    let seats = ["X-7".to_owned(), "X-8".to_owned()];
    let mut was_first = false;
    if let Some(held) = dora.reserve(&seats, &[], Some(1), &[result::RESERVED]).await? {
        client.expectations().runs_out(held.reservation_id);
        let clock = &client.embedded.backends.clock;
        client.until(|| clock.now() >= held.expires_at).await;
        if let Some(taken) = eve.reserve(&seats, &[], None, &[result::RESERVED]).await? {
            dora.confirm(&held, &["RESERVATION_EXPIRED"]).await?;
            eve.confirm(&taken, &[result::CONFIRMED]).await?;
            client.until_expired(held.reservation_id).await;
            let released = client.expectations().ended_at(held.reservation_id);
            was_first = released.is_some_and(|released| taken.created_at < released);
        }
    }
    let when = if was_first { "and before the sweeper came" } else { "right after the sweeper" };
    Ok(Scene {
        title: "Takeover",
        description: format!(
            "The moment a hold ran out, {when}, someone else took its seats and paid. The first \
             owner's late confirm and expiry left them alone."
        ),
        went_well: dora.went_well && eve.went_well,
    })
}

async fn refund(client: &Arc<DemoClient>) -> Played {
    let (mut finn, mut gwen) = (customer(client, "finn")?, customer(client, "gwen")?);
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
        description:
            "A paid reservation cannot be cancelled by accident (RESERVATION_CONFIRMED). With \
               `refund` it was, and both seats were sold to the next customer."
                .to_owned(),
        went_well: finn.went_well && gwen.went_well,
    })
}

async fn stranger(client: &Arc<DemoClient>) -> Played {
    let (mut hana, mut ivan) = (customer(client, "hana")?, customer(client, "ivan")?);
    if let Some(held) = hana.hold(&["X-11"]).await? {
        ivan.confirm(&held, &["NOT_OWNER"]).await?;
        hana.confirm(&held, &[result::CONFIRMED]).await?;
    }
    ivan.reserve(&["Z-99".to_owned()], &[], None, &["SEAT_NOT_FOUND"]).await?;
    ivan.reserve(&[BLOCKED.to_owned()], &[], None, &["SEATS_UNAVAILABLE"]).await?;
    Ok(Scene {
        title: "Wrong requests",
        description: "Another user's reservation (NOT_OWNER), a seat that does not exist \
               (SEAT_NOT_FOUND), a seat off sale (SEATS_UNAVAILABLE): each got its answer, and \
               nothing changed."
            .to_owned(),
        went_well: hana.went_well && ivan.went_well,
    })
}

async fn unreadable(client: &Arc<DemoClient>) -> Played {
    let mut jo = customer(client, "jo")?;
    let group = text("event-1/jo")?;
    client.post_text(&group, "{\"specversion\": \"1.0\", \"id\":".to_owned(), None).await?;
    let unknown = json!({
        "specversion": "1.0", "id": "teleport-1", "source": "/demo/box-office",
        "type": "inventory.teleport.v1", "data": { "event_id": venue::EVENT },
    });
    let expected: &[&str] = &["UNSUPPORTED_TYPE"];
    let answer = Some(("teleport-1", expected));
    let reply = client.post_text(&group, unknown.to_string(), answer).await?;
    jo.went_well &= reply.is_some_and(|reply| reply.is_expected);
    if let Some(held) = jo.hold(&["X-12"]).await? {
        jo.confirm(&held, &[result::CONFIRMED]).await?;
    }
    client.until(|| client.embedded.dead_letters() >= UNREADABLE).await;
    let dead = client.embedded.dead_letters();
    Ok(Scene {
        title: "Poison",
        description: format!(
            "A message that is not JSON and one of an unknown type were copied whole to the \
             dead-letter queue with the reason ({dead} copies). The reserve right behind them in \
             their group was sold as usual."
        ),
        went_well: jo.went_well && dead == UNREADABLE,
    })
}

/// Messages of the scenes that belong in the dead-letter queue.
pub const UNREADABLE: usize = 2;

async fn store(client: &Arc<DemoClient>) -> Played {
    let pool = venue::store()?;
    let mut kim = Customer::new(client, "kim", pool.clone());
    let mut kiosk = Customer::new(client, "kiosk-clerk", pool);
    let basket = |quantity| -> anyhow::Result<Vec<_>> {
        let skus = [1, 2, STORE_SKUS];
        Ok(skus.iter().map(|number| line(&sku(*number), quantity)).collect::<Result<_, _>>()?)
    };
    let stocked = venue::STORE_QUANTITY;
    if let Some(held) = kim.reserve(&[], &basket(stocked)?, None, &[result::RESERVED]).await? {
        kim.reserve(&[], &basket(1)?, None, &["INSUFFICIENT_STOCK"]).await?;
        kim.confirm(&held, &[result::CONFIRMED]).await?;
    }
    kim.reserve(&[], &[line("no-such-sku", 1)?], None, &["SKU_NOT_FOUND"]).await?;
    kiosk.add(basket(5)?.into_iter().map(LineChange::from).collect()).await?;
    if let Some(held) = kim.reserve(&[], &basket(2)?, None, &[result::RESERVED]).await? {
        kim.confirm(&held, &[result::CONFIRMED]).await?;
    }
    Ok(Scene {
        title: "Store",
        description:
            "A basket of three SKUs was bought out; the next one met INSUFFICIENT_STOCK on all \
               three, until a delivery came in and it could be had. All or nothing, each time."
                .to_owned(),
        went_well: kim.went_well && kiosk.went_well,
    })
}
