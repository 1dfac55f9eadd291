//! DynamoDB on a port of this machine, for end-to-end tests and local stacks.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::Context as _;
use clap::Parser;
use inventory_worker::adapters::embedded::EmbeddedDynamo;
use tokio::signal::unix::{SignalKind, signal};

/// Serves DynamoDB's wire protocol from SQLite until SIGTERM or SIGINT.
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes a free one. Nobody is asked for credentials.
    #[arg(long, default_value = "127.0.0.1:8000", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Keep the data in this file; in memory without.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    // Before listening, so that no signal is missed by whoever waits for the port.
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let server = EmbeddedDynamo::listen(options.listen, options.data.as_deref()).await?;
    println!("listening on {}", server.endpoint());
    tokio::select! {
        biased;
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    server.stop().await;
    Ok(())
}
