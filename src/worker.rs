//! The worker: from a received batch to committed, published, deleted.
