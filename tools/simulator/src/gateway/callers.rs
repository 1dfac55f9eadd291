//! Callers of commands: they wait, ask again, go away, and check what they are told.

use std::time::Duration;

use jiff::SignedDuration;

use super::{Door, Gateway, Situation, behind, log::CallKind, running::POSTS_MAX};
use crate::{
    fault::Fault,
    workload::visits::{Call, Due, Form},
    world::World,
};
use inventory_worker::{
    domain::{Action, CommandKey, RejectionCode, Timestamp, time::saturating_add},
    gateway::{Answer, CommandError, CommandRequest, EventRequest},
    ports::Clock,
};

/// The longest time between two polls of an outcome, and what may pass until it is noticed.
const POLL_MAX: SignedDuration = SignedDuration::from_millis(660);

/// How long a post may take, however short its caller's wait.
const POST_MAX: Duration = Duration::from_secs(5);

/// Asks for one command after the other.
pub(super) async fn ask(world: &World, doors: &[Door], calls: &[Call]) {
    for call in calls {
        tokio::time::sleep(call.pause).await;
        match behind(doors, call.gateway) {
            Some(gateway) => ask_one(world, &gateway, call).await,
            None => world.cover(Situation::NoGateway),
        }
    }
}

async fn ask_one(world: &World, gateway: &Gateway, call: &Call) {
    let mut asked = Asked::new(world, gateway, call);
    let open = gateway.log.open(&asked.counted_as());
    asked.is_crowded = gateway.log.under_way(&asked.counted_as()).0 > gateway.settings.waiters_max;
    let leave = async {
        match call.leaves_after {
            Some(after) => tokio::time::sleep(after).await,
            None => std::future::pending().await,
        }
    };
    let answer = tokio::select! {
        biased;
        // What it says while it dies reaches no caller.
        () = gateway.dead.cancelled() => return world.cover(Situation::NoGateway),
        answer = submit(gateway, call) => answer,
        () = leave => return world.count(Some(Fault::CallerGone)),
    };
    asked.check(&answer);
    drop(open);
}

async fn submit(gateway: &Gateway, call: &Call) -> Result<Answer, CommandError> {
    let (commands, caller) = (&gateway.commands, call.who.caller());
    match &call.form {
        Form::Event { body, .. } => {
            let (event, wait) = (body.as_str(), Some(call.wait));
            let request = EventRequest { event, has_new_id: false, wait, traceparent: None };
            let answer = commands.submit_event(&caller, request).await;
            let answer = answer.map_err(|refused| refused.error);
            if inventory_worker::injected_bug!(PostUnvalidated)
                && matches!(answer, Err(CommandError::Invalid(_)))
            {
                gateway.post_unvalidated(event).await;
            }
            answer
        }
        Form::Built { key, pool, action, group } => {
            let has_new_id = key.is_none();
            let key = match key {
                Some(key) => key.clone(),
                None => commands.key(&caller, None)?,
            };
            let request = CommandRequest {
                key,
                has_new_id,
                pool: pool.clone(),
                action: (**action).clone(),
                wait: Some(call.wait),
                group: group.clone(),
                traceparent: None,
            };
            commands.submit(&caller, request).await
        }
    }
}

/// A command that was asked for.
struct Asked<'a> {
    world: &'a World,
    gateway: &'a Gateway,
    call: &'a Call,
    at: Timestamp,
    /// How often the gateway had sent it before.
    sent: usize,
    /// Whether more commands were under way than may await their outcomes, so that it may not.
    is_crowded: bool,
}

impl<'a> Asked<'a> {
    fn new(world: &'a World, gateway: &'a Gateway, call: &'a Call) -> Self {
        let sent = call.form.key().map_or(0, |key| gateway.log.sends(key));
        Self { world, gateway, call, at: world.clock.now(), sent, is_crowded: false }
    }

    /// Its identity, or one of all those whose identity the gateway chooses.
    fn counted_as(&self) -> CommandKey {
        self.call.form.key().cloned().unwrap_or_else(|| {
            let key = "/any".parse().ok().zip("any".parse().ok());
            key.map(|(source, id)| CommandKey { source, id })
                .unwrap_or_else(|| unreachable!("the source and the id are plain"))
        })
    }

    fn fail(&self, check: &'static str, what: &str) {
        let Self { gateway, call, at, .. } = self;
        let detail = format!("{:?}, asked {call:?} at {at}, {what}", gateway.life);
        self.world.history().fail(check, detail);
    }

    fn ensure(&self, holds: bool, check: &'static str, what: &str) {
        if !holds {
            self.fail(check, what);
        }
    }

