// Holds seats of an event and waits for the answer. Several holds are one message.
//
//     npm install
//     node reserve.mjs 42 A-3
//
// Region, credentials and endpoints come from the environment, as ever with AWS.

import { randomUUID } from "node:crypto";
import { paginateListTopics, SNSClient, SubscribeCommand } from "@aws-sdk/client-sns";
import {
  CreateQueueCommand,
  DeleteMessageCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  SQSClient,
} from "@aws-sdk/client-sqs";

const COMMANDS = "inventory-commands.fifo";
const TOPIC = "inventory-results.fifo";
const RESULTS = "orders-results.fifo"; // this service's own
const SOURCE = "/services/orders"; // this service; with a command's id, the command's identity
const WAIT_MS = 60_000;

const sqs = new SQSClient({});
const sns = new SNSClient({});

async function topicArn() {
  for await (const page of paginateListTopics({ client: sns }, {})) {
    const found = page.Topics?.find((topic) => topic.TopicArn?.endsWith(`:${TOPIC}`));
    if (found) return found.TopicArn;
  }
  throw new Error(`there is no topic ${TOPIC}: \`inventory-worker bootstrap\` creates it`);
}

/** A queue for production that the topic may send to. Repeating it changes nothing. */
async function makeQueue(name, topic, more) {
  const { QueueUrl } = await sqs.send(
    new CreateQueueCommand({ QueueName: name, Attributes: { FifoQueue: "true" } }),
  );
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["QueueArn"] }),
  );
  const Resource = Attributes.QueueArn;
  const policy = {
    Version: "2012-10-17",
    Statement: [
      {
        Sid: "TheTopicMaySend",
        Effect: "Allow",
        Principal: { Service: "sns.amazonaws.com" },
        Action: "sqs:SendMessage",
        Resource,
        Condition: { ArnEquals: { "aws:SourceArn": topic } },
      },
      {
        Sid: "TlsOnly",
        Effect: "Deny",
        Principal: "*",
        Action: "sqs:*",
        Resource,
        Condition: { Bool: { "aws:SecureTransport": "false" } },
      },
    ],
  };
  await sqs.send(
    new SetQueueAttributesCommand({
      QueueUrl,
      Attributes: {
        DeduplicationScope: "messageGroup",
        FifoThroughputLimit: "perMessageGroupId",
        MessageRetentionPeriod: "1209600", // 14 days, the longest
        SqsManagedSseEnabled: "true",
        Policy: JSON.stringify(policy),
        ...more,
      },
    }),
  );
  return { url: QueueUrl, arn: Resource };
}

/** A queue that gets the results of this service's commands. Once, at deployment. */
async function subscribe() {
  const topic = await topicArn();
  // What SNS cannot deliver and what this service cannot handle.
  const deadLetters = await makeQueue(RESULTS.replace(".fifo", "-dlq.fifo"), topic, {});
  const redrive = { deadLetterTargetArn: deadLetters.arn };
  const { url, arn } = await makeQueue(RESULTS, topic, {
    RedrivePolicy: JSON.stringify({ ...redrive, maxReceiveCount: "10" }),
  });
  // The answers to this service's commands, and the ends of its holds, whoever ends them.
  const either = [{ command_source: [SOURCE] }, { reservation_source: [SOURCE] }];
  await sns.send(
    new SubscribeCommand({
      TopicArn: topic,
      Protocol: "sqs",
      Endpoint: arn,
      Attributes: {
        RawMessageDelivery: "true", // the body is the result itself, not SNS's envelope
        FilterPolicy: JSON.stringify({ $or: either }),
        RedrivePolicy: JSON.stringify(redrive),
      },
    }),
  );
  return url;
}

function reserve(eventId, seats, userId) {
  return {
    specversion: "1.0",
    id: randomUUID(), // new for a new intent; kept, with the data, when trying again
    source: SOURCE,
    type: "inventory.reserve.v1",
    time: new Date().toISOString(),
    data: { event_id: eventId, user_id: userId, seats, hold_seconds: 600 },
  };
}

/** One command, or up to 100 in one message: each is answered by itself. */
async function post(eventId, commands) {
  const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: COMMANDS }));
  const body = commands.length === 1 ? commands[0] : commands;
  await sqs.send(
    new SendMessageCommand({
      QueueUrl,
      MessageGroupId: `event-${eventId}`, // order; what is not ordered goes side by side
      MessageBody: JSON.stringify(body), // no MessageDeduplicationId: the queue takes the content
    }),
  );
}

async function* waitFor(QueueUrl, commandIds) {
  const waiting = new Set(commandIds);
  const seen = new Set(); // in a service: result ids, kept in its database with what they changed
  const end = Date.now() + WAIT_MS;
  while (waiting.size > 0 && Date.now() < end) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 5 }),
    );
    for (const { Body, ReceiptHandle } of Messages) {
      // The results of several commands may come as one array, if the operator says so.
      for (const result of [JSON.parse(Body)].flat()) {
        const isNew = !seen.has(result.id); // a result may come again, under the same id
        seen.add(result.id);
        if (isNew && waiting.delete(result.data.command.id)) yield result;
      }
      await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
    }
  }
  if (waiting.size > 0) {
    throw new Error("no result in time; what waits is decided all the same, once a worker runs");
  }
}

const [eventId, ...holds] = process.argv.slice(2);
if (holds.length === 0) {
  console.error("usage: node reserve.mjs EVENT_ID SEAT[,SEAT...]...");
  process.exit(64);
}
const results = await subscribe();
const commands = holds.map((seats) => reserve(Number(eventId), seats.split(","), "u-8"));
await post(eventId, commands);
for await (const { type, data } of waitFor(results, commands.map((command) => command.id))) {
  if (type === "inventory.rejected.v1") {
    console.error(`rejected: ${data.rejection.code}: ${data.rejection.message}`);
    process.exitCode = 1;
  } else {
    const { seats, expires_at, reservation_id } = data.reservation;
    console.log(`held: ${seats.join(", ")} until ${expires_at} as ${reservation_id}`);
  }
}
