//! Much later: identities that the ledger has deleted are reused.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use tokio::task::JoinHandle;

use super::super::{
    fault::Fault,
    rng::{happens, one_of, stream},
    workload::{Posting, with_other_content},
    world::World,
};
use inventory_worker::ports::Clock;

/// Longer than the ledger is kept.
const LATER: Duration = Duration::from_secs(91 * 86_400);

/// The interval at which some expired items are deleted while workers run.
const DELETE_EVERY: Duration = Duration::from_secs(5);

/// Lets 91 days pass without a worker. Items that DynamoDB should have deleted by then are gone,
/// partly gone, or all still there and deleted while workers run. Then the same identities are sent
/// again, some with other content.
pub(super) async fn reuse(
    world: &Arc<World>,
    rng: &mut Rng,
    postings: &[Posting],
) -> JoinHandle<()> {
    world.history().finish(&world.store);
    tokio::time::sleep(LATER).await;
    world.trace(format_args!("91 days later"));
    world.history().forget(world.clock.now());
    let is_late = world.profile.rate(Fault::LateTtl) > 0;
    // In ten thousand: the share deleted now, and of the rest at each interval.
    let (now, later) = match rng.u32(0..3) {
        _ if !is_late => (10_000, 0),
        0 => (0, 0),
        1 => (rng.u32(1_000..9_000), 0),
        _ => (0, rng.u32(500..3_000)),
    };
    if is_late {
        world.count(Some(Fault::LateTtl));
    }
    world.store.expire_ttl_where(world.clock.now(), || happens(rng, now));
    for _ in 0..rng.usize(4..=16) {
        let Some(posting) = one_of(rng, postings) else { continue };
        let other = if rng.u32(0..3) == 0 { with_other_content(posting) } else { None };
        let posting = other.as_ref().unwrap_or(posting);
        world.post(posting.queue, &posting.message);
    }
    world.count(Some(Fault::Reuse));
    let world = Arc::clone(world);
    tokio::spawn(async move {
        let rng = &mut stream(world.seed, "time to live");
        if later == 0 {
            return;
        }
        loop {
            tokio::time::sleep(DELETE_EVERY).await;
            world.store.expire_ttl_where(world.clock.now(), || happens(rng, later));
        }
    })
}
