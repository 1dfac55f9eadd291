//! The commands of a storm: made of its identity, posted, and awaited.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use tokio::time::timeout;

use super::{OUTCOME_TIMEOUT, RunId, plan::Plan, run::Run};
use crate::{
    client::{Client, LedgerOutcome, OutcomePoller, PreparedCommand},
    domain::{
        Action, CommandKey, InvalidText, LineChange, Outcome, PoolId, Restock, RestockMode, Source,
        StoreId,
    },
    gateway::observer::{RequestObserver, StressOutcome},
    ports::{Clock, ProcessorTime},
};

/// The exclusive upper bound of the quantities set.
const QUANTITY_BELOW: i64 = 1_000;

/// How long a post may take.
const POST_TIMEOUT: Duration = Duration::from_secs(5);

/// What commands are posted and awaited with.
pub(super) struct Sending {
    pub(super) client: Client,
    pub(super) outcomes: OutcomePoller,
    pub(super) processor: Arc<dyn ProcessorTime>,
    pub(super) observer: Arc<dyn RequestObserver>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Sending {
    /// Posts a command of a run, notes when the queue has it, and waits for its outcome.
    pub(super) async fn send(&self, run: &Run, command: PreparedCommand) -> StressOutcome {
        let outcome = self.outcome_of(run, &command).await;
        self.observer.stressed(outcome);
        outcome
    }

    async fn outcome_of(&self, run: &Run, prepared: &PreparedCommand) -> StressOutcome {
        let command = &prepared.command;
        let registered = self.outcomes.register(&command.key, command.digest);
        let Some(mut pending) = registered else { return StressOutcome::NotPosted };
        match timeout(POST_TIMEOUT, self.client.post(prepared)).await {
            Ok(Ok(_)) => {
                run.posted();
                self.observer.stress_posted();
            }
            Ok(Err(_)) | Err(_) => return StressOutcome::NotPosted,
        }
        match timeout(OUTCOME_TIMEOUT, pending.outcome()).await {
            Err(_) => StressOutcome::Unanswered,
            Ok(LedgerOutcome::IdReused) => StressOutcome::Rejected,
            Ok(LedgerOutcome::Decided(decided)) => match decided.outcome {
                Outcome::Rejected { .. } => StressOutcome::Rejected,
                _ => StressOutcome::Completed,
            },
        }
    }

    /// A command of a run, by its number.
    pub(super) fn command(
        &self,
        id: RunId,
        plan: &Plan,
        number: u64,
    ) -> Result<PreparedCommand, &'static str> {
        let made = restock(id, plan, number).map_err(|_| "a command could not be made")?;
        let (key, pool, action) = made;
        let prepared = self.client.prepare(key, pool, None, action);
        prepared.map_err(|_| "the workers would not accept its commands")
    }
}

/// The command of a number: it depends on the run and its plan alone.
fn restock(
    id: RunId,
    plan: &Plan,
    number: u64,
) -> Result<(CommandKey, PoolId, Action), InvalidText> {
    let mut rng = Rng::with_seed(id.0 ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let store: StoreId = format!("stress-{id}-{}", rng.u64(..plan.stores.max(1))).parse()?;
    let sku = format!("sku-{}", rng.u64(..plan.skus.max(1))).parse()?;
    let line = LineChange::new(sku, rng.i64(0..QUANTITY_BELOW));
    let source: Source = format!("/inventory-stress/{id}").parse()?;
    let key = CommandKey { source, id: number.to_string().parse()? };
    let restock = Restock::new(Vec::new(), vec![line], RestockMode::Set);
    Ok((key, PoolId::Store(store), Action::Restock(restock)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::gateway::stress::plan::PlanRequest;

    fn plan() -> Plan {
        let (stores, skus) = (Some(4), Some(3));
        let request = PlanRequest { duration_seconds: 1, stores, skus, ..PlanRequest::default() };
        Plan::of(&request, 1_000).unwrap()
    }

    #[test]
    fn the_same_run_is_the_same_commands_and_another_is_not() {
        let of = |id| (0..50).map(|n| restock(RunId(id), &plan(), n).unwrap()).collect::<Vec<_>>();
        assert_eq!(of(7), of(7));
        let keys = |id| of(id).into_iter().map(|(key, ..)| key).collect::<BTreeSet<_>>();
        assert_eq!(keys(7).len(), 50);
        assert!(keys(7).is_disjoint(&keys(8)));
    }

    #[test]
    fn commands_are_on_all_stores_of_the_run_and_on_no_others() {
        let commands = (0..500).map(|n| restock(RunId(7), &plan(), n).unwrap());
        let pools: BTreeSet<String> = commands.map(|(_, pool, _)| pool.to_string()).collect();
        let expected = (0..4).map(|n| format!("store#stress-0000000000000007-{n}"));
        assert_eq!(pools, expected.collect());
    }
}
