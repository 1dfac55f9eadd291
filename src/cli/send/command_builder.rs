//! Commands made ready to be posted: checked, with a queue, a group and a trace.

use std::{io::Read as _, path::Path};

use anyhow::Context;

use super::{DeliveryArgs, SendCommand};
use crate::{
    adapters::system::{Random, SystemClock},
    cli::BadUsage,
    client::PreparedCommand,
    config::{AwsConfig, Environment},
    domain::{Action, CommandKey},
    message::{OutgoingCommand, TRACEPARENT, TRACESTATE, TraceContext, Undecodable},
    ports::{Clock as _, Entropy as _},
    telemetry::{Traces, traces::ProducerSpan},
};

/// Wrong lines of a file that are named; beyond, they are counted.
const WRONG_LINES_SHOWN_MAX: usize = 20;

/// A command with the queue it goes to.
pub(super) struct RoutedCommand {
    pub(super) command: PreparedCommand,
    pub(super) queue: String,
    pub(super) span: Option<ProducerSpan>,
}

/// The trace context of the process that started this one, from the environment
/// (<https://opentelemetry.io/docs/specs/otel/context/env-carriers/>).
pub(super) fn caller(environment: &dyn Environment) -> Option<TraceContext> {
    let read = |name: &str| environment.get(&name.to_ascii_uppercase())?.into_string().ok();
    let context: TraceContext = read(TRACEPARENT)?.parse().ok()?;
    Some(context.with_tracestate(read(TRACESTATE).as_deref()))
}

/// Prepares commands.
pub(super) struct CommandBuilder<'a> {
    pub(super) config: &'a AwsConfig,
    pub(super) delivery: &'a DeliveryArgs,
    pub(super) traces: Option<&'a Traces>,
    pub(super) caller: Option<TraceContext>,
}

impl CommandBuilder<'_> {
    /// The command of a subcommand's arguments.
    pub(super) fn prepare(&self, command: &SendCommand) -> anyhow::Result<RoutedCommand> {
        let address = command.address();
        let pool = address.pool().context("name a pool: --event or --store")?;
        let id = match &address.id {
            Some(id) => id.clone(),
            None => Random::new().uuid().to_string().parse()?,
        };
        let key = CommandKey { source: address.source.clone(), id };
        let action = command.action(key.default_reservation_id());
        let time = SystemClock.now();
        let queue = self.queue_for(&action);
        let span = self.span(&queue, &key, &action, self.caller.as_ref());
        let traceparent = self.context_of(span.as_ref());
        let deadline = address.expiry_time;
        let command = OutgoingCommand { key, time, deadline, pool, action, traceparent };
        let command =
            PreparedCommand::encode(&command, address.group.clone()).map_err(bad_command)?;
        Ok(RoutedCommand { command, queue, span })
    }

    /// A message, posted as it is. Where its body carries no trace context, the attributes do.
    fn prepare_body(&self, body: String) -> Result<RoutedCommand, BadUsage> {
        let prepared = PreparedCommand::from_body(body).map_err(bad_command)?;
        let parent = prepared.traceparent.as_ref().or(self.caller.as_ref());
        let queue = self.queue_for(&prepared.command.action);
        let span = self.span(&queue, &prepared.command.key, &prepared.command.action, parent);
        let command = prepared.with_trace(self.context_of(span.as_ref()).as_ref());
        Ok(RoutedCommand { command, queue, span })
    }

    /// What a command carries: its own span where traces are exported, or the caller's.
    fn context_of(&self, span: Option<&ProducerSpan>) -> Option<TraceContext> {
        span.and_then(ProducerSpan::context).or_else(|| self.caller.clone())
    }

    fn span(
        &self,
        queue: &str,
        key: &CommandKey,
        action: &Action,
        parent: Option<&TraceContext>,
    ) -> Option<ProducerSpan> {
        let command_type = action.command_type().as_str();
        self.traces.map(|traces| traces.producer_span(queue, key, command_type, parent))
    }

    /// Every line, or none where one of them is wrong.
    pub(super) fn read_file(&self, path: &Path) -> anyhow::Result<Vec<RoutedCommand>> {
        let shown = path.display();
        let text = if path == Path::new("-") {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("stdin")?;
            text
        } else {
            std::fs::read_to_string(path).with_context(|| format!("{shown}"))?
        };
        let (mut commands, mut wrong) = (Vec::new(), Vec::new());
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            match self.prepare_body(line.to_owned()) {
                Ok(command) => commands.push(command),
                Err(BadUsage(what)) => wrong.push(format!("line {}: {what}", index + 1)),
            }
        }
        if wrong.is_empty() {
            return Ok(commands);
        }
        if let Some(filter) = spread_over_lines(&text) {
            return Err(BadUsage(format!(
                "{shown}: nothing was sent: it is JSON over several lines, and a file has one \
                 message a line. `jq -c {filter} FILE` writes it so"
            ))
            .into());
        }
        let more = wrong.len().saturating_sub(WRONG_LINES_SHOWN_MAX);
        wrong.truncate(WRONG_LINES_SHOWN_MAX);
        if more > 0 {
            wrong.push(format!("and {more} more"));
        }
        let wrong = wrong.join("\n  ");
        Err(BadUsage(format!("{shown}: nothing was sent\n  {wrong}")).into())
    }

    fn queue_for(&self, action: &Action) -> String {
        let default = self.config.producer_queues().map(|(commands, restocks)| match action {
            Action::Restock(_) => restocks.as_str().to_owned(),
            _ => commands.as_str().to_owned(),
        });
        self.delivery.queue.clone().or(default).unwrap_or_default()
    }
}

