//! Failures of a cluster.

use std::time::Duration;

use inventory_worker::{
    adapters::redis::{RedisHints, RedisLocks},
    ports::{Locks as _, PortError},
};
use uuid::Uuid;

use super::servers::{Server, free_port, is_spared, try_lock, until};

/// Three masters with a third of the slots each; the first optionally has a replica.
pub struct Cluster {
    pub masters: Vec<Server>,
    replica: Option<Server>,
}

const FIRST_SLOTS: [(u16, u16); 3] = [(0, 5460), (5461, 10922), (10923, 16383)];

impl Cluster {
    pub async fn start(with_replica: bool) -> Self {
        let masters = vec![node().await, node().await, node().await];
        for (master, (from, to)) in masters.iter().zip(FIRST_SLOTS) {
            let () = master.ask(&format!("CLUSTER ADDSLOTSRANGE {from} {to}")).await;
        }
        let mut cluster = Self { masters, replica: None };
        for (epoch, master) in (1..).zip(&cluster.masters) {
            let () = master.ask(&format!("CLUSTER SET-CONFIG-EPOCH {epoch}")).await;
            cluster.introduce(master).await;
        }
        cluster.settle().await;
        if with_replica {
            let replica = node().await;
            cluster.introduce(&replica).await;
            let first = cluster.id_of_master(0).await;
            until("the replica follows", async || {
                replica.try_ask(&format!("CLUSTER REPLICATE {first}")).await
            })
            .await;
            until("the replica is in step", async || {
                replica.ask::<String>("INFO replication").await.contains("master_link_status:up")
            })
            .await;
            cluster.replica = Some(replica);
        }
        cluster
    }

    async fn introduce(&self, node: &Server) {
        let first = &self.masters[0];
        let bus = first.ask::<(String, String)>("CONFIG GET cluster-port").await.1;
        let () = node.ask(&format!("CLUSTER MEET 127.0.0.1 {} {bus}", first.port)).await;
    }

    async fn settle(&self) {
        for master in &self.masters {
            until("the node knows the others", async || {
                let info: String = master.ask("CLUSTER INFO").await;
                info.contains("cluster_state:ok") && info.contains("cluster_size:3")
            })
            .await;
        }
    }

    async fn id_of_master(&self, index: usize) -> String {
        self.masters[index].ask("CLUSTER MYID").await
    }

    fn locks(&self) -> RedisLocks {
        RedisLocks::new(self.urls().parse().unwrap())
    }

    pub fn hints(&self) -> RedisHints {
        RedisHints::new(self.urls().parse().unwrap(), "test")
    }

    fn urls(&self) -> String {
        self.masters.iter().map(Server::url).collect::<Vec<_>>().join(",")
    }

    /// Gives a slot without keys to another master.
    pub async fn give_to(&self, slot: u16, index: usize) {
        let owner = self.id_of_master(index).await;
        let order = [1, 0, 2];
        for index in order {
            let move_it = format!("CLUSTER SETSLOT {slot} NODE {owner}");
            let () = self.masters[index].ask(&move_it).await;
        }
    }

    /// A scope whose slot that master serves at first.
    pub async fn scope_on(&self, index: usize) -> (String, u16) {
        let (from, to) = FIRST_SLOTS[index];
        for number in 0..1_000 {
            let scope = format!("event#{number}");
            let key = format!("inv:{{{scope}}}:lock:any");
            let slot: u16 = self.masters[0].ask(&format!("CLUSTER KEYSLOT {key}")).await;
            if (from..=to).contains(&slot) {
                return (scope, slot);
            }
        }
        panic!("no scope in slots {from} to {to}");
    }
}

