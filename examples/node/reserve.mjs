// Holds seats of an event and waits for the answer.
//
//     npm install
//     node reserve.mjs 42 A-1 A-2
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

/** A queue that gets the results of this service's commands. Once, at deployment. */
async function subscribe() {
  const topic = await topicArn();
  const { QueueUrl } = await sqs.send(
    new CreateQueueCommand({ QueueName: RESULTS, Attributes: { FifoQueue: "true" } }),
  );
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ["QueueArn"] }),
  );
  const policy = {
    Version: "2012-10-17",
    Statement: [
      {
        Effect: "Allow",
        Action: "sqs:SendMessage",
        Resource: Attributes.QueueArn,
        Principal: { Service: "sns.amazonaws.com" },
        Condition: { ArnEquals: { "aws:SourceArn": topic } },
      },
    ],
  };
  await sqs.send(
    new SetQueueAttributesCommand({ QueueUrl, Attributes: { Policy: JSON.stringify(policy) } }),
  );
  await sns.send(
    new SubscribeCommand({
      TopicArn: topic,
      Protocol: "sqs",
      Endpoint: Attributes.QueueArn,
      Attributes: {
        RawMessageDelivery: "true", // the body is the result itself, not SNS's envelope
        // The answers to this service's commands, and the ends of its holds, whoever ends them.
        FilterPolicy: JSON.stringify({
          $or: [{ command_source: [SOURCE] }, { reservation_source: [SOURCE] }],
        }),
      },
    }),
  );
  return QueueUrl;
}

async function post(eventId, seats, userId) {
  const command = {
    specversion: "1.0",
    id: randomUUID(), // new for a new intent; kept, with the data, when trying again
    source: SOURCE,
    type: "inventory.reserve.v1",
    time: new Date().toISOString(),
    data: { event_id: eventId, user_id: userId, seats, hold_seconds: 600 },
  };
  const { QueueUrl } = await sqs.send(new GetQueueUrlCommand({ QueueName: COMMANDS }));
  await sqs.send(
    new SendMessageCommand({
      QueueUrl,
      MessageGroupId: `event-${eventId}`, // order; what is not ordered goes side by side
      MessageBody: JSON.stringify(command), // no MessageDeduplicationId: the queue takes the content
    }),
  );
  return command.id;
}

async function waitFor(QueueUrl, commandId) {
  const seen = new Set(); // in a service: result ids, kept in its database with what they changed
  const end = Date.now() + WAIT_MS;
  while (Date.now() < end) {
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 5 }),
    );
    for (const { Body, ReceiptHandle } of Messages) {
      const result = JSON.parse(Body);
      const isNew = !seen.has(result.id); // a result may come again, under the same id
      seen.add(result.id);
      await sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle }));
      if (isNew && result.data.command.id === commandId) return result;
    }
  }
  throw new Error("no result in time; the command is decided all the same, once a worker runs");
}

const [eventId, ...seats] = process.argv.slice(2);
if (seats.length === 0) {
  console.error("usage: node reserve.mjs EVENT_ID SEAT...");
  process.exit(64);
}
const results = await subscribe();
const { type, data } = await waitFor(results, await post(Number(eventId), seats, "u-8"));
if (type === "inventory.rejected.v1") {
  console.error(`rejected: ${data.rejection.code}: ${data.rejection.message}`);
  process.exitCode = 1;
} else {
  const held = data.reservation;
  console.log(`held: ${held.seats.join(", ")} until ${held.expires_at} as ${held.reservation_id}`);
}
