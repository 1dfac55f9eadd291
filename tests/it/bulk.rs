//! Pools imported from files by a worker in this process, and exported to files.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use inventory_worker::{
    app::{embedded::Embedded, worker_group::WorkerGroup},
    audit::{AuditOptions, audit},
    bulk::{
        Chunks, FileFormat, Identity, ImportError, ImportPorts, ImportSummary, Importer, Row, Rows,
        Writer, export,
    },
    domain::PoolId,
    naming::RESTOCK_QUEUE,
    ports::{
        Backlog, BatchAnswer, Clock, Delivery, EntryError, OutgoingMessage, PortError, Queue,
        QueueLimits, ReceiptHandle, ReceiveRequest,
    },
    sweeper,
    worker::{NoopObserver, Observer, Settings},
};

const PATIENCE: Duration = Duration::from_secs(60);

/// A deployment in this process.
struct Deployment {
    embedded: Embedded,
    group: WorkerGroup,
}

impl Deployment {
    async fn start() -> Self {
        let embedded = Embedded::start(None).await.unwrap();
        let observer: Arc<dyn Observer> = Arc::new(NoopObserver);
        let settings = Settings { long_poll: Duration::from_millis(200), ..Settings::default() };
        let sweeper = Some(sweeper::Settings::default());
        let group = WorkerGroup::start(&embedded.backends, settings, sweeper, &observer);
        Self { embedded, group }
    }

    fn queue(&self) -> Arc<dyn Queue> {
        let sources = self.embedded.backends.sources.iter();
        let found = sources.map(|source| &source.queue).find(|queue| queue.name() == RESTOCK_QUEUE);
        Arc::clone(found.unwrap())
    }

    fn ports(&self, queue: Arc<dyn Queue>) -> ImportPorts {
        ImportPorts {
            queue,
            store: self.embedded.store.clone(),
            clock: Arc::clone(&self.embedded.backends.clock),
            entropy: Arc::clone(&self.embedded.backends.entropy),
        }
    }

    /// Imports a text by this queue.
    async fn import_by(
        &self,
        queue: Arc<dyn Queue>,
        text: &str,
    ) -> Result<ImportSummary, ImportError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let (ports, path) = (self.ports(queue), file.path().to_owned());
        let identity = identity(&path, &ports.clock);
        let rows = Rows::open(&path, None).unwrap();
        Importer::new(ports, Some(PATIENCE)).run(rows, identity, |_| ()).await
    }

    async fn import(&self, text: &str) -> ImportSummary {
        self.import_by(self.queue(), text).await.unwrap()
    }

    async fn export(&self, pool: &PoolId, format: FileFormat, private: bool) -> String {
        let writer = Writer::new(format);
        let mut text = writer.header();
        let now = self.embedded.backends.clock.now();
        let row = |row: &Row| -> Result<(), PortError> {
            text.push_str(&writer.row(row).unwrap());
            Ok(())
        };
        export(&*self.embedded.store, pool, (now, private), row).await.unwrap();
        text
    }

    async fn end(self) {
        self.group.drain().await;
        let now = self.embedded.backends.clock.now();
        let report = audit(&*self.embedded.store, now, &AuditOptions::default()).await.unwrap();
        assert!(report.is_clean(), "{:?}", report.violations);
        self.embedded.stop().await;
    }
}

/// What the check before an import finds.
fn identity(path: &Path, clock: &Arc<dyn Clock>) -> Identity {
    let source = "/moving".parse().unwrap();
    let mut rows = Rows::open(path, None).unwrap();
    let mut chunks = Chunks::new(Identity::of(source, [0; 32]), Arc::clone(clock));
    while let Some((place, row)) = rows.next_row().unwrap() {
        chunks.push(place, row.unwrap()).unwrap();
    }
    Identity::of("/moving".parse().unwrap(), rows.digest())
}

