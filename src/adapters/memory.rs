//! In-memory ports that keep the contracts of the real ones.
