//! Lets lanes share batch calls.
//!
//! A lane hands over its entries and waits for their answers. The first lane of a batch makes the
//! call once the batch is full, no other lane that might add to it is left, or the linger time has
//! passed; the others wait for it. There is no background task: dropping the lanes drops their
//! calls.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, oneshot};

use crate::ports::{BatchAnswer, EntryError, PortError};

/// A call that carries entries of several lanes.
pub(super) trait BatchCall: Send + Sync {
    /// One entry of the call.
    type Entry: Send + Sync;

    /// The most entries of one call.
    const ENTRIES_MAX: usize;

    /// The most bytes of one call, over all entries.
    const BYTES_MAX: usize;

    /// The entry's size, counted towards [`Self::BYTES_MAX`].
    fn bytes(entry: &Self::Entry) -> usize;

    /// Makes the call.
    fn carry(
        &self,
        entries: &[Self::Entry],
    ) -> impl Future<Output = Result<BatchAnswer, PortError>> + Send;
}

/// How many of the first entries one call carries: at least one, because the service itself refuses
/// a single entry that is too large.
pub(super) fn fits_batch<C: BatchCall>(entries: &[C::Entry]) -> usize {
    let mut bytes = 0_usize;
    let fits = |entry: &&C::Entry| {
        bytes = bytes.saturating_add(C::bytes(entry));
        bytes <= C::BYTES_MAX
    };
    let count = entries.iter().take(C::ENTRIES_MAX).take_while(fits).count();
    count.max(1).min(entries.len())
}

/// Entries returned from their call, and one answer each, or why there are none.
pub(super) struct BatchResponse<E> {
    pub(super) entries: Vec<E>,
    pub(super) answer: Result<BatchAnswer, PortError>,
}

impl<E> BatchResponse<E> {
    fn lost() -> Self {
        let answer = Err(PortError::Unavailable("the call broke off".to_owned()));
        Self { entries: Vec::new(), answer }
    }
}

/// Collects the entries of lanes into batches.
pub(super) struct Batcher<C: BatchCall> {
    batch_call: C,
    linger: Duration,
    state: Mutex<State<C::Entry>>,
}

struct State<E> {
    open: Option<Arc<Batch<E>>>,
    /// Announced lanes that have not arrived yet.
    expected: usize,
}

/// A batch. While it is open, any holder of the state's lock may add to it; after that it belongs
/// to its leader.
struct Batch<E> {
    content: Mutex<Content<E>>,
    /// Wakes the leader when there is nothing left to wait for.
    go: Notify,
}

struct Content<E> {
    entries: Vec<E>,
    bytes: usize,
    /// The waiting lanes with their entry counts, in entry order. The leader's own entries come
    /// first and are not counted here.
    followers: Vec<(usize, oneshot::Sender<BatchResponse<E>>)>,
}

/// The caller's role after handing over its entries.
enum Part<E> {
    /// It makes the call for itself: no other lane takes part.
    Alone(Vec<E>),
    /// It makes the call for all lanes of the batch.
    Leader { batch: Arc<Batch<E>>, own: usize },
    /// It waits for the leader's call.
    Follower(oneshot::Receiver<BatchResponse<E>>),
}

impl<C: BatchCall> Batcher<C> {
    /// An empty batcher. A batch waits at most `linger` for announced lanes.
    pub(super) fn new(batch_call: C, linger: Duration) -> Self {
        Self { batch_call, linger, state: Mutex::new(State { open: None, expected: 0 }) }
    }

    /// Announces a lane that may bring entries. Batches wait only for announced lanes.
    pub(super) fn expect(self: &Arc<Self>) -> Pending<C> {
        self.state().expected += 1;
        Pending(Some(Arc::clone(self)))
    }

    /// Carries entries that fit one call ([`fits_batch`]), alone or with others.
    ///
    /// The entries stay together and in order, and each has an answer. They are returned with it,
    /// unless the lane that made the call failed.
    pub(super) async fn carry(
        &self,
        entries: Vec<C::Entry>,
        expected: Option<Pending<C>>,
    ) -> BatchResponse<C::Entry> {
        let (response, is_shared) = match self.hand_over(entries, expected) {
            Part::Alone(entries) => (self.call(entries).await, false),
            Part::Leader { batch, own } => self.lead(&batch, own).await,
            Part::Follower(answer) => {
                (answer.await.unwrap_or_else(|_| BatchResponse::lost()), true)
            }
        };
        match response {
            // Nothing was applied, and the refused entry may be another lane's.
            BatchResponse { entries, answer: Err(PortError::Refused(_)) } if is_shared => {
                self.call(entries).await
            }
            response => response,
        }
    }

