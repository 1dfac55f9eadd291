//! A topic that a worker with an injected bug publishes to.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::injector::Injector;
use inventory_worker::ports::{BatchAnswer, PortError, Publication, Publisher};

/// The topic, as a worker with an injected bug uses it.
pub(super) struct BuggyTopic {
    inner: Arc<dyn Publisher>,
    injector: Arc<Injector>,
}

impl BuggyTopic {
    pub(super) fn new(inner: Arc<dyn Publisher>, injector: Arc<Injector>) -> Self {
        Self { inner, injector }
    }
}

/// Rewrites what a result says.
fn rewrite(publication: &mut Publication) {
    if inventory_worker::injected_bug!(PadChanges) {
        with_data(publication, pad_changes);
    }
    if inventory_worker::injected_bug!(ChangesAhead) {
        with_data(publication, |data| {
            let changes = data.get_mut("changes")?.as_array_mut()?;
            for version in changes.iter_mut().filter_map(|change| change.get_mut("version")) {
                *version = (version.as_u64()? + 1).into();
            }
            Some(())
        });
    }
    if inventory_worker::injected_bug!(SourceOfCommand) {
        let source = publication.attributes.get("command_source").cloned().unwrap_or_default();
        let attribute = publication.attributes.get_mut("reservation_source");
        if let Some(attribute) = attribute.filter(|attribute| **attribute != source) {
            attribute.clone_from(&source);
            with_data(publication, |data| {
                *data.pointer_mut("/reservation/source")? = source.into();
                Some(())
            });
        }
    }
}

/// Changes the data of a result. A result that the change does not concern stays as it is, to the
/// order of its fields.
fn with_data(publication: &mut Publication, change: impl FnOnce(&mut Value) -> Option<()>) {
    let Ok(mut body) = serde_json::from_str::<Value>(&publication.body) else { return };
    if body.get_mut("data").and_then(change).is_some() {
        publication.body = body.to_string();
    }
}

/// Adds the seats of a modified reservation that are not listed, in the first state they can have
/// had.
fn pad_changes(data: &mut Value) -> Option<()> {
    if data.pointer("/command/type")?.as_str()? != "inventory.modify.v1" {
        return None;
    }
    let until = data.pointer("/reservation/expires_at")?.clone();
    let seats = data.pointer("/reservation/seats")?.as_array()?.clone();
    let changes = data.get_mut("changes")?.as_array_mut()?;
    let count = changes.len();
    for seat in seats {
        if !changes.iter().any(|change| change.get("seat_number") == Some(&seat)) {
            changes.push(json!({
                "seat_number": seat, "version": 2, "status": "RESERVED", "reserved_until": until,
            }));
        }
    }
    (changes.len() > count).then_some(())
}

#[async_trait]
impl Publisher for BuggyTopic {
    async fn publish(&self, batch: &[Publication]) -> Result<BatchAnswer, PortError> {
        let mut batch = batch.to_vec();
        if inventory_worker::injected_bug!(FreshResultId) {
            let id = || self.injector.with_rng(|rng| Uuid::from_u128(rng.u128(..)));
            batch.iter_mut().for_each(|publication| publication.id = id());
        }
        batch.iter_mut().for_each(rewrite);
        if inventory_worker::injected_bug!(ReverseOrder) {
            batch.reverse();
        }
        if inventory_worker::injected_bug!(DeleteBeforePublish) {
            let (inner, answers) = (Arc::clone(&self.inner), vec![Ok(()); batch.len()]);
            // A call of a crashed worker goes no further: the results are lost.
            tokio::spawn(async move { inner.publish(&batch).await });
            return Ok(answers);
        }
        let mut answers = self.inner.publish(&batch).await?;
        if inventory_worker::injected_bug!(ReverseOrder) {
            answers.reverse();
        }
        if inventory_worker::injected_bug!(IgnoreFailedPublish) {
            answers.fill(Ok(()));
        }
        Ok(answers)
    }
}
