//! The publisher on SNS when the service or the wire fails, and the requests it sends.

use std::fmt::Write as _;

use inventory_worker::{
    adapters::{
        aws::ATTEMPTS_MAX,
        bootstrap::Ensured,
        sns::{self, SnsTopic, bootstrap::ensure_topic},
    },
    ports::{EntryError, PortError, Publication, Publisher},
};
use uuid::Uuid;

use crate::aws_wire::{Turn, Wire};

const ARN: &str = "arn:aws:sns:us-east-1:123456789012:results.fifo";

const ATTEMPTS: usize = ATTEMPTS_MAX as usize;

fn ok(operation: &str, result: &str) -> Turn {
    let space = "http://sns.amazonaws.com/doc/2010-03-31/";
    Turn::Answer(
        200,
        format!(
            "<{operation}Response xmlns=\"{space}\"><{operation}Result>{result}</{operation}Result>\
             <ResponseMetadata><RequestId>r</RequestId></ResponseMetadata></{operation}Response>"
        ),
    )
}

fn error(status: u16, code: &str) -> Turn {
    Turn::Answer(
        status,
        format!(
            "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>\
             <Message>scripted</Message></Error><RequestId>r</RequestId></ErrorResponse>"
        ),
    )
}

/// The answer to a PublishBatch: ids that succeeded; ids that failed, with code and fault.
fn published(successful: &[&str], failed: &[(&str, &str, bool)]) -> Turn {
    let mut result = String::from("<Successful>");
    for id in successful {
        write!(result, "<member><Id>{id}</Id><MessageId>m-{id}</MessageId></member>").unwrap();
    }
    result.push_str("</Successful><Failed>");
    for (id, code, fault) in failed {
        let what = format!("<Id>{id}</Id><Code>{code}</Code><SenderFault>{fault}</SenderFault>");
        write!(result, "<member>{what}<Message>scripted</Message></member>").unwrap();
    }
    result.push_str("</Failed>");
    ok("PublishBatch", &result)
}

async fn over(script: impl IntoIterator<Item = Turn>) -> (SnsTopic, Wire) {
    let wire = Wire::new(script);
    let topic = SnsTopic::connect(sns::client(&wire.config()), ARN).await.unwrap();
    (topic, wire)
}