async fn node() -> Server {
    let bus = free_port().to_string();
    Server::start(&[
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &bus,
        "--cluster-node-timeout",
        "1000",
        "--cluster-require-full-coverage",
        "no",
    ])
    .await
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn all_names_of_any_scope_are_taken_in_one_call() {
    let cluster = Cluster::start(false).await;
    let locks = cluster.locks();
    let names: Vec<String> = ["A-1", "{x}A-1", "}", "{", "{}", "ä{b}"].map(str::to_owned).to_vec();
    for scope in ["event#1", "store#a:b.c_d-e", "", "{", "}", "{}", "}{", "a}b", "{a}", "%", "%7D"]
    {
        let (one, two) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let minute = Duration::from_secs(60);
        assert_eq!(locks.acquire(scope, &names, one, minute).await, Ok(true), "{scope:?}");
        assert_eq!(locks.acquire(scope, &names, two, minute).await, Ok(false), "{scope:?}");
        assert_eq!(locks.release(scope, &names, one).await, Ok(()), "{scope:?}");
        assert_eq!(locks.acquire(scope, &names, two, minute).await, Ok(true), "{scope:?}");
    }
    assert_eq!(locks.ping().await, Ok(()));
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn with_one_master_down_the_scopes_of_the_others_are_still_locked() {
    let mut cluster = Cluster::start(false).await;
    let locks = cluster.locks();
    let mut scopes = Vec::new();
    for index in 0..3 {
        scopes.push(cluster.scope_on(index).await.0);
    }
    for scope in &scopes {
        assert_eq!(try_lock(&locks, scope).await, Ok(true));
    }
    cluster.masters[0].kill().await;
    until("calls for its scopes are spared", async || {
        let answer = try_lock(&locks, &scopes[0]).await;
        assert!(matches!(answer, Err(PortError::Unavailable(_))), "{answer:?}");
        is_spared(&answer)
    })
    .await;
    for scope in &scopes[1..] {
        until("the others are locked", async || try_lock(&locks, scope).await == Ok(true)).await;
        let answer = try_lock(&locks, &scopes[0]).await;
        assert!(matches!(answer, Err(PortError::Unavailable(_))), "{answer:?}");
    }
    cluster.masters[0].run().await;
    until("all are locked", async || try_lock(&locks, &scopes[0]).await == Ok(true)).await;
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn with_one_master_hanging_the_scopes_of_the_others_are_still_locked() {
    let cluster = Cluster::start(false).await;
    let locks = cluster.locks();
    let (hanging, _) = cluster.scope_on(0).await;
    let (well, _) = cluster.scope_on(2).await;
    assert_eq!(try_lock(&locks, &hanging).await, Ok(true));
    cluster.masters[0].hang().await;
    until("calls for its scopes are spared", async || is_spared(&try_lock(&locks, &hanging).await))
        .await;
    until("the others are locked", async || try_lock(&locks, &well).await == Ok(true)).await;
    cluster.masters[0].go_on().await;
    until("all are locked", async || try_lock(&locks, &hanging).await == Ok(true)).await;
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_slot_that_moves_is_followed() {
    let cluster = Cluster::start(false).await;
    let locks = cluster.locks();
    let (scope, slot) = cluster.scope_on(0).await;
    // Reaches the first master, which holds no key of it.
    let nothing = locks.release(&scope, &["any".to_owned()], Uuid::nil()).await;
    assert_eq!(nothing, Ok(()));
    cluster.give_to(slot, 1).await;
    assert_eq!(try_lock(&locks, &scope).await, Ok(true));
    assert_eq!(cluster.masters[1].ask::<u64>("DBSIZE").await, 1);
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn after_a_failover_the_new_master_is_used() {
    let mut cluster = Cluster::start(true).await;
    let locks = cluster.locks();
    let (scope, _) = cluster.scope_on(0).await;
    assert_eq!(try_lock(&locks, &scope).await, Ok(true));
    cluster.masters[0].kill().await;
    until("the replica has taken over", async || try_lock(&locks, &scope).await == Ok(true)).await;
    let replica = cluster.replica.as_ref().unwrap();
    assert!(replica.ask::<String>("INFO replication").await.contains("role:master"));
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_cluster_that_is_down_as_a_whole_is_found_again() {
    let mut cluster = Cluster::start(false).await;
    let locks = cluster.locks();
    let (scope, _) = cluster.scope_on(1).await;
    assert_eq!(try_lock(&locks, &scope).await, Ok(true));
    for master in &mut cluster.masters {
        master.kill().await;
    }
    until("calls are spared", async || is_spared(&try_lock(&locks, &scope).await)).await;
    for master in &mut cluster.masters {
        master.run().await;
    }
    until("locks are taken again", async || try_lock(&locks, &scope).await == Ok(true)).await;
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn a_cluster_refuses_a_wrong_password_with_the_fix() {
    let cluster = Cluster::start(false).await;
    for master in &cluster.masters {
        let () = master.ask("ACL SETUSER worker on >right ~inv:* +@all").await;
    }
    let with = |credentials: &str| {
        let url = |master: &Server| format!("redis://{credentials}@127.0.0.1:{}", master.port);
        let urls: Vec<_> = cluster.masters.iter().map(url).collect();
        RedisLocks::new(urls.join(",").parse().unwrap())
    };
    let locks = with("worker:wrong");
    let answer = locks.ping().await;
    let Err(PortError::Refused(text)) = answer else { panic!("{answer:?}") };
    assert!(text.contains("user and password into REDIS_URL"), "{text}");
    let answer = try_lock(&locks, "event#1").await;
    let Err(PortError::Unavailable(text)) = answer else { panic!("{answer:?}") };
    assert!(text.contains("user and password in REDIS_URL"), "{text}");
    assert_eq!(try_lock(&with("worker:right"), "event#1").await, Ok(true));
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn one_node_of_a_cluster_given_as_a_server_says_what_to_write() {
    let cluster = Cluster::start(false).await;
    let (scope, _) = cluster.scope_on(1).await;
    let answer = try_lock(&cluster.masters[0].locks(), &scope).await;
    assert!(
        matches!(&answer, Err(PortError::Refused(text)) if text.contains("comma-separated")),
        "{answer:?}"
    );
}
