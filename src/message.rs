//! The wire: CloudEvents in, CloudEvents out.
//!
//! ```text
//! body ── decode ──► Command      (canonical: one text, of which the digest is made · reader: values
//!                                  with their place · envelope · action)
//! Outcome ── encode_result ──► Publication
//! body ── decode_result ──► DecodedResult      (what encode_result published, as a subscriber reads it)
//! OutgoingCommand ── encode_command ──► body        (what decode reads back)
//! ```
//!
//! `schemas/` says the same as JSON Schema and AsyncAPI, for programs of others; [`catalog`] holds
//! it. Past this module there is no JSON.
//!
//! How JSON is read, where RFC 8259 leaves it open:
//! - of a repeated member name the last one counts, in the command as in its digest;
//! - a number is an IEEE 754 double unless it is written as an integer of 64 bits (RFC 8785,
//!   section 3.2.2.3), and an integral one is an integer however it is written: `600`, `600.0` and
//!   `6e2` are the same (JSON Schema, section 6.1.1 of the core);
//! - a message nested deeper than 127 levels, or with a number beyond a double, is not JSON to us.

mod action;
mod canonical;
pub mod catalog;
mod command;
mod decode;
mod decode_result;
mod digest;
mod envelope;
mod reader;
mod result;
mod rfc3339;
mod room;
mod trace;

pub use command::{OutgoingCommand, default_group, encode_command};
pub use decode::{
    Decoded, RESERVED_SOURCES, Undecodable, decode, decode_from_producer, is_reserved, not_reserved,
};
pub use decode_result::{AnsweredCommand, DecodedResult, InvalidResult, decode_result};
pub use envelope::COMMAND_TYPE_BYTES_MAX;
pub use result::{RESULT_BYTES_MAX, RESULT_SOURCE, ResultMessage, encode_result, result_id};
pub use room::{DECODING_FACTOR, held_bytes_max};
pub use trace::{TRACEPARENT, TRACESTATE, TraceContext};
