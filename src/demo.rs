//! The demo: a short on-sale through the real queue path, in one process.
//!
//! Buyers rush for a few hundred seats in several message groups while scripted scenes play the
//! accidents of a sale. Results are read as any subscriber reads them; at the end the expectations
//! that follow from them are compared with the tables, alongside the audit.
//!
//! ```text
//! buyers, scenes ─► client ─► queues ─► worker, sweeper ─► topic ─► client ─► expectations
//!                                            │                                     │
//!                                          tables ──────► audit, comparison ◄──────┘
//! ```

pub mod buyers;
pub mod client;
pub mod customer;
pub mod expectations;
pub mod live;
pub mod scenes;
pub mod summary;
pub mod venue;

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
    domain::SeatStatus,
    ports::{CommitError, Table},
    sweeper,
    terminal::Output,
    worker::{Event, Observer, Settings},
};

use client::DemoClient;
use expectations::read_all;
use live::{Frame, Stage, View};
use summary::{AuditSummary, DemoSummary};

/// The buyers.
#[derive(Clone, Debug)]
pub struct Cast {
    /// Buyers in the rush.
    pub buyers: usize,
    /// Buyers of the seats that are given back.
    pub latecomers: usize,
    /// The seed of the buyers' choices.
    pub seed: u64,
}

impl Cast {
    /// Enough buyers to sell out the event.
    #[must_use]
    pub fn full(seed: u64) -> Self {
        Self { buyers: 260, latecomers: 30, seed }
    }
}

/// One clock serves the whole process, so a hold may be released sooner after its end than in a
/// fleet. A second remains for the takeover.
const SWEEPER: sweeper::Settings = sweeper::Settings {
    interval: Duration::from_secs(1),
    margin: Duration::from_secs(1),
    idle: Duration::from_secs(1),
};

/// Counts events that results do not show, and passes all of them on.
struct EventCounts {
    replays: AtomicU64,
    conflicts: AtomicU64,
    observer: Arc<dyn Observer>,
}

impl Observer for EventCounts {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Decided { replayed: true, .. } => self.replays.fetch_add(1, Ordering::Relaxed),
            Event::Commit(Err(CommitError::Conflict(_))) => {
                self.conflicts.fetch_add(1, Ordering::Relaxed)
            }
            _ => 0,
        };
        self.observer.observe(event);
    }
}

/// Plays the demo on backends that nobody else has used, shows it, and returns its summary. The
/// observer watches the workers.
///
/// # Errors
///
/// The backends cannot be read. Problems of the sale are not errors: the summary lists
/// them.
pub async fn play(
    embedded: Arc<Embedded>,
    cast: &Cast,
    settings: Settings,
    observer: Arc<dyn Observer>,
    view: &View,
    out: &Output,
) -> anyhow::Result<DemoSummary> {
    let client = Arc::new(DemoClient::new(embedded));
    let (replays, conflicts) = (AtomicU64::default(), AtomicU64::default());
    let counts = Arc::new(EventCounts { replays, conflicts, observer });
    let observer: Arc<dyn Observer> = counts.clone();
    let mut group =
        WorkerGroup::start(&client.embedded.backends, settings, Some(SWEEPER), &observer);
    let stage = Stage::default();
    let frame = || Frame::of(&client.expectations());
    let played = tokio::select! {
        biased;
        played = perform(&client, cast, &counts, &stage) => played,
        heard = client.listen() => heard.map(|never| match never {}),
        () = client.send() => anyhow::bail!("the client stopped sending"),
        error = group.ended_early() => Err(error),
        () = live::watch(view, frame, &stage, out) => anyhow::bail!("the view ended"),
    };
    group.drain().await;
    let summary = played?;
    if matches!(view, View::Screen { .. }) {
        let elapsed = Duration::try_from_secs_f64(summary.seconds).unwrap_or_default();
        out.write(&frame().picture("", "", elapsed, out.style()))?;
    }
    Ok(summary)
}

