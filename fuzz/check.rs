//! The decoder's invariants for any input. The fuzzer runs them (`fuzz_targets/`), and so does the
//! test suite, with fewer inputs (`tests/it/decoder_fuzz.rs`).

use inventory_worker::{
    domain::{GroupId, RejectionCode, Timestamp},
    message::{
        COMMAND_TYPE_BYTES_MAX, Decoded, OutgoingCommand, Undecodable, decode, default_group,
        encode_command,
    },
    ports::queue::MESSAGE_BYTES_MAX,
};

/// Decodes the bytes, read as text as a queue would return them; true for a command. Fails unless
/// the answer is a command that reads back as itself or a rejection that names the fault and its
/// position.
pub fn decodes_or_says_why(bytes: &[u8]) -> bool {
    let body = String::from_utf8_lossy(bytes);
    let answer = decode(&body);
    assert_eq!(answer, decode(&body), "the same message is always read the same");
    match answer {
        Ok(decoded) => {
            reads_back(decoded);
            true
        }
        Err(reported) => {
            says_why(&reported);
            false
        }
    }
}

/// Encodes the command and decodes it again. Its digest may differ, as unknown fields are part of
/// it.
fn reads_back(decoded: Decoded) {
    let Decoded { command, traceparent } = decoded;
    let sent = OutgoingCommand {
        key: command.key,
        time: Timestamp::UNIX_EPOCH,
        deadline: command.deadline,
        pool: command.pool,
        action: command.action,
        traceparent,
    };
    let group: GroupId = default_group(&sent.pool, &sent.action);
    assert!(!group.as_str().is_empty());
    let body = encode_command(&sent);
    // `1e9` is written `1000000000`: a command that almost filled a message may not fit one now.
    if body.len() > MESSAGE_BYTES_MAX {
        return;
    }
    let again = match decode(&body) {
        Ok(again) => again,
        Err(reported) => panic!("written anew it is refused: {reported}"),
    };
    assert_eq!(again.command.key, sent.key);
    assert_eq!(again.command.pool, sent.pool);
    assert_eq!(again.command.action, sent.action);
    assert_eq!(again.command.deadline, sent.deadline);
    assert_eq!(again.traceparent, sent.traceparent);
    let third = OutgoingCommand {
        key: again.command.key,
        time: sent.time,
        deadline: again.command.deadline,
        pool: again.command.pool,
        action: again.command.action,
        traceparent: again.traceparent,
    };
    assert_eq!(encode_command(&third), body, "what was written once is written so again");
}

fn says_why(reported: &Undecodable) {
    let code = reported.rejection.code;
    assert!(
        matches!(code, RejectionCode::InvalidMessage | RejectionCode::UnsupportedType),
        "{}",
        code.as_str()
    );
    let Some((field, expected)) = reported.rejection.message.split_once(": ") else {
        panic!("no field in {:?}", reported.rejection.message)
    };
    let is_path = |one: char| one.is_ascii_alphanumeric() || matches!(one, '.' | '_' | '[' | ']');
    assert!(!field.is_empty() && field.chars().all(is_path), "{field:?} is no field");
    assert!(!expected.is_empty(), "{field}: nothing said");
    assert!(reported.command_type.as_ref().is_none_or(|kind| kind.len() <= COMMAND_TYPE_BYTES_MAX));
}
