//! DynamoDB in this process: dynoxide over SQLite, which the real adapter reaches over loopback.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client, Config,
    config::{Credentials, Region},
};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use super::dynamodb::{ClientOptions, client::configure};

/// How long running requests may take to finish once the server is stopped.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// Why the embedded server could not start.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// The address is in use, or does not belong to this machine.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that cannot be bound.
        address: SocketAddr,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The data file cannot be opened or created.
    #[error("cannot open the data file {path}: {reason}")]
    Data {
        /// The file's path; "memory" if there is none.
        path: String,
        /// The error of the database.
        reason: String,
    },
}

/// A running server. Stops when dropped.
#[derive(Debug)]
pub struct EmbeddedDynamo {
    address: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<Result<(), String>>,
}

impl EmbeddedDynamo {
    /// Starts on a free port of 127.0.0.1. Keeps its data in memory, or in the file, which is
    /// created if it is missing.
    ///
    /// # Errors
    ///
    /// The data file cannot be opened, or there is no free port.
    pub async fn start(data: Option<&Path>) -> Result<Self, EmbeddedError> {
        Self::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), data).await
    }

    /// Starts on an address. Requests are not authenticated: use loopback only.
    ///
    /// # Errors
    ///
    /// The data file cannot be opened, or the address cannot be listened on.
    pub async fn listen(address: SocketAddr, data: Option<&Path>) -> Result<Self, EmbeddedError> {
        let database = open(data)?;
        let failed = |source| EmbeddedError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let serve = dynoxide::server::serve_with_shutdown(listener, database, stopped);
        Ok(Self { address, stop, server: tokio::spawn(serve) })
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint's URL, as for `AWS_ENDPOINT_URL_DYNAMODB`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client of this server.
    #[must_use]
    pub fn client(&self, options: &ClientOptions) -> Client {
        Client::from_conf(configure(self.config(), options).build())
    }

    /// Endpoint, region and credentials, for a client with other settings of its own.
    #[must_use]
    pub fn config(&self) -> aws_sdk_dynamodb::config::Builder {
        let anyone = Credentials::new("embedded", "embedded", None, None, "embedded");
        Config::builder()
            .endpoint_url(self.endpoint())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(anyone)
    }

    /// Finishes running requests, then stops.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(STOP_WITHIN, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }
}

impl Drop for EmbeddedDynamo {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn open(data: Option<&Path>) -> Result<dynoxide::Database, EmbeddedError> {
    let failed = |path: String, reason: String| EmbeddedError::Data { path, reason };
    let Some(path) = data else {
        return dynoxide::Database::memory()
            .map_err(|error| failed("memory".to_owned(), error.to_string()));
    };
    let shown = path.display().to_string();
    match path.to_str() {
        Some(text) => {
            dynoxide::Database::new(text).map_err(|error| failed(shown, error.to_string()))
        }
        None => Err(failed(shown, "the path is not UTF-8".to_owned())),
    }
}
