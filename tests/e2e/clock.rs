//! A machine whose clock differs from the services'. It needs no stack: the service here finds every
//! queue and fails every other request, and its answers have a `Date` all the same.

use std::{collections::BTreeMap, time::Duration};

use inventory_worker::{adapters::system::SystemClock, ports::Clock as _};
use jiff::{SignedDuration, fmt::rfc2822::DateTimePrinter};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{process::Worker, wait::until};

/// How far the service is behind.
const BEHIND: SignedDuration = SignedDuration::from_mins(30);

/// Says where queues are, and answers every other request with 503, with a `Date` half an hour ago.
async fn service() -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            tokio::spawn(answer(stream));
        }
    });
    (url, task)
}

async fn answer(mut stream: TcpStream) {
    let mut request = vec![0; 65_536];
    // The first piece is enough: it has the head, and the connection ends with the answer.
    let Ok(bytes @ 1..) = stream.read(&mut request).await else { return };
    let is_looked_up = String::from_utf8_lossy(&request[..bytes]).contains("GetQueueUrl");
    let (status, body) = match is_looked_up {
        true => ("200 OK", r#"{"QueueUrl":"http://127.0.0.1:9/000000000000/any.fifo"}"#),
        false => ("503 Service Unavailable", ""),
    };
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&(SystemClock.now() - BEHIND));
    let answer = format!(
        "HTTP/1.1 {status}\r\nDate: {}\r\nContent-Type: application/x-amz-json-1.0\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        date.unwrap(),
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.shutdown()).await;
}

#[tokio::test]
async fn a_clock_that_is_ahead_of_the_services_is_seen_in_the_metric_and_in_the_log() {
    let (url, service) = service().await;
    let environment: BTreeMap<String, String> = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL", &url),
        // An ARN: what is not known to be missing does not end the start.
        ("INVENTORY_RESULTS_TOPIC", "arn:aws:sns:us-east-1:000000000000:results.fifo"),
        ("INVENTORY_LOG_FORMAT", "json"),
        ("ADMIN_HOST", "127.0.0.1"),
        ("ADMIN_PORT", "0"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let worker = Worker::start(&environment).await;
    let half_an_hour = 1_795.0..=1_830.0;
    let ahead = until("the metric shows it", async || {
        let ahead = worker.figure("inventory_clock_ahead_seconds").await;
        (ahead != 0.0).then_some(ahead)
    })
    .await;
    assert!(half_an_hour.contains(&ahead), "{ahead}");
    let message = "this machine's clock differs from the services': holds end at wrong times";
    let line = until("the log says it", async || worker.logged(message)).await;
    assert_eq!(line["level"], "WARN");
    let logged = line["ahead_s"].as_f64().expect("a number");
    assert!(half_an_hour.contains(&logged), "{line}");
    worker.kill().await;
    service.abort();
}