    fn hand_over(&self, entries: Vec<C::Entry>, expected: Option<Pending<C>>) -> Part<C::Entry> {
        let bytes = entries.iter().map(C::bytes).fold(0, usize::saturating_add);
        let is_full = entries.len() >= C::ENTRIES_MAX || bytes >= C::BYTES_MAX;
        if is_full {
            return Part::Alone(entries);
        }
        let mut state = self.state();
        let fits = |batch: &Arc<Batch<C::Entry>>| {
            let content = batch.content();
            content.entries.len() + entries.len() <= C::ENTRIES_MAX
                && content.bytes.saturating_add(bytes) <= C::BYTES_MAX
        };
        if !state.open.as_ref().is_none_or(fits) {
            state.close();
        }
        if let Some(expected) = expected {
            expected.arrived(&mut state);
        }
        let is_last = state.expected == 0;
        let Some(batch) = state.open.clone() else {
            if is_last {
                return Part::Alone(entries);
            }
            let own = entries.len();
            let content = Content { entries, bytes, followers: Vec::new() };
            let batch = Arc::new(Batch { content: Mutex::new(content), go: Notify::new() });
            state.open = Some(Arc::clone(&batch));
            return Part::Leader { batch, own };
        };
        let (sender, answer) = oneshot::channel();
        let is_full = {
            let mut content = batch.content();
            content.followers.push((entries.len(), sender));
            content.entries.extend(entries);
            content.bytes = content.bytes.saturating_add(bytes);
            content.entries.len() >= C::ENTRIES_MAX || content.bytes >= C::BYTES_MAX
        };
        if is_full || is_last {
            state.close();
        }
        Part::Follower(answer)
    }

    /// Waits until the batch is due, makes the call and distributes the answers.
    async fn lead(
        &self,
        batch: &Arc<Batch<C::Entry>>,
        own: usize,
    ) -> (BatchResponse<C::Entry>, bool) {
        let leading = Leading { batcher: self, batch };
        tokio::select! {
            biased;
            () = batch.go.notified() => {}
            () = tokio::time::sleep(self.linger) => {}
        }
        drop(leading);
        let (entries, followers) = {
            let mut content = batch.content();
            (std::mem::take(&mut content.entries), std::mem::take(&mut content.followers))
        };
        let is_shared = !followers.is_empty();
        let BatchResponse { entries, answer } = self.call(entries).await;
        let mut entries = entries.into_iter();
        let mut answers = answer.map(Vec::into_iter);
        let mut part = |count: usize| BatchResponse {
            entries: entries.by_ref().take(count).collect(),
            answer: match &mut answers {
                Ok(answers) => Ok(answers.take(count).collect()),
                Err(error) => Err(error.clone()),
            },
        };
        let own = part(own);
        for (count, follower) in followers {
            // A follower that is gone was dropped with its worker.
            let _ = follower.send(part(count));
        }
        (own, is_shared)
    }

    async fn call(&self, entries: Vec<C::Entry>) -> BatchResponse<C::Entry> {
        let unanswered = || Err(EntryError::Retryable("left unanswered".to_owned()));
        let answer = self.batch_call.carry(&entries).await.map(|mut answers| {
            answers.resize_with(entries.len(), unanswered);
            answers
        });
        BatchResponse { entries, answer }
    }

    fn state(&self) -> MutexGuard<'_, State<C::Entry>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<E> State<E> {
    /// Closes the open batch to further entries and wakes its leader.
    fn close(&mut self) {
        if let Some(batch) = self.open.take() {
            batch.go.notify_one();
        }
    }
}

impl<E> Batch<E> {
    fn content(&self) -> MutexGuard<'_, Content<E>> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the batch open until dropped, so that no lane joins a batch whose leader is gone.
struct Leading<'a, C: BatchCall> {
    batcher: &'a Batcher<C>,
    batch: &'a Arc<Batch<C::Entry>>,
}

impl<C: BatchCall> Drop for Leading<'_, C> {
    fn drop(&mut self) {
        let mut state = self.batcher.state();
        if state.open.as_ref().is_some_and(|open| Arc::ptr_eq(open, self.batch)) {
            state.open = None;
        }
    }
}

/// A lane that may bring entries. Dropping it withdraws the announcement.
pub(super) struct Pending<C: BatchCall>(Option<Arc<Batcher<C>>>);

impl<C: BatchCall> Pending<C> {
    /// Marks the lane as arrived. The caller holds the lock that dropping would take.
    fn arrived(mut self, state: &mut State<C::Entry>) {
        self.0 = None;
        state.expected = state.expected.saturating_sub(1);
    }
}

impl<C: BatchCall> Drop for Pending<C> {
    fn drop(&mut self) {
        let Some(batcher) = self.0.take() else { return };
        let mut state = batcher.state();
        state.expected = state.expected.saturating_sub(1);
        if state.expected == 0 {
            state.close();
        }
    }
}

#[cfg(test)]
mod tests;
