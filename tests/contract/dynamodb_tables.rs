//! Creates tables, and reports how existing ones differ.

use aws_sdk_dynamodb::{
    Client,
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
        TimeToLiveSpecification,
    },
};
use inventory_worker::{
    adapters::dynamodb::{ClientOptions, TableNames, TableOptions, TableReport, ensure_tables},
    ports::Table,
};

use crate::on_dynoxide::Dynoxide;

async fn ensure(client: &Client) -> Vec<TableReport> {
    ensure_tables(client, &TableNames::default(), &TableOptions::minimal()).await.unwrap()
}

fn plain(found: &TableReport) -> Vec<(&str, &str, &str)> {
    let parts = found.differences.iter();
    parts.map(|d| (d.what.as_str(), d.expected.as_str(), d.found.as_str())).collect()
}

#[tokio::test]
async fn what_is_missing_is_created_and_the_second_time_there_is_nothing_to_do() {
    let dynoxide = Dynoxide::start().await;
    let client = dynoxide.server().client(&ClientOptions::default());

    let first = ensure(&client).await;
    assert_eq!(first.iter().map(|report| report.table).collect::<Vec<_>>(), Table::ALL);
    for report in &first {
        assert!(report.created, "{report:?}");
        assert_eq!(plain(report), [], "{}", report.name);
    }

    for report in ensure(&client).await {
        assert!(!report.created, "{report:?}");
        assert_eq!(plain(&report), [], "{}", report.name);
    }
}

#[tokio::test]
async fn several_at_once_create_each_table_once() {
    let dynoxide = Dynoxide::start().await;
    let client = dynoxide.server().client(&ClientOptions::default());
    let (a, b, c) = tokio::join!(ensure(&client), ensure(&client), ensure(&client));
    for table in 0..Table::ALL.len() {
        let created = [&a, &b, &c].into_iter().filter(|reports| reports[table].created).count();
        assert_eq!(created, 1, "{}", a[table].name);
    }
}

#[tokio::test]
async fn what_differs_is_told_and_left_as_it_is() {
    let dynoxide = Dynoxide::start().await;
    let client = dynoxide.server().client(&ClientOptions::default());
    create_by_hand(&client, "inventory-reservations", "reservation_id").await;
    create_by_hand(&client, "inventory-ledger", "id").await;
    let by_another = TimeToLiveSpecification::builder().attribute_name("gone_at").enabled(true);
    client
        .update_time_to_live()
        .table_name("inventory-ledger")
        .time_to_live_specification(by_another.build().unwrap())
        .send()
        .await
        .unwrap();

    for round in 1..=2 {
        let reports = ensure(&client).await;
        assert_eq!(plain(&reports[0]), [], "seats, round {round}");
        assert_eq!(
            plain(&reports[2]),
            [
                (
                    "index expiry-index",
                    "expiry_shard N, expires_at N with keys and pool",
                    "missing"
                ),
                ("time to live", "on, by ttl", "off"),
            ],
            "reservations, round {round}"
        );
        assert_eq!(
            plain(&reports[3]),
            [("key", "command S", "id S"), ("time to live", "on, by ttl", "on, by gone_at"),],
            "ledger, round {round}"
        );
        assert_eq!(reports[3].differences[0].resource, "inventory-ledger");
    }
}

async fn create_by_hand(client: &Client, name: &str, key: &str) {
    let kind = ScalarAttributeType::S;
    client
        .create_table()
        .table_name(name)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(
            AttributeDefinition::builder()
                .attribute_name(key)
                .attribute_type(kind)
                .build()
                .unwrap(),
        )
        .key_schema(
            KeySchemaElement::builder()
                .attribute_name(key)
                .key_type(KeyType::Hash)
                .build()
                .unwrap(),
        )
        .send()
        .await
        .unwrap();
}
