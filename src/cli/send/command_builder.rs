//! Commands made ready to be posted: checked, with a queue, a group and a trace.

use std::{collections::BTreeMap, io::Read as _, path::Path};

use anyhow::Context;

use super::{DeliveryArgs, SendCommand};
use crate::{
    adapters::system::{Random, SystemClock},
    cli::BadUsage,
    config::{AwsConfig, Environment},
    domain::{Action, Command, CommandKey, GroupId},
    message::{self, Decoded, OutgoingCommand, TRACEPARENT, TRACESTATE, TraceContext},
    ports::{Clock as _, Entropy as _, OutgoingMessage},
    telemetry::{Traces, traces::Sending},
};

/// Wrong lines of a file that are named; beyond, they are counted.
const WRONG_LINES_SHOWN_MAX: usize = 20;

/// A command on its way, checked as the worker will check it.
pub(super) struct PreparedCommand {
    pub(super) command: Command,
    pub(super) queue: String,
    pub(super) group: GroupId,
    pub(super) body: String,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) span: Option<Sending>,
}

impl PreparedCommand {
    /// What it counts towards [`MESSAGE_BYTES_MAX`]: attributes with their names and types, too.
    pub(super) fn bytes(&self) -> usize {
        let of = |(name, value): (&String, &String)| name.len() + value.len() + "String".len();
        self.body.len() + self.attributes.iter().map(of).sum::<usize>()
    }

    pub(super) fn message(&self) -> OutgoingMessage {
        OutgoingMessage {
            group: self.group.clone(),
            body: self.body.clone(),
            deduplication_id: None,
            attributes: self.attributes.clone(),
        }
    }
}

/// The trace of whoever started this process, as the environment tells it
/// (<https://opentelemetry.io/docs/specs/otel/context/env-carriers/>).
pub(super) fn caller(environment: &dyn Environment) -> Option<TraceContext> {
    let read = |name: &str| environment.get(&name.to_ascii_uppercase())?.into_string().ok();
    let context: TraceContext = read(TRACEPARENT)?.parse().ok()?;
    Some(context.with_tracestate(read(TRACESTATE).as_deref()))
}

/// Where commands are made ready.
pub(super) struct CommandBuilder<'a> {
    pub(super) config: &'a AwsConfig,
    pub(super) delivery: &'a DeliveryArgs,
    pub(super) traces: Option<&'a Traces>,
    pub(super) caller: Option<TraceContext>,
}

impl CommandBuilder<'_> {
    pub(super) fn posting_of(&self, command: &SendCommand) -> anyhow::Result<PreparedCommand> {
        let address = command.address();
        let pool = address.pool().context("name a pool: --event or --store")?;
        let id = match &address.id {
            Some(id) => id.clone(),
            None => Random::new().uuid().to_string().parse()?,
        };
        let key = CommandKey { source: address.source.clone(), id };
        let action = command.action(key.default_reservation_id());
        let group = address.group.clone().unwrap_or_else(|| message::default_group(&pool, &action));
        let time = SystemClock.now();
        let queue = self.queue_for(&action);
        let span = self.span(&queue, &key, &action, self.caller.as_ref());
        let traceparent = span.as_ref().and_then(Sending::context).or_else(|| self.caller.clone());
        let body =
            message::encode_command(&OutgoingCommand { key, time, pool, action, traceparent });
        let command = read(&body)?.command;
        Ok(PreparedCommand { command, queue, group, body, attributes: BTreeMap::new(), span })
    }

    /// A message as it is. Its body stays so: the trace goes beside it, where the body tells none.
    fn posting_of_body(&self, body: String) -> Result<PreparedCommand, BadUsage> {
        let Decoded { command, traceparent } = read(&body)?;
        let parent = traceparent.as_ref().or(self.caller.as_ref());
        let queue = self.queue_for(&command.action);
        let span = self.span(&queue, &command.key, &command.action, parent);
        let beside = match traceparent {
            Some(_) => None,
            None => span.as_ref().and_then(Sending::context).or_else(|| self.caller.clone()),
        };
        let attributes = beside.iter().flat_map(|context| {
            let state = context.tracestate().map(|state| (TRACESTATE.to_owned(), state.to_owned()));
            [(TRACEPARENT.to_owned(), context.to_string())].into_iter().chain(state)
        });
        let attributes = attributes.collect();
        let group = message::default_group(&command.pool, &command.action);
        Ok(PreparedCommand { command, queue, group, body, attributes, span })
    }

    fn span(
        &self,
        queue: &str,
        key: &CommandKey,
        action: &Action,
        parent: Option<&TraceContext>,
    ) -> Option<Sending> {
        let command_type = action.command_type().as_str();
        self.traces.map(|traces| traces.sending(queue, key, command_type, parent))
    }

    /// Every line, or none where one of them is wrong.
    pub(super) fn read_file(&self, path: &Path) -> anyhow::Result<Vec<PreparedCommand>> {
        let shown = path.display();
        let text = if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("stdin")?;
            text
        } else {
            std::fs::read_to_string(path).with_context(|| format!("{shown}"))?
        };
        let (mut postings, mut wrong) = (Vec::new(), Vec::new());
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            match self.posting_of_body(line.to_owned()) {
                Ok(posting) => postings.push(posting),
                Err(BadUsage(what)) => wrong.push(format!("line {}: {what}", index + 1)),
            }
        }
        if wrong.is_empty() {
            return Ok(postings);
        }
        let more = wrong.len().saturating_sub(WRONG_LINES_SHOWN_MAX);
        wrong.truncate(WRONG_LINES_SHOWN_MAX);
        if more > 0 {
            wrong.push(format!("and {more} more"));
        }
        let wrong = wrong.join("\n  ");
        Err(BadUsage(format!("{shown}: nothing was sent\n  {wrong}")).into())
    }

    /// Restocks go to the second queue of producers where there is one, so that they never delay a sale.
    fn queue_for(&self, action: &Action) -> String {
        let is_restock = matches!(action, Action::Restock(_));
        let queues = self.config.command_queues();
        let second = queues.get(1).filter(|_| is_restock);
        let default = second.or(queues.first()).map(|queue| queue.as_str().to_owned());
        self.delivery.queue.clone().or(default).unwrap_or_default()
    }
}

