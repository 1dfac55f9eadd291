//! The ledger's entries.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    domain::{Changes, CommandType, Digest},
    ports::{LedgerKey, LedgerRecord},
};

use super::{
    super::{
        attributes::{Item, Reader, Unreadable, integer, n, s},
        keys::ItemKey,
    },
    ItemBuilder, TTL,
};

/// The kind of entry.
pub(in super::super) const KIND: &str = "kind";
/// The outcome of the command's content.
pub(in super::super) const DIGEST: &str = "digest";

/// The seats and lines that the command changed, as in its result.
const CHANGES: &str = "changes";
/// When the outcome was decided.
pub(in super::super) const COMMITTED_AT: &str = "committed_at";
/// Of a chunk's marker: when its intent was decided.
pub(in super::super) const BEGUN_AT: &str = "begun_at";

pub(in super::super) const KIND_INTENT: &str = "intent";
pub(in super::super) const KIND_ATTEMPTS: &str = "attempts";
pub(in super::super) const KIND_LEASES: &str = "leases";
pub(in super::super) const KIND_OUTCOME: &str = "outcome";
const KIND_CHUNK: &str = "chunk";

/// The version of the form that outcomes, intents and summaries are written in. It increases when a
/// reader of the previous form would misread it; releases that run side by side during a rollout
/// recognise it.
const FORMAT: u32 = 1;

/// An outcome that cannot be written as JSON. None is known; the command is at fault, not the
/// table.
#[derive(Debug, thiserror::Error)]
#[error("the outcome cannot be written as JSON: {0}")]
pub(in super::super) struct Unwritable(#[from] serde_json::Error);

pub(in super::super) fn write(key: &LedgerKey, record: &LedgerRecord) -> Result<Item, Unwritable> {
    let builder = ItemBuilder::new(&ItemKey::Ledger(key.clone())).with("format", n(FORMAT));
    let (builder, kind, digest, decided_at) = match record {
        LedgerRecord::Outcome { digest, command_type, pool, outcome, changes, decided_at } => {
            let builder = builder
                .with("command_type", s(command_type.as_str()))
                .with("pool", s(pool.to_string()))
                .with("outcome", json(outcome)?)
                .maybe(CHANGES, write_changes(changes)?);
            (builder, KIND_OUTCOME, digest, decided_at)
        }
        LedgerRecord::Intent { digest, chunk_ends, decided_at } => {
            let ends = chunk_ends.iter().map(n).collect();
            let builder = builder.with("chunk_ends", AttributeValue::L(ends));
            (builder, KIND_INTENT, digest, decided_at)
        }
        LedgerRecord::Chunk { digest, begun_at, summary, decided_at } => {
            let builder =
                builder.with(BEGUN_AT, s(begun_at.to_string())).with("summary", json(summary)?);
            (builder, KIND_CHUNK, digest, decided_at)
        }
    };
    Ok(builder
        .with(KIND, s(kind))
        .with(DIGEST, s(digest.to_string()))
        .with(COMMITTED_AT, s(decided_at.to_string()))
        .with(TTL, super::ttl(*decided_at))
        .build())
}

/// Absent if the command changed no seats and lines.
fn write_changes(changes: &Changes) -> Result<Option<AttributeValue>, Unwritable> {
    (*changes != Changes::NONE).then(|| json(changes)).transpose()
}

fn read_changes(item: Reader<'_>) -> Result<Changes, Unreadable> {
    match item.has(CHANGES) {
        true => from_json(item, CHANGES, "changed seats and lines as JSON (S)"),
        false => Ok(Changes::NONE),
    }
}

fn json(value: &impl Serialize) -> Result<AttributeValue, Unwritable> {
    Ok(s(serde_json::to_string(value)?))
}

/// The entry an item holds, or `None` for a counter of attempts and for leases.
pub(super) fn read(item: Reader<'_>) -> Result<Option<LedgerRecord>, Unreadable> {
    let kind = item.text(KIND)?;
    if [KIND_ATTEMPTS, KIND_LEASES].contains(&kind) {
        return Ok(None);
    }
    if item.integer::<u32>("format")? != FORMAT {
        return Err(Unreadable {
            attribute: "format",
            expected: "1, the only one this release reads: a newer release wrote the item",
        });
    }
    let digest: Digest = item.parsed(DIGEST, "\"1:\" and 64 hexadecimal digits (S)")?;
    let decided_at = item.time(COMMITTED_AT)?;
    Ok(Some(match kind {
        KIND_OUTCOME => LedgerRecord::Outcome {
            digest,
            command_type: CommandType::from_name(item.text("command_type")?).ok_or(Unreadable {
                attribute: "command_type",
                expected: "a command's type such as inventory.reserve.v1",
            })?,
            pool: item.parsed("pool", "event#<integer> or store#<store id> (S)")?,
            outcome: from_json(item, "outcome", "an outcome as JSON (S)")?,
            changes: read_changes(item)?,
            decided_at,
        },
        KIND_INTENT => {
            let chunk_ends = item.list("chunk_ends", "a list of integers (L of N)", integer)?;
            LedgerRecord::Intent { digest, chunk_ends, decided_at }
        }
        KIND_CHUNK => {
            let summary = from_json(item, "summary", "a restock's summary as JSON (S)")?;
            LedgerRecord::Chunk { digest, begun_at: item.time(BEGUN_AT)?, summary, decided_at }
        }
        _ => {
            return Err(Unreadable {
                attribute: KIND,
                expected: "outcome, intent, chunk, attempts or leases",
            });
        }
    }))
}

fn from_json<T: DeserializeOwned>(
    item: Reader<'_>,
    attribute: &'static str,
    expected: &'static str,
) -> Result<T, Unreadable> {
    serde_json::from_str(item.text(attribute)?).map_err(|_| Unreadable { attribute, expected })
}
