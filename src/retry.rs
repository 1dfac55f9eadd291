//! Jittered exponential back-off, over the `backoff` crate.
