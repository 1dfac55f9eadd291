//! The messages and the service of `proto/inventory/v1/inventory.proto`.

#![allow(missing_docs, clippy::all, clippy::too_many_lines, reason = "generated")]

tonic::include_proto!("inventory.v1");

/// The descriptors of the file and of what it imports, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("inventory.v1");