    fn check(&self, answer: &Result<Answer, CommandError>) {
        let Self { gateway, call, .. } = self;
        let now = self.world.clock.now();
        let named = call.form.key().map_or("any", |key| key.id.as_str());
        gateway.injector.trace(format_args!("answers {named}: {}", Named(answer)));
        let longest = SignedDuration::try_from(call.wait.max(POST_MAX)).unwrap_or_default();
        let is_timely = now.duration_since(self.at) <= longest + SignedDuration::from_millis(10);
        self.ensure(is_timely, "deadline", &format!("was answered at {now}: {answer:?}"));
        let due = match answer {
            Err(CommandError::Invalid(_)) => Due::Invalid,
            Err(CommandError::NoScope(_)) => Due::NoScope,
            Err(CommandError::ForeignSource) => Due::Foreign,
            _ => Due::Passed,
        };
        self.ensure(due == call.due, "refused", &format!("was answered {answer:?}"));
        match answer {
            Ok(Answer::Decided(decided)) => {
                let key = call.form.key();
                self.world.history().answered(key, call.digest, decided);
                let code = decided.outcome.rejection().map(|rejection| rejection.code);
                let is_sent = gateway.log.sends(&decided.key) > self.sent;
                self.world.cover(match code {
                    Some(RejectionCode::CommandIdReused) => Situation::Reused,
                    _ if is_sent => Situation::Decided,
                    _ => Situation::Recorded,
                });
            }
            Ok(Answer::Pending { key, .. }) => self.check_pending(key),
            Err(error) => self.check_error(error, now),
        }
    }

    /// An outcome that was recorded in time would have been found.
    fn check_pending(&self, key: &CommandKey) {
        self.world.cover(Situation::Pending);
        let is_its = self.call.form.key().is_none_or(|own| own == key);
        self.ensure(is_its, "answer", &format!("was answered {key:?}"));
        self.check_posted(key);
        let wait = SignedDuration::try_from(self.call.wait).unwrap_or_default();
        let until = saturating_add(self.at, wait);
        let now = self.world.clock.now();
        let is_early = now + SignedDuration::from_millis(2) < until;
        self.ensure(!is_early || self.is_crowded, "waiter", &format!("was told so at {now}"));
        if self.is_crowded {
            if is_early {
                self.world.cover(Situation::TooManyWaiting);
            }
            return;
        }
        let recorded = self.world.history().recorded_at(key);
        let Some(recorded) = recorded.map(|recorded| recorded.max(self.at)) else { return };
        let latency = self.world.profile.latency_max.saturating_mul(2);
        let read =
            SignedDuration::try_from(latency).unwrap_or_default() + SignedDuration::from_millis(5);
        let is_late = recorded + POLL_MAX + read * 2 > until;
        let is_sound = self.gateway.log.is_sound(CallKind::Ledger, (recorded, until), read);
        self.ensure(is_late || !is_sound, "waiter", &format!("was decided at {recorded}"));
    }

    /// A caller whose command the queue did not take, as far as is known, is told so, and no other
    /// is.
    fn check_posted(&self, key: &CommandKey) {
        let log = &self.gateway.log;
        let is_first = self.sent == 0 && log.sends(key) == 1;
        let now = self.world.clock.now();
        let failed = log.failures(key, self.at).into_iter().find(|at| *at < now);
        let told = failed.map_or_else(String::new, |at| format!("was told nothing of {at}"));
        self.ensure(!is_first || failed.is_none(), "posted", &told);
    }

    fn check_error(&self, error: &CommandError, now: Timestamp) {
        let log = &self.gateway.log;
        let counted_as = self.counted_as();
        let (under_way, same) = log.under_way(&counted_as);
        let is_sent = self.call.form.key().is_some_and(|key| log.sends(key) > self.sent);
        let is_refused =
            !matches!(error, CommandError::NotPosted { .. } | CommandError::Unreadable { .. });
        self.ensure(!(is_refused && is_sent && same == 1), "posted", &format!("was told {error}"));
        let (situation, is_so) = match error {
            CommandError::Invalid(_) => (Situation::Invalid, true),
            CommandError::NoScope(_) | CommandError::ForeignSource => (Situation::NoRight, true),
            CommandError::Behind { age, .. } => {
                let since = now - SignedDuration::try_from(*age).unwrap_or_default();
                let is_old = *age > self.gateway.settings.commands.queue_age_max;
                (Situation::Behind, is_old && self.is_reserve() && log.sent_at(since))
            }
            CommandError::Full => (Situation::NotPosted, under_way > POSTS_MAX),
            CommandError::NotPosted { .. } => {
                let own = self.call.form.key();
                let is_its = own.is_none_or(|key| !log.failures(key, self.at).is_empty());
                (Situation::NotPosted, is_its && log.fails_in(CallKind::Send, self.at, now))
            }
            CommandError::Unreadable { .. } => {
                let post_max = SignedDuration::try_from(POST_MAX).unwrap_or_default();
                let is_slow = now.duration_since(self.at) >= post_max;
                let fails = log.fails_in(CallKind::Ledger, self.at, now);
                (Situation::Unreadable, is_slow || fails)
            }
        };
        self.world.cover(situation);
        self.ensure(is_so, "unjustified", &format!("was told {error} at {now}"));
    }

    fn is_reserve(&self) -> bool {
        match &self.call.form {
            Form::Built { action, .. } => matches!(**action, Action::Reserve(_)),
            Form::Event { body, .. } => body.contains("inventory.reserve.v1"),
        }
    }
}

/// An answer, in a word.
struct Named<'a>(&'a Result<Answer, CommandError>);

impl std::fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Ok(Answer::Decided(decided)) => {
                let code = decided.outcome.rejection().map(|rejection| rejection.code.as_str());
                write!(f, "{} {}", decided.key.id, code.unwrap_or(decided.outcome.result_type()))
            }
            Ok(Answer::Pending { key, .. }) => write!(f, "{} pending", key.id),
            Err(error) => write!(f, "{error}"),
        }
    }
}
