//! Commands of callers: first ones, repetitions, reuses of a key, and what must be refused.

use std::time::Duration;

use serde_json::Value;

use super::{Call, Due, Form, REFUSED, Turn, UNKNOWN, Who, digest_of, event_of, key_of, set};
use crate::{
    fault::{CRASH_TRIGGER, Fault, POISON},
    profile::Profile,
    rng::{happens, one_of},
    workload::{Maker, Posting, key, then},
};
use inventory_worker::{
    domain::{
        Action, Cancel, CommandKey, Confirm, GroupId, PoolId, ReservationId, Restock, RestockMode,
    },
    message,
};

impl Maker {
    /// A command, and what its caller does after it: it asks again, with the same or with other
    /// content, at this or another gateway, or goes on to the next command.
    pub(super) fn calls(
        &mut self,
        turn: Turn,
        profile: &Profile,
        postings: &[Posting],
    ) -> Vec<Call> {
        let mut first = match self.rng.u32(0..20) {
            0..=3 => self.refused(turn),
            4..=5 => self.posted(turn, postings),
            _ => None,
        }
        .unwrap_or_else(|| self.call(turn));
        if happens(&mut self.rng, profile.rate(Fault::CallerGone)) {
            first.leaves_after = Some(Duration::from_millis(self.rng.u64(0..=1_500)));
        }
        let mut calls = vec![first.clone()];
        let retries = match self.rng.u32(0..8) {
            0..=3 => 0,
            4..=6 => 1,
            _ => self.rng.usize(2..=3),
        };
        for _ in 0..retries {
            let mut again = first.clone();
            again.pause = Duration::from_millis(self.rng.u64(0..=3_000));
            again.gateway = self.rng.usize(0..profile.gateways.settings.len().max(1));
            again.leaves_after = None;
            again.wait = self.wait();
            if self.rng.u32(0..4) == 0 {
                self.change_content(&mut again);
            }
            calls.push(again);
        }
        if let (Form::Built { pool, action, .. }, Due::Passed) = (&first.form, first.due)
            && let Action::Reserve(reserve) = &**action
            && self.rng.u32(0..3) == 0
        {
            let (pool, id) = (pool.clone(), reserve.reservation_id);
            calls.push(self.next_command(turn, pool, id));
        }
        calls
    }

    fn wait(&mut self) -> Duration {
        Duration::from_millis(match self.rng.u32(0..6) {
            0 => self.rng.u64(0..=100),
            1..=3 => self.rng.u64(500..=4_000),
            _ => self.rng.u64(4_000..=20_000),
        })
    }

    fn call(&mut self, turn: Turn) -> Call {
        let Turn { number, gateway, at } = turn;
        let who = if self.rng.bool() { Who::Local } else { Who::Shop };
        let key = key_of(who, &format!("g-{number}"));
        let (pool, action, group) = match self.rng.u32(0..100) {
            0..=44 => self.reserve(&key),
            45..=59 => self.confirm(),
            60..=69 => self.cancel(),
            70..=77 => self.extend(),
            78..=87 => self.modify(),
            88..=91 => self.fulfil(),
            92 => self.first_seat(),
            _ => self.restock(number, at),
        };
        let group = Some(group).filter(|_| self.rng.u32(0..3) == 0);
        let has_key = self.rng.u32(0..6) > 0;
        let digest = digest_of(&pool, &action);
        let form = match self.rng.u32(0..3) {
            0 => self.event(Some(key).filter(|_| has_key), &pool, &action),
            _ => Form::Built {
                key: Some(key).filter(|_| has_key),
                pool,
                action: Box::new(action),
                group,
            },
        };
        let wait = self.wait();
        // A reservation may be asked for in a pool of the other kind, with its seats.
        let due = if digest.is_some() { Due::Passed } else { Due::Invalid };
        let (pause, leaves_after) = (Duration::ZERO, None);
        Call { pause, gateway, who, form, digest, wait, leaves_after, due }
    }

    /// Makes the event that nothing is known of.
    fn first_seat(&mut self) -> (PoolId, Action, GroupId) {
        let number = "A-1".parse().unwrap_or_else(|_| unreachable!("a seat's number is plain"));
        let change = self.seat_change(number);
        let restock = Restock::new(vec![change], Vec::new(), RestockMode::Add);
        let pool = PoolId::Event(UNKNOWN);
        let group = message::default_group(&pool, &Action::Restock(restock.clone()));
        (pool, Action::Restock(restock), group)
    }

