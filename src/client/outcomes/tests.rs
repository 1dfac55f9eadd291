use async_trait::async_trait;

use super::*;
use crate::{
    adapters::memory::{MemoryStore, TokioClock},
    domain::{Changes, CommandType, Outcome, PoolId, Rejection, RejectionCode, Timestamp},
    ports::{LedgerRecord, ReadSet, Record},
};

const MINE: Digest = Digest([1; 32]);
const OTHER: Digest = Digest([2; 32]);

/// A store that counts loads and their keys, and fails as many as the test says.
struct CountedStore {
    store: MemoryStore,
    loads: Mutex<Vec<usize>>,
    failures: Mutex<usize>,
    /// An entry that this release cannot read.
    unreadable: Option<CommandKey>,
    /// A load of this entry is never answered.
    unanswered: Option<CommandKey>,
}

#[async_trait]
impl ReadStore for CountedStore {
    async fn load(&self, wanted: &LoadRequest) -> Result<ReadSet, PortError> {
        self.loads.lock().unwrap().push(wanted.len());
        let fails = {
            let mut failures = self.failures.lock().unwrap();
            let fails = *failures > 0;
            *failures = failures.saturating_sub(1);
            fails
        };
        let [unreadable, unanswered] =
            [&self.unreadable, &self.unanswered].map(|key| key.clone().map(LedgerKey::Command));
        if unanswered.is_some_and(|key| wanted.ledger.contains(&key)) {
            std::future::pending().await
        } else if fails {
            Err(PortError::Unavailable("test".into()))
        } else if unreadable.is_some_and(|key| wanted.ledger.contains(&key)) {
            Err(PortError::Unreadable("test".into()))
        } else {
            self.store.load(wanted).await
        }
    }

    async fn ping(&self) -> Result<(), PortError> {
        Ok(())
    }
}

fn store() -> Arc<CountedStore> {
    store_with(None)
}

fn store_with(unreadable: Option<CommandKey>) -> Arc<CountedStore> {
    Arc::new(CountedStore { unreadable, ..counted_store() })
}

fn counted_store() -> CountedStore {
    let store = MemoryStore::new(Arc::new(TokioClock::new(Timestamp::UNIX_EPOCH)));
    let (loads, failures) = (Mutex::default(), Mutex::default());
    CountedStore { store, loads, failures, unreadable: None, unanswered: None }
}

fn poller(store: &Arc<CountedStore>, waiters_max: usize) -> Arc<OutcomePoller> {
    let poller = Arc::new(OutcomePoller::new(store.clone(), waiters_max));
    let running = Arc::clone(&poller);
    tokio::spawn(async move { running.run().await });
    poller
}

fn key(id: usize) -> CommandKey {
    CommandKey { source: "/s".parse().unwrap(), id: id.to_string().parse().unwrap() }
}

fn decide(store: &CountedStore, key: &CommandKey, digest: Digest) {
    let rejection = Rejection::new(RejectionCode::SeatNotFound, "no");
    let record = LedgerRecord::Outcome {
        digest,
        command_type: CommandType::Reserve,
        pool: PoolId::Event(1),
        outcome: Outcome::Rejected { rejection },
        changes: Changes::NONE,
        decided_at: Timestamp::UNIX_EPOCH,
    };
    store.store.insert([Record::Ledger(LedgerKey::Command(key.clone()), record)]);
}

fn is_decided(outcome: &LedgerOutcome) -> bool {
    matches!(outcome, LedgerOutcome::Decided(_))
}

