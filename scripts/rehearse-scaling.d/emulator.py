"""The emulated stack as a rehearsal uses it: resources of its own, workers, and the queues' counts.

Requests carry a region and an access key and no signature, which emulators do not look at: nothing
here can reach AWS.
"""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

# How long a worker may take until it is ready, and after SIGTERM until it is gone, seconds.
READY_S, STOP_S = 30, 30
# An idle worker ends after its long poll: shorter than the default, so that the run ends soon.
LONG_POLL_S = 5

COUNTS = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)


class Unavailable(Exception):
    """The stack, or what runs on it, is not as a rehearsal needs it."""


class Stack:
    """Queues, topic and tables of one rehearsal; removed by `remove`."""

    def __init__(self, worker, batch_messages, log):
        self.worker, self.log = worker, log
        self.endpoint = loopback("AWS_ENDPOINT_URL")
        self.tables_endpoint = loopback("AWS_ENDPOINT_URL_DYNAMODB")
        self.region = os.environ["AWS_REGION"]
        self.name = f"rehearsal-{uuid.uuid4().hex[:8]}"
        self.tables = {
            f"DYNAMODB_TABLE_{table.upper()}": f"{self.name}-{table}"
            for table in ("seats", "stock", "reservations", "ledger")
        }
        self.queues = {
            kind: f"{self.name}-{kind}.fifo" for kind in ("commands", "expiries", "restock")
        }
        self.topic = f"{self.name}-results.fifo"
        self.environment = os.environ | self.tables | {
            "INVENTORY_QUEUES": ",".join(self.queues.values()),
            "INVENTORY_EXPIRIES_QUEUE": self.queues["expiries"],
            "INVENTORY_RESULTS_TOPIC": self.topic,
            "INVENTORY_MINIMAL_TABLES": "true",
            "INVENTORY_BATCH_MESSAGES": str(batch_messages),
            "INVENTORY_LONG_POLL_SECONDS": str(LONG_POLL_S),
            "ADMIN_HOST": "127.0.0.1",
        }

    def bootstrap(self):
        command = [self.worker, "bootstrap", "--json"]
        subprocess.run(command, env=self.environment, stdout=self.log, stderr=self.log, check=True)

    def url(self, queue):
        return self.sqs("GetQueueUrl", QueueName=queue)["QueueUrl"]

    def counts(self, url):
        """Waiting, in hand, delayed: what KEDA's scaler asks for."""
        got = self.sqs("GetQueueAttributes", QueueUrl=url, AttributeNames=list(COUNTS))
        return [int(got["Attributes"][name]) for name in COUNTS]

    def sqs(self, action, **what):
        return self.call(self.endpoint, "sqs", f"AmazonSQS.{action}", "1.0", what)

    def remove(self):
        """Everything of this rehearsal, the storms' own queues aside: storms remove these."""
        queues = self.queues.values()
        for queue in [*queues, *(q.removesuffix(".fifo") + "-dlq.fifo" for q in queues)]:
            self.tried(lambda: self.sqs("DeleteQueue", QueueUrl=self.url(queue)))
        for table in self.tables.values():
            what = {"TableName": table}
            target = "DynamoDB_20120810.DeleteTable"
            self.tried(lambda: self.call(self.tables_endpoint, "dynamodb", target, "1.0", what))
        self.tried(self.remove_topic)

    def remove_topic(self):
        # The emulators' account.
        arn = f"arn:aws:sns:{self.region}:000000000000:{self.topic}"
        form = {"Action": "DeleteTopic", "Version": "2010-03-31", "TopicArn": arn}
        body = urllib.parse.urlencode(form).encode()
        self.post(self.endpoint, "sns", {"Content-Type": "application/x-www-form-urlencoded"}, body)

    def tried(self, removal):
        try:
            removal()
        except (OSError, Unavailable) as error:
            print(f"rehearse-scaling: something of {self.name} is left: {error}", flush=True)

    def call(self, endpoint, service, target, version, what):
        headers = {"Content-Type": f"application/x-amz-json-{version}", "X-Amz-Target": target}
        return json.loads(self.post(endpoint, service, headers, json.dumps(what).encode()) or "{}")

    def post(self, endpoint, service, headers, body):
        now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = f"{now[:8]}/{self.region}/{service}/aws4_request"
        key = os.environ["AWS_ACCESS_KEY_ID"]
        headers["X-Amz-Date"] = now
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders=host, Signature=none"
        )
        request = urllib.request.Request(endpoint, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise Unavailable(f"{service}: {error.code} {error.read().decode()[:300]}") from error


def loopback(variable):
    """An endpoint on this machine: a rehearsal makes load, and leaves nothing behind."""
    url = os.environ.get(variable, "")
    if urllib.parse.urlsplit(url).hostname not in ("127.0.0.1", "localhost", "::1"):
        raise Unavailable(
            f'{variable} is no endpoint on this machine ({url or "unset"}): '
            'localstack/stack up && eval "$(localstack/stack env)"'
        )
    return url


class Worker:
    """A real worker, and what it has decided."""

    def __init__(self, stack):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        environment = stack.environment | {"ADMIN_PORT": str(self.port)}
        self.process = subprocess.Popen(
            [stack.worker, "run"], env=environment, stdout=stack.log, stderr=stack.log
        )

    def until_ready(self):
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.get("readyz")
                return
            except OSError:
                time.sleep(0.2)
        raise Unavailable("a worker did not become ready: see the log")

    def decided(self):
        """Commands decided since it began, replays aside."""
        lines = self.get("metrics").splitlines()
        return sum(int(float(n.split()[-1])) for n in lines if n.startswith("inventory_commands_total{"))

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{path}", timeout=10) as answer:
            return answer.read().decode()


class Storm:
    """A burst of buyers on an on-sale, all at once."""

    def __init__(self, stack, events, seats, buyers):
        sizes = {"--events": events, "--seats": seats, "--buyers": buyers, "--in-flight": buyers}
        arguments = [str(part) for pair in sizes.items() for part in pair]
        command = [stack.worker, "storm", "--yes", "--json", "--timeout", "600", *arguments]
        self.process = subprocess.Popen(
            command, env=stack.environment, stdout=subprocess.PIPE, stderr=stack.log
        )

    def summary(self):
        """What it came to, once it has ended."""
        out, _ = self.process.communicate(timeout=STOP_S)
        if self.process.returncode != 0:
            raise Unavailable(f"the storm ended with {self.process.returncode}: see the log")
        return json.loads(out)


def stop(process):
    """SIGTERM, by its id; SIGKILL for what hangs."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
