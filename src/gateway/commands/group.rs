//! The message group of a command: the parallelism of one pool.

use sha2::{Digest as _, Sha256};

use super::reservation_of;
use crate::{
    domain::{Action, GroupId, PoolId, Restock, RestockMode},
    message::default_group,
};

/// The group of a command: `event-42/7`. Reserves of one first seat (or SKU, so that a counter that
/// everyone wants has one group) share a group, and so do the commands on one reservation; restocks
/// have their pool's.
///
/// Order is no safety: a caller that needs it waits for the answer.
#[must_use]
pub fn group_of(pool: &PoolId, action: &Action, groups: u16) -> GroupId {
    let by_pool = default_group(pool, action);
    let Some(text) = spread_by(action) else { return by_pool };
    let place = place_of(&text, groups);
    // SQS takes 128 characters: the longest store ids stay in one group.
    format!("{by_pool}/{place}").parse().unwrap_or(by_pool)
}

/// The group of what concerns the pool as a whole.
pub(super) fn of_pool(pool: &PoolId) -> GroupId {
    let restock = Restock::new(Vec::new(), Vec::new(), RestockMode::Set);
    default_group(pool, &Action::Restock(restock))
}

fn spread_by(action: &Action) -> Option<String> {
    if let Action::Reserve(reserve) = action {
        let seat = reserve.seats.first().map(ToString::to_string);
        return seat.or_else(|| reserve.lines.first().map(|line| line.sku.to_string()));
    }
    reservation_of(action).map(|id| id.to_string())
}

/// The same in every process and release.
fn place_of(text: &str, groups: u16) -> u64 {
    let digest: [u8; 32] = Sha256::digest(text).into();
    let first = digest.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    first % u64::from(groups.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Cancel, OrderLine, ReservationId, Reserve};

    fn reserve(seats: &[&str], skus: &[&str]) -> Action {
        let line = |sku: &&str| OrderLine { sku: sku.parse().unwrap(), quantity: 1 };
        Action::Reserve(Reserve {
            reservation_id: ReservationId(uuid::Uuid::from_u128(7)),
            user_id: "u".parse().unwrap(),
            seats: seats.iter().map(|seat| seat.parse().unwrap()).collect(),
            lines: skus.iter().map(line).collect(),
            hold_seconds: None,
        })
    }

    fn group(action: &Action) -> String {
        group_of(&PoolId::Event(42), action, 16).to_string()
    }

    #[test]
    fn reserves_are_spread_by_their_first_seat_or_sku() {
        assert_eq!(group(&reserve(&["A-1"], &[])), group(&reserve(&["A-1", "B-9"], &["x"])));
        assert_eq!(group(&reserve(&[], &["ga"])), group(&reserve(&[], &["ga", "x"])));
        let groups: std::collections::BTreeSet<_> =
            (0..500).map(|n| group(&reserve(&[&format!("S-{n}")], &[]))).collect();
        assert_eq!(groups.len(), 16);
        assert!(groups.iter().all(|group| group.starts_with("event-42/")));
    }

    #[test]
    fn commands_on_one_reservation_share_a_group_and_restocks_have_the_pools() {
        let cancel = |id| Action::Cancel(Cancel::new(ReservationId(uuid::Uuid::from_u128(id))));
        assert_eq!(group(&cancel(1)), group(&cancel(1)));
        assert_eq!(of_pool(&PoolId::Event(42)).as_str(), "event-42");
    }

    #[test]
    fn a_group_that_sqs_would_refuse_is_the_pools() {
        let store = PoolId::Store("s".repeat(120).parse().unwrap());
        let group = group_of(&store, &reserve(&[], &["x"]), 1_000);
        assert_eq!(group.as_str(), format!("store-{}", "s".repeat(120)));
    }
}
