//! The kinds of fault in a history.

/// The id prefix of commands whose transaction the store refuses until they are cured.
pub(super) const POISON: &str = "poison-";
/// The id prefix of commands that crash the worker which writes their outcome, until they are
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

            /// The fault's name on the command line.
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
    /// A call times out, and takes effect later.
    Late = "late",
    /// Entries of a batch fail one by one.
    Partial = "partial",
    /// A load reads its items at different moments.
    Torn = "torn",
    /// The expiry index returns an earlier state.
    StaleIndex = "stale-index",
    /// A commit meets another transaction on the same item.
    Conflict = "conflict",
    /// The lock server gives a wrong answer.
    LockLie = "lock-lie",
    /// The lock server loses all locks.
    LockLoss = "lock-loss",
    /// Every call of a port fails for a while.
    Outage = "outage",
    /// Clocks are off by up to two seconds, and jump.
    Skew = "skew",
    /// A worker is paused for longer than its leases, and continues.
    Pause = "pause",
    /// A worker crashes in a call, before or after its effect.
    CrashInCall = "crash-in-call",
    /// A worker crashes at any moment.
    CrashAnytime = "crash-anytime",
    /// A worker is stopped, and another replaces it.
    Drain = "drain",
    /// Workers of two releases run side by side: with different settings, and with two formats of
    /// an outcome, the newer of which the older release refuses to read.
    Rollout = "rollout",
    /// A message is sent twice.
    Duplicate = "duplicate",
    /// Messages hold several commands.
    CommandBatches = "command-batches",
    /// Messages are sent again after the deduplication interval.
    Resend = "resend",
    /// Dead letters are redriven after up to 14 days.
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
    /// A queue has a size limit below SQS's maximum, and messages are close to it.
    SmallQueue = "small-queue",
    /// The topic fails for longer than the deduplication interval.
    LongOutage = "long-outage",
    /// The queue's own redrive moves messages after few receives.
    LowRedrive = "low-redrive",
    /// The expiry index still returns holds that have ended.
    EndedIndex = "ended-index",
    /// A worker's clock is hours off.
    WrongClock = "wrong-clock",
    /// A worker gets almost no CPU time: each of its calls takes seconds.
    Starved = "starved",
    /// A worker whose call lost its answer cannot reach the store for a while; others can.
    CutOff = "cut-off",
    /// Identities are reused after the ledger has deleted them.
    Reuse = "reuse",
    /// Items past their time to live are deleted late, in no order, or not at all.
    LateTtl = "late-ttl",
    /// Gateways run beside the workers, and callers ask them.
    Gateways = "gateways",
    /// A gateway crashes, and another replaces it.
    GatewayCrash = "gateway-crash",
    /// A gateway cannot read the tables for a while; others can.
    Blind = "blind",
    /// The pages of a list take long, so that they are of different moments.
    SlowPages = "slow-pages",
    /// A caller of a gateway goes away before its answer.
    CallerGone = "caller-gone",
    /// What a worker announces is lost.
    HintLost = "hint-lost",
    /// What a worker announces comes twice.
    HintTwice = "hint-twice",
    /// What a worker announces comes after later announcements.
    HintLate = "hint-late",
    /// The server of hints is away for a while, or forgets what is watched.
    HintsAway = "hints-away",
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
