//! Leases on shares of a task.

use std::{sync::Arc, time::Duration};

use inventory_worker::ports::{Lease, Leases, Table};
use uuid::Uuid;

use super::{StoreHarness, samples::*};

const TASK: &str = "sweep";

fn lease(holder: u128, until: &str) -> Lease {
    Lease { holder: Uuid::from_u128(holder), until: at(until) }
}

fn two() -> Vec<Lease> {
    vec![lease(7, "2026-11-22T10:00:30.123456789Z"), lease(2, "2026-11-22T10:00:07Z")]
}

pub async fn leases_that_nobody_took_are_none(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    assert_eq!(store.leases(TASK).await.unwrap(), Leases::default());
    assert!(!store.replace_leases(TASK, 3, &two()).await.unwrap(), "there is no version 3");
    assert_eq!(store.leases(TASK).await.unwrap(), Leases::default());
}

pub async fn leases_read_back_as_they_were_put(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    for (version, held) in (0..).zip([two(), vec![lease(1, "2026-11-22T11:00:00Z")], vec![]]) {
        assert!(store.replace_leases(TASK, version, &held).await.unwrap());
        let version = version + 1;
        assert_eq!(store.leases(TASK).await.unwrap(), Leases { version, held });
    }
}

pub async fn leases_of_another_version_stay(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    assert!(store.replace_leases(TASK, 0, &two()).await.unwrap());
    assert!(store.replace_leases(TASK, 1, &two()).await.unwrap());
    for version in [0, 1, 3] {
        assert!(!store.replace_leases(TASK, version, &[]).await.unwrap(), "{version}");
    }
    assert_eq!(store.leases(TASK).await.unwrap(), Leases { version: 2, held: two() });
}

pub async fn of_many_that_replace_leases_at_once_one_does(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    for version in 0..2 {
        let tries: Vec<_> = (0..8)
            .map(|holder| {
                let store = Arc::clone(&store);
                let held = [lease(holder, "2026-11-22T10:00:30Z")];
                tokio::spawn(async move { store.replace_leases(TASK, version, &held).await })
            })
            .collect();
        let mut replaced = 0;
        for each in tries {
            replaced += u32::from(each.await.unwrap().unwrap());
        }
        assert_eq!(replaced, 1);
    }
}

pub async fn leases_of_tasks_are_apart(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    assert!(store.replace_leases(TASK, 0, &two()).await.unwrap());
    assert_eq!(store.leases("other").await.unwrap(), Leases::default());
    assert!(store.replace_leases("other", 0, &[]).await.unwrap());
    assert_eq!(store.leases(TASK).await.unwrap(), Leases { version: 1, held: two() });
}

pub async fn leases_are_left_out_of_a_scan(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    assert!(store.replace_leases(TASK, 0, &two()).await.unwrap());
    for table in Table::ALL {
        let page = store.scan(table, None).await.unwrap();
        assert_eq!((page.records, page.unreadable), (vec![], vec![]), "{table:?}");
    }
}

pub async fn leases_count_until_somebody_replaces_them(harness: &dyn StoreHarness) {
    let store = harness.store().await;
    assert!(store.replace_leases(TASK, 0, &two()).await.unwrap());
    harness.set_ahead(Duration::from_secs(86_400 * 91));
    assert_eq!(store.leases(TASK).await.unwrap(), Leases { version: 1, held: two() });
    assert!(store.replace_leases(TASK, 1, &[]).await.unwrap());
}
