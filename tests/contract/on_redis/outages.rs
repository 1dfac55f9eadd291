//! Failures of a single server.

use std::time::Duration;

use inventory_worker::{
    adapters::redis::{RedisLocks, RedisSnapshots},
    domain::PoolId,
    ports::{Locks as _, PortError, SnapshotStore as _},
};
use tokio::time::Instant;
use uuid::Uuid;

use super::servers::{Server, is_spared, try_lock, until};

const SCOPE: &str = "event#42";
const TOKEN: Uuid = Uuid::from_u128(7);
const MINUTE: Duration = Duration::from_secs(60);

fn seat() -> [String; 1] {
    ["seat/A-1".to_owned()]
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_server_that_comes_back_is_used_again() {
    let mut server = Server::start(&[]).await;
    let locks = server.locks();
    assert_eq!(try_lock(&locks, SCOPE).await, Ok(true));
    for _ in 0..2 {
        server.kill().await;
        let mut asked = 0;
        until("calls are spared", async || {
            let answer = try_lock(&locks, SCOPE).await;
            assert!(matches!(answer, Err(PortError::Unavailable(_))), "{answer:?}");
            asked += 1;
            is_spared(&answer)
        })
        .await;
        assert!(asked > 1, "one failure is not enough to give up");
        server.run().await;
        until("locks are taken again", async || try_lock(&locks, SCOPE).await == Ok(true)).await;
    }
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_lost_connection_is_made_again_without_a_pause() {
    let server = Server::start(&[]).await;
    let locks = server.locks();
    for _ in 0..5 {
        until("a lock is taken", async || {
            let answer = try_lock(&locks, SCOPE).await;
            assert!(!is_spared(&answer), "{answer:?}");
            answer == Ok(true)
        })
        .await;
        let killed: u32 = server.ask("CLIENT KILL TYPE normal").await;
        assert!(killed > 0);
    }
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_worker_may_start_before_its_redis() {
    let mut server = Server::prepare(&[]);
    let locks = server.locks();
    assert!(locks.ping().await.is_err());
    assert!(matches!(try_lock(&locks, SCOPE).await, Err(PortError::Unavailable(_))));
    server.run().await;
    until("locks are taken", async || try_lock(&locks, SCOPE).await == Ok(true)).await;
    assert_eq!(locks.ping().await, Ok(()));
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_snapshot_that_a_server_gets_late_is_as_old_as_its_read() {
    let server = Server::start(&[]).await;
    let snapshots = RedisSnapshots::new(server.url().parse().unwrap(), "test");
    let (pool, other) = (PoolId::Event(1), PoolId::Event(2));
    // The server knows the scripts.
    snapshots.put(&other, b"other", Duration::ZERO).await.unwrap();
    assert!(snapshots.get(&other).await.unwrap().is_some());
    server.hang().await;
    let read_at = Instant::now();
    let put = snapshots.put(&pool, b"read", Duration::ZERO).await;
    assert!(matches!(put, Err(PortError::Unavailable(_))), "{put:?}");
    until("the read is two seconds old", async || {
        let _ = snapshots.get(&other).await;
        read_at.elapsed() > Duration::from_secs(2)
    })
    .await;
    let age = read_at.elapsed();
    server.go_on().await;
    until("snapshots are found again", async || snapshots.get(&other).await.is_ok()).await;
    let found = snapshots.get(&pool).await.unwrap();
    assert!(found.as_ref().is_none_or(|found| found.age >= age), "{found:?} after {age:?}");
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_server_that_hangs_is_given_up_and_found_again() {
    let server = Server::start(&[]).await;
    let locks = server.locks();
    assert_eq!(try_lock(&locks, SCOPE).await, Ok(true));
    server.hang().await;
    // Each call returns in bounded time, or `try_lock` fails the test.
    until("calls are spared", async || {
        let answer = try_lock(&locks, SCOPE).await;
        assert!(matches!(answer, Err(PortError::Unavailable(_))), "{answer:?}");
        is_spared(&answer)
    })
    .await;
    server.go_on().await;
    until("locks are taken again", async || try_lock(&locks, SCOPE).await == Ok(true)).await;
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn scripts_that_were_flushed_are_sent_again_in_the_same_call() {
    let server = Server::start(&[]).await;
    let locks = server.locks();
    for _ in 0..3 {
        assert_eq!(locks.acquire(SCOPE, &seat(), TOKEN, MINUTE).await, Ok(true));
        let () = server.ask("SCRIPT FLUSH").await;
        assert_eq!(locks.acquire(SCOPE, &seat(), Uuid::nil(), MINUTE).await, Ok(false));
        let () = server.ask("SCRIPT FLUSH").await;
        assert_eq!(locks.release(SCOPE, &seat(), TOKEN).await, Ok(()));
        assert!(!server.ask::<bool>("EXISTS inv:{event#42}:lock:seat/A-1").await);
    }
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_known_script_is_called_by_its_digest() {
    let server = Server::start(&[]).await;
    let locks = server.locks();
    for _ in 0..5 {
        assert_eq!(try_lock(&locks, SCOPE).await, Ok(true));
    }
    let statistics: String = server.ask("INFO commandstats").await;
    let calls = |command: &str| {
        let line = statistics.lines().find(|line| line.starts_with(command)).unwrap();
        line.split(['=', ',']).nth(1).unwrap().to_owned()
    };
    assert_eq!(calls("cmdstat_evalsha:"), "5");
    assert_eq!(calls("cmdstat_eval:"), "1");
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_lease_is_a_key_that_goes_by_itself() {
    let server = Server::start(&[]).await;
    let locks = server.locks();
    let key = "inv:{event#42}:lock:seat/A-1";
    let short = Duration::from_millis(300);
    assert_eq!(locks.acquire(SCOPE, &seat(), TOKEN, MINUTE).await, Ok(true));
    let left: u64 = server.ask(&format!("PTTL {key}")).await;
    assert!((1..=60_000).contains(&left), "{left}");
    // Acquired again, it lasts as long as the new lease.
    assert_eq!(locks.acquire(SCOPE, &seat(), TOKEN, short).await, Ok(true));
    until("the key is gone", async || !server.ask::<bool>(&format!("EXISTS {key}")).await).await;
    assert_eq!(server.ask::<u64>("DBSIZE").await, 0);
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_wrong_password_is_refused_with_the_fix_until_it_is_right() {
    let server = Server::start(&[]).await;
    let () = server.ask("ACL SETUSER worker on >right ~inv:* +@all").await;
    for (protocol, credentials) in [("resp2", "worker:wrong@"), ("resp3", "worker:wrong@")] {
        let url = format!("redis://{credentials}127.0.0.1:{}?protocol={protocol}", server.port);
        let locks = RedisLocks::new(url.parse().unwrap());
        for answer in [locks.ping().await, try_lock(&locks, SCOPE).await.map(drop)] {
            let Err(PortError::Refused(text)) = answer else { panic!("{answer:?}") };
            assert!(text.contains("user and password into REDIS_URL"), "{text}");
            assert!(!text.contains("wrong"), "{text}");
        }
        let () = server.ask("ACL SETUSER worker >wrong").await;
        until("locks are taken", async || try_lock(&locks, SCOPE).await == Ok(true)).await;
        let () = server.ask("ACL SETUSER worker <wrong").await;
    }
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_missing_password_or_right_is_refused_with_the_fix() {
    let server = Server::start(&[]).await;
    let () = server.ask("ACL SETUSER worker on >right ~other:* +@all").await;
    let url = format!("redis://worker:right@127.0.0.1:{}", server.port);
    let locks = RedisLocks::new(url.parse().unwrap());
    let answer = try_lock(&locks, SCOPE).await;
    assert!(
        matches!(&answer, Err(PortError::Refused(text)) if text.contains("~inv:*")),
        "{answer:?}"
    );
    let locks = server.locks();
    let () = server.ask("CONFIG SET requirepass secret").await;
    let answer = try_lock(&locks, SCOPE).await;
    assert!(
        matches!(&answer, Err(PortError::Refused(text)) if text.contains("REDIS_URL")),
        "{answer:?}"
    );
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_key_of_something_else_fails_its_own_calls_alone() {
    let server = Server::start(&[]).await;
    let locks = server.locks();
    assert_eq!(server.ask::<u64>("LPUSH inv:{event#42}:lock:seat/A-1 x").await, 1);
    for _ in 0..10 {
        let answer = locks.acquire(SCOPE, &seat(), TOKEN, MINUTE).await;
        assert!(matches!(answer, Err(PortError::Refused(_))), "{answer:?}");
    }
    assert_eq!(try_lock(&locks, SCOPE).await, Ok(true));
}
