//! Generates load on a running deployment: commands go into its queues, and outcomes return as
//! results through the storm's own subscription.
//!
//! ```text
//! buyers, or restocks ─► client ─► SQS ─► (the deployment) ─► SNS ─► the storm's queue ─► client
//! ```
//!
//! The load is closed: a fixed number of commands is in flight at a time, and the next is sent once
//! one has its outcome. So a storm measures a deployment without building up a backlog in it.

mod counts;
mod load_client;
mod on_sale;
mod restock;
mod summary;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    adapters::instrumented::{CallCounts, Instrumentation, InstrumentedQueue},
    client::ClientLimits,
    domain::{Action, Cancel, InvalidText, PoolId, ReservationId, Source, ids::EVENT_ID_MAX},
    ports::{Clock, Entropy, Queue},
};

pub use counts::Progress;
use load_client::LoadClient;
pub use on_sale::OnSale;
pub use restock::Restocks;
pub use summary::{OfType, StormSummary};

/// Concurrent receives of results: one receive returns the results of few groups.
const LISTENERS: usize = 4;

/// The timeout for the first result: a subscription takes effect within seconds, and a worker may
/// still be starting.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How long one probe waits for its result.
const PROBE: Duration = Duration::from_secs(2);

/// The lower bound of a storm's random event ids: above any id that counts up from 1.
const FIRST_EVENT: u64 = 8_000_000_000_000_000;

/// The load of a storm.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Restocks of stores, one after the other, for a fixed time.
    Restocks(Restocks),
    /// An on-sale: buyers who compete for the same seats.
    OnSale(OnSale),
}

/// A storm: its load, its limits, and the name that keeps it apart from others.
#[derive(Clone, Debug, PartialEq)]
pub struct Storm {
    /// Part of the source of its commands, and of its stores and users.
    pub name: String,
    /// The load.
    pub plan: Plan,
    /// Commands in flight at once.
    pub in_flight: usize,
    /// The most commands of one group in a message, 1…100: what waits while a send of its group is
    /// under way shares the next one.
    pub commands_per_message: usize,
    /// How long a command may take before it counts as unanswered.
    pub timeout: Duration,
}

/// The ports a storm works with.
pub struct Ports {
    /// The queue of commands.
    pub commands: Arc<dyn Queue>,
    /// The queue of restocks; it may be the same.
    pub restocks: Arc<dyn Queue>,
    /// The queue of results, which receives at least those of [`Storm::source`].
    pub results: Arc<dyn Queue>,
    /// The time that commands carry.
    pub clock: Arc<dyn Clock>,
    /// Ids of commands, and choices of buyers.
    pub entropy: Arc<dyn Entropy>,
}

impl Storm {
    /// The `source` of its commands, by which a subscription can filter their results.
    ///
    /// # Errors
    ///
    /// The name cannot be part of a source.
    pub fn source(&self) -> Result<Source, InvalidText> {
        format!("/inventory-storm/{}", self.name).parse()
    }

    /// The pool of the probes.
    fn probed_pool(&self, entropy: &dyn Entropy) -> PoolId {
        PoolId::Event(first_event(entropy))
    }

    /// Runs to its end, or for as long as it is polled. Calls `progress` every 200 ms.
    ///
    /// # Errors
    ///
    /// No result arrives within half a minute, or the queues fail.
    pub async fn run(
        &self,
        ports: &Ports,
        mut progress: impl FnMut(&Progress),
    ) -> anyhow::Result<StormSummary> {
        let counts = Arc::new(CallCounts::default());
        let client = Arc::new(self.client(ports, &counts)?);
        let mut under_way = JoinSet::new();
        let sending = Arc::clone(&client);
        under_way.spawn(async move {
            sending.send().await;
            Ok(())
        });
        for _ in 0..LISTENERS {
            let client = Arc::clone(&client);
            under_way.spawn(async move { client.listen().await });
        }
        let show = async {
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                progress(&client.progress());
            }
        };
        tokio::select! {
            biased;
            played = self.play(&client, &counts) => played,
            ended = under_way.join_next() => match ended {
                Some(ended) => ended?.and_then(|()| bail!("the client ended before the storm")),
                None => bail!("the client ended before the storm"),
            },
            () = show => bail!("the progress display ended before the storm"),
        }
    }

    fn client(&self, ports: &Ports, counts: &Arc<CallCounts>) -> anyhow::Result<LoadClient> {
        let counting = Instrumentation::counting(Arc::clone(counts));
        let counted = |queue: &Arc<dyn Queue>| -> Arc<dyn Queue> {
            Arc::new(InstrumentedQueue::new(Arc::clone(queue), Arc::clone(&counting)))
        };
        let counted = Ports {
            commands: counted(&ports.commands),
            restocks: counted(&ports.restocks),
            results: counted(&ports.results),
            clock: Arc::clone(&ports.clock),
            entropy: Arc::clone(&ports.entropy),
        };
        let limits = ClientLimits {
            in_flight: self.in_flight,
            deadline: self.timeout,
            commands_per_message: self.commands_per_message,
        };
        Ok(LoadClient::new(counted, self.source()?, limits))
    }

    async fn play(
        &self,
        client: &Arc<LoadClient>,
        counts: &CallCounts,
    ) -> anyhow::Result<StormSummary> {
        self.until_answered(client).await?;
        let (unit, begun) = match &self.plan {
            Plan::Restocks(plan) => {
                client.begin(plan.duration.as_secs(), "s");
                let begun = (Instant::now(), counts.calls());
                plan.play(&self.name, client, self.in_flight).await?;
                ("restocks", begun)
            }
            Plan::OnSale(plan) => {
                let first = first_event(&*client.entropy);
                plan.stock(client, first).await?;
                client.begin(u64::try_from(plan.buyers)?, "buyers");
                let begun = (Instant::now(), counts.calls());
                plan.play(client, first, self.in_flight).await?;
                ("on-sale", begun)
            }
        };
        let (begun, calls_before) = begun;
        let mut calls = counts.calls();
        for (name, before) in calls_before {
            if let Some(all) = calls.get_mut(name) {
                *all = all.saturating_sub(before);
            }
        }
        Ok(client.close(unit, begun.elapsed(), calls))
    }

    /// Sends probes until a result arrives: then a worker runs, and the subscription is in effect.
    /// A probe is a cancel of a reservation that does not exist, which is rejected and changes
    /// nothing.
    async fn until_answered(&self, client: &LoadClient) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        let pool = self.probed_pool(&*client.entropy);
        while Instant::now() < deadline {
            let cancel = Cancel::new(ReservationId(client.entropy.uuid()));
            let requested = client.request(&pool, None, |_| Action::Cancel(cancel));
            if let Ok(result) = tokio::time::timeout(PROBE, requested).await
                && result.context("the first command")?.is_some()
            {
                return Ok(());
            }
        }
        bail!(
            "no result within {} s: is a worker running on this queue, and does it publish to this \
             topic?",
            READY_WITHIN.as_secs()
        )
    }
}

/// Events that no other program uses.
fn first_event(entropy: &dyn Entropy) -> u64 {
    let (_, chance) = entropy.uuid().as_u64_pair();
    // Enough room for the events of any storm.
    let room = EVENT_ID_MAX - FIRST_EVENT - 1_000_000;
    FIRST_EVENT + chance % room
}
