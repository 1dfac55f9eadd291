//! The adapters of SQS and SNS against MiniStack.

use crate::{emulators::Emulator, harness::Quirk};

/// What MiniStack 1.5.33 does otherwise than AWS.
const QUIRKS: &[Quirk] = &[];

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
