//! What `dlq` prints.

use serde_json::{Value, json};

use super::{Done, Task};
use crate::{
    cli::CliContext,
    dlq::{DeadLetter, Disposition, Ended, Handled, Run},
    terminal::{Style, Table, printable},
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
    let style = context.out.style();
    for Done { queue, run } in done {
        context.out.line(&style.heading(queue))?;
        match task {
            Task::List => list(run, context)?,
            Task::Show => {
                for handled in &run.handled {
                    context.out.write(&one(&handled.letter, style))?;
                }
            }
            Task::Redrive | Task::Discard => {
                for handled in &run.handled {
                    context.out.line(&fate(handled, style))?;
                }
                let is_moved = |one: &&Handled| {
                    matches!(one.fate, Disposition::Redriven { .. } | Disposition::Discarded)
                };
                let moved = run.handled.iter().filter(is_moved).count();
                let word = if task == Task::Redrive { "sent back" } else { "discarded" };
                context.out.line(&format!("{moved} of {} {word}", run.handled.len()))?;
            }
        }
        remarks(run, context)?;
    }
    for id in missing {
        context.out.line(&format!("{}  {}", style.bad("not found"), printable(id)))?;
    }
    Ok(())
}

fn list(run: &Run, context: &CliContext) -> std::io::Result<()> {
    if run.handled.is_empty() {
        return context.out.line("no dead letters");
    }
    let mut table = Table::new(&["id", "group", "reason", "first sent", "bytes", "detail"]);
    for Handled { letter, .. } in &run.handled {
        table.row([
            &letter.id,
            &letter.group,
            &letter.reason,
            &letter.first_sent_at.to_string(),
            &letter.bytes.to_string(),
            letter.detail.as_deref().unwrap_or("-"),
        ]);
    }
    context.out.table(&table)
}

/// Everything about a dead letter, its body last.
fn one(letter: &DeadLetter, style: Style) -> String {
    let unknown = || "-".to_owned();
    let fields = [
        ("group", letter.group.clone()),
        ("reason", letter.reason.clone()),
        ("detail", letter.detail.clone().unwrap_or_else(unknown)),
        ("first sent", letter.first_sent_at.to_string()),
        ("dead since", letter.dead_since.to_string()),
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
        Disposition::Redriven { message_id } => {
            format!("{}  now {}", style.good("sent back"), printable(message_id))
        }
        Disposition::Discarded => style.good("discarded"),
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
