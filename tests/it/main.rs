//! Behaviours of the parts, without servers.
