//! Messages that hold several commands.

use std::collections::BTreeMap;

use fastrand::Rng;
use serde::de::IgnoredAny;

use super::Posting;
use inventory_worker::{domain::GroupId, message, ports::OutgoingMessage};

/// Joins postings of one queue and group into batches of a few, each sent with the last of its
/// commands. What is no JSON stays alone.
pub(super) fn joined(rng: &mut Rng, postings: Vec<Posting>) -> Vec<Posting> {
    let most = rng.usize(1..=20);
    let mut open: BTreeMap<(usize, GroupId), Vec<Posting>> = BTreeMap::new();
    let mut joined = Vec::with_capacity(postings.len());
    for posting in postings {
        let is_json = serde_json::from_str::<IgnoredAny>(&posting.message.body).is_ok();
        let is_plain =
            posting.message.attributes.is_empty() && posting.message.deduplication_id.is_none();
        if !is_json || !is_plain || posting.queue > 1 || rng.u32(0..6) == 0 {
            joined.push(posting);
            continue;
        }
        let key = (posting.queue, posting.message.group.clone());
        let batch = open.entry(key).or_default();
        batch.push(posting);
        if batch.len() >= most || rng.u32(0..5) == 0 {
            joined.extend(close(std::mem::take(batch)));
        }
    }
    joined.extend(open.into_values().filter_map(close));
    joined.sort_by_key(|posting| posting.at);
    joined
}

fn close(batch: Vec<Posting>) -> Option<Posting> {
    let last = batch.last()?.clone();
    let body = message::join_batch(batch.iter().map(|posting| posting.message.body.as_str()));
    Some(Posting { message: OutgoingMessage { body, ..last.message.clone() }, ..last })
}
