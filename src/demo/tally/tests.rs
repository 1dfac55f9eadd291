//! The books notice what must never happen.
