//! Behaviours of the parts, without servers.

mod schemas;
