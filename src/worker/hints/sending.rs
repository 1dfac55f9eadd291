//! Sends announcements: those of a topic in order, as few frames as hold them, topics side by side.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures::{StreamExt as _, stream};
use tokio::time::timeout;
use tracing::debug;

use super::{CALL_TIMEOUT, FAILED, Inner, PUBLISHED};
use crate::ports::hints::{FRAME_BYTES_MAX, FRAME_HINTS_MAX, Frame, Hint, Topic};

/// Announcements that are sent together.
const TOGETHER_MAX: usize = 256;

/// Topics whose frames are sent at a time.
const TOPICS_AT_ONCE: usize = 64;

/// Bytes of announcements that wait to be sent.
const QUEUED_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Bytes of a frame besides its hints.
const HEAD_BYTES: usize = 64;

/// Something to be sent.
pub(super) struct Outgoing {
    pub(super) topic: Topic,
    pub(super) frame: Frame,
}

impl Outgoing {
    /// About how much memory it takes.
    pub(super) fn bytes(&self) -> usize {
        bytes_of(&self.frame)
    }
}

fn bytes_of(frame: &Frame) -> usize {
    frame.hints.iter().map(Hint::bytes_max).sum::<usize>().saturating_add(HEAD_BYTES)
}

/// Counts the bytes that wait.
#[derive(Default)]
pub(super) struct QueuedBytes(AtomicUsize);

impl QueuedBytes {
    /// Returns whether there is room. Called by one at a time.
    pub(super) fn add(&self, bytes: usize) -> bool {
        let has_room = self.0.load(Ordering::Relaxed).saturating_add(bytes) <= QUEUED_BYTES_MAX;
        if has_room {
            self.0.fetch_add(bytes, Ordering::Relaxed);
        }
        has_room
    }

    pub(super) fn remove(&self, bytes: usize) {
        self.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Appends a frame, to the last one where it continues it and fits.
fn append(frames: &mut Vec<Frame>, mut next: Frame) {
    if let Some(last) = frames.last_mut() {
        let news = u64::try_from(next.hints.len()).unwrap_or(u64::MAX);
        let continues = last.stream == next.stream
            && !last.is_idle
            && next.last.checked_sub(news) == Some(last.last)
            && last.hints.len().saturating_add(next.hints.len()) <= FRAME_HINTS_MAX
            && bytes_of(last).saturating_add(bytes_of(&next)) <= FRAME_BYTES_MAX;
        if continues {
            last.hints.append(&mut next.hints);
            (last.last, last.is_idle) = (next.last, next.is_idle);
            return;
        }
    }
    frames.push(next);
}

impl Inner {
    /// Sends what is queued, for as long as it is polled.
    pub(super) async fn send(&self) {
        let mut queued = self.queued.lock().await;
        let mut together = Vec::with_capacity(TOGETHER_MAX);
        while queued.recv_many(&mut together, TOGETHER_MAX).await > 0 {
            self.send_together(&mut together).await;
        }
    }

    /// Sends what is queued by now.
    pub(super) async fn send_queued(&self) {
        let mut queued = self.queued.lock().await;
        let mut together = Vec::new();
        while let Ok(next) = queued.try_recv() {
            together.push(next);
        }
        self.send_together(&mut together).await;
    }

    async fn send_together(&self, together: &mut Vec<Outgoing>) {
        let mut by_topic = BTreeMap::<Topic, Vec<Frame>>::new();
        for outgoing in together.drain(..) {
            self.bytes.remove(outgoing.bytes());
            append(by_topic.entry(outgoing.topic).or_default(), outgoing.frame);
        }
        let topics = stream::iter(by_topic);
        let sending = topics.map(|(topic, frames)| async move {
            for frame in &frames {
                self.send_frame(&topic, frame).await;
            }
        });
        sending.buffer_unordered(TOPICS_AT_ONCE).collect::<()>().await;
    }

    async fn send_frame(&self, topic: &Topic, frame: &Frame) {
        let outcome = match timeout(CALL_TIMEOUT, self.publisher.publish(topic, frame)).await {
            Ok(Ok(())) => PUBLISHED,
            Ok(Err(error)) => {
                debug!(%topic, %error, "hints cannot be published");
                FAILED
            }
            Err(_) => FAILED,
        };
        self.report(outcome, frame.hints.len());
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn frame(stream: u128, last: u64, hints: usize) -> Frame {
        let (stream, hints) = (Uuid::from_u128(stream), vec![Hint::ReadAgain; hints]);
        Frame { stream, last, hints, is_idle: false }
    }

    fn appended(frames: impl IntoIterator<Item = Frame>) -> Vec<(u64, usize)> {
        let mut all = Vec::new();
        frames.into_iter().for_each(|frame| append(&mut all, frame));
        all.iter().map(|frame| (frame.last, frame.hints.len())).collect()
    }

    #[test]
    fn what_continues_a_frame_joins_it() {
        assert_eq!(appended([frame(1, 2, 2), frame(1, 5, 3), frame(1, 5, 0)]), [(5, 5)]);
    }

    #[test]
    fn a_gap_another_stream_or_a_bound_begins_a_frame() {
        assert_eq!(appended([frame(1, 2, 2), frame(1, 6, 3)]), [(2, 2), (6, 3)]);
        assert_eq!(appended([frame(1, 2, 2), frame(2, 5, 3)]), [(2, 2), (5, 3)]);
        let most = u64::try_from(FRAME_HINTS_MAX).unwrap();
        let full = frame(1, most, FRAME_HINTS_MAX);
        assert_eq!(appended([full, frame(1, most + 1, 1)]).len(), 2);
        let large = |last| Frame {
            hints: vec![Hint::Result("x".repeat(FRAME_BYTES_MAX / 2).into())],
            ..frame(1, last, 0)
        };
        assert_eq!(appended([large(1), large(2)]), [(1, 1), (2, 1)]);
        // What follows the last heartbeat is no part of it.
        let idle = Frame { is_idle: true, ..frame(1, 2, 0) };
        assert_eq!(appended([idle, frame(1, 3, 1)]), [(2, 0), (3, 1)]);
    }
}
