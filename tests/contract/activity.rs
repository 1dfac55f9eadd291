//! The rules for every adapter of [`ActivityBoard`].

use std::sync::Arc;

use async_trait::async_trait;
use inventory_worker::ports::{
    ActivityBoard, WorkerTotals,
    activity::{ACTIVITY_LIFETIME, ACTIVITY_WORKERS_MAX},
};
use uuid::Uuid;

use crate::harness::{A_WHILE, Backend, lacks_patience};

/// Boards under test.
#[async_trait]
pub trait ActivityHarness: Backend {
    /// An empty board, and another one beside it.
    async fn boards(&self) -> (Arc<dyn ActivityBoard>, Arc<dyn ActivityBoard>);
}

/// Tests an adapter against every rule of [`ActivityBoard`]; see the crate's comment.
macro_rules! activity_contract {
    ($($test:tt)*) => {
        make_tests! {
            activity [
                an_empty_board_lists_nothing
                what_was_put_is_listed_by_worker
                a_worker_has_one_place
                totals_are_kept_as_they_are
                a_board_takes_so_many_workers_and_no_more
                what_is_not_put_again_is_gone_after_its_lifetime
                boards_are_apart
                of_many_puts_at_once_none_is_lost
            ]
            $($test)*
        }
    };
}

/// Every rule by name.
pub const RULES: &[&str] = &activity_contract!(names);

fn totals(worker: u128, reserves: u64) -> WorkerTotals {
    WorkerTotals {
        worker: Uuid::from_u128(worker),
        at: "2026-11-29T12:00:00.25Z".parse().unwrap(),
        completed: [("inventory.reserve.v1".to_owned(), reserves)].into(),
        rejected: [("SEATS_UNAVAILABLE".to_owned(), 3)].into(),
    }
}

fn workers(listed: &[WorkerTotals]) -> Vec<u128> {
    listed.iter().map(|totals| totals.worker.as_u128()).collect()
}

pub async fn an_empty_board_lists_nothing(harness: &dyn ActivityHarness) {
    let (board, _) = harness.boards().await;
    assert_eq!(board.list().await.unwrap(), []);
}

pub async fn what_was_put_is_listed_by_worker(harness: &dyn ActivityHarness) {
    let (board, _) = harness.boards().await;
    for worker in [3, 1, 2] {
        board.put(&totals(worker, 7)).await.unwrap();
    }
    assert_eq!(board.list().await.unwrap(), [1, 2, 3].map(|worker| totals(worker, 7)));
}

pub async fn a_worker_has_one_place(harness: &dyn ActivityHarness) {
    let (board, _) = harness.boards().await;
    // Also where its clock went back, or it began again.
    for reserves in [7, 9, 1] {
        board.put(&totals(1, reserves)).await.unwrap();
        assert_eq!(board.list().await.unwrap(), [totals(1, reserves)]);
    }
}

pub async fn totals_are_kept_as_they_are(harness: &dyn ActivityHarness) {
    let (board, _) = harness.boards().await;
    let nothing = WorkerTotals {
        completed: [].into(),
        rejected: [].into(),
        at: "1970-01-01T00:00:00Z".parse().unwrap(),
        ..totals(1, 0)
    };
    let much = totals(2, u64::MAX);
    board.put(&nothing).await.unwrap();
    board.put(&much).await.unwrap();
    assert_eq!(board.list().await.unwrap(), [nothing, much]);
}

pub async fn a_board_takes_so_many_workers_and_no_more(harness: &dyn ActivityHarness) {
    let (board, _) = harness.boards().await;
    let most = u128::try_from(ACTIVITY_WORKERS_MAX).unwrap();
    for worker in 1..=most + 1 {
        board.put(&totals(worker, 1)).await.unwrap();
    }
    assert_eq!(workers(&board.list().await.unwrap()), (1..=most).collect::<Vec<_>>());
    // Those who have a place keep it.
    board.put(&totals(most, 2)).await.unwrap();
    assert_eq!(board.list().await.unwrap().last(), Some(&totals(most, 2)));
}

pub async fn what_is_not_put_again_is_gone_after_its_lifetime(harness: &dyn ActivityHarness) {
    let rule = "what_is_not_put_again_is_gone_after_its_lifetime";
    if lacks_patience(harness, rule, ACTIVITY_LIFETIME) {
        return;
    }
    let (board, _) = harness.boards().await;
    for worker in [1, 2] {
        board.put(&totals(worker, 1)).await.unwrap();
    }
    harness.pass(ACTIVITY_LIFETIME - A_WHILE).await;
    assert_eq!(workers(&board.list().await.unwrap()), [1, 2]);
    board.put(&totals(2, 2)).await.unwrap();
    harness.pass(A_WHILE).await;
    assert_eq!(workers(&board.list().await.unwrap()), [2]);
    // There is room for others again.
    board.put(&totals(3, 1)).await.unwrap();
    assert_eq!(workers(&board.list().await.unwrap()), [2, 3]);
    harness.pass(ACTIVITY_LIFETIME).await;
    assert_eq!(board.list().await.unwrap(), []);
}

pub async fn boards_are_apart(harness: &dyn ActivityHarness) {
    let (one, other) = harness.boards().await;
    one.put(&totals(1, 1)).await.unwrap();
    other.put(&totals(2, 1)).await.unwrap();
    assert_eq!(workers(&one.list().await.unwrap()), [1]);
    assert_eq!(workers(&other.list().await.unwrap()), [2]);
}

pub async fn of_many_puts_at_once_none_is_lost(harness: &dyn ActivityHarness) {
    let (board, _) = harness.boards().await;
    let puts = (1..=20).map(|worker| {
        let board = Arc::clone(&board);
        tokio::spawn(async move { board.put(&totals(worker, 1)).await })
    });
    for put in puts.collect::<Vec<_>>() {
        put.await.unwrap().unwrap();
    }
    assert_eq!(workers(&board.list().await.unwrap()), (1..=20).collect::<Vec<_>>());
}
