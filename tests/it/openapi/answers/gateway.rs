//! A gateway on memory.

use std::{sync::Arc, time::Duration};

use axum::{Extension, Router};
use inventory_worker::{
    adapters::{
        memory::{MemoryActivity, MemoryHints, MemoryQueue, MemoryStore, TokioClock},
        system::{Random, SystemProcessor},
    },
    client::{Client, ClientLimits, ClientPorts, OutcomePoller},
    domain::{self, CommandKey, Outcome},
    gateway::{
        Caller, CommandParts, CommandSettings, Commands, Overview, OverviewParts, Queries,
        QuerySettings, Scope, Scopes, Stress, StressParts,
        caller::Sources,
        hints::Announcements,
        http,
        observer::NoopRequestObserver,
        streams::{Changes, Results, StreamSettings, Streams, Tickets},
    },
    message::decode,
    ports::{Clock, Entropy, LedgerKey, LedgerRecord, Record},
};
use tokio_util::sync::CancellationToken;

pub const NOW: &str = "2026-11-29T12:00:00Z";

/// The tables of a gateway, and its routes.
pub struct Gateway {
    pub store: Arc<MemoryStore>,
    pub board: Arc<MemoryActivity>,
    pub state: http::HttpState,
}

impl Gateway {
    pub fn open() -> Self {
        Self::with(QuerySettings::default())
    }

    pub fn with(queries: QuerySettings) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::new(NOW.parse().unwrap()));
        let queue = Arc::new(MemoryQueue::new("commands.fifo", Arc::clone(&clock)));
        let store = Arc::new(MemoryStore::new(Arc::clone(&clock)));
        let entropy: Arc<dyn Entropy> = Arc::new(Random::seeded(1));
        let ports = ClientPorts {
            commands: queue.clone(),
            restocks: queue.clone(),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
        };
        let limits = ClientLimits { in_flight: 100, deadline: Duration::from_secs(2) };
        let parts = CommandParts {
            client: Client::new(ports, limits),
            outcomes: OutcomePoller::new(store.clone(), 100),
            store: store.clone(),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
        };
        let settings = CommandSettings { groups: 16, queue_age_max: Duration::from_secs(5) };
        let commands = Arc::new(Commands::new(parts, settings));
        let running = Arc::clone(&commands);
        tokio::spawn(async move { running.run().await });
        let draining = CancellationToken::new();
        let queries = Arc::new(Queries::new(store.clone(), Arc::clone(&clock), queries));
        let observer = Arc::new(NoopRequestObserver);
        let streams = Streams::new(StreamSettings::default(), Arc::clone(&entropy), observer);
        let tickets = Arc::new(Tickets::new(Arc::clone(&clock), Arc::clone(&entropy)));
        let announcements = Announcements::new(Arc::new(MemoryHints::new(Arc::clone(&clock))));
        let results = Results::new(Some(announcements), streams.clone(), Arc::clone(&clock));
        let random = Arc::clone(&entropy);
        let changes = Changes::new(Arc::clone(&queries), streams, Arc::clone(&clock), random);
        let board = Arc::new(MemoryActivity::new(Arc::clone(&clock)));
        let stress = Stress::new(
            StressParts {
                restocks: queue.clone(),
                store: store.clone(),
                clock: Arc::clone(&clock),
                entropy,
                processor: Arc::new(SystemProcessor),
                observer: Arc::new(NoopRequestObserver),
            },
            100_000,
        );
        let stress = Arc::new(stress);
        let running = Arc::clone(&stress);
        tokio::spawn(async move { running.run().await });
        let overview = Arc::new(Overview::new(OverviewParts {
            commands: queue.clone(),
            restocks: queue,
            awaited: Arc::clone(&commands),
            board: Some(board.clone()),
            holds: store.clone(),
            clock: Arc::clone(&clock),
        }));
        let stress = Some(stress);
        let state = http::HttpState {
            commands,
            queries,
            changes,
            results,
            tickets,
            overview,
            stress,
            clock,
            draining,
        };
        Self { store, board, state }
    }

    /// From here on the gateway is about to stop.
    pub fn drain(&self) {
        self.state.draining.cancel();
    }

    /// From now on it has no Redis.
    pub fn without_hints(&mut self) {
        let streams = self.state.changes.streams().clone();
        self.state.results = Results::new(None, streams, Arc::clone(&self.state.clock));
    }

    /// The same where storms are not allowed.
    pub fn without_stress(mut self) -> Self {
        self.state.stress = None;
        self
    }

    /// The routes for a caller with every right.
    pub fn router(&self) -> Router {
        self.router_of(Caller::local())
    }

    /// The routes for a caller with these scopes, and no source but its own.
    pub fn router_with(&self, scopes: &[Scope]) -> Router {
        let scopes: Scopes = scopes.iter().copied().collect();
        let sources = Sources::Own { prefixes: Vec::new() };
        self.router_of(Caller { subject: "shop".to_owned(), scopes, sources })
    }

    fn router_of(&self, caller: Caller) -> Router {
        http::router(self.state.clone()).layer(Extension(caller))
    }

    /// Writes that a command was decided. The command may differ in its identity.
    pub fn decide(
        &self,
        key: &CommandKey,
        event: &str,
        outcome: Outcome,
        changes: domain::Changes,
    ) {
        let command = decode(event).unwrap().command;
        let record = LedgerRecord::Outcome {
            digest: command.digest,
            command_type: command.action.command_type(),
            pool: command.pool,
            outcome,
            changes,
            decided_at: NOW.parse().unwrap(),
        };
        self.store.insert([Record::Ledger(LedgerKey::Command(key.clone()), record)]);
    }
}
