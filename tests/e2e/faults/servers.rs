//! Servers of one test, which may be killed, frozen and restarted.

use std::{net::SocketAddr, path::Path, process::Stdio};

use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

use crate::{process::signal, wait::until};

/// A server on a port that it keeps.
pub struct Server {
    pub address: SocketAddr,
    program: String,
    arguments: Vec<String>,
    child: Child,
}

impl Server {
    /// Redis, without persistence: a restart forgets every lock.
    pub async fn redis() -> Self {
        let address = free_address().await;
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let arguments = ["--bind", &host, "--port", &port, "--save", "", "--appendonly", "no"];
        Self::start("redis-server", &arguments, address).await
    }

    /// The emulator of DynamoDB, with its data in a file.
    pub async fn dynamodb(data: &Path) -> Self {
        let address = free_address().await;
        let listen = address.to_string();
        let arguments = ["--listen", &listen, "--data", data.to_str().unwrap()];
        Self::start(env!("CARGO_BIN_EXE_dynamodb-emulator"), &arguments, address).await
    }

    async fn start(program: &str, arguments: &[&str], address: SocketAddr) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|one| (*one).to_owned()).collect();
        let child = spawn(program, &arguments);
        let server = Self { address, program: program.to_owned(), arguments, child };
        server.listens().await;
        server
    }

    async fn listens(&self) {
        let connect = async || TcpStream::connect(self.address).await.ok();
        until(&format!("{} listens", self.program), connect).await;
    }

    /// SIGKILL.
    pub async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    /// Restarts it after [`Self::kill`].
    pub async fn restart(&mut self) {
        self.child = spawn(&self.program, &self.arguments);
        self.listens().await;
    }

    /// SIGSTOP: connections stay open without answers.
    pub async fn freeze(&self) {
        signal(&self.child, "STOP").await;
    }

    /// SIGCONT.
    pub async fn thaw(&self) {
        signal(&self.child, "CONT").await;
    }
}

fn spawn(program: &str, arguments: &[String]) -> Child {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true).spawn().unwrap()
}

async fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}
