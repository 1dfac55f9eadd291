//! What has been heard from each worker on one topic, and what that says about what was not.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;
use uuid::Uuid;

use crate::ports::hints::Frame;

/// Workers send a heartbeat each second: two are missing.
const SILENT_AFTER: Duration = Duration::from_millis(2_500);

/// A worker that has been silent for so long is gone.
const GONE_AFTER: Duration = Duration::from_secs(60);

/// The most streams of a topic: more than there are workers.
const SENDERS_MAX: usize = 1_024;

/// The streams of one topic.
#[derive(Default)]
pub(super) struct Senders {
    by_stream: BTreeMap<Uuid, Sender>,
}

struct Sender {
    last: u64,
    heard: Instant,
    is_idle: bool,
}

impl Senders {
    /// A frame came. Returns whether the hints before its own are known to have come too.
    pub(super) fn hear(&mut self, frame: &Frame, now: Instant) -> bool {
        let hints = u64::try_from(frame.hints.len()).unwrap_or(u64::MAX);
        let before = frame.last.saturating_sub(hints);
        if let Some(sender) = self.by_stream.get_mut(&frame.stream) {
            let is_complete = before <= sender.last || injected_bug!(IgnoreGap);
            // A frame that comes late, or twice, says nothing new.
            if frame.last >= sender.last {
                (sender.last, sender.is_idle) = (frame.last, frame.is_idle);
            }
            sender.heard = now;
            return is_complete;
        }
        self.make_room();
        let (last, is_idle) = (frame.last, frame.is_idle);
        self.by_stream.insert(frame.stream, Sender { last, heard: now, is_idle });
        // Heard for the first time: nothing came before its first hint.
        before == 0
    }

    /// Whether a worker that should be heard from is not.
    pub(super) fn is_one_silent(&self, now: Instant) -> bool {
        let is_silent = |sender: &Sender| now.duration_since(sender.heard) > SILENT_AFTER;
        self.by_stream.values().any(|sender| !sender.is_idle && is_silent(sender))
    }

    /// Forgets workers that are gone. Returns whether there was one.
    pub(super) fn forget_gone(&mut self, now: Instant) -> bool {
        let before = self.by_stream.len();
        self.by_stream
            .retain(|_, sender| sender.is_idle || now.duration_since(sender.heard) <= GONE_AFTER);
        self.by_stream.len() < before
    }

    /// Forgets the stream that has been quiet for longest, where there are too many. If it is heard
    /// from again, it is with a gap.
    fn make_room(&mut self) {
        if self.by_stream.len() < SENDERS_MAX {
            return;
        }
        let quietest = self.by_stream.iter().min_by_key(|(_, sender)| sender.heard);
        if let Some(stream) = quietest.map(|(stream, _)| *stream) {
            self.by_stream.remove(&stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::hints::Hint;

    fn frame(stream: u128, last: u64, hints: usize) -> Frame {
        let (stream, hints) = (Uuid::from_u128(stream), vec![Hint::ReadAgain; hints]);
        Frame { stream, last, hints, is_idle: false }
    }

    fn heard(frames: impl IntoIterator<Item = Frame>) -> Vec<bool> {
        let mut senders = Senders::default();
        let now = Instant::now();
        frames.into_iter().map(|frame| senders.hear(&frame, now)).collect()
    }

    #[test]
    fn numbers_in_order_leave_no_gap() {
        let frames = [frame(1, 1, 1), frame(1, 4, 3), frame(1, 4, 0), frame(2, 2, 2)];
        assert_eq!(heard(frames), [true; 4]);
    }

    #[test]
    fn a_number_that_was_left_out_is_a_gap_once() {
        assert_eq!(heard([frame(1, 1, 1), frame(1, 3, 1), frame(1, 4, 1)]), [true, false, true]);
        assert_eq!(heard([frame(1, 1, 1), frame(1, 2, 0), frame(1, 2, 0)]), [true, false, true]);
    }

    #[test]
    fn a_frame_that_comes_twice_or_late_is_no_gap() {
        let frames = [frame(1, 2, 2), frame(1, 2, 2), frame(1, 1, 1), frame(1, 3, 1)];
        assert_eq!(heard(frames), [true; 4]);
    }

    #[test]
    fn a_stream_heard_of_late_is_a_gap() {
        assert_eq!(heard([frame(1, 5, 1), frame(1, 6, 1), frame(2, 5, 0)]), [false, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_worker_without_heartbeats_is_silent_until_it_is_gone() {
        let mut senders = Senders::default();
        senders.hear(&frame(1, 1, 1), Instant::now());
        senders.hear(&Frame { is_idle: true, ..frame(2, 1, 1) }, Instant::now());
        assert!(!senders.is_one_silent(Instant::now()));
        tokio::time::advance(SILENT_AFTER + Duration::from_millis(1)).await;
        assert!(senders.is_one_silent(Instant::now()));
        assert!(!senders.forget_gone(Instant::now()));
        tokio::time::advance(GONE_AFTER).await;
        assert!(senders.forget_gone(Instant::now()));
        assert!(!senders.is_one_silent(Instant::now()), "the idle one owes nothing");
    }

    #[test]
    fn streams_are_bounded() {
        let mut senders = Senders::default();
        let now = Instant::now();
        for stream in 0..5_000 {
            senders.hear(&frame(stream, 1, 1), now);
        }
        assert_eq!(senders.by_stream.len(), SENDERS_MAX);
    }
}
