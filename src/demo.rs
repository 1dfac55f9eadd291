//! The demo: a short on-sale through the real queue path, in one process.
//!
//! Buyers rush for a few hundred seats in several message groups while scripted scenes play every
//! accident a sale can meet. Results are read as any subscriber reads them, and the books kept from
//! them alone are held against the tables in the end, beside the audit.
//!
//! ```text
//! buyers, scenes ─► exchange ─► queues ─► worker, sweeper ─► topic ─► exchange ─► tally
//!                                            │                                     │
//!                                          tables ──────► audit, comparison ◄──────┘
//! ```

pub mod buyers;
pub mod customer;
pub mod exchange;
pub mod live;
pub mod scenes;
pub mod summary;
pub mod tally;
pub mod theatre;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    app::{embedded::Embedded, worker_group::WorkerGroup},
    audit::{AuditOptions, audit},
    ports::{CommitError, Table},
    sweeper,
    terminal::Output,
    worker::{Event, Observer, Settings},
};

use exchange::Exchange;
use live::{Frame, Stage, View};
use summary::{AuditSummary, Summary};
use tally::read_all;

/// Who takes part.
#[derive(Clone, Debug)]
pub struct Cast {
    /// Buyers in the rush.
    pub buyers: usize,
    /// Buyers for what comes back.
    pub latecomers: usize,
    /// What the buyers' choices are made from.
    pub seed: u64,
}

impl Cast {
    /// Enough to sell out the house.
    #[must_use]
    pub fn full(seed: u64) -> Self {
        Self { buyers: 260, latecomers: 30, seed }
    }
}

/// Everybody here goes by one clock, so a hold may be released sooner after its end than in a
/// fleet. A second is left for the takeover.
const SWEEPER: sweeper::Settings =
    sweeper::Settings { interval: Duration::from_secs(1), margin: Duration::from_secs(1) };

/// Counts what results do not show.
#[derive(Default)]
struct Watcher {
    replays: AtomicU64,
    conflicts: AtomicU64,
}

impl Observer for Watcher {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Decided { replayed: true, .. } => self.replays.fetch_add(1, Ordering::Relaxed),
            Event::Commit(Err(CommitError::Conflict(_))) => {
                self.conflicts.fetch_add(1, Ordering::Relaxed)
            }
            _ => 0,
        };
    }
}

/// Plays the demo and shows it; gives what it came to.
///
/// # Errors
///
/// Where the backends cannot be started or read. What goes wrong in the play itself is no error:
/// the summary has it.
pub async fn play(
    cast: &Cast,
    settings: Settings,
    view: View,
    out: &Output,
) -> anyhow::Result<Summary> {
    let exchange = Arc::new(Exchange::new(Embedded::start(None).await?));
    let watcher = Arc::new(Watcher::default());
    let observer: Arc<dyn Observer> = watcher.clone();
    let mut group =
        WorkerGroup::start(&exchange.embedded.backends, settings, Some(SWEEPER), &observer);
    let stage = Stage::default();
    let frame = || Frame::of(&exchange.tally());
    let played = tokio::select! {
        biased;
        played = perform(&exchange, cast, &watcher, &stage) => played,
        heard = exchange.listen() => heard.and_then(|()| anyhow::bail!("results ended")),
        error = group.ended_early() => Err(error),
        () = live::watch(view, frame, &stage, out) => anyhow::bail!("the view ended"),
    };
    group.drain().await;
    let summary = played?;
    if view == View::Screen {
        let elapsed = Duration::try_from_secs_f64(summary.seconds).unwrap_or_default();
        out.write(&frame().picture("", elapsed, out.style()))?;
    }
    Ok(summary)
}

