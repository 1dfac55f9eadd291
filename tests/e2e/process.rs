//! The binary's processes. Dropping a process's handle kills it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    process::{Output, Stdio},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::TcpStream,
    process::{Child, Command},
    time,
};

use crate::wait::{DEADLINE, until};

const BINARY: &str = env!("CARGO_BIN_EXE_inventory-worker");

/// How many lines of a worker's log are shown with a failure.
const SHOWN_LINES: usize = 40;

/// The binary with only this environment.
pub fn command(environment: &BTreeMap<String, String>, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_clear().envs(environment).kill_on_drop(true).stdin(Stdio::null());
    command
}

/// Runs the binary until it exits.
pub async fn run(environment: &BTreeMap<String, String>, arguments: &[&str]) -> Finished {
    let ended = time::timeout(DEADLINE, command(environment, arguments).output()).await;
    let Output { status, stdout, stderr } = ended.expect("the command ends").unwrap();
    Finished {
        code: status.code().expect("no signal"),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// A process that exited.
#[derive(Debug)]
pub struct Finished {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Finished {
    /// Fails, with all output, unless the process exited with that code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self
    }

    /// stdout as one line of JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }

    /// stdout as JSON, line by line.
    pub fn json_lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Sends a signal, by its name, to a running process.
pub async fn signal(child: &Child, name: &str) {
    let pid = child.id().expect("still running").to_string();
    let sent = Command::new("sh").args(["-c", "kill -\"$0\" \"$1\"", name, &pid]).status().await;
    assert!(sent.unwrap().success());
}

/// A running worker, or another process with an admin port.
pub struct Worker {
    child: Child,
    log: Arc<Mutex<Vec<Value>>>,
    admin: SocketAddr,
}

impl Worker {
    /// Starts `run` and waits until its admin port answers.
    pub async fn start(environment: &BTreeMap<String, String>) -> Self {
        Self::start_as("run", environment).await
    }

    /// Starts a subcommand and waits until its admin port answers.
    pub async fn start_as(subcommand: &str, environment: &BTreeMap<String, String>) -> Self {
        let mut child = command(environment, &[subcommand])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log: Arc<Mutex<Vec<Value>>> = Arc::default();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let written = Arc::clone(&log);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                written.lock().unwrap().push(line);
            }
        });
        // From here on a failure shows the log.
        let mut worker = Self { child, log, admin: SocketAddr::from(([127, 0, 0, 1], 0)) };
        worker.admin = until("the process opens its admin port", async || {
            worker.logged("admin port")?["address"].as_str()?.parse().ok()
        })
        .await;
        worker
    }

    /// The first line of the log with this message.
    pub fn logged(&self, message: &str) -> Option<Value> {
        self.log.lock().unwrap().iter().find(|line| line["message"] == message).cloned()
    }

    /// The whole log so far.
    pub fn lines(&self) -> Vec<Value> {
        self.log.lock().unwrap().clone()
    }

    /// The address of its admin port.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Waits until it reports that it is ready.
    pub async fn ready(self) -> Self {
        until("the worker is ready", async || {
            (self.get("/readyz").await?.status == 200).then_some(())
        })
        .await;
        self
    }

    /// Requests a path of its admin port; `None` without an answer.
    pub async fn get(&self, path: &str) -> Option<Answer> {
        let mut stream = TcpStream::connect(self.admin).await.ok()?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.admin);
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Answer { status, body: body.to_owned() })
    }

    /// A metric at `/metrics`, by its name with labels; 0 if it is missing.
    pub async fn figure(&self, name: &str) -> f64 {
        let answer = self.get("/metrics").await.expect("the admin port answers");
        let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
        answer.body.lines().find_map(value).unwrap_or(0.0)
    }

    /// SIGKILL.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// SIGTERM. The process may take a while to exit.
    pub async fn terminate(&self) {
        signal(&self.child, "TERM").await;
    }

    /// SIGSTOP: the process stops, and its leases expire.
    pub async fn freeze(&self) {
        signal(&self.child, "STOP").await;
    }

    /// SIGCONT: the process resumes.
    pub async fn thaw(&self) {
        signal(&self.child, "CONT").await;
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let pid = self.child.id().expect("still running");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// The exit code, if it has exited.
    pub fn has_ended(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap().map(|status| status.code().expect("no signal"))
    }

    /// Waits for its exit, at most that long, and returns the exit code.
    pub async fn ended(&mut self, within: Duration) -> i32 {
        let ended = time::timeout(within, self.child.wait()).await;
        ended.expect("the worker ends in time").unwrap().code().expect("no signal")
    }

    /// SIGTERM, and a clean exit.
    pub async fn stop(mut self) {
        self.terminate().await;
        assert_eq!(self.ended(DEADLINE).await, 0);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log.lock().unwrap();
            let whole = std::env::temp_dir().join(format!("worker-{}.log", self.admin.port()));
            let lines: Vec<String> = log.iter().map(ToString::to_string).collect();
            let written = std::fs::write(&whole, lines.join("\n"));
            println!("the log of the worker at {}, in {whole:?} ({written:?}), ends:", self.admin);
            for line in &log[log.len().saturating_sub(SHOWN_LINES)..] {
                println!("  {line}");
            }
        }
    }
}

/// An answer of the admin port.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}