fn publications(count: u128) -> Vec<Publication> {
    (0..count)
        .map(|number| Publication {
            id: Uuid::from_u128(number),
            group: "event-42".parse().unwrap(),
            body: format!("body-{number}"),
            attributes: [("type", "inventory.reserved.v1".to_owned())].into(),
            is_batch: false,
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_publication_carries_its_group_its_id_and_its_attributes_as_strings() {
    let (topic, wire) = over([published(&["0"], &[])]).await;
    assert_eq!(topic.publish(&publications(1)).await, Ok(vec![Ok(())]));
    let form = wire.take_sent().remove(0).body.replace("%3A", ":");
    let entry = "PublishBatchRequestEntries.member.1";
    for expected in [
        format!("TopicArn={ARN}"),
        format!("{entry}.Message=body-0"),
        format!("{entry}.MessageGroupId=event-42"),
        format!("{entry}.MessageDeduplicationId={}", Uuid::from_u128(0)),
        format!("{entry}.MessageAttributes.entry.1.Name=type"),
        format!("{entry}.MessageAttributes.entry.1.Value.DataType=String"),
        format!("{entry}.MessageAttributes.entry.1.Value.StringValue=inventory.reserved.v1"),
    ] {
        assert!(form.split('&').any(|pair| pair == expected), "{expected} in {form}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_entry_of_a_publish_has_its_own_answer() {
    let failed = [
        ("1", "InvalidParameter", true),
        ("2", "InternalError", false),
        ("5", "KMSAccessDenied", true),
        ("6", "Throttled", true),
    ];
    let (topic, _) = over([published(&["4", "0"], &failed)]).await;
    let answers = topic.publish(&publications(7)).await.unwrap();
    assert_eq!(answers.len(), 7);
    assert_eq!(answers[0], Ok(()));
    assert!(matches!(answers[1], Err(EntryError::Refused(_))), "{answers:?}");
    assert!(matches!(answers[2], Err(EntryError::Retryable(_))), "{answers:?}");
    assert!(matches!(answers[3], Err(EntryError::Retryable(_))), "no answer: {answers:?}");
    assert_eq!(answers[4], Ok(()));
    assert!(matches!(answers[5], Err(EntryError::Retryable(_))), "{answers:?}");
    assert!(matches!(answers[6], Err(EntryError::Retryable(_))), "{answers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_fault_that_passes_is_repeated_with_the_same_ids() {
    for fault in [error(503, "ServiceUnavailable"), error(400, "Throttling"), Turn::Drop] {
        let (topic, wire) = over([fault, published(&["0"], &[])]).await;
        assert_eq!(topic.publish(&publications(1)).await, Ok(vec![Ok(())]));
        let sent = wire.take_sent();
        assert_eq!(sent.len(), 2);
        assert_eq!(sent[0], sent[1]);
    }
}

#[tokio::test(start_paused = true)]
async fn throttling_is_reported_as_throttling() {
    for (status, code) in [(429, "Throttled"), (400, "ThrottlingException"), (400, "KMSThrottling")]
    {
        let (topic, _) = over([error(status, code)]).await;
        let answer = topic.publish(&publications(1)).await;
        assert!(matches!(answer, Err(PortError::Throttled(_))), "{code}: {answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_reported_as_unavailable() {
    for fault in [
        error(500, "InternalError"),
        Turn::Answer(502, "<html>".to_owned()),
        Turn::Answer(200, "<html>secret".to_owned()),
        Turn::Drop,
        Turn::Silence,
    ] {
        let (topic, _) = over([fault.clone()]).await;
        let answer = topic.publish(&publications(1)).await;
        assert!(matches!(answer, Err(PortError::Unavailable(_))), "{fault:?}: {answer:?}");
        assert!(!format!("{answer:?}").contains("secret"), "{answer:?}");
    }
    let (topic, wire) = over([Turn::Drop]).await;
    topic.publish(&publications(1)).await.unwrap_err();
    assert_eq!(wire.take_sent().len(), ATTEMPTS);
}

#[tokio::test(start_paused = true)]
async fn what_a_person_must_mend_is_refused_at_once() {
    for (status, code) in [
        (404, "NotFound"),
        (403, "AuthorizationError"),
        (400, "KMSDisabled"),
        (403, "AccessDenied"),
    ] {
        let (topic, wire) = over([error(status, code)]).await;
        let answer = topic.publish(&publications(1)).await;
        assert!(matches!(answer, Err(PortError::Refused(_))), "{code}: {answer:?}");
        assert_eq!(wire.take_sent().len(), 1, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_nothing_asks_nothing() {
    let (topic, wire) = over([Turn::Drop]).await;
    assert_eq!(topic.publish(&[]).await, Ok(vec![]));
    assert_eq!(wire.take_sent(), []);
}

fn page(arns: &[&str], next: &str) -> Turn {
    let topics: String =
        arns.iter().map(|arn| format!("<member><TopicArn>{arn}</TopicArn></member>")).collect();
    ok("ListTopics", &format!("<Topics>{topics}</Topics>{next}"))
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_found_by_its_name_on_a_later_page() {
    let other = "arn:aws:sns:us-east-1:123456789012:other-results.fifo";
    let wire = Wire::new([page(&[other], "<NextToken>n</NextToken>"), page(&[ARN], "")]);
    let topic = SnsTopic::connect(sns::client(&wire.config()), "results.fifo").await.unwrap();
    assert_eq!((topic.arn(), topic.name()), (ARN, "results.fifo"));

    let wire = Wire::new([page(&[other], "")]);
    let missing = SnsTopic::connect(sns::client(&wire.config()), "results.fifo").await.unwrap_err();
    assert!(matches!(missing, PortError::Refused(_)));
    assert!(missing.to_string().contains("create it"), "{missing}");
}

#[tokio::test(start_paused = true)]
async fn errors_name_the_topic_and_the_endpoint() {
    let other = "arn:aws:sns:us-east-1:123456789012:other-results.fifo";
    let wire = Wire::new([page(&[other], ""), error(403, "AuthorizationError")]);
    let connect = async |topic: &str| {
        let endpoint = Some("http://127.0.0.1:9".to_owned());
        SnsTopic::connect_at(sns::client(&wire.config()), endpoint, topic).await
    };
    let missing = connect("results.fifo").await.unwrap_err().to_string();
    assert!(missing.contains("topic results.fifo at http://127.0.0.1:9: does not"), "{missing}");
    let refused = connect("results.fifo").await.unwrap_err().to_string();
    assert!(refused.contains("ListTopics at http://127.0.0.1:9, looking for"), "{refused}");
    let topic = connect(ARN).await.unwrap();
    let refused = topic.publish(&publications(1)).await.unwrap_err().to_string();
    assert!(refused.contains("PublishBatch to results.fifo at http://127.0.0.1:9: "), "{refused}");
    let refused = topic.exists().await.unwrap_err().to_string();
    assert!(refused.contains(&format!("{ARN} at http://127.0.0.1:9: ")), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn bootstrap_creates_a_topic_whose_throughput_grows_with_its_groups() {
    let created = ok("CreateTopic", &format!("<TopicArn>{ARN}</TopicArn>"));
    let wire = Wire::new([page(&[], ""), created]);
    let (arn, ensured) = ensure_topic(&sns::client(&wire.config()), "results.fifo").await.unwrap();
    assert_eq!(arn, ARN);
    assert_eq!(ensured.created, ["results.fifo"]);
    let form = wire.take_sent().remove(1).body.replace("%2F", "/");
    for (key, value) in [
        ("FifoTopic", "true"),
        ("ContentBasedDeduplication", "false"),
        ("FifoThroughputScope", "MessageGroup"),
        ("KmsMasterKeyId", "alias/aws/sns"),
    ] {
        let pairs: Vec<&str> = form.split('&').collect();
        let named = pairs.iter().find(|pair| pair.ends_with(&format!(".key={key}")));
        let value = named.expect(key).replace(".key=", ".value=").replace(key, value);
        assert!(pairs.contains(&value.as_str()), "{value} in {form}");
    }
}

#[tokio::test(start_paused = true)]
async fn bootstrap_changes_nothing_that_exists() {
    let attributes: String = [("FifoTopic", "true"), ("ContentBasedDeduplication", "true")]
        .iter()
        .map(|(key, value)| format!("<entry><key>{key}</key><value>{value}</value></entry>"))
        .collect();
    let attributes = format!("<Attributes>{attributes}</Attributes>");
    let wire = Wire::new([page(&[ARN], ""), ok("GetTopicAttributes", &attributes)]);
    let (_, Ensured { created, differences }) =
        ensure_topic(&sns::client(&wire.config()), "results.fifo").await.unwrap();
    assert_eq!(created, [""; 0]);
    let reported: Vec<_> =
        differences.iter().map(|d| (d.what.as_str(), d.found.as_str())).collect();
    assert_eq!(reported, [("ContentBasedDeduplication", "true"), ("KmsMasterKeyId", "(none)")]);
    let operations: Vec<_> = wire.take_sent().into_iter().map(|sent| sent.operation).collect();
    assert_eq!(operations, ["ListTopics", "GetTopicAttributes"]);
}

#[tokio::test(start_paused = true)]
async fn bootstrap_looks_for_a_topic_by_its_arn_without_listing_any_and_creates_what_is_missing() {
    let created = ok("CreateTopic", &format!("<TopicArn>{ARN}</TopicArn>"));
    let wire = Wire::new([error(404, "NotFound"), created]);
    let (arn, ensured) = ensure_topic(&sns::client(&wire.config()), ARN).await.unwrap();
    assert_eq!((arn.as_str(), ensured.created), (ARN, vec!["results.fifo".to_owned()]));
    let operations: Vec<_> = wire.take_sent().into_iter().map(|sent| sent.operation).collect();
    assert_eq!(operations, ["GetTopicAttributes", "CreateTopic"]);
}

#[tokio::test(start_paused = true)]
async fn bootstrap_takes_no_topic_for_one_of_another_region_or_account() {
    let elsewhere = ARN.replace("us-east-1", "eu-central-1");
    let wire = Wire::new([error(404, "NotFound")]);
    let refused = ensure_topic(&sns::client(&wire.config()), &elsewhere).await.unwrap_err();
    assert!(refused.to_string().contains("AWS_REGION"), "{refused}");
    assert_eq!(wire.take_sent().len(), 1, "nothing is created");

    let other = ARN.replace("123456789012", "210987654321");
    let created = ok("CreateTopic", &format!("<TopicArn>{ARN}</TopicArn>"));
    let wire = Wire::new([error(404, "NotFound"), created]);
    let refused = ensure_topic(&sns::client(&wire.config()), &other).await.unwrap_err();
    assert!(matches!(refused, PortError::Refused(_)), "{refused}");
    assert!(refused.to_string().contains(&other) && refused.to_string().contains(ARN));
}

#[tokio::test(start_paused = true)]
async fn bootstrap_creates_nothing_where_it_may_not_look() {
    let wire = Wire::new([error(403, "AuthorizationError")]);
    let refused = ensure_topic(&sns::client(&wire.config()), ARN).await.unwrap_err();
    assert!(matches!(refused, PortError::Refused(_)), "{refused}");
    assert_eq!(wire.take_sent().len(), 1);
}
