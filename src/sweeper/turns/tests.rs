use std::collections::BTreeMap;

use super::*;
use crate::{
    adapters::memory::{MemoryStore, TokioClock},
    ports::Leases,
};

const TICK: Duration = Duration::from_secs(1);

struct Pods {
    clock: Arc<TokioClock>,
    store: Arc<MemoryStore>,
}

impl Pods {
    fn new() -> Self {
        let clock = Arc::new(TokioClock::new("2026-11-22T10:00:00Z".parse().unwrap()));
        Self { store: Arc::new(MemoryStore::new(clock.clone())), clock }
    }

    fn pod(&self, number: u128) -> Turn {
        Turn::new(Turns::Leases(self.store.clone()), Uuid::from_u128(number), TICK)
    }

    async fn stored(&self) -> Leases {
        self.store.leases(TASK).await.unwrap()
    }

    /// Lets that many seconds pass, in which the pods prepare every second.
    async fn pass(&self, seconds: u32, pods: &mut [Turn]) {
        for _ in 0..seconds {
            for pod in &mut *pods {
                pod.prepare(&*self.clock).await;
            }
            tokio::time::sleep(TICK).await;
        }
    }
}

/// How many of the pods have each shard.
async fn owners(pods: &[Turn]) -> Vec<usize> {
    let mut counts = Vec::new();
    for shard in 0..EXPIRY_SHARDS {
        let mut count = 0;
        for pod in pods {
            count += usize::from(pod.has(shard, Uuid::nil(), TICK).await);
        }
        counts.push(count);
    }
    counts
}

async fn share(pod: &Turn) -> usize {
    owners(std::slice::from_ref(pod)).await.into_iter().sum()
}

#[tokio::test(start_paused = true)]
async fn pods_share_the_shards_each_shard_has_one() {
    let world = Pods::new();
    let mut pods: Vec<Turn> = (1..=5).map(|number| world.pod(number)).collect();
    world.pass(30, &mut pods).await;
    assert_eq!(owners(&pods).await, [1; 16]);
    for pod in &pods {
        assert!((3..=4).contains(&share(pod).await));
    }
}

#[tokio::test(start_paused = true)]
async fn no_shard_is_without_a_pod_while_pods_join() {
    let world = Pods::new();
    let mut pods = vec![world.pod(5)];
    for number in [3, 9, 1] {
        world.pass(3, &mut pods).await;
        pods.push(world.pod(number));
        for _ in 0..20 {
            world.pass(1, &mut pods).await;
            assert!(owners(&pods).await.iter().all(|count| *count >= 1));
        }
        assert_eq!(owners(&pods).await, [1; 16]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_share_of_a_pod_that_leaves_is_another_s_at_the_next_read() {
    let world = Pods::new();
    let mut pods = vec![world.pod(1), world.pod(2)];
    world.pass(20, &mut pods).await;
    let gone = pods.pop().unwrap();
    gone.leave().await;
    assert_eq!(world.stored().await.held.len(), 1);
    world.pass(6, &mut pods).await;
    assert_eq!(share(&pods[0]).await, 16);
}

#[tokio::test(start_paused = true)]
async fn the_share_of_a_pod_that_died_is_another_s_after_its_lease() {
    let world = Pods::new();
    let mut pods = vec![world.pod(1), world.pod(2)];
    world.pass(20, &mut pods).await;
    pods.truncate(1);
    world.pass(10, &mut pods).await;
    assert_eq!(share(&pods[0]).await, 8, "it may be alive");
    world.pass(26, &mut pods).await;
    assert_eq!(share(&pods[0]).await, 16);
}

#[tokio::test(start_paused = true)]
async fn a_share_costs_a_read_each_five_seconds_and_a_write_each_fifteen() {
    let world = Pods::new();
    let mut pods = vec![world.pod(1)];
    world.pass(601, &mut pods).await;
    let writes = world.stored().await.version;
    assert!((38..=41).contains(&writes), "{writes} writes in ten minutes");
}

#[tokio::test(start_paused = true)]
async fn more_pods_than_shards_wait_for_a_place() {
    let world = Pods::new();
    let mut pods: Vec<Turn> = (1..=18).map(|number| world.pod(number)).collect();
    world.pass(30, &mut pods).await;
    assert_eq!(world.stored().await.held.len(), PODS_MAX);
    assert_eq!(owners(&pods).await, [1; 16]);
    assert_eq!(share(&pods[17]).await, 0);
    let gone = pods.remove(0);
    gone.leave().await;
    world.pass(30, &mut pods).await;
    assert_eq!(owners(&pods).await, [1; 16]);
    assert_eq!(world.stored().await.held.len(), PODS_MAX);
}

#[tokio::test(start_paused = true)]
async fn pods_with_wrong_clocks_leave_no_shard_alone() {
    for ahead_ms in [-1_800_000, 1_800_000] {
        let world = Pods::new();
        let wrong = Arc::new(world.clock.skewed(ahead_ms));
        let (mut right, mut odd) = (world.pod(1), world.pod(2));
        for _ in 0..40 {
            right.prepare(&*world.clock).await;
            odd.prepare(&*wrong).await;
            tokio::time::sleep(TICK).await;
        }
        // It dies: its lease does not last half an hour for the others.
        drop(odd);
        for _ in 0..12 {
            right.prepare(&*world.clock).await;
            tokio::time::sleep(TICK).await;
        }
        assert_eq!(share(&right).await, 16, "{ahead_ms} ms");
    }
}

/// Leases that cannot be read.
struct Down;

#[async_trait::async_trait]
impl LeaseStore for Down {
    async fn leases(&self, _: &str) -> Result<Leases, PortError> {
        Err(PortError::Unavailable("down".to_owned()))
    }

    async fn replace_leases(&self, _: &str, _: u64, _: &[Lease]) -> Result<bool, PortError> {
        Err(PortError::Unavailable("down".to_owned()))
    }
}

#[tokio::test(start_paused = true)]
async fn without_leases_every_shard_is_every_pod_s() {
    let world = Pods::new();
    let mut pods = vec![world.pod(1), world.pod(2)];
    world.pass(20, &mut pods).await;
    pods[0].turns = Turns::Leases(Arc::new(Down));
    world.pass(6, &mut pods).await;
    assert_eq!((share(&pods[0]).await, share(&pods[1]).await), (16, 8));
}

#[test]
fn a_change_of_pods_moves_every_shard_to_one_of_them() {
    let pods: Vec<Uuid> = (1..=3).map(Uuid::from_u128).collect();
    let mut shards = BTreeMap::new();
    for pod in &pods {
        let own = (0..EXPIRY_SHARDS).filter(|shard| is_of(&pods, *pod, *shard)).count();
        shards.insert(*pod, own);
    }
    assert_eq!(shards.into_values().collect::<Vec<_>>(), [6, 5, 5]);
    assert!(!is_of(&[], Uuid::nil(), 0));
}
