//! What a message comes to in 32 bytes.

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::canonical::{Form, write_members};
use crate::domain::Digest;

/// Room for the canonical form of most commands, bytes.
const USUAL_BYTES: usize = 512;

/// The digest of a command's content: SHA-256 of the RFC 8785 form of `{type, data}`.
///
/// Unknown fields of `data` are part of it; defaults are not, nor is the order of members, the
/// spelling of numbers or white space.
pub(super) fn of_content(command_type: &str, data: &Value) -> serde_json::Result<Digest> {
    let mut canonical = Vec::with_capacity(USUAL_BYTES);
    let members = [("data", Form::Value(data)), ("type", Form::Text(command_type))];
    write_members(&mut canonical, &members)?;
    Ok(of_bytes(&canonical))
}

/// The digest of a message that could not be read: SHA-256 of its bytes.
pub(super) fn of_bytes(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_digest_is_the_sha_256_of_the_canonical_content() {
        let digest = of_content("t", &json!({"b": 6e2, "a": "ä"})).unwrap();
        assert_eq!(digest, of_bytes(r#"{"data":{"a":"ä","b":600},"type":"t"}"#.as_bytes()));
        // printf '{"data":{"a":"ä","b":600},"type":"t"}' | sha256sum
        assert_eq!(
            digest.to_string(),
            "1:cf0887052cc13e770cc7ddf7202c2a5d4d1f5df042df603be43aa2d07af309e2"
        );
    }

    #[test]
    fn order_spelling_and_space_do_not_change_a_digest() {
        let of = |text: &str| of_content("t", &serde_json::from_str(text).unwrap()).unwrap();
        let one = of(r#"{"a":1,"b":[600,"\u0041"]}"#);
        assert_eq!(one, of(r#"{ "b": [6e2, "A"], "a": 1.0 }"#));
        assert_eq!(one, of(r#"{"a":2,"a":1,"b":[600,"A"]}"#));
        assert_ne!(one, of(r#"{"a":1,"b":["A",600]}"#));
        assert_ne!(one, of(r#"{"a":1,"b":[600,"A"],"c":null}"#));
        assert_ne!(one, of_content("u", &json!({"a": 1, "b": [600, "A"]})).unwrap());
    }
}
