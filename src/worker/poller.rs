//! Receives while there is room for more, and hands each group's batch to a lane.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::{
    task::{JoinError, JoinSet},
    time::Instant,
};
use tracing::{error, warn};

use super::{
    events::Event,
    lane::LaneContext,
    permits::{BatchPermits, InFlightLimits},
};
use crate::{
    domain::{GroupId, Timestamp},
    ports::{Clock, Delivery, PortError, ReceiveRequest, queue},
};

/// Receives until shutdown, then waits for its lanes.
///
/// A receive is never dropped midway: the messages it leased would stay hidden for a whole
/// visibility timeout. Messages received after the stop signal are released at once.
pub(super) async fn poll(lane: Arc<LaneContext>, in_flight: Arc<InFlightLimits>) {
    let mut running = JoinSet::new();
    let stop = lane.context.shutdown.receiving.clone();
    let mut attempt_id = None;
    while !stop.is_cancelled() {
        while let Some(ended) = running.try_join_next() {
            note_end(ended);
        }
        // The limits first: the wait for them may be long, and a breaker may open meanwhile.
        let ready = async {
            let permits = in_flight.reserve().await?;
            let of_queue = lane.queue_breaker.admit(&lane.queue_half_open).await;
            Some((permits, [of_queue, lane.breaker.admit(&lane.half_open).await]))
        };
        let ready = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            ready = ready => ready,
        };
        let Some((mut permits, half_open)) = ready else { break };
        let begun = Instant::now();
        let (deliveries, retry_with) = receive(&lane, attempt_id.take()).await;
        attempt_id = retry_with;
        // All batches are announced before the first one starts.
        let batches: Vec<_> = by_group(deliveries).map(|b| (b, lane.outbox.expect())).collect();
        for (deliveries, announcement) in batches {
            let permits = BatchPermits::new(&mut permits, &deliveries, half_open.clone());
            running.spawn(Arc::clone(&lane).run(deliveries, begun, permits, announcement));
        }
    }
    while let Some(ended) = running.join_next().await {
        note_end(ended);
    }
}

fn note_end(ended: Result<(), JoinError>) {
    if let Err(error) = ended {
        // Its messages are received again after their leases expire; the one that causes the
        // failure is then isolated and eventually dead-lettered.
        error!(%error, "a lane ended before its time");
    }
}

/// One receive. After a failure, returns the attempt id with which to repeat it: the queue then
/// returns the messages it may already have leased.
async fn receive(
    lane: &LaneContext,
    attempt_id: Option<String>,
) -> (Vec<Delivery>, Option<String>) {
    let settings = &lane.context.settings;
    let request = ReceiveRequest {
        max: queue::BATCH_ENTRIES_MAX,
        wait: settings.long_poll,
        visibility: settings.visibility,
        attempt_id: attempt_id.unwrap_or_else(|| lane.context.entropy.uuid().to_string()),
    };
    let begun = Instant::now();
    match lane.queues.queue.receive(&request).await {
        Ok(deliveries) => {
            lane.queue_breaker.record_answer("receive");
            note_received(lane, &deliveries);
            (deliveries, None)
        }
        Err(error) => {
            let took = begun.elapsed();
            let queue = lane.queues.queue.name();
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            warn!(queue, %error, took_ms, "nothing received");
            lane.context.observer.observe(&Event::CallFailed { took });
            lane.queue_breaker.trip_for("receive");
            // SQS refuses the attempt id of a receive that it throttled, and one of whose messages
            // has since been deleted or leased again.
            let may_have_leased = matches!(error, PortError::Unavailable(_));
            (Vec::new(), may_have_leased.then_some(request.attempt_id))
        }
    }
}

fn note_received(lane: &LaneContext, deliveries: &[Delivery]) {
    let oldest = deliveries.iter().map(|delivery| delivery.sent_at).min();
    lane.context.observer.observe(&Event::Received {
        queue: lane.queues.queue.name(),
        messages: deliveries.len(),
        oldest_age: oldest.map_or(Duration::ZERO, |sent_at| age(&*lane.context.clock, sent_at)),
    });
}

fn age(clock: &dyn Clock, sent_at: Timestamp) -> Duration {
    Duration::try_from(clock.now().duration_since(sent_at)).unwrap_or(Duration::ZERO)
}

/// Splits the messages by group, each group in order.
fn by_group(deliveries: Vec<Delivery>) -> impl Iterator<Item = Vec<Delivery>> {
    let mut groups: BTreeMap<GroupId, Vec<Delivery>> = BTreeMap::new();
    for delivery in deliveries {
        groups.entry(delivery.group.clone()).or_default().push(delivery);
    }
    groups.into_values()
}
