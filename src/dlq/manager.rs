//! A run over the dead letters.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    DeadLetter, Disposition, Ended, Handled, Options, Refusal, Run, Selection, dead_letter,
};
use crate::{
    domain::UserId,
    ports::{
        Clock, Delivery, Entropy, EntryError, PortError, Queue, ReceiptHandle, ReceiveRequest,
        queue::{BATCH_ENTRIES_MAX, text_attribute},
    },
    worker::dead_letters::ORIGINAL_MESSAGE_ID,
};

/// The base time limit of a run, to which [`TIME_EACH`] is added per message.
const TIME_BASE: Duration = Duration::from_secs(60);
/// The time limit added for every message a run may receive: a receive, a send and a delete on a
/// slow service.
const TIME_EACH: Duration = Duration::from_millis(300);
/// How long leases outlast the run: the longest call in flight at its end (30 s, with the client's
/// own retries), and the releases.
const LEASE_MARGIN: Duration = Duration::from_secs(60);

/// Runs operations on the dead letters. Stateless: every call is one run.
#[derive(Clone)]
pub struct DlqManager {
    /// The dead-letter queue.
    pub dead_letters: Arc<dyn Queue>,
    /// The clock for the age of messages.
    pub clock: Arc<dyn Clock>,
    /// The random source for attempt ids.
    pub entropy: Arc<dyn Entropy>,
    /// The options of every run.
    pub options: Options,
    /// Ends a run at its next step.
    pub stop: CancellationToken,
}

