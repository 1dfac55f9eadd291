use super::*;
use crate::terminal::{Output, wider_than_80};

fn counts(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn rejections_are_indented_under_their_own_type() {
    let by_type = counts(&[
        ("inventory.confirmed.v1", 4),
        ("inventory.rejected.v1", 3),
        ("inventory.reserved.v1", 9),
    ]);
    let rejections = counts(&[("RESERVATION_EXPIRED", 1), ("SEATS_UNAVAILABLE", 2)]);
    let (out, kept) = Output::captured();
    out.table(&outcomes(&by_type, &rejections)).unwrap();
    let text = kept.text();
    assert_eq!(wider_than_80(&text), Vec::<&str>::new());
    insta::assert_snapshot!(text, @"
    outcome                 count
    inventory.confirmed.v1      4
    inventory.reserved.v1       9
    inventory.rejected.v1       3
      RESERVATION_EXPIRED       1
      SEATS_UNAVAILABLE         2
    ");
}

#[test]
fn the_aim_names_queues_topic_region_and_endpoint() {
    let region = aws_config::Region::new("eu-central-1");
    let sdk = SdkConfig::builder().region(region).build();
    let mut config = AwsConfig::default();
    let aimed = aim(&config, &sdk, ("commands.fifo", "restocks.fifo"));
    let topic = config.topic.as_str();
    let expected = format!(
        "storm on commands.fifo and restocks.fifo, results from {topic}, in eu-central-1 at AWS"
    );
    assert_eq!(aimed, expected);
    config.endpoints.sqs = Some("http://localhost:4566".to_owned());
    let aimed = aim(&config, &sdk, ("one.fifo", "one.fifo"));
    assert!(aimed.starts_with("storm on one.fifo, results from"), "{aimed}");
    assert!(aimed.ends_with("in eu-central-1 at http://localhost:4566"), "{aimed}");
}
