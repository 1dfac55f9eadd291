//! What workers cost that have nothing to do.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use inventory_worker::{
    adapters::{
        instrumented::{
            Call, CallCounts, Instrumentation, InstrumentedLocks, InstrumentedPublisher,
            InstrumentedQueue, InstrumentedStore,
        },
        memory::{MemoryBroker, MemoryLocks, MemoryStore, MemoryTopic, TokioClock},
        noop_locks::NoopLocks,
        system::Random,
    },
    app::{
        Backends,
        monitoring::{self, WORKER_PARTS},
        worker_group::WorkerGroup,
    },
    ports::{Clock, Locks, Queue, Store},
    sweeper::{self, Turns},
    telemetry::Readiness,
    worker::{NoopObserver, Observer, QueueKind, QueuePair, Settings},
};

use super::fixture::{COMMANDS, EXPIRIES};

const MINUTES: u32 = 10;

/// What the pods share.
struct Shared {
    clock: Arc<dyn Clock>,
    broker: MemoryBroker,
    store: Arc<dyn Store>,
    locks: Option<Arc<MemoryLocks>>,
    topic: Arc<MemoryTopic>,
}

impl Shared {
    fn new(has_redis: bool) -> Self {
        let clock: Arc<dyn Clock> =
            Arc::new(TokioClock::new("2026-11-22T10:00:00Z".parse().unwrap()));
        Self {
            broker: MemoryBroker::new(Arc::clone(&clock)),
            store: Arc::new(MemoryStore::new(Arc::clone(&clock))),
            locks: has_redis.then(|| Arc::new(MemoryLocks::new(Arc::clone(&clock)))),
            topic: Arc::new(MemoryTopic::new(Arc::clone(&clock))),
            clock,
        }
    }

    /// One pod's ports, as `app` puts them together; their calls are counted.
    fn backends(&self, pod: u64, counts: &Arc<CallCounts>) -> Backends {
        let counting = Instrumentation::counting(Arc::clone(counts));
        let queue = |name: &str| -> Arc<dyn Queue> {
            Arc::new(InstrumentedQueue::new(self.broker.queue(name), Arc::clone(&counting)))
        };
        let pair = |name: &str, kind| QueuePair {
            queue: queue(name),
            dead_letters: queue(&format!("{name}-dead")),
            kind,
        };
        let sources =
            vec![pair(COMMANDS, QueueKind::Commands), pair(EXPIRIES, QueueKind::Expiries)];
        let store: Arc<dyn Store> =
            Arc::new(InstrumentedStore::new(Arc::clone(&self.store), Arc::clone(&counting)));
        let (locks, turns): (Arc<dyn Locks>, Turns) = match &self.locks {
            Some(locks) => {
                let locks = Arc::new(InstrumentedLocks::new(locks.clone(), Arc::clone(&counting)));
                (locks.clone(), Turns::Locks(locks))
            }
            None => (Arc::new(NoopLocks), Turns::Leases(store.clone())),
        };
        Backends {
            store,
            locks,
            turns,
            activity: None,
            publisher: Arc::new(InstrumentedPublisher::new(self.topic.clone(), counting)),
            hints: None,
            expiries: Some(Arc::clone(&sources[1].queue)),
            sources,
            clock: Arc::clone(&self.clock),
            entropy: Arc::new(Random::seeded(pod)),
        }
    }
}

/// Calls a minute of all pods, by kind, after the minute in which they start.
async fn calls_a_minute(pods: u64, has_redis: bool) -> BTreeMap<&'static str, u64> {
    let shared = Shared::new(has_redis);
    let counts = Arc::new(CallCounts::default());
    let observer: Arc<dyn Observer> = Arc::new(NoopObserver);
    let (mut groups, mut probes) = (Vec::new(), tokio::task::JoinSet::new());
    for pod in 0..pods {
        let backends = shared.backends(pod, &counts);
        let queues = backends.sources.iter().map(|pair| Arc::clone(&pair.queue)).collect();
        let readiness = Readiness::of(WORKER_PARTS);
        probes.spawn(monitoring::probe(queues, backends.store.clone(), readiness.clone()));
        probes.spawn(monitoring::probe_writes(backends.store.clone(), readiness));
        let (worker, sweeper) = (Settings::default(), sweeper::Settings::default());
        groups.push(WorkerGroup::start(&backends, worker, Some(sweeper), &observer));
        // Pods do not start together.
        tokio::time::sleep(Duration::from_millis(1_370)).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    let before: Vec<u64> = Call::ALL.map(|call| counts.calls_of(call)).into();
    tokio::time::sleep(Duration::from_secs(60) * MINUTES).await;
    let calls = Call::ALL.into_iter().zip(before);
    let calls = calls
        .map(|(call, before)| {
            (call.as_str(), (counts.calls_of(call) - before).div_ceil(u64::from(MINUTES)))
        })
        .filter(|(_, calls)| *calls > 0)
        .collect();
    for group in groups {
        group.drain().await;
    }
    calls
}

fn is_about(calls: &BTreeMap<&'static str, u64>, call: Call, expected: u64) {
    let found = calls.get(call.as_str()).copied().unwrap_or_default();
    let most = expected + expected / 10 + 1;
    assert!(
        (expected * 9 / 10..=most).contains(&found),
        "{}: {expected}, {calls:?}",
        call.as_str()
    );
}

/// The figures of `docs/operations/scaling-and-cost.md`.
#[tokio::test(start_paused = true)]
async fn idle_workers_make_the_calls_that_are_documented() {
    for (pods, has_redis, queries) in
        [(1, true, 208), (1, false, 208), (5, true, 250), (5, false, 221)]
    {
        let calls = calls_a_minute(pods, has_redis).await;
        println!("{pods} pods, Redis: {has_redis}: {calls:?}");
        is_about(&calls, Call::Query, queries);
        // Four pollers of two queues, long polls of 20 s: 24, and fewer until the first command,
        // as a worker begins with one receive at a time for each queue.
        is_about(&calls, Call::Receive, 16 * pods);
        is_about(&calls, Call::Backlog, 12 * pods);
        is_about(&calls, Call::Ping, 6 * pods);
        let (reads, writes) = if has_redis { (0, 0) } else { (12 * pods, 4 * pods) };
        is_about(&calls, Call::Load, reads);
        is_about(&calls, Call::Put, writes);
        let locks = calls.get(Call::Acquire.as_str()).copied().unwrap_or_default();
        assert_eq!(locks > 0, has_redis, "{calls:?}");
        assert!(locks <= 16 * 60 * pods, "{calls:?}");
        // The check that the tables may be written.
        is_about(&calls, Call::Commit, pods);
        assert!(calls.contains_key(Call::Commit.as_str()), "{calls:?}");
        for busy in [Call::Send, Call::Delete, Call::Publish, Call::Scan] {
            is_about(&calls, busy, 0);
        }
    }
}
