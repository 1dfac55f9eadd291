//! What `dlq` prints.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Done, Task};
use crate::{
    cli::CliContext,
    dlq::{DeadLetter, Disposition, Ended, Handled, Run},
    terminal::{Style, counted, printable},
};

pub(super) fn as_json(done: &[Done], missing: &[String]) -> Value {
    let queues: Vec<Value> = done
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
    json!({ "queues": queues, "missing": missing })
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

pub(super) fn print(
    task: Task,
    done: &[Done],
    missing: &[String],
    context: &CliContext,
) -> std::io::Result<()> {
    let (out, style) = (&context.out, context.out.style());
    for (place, Done { queue, run }) in done.iter().enumerate() {
        if place > 0 {
            out.line("")?;
        }
        let count = u64::try_from(run.handled.len()).unwrap_or(u64::MAX);
        out.line(&format!("{}: {}", style.heading(queue), counted(count, "dead letter")))?;
        for handled in &run.handled {
            match task {
                Task::List => out.write(&listed(&handled.letter, style))?,
                Task::Show => out.write(&one(&handled.letter, style))?,
                Task::WouldRedrive | Task::Redrive | Task::Discard => {
                    out.line(&fate(handled, style))?;
                }
            }
        }
        remarks(run, context)?;
    }
    for id in missing {
        out.line(&format!("{}  {}", style.bad("not found"), printable(id)))?;
    }
    out.line("")?;
    let all: Vec<&Handled> = done.iter().flat_map(|done| &done.run.handled).collect();
    match task {
        Task::List | Task::Show => totals(&all, context),
        Task::WouldRedrive | Task::Redrive | Task::Discard => {
            let not_seen: u64 = done.iter().filter_map(|done| done.run.behind).sum();
            out.line(&last_line(task, &all, not_seen))
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
fn totals(all: &[&Handled], context: &CliContext) -> std::io::Result<()> {
    let count = u64::try_from(all.len()).unwrap_or(u64::MAX);
    if all.is_empty() {
        return context.out.line("no dead letters");
    }
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

/// What was done, what was not, and what was not looked at.
fn last_line(task: Task, all: &[&Handled], not_seen: u64) -> String {
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
    if not_seen > 0 {
        words.push(format!("about {not_seen} not looked at"));
    }
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
        Disposition::Refused { why } => format!("{}  {}", style.warn("refused"), why.explanation()),
        Disposition::NotSent { what } => format!("{}  {}", style.bad("not sent"), printable(what)),
        Disposition::NotDeleted { what, sent: true } => format!(
            "{}  and still here, which takes effect once: redrive or discard it again ({})",
            style.warn("sent back"),
            printable(what)
        ),
        Disposition::NotDeleted { what, sent: false } => {
            format!("{}  {}", style.bad("not discarded"), printable(what))
        }
    };
    format!("{}  {text}", printable(&letter.id))
}

/// Prints which dead letters were not seen, and why.
fn remarks(run: &Run, context: &CliContext) -> std::io::Result<()> {
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
            "about {behind} more not looked at: of a group, those behind its first ten come into \
             sight once these are sent back or discarded"
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
