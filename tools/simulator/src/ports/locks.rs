//! A lock server that fails, loses its locks and gives wrong answers.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use uuid::Uuid;

use crate::{
    fault::Fault,
    injector::{Call, Injector, never},
    topology::Port,
};
use inventory_worker::ports::{Locks, PortError};

/// The locks, as one worker sees them.
pub(super) struct FaultyLocks(pub(super) Arc<Injector>);

impl FaultyLocks {
    fn call(name: &'static str, scope: &str) -> Call {
        Call { port: Port::Locks, name, is_quick: scope == "sweeper" }
    }
}

#[async_trait]
impl Locks for FaultyLocks {
    async fn acquire(
        &self,
        scope: &str,
        names: &[String],
        token: Uuid,
        ttl: Duration,
    ) -> Result<bool, PortError> {
        let injector = &*self.0;
        let call = Self::call("lock", scope);
        let work = async {
            // Granted twice, or not at all.
            if !call.is_quick && injector.happens(Fault::LockLie) {
                let lie = injector.with_rng(fastrand::Rng::bool);
                injector.trace(format_args!("lock lies: {lie}"));
                return Ok(lie);
            }
            injector.world.locks.acquire(scope, names, token, ttl).await
        };
        let args = format_args!("{scope} {names:?}").to_string();
        injector.around(call, args, work, never).await
    }

    async fn release(&self, scope: &str, names: &[String], token: Uuid) -> Result<(), PortError> {
        let injector = &*self.0;
        let work = injector.world.locks.release(scope, names, token);
        injector.around(Self::call("unlock", scope), scope, work, never).await
    }
}
