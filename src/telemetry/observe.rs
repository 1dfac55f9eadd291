//! The worker's events as metrics.

use crate::{
    domain::Outcome,
    worker::{Event, Observer},
};

use super::Metrics;

impl Observer for Metrics {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Received { queue, oldest_age, .. } => self.oldest_message(queue, *oldest_age),
            Event::InFlight(change) => self.in_flight(*change),
            Event::Batch { messages } => self.batch(*messages),
            Event::Decided { command_type, outcome, replayed, took } => {
                if *replayed {
                    return self.replayed();
                }
                match command_type {
                    Some(command_type) => {
                        self.decided(*command_type, outcome);
                        self.command_took(*command_type, *took);
                    }
                    None => {
                        outcome.rejection().iter().for_each(|found| self.rejected(found.code));
                    }
                }
                if let Outcome::Restocked { restock } = outcome {
                    self.restocked(restock.lines_applied);
                }
            }
            Event::Commit(result) => self.commit(result),
            Event::LockWaited(waited) => self.lock_waited(*waited),
            Event::LockDegraded => self.lock_degraded(),
            Event::LeaseLost(count) => self.lease_lost(*count),
            Event::DeadLettered { reason } => self.dead_lettered(reason),
            Event::Published { took } => self.published(*took),
            Event::Oversold(change) => self.oversold(*change),
            Event::SweeperLag(lag) => self.sweeper_lag(*lag),
            Event::ExpiriesPosted(count) => self.expired(*count),
        }
    }
}
