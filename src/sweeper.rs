//! Finds holds that ran out and posts their expiry.
