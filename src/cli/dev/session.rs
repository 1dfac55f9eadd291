//! The worker on embedded backends, from start to drain.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{input::Line, printer::Printer, sample};
use crate::{
    admin::{Admin, AdminServer},
    app::{embedded::Embedded, gateway::Gateway, signals::StopSignals, worker_group::WorkerGroup},
    cli::{CliContext, ExitCode},
    client::{PreparedCommand, ResultSubscription},
    config::{DevConfig, GatewayConfig},
    domain::{Action, CommandKey, PoolId},
    gateway::page::PageSettings,
    message::OutgoingCommand,
    telemetry::{ActivityReport, Metrics, Readiness},
    terminal::Output,
    worker::Observer,
};

/// SQS: the deduplication interval of a FIFO queue, within which a repetition is accepted and not
/// appended.
const DEDUPLICATION: Duration = Duration::from_secs(300);

/// The longest wait for the sample; it takes a second on a busy machine.
const SAMPLE_TIMEOUT: Duration = Duration::from_secs(20);

/// One run of `dev`.
pub(super) struct Session<'a> {
    pub(super) data: Option<PathBuf>,
    pub(super) json: bool,
    pub(super) config: DevConfig,
    pub(super) context: &'a CliContext,
}

impl Session<'_> {
    /// Works until a signal or the end of its input, then drains. Without any input it goes on.
    pub(super) async fn run(
        self,
        mut lines: mpsc::Receiver<Line>,
        mut signals: StopSignals,
    ) -> anyhow::Result<ExitCode> {
        let embedded = Embedded::start(self.data.as_deref()).await?;
        let metrics = Arc::new(Metrics::new()?);
        let readiness = Readiness::of(["worker"]).reported_to(&metrics);
        let admin = self.admin(&embedded, &metrics, &readiness).await?;
        let gateway = self.gateway(&embedded, &metrics).await?;
        let report = ActivityReport {
            board: embedded.activity.clone(),
            metrics: Arc::clone(&metrics),
            clock: Arc::clone(&embedded.backends.clock),
            worker: embedded.backends.entropy.uuid(),
        };
        let observer: Arc<dyn Observer> = metrics;
        let mut group = WorkerGroup::start(
            &embedded.backends,
            self.config.worker.clone(),
            Some(self.config.sweeper.clone()),
            &observer,
        );
        let printer = Printer {
            results: ResultSubscription::new(
                embedded.subscribe("dev-results.fifo"),
                Arc::clone(&embedded.backends.entropy),
            ),
            out: &self.context.out,
            json: self.json,
        };
        self.introduce(&admin, &gateway)?;
        let mut poster = Poster { embedded: &embedded, posted: BTreeMap::new() };
        for (key, pool, action) in sample::commands()? {
            poster.post_command(key, pool, action)?;
        }

        let (admin_stop, done) = (CancellationToken::new(), CancellationToken::new());
        let gateway_stop = CancellationToken::new();
        let work = async {
            poster.until_idle().await;
            readiness.set("worker", Ok(()));
            self.follow(&mut lines, &mut signals, &mut group, &mut poster).await?;
            readiness.drain();
            gateway_stop.cancel();
            group.drain().await;
            done.cancel();
            admin_stop.cancel();
            Ok(())
        };
        let serving = async {
            tokio::join!(admin.serve(admin_stop.clone()), gateway.serve(gateway_stop.clone()));
            Ok(())
        };
        tokio::select! {
            ended = async { tokio::try_join!(work, printer.run(&done), serving) } => ended.map(drop)?,
            () = report.run() => {}
        }
        embedded.stop().await;
        Ok(ExitCode::Done)
    }

    async fn admin(
        &self,
        embedded: &Embedded,
        metrics: &Arc<Metrics>,
        readiness: &Readiness,
    ) -> anyhow::Result<AdminServer> {
        let admin = Admin {
            metrics: Arc::clone(metrics),
            readiness: readiness.clone(),
            clock: Arc::clone(&embedded.backends.clock),
        };
        let address = self.config.admin.address();
        AdminServer::bind(address, admin).await.with_context(|| {
            format!("the admin port cannot listen on {address} (--admin-port 0 takes a free one)")
        })
    }

    async fn gateway(
        &self,
        embedded: &Embedded,
        metrics: &Arc<Metrics>,
    ) -> anyhow::Result<Gateway> {
        let backends = embedded.gateway_backends();
        let page = PageSettings { is_demo: true, event_id: Some(sample::EVENT_ID) };
        let config = GatewayConfig { page: Some(page), ..self.config.gateway.clone() };
        Gateway::bind(&config, &backends, metrics.clone(), None).await
    }

    /// Posts lines until a signal comes or they end, and what was posted is decided. Input that is
    /// empty, as a service's is, ends nothing.
    async fn follow(
        &self,
        lines: &mut mpsc::Receiver<Line>,
        signals: &mut StopSignals,
        group: &mut WorkerGroup,
        poster: &mut Poster<'_>,
    ) -> anyhow::Result<()> {
        let (mut number, mut is_open) = (0_u64, true);
        loop {
            tokio::select! {
                biased;
                signal = signals.next() => {
                    tracing::info!(signal, "draining");
                    return Ok(());
                }
                error = group.ended_early() => return Err(error),
                line = lines.recv(), if is_open => match line {
                    Some(line) => {
                        number += 1;
                        if let Err(wrong) = line.and_then(|line| poster.post_line(&line)) {
                            let style = self.context.errors.style();
                            let word = style.bad("not posted");
                            self.context.errors.line(&format!("line {number} {word}: {wrong}"))?;
                        }
                    }
                    None => is_open = false,
                },
                () = poster.idle(), if !is_open && number > 0 => return Ok(()),
            }
        }
    }

    /// Prints to stderr where stdout is for results in JSON.
    fn introduce(&self, admin: &AdminServer, gateway: &Gateway) -> std::io::Result<()> {
        let out: &Output = if self.json { &self.context.errors } else { &self.context.out };
        let style = out.style();
        let tables = match &self.data {
            None => "in memory too, and end with it".to_owned(),
            Some(folder) => format!(
                "kept in {}; a command still in the queue when it ends is not",
                folder.display()
            ),
        };
        out.line(&format!(
            "{}: worker, sweeper and everything they need, in one process\n\n\
             queues   in memory, with the rules of SQS FIFO; so are topic and locks\n\
             tables   {tables}\n\
             page     http://{}/\n\
             http     http://{}\n\
             grpc     {}\n\
             admin    http://{}/metrics\n\
             sample   {}\n\n\
             Paste a command, one JSON a line; results appear as they are published, times in \
             UTC.\nCtrl-C or the end of its input (Ctrl-D) ends it. To begin with:\n\n{}\n",
            style.heading("inventory-worker dev"),
            gateway.http_address(),
            gateway.http_address(),
            gateway.grpc_address(),
            admin.address(),
            sample::WORDS,
            sample::EXAMPLE,
        ))
    }
}

