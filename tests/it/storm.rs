//! Storms on a worker in this process.

use std::{sync::Arc, time::Duration};

use inventory_worker::{
    app::{embedded::Embedded, worker_group::WorkerGroup},
    audit::{AuditOptions, audit},
    naming::{COMMANDS_QUEUE, RESTOCK_QUEUE},
    ports::Queue,
    storm::{OnSale, Plan, Ports, Progress, Restocks, Storm, StormSummary},
    sweeper,
    worker::{NoopObserver, Observer, Settings},
};

const PATIENCE: Duration = Duration::from_secs(60);

fn storm(plan: Plan) -> Storm {
    let (name, in_flight) = ("test".to_owned(), 16);
    Storm { name, plan, in_flight, commands_per_message: 1, timeout: PATIENCE }
}

/// Runs a storm on a separate worker, and returns its summary and its progress reports.
async fn run(plan: Plan) -> (StormSummary, Vec<Progress>) {
    let embedded = Embedded::start(None).await.unwrap();
    let observer: Arc<dyn Observer> = Arc::new(NoopObserver);
    let settings = Settings { long_poll: Duration::from_millis(200), ..Settings::default() };
    let sweeper = Some(sweeper::Settings::default());
    let group = WorkerGroup::start(&embedded.backends, settings, sweeper, &observer);
    let queue = |name: &str| -> Arc<dyn Queue> {
        let sources = embedded.backends.sources.iter();
        let found = sources.map(|source| &source.queue).find(|queue| queue.name() == name);
        Arc::clone(found.unwrap())
    };
    let ports = Ports {
        commands: queue(COMMANDS_QUEUE),
        restocks: queue(RESTOCK_QUEUE),
        results: embedded.subscribe("storm-results.fifo"),
        clock: Arc::clone(&embedded.backends.clock),
        entropy: Arc::clone(&embedded.backends.entropy),
    };
    let mut shown = Vec::new();
    let summary = storm(plan).run(&ports, |progress| shown.push(*progress)).await.unwrap();
    group.drain().await;
    let now = embedded.backends.clock.now();
    let report = audit(&*embedded.store, now, &AuditOptions::default()).await.unwrap();
    assert!(report.is_clean(), "{:?}", report.violations);
    embedded.stop().await;
    (summary, shown)
}

fn of(summary: &StormSummary, word: &str) -> u64 {
    summary.outcomes.get(&format!("inventory.{word}.v1")).copied().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_on_sale_sells_each_seat_once_and_says_what_became_of_every_command() {
    let plan = OnSale { events: 2, seats: 60, buyers: 120, duration: PATIENCE };
    let (summary, shown) = run(Plan::OnSale(plan)).await;
    assert!(summary.is_complete(), "{summary:?}");
    assert_eq!((summary.answered, summary.stray_results), (summary.commands, 0));
    assert_eq!(summary.outcomes.values().sum::<u64>(), summary.commands);
    assert_eq!(of(&summary, "rejected"), summary.rejections.values().sum::<u64>());
    assert!(summary.rejections["SEATS_UNAVAILABLE"] > 0, "{summary:?}");
    let held = of(&summary, "reserved");
    assert!((30..=120).contains(&held), "{summary:?}");
    assert_eq!(of(&summary, "restocked"), 0, "preparations do not count");
    let by_command: usize = summary.by_command.values().map(|of| of.count).sum();
    assert_eq!(by_command as u64, summary.commands);
    assert!(summary.p50_ms > 0.0 && summary.p50_ms <= summary.p95_ms);
    assert!(summary.p95_ms <= summary.p99_ms && summary.p99_ms <= summary.longest_ms);
    assert!(summary.calls["sqs.send"] > 0 && summary.calls["sqs.receive"] > 0);
    assert!(shown.iter().all(|progress| progress.whole == 120 || progress.done.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restock_storm_ends_with_its_time_and_its_page_needs_nothing_but_itself() {
    let plan = Restocks {
        stores: 3,
        skus: 20,
        lines: 5,
        duration: Duration::from_secs(1),
        rate: Some(50.0),
    };
    let (summary, _) = run(Plan::Restocks(plan)).await;
    assert!(summary.is_complete(), "{summary:?}");
    let restocked = of(&summary, "restocked");
    assert!((1..=60).contains(&restocked) && restocked == summary.commands, "{summary:?}");
    let page = summary.html();
    for shown in ["inventory.restock.v1", "inventory.restocked.v1", "sqs.send", "<svg"] {
        assert!(page.contains(shown), "{shown}");
    }
    for foreign in ["<script", "http://", "https://", "<link", "NaN"] {
        assert!(!page.contains(foreign), "{foreign}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_that_nobody_answers_says_so() {
    use inventory_worker::{
        adapters::{
            memory::{MemoryQueue, TokioClock},
            system::Random,
        },
        domain::Timestamp,
        ports::Clock,
    };
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::new(Timestamp::UNIX_EPOCH));
    let queue =
        |name: &str| -> Arc<dyn Queue> { Arc::new(MemoryQueue::new(name, Arc::clone(&clock))) };
    let ports = Ports {
        commands: queue("commands.fifo"),
        restocks: queue("restock.fifo"),
        results: queue("results.fifo"),
        clock: Arc::clone(&clock),
        entropy: Arc::new(Random::seeded(1)),
    };
    let plan = OnSale { events: 1, seats: 1, buyers: 1, duration: PATIENCE };
    let error = storm(Plan::OnSale(plan)).run(&ports, |_| ()).await.unwrap_err();
    assert!(error.to_string().contains("is a worker running"), "{error:#}");
}
