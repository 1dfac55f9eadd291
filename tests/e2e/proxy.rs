//! A proxy between a worker and a server that can disturb the connection.

use std::{sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{AbortHandle, JoinSet},
};

/// The treatment of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Requests pass.
    Pass,
    /// A request with this text waits, and so does everything after it on its connection.
    Hold(&'static str),
    /// Every connection is cut, and none is accepted.
    Cut,
    /// Nothing passes in either direction, and connections stay open.
    Hang,
    /// Every piece, in either direction, is delayed that long.
    Delay(Duration),
    /// Requests pass; the connection is cut in place of the answer.
    LoseAnswers,
}

/// A proxy of one server. Its connections end with it.
pub struct Proxy {
    url: String,
    mode: watch::Sender<Mode>,
    held: watch::Receiver<Vec<u8>>,
    task: AbortHandle,
}

impl Proxy {
    /// A proxy of the server at `http://host:port` that passes everything.
    pub async fn of(server: &str) -> Self {
        let server: Arc<str> = server.strip_prefix("http://").unwrap().into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (mode, modes) = watch::channel(Mode::Pass);
        let (holding, held) = watch::channel(Vec::new());
        let holding = Arc::new(holding);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                while connections.try_join_next().is_some() {}
                let Ok((client, _)) = listener.accept().await else { continue };
                connections.spawn(connect(
                    client,
                    Arc::clone(&server),
                    modes.clone(),
                    Arc::clone(&holding),
                ));
            }
        });
        Self { url, mode, held, task: task.abort_handle() }
    }

    /// The URL it listens on.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Sets the mode from now on.
    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Waits until a request is held, and returns everything held so far.
    pub async fn held(&self) -> String {
        let mut held = self.held.clone();
        let waited = held.wait_for(|bytes| !bytes.is_empty());
        let bytes = tokio::time::timeout(crate::wait::DEADLINE, waited).await;
        String::from_utf8_lossy(&bytes.expect("a request is held in time").unwrap()).into_owned()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connect(
    client: TcpStream,
    server: Arc<str>,
    mut modes: watch::Receiver<Mode>,
    holding: Arc<watch::Sender<Vec<u8>>>,
) {
    if *modes.borrow() == Mode::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(&*server).await else { return };
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let requests = forward(client_in, server_out, modes.clone(), Some(holding));
    let answers = forward(server_in, client_out, modes.clone(), None);
    tokio::select! {
        () = requests => {}
        () = answers => {}
        _ = modes.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

/// Forwards bytes. A piece arrives as one piece unless it is long: the searched text is in a
/// request's head or at the beginning of its body.
async fn forward(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut modes: watch::Receiver<Mode>,
    holding: Option<Arc<watch::Sender<Vec<u8>>>>,
) {
    let mut buffer = vec![0; 256 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let piece = &buffer[..length];
        let is_held = |mode: &Mode| match mode {
            Mode::Hold(text) => holding.is_some() && contains(piece, text.as_bytes()),
            Mode::Hang => true,
            Mode::Pass | Mode::Cut | Mode::Delay(_) | Mode::LoseAnswers => false,
        };
        let mode = *modes.borrow();
        match mode {
            Mode::Delay(time) => tokio::time::sleep(time).await,
            Mode::LoseAnswers if holding.is_none() => return,
            _ => {}
        }
        if is_held(&mode) {
            if let (Some(holding), Mode::Hold(_)) = (&holding, mode) {
                holding.send_modify(|held| held.extend_from_slice(piece));
            }
            if modes.wait_for(|mode| !is_held(mode)).await.is_err() {
                return;
            }
        }
        if to.write_all(piece).await.is_err() {
            return;
        }
    }
}

fn contains(piece: &[u8], text: &[u8]) -> bool {
    piece.windows(text.len()).any(|window| window == text)
}
