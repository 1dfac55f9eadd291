//! Load on a running deployment: commands go into its queues, and what they come to is learnt from
//! results, through a subscription of the storm's own.
//!
//! ```text
//! buyers, or restocks ─► client ─► SQS ─► (the deployment) ─► SNS ─► a queue for this storm ─► client
//! ```
//!
//! The load is closed: so many commands are under way at a time, and the next is sent once one has
//! its outcome. So a storm shows what a deployment does, and never buries it.

mod load_client;
mod on_sale;
mod restock;
mod summary;
mod tally;

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, bail};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    adapters::instrumented::{CallCounts, Instrumentation, InstrumentedQueue},
    domain::{Action, Cancel, InvalidText, PoolId, ReservationId, Source, ids::EVENT_ID_MAX},
    ports::{Clock, Entropy, Queue},
};

use load_client::LoadClient;
pub use on_sale::OnSale;
pub use restock::Restocks;
pub use summary::{OfType, Summary};
pub use tally::Progress;

/// Results are received by so many at once: a receive brings the results of few groups.
const LISTENERS: usize = 4;

/// A subscription takes effect within seconds, and a worker may just be starting.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// How long one look at whether results come lasts.
const LOOK: Duration = Duration::from_secs(2);

/// Events of a storm begin from here on, at random: above what anybody counts up to.
const FIRST_EVENT: u64 = 8_000_000_000_000_000;

/// What a storm asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan {
    /// Restocks of stores, one after the other, for a time.
    Restocks(Restocks),
    /// An on-sale: buyers who want the same seats.
    OnSale(OnSale),
}

/// A storm.
#[derive(Clone, Debug, PartialEq)]
pub struct Storm {
    /// Its own name: part of the source of its commands, its stores and users.
    pub name: String,
    /// What it asks for.
    pub plan: Plan,
    /// Commands under way at once.
    pub in_flight: usize,
    /// How long a command may take to its outcome before it counts as unanswered.
    pub timeout: Duration,
}

/// What a storm works with.
pub struct Ports {
    /// Where commands go.
    pub commands: Arc<dyn Queue>,
    /// Where restocks go; it may be the same.
    pub restocks: Arc<dyn Queue>,
    /// Where results of this storm's commands come in, those of [`Storm::source`] at least.
    pub results: Arc<dyn Queue>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub entropy: Arc<dyn Entropy>,
}

impl Storm {
    /// The `source` of its commands, by which a subscription can tell their results.
    ///
    /// # Errors
    ///
    /// The name is no part of a source.
    pub fn source(&self) -> Result<Source, InvalidText> {
        format!("/inventory-storm/{}", self.name).parse()
    }

    /// Where it looks whether anybody answers.
    fn probed_pool(&self, entropy: &dyn Entropy) -> PoolId {
        PoolId::Event(first_event(entropy))
    }

    /// Runs to its end, or for as long as it is polled. `progress` is asked to show how far it is
    /// every now and then.
    ///
    /// # Errors
    ///
    /// Nobody answers within half a minute, or the queues fail.
    pub async fn run(
        &self,
        ports: &Ports,
        mut progress: impl FnMut(&Progress),
    ) -> anyhow::Result<Summary> {
        let counts = Arc::new(CallCounts::default());
        let client = Arc::new(self.client(ports, &counts)?);
        let mut posting = JoinSet::new();
        client.start_posting(&mut posting);
        for _ in 0..LISTENERS {
            let client = Arc::clone(&client);
            posting.spawn(async move { client.listen().await });
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
            ended = posting.join_next() => match ended {
                Some(ended) => ended?.and_then(|()| bail!("the post ended before the storm")),
                None => bail!("the post ended before the storm"),
            },
            () = show => bail!("the storm was not watched to its end"),
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
        Ok(LoadClient::new(counted, self.source()?, self.in_flight, self.timeout))
    }

    async fn play(&self, client: &Arc<LoadClient>, counts: &CallCounts) -> anyhow::Result<Summary> {
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

    /// A cancel of a reservation that does not exist is rejected and changes nothing; once that is
    /// heard, results come through, and somebody works.
    async fn until_answered(&self, client: &LoadClient) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        let pool = self.probed_pool(&*client.entropy);
        while Instant::now() < deadline {
            let cancel = Cancel {
                reservation_id: ReservationId(client.entropy.uuid()),
                user_id: None,
                reason: None,
                refund: false,
            };
            let asked = client.ask(&pool, None, |_| Action::Cancel(cancel));
            if let Ok(answer) = tokio::time::timeout(LOOK, asked).await
                && answer.context("the first command")?.is_some()
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

/// Events that are nobody else's.
fn first_event(entropy: &dyn Entropy) -> u64 {
    let (_, chance) = entropy.uuid().as_u64_pair();
    // Room for as many events as a storm may have.
    let room = EVENT_ID_MAX - FIRST_EVENT - 1_000_000;
    FIRST_EVENT + chance % room
}