/// Posts commands.
struct Poster<'a> {
    embedded: &'a Embedded,
    /// When messages were posted that the queue's deduplication still knows, by message id.
    posted: BTreeMap<String, Instant>,
}

impl Poster<'_> {
    /// Posts a line as it is, if it is a command. Ignores a blank one.
    fn post_line(&mut self, line: &str) -> Result<(), String> {
        if line.trim().is_empty() {
            return Ok(());
        }
        let command =
            PreparedCommand::from_body(line.to_owned()).map_err(|error| error.to_string())?;
        let message_id = self.push(&command)?;
        self.posted.retain(|_, at| at.elapsed() < DEDUPLICATION);
        match self.posted.insert(message_id, Instant::now()) {
            None => Ok(()),
            Some(_) => Err("the same message was posted within five minutes, and the queue drops \
                            it (content-based deduplication)"
                .to_owned()),
        }
    }

    /// Waits until every message posted is decided.
    async fn idle(&self) {
        while !self.embedded.is_idle() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits for the sample: its restocks and the commands on it go through different queues.
    async fn until_idle(&self) {
        // What is late goes on.
        let _ = tokio::time::timeout(SAMPLE_TIMEOUT, self.idle()).await;
    }

    fn post_command(&self, key: CommandKey, pool: PoolId, action: Action) -> anyhow::Result<()> {
        let time = self.embedded.backends.clock.now();
        let command =
            OutgoingCommand { key, time, deadline: None, pool, action, traceparent: None };
        let command = PreparedCommand::encode(&command, None)?;
        self.push(&command).map(|_| ()).map_err(anyhow::Error::msg)
    }

    fn push(&self, command: &PreparedCommand) -> Result<String, String> {
        let queue = self.embedded.queue_for(&command.command.action);
        queue.push(&command.message()).map_err(|error| error.to_string())
    }
}
