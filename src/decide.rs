//! The state machine: what a command comes to, on a given state, at a given time. Pure.
