//! Without Redis, and during its outages.

use std::process::Stdio;

use tokio::{
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

use crate::{
    messages::{reserve_seats, restock_seats, seat_numbers},
    stack::Stack,
    wait::until,
    world::{EVENT, World},
};

on_every_stack! {
    a_worker_goes_on_without_locks_when_redis_goes_away
    a_worker_without_redis_says_so_and_works
}

/// A Redis for one test.
async fn redis() -> (Child, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let port = address.port().to_string();
    let server = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--appendonly", "no"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    until("Redis listens", async || TcpStream::connect(address).await.ok()).await;
    (server, format!("redis://{address}"))
}

async fn a_worker_goes_on_without_locks_when_redis_goes_away(stack: Stack) {
    let mut world = World::new(stack).await;
    let (mut server, url) = redis().await;
    let worker = world.worker(&[("REDIS_URL", &url)]).await.ready().await;
    let reserve = |id: &str, seat: &str| reserve_seats(id, EVENT, &[seat]);
    let stock = restock_seats("stock", EVENT, &seat_numbers(3));
    world.post("event", &[stock, reserve("with", "A-1")]).await;
    assert_eq!(world.results.one("with").await.word(), "reserved");
    assert_eq!(worker.figure("inventory_lock_fallbacks_total").await, 0.0);
    assert!(worker.figure("inventory_lock_wait_seconds_count").await > 0.0, "locks were taken");

    server.kill().await.unwrap();
    for (id, seat, word) in [("gone", "A-2", "reserved"), ("taken", "A-1", "SEATS_UNAVAILABLE")] {
        world.post("event", &[reserve(id, seat)]).await;
        assert_eq!(world.results.one(id).await.word(), word);
    }
    assert!(worker.figure("inventory_lock_fallbacks_total").await >= 1.0);
    assert_eq!(worker.get("/readyz").await.unwrap().status, 200, "it works without");
    world.drained().await;
    worker.stop().await;
    world.results.assert_each_once();
    world.audit().await;
}

async fn a_worker_without_redis_says_so_and_works(stack: Stack) {
    let mut world = World::new(stack).await;
    world.environment.remove("REDIS_URL");
    let worker = world.worker(&[]).await;
    let stock = restock_seats("stock", EVENT, &seat_numbers(1));
    world.post("event", &[stock, reserve_seats("r", EVENT, &["A-1"])]).await;
    assert_eq!(world.results.one("r").await.word(), "reserved");
    let said = "REDIS_URL is not set: no locks, version conditions alone";
    assert!(worker.logged(said).is_some());
    assert_eq!(worker.figure("inventory_lock_fallbacks_total").await, 0.0, "nothing is missing");
    worker.stop().await;
    world.audit().await;
}
