//! Settings: read from flags and environment, all errors at once.
