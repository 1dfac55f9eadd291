//! What can go wrong in a history.

/// Ids that begin so are of commands whose transaction the store refuses until it is cured.
pub(super) const POISON: &str = "poison-";
/// Ids that begin so are of commands that crash the worker which writes their outcome, until it is
/// cured.
pub(super) const CRASH_TRIGGER: &str = "killer-";

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident = $word:literal),* $(,)?) => {
        /// The kinds of fault.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault { $($(#[$doc])* $name),* }

        impl Fault {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The word for it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word),* }
            }
        }
    };
}

faults! {
    /// A call takes longer than a lease.
    Tail = "tail",
    /// A call fails before its effect.
    Fail = "fail",
    /// A call is throttled.
    Throttle = "throttle",
    /// A call succeeds and its answer is lost.
    Lost = "lost",
    /// A call is given up, and takes effect later.
    Late = "late",
    /// Entries of a batch fail one by one.
    Partial = "partial",
    /// A load reads its items at different moments.
    Torn = "torn",
    /// The index of expiries shows what was.
    StaleIndex = "stale-index",
    /// A commit meets another transaction at work on an item.
    Conflict = "conflict",
    /// The lock server says what is not so.
    LockLie = "lock-lie",
    /// The lock server forgets everything.
    LockLoss = "lock-loss",
    /// A port fails altogether for a while.
    Outage = "outage",
    /// Clocks are off by up to two seconds, and jump.
    Skew = "skew",
    /// A worker stands still for longer than its leases, and goes on.
    Pause = "pause",
    /// A worker dies in a call, before or after its effect.
    CrashInCall = "crash-in-call",
    /// A worker dies at any moment.
    CrashAnytime = "crash-anytime",
    /// A worker is told to stop, and another takes its place.
    Drain = "drain",
    /// Workers of two releases run side by side: with different settings, and with two formats of
    /// an outcome, the newer of which the older release refuses to read.
    Rollout = "rollout",
    /// A message is sent twice.
    Duplicate = "duplicate",
    /// Messages are sent again once the deduplication interval is over.
    Resend = "resend",
    /// Dead letters are sent back after up to 14 days.
    Redrive = "redrive",
    /// A message that can never be handled.
    Poison = "poison",
    /// Items of one pool are throttled, and others are not.
    ThrottledItems = "throttled-items",
    /// Items cannot be read until they are repaired.
    Damaged = "damaged",
    /// Holds past their end that cannot be expired.
    StuckHolds = "stuck-holds",
    /// One group has a long backlog.
    Flood = "flood",
    /// A queue whose limit is below SQS's greatest, and messages close to it.
    SmallQueue = "small-queue",
    /// The topic fails for longer than the deduplication interval.
    LongOutage = "long-outage",
    /// The queue's own redrive takes messages after few receives.
    LowRedrive = "low-redrive",
    /// The index of expiries still shows holds that have ended.
    EndedIndex = "ended-index",
    /// A worker's clock is hours off.
    WrongClock = "wrong-clock",
    /// A worker gets next to no processor: each of its calls takes seconds.
    Starved = "starved",
    /// A worker whose call lost its answer reaches the store no more for a while; others do.
    CutOff = "cut-off",
    /// Identities are used again after the ledger has forgotten them.
    Reuse = "reuse",
    /// What is past its time to live is deleted late, in no order, or not at all.
    LateTtl = "late-ttl",
}

impl std::str::FromStr for Fault {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|fault| fault.as_str() == word);
        found.ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|fault| fault.as_str()).collect();
            format!("{word} is no fault: there are {}", words.join(", "))
        })
    }
}
