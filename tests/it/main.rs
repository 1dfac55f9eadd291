//! Behaviours of the parts, without servers.

mod decide_properties;
mod decide_rules;
mod schemas;
mod world;
