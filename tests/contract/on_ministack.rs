//! The adapters of SQS and SNS against MiniStack.

use crate::{emulators::Emulator, harness::Quirk};

/// Where MiniStack 1.5.33 differs from AWS.
const QUIRKS: &[Quirk] = &[
    Quirk {
        rule: "a_repeated_attempt_gives_the_same_messages",
        because: "it accepts ReceiveRequestAttemptId and does not repeat the batch",
    },
    Quirk {
        rule: "a_repeated_attempt_renews_the_leases",
        because: "it accepts ReceiveRequestAttemptId and does not repeat the batch",
    },
    Quirk {
        rule: "an_expired_receipt_does_not_delete",
        because: "a receipt is good until the message is received again",
    },
    Quirk {
        rule: "an_expired_receipt_does_not_extend",
        because: "a receipt is good until the message is received again",
    },
    Quirk {
        rule: "a_released_receipt_is_void",
        because: "a receipt is good until the message is received again",
    },
    Quirk {
        rule: "a_batch_is_answered_entry_by_entry",
        because: "a receipt is good until the message is received again",
    },
    Quirk {
        rule: "deleting_again_succeeds",
        because: "a deleted message's receipt is an invalid one",
    },
    Quirk {
        rule: "an_id_is_repeated_within_its_group_alone",
        because: "it deduplicates by topic whatever FifoThroughputScope says",
    },
    Quirk {
        rule: "more_than_256_kib_are_refused_whole",
        because: "it weighs each entry of a batch by itself",
    },
];

/// A server whose topics deliver messages without sequence numbers.
pub fn ministack() -> Emulator {
    Emulator::from_env("MiniStack", "INVENTORY_TEST_MINISTACK", QUIRKS).without_numbers()
}

mod queue {
    queue_contract! {
        #[tokio::test]
        #[ignore = "needs the stack: make test"]
        on super::ministack()
    }
}

mod publisher {
    publisher_contract! {
        #[tokio::test]
        #[ignore = "needs the stack: make test"]
        on super::ministack()
    }
}
