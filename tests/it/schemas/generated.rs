//! The encoders' output against schemas and decoder.

use inventory_worker::{
    domain::{CommandType, Digest, Outcome},
    message::{
        RESULT_BYTES_MAX, ResultMessage, decode, decode_result, default_group, encode_command,
        encode_result,
    },
};
use proptest::{option, prelude::*};
use serde_json::Value;

use super::{assert_matches, schema_of, strategies};

/// The command that leads to an outcome; any command for a rejection.
fn command_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Reserved { .. } | Outcome::Rejected { .. } => CommandType::Reserve.as_str(),
        Outcome::Extended { .. } => CommandType::Extend.as_str(),
        Outcome::Modified { .. } => CommandType::Modify.as_str(),
        Outcome::Fulfilled { .. } => CommandType::Fulfil.as_str(),
        Outcome::Confirmed { .. } => CommandType::Confirm.as_str(),
        Outcome::Cancelled { .. } => CommandType::Cancel.as_str(),
        Outcome::Expired { .. } => CommandType::Expire.as_str(),
        Outcome::Restocked { .. } => CommandType::Restock.as_str(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_command_reads_back_as_it_was_sent(sent in strategies::command()) {
        let body = encode_command(&sent);
        let read = decode(&body).map_err(|reported| TestCaseError::fail(format!("{reported}: {body}")))?;
        prop_assert_eq!(&read.command.key, &sent.key);
        prop_assert_eq!(&read.command.pool, &sent.pool);
        prop_assert_eq!(&read.command.deadline, &sent.deadline);
        prop_assert_eq!(&read.command.action, &sent.action);
        prop_assert_eq!(&read.traceparent, &sent.traceparent);
        let message: Value = serde_json::from_str(&body).unwrap();
        prop_assert_eq!(&message["time"], &sent.time.to_string());
        assert_matches(&schema_of(&message).unwrap().closed, &message, &body);
        let again = decode(&message.to_string()).unwrap();
        prop_assert_eq!(again.command.digest, read.command.digest);
        prop_assert!(default_group(&sent.pool, &sent.action).as_str().len() <= 128);
    }

    #[test]
    fn a_result_matches_its_schema_and_describes_no_more(
        (outcome, changes) in strategies::decided(),
        (key, group, pool) in (strategies::key(), "[!-~]{1,128}", strategies::pool()),
        decided_at in strategies::time(),
        traceparent in option::of(strategies::traceparent()),
        sequence in option::of("[0-9]{20}"),
        pool_is_known in any::<bool>(),
    ) {
        let pool_is_known = pool_is_known || outcome.rejection().is_none();
        let publication = encode_result(&ResultMessage {
            key: &key,
            command_type: command_of(&outcome),
            sequence: sequence.as_deref(),
            group: &group.parse().unwrap(),
            pool: Some(&pool).filter(|_| pool_is_known),
            outcome: &outcome,
            changes: &changes,
            decided_at,
            message_digest: Digest([1; 32]),
            traceparent: traceparent.as_ref(),
        });
        let message: Value = serde_json::from_str(&publication.body).unwrap();
        assert_matches(&schema_of(&message).unwrap().closed, &message, &publication.body);
        prop_assert!(publication.bytes() <= RESULT_BYTES_MAX);
        prop_assert_eq!(&message["id"], &publication.id.to_string());
        prop_assert_eq!(message["type"].as_str(), publication.attributes.get("type").map(String::as_str));
        let read = decode_result(&publication.body)
            .map_err(|wrong| TestCaseError::fail(format!("{wrong}: {}", publication.body)))?;
        prop_assert_eq!(&read.changes, &changes);
        let source = outcome.reservation().map(|reservation| reservation.source.as_str());
        prop_assert_eq!(publication.attributes.get("reservation_source").map(String::as_str), source);
        prop_assert_eq!(read.outcome.reservation().map(|read| read.source.as_str()), source);
        let subject = message["subject"].as_str().map(str::to_owned);
        prop_assert_eq!(subject, pool_is_known.then(|| pool.to_string()));
    }
}
