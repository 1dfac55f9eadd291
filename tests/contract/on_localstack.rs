//! The adapters of SQS and SNS against LocalStack.

use crate::{emulators::Emulator, harness::Quirk};

/// Where LocalStack 4.9.2 differs from AWS.
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
        rule: "a_group_released_from_its_end_comes_in_order",
        because: "a release unlocks the group while other messages of it are in flight",
    },
    Quirk {
        rule: "an_expired_receipt_does_not_extend",
        because: "it accepts a visibility change for every receipt it ever gave for the message",
    },
    Quirk {
        rule: "a_released_receipt_is_void",
        because: "it accepts a visibility change for every receipt it ever gave for the message",
    },
    Quirk {
        rule: "an_older_receipt_is_void",
        because: "it accepts a visibility change for every receipt it ever gave for the message",
    },
];

pub fn localstack() -> Emulator {
    Emulator::from_env("LocalStack", "INVENTORY_TEST_LOCALSTACK", QUIRKS)
}

mod queue {
    queue_contract! {
        #[tokio::test]
        #[ignore = "needs the stack: make test"]
        on super::localstack()
    }
}

mod publisher {
    publisher_contract! {
        #[tokio::test]
        #[ignore = "needs the stack: make test"]
        on super::localstack()
    }
}
