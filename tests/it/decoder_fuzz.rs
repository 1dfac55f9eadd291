//! The decoder on input that no producer would send: a bounded part of `make fuzz`, with the same
//! check.

use proptest::{collection, prelude::*, sample::Index};

use crate::schemas::valid_commands;

#[path = "../../fuzz/check.rs"]
mod check;

use check::decodes_or_says_why;

/// Every valid example command.
fn bodies() -> Vec<Vec<u8>> {
    valid_commands().values().map(|body| body.to_string().into_bytes()).collect()
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    proptest::sample::select(bodies())
}

/// Bytes, of which those with a meaning in JSON or in UTF-8 are more frequent.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        any::<u8>(),
        proptest::sample::select(br#"{}[]":,\/0123456789-+.eEtfnu "#.to_vec()),
        proptest::sample::select(vec![0x00, 0x1f, 0x7f, 0x80, 0xc2, 0xe2, 0xed, 0xf0, 0xff]),
    ]
}

/// A corruption of a body.
#[derive(Clone, Debug)]
enum Damage {
    Overwrite(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, u8),
    Repeat(Index, u8),
    Truncate(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (any::<Index>(), byte()).prop_map(|(at, byte)| Damage::Overwrite(at, byte)),
        2 => (any::<Index>(), collection::vec(byte(), 1..8))
            .prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        2 => (any::<Index>(), 1..64u8).prop_map(|(at, count)| Damage::Remove(at, count)),
        1 => (any::<Index>(), 1..64u8).prop_map(|(at, count)| Damage::Repeat(at, count)),
        1 => any::<Index>().prop_map(Damage::Truncate),
    ]
}

fn apply(body: &mut Vec<u8>, damage: Damage) {
    let place = |at: Index, body: &[u8]| at.index(body.len() + 1);
    match damage {
        Damage::Overwrite(at, byte) if !body.is_empty() => {
            let at = at.index(body.len());
            body[at] = byte;
        }
        Damage::Overwrite(_, byte) => body.push(byte),
        Damage::Insert(at, bytes) => {
            let at = place(at, body);
            body.splice(at..at, bytes);
        }
        Damage::Remove(at, count) => {
            let at = place(at, body);
            let end = body.len().min(at + usize::from(count));
            body.drain(at..end);
        }
        Damage::Repeat(at, count) => {
            let at = place(at, body);
            let end = body.len().min(at + usize::from(count));
            let again = body[at..end].to_vec();
            body.splice(end..end, again);
        }
        Damage::Truncate(at) => body.truncate(at.index(body.len() + 1)),
    }
}

#[test]
fn every_example_decodes_and_reads_back() {
    for body in bodies() {
        assert!(decodes_or_says_why(&body), "{}", String::from_utf8_lossy(&body));
    }
}

#[test]
fn an_example_cut_off_anywhere_is_refused() {
    for body in bodies().iter().filter(|body| body.len() < 4_096) {
        for end in 0..body.len() {
            assert!(!decodes_or_says_why(&body[..end]), "cut at {end}");
        }
    }
}

#[test]
fn what_nests_without_end_is_refused() {
    for open in ["[", "{\"a\":", "{\"data\":[", "\"\\"] {
        assert!(!decodes_or_says_why(open.repeat(100_000).as_bytes()), "{open}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn bytes_at_random_are_refused(bytes in collection::vec(byte(), 0..512)) {
        prop_assert!(!decodes_or_says_why(&bytes));
    }

    #[test]
    fn a_damaged_body_is_a_command_or_says_why(
        mut body in body(),
        damages in collection::vec(damage(), 1..12),
    ) {
        damages.into_iter().for_each(|damage| apply(&mut body, damage));
        decodes_or_says_why(&body);
    }

    #[test]
    fn two_bodies_spliced_are_a_command_or_say_why(
        (left, right) in (body(), body()),
        (cut, join) in (any::<Index>(), any::<Index>()),
    ) {
        let mut spliced = left[..cut.index(left.len() + 1)].to_vec();
        spliced.extend_from_slice(&right[join.index(right.len() + 1)..]);
        decodes_or_says_why(&spliced);
    }

    #[test]
    fn a_field_of_one_body_in_another_is_a_command_or_says_why(
        (mut left, right) in (
            proptest::sample::select(valid_commands().into_values().collect::<Vec<_>>()),
            proptest::sample::select(valid_commands().into_values().collect::<Vec<_>>()),
        ),
        picks in collection::vec((any::<bool>(), any::<Index>()), 1..6),
    ) {
        for (in_data, pick) in picks {
            let from = if in_data { &right["data"] } else { &right };
            // What is in base64 has no members.
            let Some(members) = from.as_object() else { continue };
            let (name, value) = members.iter().nth(pick.index(members.len())).unwrap();
            let into = if in_data { &mut left["data"] } else { &mut left };
            if into.is_object() {
                into[name] = value.clone();
            }
        }
        decodes_or_says_why(left.to_string().as_bytes());
    }
}
