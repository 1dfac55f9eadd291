use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::time::Instant;

use super::*;

const LINGER: Duration = Duration::from_millis(3);

/// Up to four numbers, 100 in sum, in 10 ms; refuses calls that carry 13, and the number 99 alone.
#[derive(Clone, Default)]
struct Carriage {
    calls: Arc<Mutex<Vec<Vec<usize>>>>,
    failing: Arc<AtomicUsize>,
}

impl BatchCall for Carriage {
    type Entry = usize;

    const ENTRIES_MAX: usize = 4;
    const BYTES_MAX: usize = 100;

    fn bytes(entry: &usize) -> usize {
        *entry
    }

    async fn carry(&self, entries: &[usize]) -> Result<BatchAnswer, PortError> {
        tokio::time::sleep(Duration::from_millis(10)).await;
        self.calls.lock().unwrap().push(entries.to_vec());
        let next = |left: usize| left.checked_sub(1);
        if self.failing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok() {
            return Err(PortError::Unavailable("ordered".to_owned()));
        }
        if entries.contains(&13) {
            return Err(PortError::Refused("unlucky".to_owned()));
        }
        let answer = |entry: &usize| match entry {
            99 => Err(EntryError::Refused("too much".to_owned())),
            _ => Ok(()),
        };
        Ok(entries.iter().map(answer).collect())
    }
}

struct World {
    carriage: Carriage,
    batcher: Arc<Batcher<Carriage>>,
    begun: Instant,
}

type Lane = tokio::task::JoinHandle<(Vec<usize>, Result<BatchAnswer, PortError>, u128)>;

impl World {
    fn new() -> Self {
        let carriage = Carriage::default();
        let batcher = Arc::new(Batcher::new(carriage.clone(), LINGER));
        Self { carriage, batcher, begun: Instant::now() }
    }

    /// A lane that arrives after `after_ms` with these entries.
    fn lane(&self, after_ms: u64, entries: &[usize]) -> Lane {
        let (batcher, entries, begun) = (self.batcher.clone(), entries.to_vec(), self.begun);
        let expected = batcher.expect();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(after_ms)).await;
            let BatchResponse { entries, answer } = batcher.carry(entries, Some(expected)).await;
            (entries, answer, begun.elapsed().as_millis())
        })
    }

    fn calls(&self) -> Vec<Vec<usize>> {
        self.carriage.calls.lock().unwrap().clone()
    }
}

fn all_ok(count: usize) -> Result<BatchAnswer, PortError> {
    Ok(vec![Ok(()); count])
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_nobody_follows_waits_for_nobody() {
    let world = World::new();
    assert_eq!(world.lane(0, &[1]).await.unwrap(), (vec![1], all_ok(1), 10));
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_waits_for_nobody_and_takes_nobody_along() {
    let world = World::new();
    let waiting = world.lane(0, &[1]);
    let full = world.lane(0, &[2, 3, 4, 5]);
    let late = world.lane(50, &[6]);
    assert_eq!(full.await.unwrap().2, 10);
    assert_eq!(waiting.await.unwrap().2, 13, "lingers for the one that is late");
    assert_eq!(late.await.unwrap().1, all_ok(1));
    assert_eq!(world.calls(), [vec![2, 3, 4, 5], vec![1], vec![6]]);
}

#[tokio::test(start_paused = true)]
async fn lanes_share_a_call_and_each_gets_its_own_answers() {
    let world = World::new();
    let lanes = [world.lane(0, &[1]), world.lane(1, &[97]), world.lane(2, &[2])];
    let first = world.lane(0, &[0]);
    let _slow = world.lane(500, &[3]);
    for lane in lanes {
        let (_, answer, ended) = lane.await.unwrap();
        assert_eq!((answer, ended), (all_ok(1), 12), "full once the third is there");
    }
    assert_eq!(first.await.unwrap().2, 12);
    assert_eq!(world.calls(), [vec![1, 0, 97, 2]]);
}

#[tokio::test(start_paused = true)]
async fn the_last_of_those_on_their_way_sends_all_off() {
    let world = World::new();
    let first = world.lane(0, &[1]);
    let second = world.lane(1, &[2]);
    assert_eq!((first.await.unwrap().2, second.await.unwrap().2), (11, 11));
    assert_eq!(world.calls(), [vec![1, 2]]);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_lane_that_gave_up_on_its_way() {
    let world = World::new();
    let expected = world.batcher.expect();
    let first = world.lane(0, &[1]);
    tokio::time::sleep(Duration::from_millis(1)).await;
    drop(expected);
    assert_eq!(first.await.unwrap().2, 11);
}

#[tokio::test(start_paused = true)]
async fn a_batch_bounds_its_bytes_and_keeps_each_lane_together() {
    let world = World::new();
    let lanes = [world.lane(0, &[50, 1]), world.lane(1, &[40, 10]), world.lane(2, &[5])];
    for lane in lanes {
        assert!(lane.await.unwrap().1.is_ok());
    }
    assert_eq!(world.calls(), [vec![50, 1], vec![40, 10, 5]]);
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_is_refused_is_its_own_lanes_matter() {
    let world = World::new();
    let (good, bad) = (world.lane(0, &[1]), world.lane(0, &[99]));
    assert_eq!(good.await.unwrap().1, all_ok(1));
    assert_eq!(bad.await.unwrap().1, Ok(vec![Err(EntryError::Refused("too much".to_owned()))]));
    assert_eq!(world.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_one_lane_spoils_is_made_again_for_each() {
    let world = World::new();
    let (good, bad) = (world.lane(0, &[1]), world.lane(0, &[13]));
    assert_eq!(good.await.unwrap().1, all_ok(1));
    assert!(matches!(bad.await.unwrap(), (_, Err(PortError::Refused(_)), 20)));
    assert_eq!(world.calls().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_gives_every_lane_its_entries_back() {
    let world = World::new();
    world.carriage.failing.store(1, Ordering::Relaxed);
    let lanes = [world.lane(0, &[1]), world.lane(0, &[2, 3])];
    let mut back = Vec::new();
    for lane in lanes {
        let (entries, answer, _) = lane.await.unwrap();
        assert!(matches!(answer, Err(PortError::Unavailable(_))));
        back.push(entries);
    }
    assert_eq!(back, [vec![1], vec![2, 3]]);
    assert_eq!(world.calls().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_leader_that_is_gone() {
    let world = World::new();
    let _coming = world.batcher.expect();
    let leader = world.lane(0, &[1]);
    let follower = world.lane(1, &[2]);
    tokio::time::sleep(Duration::from_millis(2)).await;
    leader.abort();
    let (entries, answer, _) = follower.await.unwrap();
    assert_eq!(entries, Vec::<usize>::new());
    assert!(matches!(answer, Err(PortError::Unavailable(_))));
    assert_eq!(world.lane(0, &[3]).await.unwrap().1, all_ok(1), "the next are served");
}
