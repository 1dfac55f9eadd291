//! Puts this process' totals where those who look on find them.

use std::sync::Arc;

use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};
use uuid::Uuid;

use super::Metrics;
use crate::ports::{ActivityBoard, Clock, WorkerTotals, activity::ACTIVITY_EVERY};

/// What is put on a board, and how.
pub struct ActivityReport {
    /// Where it goes.
    pub board: Arc<dyn ActivityBoard>,
    /// Counts what was decided.
    pub metrics: Arc<Metrics>,
    /// The time of each count.
    pub clock: Arc<dyn Clock>,
    /// This run of this process.
    pub worker: Uuid,
}

impl ActivityReport {
    /// Puts the totals for as long as it is polled. Nothing waits for it, and a board that fails
    /// costs figures alone: the log says when it begins to, and when it works again.
    pub async fn run(&self) {
        let mut ticks = interval(ACTIVITY_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut fails = false;
        loop {
            ticks.tick().await;
            let (completed, rejected) = self.metrics.decided_by_type_and_code();
            let at = self.clock.now();
            let totals = WorkerTotals { worker: self.worker, at, completed, rejected };
            let put = self.board.put(&totals).await;
            match &put {
                Err(error) if !fails => {
                    warn!(%error, "figures of the overview cannot be written; nothing waits for them");
                }
                Ok(()) if fails => info!("figures of the overview are written again"),
                Ok(()) | Err(_) => {}
            }
            fails = put.is_err();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, Ordering},
        time::Duration,
    };

    use async_trait::async_trait;
    use tokio::time::advance;

    use super::*;
    use crate::{
        adapters::memory::{MemoryActivity, TokioClock},
        domain::{CommandType, Outcome, Rejection, RejectionCode, Timestamp},
        ports::PortError,
        worker::{Event, Observer as _},
    };

    /// A board that can be taken away.
    struct Flaky {
        board: MemoryActivity,
        is_gone: AtomicBool,
    }

    #[async_trait]
    impl ActivityBoard for Flaky {
        async fn put(&self, totals: &WorkerTotals) -> Result<(), PortError> {
            if self.is_gone.load(Ordering::Relaxed) {
                return Err(PortError::Unavailable("gone".to_owned()));
            }
            self.board.put(totals).await
        }

        async fn list(&self) -> Result<Vec<WorkerTotals>, PortError> {
            self.board.list().await
        }
    }

    fn rejected(metrics: &Metrics) {
        let rejection = Rejection::new(RejectionCode::NotOwner, "no");
        metrics.observe(&Event::Decided {
            command_type: Some(CommandType::Cancel),
            outcome: &Outcome::Rejected { rejection },
            replayed: false,
            took: Duration::ZERO,
        });
    }

    #[tokio::test(start_paused = true)]
    async fn totals_are_put_every_two_seconds_and_again_after_an_outage() {
        let clock = Arc::new(TokioClock::new(Timestamp::UNIX_EPOCH));
        let board = MemoryActivity::new(clock.clone());
        let board = Arc::new(Flaky { board, is_gone: AtomicBool::new(false) });
        let metrics = Arc::new(Metrics::new().unwrap());
        let report = ActivityReport {
            board: board.clone(),
            metrics: Arc::clone(&metrics),
            clock,
            worker: Uuid::from_u128(7),
        };
        let running = tokio::spawn(async move { report.run().await });
        let rejections = async || {
            let listed = board.list().await.unwrap();
            listed
                .first()
                .map(|totals| (totals.decided(), totals.rejected.get("NOT_OWNER").copied()))
        };
        advance(Duration::from_millis(1)).await;
        tokio::task::yield_now().await;
        assert_eq!(rejections().await, Some((0, None)));
        rejected(&metrics);
        advance(Duration::from_secs(2)).await;
        tokio::task::yield_now().await;
        assert_eq!(rejections().await, Some((1, Some(1))));
        board.is_gone.store(true, Ordering::Relaxed);
        advance(Duration::from_secs(11)).await;
        tokio::task::yield_now().await;
        assert_eq!(rejections().await, None);
        board.is_gone.store(false, Ordering::Relaxed);
        advance(Duration::from_secs(2)).await;
        tokio::task::yield_now().await;
        assert_eq!(rejections().await, Some((1, Some(1))));
        running.abort();
    }
}
