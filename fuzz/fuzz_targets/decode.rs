//! Feeds the decoder any bytes a message may hold.

#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../check.rs"]
mod check;

fuzz_target!(|bytes: &[u8]| {
    check::decodes_or_says_why(bytes);
});
