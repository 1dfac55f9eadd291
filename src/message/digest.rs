//! Digests of messages, 32 bytes.

use sha2::{Digest as _, Sha256};

use super::canonical::Document;
use crate::domain::{CommandType, Digest};

/// The digest of a command's content: SHA-256 of the RFC 8785 form of `{type, data}`, with `data` a
/// value of the document.
///
/// Unknown fields of `data` count; defaults, the order of members, the notation of numbers and
/// white space do not.
pub(super) fn of_content(command_type: CommandType, document: &Document, data: &str) -> Digest {
    let mut sum = Sha256::new_with_prefix(br#"{"data":"#);
    document.canonical(data, |piece| sum.update(piece));
    // Type names need no escapes.
    sum.update(br#","type":""#);
    sum.update(command_type.as_str());
    sum.update(br#""}"#);
    Digest(sum.finalize().into())
}

/// The digest of an unreadable message: SHA-256 of its bytes.
pub(super) fn of_bytes(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(data: &str) -> Digest {
        let document = Document::parse(data).unwrap();
        of_content(CommandType::Expire, &document, document.text())
    }

    #[test]
    fn a_digest_is_the_sha_256_of_the_canonical_content() {
        let canonical = r#"{"data":{"a":"ä","b":600},"type":"inventory.expire.v1"}"#;
        let digest = of(r#"{"b": 6e2, "a": "ä"}"#);
        assert_eq!(digest, of_bytes(canonical.as_bytes()));
        // printf '{"data":{"a":"ä","b":600},"type":"inventory.expire.v1"}' | sha256sum
        assert_eq!(
            digest.to_string(),
            "1:efeafc9f5afef5b6ac0b62908ea31491cffbdc365e298478ab63212069ed1fae"
        );
    }

    #[test]
    fn order_spelling_and_space_do_not_change_a_digest() {
        let one = of(r#"{"a":1,"b":[600,"\u0041"]}"#);
        assert_eq!(one, of(r#"{ "b": [6e2, "A"], "a": 1.0 }"#));
        assert_eq!(one, of(r#"{"a":2,"a":1,"b":[600,"A"]}"#));
        assert_ne!(one, of(r#"{"a":1,"b":["A",600]}"#));
        assert_ne!(one, of(r#"{"a":1,"b":[600,"A"],"c":null}"#));
        let document = Document::parse(r#"{"a":1,"b":[600,"A"]}"#).unwrap();
        assert_ne!(one, of_content(CommandType::Cancel, &document, document.text()));
    }
}
