//! The wire: CloudEvents in, CloudEvents out.
