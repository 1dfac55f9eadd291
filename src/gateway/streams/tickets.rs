//! Tickets for streams: a browser's `EventSource` sends no `Authorization` header, and no token
//! belongs in a URL. A ticket is worth little: it opens one stream, once, within 30 s.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::StreamError;
use crate::{
    domain::{Timestamp, time::saturating_add},
    gateway::Caller,
    ports::{Clock, Entropy},
};

/// The routes that take `?ticket=`.
pub const TICKETED_ROUTES: [&str; 1] = ["/events/{id}/changes"];

/// How long a ticket may be used.
const LIFETIME: Duration = Duration::from_secs(30);

/// The most tickets that are issued and not used, in all and of one caller.
const TICKETS_MAX: usize = 10_000;
const PER_CALLER_MAX: usize = 100;

/// Ids that one ticket is made of. Each has 122 random bits.
const IDS: usize = 3;

/// Only its digest is kept, so that neither a dump of the memory nor the time of a comparison shows
/// a ticket.
type TicketDigest = [u8; 32];

/// A ticket, as its caller gets it.
#[derive(Clone, PartialEq, Eq)]
pub struct IssuedTicket {
    /// 256 bits in base64url.
    pub text: String,
    /// Until when it may be used.
    pub expires_at: Timestamp,
}

/// The tickets that have been issued and not used.
pub struct Tickets {
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    callers: BTreeMap<TicketDigest, (Instant, Caller)>,
    /// The same, by their ends.
    ends: BTreeSet<(Instant, TicketDigest)>,
    by_subject: BTreeMap<String, usize>,
}

impl Tickets {
    /// No tickets yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, entropy: Arc<dyn Entropy>) -> Self {
        Self { clock, entropy, kept: Mutex::default() }
    }

    /// A ticket with the caller's scopes.
    ///
    /// # Errors
    ///
    /// There are as many as there may be, in all or of this caller.
    pub fn issue(&self, caller: &Caller) -> Result<IssuedTicket, StreamError> {
        let now = Instant::now();
        let mut kept = self.kept();
        kept.expire(now);
        if kept.callers.len() >= TICKETS_MAX {
            return Err(StreamError::Full);
        }
        let of_caller = kept.by_subject.get(&caller.subject).copied().unwrap_or_default();
        if of_caller >= PER_CALLER_MAX {
            return Err(StreamError::CallerFull);
        }
        let mut bits = Sha256::new();
        for _ in 0..IDS {
            bits.update(self.entropy.uuid().as_bytes());
        }
        let text = BASE64_URL_SAFE_NO_PAD.encode(bits.finalize());
        let (end, digest) = (now + LIFETIME, digest(&text));
        kept.callers.insert(digest, (end, caller.clone()));
        kept.ends.insert((end, digest));
        kept.by_subject.insert(caller.subject.clone(), of_caller.saturating_add(1));
        let lifetime = jiff::SignedDuration::try_from(LIFETIME).unwrap_or_default();
        Ok(IssuedTicket { text, expires_at: saturating_add(self.clock.now(), lifetime) })
    }

    /// The caller whose ticket it is. No ticket is redeemed twice.
    #[must_use]
    pub fn redeem(&self, text: &str) -> Option<Caller> {
        let digest = digest(text);
        let mut kept = self.kept();
        kept.expire(Instant::now());
        kept.remove(&digest)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn expire(&mut self, now: Instant) {
        while let Some((_, digest)) = self.ends.first().filter(|(end, _)| *end <= now).copied() {
            self.remove(&digest);
        }
    }

    fn remove(&mut self, digest: &TicketDigest) -> Option<Caller> {
        let (end, caller) = self.callers.remove(digest)?;
        self.ends.remove(&(end, *digest));
        if let Some(count) = self.by_subject.get_mut(&caller.subject) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.by_subject.remove(&caller.subject);
            }
        }
        Some(caller)
    }
}

fn digest(text: &str) -> TicketDigest {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        adapters::{memory::TokioClock, system::Random},
        gateway::view::fixtures::epoch,
    };

    fn tickets() -> Tickets {
        let clock = Arc::new(TokioClock::new(epoch()));
        Tickets::new(clock, Arc::new(Random::seeded(7)))
    }

    fn caller(subject: &str) -> Caller {
        Caller { subject: subject.to_owned(), ..Caller::local() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_is_good_once() {
        let tickets = tickets();
        let (one, other) = (tickets.issue(&caller("a")), tickets.issue(&caller("b")));
        let (one, other) = (one.ok().unwrap(), other.ok().unwrap());
        assert_eq!((one.text.len(), one.text == other.text), (43, false));
        assert_eq!(one.expires_at.to_string(), "2026-11-22T10:00:30Z");
        assert_eq!(tickets.redeem(&other.text), Some(caller("b")));
        assert_eq!(tickets.redeem(&one.text), Some(caller("a")));
        assert_eq!(tickets.redeem(&one.text), None);
        assert_eq!(tickets.redeem(""), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_ticket_is_good_for_thirty_seconds() {
        let tickets = tickets();
        let (one, other) = (tickets.issue(&caller("a")), tickets.issue(&caller("a")));
        tokio::time::advance(LIFETIME - Duration::from_millis(1)).await;
        assert!(tickets.redeem(&one.ok().unwrap().text).is_some());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(tickets.redeem(&other.ok().unwrap().text), None);
        let kept = tickets.kept();
        assert!(kept.callers.is_empty() && kept.ends.is_empty() && kept.by_subject.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_tickets_are_kept_than_may_be() {
        let tickets = tickets();
        for number in 0..TICKETS_MAX {
            tickets.issue(&caller(&(number / PER_CALLER_MAX).to_string())).ok().unwrap();
        }
        assert_eq!(tickets.issue(&caller("new")).err(), Some(StreamError::Full));
        tokio::time::advance(LIFETIME).await;
        for _ in 0..PER_CALLER_MAX {
            tickets.issue(&caller("greedy")).ok().unwrap();
        }
        assert_eq!(tickets.issue(&caller("greedy")).err(), Some(StreamError::CallerFull));
        assert!(tickets.issue(&caller("new")).is_ok());
    }
}
