//! What `dlq` prints.

use std::{collections::BTreeMap, io};

use serde_json::{Value, json};

use super::{Asked, Done, Task};
use crate::{
    cli::CliContext,
    dlq::{DeadLetter, Disposition, Ended, Handled, Run},
    terminal::{Style, counted, printable, wrapped},
};

/// What `dlq` did, and what it did not see.
pub(super) struct Report<'a> {
    pub(super) task: Task,
    pub(super) asked: Asked,
    /// The queues that were to be looked at: one that fails ends the run.
    pub(super) queues: usize,
    pub(super) done: &'a [Done],
    /// Ids that no queue has.
    pub(super) missing: &'a [String],
}

fn ended(ended: &Ended) -> &'static str {
    match ended {
        Ended::Complete => "complete",
        Ended::Limit => "limit",
        Ended::Time => "time",
        Ended::Stopped => "stopped",
        Ended::Failed(_) => "failed",
    }
}

impl Report<'_> {
    pub(super) fn json(&self) -> Value {
        let queues: Vec<Value> = self
            .done
            .iter()
            .map(|Done { queue, run }| {
                json!({
                    "queue": queue,
                    "dead_letters": run.handled,
                    "behind": run.behind,
                    "elsewhere": run.elsewhere,
                    "ended": ended(&run.ended),
                    "still_leased": run.still_leased,
                })
            })
            .collect();
        json!({ "queues": queues, "missing": self.missing })
    }

    pub(super) fn print(&self, context: &CliContext) -> io::Result<()> {
        let (out, style) = (&context.out, context.out.style());
        for (place, Done { queue, run }) in self.done.iter().enumerate() {
            if place > 0 {
                out.line("")?;
            }
            let count = u64::try_from(run.handled.len()).unwrap_or(u64::MAX);
            out.line(&format!("{}: {}", style.heading(queue), counted(count, "dead letter")))?;
            for handled in &run.handled {
                match self.task {
                    Task::List => out.write(&listed(&handled.letter, style))?,
                    Task::Show => out.write(&one(&handled.letter, style))?,
                    Task::WouldRedrive | Task::Redrive | Task::Discard => {
                        out.line(&fate(handled, style))?;
                    }
                }
            }
            remarks(run, context)?;
        }
        for id in self.missing {
            out.line(&format!("{}  {}", style.bad("not found"), printable(id)))?;
        }
        out.line("")?;
        let all: Vec<&Handled> = self.done.iter().flat_map(|done| &done.run.handled).collect();
        match self.task {
            Task::List | Task::Show if all.is_empty() => out.line(&self.none()),
            Task::List | Task::Show => {
                totals(&all, context)?;
                self.unseen().map_or(Ok(()), |unseen| out.line(&unseen))
            }
            Task::WouldRedrive | Task::Redrive | Task::Discard => {
                let mut words = vec![last_line(self.task, &all)];
                words.extend(self.unseen());
                out.line(&words.join(", "))
            }
        }
    }

    /// Where no dead letter was shown: that there is none only if all were looked at.
    fn none(&self) -> String {
        let what = match self.asked {
            Asked::All => "no dead letters",
            Asked::OfReason => "no dead letters of this reason",
            Asked::ByIds => "no dead letters of these ids",
        };
        match self.unseen() {
            Some(unseen) => format!("{what} seen, {unseen}"),
            None => what.to_owned(),
        }
    }

    /// What was not looked at, unless all ids were found: behind others of its group, beyond the
    /// limit, leased elsewhere, or in a queue whose run did not come to its end.
    fn unseen(&self) -> Option<String> {
        let runs = || self.done.iter().map(|done| &done.run);
        let count: u64 =
            runs().map(|run| run.behind.unwrap_or(0) + run.elsewhere.unwrap_or(0)).sum();
        if self.asked == Asked::ByIds && self.missing.is_empty() {
            return None;
        }
        let is_through = |run: &Run| {
            matches!(run.ended, Ended::Complete | Ended::Limit)
                && run.behind.is_some()
                && run.elsewhere.is_some()
        };
        let is_whole = self.done.len() == self.queues && runs().all(is_through);
        match (count, is_whole) {
            (0, true) => None,
            (0, false) => Some("not all queues looked through".to_owned()),
            (count, true) => Some(format!("about {count} not looked at")),
            (count, false) => {
                Some(format!("about {count} not looked at, and not all queues looked through"))
            }
        }
    }
}

/// Three lines of at most 80 columns, as far as names allow.
fn listed(letter: &DeadLetter, style: Style) -> String {
    let text = |text: &Option<String>| text.as_deref().map_or("-".to_owned(), printable);
    let mut lines = format!(
        "{}  {}  {:.3}\n  {}  {}  {}\n",
        printable(&letter.id),
        style.bad(&printable(&letter.reason)),
        letter.first_sent_at,
        text(&letter.command_source),
        text(&letter.command_id),
        text(&letter.command_type),
    );
    let detail = letter.detail.as_deref().map(|detail| format!(": {}", printable(detail)));
    let group = printable(&letter.group);
    lines.push_str(&format!("  group {group}{}\n", detail.unwrap_or_default()));
    lines
}