/// An event and a store, with bookings, holds, goods that are still there, and a shortfall.
fn file() -> String {
    let mut text = String::new();
    for number in 1..=120 {
        text.push_str(&format!(
            r#"{{"event_id":42,"seat_number":"A-{number:03}","section":"stalls","price":"49.50"}}"#
        ));
        text.push('\n');
    }
    text.push_str(
        r#"{"event_id":42,"seat_number":"B-1","status":"BLOCKED"}
{"event_id":42,"sku":"lawn","quantity":30}
{"store_id":"berlin","sku":"oat-milk","quantity":20}
{"store_id":"berlin","sku":"tea","quantity":9}
{"event_id":42,"reservation_id":"00000000-0000-4000-8000-000000000001","user_id":"u-1","seats":["A-001","A-002"],"booking_id":"b-1"}
{"event_id":42,"user_id":"u-2","seats":["A-003"],"lines":[{"sku":"lawn","quantity":2}],"expires_at":"2999-01-01T00:00:00Z"}
{"store_id":"berlin","user_id":"u-3","lines":[{"sku":"tea","quantity":4}],"booking_id":"b-3","goods":"stay"}
{"store_id":"berlin","user_id":"u-4","lines":[{"sku":"oat-milk","quantity":5}],"expires_at":"2999-01-01T00:00:00Z"}
{"event_id":42,"seat_number":"A-001","status":"BLOCKED"}
{"store_id":"berlin","sku":"tea","quantity":3}
"#,
    );
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_again_posts_nothing_and_changes_nothing() {
    let deployment = Deployment::start().await;
    let first = deployment.import(&file()).await;
    assert_eq!((first.commands, first.known), (10, 0), "{first:?}");
    assert_eq!((first.seats_applied, first.lines_applied), (122, 4), "{first:?}");
    assert_eq!((first.reserved, first.confirmed, first.rejected), (4, 2, 0), "{first:?}");
    assert_eq!((first.rows.shortened, first.unanswered), (2, 0), "{first:?}");
    let event = PoolId::Event(42);
    let before = deployment.export(&event, FileFormat::Jsonl, true).await;
    let again = deployment.import(&file()).await;
    // The holds' commands would last for less by now; their first outcomes stand.
    assert_eq!((again.commands, again.known, again.rejected), (10, 10, 0), "{again:?}");
    assert_eq!(deployment.export(&event, FileFormat::Jsonl, true).await, before);
    deployment.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_imported_as_it_was() {
    let one = Deployment::start().await;
    one.import(&file()).await;
    let pools = [PoolId::Event(42), "store#berlin".parse().unwrap()];
    for format in [FileFormat::Jsonl, FileFormat::Csv] {
        let other = Deployment::start().await;
        for pool in &pools {
            let exported = one.export(pool, format, true).await;
            let summary = other.import(&exported).await;
            assert_eq!((summary.rejected, summary.unanswered), (0, 0), "{summary:?}\n{exported}");
            let of = async |deployment: &Deployment| {
                let rows = deployment.export(pool, FileFormat::Jsonl, true).await;
                // A hold may be rounded up by a second.
                let text = rows.lines().map(|line| line.split(",\"expires_at\"").next().unwrap());
                text.map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(of(&other).await, of(&one).await);
        }
        other.end().await;
    }
    one.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_without_reservations_puts_nothing_on_sale_that_is_sold_and_names_nobody() {
    let deployment = Deployment::start().await;
    deployment.import(&file()).await;
    let seats = deployment.export(&PoolId::Event(42), FileFormat::Jsonl, false).await;
    let berlin = "store#berlin".parse().unwrap();
    let lines = deployment.export(&berlin, FileFormat::Jsonl, false).await;
    for text in [&seats, &lines] {
        assert!(!text.contains("u-") && !text.contains("b-"), "{text}");
    }
    let blocked: Vec<&str> = seats.lines().filter(|line| line.contains("BLOCKED")).collect();
    assert_eq!(blocked.len(), 4, "two booked, one held, one blocked: {blocked:?}");
    assert!(seats.contains(r#""sku":"lawn","quantity":28"#), "{seats}");
    // Five of the twenty are held; of three left of the tea, four are sold.
    assert!(lines.contains(r#""sku":"oat-milk","quantity":15"#), "{lines}");
    assert!(lines.contains(r#""sku":"tea","quantity":0"#), "{lines}");
    deployment.end().await;
}

/// A queue that takes so many messages, and refuses the rest.
struct Failing {
    inner: Arc<dyn Queue>,
    left: AtomicUsize,
}

#[async_trait]
impl Queue for Failing {
    fn name(&self) -> &str {
        self.inner.name()
    }

    async fn receive(&self, request: &ReceiveRequest) -> Result<Vec<Delivery>, PortError> {
        self.inner.receive(request).await
    }

    async fn change_visibility(
        &self,
        changes: &[(ReceiptHandle, Duration)],
    ) -> Result<BatchAnswer, PortError> {
        self.inner.change_visibility(changes).await
    }

    async fn delete(&self, receipts: &[ReceiptHandle]) -> Result<BatchAnswer, PortError> {
        self.inner.delete(receipts).await
    }

    async fn send(&self, messages: &[OutgoingMessage]) -> Result<BatchAnswer<String>, PortError> {
        let mut answers = BatchAnswer::new();
        for message in messages {
            let take = |left: usize| left.checked_sub(1);
            let is_taken = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok();
            answers.extend(match is_taken {
                true => self.inner.send(std::slice::from_ref(message)).await?,
                false => vec![Err(EntryError::Refused("the test".to_owned()))],
            });
        }
        Ok(answers)
    }

    async fn limits(&self) -> Result<QueueLimits, PortError> {
        self.inner.limits().await
    }

    async fn backlog(&self) -> Result<Backlog, PortError> {
        self.inner.backlog().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_stopped_goes_on_where_it_was() {
    let deployment = Deployment::start().await;
    let queue = Arc::new(Failing { inner: deployment.queue(), left: AtomicUsize::new(3) });
    let stopped = deployment.import_by(queue, &file()).await.unwrap_err();
    assert!(matches!(stopped, ImportError::NotPosted { .. }), "{stopped}");
    // What was posted may not have its outcome yet: then it is posted again, and takes effect once.
    let summary = deployment.import(&file()).await;
    assert!(summary.known < summary.commands, "{summary:?}");
    assert_eq!((summary.rejected, summary.unanswered), (0, 0), "{summary:?}");
    assert_eq!((summary.reserved, summary.confirmed), (4, 2), "{summary:?}");
    let known = deployment.import(&file()).await.known;
    assert_eq!(known, summary.commands);
    deployment.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_after_its_check_is_noticed() {
    let deployment = Deployment::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{\"event_id\":1,\"seat_number\":\"A\"}\n").unwrap();
    let ports = deployment.ports(deployment.queue());
    let identity = identity(file.path(), &ports.clock);
    std::fs::write(file.path(), "{\"event_id\":1,\"seat_number\":\"B\"}\n").unwrap();
    let rows = Rows::open(file.path(), None).unwrap();
    let changed = Importer::new(ports, None).run(rows, identity, |_| ()).await;
    assert!(matches!(changed, Err(ImportError::Changed)), "{changed:?}");
    deployment.end().await;
}
