//! A proxy between the binary and the servers that records every call.

use std::sync::Arc;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use crate::wait::DEADLINE;

/// A call as it was sent.
#[derive(Clone, Debug)]
pub struct Call {
    pub operation: String,
    /// The parameters: of the JSON protocol, or of SNS's forms as an object of strings.
    pub body: Value,
}

impl Call {
    pub fn text(&self, name: &str) -> Option<&str> {
        self.body[name].as_str()
    }
}

/// Holds back one operation until another was sent to a queue.
#[derive(Clone, Copy)]
pub struct Hold {
    pub operation: &'static str,
    pub until: &'static str,
    /// The end of the queue's name: other queues are sent the same operation.
    pub queue: &'static str,
}

/// A proxy of one server that records its calls. Its connections end with it.
pub struct Recorder {
    url: String,
    calls: watch::Receiver<Vec<Call>>,
    task: AbortHandle,
}

impl Recorder {
    /// A proxy of the server at `http://host:port`.
    pub async fn of(server: &str, hold: Option<Hold>) -> Self {
        let server: Arc<str> = server.strip_prefix("http://").unwrap().into();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (recording, calls) = watch::channel(Vec::new());
        let recording = Arc::new(recording);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                while connections.try_join_next().is_some() {}
                let Ok((client, _)) = listener.accept().await else { continue };
                let (server, recording) = (Arc::clone(&server), Arc::clone(&recording));
                connections.spawn(connect(client, server, recording, hold));
            }
        });
        Self { url, calls, task: task.abort_handle() }
    }

    /// The URL it listens on.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        self.calls.borrow().clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connect(
    client: TcpStream,
    server: Arc<str>,
    recording: Arc<watch::Sender<Vec<Call>>>,
    hold: Option<Hold>,
) {
    let Ok(server) = TcpStream::connect(&*server).await else { return };
    let (mut client_in, mut client_out) = client.into_split();
    let (mut server_in, mut server_out) = server.into_split();
    let requests = async {
        let mut left_over = Vec::new();
        while let Some((head, body)) = request(&mut client_in, &mut left_over).await {
            let call = parse(&head, &body);
            let held = hold.filter(|hold| hold.operation == call.operation);
            recording.send_modify(|calls| calls.push(call));
            if let Some(Hold { until, queue, .. }) = held {
                let mut calls = recording.subscribe();
                let is_it = |call: &Call| {
                    let url = call.text("QueueUrl").unwrap_or_default();
                    call.operation == until && url.ends_with(queue)
                };
                let seen = |calls: &Vec<Call>| calls.iter().any(is_it);
                // If it is never sent, the test reports what is missing.
                let _ = tokio::time::timeout(DEADLINE, calls.wait_for(seen)).await;
            }
            let sent = [head.as_bytes(), &body].concat();
            if server_out.write_all(&sent).await.is_err() {
                return;
            }
        }
    };
    let answers = tokio::io::copy(&mut server_in, &mut client_out);
    tokio::select! {
        () = requests => {}
        _ = answers => {}
    }
}

/// The next request of a connection: its head including the empty line, and its body.
async fn request(from: &mut OwnedReadHalf, bytes: &mut Vec<u8>) -> Option<(String, Vec<u8>)> {
    let end = loop {
        match bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            Some(at) => break at + 4,
            None => read_more(from, bytes).await?,
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length = header(&head, "content-length").map_or(0, |text| text.parse().unwrap());
    assert_eq!(header(&head, "transfer-encoding"), None, "the clients send whole bodies");
    while bytes.len() < end + length {
        read_more(from, bytes).await?;
    }
    let rest = bytes.split_off(end + length);
    let body = bytes.split_off(end);
    *bytes = rest;
    Some((head, body))
}

async fn read_more(from: &mut OwnedReadHalf, bytes: &mut Vec<u8>) -> Option<()> {
    let read = from.read_buf(bytes).await.ok()?;
    (read > 0).then_some(())
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn parse(head: &str, body: &[u8]) -> Call {
    if let Some(target) = header(head, "x-amz-target") {
        let operation = target.rsplit('.').next().unwrap().to_owned();
        return Call { operation, body: serde_json::from_slice(body).unwrap() };
    }
    let fields: Value = url::form_urlencoded::parse(body)
        .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let operation = fields["Action"].as_str().expect("a call of a protocol that is known");
    Call { operation: operation.to_owned(), body: fields }
}
