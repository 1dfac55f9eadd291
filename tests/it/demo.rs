//! `dev`: the demo, and the worker that reads commands from stdin.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{Arc, mpsc},
    time::Duration,
};

use inventory_worker::{
    app::embedded::Embedded,
    cli::{self, CliContext, ExitCode},
    demo::{self, Cast, live::View},
    terminal::Output,
    worker::{NoopObserver, Settings},
};
use serde_json::{Value, json};

/// The timeout, far beyond any test here, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn quick() -> Settings {
    Settings { long_poll: Duration::from_millis(200), ..Settings::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_demo_has_one_outcome_and_the_books_agree() {
    let (out, captured) = Output::captured();
    let cast = Cast { buyers: 40, latecomers: 4, seed: 7 };
    let embedded = Arc::new(Embedded::start(None).await.unwrap());
    let observer = Arc::new(NoopObserver);
    let played = demo::play(embedded, &cast, quick(), observer, &View::Lines, &out).await;
    let summary = played.unwrap();
    summary.print(&out).unwrap();
    let text = captured.text();
    assert!(summary.is_clean(), "{text}");
    assert_eq!(summary.messages, summary.commands - count(&summary, "expired") + 2);
    assert_eq!(summary.outcomes.values().sum::<u64>(), summary.commands);
    assert_eq!(summary.rejections.values().sum::<u64>(), count(&summary, "rejected"));
    assert_eq!((summary.repeated, summary.unreadable, summary.dead_letters), (1, 1, 2));
    assert!(summary.replays >= 1 && count(&summary, "expired") >= 3, "{text}");
    assert_eq!(count(&summary, "restocked"), 3);
    assert_eq!(summary.seats.values().sum::<u64>(), 260);
    for code in [
        "COMMAND_ID_REUSED",
        "INSUFFICIENT_STOCK",
        "NOT_OWNER",
        "RESERVATION_CONFIRMED",
        "RESERVATION_EXPIRED",
        "SEATS_UNAVAILABLE",
        "SEAT_NOT_FOUND",
        "SKU_NOT_FOUND",
        "UNSUPPORTED_TYPE",
    ] {
        assert!(summary.rejections.contains_key(code), "{code}: {text}");
    }
    assert!(summary.scenes.iter().all(|scene| scene.went_well), "{text}");
    assert!(text.contains("Verdict:") && !text.contains('✗'), "{text}");
    assert!(!text.contains('\u{1b}'), "no terminal, no escapes");
}

fn count(summary: &demo::summary::DemoSummary, word: &str) -> u64 {
    summary.outcomes.get(&format!("inventory.{word}.v1")).copied().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_prints_its_summary_as_one_line_of_json_and_ends_with_0() {
    let ((out, captured), (errors, complaints)) = (Output::captured(), Output::captured());
    let environment = Box::new(BTreeMap::<&str, &str>::new());
    let context = CliContext { environment, out, errors };
    let arguments = ["inventory-worker", "dev", "--demo", "--json"].map(Into::into);
    let code = cli::execute(arguments, &context).await;
    assert_eq!(code, ExitCode::Done, "{}{}", captured.text(), complaints.text());
    let text = captured.text();
    let summary: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(summary["audit"]["violations"], 0);
    for counted in ["outcomes", "rejections", "calls"] {
        let counts = summary[counted].as_object().unwrap();
        assert!(counts.values().all(|count| count.as_u64() > Some(0)), "{counted}: {summary}");
    }
    let decided = summary["outcomes"].as_object().unwrap().values();
    let decided: u64 = decided.map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(summary["commands"], decided);
    let ms = |name: &str| summary[name].as_f64().unwrap();
    assert!(ms("p50_ms") > 0.0 && ms("p99_ms") >= ms("p50_ms"), "{summary}");
}

#[test]
fn the_house_of_the_demo_stays_open_for_a_visitor() {
    let mut dev = Dev::start(&["--demo", "--open", "--json"]);
    let address = loop {
        let said = dev.complaints.recv_timeout(PATIENCE).unwrap();
        if let Some((_, address)) = said.split_once("stays open at http://") {
            break address.split('/').next().unwrap().to_owned();
        }
    };
    let page = get(&address, "/");
    assert!(page.contains(r#"data-demo="false" data-event="1""#));
    let overview: Value = serde_json::from_str(&get(&address, "/overview")).unwrap();
    let activity = &overview["activity"];
    assert_eq!(activity["workers"], 1, "{overview}");
    for counted in
        [&activity["completed"]["inventory.reserve.v1"], &activity["rejected"]["SEATS_UNAVAILABLE"]]
    {
        assert!(counted.as_u64() > Some(0), "{overview}");
    }
    assert_eq!(dev.stop(), Some(0));
}

/// The body of a 200.
fn get(address: &str, path: &str) -> String {
    let mut visitor = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n\r\n");
    visitor.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    visitor.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    body.to_owned()
}

/// A running `dev`, killed when dropped.
pub struct Dev {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: mpsc::Receiver<String>,
    complaints: mpsc::Receiver<String>,
}

impl Dev {
    fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    pub fn start_with(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_inventory-worker"))
            .args(["dev", "--admin-port", "0", "--port", "0", "--grpc-port", "0"])
            .args(arguments)
            .env("RUST_LOG", "off")
            .env_remove("INVENTORY_DATA")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = child.stdin.take();
        let lines = lines_of(child.stdout.take().unwrap());
        let complaints = lines_of(child.stderr.take().unwrap());
        Self { child, stdin, lines, complaints }
    }

    pub fn post(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The next result of that command.
    pub fn result_of(&self, id: &str) -> Value {
        self.result_where(|of| of == id)
    }

    /// The next result of a command with such an id.
    pub fn result_where(&self, is_it: impl Fn(&str) -> bool) -> Value {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).unwrap();
            let result: Value = serde_json::from_str(&line).unwrap();
            if result["data"]["command"]["id"].as_str().is_some_and(&is_it) {
                return result;
            }
        }
    }

    /// Stops it; returns its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // It has already exited if the test succeeded.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(from: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    receive
}

fn command(id: &str, kind: &str, mut data: Value) -> String {
    data["event_id"] = json!(1);
    json!({
        "specversion": "1.0", "id": id, "source": "/me",
        "type": format!("inventory.{kind}.v1"), "data": data,
    })
    .to_string()
}

#[test]
fn commands_from_stdin_come_out_as_results_and_the_end_of_stdin_ends_it_with_0() {
    let mut dev = Dev::start(&["--json"]);
    assert_eq!(dev.result_of("sample-event-1")["data"]["restock"]["seats_applied"], 160);
    dev.post(&command("r-1", "reserve", json!({"user_id": "me", "seats": ["A-1"]})));
    let reserved = dev.result_of("r-1");
    assert_eq!(reserved["type"], "inventory.reserved.v1");
    dev.post(&command("r-2", "reserve", json!({"user_id": "you", "seats": ["A-1"]})));
    assert_eq!(dev.result_of("r-2")["data"]["rejection"]["code"], "SEATS_UNAVAILABLE");
    let id = &reserved["data"]["reservation"]["reservation_id"];
    dev.post(&command("c-1", "confirm", json!({"reservation_id": id, "booking_id": "b"})));
    // What was posted is still answered.
    dev.stdin = None;
    assert_eq!(dev.result_of("c-1")["type"], "inventory.confirmed.v1");
    assert_eq!(dev.child.wait().unwrap().code(), Some(0));
}

#[test]
fn without_input_it_runs_until_a_signal() {
    let mut dev = Dev::start(&["--json"]);
    dev.stdin = None;
    assert_eq!(dev.result_of("sample-event-1")["data"]["restock"]["seats_applied"], 160);
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn a_line_that_is_no_command_is_named_and_not_posted() {
    let mut dev = Dev::start(&["--json"]);
    dev.post(r#"{"specversion":"1.0","id":"x"}"#);
    let complaint = std::iter::from_fn(|| dev.complaints.recv_timeout(PATIENCE).ok())
        .find(|line| line.contains("not posted"))
        .unwrap();
    assert!(complaint.contains("line 1") && complaint.contains("source"), "{complaint}");
    // stdin is still open: the exit does not wait for it.
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn kept_tables_know_what_was_sold_the_next_time() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = ["--json", "--data", folder.path().to_str().unwrap()];
    let mut dev = Dev::start(&arguments);
    dev.post(&command("r-1", "reserve", json!({"user_id": "me", "seats": ["A-1"]})));
    assert_eq!(dev.result_of("r-1")["type"], "inventory.reserved.v1");
    assert_eq!(dev.stop(), Some(0));

    let mut again = Dev::start(&arguments);
    again.post(&command("r-2", "reserve", json!({"user_id": "you", "seats": ["A-1"]})));
    assert_eq!(again.result_of("r-2")["data"]["rejection"]["code"], "SEATS_UNAVAILABLE");
    assert_eq!(again.stop(), Some(0));
}