/// Reads the body as the worker will.
fn read(body: &str) -> Result<Decoded, BadUsage> {
    message::decode_from_producer(body).map_err(|refused| {
        BadUsage(format!("{}: {}", refused.rejection.code.as_str(), refused.rejection.message))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;

    fn delivery() -> DeliveryArgs {
        DeliveryArgs { queue: None, wait: None, json: false, settings: Flags::none() }
    }

    #[test]
    fn a_command_continues_the_trace_of_whoever_sends_it() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let environment: BTreeMap<&str, &str> =
            [("TRACEPARENT", parent), ("TRACESTATE", "a=1")].into();
        let (delivery, caller) = (delivery(), caller(&environment));
        let config = Flags::<AwsConfig>::none().load(&environment).unwrap();
        let counter = CommandBuilder { config: &config, delivery: &delivery, traces: None, caller };
        let body = |more: &str| {
            format!(
                r#"{{"specversion":"1.0","id":"1","source":"/s","type":"inventory.cancel.v1"{more},"data":{{"event_id":1,"reservation_id":"9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90"}}}}"#
            )
        };
        let posting = counter.posting_of_body(body("")).unwrap();
        assert_eq!(posting.body, body(""), "it is sent as it is");
        let attributes = [("traceparent", parent), ("tracestate", "a=1")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(posting.attributes, attributes.into());
        let own =
            body(r#","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01""#);
        assert_eq!(counter.posting_of_body(own).unwrap().attributes, BTreeMap::new());
    }

    #[test]
    fn nothing_goes_to_the_queue_of_expiries_unasked() {
        let delivery = delivery();
        let config = Flags::<AwsConfig>::none().load(&BTreeMap::new()).unwrap();
        let counter =
            CommandBuilder { config: &config, delivery: &delivery, traces: None, caller: None };
        let body = |kind: &str, data: &str| {
            format!(
                r#"{{"specversion":"1.0","id":"1","source":"/s","type":"inventory.{kind}.v1","data":{{"event_id":1,{data}}}}}"#
            )
        };
        let id = r#""reservation_id":"9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90""#;
        for (kind, data, queue) in [
            ("cancel", id, "inventory-commands.fifo"),
            ("expire", id, "inventory-commands.fifo"),
            ("restock", r#""seats":[{"seat_number":"A-1"}]"#, "inventory-restock.fifo"),
        ] {
            assert_eq!(counter.posting_of_body(body(kind, data)).unwrap().queue, queue, "{kind}");
        }
        let reserved = body("cancel", id).replace("/s\"", "/inventory-worker/sweeper\"");
        let Err(BadUsage(told)) = counter.posting_of_body(reserved) else { panic!("taken") };
        assert!(told.contains("source") && told.contains("reserved to workers"), "{told}");
    }

    #[test]
    fn a_file_with_wrong_lines_says_which_and_sends_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let good = r#"{"specversion":"1.0","id":"1","source":"/s","type":"inventory.cancel.v1","data":{"event_id":1,"reservation_id":"9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90"}}"#;
        std::fs::write(file.path(), format!("{good}\n\n{{}}\n{good}\nno JSON\n")).unwrap();
        let delivery = delivery();
        let config = Flags::<AwsConfig>::none().load(&BTreeMap::new()).unwrap();
        let counter =
            CommandBuilder { config: &config, delivery: &delivery, traces: None, caller: None };
        let error = counter.read_file(file.path()).err().unwrap();
        let error = error.to_string();
        assert!(error.contains("nothing was sent"), "{error}");
        assert!(error.contains("line 3: INVALID_MESSAGE"), "{error}");
        assert!(error.contains("line 5: INVALID_MESSAGE"), "{error}");
        assert!(!error.contains("line 1:") && !error.contains("line 4:"), "{error}");
        std::fs::write(file.path(), format!("{good}\n{good}\n")).unwrap();
        assert_eq!(counter.read_file(file.path()).unwrap().len(), 2);
    }
}
