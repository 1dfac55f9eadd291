//! The rows of the bench, and the memory of decoding.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod decoder_memory;
mod rows;
