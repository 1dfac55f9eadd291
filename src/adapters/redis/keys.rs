//! Names of keys in Redis, and their cluster slots.

/// Slots of a cluster (Redis Cluster Specification, "Key distribution model").
pub(super) const SLOTS: u16 = 16_384;

/// The hash tag of a scope's keys, which alone decides their slot, so that one script reaches them
/// all.
///
/// Redis hashes the text between the first `{` of a key and the first `}` after it, or the whole
/// key if that text is empty (Redis Cluster Specification, "Hash tags"). Braces of the scope are
/// therefore written as `%7B` and `%7D`, the percent sign as `%25`, and an empty scope as `%`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag(String);

impl Tag {
    /// The tag of a scope; different for different scopes.
    pub(super) fn of(scope: &str) -> Self {
        if scope.is_empty() {
            return Self("%".to_owned());
        }
        let mut tag = String::with_capacity(scope.len());
        for character in scope.chars() {
            match character {
                '{' => tag.push_str("%7B"),
                '}' => tag.push_str("%7D"),
                '%' => tag.push_str("%25"),
                other => tag.push(other),
            }
        }
        Self(tag)
    }

    /// The key of the lock on `name`.
    pub(super) fn lock(&self, name: &str) -> String {
        format!("inv:{{{}}}:lock:{name}", self.0)
    }

    /// The channel of a kind of hints of a deployment.
    pub(super) fn hints(&self, kind: &str, deployment: &str) -> String {
        format!("inv:{{{}}}:hints:{kind}:{deployment}", self.0)
    }

    /// The key of the set of what is watched.
    pub(super) fn watched(&self) -> String {
        format!("inv:{{{}}}:watched", self.0)
    }

    /// A key of a board of workers' totals.
    pub(super) fn activity(&self, name: &str) -> String {
        format!("inv:{{{}}}:totals:{name}", self.0)
    }

    /// The key of a pool's shared snapshot.
    pub(super) fn snapshot(&self, deployment: &str) -> String {
        format!("inv:{{{}}}:snapshot:{deployment}", self.0)
    }

    /// The key of the claim on the next read of a pool.
    pub(super) fn claim(&self, deployment: &str) -> String {
        format!("inv:{{{}}}:claim:{deployment}", self.0)
    }

    /// The slot of all keys and channels with this tag.
    pub(super) fn slot(&self) -> u16 {
        crc16(self.0.as_bytes()) % SLOTS
    }
}

/// CRC-16/XMODEM, which Redis Cluster computes slots from (Redis Cluster Specification, appendix
/// A).
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc: u16, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use redis::cluster_routing::Slot;

    use super::*;

    #[test]
    fn keys_read_as_documented() {
        assert_eq!(Tag::of("event#42").lock("seat/A-1"), "inv:{event#42}:lock:seat/A-1");
        assert_eq!(
            Tag::of("event#42").hints("changes", "ledger"),
            "inv:{event#42}:hints:changes:ledger"
        );
        assert_eq!(Tag::of("hints/ledger").watched(), "inv:{hints/ledger}:watched");
    }

    #[test]
    fn the_checksum_is_the_one_of_the_specification() {
        // The specification's own example.
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }

    #[test]
    fn scopes_that_try_to_break_the_tag_have_keys_of_their_own() {
        let scopes = ["", "%", "}", "{", "{}", "}{", "a}", "a}:lock:b", "a%7D", "a", "%7D", "{a}"];
        let keys: BTreeSet<_> =
            scopes.iter().flat_map(|s| ["x", "b}:lock:x"].map(|n| Tag::of(s).lock(n))).collect();
        assert_eq!(keys.len(), scopes.len() * 2, "{keys:?}");
    }

    proptest! {
        #[test]
        fn all_names_of_a_scope_are_in_the_slot_of_its_tag(
            scope in "[a-z#{}%:]{0,8}", names in prop::collection::vec(".{0,8}", 1..5)
        ) {
            let tag = Tag::of(&scope);
            for name in names {
                prop_assert_eq!(Slot::new(tag.slot()), Some(Slot::for_key(tag.lock(&name))));
            }
        }
    }
}
