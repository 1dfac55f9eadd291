//! Publishes results, then deletes their messages. Order inside a group is kept.

use tokio::time::Instant;

use super::{Tools, events::Event, failure::Failure};
use crate::{
    planted::{self, Bug},
    ports::{
        EntryError, OutgoingMessage, PortError, Publication, Queue, Receipt, publisher,
        queue::BATCH_ENTRIES_MAX,
    },
    retry::Policy,
};

/// Publishes results of one group in order. Gives how many are out, and why no more are.
pub(super) async fn publish(tools: &Tools, results: &[Publication]) -> (usize, Option<Failure>) {
    let begun = Instant::now();
    let mut backoff = Policy::ENTRIES.start();
    let mut out = 0;
    while let Some(rest) = results.get(out..).filter(|rest| !rest.is_empty()) {
        let batch = first_batch(rest);
        let error = match tools.publisher.publish(batch).await {
            // Whatever went out after a failed entry goes out again, in order, and is recognised
            // by its id: what counts is how far the order holds.
            Ok(answers) => {
                if planted::on(Bug::IgnoreFailedPublish) {
                    out += batch.len();
                    continue;
                }
                let sent = answers.iter().take_while(|answer| answer.is_ok()).count();
                out += sent.min(batch.len());
                if sent > 0 {
                    backoff.reset();
                }
                match answers.into_iter().find_map(Result::err) {
                    None if sent >= batch.len() => continue,
                    None => Failure::Environment("the topic left entries unanswered".to_owned()),
                    Some(EntryError::LeaseLost) => {
                        Failure::Environment("the topic spoke of leases".to_owned())
                    }
                    Some(error) => error.into(),
                }
            }
            Err(error) => error.into(),
        };
        let is_final =
            !matches!(error, Failure::Environment(_)) || tools.stop.working.is_cancelled();
        if is_final || !backoff.wait(&*tools.entropy).await {
            return (out, Some(error));
        }
    }
    tools.observer.observe(&Event::Published { took: begun.elapsed() });
    (out, None)
}

/// As many of the first results as one call carries.
fn first_batch(results: &[Publication]) -> &[Publication] {
    let mut bytes = 0_usize;
    let fitting = results.iter().take(publisher::PUBLISH_ENTRIES_MAX).take_while(|result| {
        bytes = bytes.saturating_add(result.bytes());
        bytes <= publisher::PUBLISH_BYTES_MAX
    });
    // A result that alone is too large is for the topic to refuse.
    results.get(..fitting.count().max(1)).unwrap_or(results)
}

/// Deletes messages. One that cannot be deleted comes again and is found in the ledger.
pub(super) async fn delete(tools: &Tools, queue: &dyn Queue, receipts: &[Receipt]) -> Vec<Failure> {
    let mut failures = Vec::new();
    for receipts in receipts.chunks(BATCH_ENTRIES_MAX) {
        let mut left = receipts.to_vec();
        let mut backoff = Policy::ENTRIES.start();
        while !left.is_empty() {
            let (again, mut failed) = delete_once(queue, &left).await;
            let is_over = again.is_empty()
                || tools.stop.working.is_cancelled()
                || !backoff.wait(&*tools.entropy).await;
            if is_over {
                failures.extend(again.into_iter().map(|(_, failure)| failure));
                failures.append(&mut failed);
                break;
            }
            failures.append(&mut failed);
            left = again.into_iter().map(|(receipt, _)| receipt).collect();
        }
    }
    failures
}

/// Those worth another try, and the failures that are final.
async fn delete_once(
    queue: &dyn Queue,
    receipts: &[Receipt],
) -> (Vec<(Receipt, Failure)>, Vec<Failure>) {
    let answers = match queue.delete(receipts).await {
        Ok(answers) => answers,
        Err(error) => {
            let failure = Failure::from(error);
            return (receipts.iter().map(|r| (r.clone(), failure.clone())).collect(), Vec::new());
        }
    };
    let mut again = Vec::new();
    let mut failed = Vec::new();
    for (receipt, answer) in receipts.iter().zip(answers) {
        match answer.map_err(Failure::from) {
            Ok(()) => {}
            Err(failure @ Failure::Environment(_)) => again.push((receipt.clone(), failure)),
            Err(failure) => failed.push(failure),
        }
    }
    (again, failed)
}

/// Sends one message and sees that it was taken.
pub(super) async fn send_one(queue: &dyn Queue, message: OutgoingMessage) -> Result<(), Failure> {
    let answers = queue.send(std::slice::from_ref(&message)).await?;
    match answers.into_iter().next() {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(Failure::Environment(error.to_string())),
        None => {
            Err(PortError::Unavailable("the queue left a message unanswered".to_owned()).into())
        }
    }
}
