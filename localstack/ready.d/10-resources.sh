#!/usr/bin/env bash
# Creates the worker's queues, topic and tables, where they are missing. LocalStack's image runs it
# once the services are up; anywhere else it needs `awslocal`. On AWS, and wherever the worker's
# binary is available, `inventory-worker bootstrap` does the same and reports what differs.
set -euo pipefail

prefix=${INVENTORY_PREFIX:-inventory-}
queues=${INVENTORY_QUEUES:-${prefix}commands.fifo,${prefix}expiries.fifo,${prefix}restock.fifo}
expiries=${INVENTORY_EXPIRIES_QUEUE:-${prefix}expiries.fifo}
topic=${INVENTORY_RESULTS_TOPIC:-${prefix}results.fifo}
seats=${DYNAMODB_TABLE_SEATS:-${prefix}seats}
stock=${DYNAMODB_TABLE_STOCK:-${prefix}stock}
reservations=${DYNAMODB_TABLE_RESERVATIONS:-${prefix}reservations}
ledger=${DYNAMODB_TABLE_LEDGER:-${prefix}ledger}

# What every queue is: 14 days' retention, 60 s visibility, high throughput by message group.
common='"FifoQueue":"true","ContentBasedDeduplication":"true","DeduplicationScope":"messageGroup",'
common+='"FifoThroughputLimit":"perMessageGroupId","MessageRetentionPeriod":"1209600",'
common+='"VisibilityTimeout":"60","SqsManagedSseEnabled":"true"'

# create_queue NAME [MORE-ATTRIBUTES]
create_queue() {
  local name=$1 more=${2:-}
  if awslocal sqs get-queue-url --queue-name "$name" >/dev/null 2>&1; then
    echo "queue $name exists"
    return
  fi
  awslocal sqs create-queue --queue-name "$name" --attributes "{$common$more}" >/dev/null
  echo "queue $name created"
}

create_topic() {
  local name=$1
  if awslocal sns list-topics --query 'Topics[].TopicArn' --output text | tr '\t' '\n' |
    grep -q ":$name\$"; then
    echo "topic $name exists"
    return
  fi
  awslocal sns create-topic --name "$name" --attributes \
    FifoTopic=true,ContentBasedDeduplication=false,FifoThroughputScope=MessageGroup,KmsMasterKeyId=alias/aws/sns \
    >/dev/null
  echo "topic $name created"
}

# create_table NAME ARGUMENTS...
create_table() {
  local name=$1
  shift
  if awslocal dynamodb describe-table --table-name "$name" >/dev/null 2>&1; then
    echo "table $name exists"
    return
  fi
  awslocal dynamodb create-table --table-name "$name" --billing-mode PAY_PER_REQUEST "$@" >/dev/null
  awslocal dynamodb wait table-exists --table-name "$name"
  echo "table $name created"
}

# expire_by_ttl TABLE
expire_by_ttl() {
  local status
  status=$(awslocal dynamodb describe-time-to-live --table-name "$1" \
    --query TimeToLiveDescription.TimeToLiveStatus --output text)
  if [[ $status != ENABL* ]]; then
    awslocal dynamodb update-time-to-live --table-name "$1" \
      --time-to-live-specification Enabled=true,AttributeName=ttl >/dev/null
  fi
}

# What is consumed by others is posted to all the same; what is there already stays as it is.
IFS=, read -ra names <<<"$queues,$expiries"
for name in "${names[@]}"; do
  name=${name##*/} # the name in a URL
  dead_letters=${name%.fifo}-dlq.fifo
  create_queue "$dead_letters"
  url=$(awslocal sqs get-queue-url --queue-name "$dead_letters" --query QueueUrl --output text)
  arn=$(awslocal sqs get-queue-attributes --queue-url "$url" --attribute-names QueueArn \
    --query Attributes.QueueArn --output text)
  policy="{\\\"deadLetterTargetArn\\\":\\\"$arn\\\",\\\"maxReceiveCount\\\":1000}"
  create_queue "$name" ",\"RedrivePolicy\":\"$policy\""
done

create_topic "${topic##*:}" # the name in an ARN

create_table "$seats" \
  --attribute-definitions AttributeName=event_id,AttributeType=N \
  AttributeName=seat_number,AttributeType=S \
  --key-schema AttributeName=event_id,KeyType=HASH AttributeName=seat_number,KeyType=RANGE
create_table "$stock" \
  --attribute-definitions AttributeName=pool,AttributeType=S AttributeName=sku,AttributeType=S \
  --key-schema AttributeName=pool,KeyType=HASH AttributeName=sku,KeyType=RANGE
create_table "$reservations" \
  --attribute-definitions AttributeName=reservation_id,AttributeType=S \
  AttributeName=expiry_shard,AttributeType=N AttributeName=expires_at,AttributeType=N \
  --key-schema AttributeName=reservation_id,KeyType=HASH \
  --global-secondary-indexes '[{
    "IndexName": "expiry-index",
    "KeySchema": [
      { "AttributeName": "expiry_shard", "KeyType": "HASH" },
      { "AttributeName": "expires_at", "KeyType": "RANGE" }
    ],
    "Projection": { "ProjectionType": "INCLUDE", "NonKeyAttributes": ["pool"] }
  }]'
create_table "$ledger" \
  --attribute-definitions AttributeName=command,AttributeType=S \
  --key-schema AttributeName=command,KeyType=HASH
expire_by_ttl "$reservations"
expire_by_ttl "$ledger"
