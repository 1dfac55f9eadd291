//! The demo's summary, as JSON and as text.

use std::{collections::BTreeMap, io};

use serde::Serialize;

use super::{expectations::result, scenes::Scene};
use crate::{
    domain::SeatStatus,
    terminal::{Output, Table, counted, wrapped},
};

/// The results of the demo.
#[derive(Clone, Debug, Serialize)]
pub struct DemoSummary {
    /// Commands that were sent, expiries included; each must have one outcome.
    pub commands: u64,
    /// Commands by the type of their result.
    pub outcomes: BTreeMap<String, u64>,
    /// Rejected commands by code.
    pub rejections: BTreeMap<String, u64>,
    /// Calls of the worker and sweeper by port call.
    pub calls: BTreeMap<&'static str, u64>,
    /// The total of these calls divided by the commands.
    pub calls_per_command: f64,
    /// The result of the audit of the tables.
    pub audit: AuditSummary,
    /// The median time from sending a command to reading its result, ms.
    pub p50_ms: f64,
    /// The 99th percentile of the same time, ms.
    pub p99_ms: f64,
    /// What was sent: commands, repetitions of commands, and messages that are not commands.
    pub messages: u64,
    /// Repetitions among them.
    pub repeated: u64,
    /// Commands that shared a message with others of their group.
    pub shared: u64,
    /// Messages that are not commands and carry no identity, so that they have no result.
    pub unreadable: u64,
    /// Repetitions that the ledger answered.
    pub replays: u64,
    /// Transactions that met a concurrent change and were decided again.
    pub conflicts: u64,
    /// Messages in the dead-letter queues at the end.
    pub dead_letters: usize,
    /// Seats of the event by status at the end.
    pub seats: BTreeMap<SeatStatus, u64>,
    /// From the first command to the last result.
    pub seconds: f64,
    /// The problems; empty if all is well.
    pub problems: Vec<String>,
    /// The scenes that were played.
    #[serde(skip)]
    pub scenes: Vec<Scene>,
}

/// The result of the audit of the tables.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AuditSummary {
    /// Broken invariants.
    pub violations: u64,
    /// Contradictions that kept changing while they were checked; 0 on quiet tables.
    pub unsettled: u64,
    /// Items that were read.
    pub items: u64,
}

/// The backends of the ports.
const PORTS: &str = "Here sqs, sns and redis are in memory, and dynamodb is a server in this process.\n\
                     The sweeper's calls are among them, and what waiting for locks cost.";

/// The display order of outcomes: rejections, which are listed by code, come last.
const ORDER: [&str; 6] = [
    result::RESTOCKED,
    result::RESERVED,
    result::CONFIRMED,
    result::CANCELLED,
    result::EXPIRED,
    result::REJECTED,
];

impl DemoSummary {
    /// Whether every outcome was as expected, and the audit is clean.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty() && self.audit.violations == 0
    }

    /// Writes it as text.
    ///
    /// # Errors
    ///
    /// The output cannot be written.
    pub fn print(&self, out: &Output) -> io::Result<()> {
        let style = out.style();
        out.line(&format!("\n{}\n", style.heading("What happened, and what it shows")))?;
        for scene in &self.scenes {
            let mark = if scene.went_well { style.good("✓") } else { style.bad("✗") };
            let title = style.heading(&format!("{:<15}", scene.title));
            out.line(&format!("{mark} {title} {}\n", wrapped(&scene.description, 60, 18)))?;
        }
        self.print_outcomes(out)?;
        self.print_calls(out)?;
        self.print_verdict(out)
    }

    fn print_outcomes(&self, out: &Output) -> io::Result<()> {
        let mut table = Table::new(&["outcome", "commands"]);
        for result_type in ORDER {
            if let Some(count) = self.outcomes.get(result_type) {
                table.row([result_type.to_owned(), count.to_string()]);
            }
        }
        for (code, count) in &self.rejections {
            table.row([format!("  {code}"), count.to_string()]);
        }
        table.row(["all, each exactly once".to_owned(), self.commands.to_string()]);
        out.table(&table)?;
        out.line("")
    }

    fn print_calls(&self, out: &Output) -> io::Result<()> {
        let mut table = Table::new(&["port call", "calls", "per command"]);
        for (call, count) in &self.calls {
            table.row([(*call).to_owned(), count.to_string(), self.per_command(*count)]);
        }
        let total: u64 = self.calls.values().sum();
        table.row(["all".to_owned(), total.to_string(), self.per_command(total)]);
        out.table(&table)?;
        out.line(&out.style().faint(PORTS))?;
        out.line("")
    }

    fn per_command(&self, calls: u64) -> String {
        #[expect(clippy::cast_precision_loss, reason = "thousands")]
        let per_command = calls as f64 / self.commands.max(1) as f64;
        format!("{per_command:.2}")
    }

    fn print_verdict(&self, out: &Output) -> io::Result<()> {
        let style = out.style();
        let mut table = Table::new(&["measured", ""]);
        let ms = |value: f64| format!("{value:.1} ms");
        table.row(["from sent to published, half of all within".to_owned(), ms(self.p50_ms)]);
        table.row(["99 of 100 within".to_owned(), ms(self.p99_ms)]);
        table.row(["transactions decided again".to_owned(), self.conflicts.to_string()]);
        table.row(["commands that shared a message".to_owned(), self.shared.to_string()]);
        table.row(["repetitions the ledger answered".to_owned(), self.replays.to_string()]);
        table.row(["dead letters".to_owned(), self.dead_letters.to_string()]);
        out.table(&table)?;
        out.line("")?;
        let audit = &self.audit;
        let violations = counted(audit.violations, "violation");
        let items = format!("{} read, {violations}", counted(audit.items, "item"));
        let is_sound = audit.violations == 0;
        let items = if is_sound { style.good(&items) } else { style.bad(&items) };
        out.line(&format!("{} {items}", style.heading("Audit:")))?;
        for problem in &self.problems {
            out.line(&format!("{} {problem}", style.bad("Problem:")))?;
        }
        let verdict = match self.is_clean() {
            true => style.good(&format!(
                "{} commands, one outcome each; nothing sold twice, nothing lost.",
                self.commands
            )),
            false => style.bad("something is wrong, see above."),
        };
        out.line(&format!("{} {verdict}", style.heading("Verdict:")))
    }
}