#[tokio::test(start_paused = true)]
async fn everyone_who_waits_shares_a_poll() {
    let store = store();
    let poller = poller(&store, 1_000);
    let keys: Vec<_> = (0..150).map(key).collect();
    let pending: Vec<_> = keys.iter().map(|key| poller.register(key, MINE).unwrap()).collect();
    keys.iter().for_each(|key| decide(&store, key, MINE));
    for mut pending in pending {
        assert!(is_decided(&pending.outcome().await));
    }
    assert_eq!(*store.loads.lock().unwrap(), [100, 50]);
    assert_eq!((poller.waiters(), poller.oldest()), (0, None));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_whose_content_differs_is_told_that_the_id_was_used() {
    let store = store();
    let poller = poller(&store, 10);
    let mut mine = poller.register(&key(1), MINE).unwrap();
    let mut other = poller.register(&key(1), OTHER).unwrap();
    decide(&store, &key(1), MINE);
    assert!(is_decided(&mine.outcome().await));
    assert_eq!(other.outcome().await, LedgerOutcome::IdReused);
    assert_eq!(poller.waiters(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_restock_in_progress_is_awaited_until_its_outcome() {
    let store = store();
    let poller = poller(&store, 10);
    let mut pending = poller.register(&key(1), MINE).unwrap();
    let intent = LedgerRecord::Intent {
        digest: MINE,
        chunk_ends: vec![98],
        decided_at: Timestamp::UNIX_EPOCH,
    };
    store.store.insert([Record::Ledger(LedgerKey::Command(key(1)), intent)]);
    let mut waiting = std::pin::pin!(pending.outcome());
    assert!(tokio::time::timeout(Duration::from_secs(5), &mut waiting).await.is_err());
    assert_eq!(poller.oldest(), None, "it is not said to be queued");
    decide(&store, &key(1), MINE);
    assert!(is_decided(&waiting.await));
}

const POOL: PoolId = PoolId::Event(1);

/// Registers for a command, which the queue has, and leaves.
fn post_and_leave(poller: &OutcomePoller, id: usize, pool: &PoolId) {
    let _pending = poller.register(&key(id), MINE).unwrap();
    poller.queued(&key(id), pool);
}

#[tokio::test(start_paused = true)]
async fn a_queued_command_that_nobody_awaits_tells_the_age_of_its_pool_until_it_is_decided() {
    let store = store();
    let poller = poller(&store, 10);
    post_and_leave(&poller, 1, &POOL);
    assert_eq!(poller.waiters(), 0);
    tokio::time::sleep(Duration::from_secs(9)).await;
    post_and_leave(&poller, 2, &PoolId::Event(2));
    let nine = Some(Duration::from_secs(9));
    assert_eq!((poller.oldest(), poller.oldest_of(&POOL)), (nine, nine));
    assert_eq!(poller.oldest_of(&PoolId::Event(2)), Some(Duration::ZERO));
    assert_eq!(poller.oldest_of(&PoolId::Event(3)), None);
    decide(&store, &key(1), MINE);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(poller.oldest_of(&POOL), None);
    decide(&store, &key(2), MINE);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(poller.oldest(), None);
}

#[tokio::test(start_paused = true)]
async fn a_command_that_was_not_posted_is_forgotten_with_its_caller() {
    let store = store();
    let poller = poller(&store, 10);
    let pending = poller.register(&key(1), MINE).unwrap();
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(poller.oldest(), None);
    drop(pending);
    assert!(poller.lock().by_key.is_empty());
    poller.queued(&key(1), &POOL);
    assert_eq!(poller.oldest(), None, "it is not registered");
}

#[tokio::test(start_paused = true)]
async fn a_command_that_is_never_decided_is_forgotten() {
    let store = store();
    let poller = poller(&store, 10);
    for id in 0..200 {
        post_and_leave(&poller, id, &POOL);
    }
    assert_eq!(poller.lock().by_key.len(), ABANDONED_OF_POOL_MAX);
    tokio::time::sleep(ABANDONED_TIMEOUT + Duration::from_secs(2)).await;
    let entries = poller.lock();
    assert_eq!((entries.by_key.len(), &entries.abandoned), (0, &Abandoned::default()));
    drop(entries);
    assert_eq!(poller.oldest(), None);
}

#[tokio::test(start_paused = true)]
async fn commands_that_nobody_awaits_on_one_pool_hide_those_on_no_other() {
    let store = store();
    let poller = poller(&store, 1_000);
    for id in 0..900 {
        post_and_leave(&poller, id, &POOL);
    }
    let other = PoolId::Event(2);
    post_and_leave(&poller, 900, &other);
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert_eq!(poller.oldest_of(&POOL), Some(Duration::from_secs(9)));
    assert_eq!(poller.oldest_of(&other), Some(Duration::from_secs(9)));
    // In all, too, there is a bound.
    for pool in 3..300 {
        for id in 0..20 {
            post_and_leave(&poller, pool * 1_000 + id, &PoolId::Event(pool as u64));
        }
    }
    assert_eq!(poller.lock().by_key.len(), ABANDONED_MAX);
    tokio::time::sleep(ABANDONED_TIMEOUT + Duration::from_secs(2)).await;
    assert_eq!(poller.lock().abandoned, Abandoned::default());
}

#[tokio::test(start_paused = true)]
async fn a_read_that_is_not_answered_keeps_only_its_own_commands_waiting() {
    let store = Arc::new(CountedStore { unanswered: Some(key(0)), ..counted_store() });
    let poller = poller(&store, 1_000);
    let _unanswered = poller.register(&key(0), MINE).unwrap();
    tokio::time::sleep(FIRST_POLL / 2).await;
    let mut pending = poller.register(&key(1), MINE).unwrap();
    decide(&store, &key(1), MINE);
    let began = Instant::now();
    assert!(is_decided(&pending.outcome().await));
    assert_eq!(began.elapsed(), FIRST_POLL);
    // And it is read no second time meanwhile.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(*store.loads.lock().unwrap(), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn no_more_are_awaited_than_may_be() {
    let store = store();
    let poller = poller(&store, 1);
    let first = poller.register(&key(1), MINE).unwrap();
    assert!(poller.register(&key(2), MINE).is_none());
    drop(first);
    assert!(poller.register(&key(2), MINE).is_some());
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_failed_is_repeated() {
    let store = store();
    *store.failures.lock().unwrap() = 3;
    let poller = poller(&store, 10);
    let mut pending = poller.register(&key(1), MINE).unwrap();
    decide(&store, &key(1), MINE);
    assert!(is_decided(&pending.outcome().await));
    assert_eq!(store.loads.lock().unwrap().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_comes_back_is_answered() {
    let store = store();
    let poller = poller(&store, 10);
    post_and_leave(&poller, 1, &POOL);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut again = poller.register(&key(1), MINE).unwrap();
    poller.queued(&key(1), &POOL);
    assert!(poller.oldest().unwrap() >= Duration::from_secs(3), "it waits since its first post");
    decide(&store, &key(1), MINE);
    assert!(is_decided(&again.outcome().await));
    assert_eq!(poller.lock().abandoned, Abandoned::default());
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_cannot_be_read_keeps_no_other_from_its_outcome() {
    let store = store_with(Some(key(0)));
    let poller = poller(&store, 10);
    let _stuck = poller.register(&key(0), MINE).unwrap();
    let mut pending = poller.register(&key(1), MINE).unwrap();
    decide(&store, &key(1), MINE);
    let began = Instant::now();
    assert!(is_decided(&pending.outcome().await));
    assert!(began.elapsed() < FIRST_POLL * 2);
    assert_eq!(poller.waiters(), 1, "the other waits on");
}

#[tokio::test(start_paused = true)]
async fn callers_that_ask_again_and_again_put_no_poll_off() {
    let store = store();
    let poller = poller(&store, 100);
    decide(&store, &key(1), MINE);
    let mut pending = poller.register(&key(1), MINE).unwrap();
    let again = async {
        for _ in 0..10 {
            tokio::time::sleep(FIRST_POLL / 2).await;
            drop(poller.register(&key(1), MINE));
        }
    };
    tokio::select! {
        biased;
        outcome = pending.outcome() => assert!(is_decided(&outcome)),
        () = again => panic!("its outcome was not looked for"),
    }
}
