//! The worker's log: enough to find a command and its trace, and no user data.

use std::{
    cell::{Cell, RefCell},
    io,
    sync::Once,
};

use serde_json::{Value, json};
use tracing::Level;
use tracing_subscriber::{Layer as _, filter::DynFilterFn, fmt, layer::SubscriberExt as _};

use super::fixture::{Fault, World, until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A user id in every message of a customer; it must be in no line of the log.
const USER: &str = "user-7-who-is-nobodys-business";

thread_local! {
    /// The lowest level recorded on this thread, which is the only thread of a test's runtime.
    static LEVEL: Cell<Option<Level>> = const { Cell::new(None) };
    static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One subscriber for all threads: a thread's own would depend on the others, as tracing caches per
/// process whether any subscriber wants an event.
static SUBSCRIBER: Once = Once::new();

/// Writes into its thread's log.
struct Writer;

impl io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        WRITTEN.with_borrow_mut(|written| written.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The log of this thread, from [`Log::begin`] until it is dropped.
struct Log;

impl Log {
    /// Logs as in production, down to this level.
    fn begin(level: Level) -> Self {
        SUBSCRIBER.call_once(|| {
            let is_wanted = DynFilterFn::new(|event, _| {
                LEVEL.get().is_some_and(|level| *event.level() <= level)
            });
            let layer = fmt::layer().json().flatten_event(true).with_writer(|| Writer);
            let subscriber = tracing_subscriber::registry().with(layer.with_filter(is_wanted));
            tracing::subscriber::set_global_default(subscriber).unwrap();
        });
        WRITTEN.take();
        LEVEL.set(Some(level));
        Self
    }

    fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(WRITTEN.with_borrow(Clone::clone)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The first line with this message.
    #[track_caller]
    fn line(&self, message: &str) -> Value {
        let lines = self.lines();
        let found = lines.iter().find(|line| line["message"] == message).cloned();
        found.unwrap_or_else(|| panic!("no line says {message}: {lines:#?}"))
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        LEVEL.set(None);
    }
}

fn reserve(id: &str, seat: &str) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/test", "type": "inventory.reserve.v1",
        "traceparent": format!("00-{TRACE}-00f067aa0ba902b7-01"),
        "data": { "event_id": 1, "user_id": USER, "seats": [seat] },
    })
}

#[tokio::test(start_paused = true)]
async fn a_line_about_a_command_names_it_its_pool_and_its_trace() {
    let mut world = World::new();
    world.with_seats((0..3).map(|n| format!("A-{n}"))).await;
    let log = Log::begin(Level::DEBUG);
    world.faults.refuse("A-1");
    for (id, seat) in [("good", "A-0"), ("refused", "A-1")] {
        world.post_raw("event-1", &reserve(id, seat).to_string());
    }
    let mut unknown = reserve("unknown", "A-2");
    unknown["type"] = json!("inventory.teleport.v1");
    world.post_raw("event-2", &unknown.to_string());
    world.settle().await;
    assert_eq!(world.dead_letters.depth(), 2);
    for (message, id) in [
        ("decided", "good"),
        ("a message could not be handled", "refused"),
        ("copied to the dead letters", "unknown"),
    ] {
        let lines = log.lines();
        let is_it =
            |line: &&Value| line["message"] == message && line["command"] == format!("/test {id}");
        let line = lines.iter().find(is_it).unwrap_or_else(|| panic!("{message}: {lines:#?}"));
        assert_eq!(line["pool"], "event#1", "{line}");
        assert_eq!(line["trace_id"], TRACE, "{line}");
    }
    assert_eq!(log.line("decided")["outcome"], "inventory.reserved.v1");
}

#[tokio::test(start_paused = true)]
async fn nothing_of_a_customer_is_in_the_log_whatever_goes_wrong() {
    let mut world = World::new();
    world.with_seats((0..9).map(|n| format!("A-{n}"))).await;
    let log = Log::begin(Level::INFO);
    // An unreadable message, with the user id in an unexpected place.
    world.post_raw("event-1", &format!("{{ \"{USER}"));
    for (id, path, value) in [
        ("1", "seats", json!([USER, ""])),
        ("2", "hold_seconds", json!(USER)),
        ("3", "event_id", json!(USER)),
    ] {
        let mut wrong = reserve(id, "A-0");
        wrong["data"][path] = value;
        world.post_raw("event-1", &wrong.to_string());
    }
    // Transactions that the store refuses, and conflicts, outages and lost answers of every call.
    world.faults.refuse("A-1");
    for n in 1..9 {
        world.post_raw("event-3", &reserve(&format!("r-{n}"), &format!("A-{n}")).to_string());
    }
    world.faults.next("commit", (0..60).map(|_| Some(Fault::Conflicts)));
    for call in ["load", "publish", "delete", "acquire", "release", "receive"] {
        world.faults.next(call, [Fault::Fails, Fault::LosesAnswer].map(Some));
    }
    let running = world.start();
    until(|| world.queue.depth() == 0).await;
    running.stop().await;
    let lines = log.lines();
    for reported in ["copied to the dead letters", "a message could not be handled"] {
        log.line(reported);
    }
    for line in lines {
        assert!(!line.to_string().contains(USER), "{line}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ran_out_before_the_delete_is_counted_and_its_message_named() {
    let mut world = World::new();
    world.with_seats(["A-0".to_owned()]).await;
    let log = Log::begin(Level::INFO);
    world.post_raw("event-1", &reserve("late", "A-0").to_string());
    let deletes = world.seen.begun("delete").len();
    world.faults.slow_down("delete", std::time::Duration::from_secs(1));
    let running = world.start();
    until(|| world.seen.begun("delete").len() > deletes).await;
    world.queue.expire_all_leases();
    world.until_empty().await;
    running.stop().await;
    let line = log.line("settled after its lease: it comes again");
    assert_eq!((&line["command"], &line["pool"]), (&json!("/test late"), &json!("event#1")));
    assert_eq!((&line["group"], &line["trace_id"]), (&json!("event-1"), &json!(TRACE)));
    assert!(line["message_id"].is_string(), "{line}");
    assert_eq!(world.figure("inventory_leases_lost_total"), 1.0);
}
