//! Faults by a seeded schedule: to workers, to the servers, and to the links between them.

use std::{collections::BTreeMap, time::Duration};

use tokio::{task::JoinSet, time::Instant};

use super::servers::Server;
use crate::{
    process::Worker,
    proxy::{Mode, Proxy},
    stack::Stack,
};

/// The number of workers, not counting the successors of killed ones.
const WORKERS: usize = 3;

/// A stopped worker exits within its grace, plus a margin for the process itself.
const GRACE: Duration = Duration::from_secs(25 + 5);

/// The exit code of a worker that cannot reach a service at its start.
const UNREACHABLE: i32 = 69;

/// One worker's place: its links survive the worker.
struct Place {
    worker: Option<Worker>,
    /// The link to SQS and SNS.
    messaging: Proxy,
    /// The link to DynamoDB.
    tables: Proxy,
    environment: BTreeMap<String, String>,
}

/// The target of a fault; it gets no other fault until this one is repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Worker(usize),
    Messaging(usize),
    Tables(usize),
    Redis,
    DynamoDb,
}

/// The repair of a fault.
#[derive(Clone, Copy, Debug)]
enum Mend {
    Start,
    Thaw,
    Pass,
}

/// Everything that can fail, and the number of faults.
pub struct Chaos {
    random: fastrand::Rng,
    places: Vec<Place>,
    redis: Server,
    dynamodb: Server,
    broken: Vec<(Instant, Victim, Mend)>,
    leaving: JoinSet<()>,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, usize>,
}

impl Chaos {
    /// Workers with this environment, each behind its own links.
    pub async fn new(
        seed: u64,
        stack: &Stack,
        environment: &BTreeMap<String, String>,
        redis: Server,
        dynamodb: Server,
    ) -> Self {
        let mut places = Vec::new();
        for _ in 0..WORKERS {
            let messaging = Proxy::of(&stack.endpoint).await;
            let tables = Proxy::of(&stack.dynamodb_endpoint).await;
            let mut environment = environment.clone();
            let variables =
                [("AWS_ENDPOINT_URL", &messaging), ("AWS_ENDPOINT_URL_DYNAMODB", &tables)];
            for (name, proxy) in variables {
                environment.insert(name.to_owned(), proxy.url().to_owned());
            }
            environment.insert("REDIS_URL".to_owned(), format!("redis://{}", redis.address));
            let worker = Some(Worker::start(&environment).await);
            places.push(Place { worker, messaging, tables, environment });
        }
        Self {
            random: fastrand::Rng::with_seed(seed),
            places,
            redis,
            dynamodb,
            broken: Vec::new(),
            leaving: JoinSet::new(),
            faults: BTreeMap::new(),
        }
    }