/// For a text whose JSON values do not end with their lines, as editors and `jq` print them: the
/// filter of `jq` that gives one message a line.
fn spread_over_lines(text: &str) -> Option<&'static str> {
    let values = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
    let values: Vec<serde_json::Value> = values.collect::<Result<_, _>>().ok()?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    if values.is_empty() || lines.count() <= values.len() {
        return None;
    }
    Some(if values.iter().all(serde_json::Value::is_array) { "'.[]'" } else { "." })
}

fn bad_command(error: Box<Undecodable>) -> BadUsage {
    BadUsage(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{cli::OutputFormat, config::Flags};

    fn delivery() -> DeliveryArgs {
        DeliveryArgs {
            queue: None,
            wait: None,
            format: OutputFormat::default(),
            settings: Flags::none(),
        }
    }

    #[test]
    fn a_command_continues_the_trace_of_its_caller() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let environment: BTreeMap<&str, &str> =
            [("TRACEPARENT", parent), ("TRACESTATE", "a=1")].into();
        let (delivery, caller) = (delivery(), caller(&environment));
        let config = Flags::<AwsConfig>::none().load(&environment).unwrap();
        let builder = CommandBuilder { config: &config, delivery: &delivery, traces: None, caller };
        let body = |more: &str| {
            format!(
                r#"{{"specversion":"1.0","id":"1","source":"/s","type":"inventory.cancel.v1"{more},"data":{{"event_id":1,"reservation_id":"9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90"}}}}"#
            )
        };
        let sent = builder.prepare_body(body("")).unwrap();
        assert_eq!(sent.command.body, body(""), "it is sent as it is");
        let attributes = [("traceparent", parent), ("tracestate", "a=1")];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value.into()));
        assert_eq!(sent.command.attributes, attributes.into());
        let own =
            body(r#","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01""#);
        assert_eq!(builder.prepare_body(own).unwrap().command.attributes, BTreeMap::new());
    }

    #[test]
    fn nothing_goes_to_the_queue_of_expiries_unasked() {
        let delivery = delivery();
        let config = Flags::<AwsConfig>::none().load(&BTreeMap::new()).unwrap();
        let builder =
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
            assert_eq!(builder.prepare_body(body(kind, data)).unwrap().queue, queue, "{kind}");
        }
        let reserved = body("cancel", id).replace("/s\"", "/inventory-worker/sweeper\"");
        let Err(BadUsage(error)) = builder.prepare_body(reserved) else { panic!("taken") };
        assert!(error.contains("source") && error.contains("reserved to workers"), "{error}");
    }

    #[test]
    fn a_file_of_json_over_several_lines_gets_one_hint() {
        let message = r#"{"specversion":"1.0","id":"1","source":"/s","type":"inventory.cancel.v1","data":{"event_id":1}}"#;
        let message: serde_json::Value = serde_json::from_str(message).unwrap();
        let (delivery, file) = (delivery(), tempfile::NamedTempFile::new().unwrap());
        let config = Flags::<AwsConfig>::none().load(&BTreeMap::new()).unwrap();
        let builder =
            CommandBuilder { config: &config, delivery: &delivery, traces: None, caller: None };
        let pretty = format!("{message:#}\n{message:#}\n");
        let list = format!("{:#}", serde_json::json!([message, message]));
        for (text, filter) in [(pretty, "jq -c . FILE"), (list, "jq -c '.[]' FILE")] {
            std::fs::write(file.path(), text).unwrap();
            let error = builder.read_file(file.path()).err().unwrap().to_string();
            assert_eq!(error.lines().count(), 1, "{error}");
            assert!(error.contains("nothing was sent") && error.contains(filter), "{error}");
        }
        std::fs::write(file.path(), format!("{message}\n{{\n")).unwrap();
        let error = builder.read_file(file.path()).err().unwrap().to_string();
        assert!(error.contains("line 2: "), "{error}");
    }

    #[test]
    fn a_file_with_wrong_lines_says_which_and_sends_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let good = r#"{"specversion":"1.0","id":"1","source":"/s","type":"inventory.cancel.v1","data":{"event_id":1,"reservation_id":"9d1c2f6e-0b0a-4c58-8f2e-6a4f5d1c7b90"}}"#;
        std::fs::write(file.path(), format!("{good}\n\n{{}}\n{good}\nno JSON\n")).unwrap();
        let delivery = delivery();
        let config = Flags::<AwsConfig>::none().load(&BTreeMap::new()).unwrap();
        let builder =
            CommandBuilder { config: &config, delivery: &delivery, traces: None, caller: None };
        let error = builder.read_file(file.path()).err().unwrap();
        let error = error.to_string();
        assert!(error.contains("nothing was sent"), "{error}");
        assert!(error.contains("line 3: INVALID_MESSAGE"), "{error}");
        assert!(error.contains("line 5: INVALID_MESSAGE"), "{error}");
        assert!(!error.contains("line 1:") && !error.contains("line 4:"), "{error}");
        std::fs::write(file.path(), format!("{good}\n{good}\n")).unwrap();
        assert_eq!(builder.read_file(file.path()).unwrap().len(), 2);
    }
}