/// The operation on the selected dead letters.
#[derive(Clone, Copy)]
enum Task<'q> {
    List,
    Show,
    WouldRedrive(&'q dyn Queue),
    Redrive(&'q dyn Queue),
    Discard,
    Forget(&'q UserId),
    WouldForget(&'q UserId),
}

impl Task<'_> {
    /// Whether it is about the message at all.
    fn concerns(self, delivery: &Delivery) -> bool {
        match self {
            Self::Forget(user_id) | Self::WouldForget(user_id) => {
                dead_letter::without(delivery, user_id).is_some()
            }
            _ => true,
        }
    }
}

impl DlqManager {
    /// Lists the selected dead letters without their bodies. All stay in the queue.
    pub async fn list(&self, selection: &Selection) -> Run {
        self.run(Task::List, selection).await
    }

    /// Lists the selected dead letters with their bodies. All stay in the queue.
    pub async fn show(&self, selection: &Selection) -> Run {
        self.run(Task::Show, selection).await
    }

    /// Sends the selected dead letters back to their queue `to`, each group in order, and deletes
    /// them here. Refused and failed ones stay.
    pub async fn redrive(&self, to: &dyn Queue, selection: &Selection) -> Run {
        self.run(Task::Redrive(to), selection).await
    }

    /// Says which of the selected dead letters [`Self::redrive`] would send back and which it would
    /// refuse. All stay in the queue, so those behind the first ten of a group are not seen.
    pub async fn would_redrive(&self, to: &dyn Queue, selection: &Selection) -> Run {
        self.run(Task::WouldRedrive(to), selection).await
    }

    /// Deletes the selected dead letters permanently.
    pub async fn discard(&self, selection: &Selection) -> Run {
        self.run(Task::Discard, selection).await
    }

    /// Replaces a user's id in the dead letters that name it: a copy without it is sent to the end of
    /// its group in the dead-letter queue, and the dead letter deleted. The run reports these alone.
    pub async fn forget(&self, user_id: &UserId) -> Run {
        self.run(Task::Forget(user_id), &Selection::all()).await
    }

    /// Says which dead letters [`Self::forget`] would rewrite. All stay as they are.
    pub async fn would_forget(&self, user_id: &UserId) -> Run {
        self.run(Task::WouldForget(user_id), &Selection::all()).await
    }

    async fn run(&self, task: Task<'_>, selection: &Selection) -> Run {
        let mut walk = Scan::new(self, task, selection);
        let ended = match walk.begin().await {
            Ok(ended) => ended,
            Err(error) => Ended::Failed(error),
        };
        walk.end(ended).await
    }
}

/// The state of a run.
struct Scan<'a> {
    desk: &'a DlqManager,
    task: Task<'a>,
    selection: &'a Selection,
    /// The length of each lease: it ends after `until`, whenever it was taken.
    visibility: Duration,
    until: Instant,
    /// Ids of all received messages.
    seen: BTreeSet<String>,
    /// The outcome of each selected dead letter, by id; `order` has them as received.
    handled: BTreeMap<String, Handled>,
    order: Vec<String>,
    /// Leases held until the end, in order.
    held: Vec<ReceiptHandle>,
    /// Message ids, in the target queue, of the messages this run sent back.
    sent: BTreeSet<String>,
    /// The largest message that the target queue takes, bytes.
    bytes_max: usize,
    /// How long a receive waits.
    wait: Duration,
}

/// What is left of a group's part of a batch.
struct Left {
    /// The remaining leases, in order.
    rest: Vec<ReceiptHandle>,
    /// Whether another receive may show further messages of the group.
    again: bool,
    /// Whether one of its messages could not be handled: no later message may pass it.
    is_stuck: bool,
}

impl<'a> Scan<'a> {
    fn new(desk: &'a DlqManager, task: Task<'a>, selection: &'a Selection) -> Self {
        let limit = u32::try_from(desk.options.limit).unwrap_or(u32::MAX);
        let time = TIME_BASE.saturating_add(TIME_EACH.saturating_mul(limit));
        Self {
            desk,
            task,
            selection,
            visibility: time.saturating_add(LEASE_MARGIN),
            until: Instant::now() + time,
            seen: BTreeSet::new(),
            handled: BTreeMap::new(),
            order: Vec::new(),
            held: Vec::new(),
            sent: BTreeSet::new(),
            bytes_max: 0,
            wait: desk.options.wait,
        }
    }

    async fn begin(&mut self) -> Result<Ended, PortError> {
        match self.task {
            Task::Redrive(to) | Task::WouldRedrive(to) => {
                self.bytes_max = to.limits().await?.message_bytes_max;
            }
            Task::Forget(_) => {
                self.bytes_max = self.desk.dead_letters.limits().await?.message_bytes_max;
            }
            Task::List | Task::Show | Task::Discard | Task::WouldForget(_) => {}
        }
        // The counts of an empty queue are not exact: it is received from once, without waiting.
        let backlog = self.desk.dead_letters.backlog().await;
        if backlog.is_ok_and(|backlog| backlog.visible == 0 && backlog.in_flight == 0) {
            self.wait = Duration::ZERO;
        }
        self.go().await
    }

    /// Receives until no more messages come or the run must end.
    async fn go(&mut self) -> Result<Ended, PortError> {
        loop {
            if let Some(ended) = self.must_end() {
                return Ok(ended);
            }
            let batch = self.receive().await?;
            if batch.is_empty() {
                return Ok(Ended::Complete);
            }
            self.wait = self.desk.options.wait;
            let is_full = batch.len() == BATCH_ENTRIES_MAX;
            let mut groups = by_group(batch).into_iter().peekable();
            let mut failure = None;
            while let Some(group) = groups.next() {
                // A full batch may have cut off its last group.
                let is_cut = is_full && groups.peek().is_none() && group.len() < BATCH_ENTRIES_MAX;
                if failure.is_some() {
                    self.held.extend(group.into_iter().map(|delivery| delivery.receipt));
                    continue;
                }
                if let Err(error) = self.group(group, is_cut).await {
                    failure = Some(error);
                }
            }
            if let Some(error) = failure {
                return Err(error);
            }
        }
    }

    fn must_end(&self) -> Option<Ended> {
        if self.found_all() {
            return Some(Ended::Complete);
        }
        if self.desk.stop.is_cancelled() {
            return Some(Ended::Stopped);
        }
        if Instant::now() >= self.until {
            return Some(Ended::Time);
        }
        (self.seen.len() >= self.desk.options.limit).then_some(Ended::Limit)
    }

    /// Whether every named id was received.
    fn found_all(&self) -> bool {
        self.selection.ids.as_ref().is_some_and(|ids| ids.is_subset(&self.seen))
    }

    async fn receive(&self) -> Result<Vec<Delivery>, PortError> {
        let request = ReceiveRequest {
            max: BATCH_ENTRIES_MAX,
            wait: self.wait,
            visibility: self.visibility,
            attempt_id: self.desk.entropy.uuid().to_string(),
        };
        self.desk.dead_letters.receive(&request).await
    }

    /// Handles the messages of one group, and holds or releases the remaining ones.
    async fn group(&mut self, group: Vec<Delivery>, is_cut: bool) -> Result<(), PortError> {
        let receipts: Vec<ReceiptHandle> =
            group.iter().map(|delivery| delivery.receipt.clone()).collect();
        let brought_news = group.iter().any(|delivery| !self.seen.contains(&delivery.message_id));
        let left = match self.messages(group).await {
            Ok(left) => left,
            Err(error) => {
                // Already deleted messages cannot be released, and need not be.
                self.held.extend(receipts);
                return Err(error);
            }
        };
        if !left.is_stuck && (left.again || (is_cut && brought_news)) {
            self.release(&left.rest).await
        } else {
            self.held.extend(left.rest);
            Ok(())
        }
    }

    async fn messages(&mut self, group: Vec<Delivery>) -> Result<Left, PortError> {
        let mut left = Left { rest: Vec::new(), again: false, is_stuck: false };
        for delivery in group {
            let is_over = left.is_stuck || self.is_beyond(&delivery.message_id);
            let is_new = !is_over && self.seen.insert(delivery.message_id.clone());
            let letter = DeadLetter::of(&delivery);
            let is_meant = self.selection.takes(&letter) && self.task.concerns(&delivery);
            if !is_new || !is_meant {
                self.tell();
                left.rest.push(delivery.receipt);
                continue;
            }
            let (fate, failure) = self.handle(&delivery, &letter).await;
            let is_gone = matches!(
                fate,
                Disposition::Redriven { .. }
                    | Disposition::Discarded
                    | Disposition::Rewritten { .. }
            );
            left.is_stuck =
                matches!(fate, Disposition::NotSent { .. } | Disposition::NotDeleted { .. });
            self.note(letter, &delivery, fate);
            if let Some(failure) = failure {
                return Err(failure);
            }
            if is_gone {
                left.again = true;
            } else {
                left.rest.push(delivery.receipt);
            }
        }
        Ok(left)
    }

    /// Whether a message must not be handled any more. A message received before may come again.
    fn is_beyond(&self, id: &str) -> bool {
        let is_new = !self.seen.contains(id);
        (is_new && self.seen.len() >= self.desk.options.limit)
            || self.desk.stop.is_cancelled()
            || Instant::now() >= self.until
    }

    fn note(&mut self, mut letter: DeadLetter, delivery: &Delivery, fate: Disposition) {
        if matches!(self.task, Task::Show) {
            letter.body = Some(delivery.body.clone());
        }
        self.order.push(letter.id.clone());
        self.handled.insert(letter.id.clone(), Handled { letter, fate });
        self.tell();
    }

    fn tell(&self) {
        if let Some(progress) = &self.desk.options.progress {
            progress(self.seen.len(), self.handled.len());
        }
    }

    /// Handles a message; returns its outcome, and the failure that ends the run.
    async fn handle(
        &mut self,
        delivery: &Delivery,
        letter: &DeadLetter,
    ) -> (Disposition, Option<PortError>) {
        match self.task {
            Task::List | Task::Show => (Disposition::Seen, None),
            Task::WouldRedrive(_) => {
                let now = self.desk.clock.now();
                let message = dead_letter::send_back(delivery, letter, self.bytes_max, now);
                let fate = message
                    .map_or_else(|why| Disposition::Refused { why }, |_| Disposition::WouldRedrive);
                (fate, None)
            }
            Task::Redrive(to) => self.redrive(to, delivery, letter).await,
            Task::Discard => self.delete(delivery, Disposition::Discarded).await,
            Task::Forget(user_id) => self.forget(user_id, delivery, letter).await,
            Task::WouldForget(user_id) => match dead_letter::without(delivery, user_id) {
                Some(Err(why)) => (Disposition::Refused { why }, None),
                None | Some(Ok(_)) => (Disposition::WouldRewrite, None),
            },
        }
    }

    /// A crash between the two calls leaves both; the next run replaces the dead letter again, and
    /// a redrive of both takes effect once.
    async fn forget(
        &mut self,
        user_id: &UserId,
        delivery: &Delivery,
        letter: &DeadLetter,
    ) -> (Disposition, Option<PortError>) {
        let anonymous = match dead_letter::without(delivery, user_id) {
            Some(Ok(anonymous)) => anonymous,
            Some(Err(why)) => return (Disposition::Refused { why }, None),
            None => return (Disposition::Seen, None),
        };
        let message = match dead_letter::rewritten(delivery, letter, anonymous, self.bytes_max) {
            Ok(message) => message,
            Err(why) => return (Disposition::Refused { why }, None),
        };
        match self.desk.dead_letters.send(std::slice::from_ref(&message)).await.map(only) {
            Ok(Ok(message_id)) => {
                self.delete(delivery, Disposition::Rewritten { message_id }).await
            }
            Ok(Err(error)) => (Disposition::NotSent { what: error.to_string() }, None),
            Err(error) => (Disposition::NotSent { what: error.to_string() }, Some(error)),
        }
    }

    /// One message per call: in a batch, a later entry may reach the queue before a failed one.
    async fn redrive(
        &mut self,
        to: &dyn Queue,
        delivery: &Delivery,
        letter: &DeadLetter,
    ) -> (Disposition, Option<PortError>) {
        if self.came_back(delivery) {
            return (Disposition::Refused { why: Refusal::DiedAgain }, None);
        }
        let now = self.desk.clock.now();
        let message = match dead_letter::send_back(delivery, letter, self.bytes_max, now) {
            Ok(message) => message,
            Err(why) => return (Disposition::Refused { why }, None),
        };
        match to.send(std::slice::from_ref(&message)).await.map(only) {
            Ok(Ok(message_id)) => {
                self.sent.insert(message_id.clone());
                self.delete(delivery, Disposition::Redriven { message_id }).await
            }
            Ok(Err(error)) => (Disposition::NotSent { what: error.to_string() }, None),
            Err(error) => (Disposition::NotSent { what: error.to_string() }, Some(error)),
        }
    }

    /// Whether the message is one that this run sent and that was dead-lettered again: under its
    /// old id if SQS moved it; under its own new id, naming the old one, if it is a copy.
    fn came_back(&self, delivery: &Delivery) -> bool {
        let original = text_attribute(&delivery.attributes, ORIGINAL_MESSAGE_ID);
        self.sent.contains(original.unwrap_or(&delivery.message_id))
    }

    /// Deletes a message, after which `done` is its outcome.
    async fn delete(
        &self,
        delivery: &Delivery,
        done: Disposition,
    ) -> (Disposition, Option<PortError>) {
        let sent = matches!(done, Disposition::Redriven { .. } | Disposition::Rewritten { .. });
        let receipt = std::slice::from_ref(&delivery.receipt);
        match self.desk.dead_letters.delete(receipt).await.map(only) {
            Ok(Ok(())) => (done, None),
            Ok(Err(error)) => (Disposition::NotDeleted { what: error.to_string(), sent }, None),
            Err(error) => (Disposition::NotDeleted { what: error.to_string(), sent }, Some(error)),
        }
    }

    /// Releases messages of one group, in order.
    async fn release(&mut self, receipts: &[ReceiptHandle]) -> Result<(), PortError> {
        for some in receipts.chunks(BATCH_ENTRIES_MAX) {
            let changes: Vec<_> =
                some.iter().map(|receipt| (receipt.clone(), Duration::ZERO)).collect();
            let answers = self.desk.dead_letters.change_visibility(&changes).await;
            let answers = match answers {
                Ok(answers) => answers,
                Err(error) => {
                    self.held.extend(receipts.iter().cloned());
                    return Err(error);
                }
            };
            for (receipt, answer) in some.iter().zip(answers) {
                // A message whose lease was lost is already released or deleted.
                if !matches!(answer, Ok(()) | Err(EntryError::LeaseLost)) {
                    self.held.push(receipt.clone());
                }
            }
        }
        Ok(())
    }

    /// Counts the unseen messages, releases all leases, and reports the run.
    async fn end(mut self, ended: Ended) -> Run {
        let holds = u64::try_from(self.held.len()).unwrap_or(u64::MAX);
        let backlog = self.desk.dead_letters.backlog().await.ok();
        let held = std::mem::take(&mut self.held);
        for some in held.chunks(BATCH_ENTRIES_MAX) {
            // A failed release puts them in `held` again; the others are still tried.
            let _ = self.release(some).await;
        }
        let Scan { seen, selection, mut handled, order, held, .. } = self;
        let missing = selection.ids.iter().flatten();
        Run {
            missing: missing.filter(|id| !seen.contains(*id)).cloned().collect(),
            handled: order.iter().filter_map(|id| handled.remove(id)).collect(),
            behind: backlog.map(|backlog| backlog.visible),
            elsewhere: backlog.map(|backlog| backlog.in_flight.saturating_sub(holds)),
            ended,
            still_leased: held.len(),
        }
    }
}

/// The deliveries by group, each in order, the groups in order of their first delivery.
fn by_group(batch: Vec<Delivery>) -> Vec<Vec<Delivery>> {
    let mut groups: Vec<Vec<Delivery>> = Vec::new();
    for delivery in batch {
        let same = |group: &&mut Vec<Delivery>| {
            group.first().is_some_and(|first| first.group == delivery.group)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(delivery),
            None => groups.push(vec![delivery]),
        }
    }
    groups
}

/// The answer for the only entry of a batch.
fn only<T>(answers: Vec<Result<T, EntryError>>) -> Result<T, EntryError> {
    let unanswered = || Err(EntryError::Retryable("the queue did not answer".to_owned()));
    answers.into_iter().next().unwrap_or_else(unanswered)
}