async fn perform(
    exchange: &Arc<Exchange>,
    cast: &Cast,
    watcher: &Watcher,
    stage: &Stage,
) -> anyhow::Result<Summary> {
    let begun = Instant::now();
    stage.begin("Before the doors open: seats, lawn and store are stocked by restock messages.");
    let stocked = scenes::stock_up(exchange).await?;
    stage.begin("The doors are open: everybody wants the same seats, in many message groups.");
    let (mut played, ()) =
        tokio::try_join!(scenes::play(exchange), buyers::rush(exchange, cast.buyers, cast.seed))?;
    stage.begin("Some walked away: their holds run out, and the sweeper releases them.");
    exchange.until(|| exchange.tally().all_ran_out()).await;
    stage.begin("Latecomers look at what came back.");
    buyers::latecomers(exchange, cast.latecomers, cast.seed).await?;
    exchange.until(|| exchange.is_quiet()).await;
    let seconds = begun.elapsed().as_secs_f64();
    // What follows calls the tables itself, and is not to count.
    let calls = exchange.embedded.calls.calls();
    stage.begin("The curtain falls: the audit reads every table, item by item.");
    let mut summary = examine(exchange, watcher, seconds).await?;
    summary.calls = calls;
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let per_command = summary.calls.values().sum::<u64>() as f64 / summary.commands.max(1) as f64;
    summary.calls_per_command = rounded(per_command);
    played.insert(0, stocked);
    played.insert(1, contention(&summary, cast));
    summary.scenes = played;
    Ok(summary)
}

/// Closes the books and holds the tables against them.
async fn examine(exchange: &Exchange, watcher: &Watcher, seconds: f64) -> anyhow::Result<Summary> {
    let embedded = &exchange.embedded;
    let store = &*embedded.store;
    let report = audit(store, embedded.backends.clock.now(), &AuditOptions::default()).await?;
    let mut tables = read_all(store, Table::Seats).await?;
    tables.extend(read_all(store, Table::Stock).await?);
    let mut tally = exchange.tally();
    tally.close();
    let seats = tally.compare(tables);
    let replays = watcher.replays.load(Ordering::Relaxed);
    let dead_letters = embedded.dead_letters();
    if replays < tally.repeated {
        let repeated = tally.repeated;
        tally.problems.push(format!("{repeated} repetitions, {replays} answered again"));
    }
    if dead_letters != scenes::UNREADABLE {
        tally.problems.push(format!("{dead_letters} dead letters, not {}", scenes::UNREADABLE));
    }
    tally.problems.extend(report.violations.iter().map(ToString::to_string));
    let ms = |percent| {
        tally.percentile(percent).map_or(0.0, |time| rounded(time.as_secs_f64() * 1_000.0))
    };
    let (listed, open) = (report.violations.len(), report.unsettled.len());
    Ok(Summary {
        commands: tally.decided(),
        calls: BTreeMap::new(),
        calls_per_command: 0.0,
        audit: AuditSummary {
            violations: report.violations_omitted + u64::try_from(listed)?,
            unsettled: report.unsettled_omitted + u64::try_from(open)?,
            items: report.seats + report.lines + report.reservations + report.ledger_entries,
        },
        p50_ms: ms(50),
        p99_ms: ms(99),
        messages: tally.messages,
        repeated: tally.repeated,
        unreadable: tally.unreadable,
        replays,
        conflicts: watcher.conflicts.load(Ordering::Relaxed),
        dead_letters,
        seats,
        seconds: rounded(seconds),
        outcomes: tally.outcomes.clone(),
        rejections: tally.rejections.clone(),
        problems: tally.problems.clone(),
        scenes: Vec::new(),
    })
}

fn contention(summary: &Summary, cast: &Cast) -> scenes::Scene {
    let lost = summary.rejections.get("SEATS_UNAVAILABLE").copied().unwrap_or(0);
    let sold = summary.seats.get("BOOKED").copied().unwrap_or(0);
    let all: u64 = summary.seats.values().sum();
    scenes::Scene {
        title: "The rush",
        told: format!(
            "{} buyers went for {all} seats at once, the same seat in different message groups. \
             {sold} seats are sold, each to one buyer; {lost} reserves met a seat that was gone \
             and were told which. {} transactions met another's change and were decided again.",
            cast.buyers + cast.latecomers,
            summary.conflicts
        ),
        went_well: summary.is_clean(),
    }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
