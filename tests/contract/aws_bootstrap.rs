//! Bootstrapping against running servers.

use inventory_worker::{
    adapters::{bootstrap::Ensured, sns::bootstrap::ensure_topic, sqs::bootstrap::ensure_queues},
    naming::dead_letter_queue_name,
};

use crate::emulators::{Emulator, unique};

/// Creates a queue and a topic twice, and returns the differences the second run reports.
async fn twice(server: &Emulator) -> Vec<(String, String)> {
    let queue = unique("bootstrap");
    let names = [queue.clone()];
    let first = ensure_queues(&server.sqs, &names).await.unwrap();
    assert_eq!(first.created, [dead_letter_queue_name(&queue), queue.clone()]);
    assert_eq!(first.differences, []);
    let mut second = ensure_queues(&server.sqs, &names).await.unwrap();

    let topic = unique("bootstrap");
    let (arn, first) = ensure_topic(&server.sns, &topic).await.unwrap();
    assert_eq!(first, Ensured { created: vec![topic.clone()], differences: vec![] });
    let (same, report) = ensure_topic(&server.sns, &topic).await.unwrap();
    assert_eq!(same, arn);
    second.extend(report);
    assert_eq!(second.created, [""; 0]);
    second.differences.into_iter().map(|found| (found.what, found.found)).collect()
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn bootstrapping_localstack_twice_creates_once() {
    let differences = twice(&crate::on_localstack::localstack()).await;
    assert_eq!(differences, []);
}

#[tokio::test]
#[ignore = "needs the stack: make test"]
async fn bootstrapping_ministack_twice_creates_once() {
    let differences = twice(&crate::on_ministack::ministack()).await;
    assert_eq!(differences, []);
}
