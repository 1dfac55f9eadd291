//! Redis servers of one test, stopped when it ends.

use std::{
    net::TcpListener,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use inventory_worker::{
    adapters::{redis::RedisLocks, system::Random},
    ports::{Entropy as _, PortError},
};
use redis::{FromRedisValue, aio::MultiplexedConnection};
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

/// The timeout of a condition on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A redis-server on its own port.
pub struct Server {
    pub port: u16,
    options: Vec<String>,
    folder: TempDir,
    child: Option<Child>,
}

impl Server {
    /// Starts a server and waits until it answers.
    pub async fn start(options: &[&str]) -> Self {
        let mut server = Self::prepare(options);
        server.run().await;
        server
    }

    /// Reserves a port without starting a server.
    pub fn prepare(options: &[&str]) -> Self {
        Self {
            port: free_port(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            folder: tempfile::tempdir().unwrap(),
            child: None,
        }
    }

    pub async fn run(&mut self) {
        let port = self.port.to_string();
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"])
            .args(&self.options)
            .arg("--dir")
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("redis-server, from Debian's package of that name, is on the path");
        self.child = Some(child);
        let address = ("127.0.0.1", self.port);
        until("the server listens", async || tokio::net::TcpStream::connect(address).await.is_ok())
            .await;
    }

    /// Kills it at once, like a crash.
    pub async fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().await.unwrap();
    }

    /// Stops the process: its connections stay open and answer nothing.
    pub async fn hang(&self) {
        assert!(self.signal("-STOP").await.success());
    }

    /// Resumes it after [`Self::hang`].
    pub async fn go_on(&self) {
        assert!(self.signal("-CONT").await.success());
    }

    async fn signal(&self, signal: &str) -> ExitStatus {
        let pid = self.child.as_ref().unwrap().id().unwrap().to_string();
        Command::new("kill").args([signal, &pid]).status().await.unwrap()
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub fn locks(&self) -> RedisLocks {
        RedisLocks::new(self.url().parse().unwrap())
    }

    /// Sends it a command, as an operator would.
    pub async fn ask<T: FromRedisValue>(&self, words: &str) -> T {
        let mut connection = self.connect().await;
        let mut command = redis::Cmd::new();
        words.split(' ').for_each(|word| {
            command.arg(word);
        });
        command.query_async(&mut connection).await.unwrap()
    }

    /// Sends it a command that it may refuse for now. Returns whether it succeeded.
    pub async fn try_ask(&self, words: &str) -> bool {
        let mut command = redis::Cmd::new();
        words.split(' ').for_each(|word| {
            command.arg(word);
        });
        command.exec_async(&mut self.connect().await).await.is_ok()
    }

    async fn connect(&self) -> MultiplexedConnection {
        let client = redis::Client::open(self.url()).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }
}

/// An id that no other test uses.
pub fn unique() -> Uuid {
    Random::new().uuid()
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits for a condition.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Tries to lock one name of a scope for a minute, under a new token.
///
/// Fails the test if there is no answer of any kind long after the adapter's own timeout.
pub async fn try_lock(locks: &RedisLocks, scope: &str) -> Result<bool, PortError> {
    use inventory_worker::ports::Locks as _;
    let name = [unique().to_string()];
    let minute = Duration::from_secs(60);
    timeout(DEADLINE, locks.acquire(scope, &name, unique(), minute))
        .await
        .expect("a call is bounded in time")
}

/// Whether the call was failed without asking Redis.
pub fn is_spared(answer: &Result<bool, PortError>) -> bool {
    matches!(answer, Err(PortError::Unavailable(text)) if text.contains("not asked"))
}