async fn perform(
    client: &Arc<DemoClient>,
    cast: &Cast,
    counts: &EventCounts,
    stage: &Stage,
) -> anyhow::Result<DemoSummary> {
    let begun = Instant::now();
    stage.begin("Before the doors open: seats, lawn and store are stocked by restock messages.");
    let stocked = scenes::stock_up(client).await?;
    stage.begin("The doors are open: everybody wants the same seats, in many message groups.");
    let (mut played, ()) =
        tokio::try_join!(scenes::play(client), buyers::rush(client, cast.buyers, cast.seed))?;
    stage.begin("Some walked away: their holds run out, and the sweeper releases them.");
    client.until(|| client.expectations().all_ran_out()).await;
    stage.begin("Latecomers look at what came back.");
    buyers::latecomers(client, cast.latecomers, cast.seed).await?;
    client.until(|| client.is_idle()).await;
    let seconds = begun.elapsed().as_secs_f64();
    // The checks that follow also read the tables; their calls are not counted.
    let calls = client.embedded.calls.calls();
    stage.begin("The curtain falls: the audit reads every table, item by item.");
    let mut summary = examine(client, counts, seconds).await?;
    summary.calls = calls;
    #[expect(clippy::cast_precision_loss, reason = "thousands")]
    let per_command = summary.calls.values().sum::<u64>() as f64 / summary.commands.max(1) as f64;
    summary.calls_per_command = rounded(per_command);
    played.insert(0, stocked);
    played.insert(1, contention(&summary, cast));
    summary.scenes = played;
    Ok(summary)
}

/// Checks the results against each other, and the tables against them.
async fn examine(
    client: &DemoClient,
    counts: &EventCounts,
    seconds: f64,
) -> anyhow::Result<DemoSummary> {
    let embedded = &client.embedded;
    let store = &*embedded.store;
    let report = audit(store, embedded.backends.clock.now(), &AuditOptions::default()).await?;
    let mut tables = read_all(store, Table::Seats).await?;
    tables.extend(read_all(store, Table::Stock).await?);
    let mut expectations = client.expectations();
    expectations.close();
    let seats = expectations.compare(tables);
    let replays = counts.replays.load(Ordering::Relaxed);
    let dead_letters = embedded.dead_letters();
    if replays < expectations.repeated {
        let repeated = expectations.repeated;
        expectations
            .problems
            .push(format!("{repeated} repetitions, {replays} answered from the ledger"));
    }
    if dead_letters != scenes::UNREADABLE {
        expectations
            .problems
            .push(format!("{dead_letters} dead letters, not {}", scenes::UNREADABLE));
    }
    expectations.problems.extend(report.violations.iter().map(ToString::to_string));
    let ms = |percent| {
        expectations.percentile(percent).map_or(0.0, |time| rounded(time.as_secs_f64() * 1_000.0))
    };
    let (listed, open) = (report.violations.len(), report.unsettled.len());
    Ok(DemoSummary {
        commands: expectations.decided(),
        calls: BTreeMap::new(),
        calls_per_command: 0.0,
        audit: AuditSummary {
            violations: report.violations_omitted + u64::try_from(listed)?,
            unsettled: report.unsettled_omitted + u64::try_from(open)?,
            items: report.seats + report.lines + report.reservations + report.ledger_entries,
        },
        p50_ms: ms(50),
        p99_ms: ms(99),
        messages: expectations.messages,
        repeated: expectations.repeated,
        shared: client.shared(),
        unreadable: expectations.unreadable,
        replays,
        conflicts: counts.conflicts.load(Ordering::Relaxed),
        dead_letters,
        seats,
        seconds: rounded(seconds),
        outcomes: expectations.outcomes.clone(),
        rejections: expectations.rejections.clone(),
        problems: expectations.problems.clone(),
        scenes: Vec::new(),
    })
}

fn contention(summary: &DemoSummary, cast: &Cast) -> scenes::Scene {
    let lost = summary.rejections.get("SEATS_UNAVAILABLE").copied().unwrap_or(0);
    let sold = summary.seats.get(&SeatStatus::Booked).copied().unwrap_or(0);
    let all: u64 = summary.seats.values().sum();
    scenes::Scene {
        title: "The rush",
        description: format!(
            "{} buyers went for {all} seats at once, the same seat in different message groups. \
             {sold} seats are sold, each to one buyer; {lost} reserves met a seat that was gone \
             and learnt which. {} transactions met another's change and were decided again.",
            cast.buyers + cast.latecomers,
            summary.conflicts
        ),
        went_well: summary.is_clean(),
    }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