    /// Causes faults, in sequence and overlapping, for that long; then repairs everything.
    pub async fn run(&mut self, time: Duration) {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.mend(|due| due <= Instant::now()).await;
            self.supervise().await;
            self.harm().await;
            let pause = self.millis(100..900);
            tokio::time::sleep(pause).await;
        }
        self.calm().await;
    }

    /// Repairs everything.
    async fn calm(&mut self) {
        self.mend(|_| true).await;
        self.supervise().await;
    }

    /// Restarts workers that exited: one that finds no queue or topic at its start does.
    pub async fn supervise(&mut self) {
        for place in &mut self.places {
            let ended = place.worker.as_mut().and_then(Worker::has_ended);
            if let Some(code) = ended {
                assert_eq!(code, UNREACHABLE, "a worker ended by itself");
                *self.faults.entry("worker found a service unreachable").or_default() += 1;
                place.worker = Some(Worker::start(&place.environment).await);
            }
        }
        while let Some(ended) = self.leaving.try_join_next() {
            ended.unwrap();
        }
    }

    /// Stops every worker gracefully. The servers keep running.
    pub async fn end(&mut self) {
        while let Some(ended) = self.leaving.join_next().await {
            ended.unwrap();
        }
        for place in &mut self.places {
            place.worker.take().unwrap().stop().await;
        }
    }

    fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.random.u64(range))
    }

    async fn harm(&mut self) {
        let place = self.random.usize(0..self.places.len());
        let victim = match self.random.u32(0..10) {
            0..4 => Victim::Worker(place),
            4..6 => Victim::Messaging(place),
            6..8 => Victim::Tables(place),
            8 => Victim::Redis,
            _ => Victim::DynamoDb,
        };
        if self.broken.iter().any(|(_, broken, _)| *broken == victim) {
            return;
        }
        let (what, mend, time) = match victim {
            Victim::Worker(index) => self.harm_worker(index).await,
            Victim::Messaging(index) => {
                let (what, mode) = self.link_fault(&MESSAGING_FAULTS);
                self.places[index].messaging.set(mode);
                (what, Mend::Pass, self.millis(300..4_000))
            }
            Victim::Tables(index) => {
                let (what, mode) = self.link_fault(&TABLES_FAULTS);
                self.places[index].tables.set(mode);
                (what, Mend::Pass, self.millis(300..4_000))
            }
            Victim::Redis if self.random.bool() => {
                self.redis.kill().await;
                ("Redis killed", Mend::Start, self.millis(300..3_000))
            }
            Victim::Redis => {
                self.redis.freeze().await;
                ("Redis frozen", Mend::Thaw, self.millis(300..3_000))
            }
            Victim::DynamoDb if self.random.bool() => {
                self.dynamodb.kill().await;
                ("DynamoDB killed", Mend::Start, self.millis(300..2_500))
            }
            Victim::DynamoDb => {
                self.dynamodb.freeze().await;
                ("DynamoDB frozen", Mend::Thaw, self.millis(300..4_000))
            }
        };
        *self.faults.entry(what).or_default() += 1;
        self.broken.push((Instant::now() + time, victim, mend));
    }

    async fn harm_worker(&mut self, index: usize) -> (&'static str, Mend, Duration) {
        match self.random.u32(0..4) {
            // Longer than its leases: when it resumes, another worker has its messages.
            0 => {
                self.places[index].worker.as_ref().unwrap().freeze().await;
                ("worker frozen", Mend::Thaw, self.millis(500..9_000))
            }
            1 => {
                let mut worker = self.places[index].worker.take().unwrap();
                if worker.has_ended().is_none() {
                    worker.terminate().await;
                    self.leaving.spawn(async move { assert_eq!(worker.ended(GRACE).await, 0) });
                }
                ("worker told to stop", Mend::Start, self.millis(0..1_000))
            }
            _ => {
                self.places[index].worker.take().unwrap().kill().await;
                ("worker killed", Mend::Start, self.millis(0..2_000))
            }
        }
    }

    fn link_fault(&mut self, names: &[&'static str; 4]) -> (&'static str, Mode) {
        let delay = self.millis(20..400);
        let modes = [Mode::Cut, Mode::Hang, Mode::Delay(delay), Mode::LoseAnswers];
        let index = self.random.usize(0..modes.len());
        (names[index], modes[index])
    }

    async fn mend(&mut self, is_due: impl Fn(Instant) -> bool) {
        let (due, later): (Vec<_>, Vec<_>) =
            self.broken.drain(..).partition(|(at, _, _)| is_due(*at));
        self.broken = later;
        for (_, victim, mend) in due {
            match (victim, mend) {
                (Victim::Worker(index), Mend::Start) => {
                    let worker = Worker::start(&self.places[index].environment).await;
                    self.places[index].worker = Some(worker);
                }
                (Victim::Worker(index), _) => {
                    self.places[index].worker.as_ref().unwrap().thaw().await;
                }
                (Victim::Messaging(index), _) => self.places[index].messaging.set(Mode::Pass),
                (Victim::Tables(index), _) => self.places[index].tables.set(Mode::Pass),
                (Victim::Redis, Mend::Start) => self.redis.restart().await,
                (Victim::Redis, _) => self.redis.thaw().await,
                (Victim::DynamoDb, Mend::Start) => self.dynamodb.restart().await,
                (Victim::DynamoDb, _) => self.dynamodb.thaw().await,
            }
        }
    }
}

const MESSAGING_FAULTS: [&str; 4] = [
    "link to SQS and SNS cut",
    "link to SQS and SNS hung",
    "link to SQS and SNS slow",
    "answers of SQS and SNS lost",
];

const TABLES_FAULTS: [&str; 4] = [
    "link to DynamoDB cut",
    "link to DynamoDB hung",
    "link to DynamoDB slow",
    "answers of DynamoDB lost",
];
