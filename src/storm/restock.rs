//! A restock storm: repeatedly sets the counts of stores.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use fastrand::Rng;
use tokio::{sync::Mutex, task::JoinSet, time::Instant};

use super::load_client::LoadClient;
use crate::domain::{Action, LineChange, PoolId, Restock, RestockMode, Sku, StoreId};

/// The exclusive upper bound of the quantities set.
const QUANTITY_BELOW: i64 = 1_000;

/// The load of a restock storm.
#[derive(Clone, Debug, PartialEq)]
pub struct Restocks {
    /// Stores, each with its own group.
    pub stores: usize,
    /// SKUs per store.
    pub skus: usize,
    /// Lines of one restock, at most as many as there are SKUs.
    pub lines: usize,
    /// How long restocks are sent. Those in flight at the end are awaited.
    pub duration: Duration,
    /// The maximum rate of restocks per second.
    pub rate: Option<f64>,
}

/// Spaces commands evenly.
struct Pace {
    every: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    async fn wait(&self) {
        let at = {
            let mut next = self.next.lock().await;
            let at = (*next).max(Instant::now());
            *next = at + self.every;
            at
        };
        tokio::time::sleep_until(at).await;
    }
}

impl Restocks {
    pub(super) async fn play(
        &self,
        name: &str,
        client: &Arc<LoadClient>,
        in_flight: usize,
    ) -> anyhow::Result<()> {
        let ends = Instant::now() + self.duration;
        let skus: Arc<Vec<Sku>> = Arc::new(
            (0..self.skus).map(|n| format!("sku-{n:05}").parse()).collect::<Result<_, _>>()?,
        );
        let stores: Arc<Vec<PoolId>> = Arc::new(
            (0..self.stores)
                .map(|n| Ok(PoolId::Store(format!("storm-{name}-{n}").parse::<StoreId>()?)))
                .collect::<anyhow::Result<_>>()?,
        );
        let every = self.rate.map_or(Duration::ZERO, |rate| Duration::from_secs_f64(1.0 / rate));
        let pace = Arc::new(Pace { every, next: Mutex::new(Instant::now()) });
        let lines = self.lines.clamp(1, self.skus);
        let mut tasks = JoinSet::new();
        for _ in 0..in_flight {
            let (seed, _) = client.entropy.uuid().as_u64_pair();
            let mut rng = Rng::with_seed(seed);
            let (client, skus, stores, pace) =
                (Arc::clone(client), Arc::clone(&skus), Arc::clone(&stores), Arc::clone(&pace));
            tasks.spawn(async move {
                loop {
                    pace.wait().await;
                    if Instant::now() >= ends {
                        return anyhow::Ok(());
                    }
                    let store = stores.get(rng.usize(..stores.len())).context("no store")?;
                    let from = rng.usize(..skus.len());
                    let lines = skus.iter().cycle().skip(from).take(lines);
                    let lines = lines
                        .map(|sku| LineChange::new(sku.clone(), rng.i64(0..QUANTITY_BELOW)))
                        .collect();
                    let restock = Restock::new(Vec::new(), lines, RestockMode::Set);
                    client.request(store, None, |_| Action::Restock(restock)).await?;
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    }
}
