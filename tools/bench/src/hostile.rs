//! Bodies designed to cost memory, and an ordinary one for comparison.

use std::fmt::Write as _;

/// The name of an ordinary large message: a restock of as many lines as fit.
pub const ORDINARY: &str = "restock";

/// The repeated part of a shape: its `n`-th piece.
type Piece = fn(usize) -> String;

/// Shapes in an unknown field, which is part of the digest: the command is valid.
const UNKNOWN_FIELDS: [(&str, [&str; 2], Piece); 13] = [
    ("empty arrays", ["[", "]"], |_| "[]".to_owned()),
    ("empty objects", ["[", "]"], |_| "{}".to_owned()),
    ("deep arrays", ["[", "]"], |_| format!("{}{}", "[".repeat(100), "]".repeat(100))),
    ("deep objects, out of order", ["[", "]"], |_| {
        format!("{}0{}", "{\"b\":0,\"a\":".repeat(100), "}".repeat(100))
    }),
    ("digits", ["[", "]"], |_| "1".to_owned()),
    ("numbers longer in canonical form", ["[", "]"], |_| "1e20".to_owned()),
    ("numbers with an exponent", ["[", "]"], |_| "15e19".to_owned()),
    ("empty texts", ["[", "]"], |_| "\"\"".to_owned()),
    ("a name repeated", ["{", "}"], |_| "\"\":0".to_owned()),
    ("names in order", ["{", "}"], |n| format!("\"{n:06x}\":0")),
    ("names out of order", ["{", "}"], |n| format!("\"{:x}\":0", n.reverse_bits() >> 44)),
    ("names in escapes", ["{", "}"], |n| format!("\"\\u0001\\n{:x}\":0", n.reverse_bits() >> 44)),
    ("texts in escapes", ["[", "]"], |_| format!("\"{}\"", "\\u0001\\\"".repeat(500))),
];

/// Shapes in known fields of a command: it is rejected, and the rejection describes it.
const KNOWN_FIELDS: [(&str, &str, [&str; 2], Piece); 5] = [
    ("seats without end", "seats", ["[", "]"], |_| "1".to_owned()),
    ("lines without end", "lines", ["[", "]"], |_| "{}".to_owned()),
    ("a long text", "user_id", ["\"", "\""], |_| "xxxxxxx".to_owned()),
    ("a long text in escapes", "user_id", ["\"", "\""], |_| "\\n".to_owned()),
    ("an object for a text", "user_id", ["{", "}"], |n| format!("\"{n:06x}\":[]")),
];

/// Bodies of exactly that many bytes (at least 4,096), each with the name of its shape.
#[must_use]
pub fn bodies(bytes: usize) -> Vec<(&'static str, String)> {
    let mut bodies = Vec::new();
    for (name, around, piece) in UNKNOWN_FIELDS {
        let data = "\"user_id\":\"u-7\",\"seats\":[\"S00-R000-000\"],\"more\":";
        bodies.push((name, reserve(data, around, piece, bytes)));
    }
    for (name, field, around, piece) in KNOWN_FIELDS {
        bodies.push((name, reserve(&format!("\"{field}\":"), around, piece, bytes)));
    }
    bodies.push(("the shortest seats", padded(seats(10_000.min(bytes / 32)), bytes)));
    bodies.push(("never closed", padded("[1,".repeat(126), bytes)));
    bodies
}

/// An ordinary body of that many bytes, at least 4,096.
#[must_use]
pub fn ordinary(bytes: usize) -> String {
    let pieces = (bytes / 110).min(10_000);
    let lines: Vec<String> = (0..pieces)
        .map(|n| format!("{{\"sku\":\"{:<75}\",\"quantity\":100}}", format!("sku-{n:05}-")))
        .collect();
    let data = format!("\"mode\":\"set\",\"lines\":[{}]", lines.join(",").replace(' ', "x"));
    padded(message("restock", "\"store_id\":\"store-1\"", &data), bytes)
}

fn message(kind: &str, pool: &str, data: &str) -> String {
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/services/booking\",\
         \"type\":\"inventory.{kind}.v1\",\"data\":{{{pool},{data}}}}}"
    )
}

/// A reserve whose data ends with as many pieces as fit, one of them or white space at the end.
fn reserve(data: &str, [open, close]: [&str; 2], piece: Piece, bytes: usize) -> String {
    let room = bytes.saturating_sub(1_024);
    let between = if open == "\"" { "" } else { "," };
    let mut pieces = String::with_capacity(bytes);
    for n in 0.. {
        let one = piece(n);
        if pieces.len() + one.len() + 1 > room {
            break;
        }
        // Writing into memory cannot fail.
        let _ = write!(pieces, "{}{one}", if n > 0 { between } else { "" });
    }
    padded(message("reserve", "\"event_id\":1", &format!("{data}{open}{pieces}{close}")), bytes)
}

/// A restock of as many seats as a command may name, each as short as possible: the command with
/// the largest decoded size relative to its body.
#[must_use]
pub fn shortest_seats() -> String {
    seats(10_000)
}

fn seats(count: usize) -> String {
    let seats: Vec<String> = (0..count).map(|n| format!("{{\"seat_number\":\"{n:x}\"}}")).collect();
    message("restock", "\"event_id\":1", &format!("\"seats\":[{}]", seats.join(",")))
}

/// A reserve of the most seats, each as long as possible: the command for which a batch decides and
/// commits most.
#[must_use]
pub fn longest_seats() -> String {
    let seats: Vec<String> = (0..97).map(|n| format!("\"{n:0>128}\"")).collect();
    let data = format!("\"user_id\":\"u-7\",\"seats\":[{}]", seats.join(","));
    message("reserve", "\"event_id\":1", &data)
}

/// Pads the body; white space after its end has no meaning.
fn padded(mut body: String, bytes: usize) -> String {
    body.extend(std::iter::repeat_n(' ', bytes.saturating_sub(body.len())));
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use inventory_worker::message;

    #[test]
    fn every_body_is_as_long_as_asked_for_and_what_its_shape_says() {
        let bytes = 64 * 1_024;
        let is_command = |body: &str| message::decode(body).is_ok();
        for body in [ordinary(bytes), shortest_seats(), longest_seats()] {
            assert!(is_command(&body), "{:?}", message::decode(&body));
        }
        assert_eq!(ordinary(bytes).len(), bytes);
        let refused: Vec<&str> = bodies(bytes)
            .iter()
            .inspect(|(name, body)| assert_eq!(body.len(), bytes, "{name}"))
            .filter(|(_, body)| !is_command(body))
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(
            refused,
            [
                "seats without end",
                "lines without end",
                "a long text",
                "a long text in escapes",
                "an object for a text",
                "never closed"
            ]
        );
    }
}