/// How many there are, by reason and by source.
fn totals(all: &[&Handled], context: &CliContext) -> io::Result<()> {
    let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
    let by = |name: fn(&DeadLetter) -> &str| {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for one in all {
            *counts.entry(name(&one.letter)).or_default() += 1;
        }
        let words = counts.iter().map(|(name, count)| format!("{count} {}", printable(name)));
        words.collect::<Vec<_>>().join(", ")
    };
    let reasons = by(|letter| &letter.reason);
    let sources = by(|letter| letter.command_source.as_deref().unwrap_or("of no known source"));
    context.out.line(&format!("{}: {reasons}", counted(count, "dead letter")))?;
    context.out.line(&format!("from: {sources}"))
}

/// What was done, and what was not.
fn last_line(task: Task, all: &[&Handled]) -> String {
    let count = |is: fn(&Disposition) -> bool| {
        u64::try_from(all.iter().filter(|one| is(&one.fate)).count()).unwrap_or(u64::MAX)
    };
    let done = count(|fate| {
        matches!(
            fate,
            Disposition::Redriven { .. } | Disposition::Discarded | Disposition::WouldRedrive
        )
    });
    let verb = match task {
        Task::Discard => "discarded",
        Task::WouldRedrive => "would be sent back",
        Task::Redrive | Task::List | Task::Show => "sent back",
    };
    let mut words = vec![format!("{} {verb}", counted(done, "dead letter"))];
    let others: [(u64, &str); 4] = [
        (count(|fate| matches!(fate, Disposition::Refused { .. })), "refused"),
        (count(|fate| matches!(fate, Disposition::NotSent { .. })), "not sent"),
        (
            count(|fate| matches!(fate, Disposition::NotDeleted { sent: true, .. })),
            "sent back and still here",
        ),
        (
            count(|fate| matches!(fate, Disposition::NotDeleted { sent: false, .. })),
            "not discarded",
        ),
    ];
    words.extend(others.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
    words.join(", ")
}

/// Everything about a dead letter, its body last.
fn one(letter: &DeadLetter, style: Style) -> String {
    let unknown = || "-".to_owned();
    let fields = [
        ("source", letter.command_source.clone().unwrap_or_else(unknown)),
        ("command", letter.command_id.clone().unwrap_or_else(unknown)),
        ("type", letter.command_type.clone().unwrap_or_else(unknown)),
        ("group", letter.group.clone()),
        ("reason", letter.reason.clone()),
        ("detail", letter.detail.clone().unwrap_or_else(unknown)),
        ("first sent", format!("{:.3}", letter.first_sent_at)),
        ("dead since", format!("{:.3}", letter.dead_since)),
        ("source queue", letter.source_queue.clone().unwrap_or_else(unknown)),
        ("original id", letter.original_message_id.clone().unwrap_or_else(unknown)),
        ("bytes", letter.bytes.to_string()),
    ];
    let mut text = format!("{}\n", style.heading(&printable(&letter.id)));
    for (name, value) in fields {
        text.push_str(&format!("  {name:<14}{}\n", printable(&value)));
    }
    for line in letter.body.iter().flat_map(|body| body.lines()) {
        text.push_str(&format!("  | {}\n", printable(line)));
    }
    text
}

fn fate(Handled { letter, fate }: &Handled, style: Style) -> String {
    let text = match fate {
        Disposition::Seen => "seen".to_owned(),
        Disposition::WouldRedrive => style.good("would be sent back"),
        Disposition::Redriven { message_id } => {
            format!("{}  now {}", style.good("sent back"), printable(message_id))
        }
        Disposition::Discarded => style.good("discarded"),
        Disposition::WouldRewrite => style.good("would be rewritten"),
        Disposition::Rewritten { message_id } => {
            format!("{}  {}", style.good("rewritten"), printable(message_id))
        }
        Disposition::Refused { why } => {
            format!("{}{}", style.warn("refused"), below(&why.explanation()))
        }
        Disposition::NotSent { what } => format!("{}{}", style.bad("not sent"), below(what)),
        Disposition::NotDeleted { what, sent: true } => {
            let what = format!(
                "and still here, which takes effect once: redrive or discard it again ({what})"
            );
            format!("{}{}", style.warn("sent back"), below(&what))
        }
        Disposition::NotDeleted { what, sent: false } => {
            format!("{}{}", style.bad("not discarded"), below(what))
        }
    };
    format!("{}  {text}", printable(&letter.id))
}

/// A sentence in the lines below, of 80 columns.
fn below(sentence: &str) -> String {
    format!("\n  {}", wrapped(&printable(sentence), 78, 2))
}

/// Prints which dead letters were not seen, and why.
fn remarks(run: &Run, context: &CliContext) -> io::Result<()> {
    let style = context.out.style();
    let warn = |text: &str| context.out.line(&style.warn(text));
    match &run.ended {
        Ended::Complete | Ended::Failed(_) => {}
        Ended::Limit => warn("looked at as many as --limit allows")?,
        Ended::Time => warn("ended, as the leases would have run out: repeat it for the rest")?,
        Ended::Stopped => warn("stopped before it was through")?,
    }
    if let Some(behind) = run.behind.filter(|behind| *behind > 0) {
        warn(&format!(
            "about {behind} more not looked at: those behind the first ten of a group come\n\
             into sight once these are sent back or discarded"
        ))?;
    }
    if let Some(elsewhere) = run.elsewhere.filter(|elsewhere| *elsewhere > 0) {
        warn(&format!("about {elsewhere} more are leased elsewhere: is another `dlq` running?"))?;
    }
    if run.still_leased > 0 {
        let count = run.still_leased;
        warn(&format!("{count} could not be given back and come into sight in some minutes"))?;
    }
    Ok(())
}
