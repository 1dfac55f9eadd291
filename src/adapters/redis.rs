//! Locks on Redis, single or cluster.
