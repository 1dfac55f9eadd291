//! The common parts of all backends under contract, and the machinery of the macros.

use std::{io::Write as _, time::Duration};

use async_trait::async_trait;

/// A rule that a backend is known to break.
#[derive(Clone, Copy, Debug)]
pub struct Quirk {
    /// The rule's name: its function's name.
    pub rule: &'static str,
    /// The backend's behaviour instead.
    pub because: &'static str,
}

/// An adapter and its backend.
#[async_trait]
pub trait Backend: Send + Sync {
    /// The backend's name, with its version if that matters.
    fn name(&self) -> &'static str;

    /// The rules it is known to break. None by default.
    fn quirks(&self) -> &'static [Quirk] {
        &[]
    }

    /// The longest time a rule may let pass; unlimited with a paused clock.
    fn patience(&self) -> Duration;

    /// Lets at least that much time pass: advances a paused clock, or really waits.
    async fn pass(&self, time: Duration);
}

/// The unit of time in rules: the length of short leases, locks and waits. Servers count whole
/// seconds, and a one-second wait may take up to two.
pub const A_WHILE: Duration = Duration::from_secs(2);

/// Comfortably longer than [`A_WHILE`].
pub const LONGER: Duration = Duration::from_secs(3);

/// A lease or lock that does not expire during a rule.
pub const LONG: Duration = Duration::from_secs(60);

/// SQS and SNS: "5-minute deduplication interval".
pub const DEDUPLICATION: Duration = Duration::from_secs(300);

/// Reports on stderr, past the runner's capture, that a rule was not tested.
pub fn skipped(backend: &str, rule: &str, because: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "SKIPPED on {backend}: rule `{rule}`: {because}");
}

/// Whether the rule is a known quirk of the backend; reports it if so.
pub fn is_quirk(backend: &(impl Backend + ?Sized), rule: &str) -> bool {
    match backend.quirks().iter().find(|quirk| quirk.rule == rule) {
        Some(quirk) => {
            skipped(backend.name(), rule, quirk.because);
            true
        }
        None => false,
    }
}

/// Whether `time` exceeds the backend's limit for waits; reports it if so.
pub fn lacks_patience(backend: &(impl Backend + ?Sized), rule: &str, time: Duration) -> bool {
    let lacks = backend.patience() < time;
    if lacks {
        let because = format!("it needs {} s to pass", time.as_secs());
        skipped(backend.name(), rule, &because);
    }
    lacks
}

/// Makes one test of every rule, or the list of their names. Adapters do not call it: the macro of
/// each port passes its rules to this one.
///
/// `$module` is the file of the rules. The attributes go on each test: one of them must make it a
/// test. `$harness` may await and is evaluated anew for each test. A quirk that names no rule
/// fails, so that misspellings are noticed.
macro_rules! make_tests {
    ($module:ident [$($rule:ident)*] names) => { [$(stringify!($rule)),*] };
    ($module:ident [$($rule:ident)*] $(#[$attribute:meta])* on $harness:expr) => {
        make_tests! { @each $module [$($rule)*] [$(#[$attribute])*] $harness }

        $(#[$attribute])*
        async fn every_quirk_names_a_rule() {
            use $crate::harness::Backend as _;
            let rules = $crate::every_rule();
            for quirk in $harness.quirks() {
                assert!(rules.contains(&quirk.rule), "no such rule: {}", quirk.rule);
            }
        }
    };
    (@each $module:ident [$($rule:ident)*] $attributes:tt $harness:expr) => {
        $(make_tests! { @one $module $rule $attributes $harness })*
    };
    (@one $module:ident $rule:ident [$($attribute:tt)*] $harness:expr) => {
        $($attribute)*
        async fn $rule() {
            let harness = $harness;
            if !$crate::harness::is_quirk(&harness, stringify!($rule)) {
                $crate::$module::$rule(&harness).await;
            }
        }
    };
}
