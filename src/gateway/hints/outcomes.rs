//! Wakes those who await the outcomes of commands.

use tokio::time::sleep;

use super::{FollowerParts, SUBSCRIBE_AGAIN, watches::Watch};
use crate::ports::hints::{Hint, Received, Topic};

/// Follows the outcomes of a pool. A lost one is found by the next poll of the ledger.
pub(super) async fn follow(parts: FollowerParts, topic: Topic, _watch: Watch) {
    loop {
        if let Ok(mut subscription) = parts.announcements.subscribe(&topic).await {
            loop {
                match subscription.next().await {
                    Received::Frame(frame) => {
                        let decided = frame.hints.iter().filter_map(|hint| match hint {
                            Hint::Decided(key) => Some(key),
                            _ => None,
                        });
                        parts.commands.wake(decided);
                    }
                    Received::Undecodable | Received::Overflow => {}
                    Received::Lost => break,
                }
            }
        }
        sleep(SUBSCRIBE_AGAIN).await;
    }
}
