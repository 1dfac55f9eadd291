"""Holds seats of an event and waits for the answer. Several holds are one message.

    pip install boto3
    python reserve.py 42 A-1,A-2 A-3

Region, credentials and endpoints come from the environment, as ever with AWS.
"""

import json
import sys
import time
import uuid
from datetime import datetime, timezone

import boto3

COMMANDS = "inventory-commands.fifo"
TOPIC = "inventory-results.fifo"
RESULTS = "booking-results.fifo"  # this service's own
SOURCE = "/services/booking"  # this service; with a command's id, the command's identity
WAIT_S = 60

sqs, sns = boto3.client("sqs"), boto3.client("sns")


def make_queue(name, topic, more):
    """A queue for production that the topic may send to. Repeating it changes nothing."""
    url = sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {"Version": "2012-10-17", "Statement": [
        {"Sid": "TheTopicMaySend", "Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"},
         "Action": "sqs:SendMessage", "Resource": arn,
         "Condition": {"ArnEquals": {"aws:SourceArn": topic}}},
        {"Sid": "TlsOnly", "Effect": "Deny", "Principal": "*", "Action": "sqs:*", "Resource": arn,
         "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
    ]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={
        "DeduplicationScope": "messageGroup",
        "FifoThroughputLimit": "perMessageGroupId",
        "MessageRetentionPeriod": "1209600",  # 14 days, the longest
        "SqsManagedSseEnabled": "true",
        "Policy": json.dumps(policy),
        **more,
    })
    return url, arn


def subscribe():
    """A queue that gets the results of this service's commands. Once, at deployment."""
    topics = (topic["TopicArn"] for page in sns.get_paginator("list_topics").paginate()
              for topic in page["Topics"])
    topic = next((arn for arn in topics if arn.endswith(":" + TOPIC)), None)
    if topic is None:
        sys.exit(f"there is no topic {TOPIC}: `inventory-worker bootstrap` creates it")
    # What SNS cannot deliver and what this service cannot handle.
    _, dead_letters = make_queue(RESULTS.replace(".fifo", "-dlq.fifo"), topic, {})
    redrive = {"deadLetterTargetArn": dead_letters}
    url, arn = make_queue(RESULTS, topic, {
        "RedrivePolicy": json.dumps({**redrive, "maxReceiveCount": "10"}),
    })
    # The answers to this service's commands, and the ends of its holds, whoever ends them.
    either = [{"command_source": [SOURCE]}, {"reservation_source": [SOURCE]}]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={
        "RawMessageDelivery": "true",  # the body is the result itself, not SNS's envelope
        "FilterPolicy": json.dumps({"$or": either}),
        "RedrivePolicy": json.dumps(redrive),
    })
    return url


def reserve(event_id, seats, user_id):
    return {
        "specversion": "1.0",
        "id": str(uuid.uuid4()),  # new for a new intent; kept, with the data, when trying again
        "source": SOURCE,
        "type": "inventory.reserve.v1",
        "time": datetime.now(timezone.utc).isoformat(),
        "data": {"event_id": event_id, "user_id": user_id, "seats": seats, "hold_seconds": 600},
    }


def post(event_id, commands):
    # One command, or up to 100 in one message: each is answered by itself.
    body = commands[0] if len(commands) == 1 else commands
    sqs.send_message(
        QueueUrl=sqs.get_queue_url(QueueName=COMMANDS)["QueueUrl"],
        MessageGroupId=f"event-{event_id}",  # order; what is not ordered goes side by side
        MessageBody=json.dumps(body),  # no MessageDeduplicationId: the queue takes the content
    )


def wait_for(url, command_ids):
    waiting, seen = set(command_ids), set()  # in a service, result ids are kept in its database
    end = time.monotonic() + WAIT_S
    while waiting and time.monotonic() < end:
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5)
        for message in answer.get("Messages", []):
            body = json.loads(message["Body"])
            # The results of several commands may come as one array, if the operator says so.
            for result in body if isinstance(body, list) else [body]:
                is_new = result["id"] not in seen  # a result may come again, under the same id
                seen.add(result["id"])
                command_id = result["data"]["command"]["id"]
                if is_new and command_id in waiting:
                    waiting.remove(command_id)
                    yield result
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    if waiting:
        sys.exit(f"no result in {WAIT_S} s; what waits is decided all the same, once a worker runs")


def main():
    if len(sys.argv) < 3:
        sys.exit("usage: reserve.py EVENT_ID SEAT[,SEAT...]...")
    event_id, holds = int(sys.argv[1]), [seats.split(",") for seats in sys.argv[2:]]
    results = subscribe()
    commands = [reserve(event_id, seats, user_id="u-7") for seats in holds]
    post(event_id, commands)
    rejected = False
    for result in wait_for(results, [command["id"] for command in commands]):
        data = result["data"]
        if result["type"] == "inventory.rejected.v1":
            rejected = True
            print(f"rejected: {data['rejection']['code']}: {data['rejection']['message']}")
        else:
            held = data["reservation"]
            seats = ", ".join(held["seats"])
            print(f"held: {seats} until {held['expires_at']} as {held['reservation_id']}")
    sys.exit(1 if rejected else 0)


if __name__ == "__main__":
    main()
