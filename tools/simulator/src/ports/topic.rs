//! A topic that loses answers and fails entry by entry.

use std::sync::Arc;

use async_trait::async_trait;

use crate::{
    injector::{Call, Effect, EntryFate, Injector, merge, passed},
    topology::Port,
};
use inventory_worker::ports::{BatchAnswer, PortError, Publication, Publisher};

/// The topic, as one worker sees it.
pub(super) struct FaultyTopic(pub(super) Arc<Injector>);

#[async_trait]
impl Publisher for FaultyTopic {
    async fn publish(&self, batch: &[Publication]) -> Result<BatchAnswer, PortError> {
        let injector = &*self.0;
        let world = &injector.world;
        let late = || {
            let (world, batch) = (Arc::clone(world), batch.to_vec());
            let effect: Effect = Box::pin(async move {
                let excused = vec![false; batch.len()];
                let _ = world.publish(&batch, &excused).await;
            });
            Some(effect)
        };
        let work = async {
            let Some(mut fates) = injector.entries(batch.len()) else {
                return world.publish(batch, &vec![false; batch.len()]).await;
            };
            // Some topics stop a group at its first failed entry, others continue.
            let stops = injector.with_rng(fastrand::Rng::bool);
            let mut has_failed = false;
            let mut excused = Vec::with_capacity(batch.len());
            for fate in &mut fates {
                if has_failed && stops {
                    *fate = EntryFate::Fails;
                }
                if *fate != EntryFate::Fails {
                    excused.push(has_failed);
                }
                has_failed |= *fate == EntryFate::Fails;
            }
            let entries = passed(&fates, batch);
            let answers = match entries.is_empty() {
                true => Vec::new(),
                false => world.publish(&entries, &excused).await?,
            };
            injector.trace(format_args!("publish partly: {fates:?}"));
            Ok(merge(&fates, answers))
        };
        let call = Call::new(Port::Topic, "publish");
        let args = format!("{} of {}", batch.len(), batch.first().map_or("", |p| p.group.as_str()));
        injector.around(call, args, work, late).await
    }
}
