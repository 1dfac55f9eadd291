//! A board of workers' totals in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use uuid::Uuid;

use super::after;
use crate::{
    domain::Timestamp,
    ports::{
        Clock, PortError,
        activity::{ACTIVITY_LIFETIME, ACTIVITY_WORKERS_MAX, ActivityBoard, WorkerTotals},
    },
};

/// The totals of workers, by the given clock.
pub struct MemoryActivity {
    clock: Arc<dyn Clock>,
    places: Mutex<BTreeMap<Uuid, Place>>,
}

struct Place {
    until: Timestamp,
    totals: WorkerTotals,
}

impl MemoryActivity {
    /// A board with nothing on it.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, places: Mutex::default() }
    }
}

#[async_trait]
impl ActivityBoard for MemoryActivity {
    async fn put(&self, totals: &WorkerTotals) -> Result<(), PortError> {
        let now = self.clock.now();
        let place = Place { until: after(now, ACTIVITY_LIFETIME), totals: totals.clone() };
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.retain(|_, place| place.until > now);
        if places.len() < ACTIVITY_WORKERS_MAX || places.contains_key(&totals.worker) {
            places.insert(totals.worker, place);
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<WorkerTotals>, PortError> {
        let now = self.clock.now();
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let alive = places.values().filter(|place| place.until > now);
        Ok(alive.map(|place| place.totals.clone()).collect())
    }
}
