//! The adapters of SQS and SNS against LocalStack.

use crate::{emulators::Emulator, harness::Quirk};

/// What LocalStack 4.9.2 does otherwise than AWS.
const QUIRKS: &[Quirk] = &[];

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