    /// The next command on a reservation.
    fn next_command(&mut self, turn: Turn, pool: PoolId, id: ReservationId) -> Call {
        let Turn { number, gateway, .. } = turn;
        let action = match self.rng.u32(0..3) {
            0 => Action::Cancel(Cancel::new(id)),
            _ => {
                let booking = "b1".parse();
                let booking = booking.unwrap_or_else(|_| unreachable!("a booking's name is plain"));
                Action::Confirm(Confirm::new(id, booking))
            }
        };
        let key = Some(key_of(Who::Local, &format!("g-{number}-next")));
        let digest = digest_of(&pool, &action);
        let (pause, wait) = (Duration::from_millis(self.rng.u64(0..=2_000)), self.wait());
        let form = Form::Built { key, pool, action: Box::new(action), group: None };
        let (who, leaves_after, due) = (Who::Local, None, Due::Passed);
        Call { pause, gateway, who, form, digest, wait, leaves_after, due }
    }

    /// As an event, with or without what the gateway adds.
    fn event(&mut self, key: Option<CommandKey>, pool: &PoolId, action: &Action) -> Form {
        let mut event = event_of(key.as_ref(), pool, action);
        if let Some(fields) = event.as_object_mut() {
            if self.rng.bool() {
                fields.remove("time");
            }
            if self.rng.u32(0..4) == 0 {
                let key = format!("event-1/p{}", self.rng.u32(0..3));
                fields.insert("partitionkey".to_owned(), key.into());
            }
            if self.rng.u32(0..4) == 0 {
                let ahead = self.rng.i64(-5_000..=60_000);
                let at = then(Duration::from_secs(20), ahead);
                fields.insert("expirytime".to_owned(), at.to_string().into());
            }
        }
        Form::Event { key, body: event.to_string() }
    }

    /// What a gateway must not post.
    fn refused(&mut self, turn: Turn) -> Option<Call> {
        let id = format!("{REFUSED}{}", turn.number);
        let mut call = self.call(turn);
        let (pool, action, _) = self.cancel();
        let who = call.who;
        let event = |key: CommandKey, alter: &dyn Fn(&mut Value)| {
            let mut event = event_of(Some(&key), &pool, &action);
            alter(&mut event);
            Form::Event { key: Some(key), body: event.to_string() }
        };
        let built = |key: CommandKey, action: &Action| Form::Built {
            key: Some(key),
            pool: pool.clone(),
            action: Box::new(action.clone()),
            group: None,
        };
        (call.form, call.due) = match self.rng.u32(0..8) {
            0 => {
                let body = format!("{{\"id\":\"{id}\",\"source\":\"/web\",\"specversion\":");
                (Form::Event { key: None, body }, Due::Invalid)
            }
            1 => {
                let unknown = |event: &mut Value| set(event, "type", "inventory.teleport.v1");
                (event(key_of(who, &id), &unknown), Due::Invalid)
            }
            2 => {
                let lacking = |event: &mut Value| {
                    if let Some(data) = event.get_mut("data").and_then(Value::as_object_mut) {
                        data.remove("reservation_id");
                    }
                };
                (event(key_of(who, &id), &lacking), Due::Invalid)
            }
            3 => (event(key("/inventory-worker/sweeper", &id), &|_| ()), Due::Invalid),
            4 => {
                let (_, expire, _) = self.expire();
                (built(key_of(who, &id), &expire), Due::Invalid)
            }
            5 => {
                call.who = if self.rng.bool() { Who::Reader } else { Who::Nobody };
                (built(key_of(call.who, &id), &action), Due::NoScope)
            }
            6 => {
                call.who = Who::Shop;
                (built(key("/app", &id), &action), Due::Foreign)
            }
            _ => {
                let bad = |event: &mut Value| set(event, "expirytime", "soon");
                (event(key_of(who, &id), &bad), Due::Invalid)
            }
        };
        call.digest = None;
        Some(call)
    }

    /// A command that another producer posts, too, with the same content or with other.
    fn posted(&mut self, turn: Turn, postings: &[Posting]) -> Option<Call> {
        let gateway = turn.gateway;
        let body = one_of(&mut self.rng, postings)?.message.body.clone();
        let command = message::decode(&body).ok()?.command;
        let id = command.key.id.as_str();
        let is_apart = id.starts_with(POISON) || id.starts_with(CRASH_TRIGGER);
        if is_apart || matches!(command.action, Action::Expire(_)) {
            return None;
        }
        let digest = digest_of(&command.pool, &command.action);
        let form = Form::Built {
            key: Some(command.key),
            pool: command.pool,
            action: Box::new(command.action),
            group: None,
        };
        let (pause, wait) = (Duration::ZERO, self.wait());
        let (who, leaves_after, due) = (Who::Local, None, Due::Passed);
        Some(Call { pause, gateway, who, form, digest, wait, leaves_after, due })
    }

    /// The same identity for a cancel of any reservation.
    fn change_content(&mut self, call: &mut Call) {
        if call.due != Due::Passed || call.form.key().is_none() {
            return;
        }
        let (pool, action, _) = self.cancel();
        call.digest = digest_of(&pool, &action);
        let key = call.form.key().cloned();
        call.form = Form::Built { key, pool, action: Box::new(action), group: None };
    }
}
