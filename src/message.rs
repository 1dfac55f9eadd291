//! The wire format: CloudEvents in, CloudEvents out.
//!
//! ```text
//! body ── split_batch ──► bodies  (a message may hold several commands)
//! body ── decode ──► Command          (canonical text and its digest · reader: values and paths
//!                                      · envelope · action)
//! Outcome ── encode_result ──► Publication
//! body ── decode_result ──► DecodedResult        (reads what encode_result publishes)
//! OutgoingCommand ── encode_command ──► body     (decode reads it back)
//! ```
//!
//! `schemas/` describes the same format as JSON Schema, AsyncAPI and OpenAPI, for other programs;
//! [`catalog`] embeds it. No other module handles this JSON.
//!
//! JSON decoding where RFC 8259 leaves it open:
//! - the last of repeated member names counts, in the command as in its digest;
//! - a number is an IEEE 754 double unless it is written as an integer of 64 bits (RFC 8785,
//!   section 3.2.2.3), and an integral number is an integer in any notation: `600`, `600.0` and
//!   `6e2` are the same (JSON Schema, section 6.1.1 of the core);
//! - a message nested deeper than 127 levels, or with a number beyond a double, counts as invalid
//!   JSON.

mod action;
mod batch;
mod canonical;
pub mod catalog;
mod command;
mod decode;
mod decode_result;
mod digest;
mod envelope;
mod reader;
mod result;
mod result_batch;
mod rfc3339;
mod room;
mod trace;

pub use batch::{BATCH_COMMANDS_MAX, is_batch, join_batch, split_batch, with_trace_inside};
pub(crate) use command::to_json;
pub use command::{OutgoingCommand, default_group, encode_command};
pub use decode::{
    Decoded, RESERVED_SOURCES, Undecodable, decode, decode_from_producer, is_reserved, not_reserved,
};
pub use decode_result::{AnsweredCommand, DecodedResult, InvalidResult, decode_result};
pub use envelope::COMMAND_TYPE_BYTES_MAX;
pub use result::{RESULT_BYTES_MAX, RESULT_SOURCE, ResultMessage, encode_result, result_id};
pub use result_batch::{BATCH_ATTRIBUTE, RESULT_BATCH_BYTES_MAX, batch_results};
pub use room::{DECODING_FACTOR, held_bytes_max};
pub use trace::{TRACEPARENT, TRACESTATE, TraceContext};
