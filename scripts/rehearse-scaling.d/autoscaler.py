"""What KEDA and Kubernetes' horizontal pod autoscaler would want, from a ScaledObject and a backlog.

Written after KEDA's aws-sqs-queue scaler and the controller in kubernetes/pkg/controller/podautoscaler.
Only ScaledObjects that keep a pod are rehearsed: from zero, KEDA scales by other rules.
"""

import json
import math
from dataclasses import dataclass, replace

# kube-controller-manager: --horizontal-pod-autoscaler-sync-period, seconds.
SYNC_S = 15
# kube-controller-manager: --horizontal-pod-autoscaler-tolerance. A backlog so near to what the pods
# there are may have changes nothing.
TOLERANCE = 0.1


class Unreadable(Exception):
    """A ScaledObject that this knows no rules for."""


@dataclass(frozen=True)
class Trigger:
    """One queue's part: how many messages a pod may have in front of it."""

    queue: str
    queue_length: int
    activation: int
    counts_in_hand: bool
    counts_delayed: bool

    def messages(self, waiting, in_hand, delayed):
        """What the scaler reports, of SQS's three approximate counts."""
        return waiting + in_hand * self.counts_in_hand + delayed * self.counts_delayed

    def is_active(self, messages):
        return messages > self.activation


@dataclass(frozen=True)
class Rules:
    """One direction of an autoscaler's behaviour; policies are (kind, value, period in seconds)."""

    window_s: int
    widest: bool
    policies: tuple


@dataclass(frozen=True)
class ScaledObject:
    name: str
    least: int
    most: int
    triggers: tuple
    up: Rules
    down: Rules

    def formula(self, messages):
        """Pods for messages by queue, behaviour aside: the trigger that asks for most decides."""
        if self.least == 0 and not any(t.is_active(messages[t.queue]) for t in self.triggers):
            return 0
        asked = max(math.ceil(messages[t.queue] / t.queue_length) for t in self.triggers)
        return min(max(asked, self.least, 1), self.most)

    def scaled(self, ratio):
        """The same for pods that are `ratio` times as fast: the wait that is accepted stays."""
        lengths = (max(1, round(t.queue_length * ratio)) for t in self.triggers)
        triggers = (replace(t, queue_length=n) for t, n in zip(self.triggers, lengths))
        return replace(self, triggers=tuple(triggers))


def read(rendered, name):
    """The ScaledObject of that name, out of what `scripts/manifests` rendered."""
    for document in json.loads(rendered.read_text(encoding="utf-8")):
        if document["kind"] == "ScaledObject" and document["metadata"]["name"] == name:
            return scaled_object(document)
    raise Unreadable(f"{rendered} has no ScaledObject {name}")


def scaled_object(document):
    name, spec = document["metadata"]["name"], document["spec"]
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    return ScaledObject(
        name=name,
        least=spec["minReplicaCount"],
        most=spec["maxReplicaCount"],
        triggers=tuple(trigger(part) for part in spec["triggers"]),
        up=rules(behavior["scaleUp"], widest="Max"),
        down=rules(behavior["scaleDown"], widest="Max"),
    )


def trigger(part):
    if part["type"] != "aws-sqs-queue":
        raise Unreadable(f"a trigger of type {part['type']}: only aws-sqs-queue is known")
    metadata = part["metadata"]
    return Trigger(
        queue=metadata["queueURL"].rpartition("/")[2],
        queue_length=int(metadata["queueLength"]),
        activation=int(metadata.get("activationQueueLength", "0")),
        counts_in_hand=metadata.get("scaleOnInFlight", "true") == "true",
        counts_delayed=metadata.get("scaleOnDelayed", "false") == "true",
    )


def rules(part, widest):
    if part["selectPolicy"] not in ("Min", "Max"):
        raise Unreadable(f"selectPolicy {part['selectPolicy']}: only Min and Max are known")
    policies = tuple((p["type"], p["value"], p["periodSeconds"]) for p in part["policies"])
    return Rules(part["stabilizationWindowSeconds"], part["selectPolicy"] == widest, policies)


class Autoscaler:
    """The pods a ScaledObject comes to, look by look; it begins with the fewest."""

    def __init__(self, scaled):
        if scaled.least < 1:
            raise Unreadable(f"{scaled.name} scales from zero: that is not rehearsed")
        self.scaled, self.pods = scaled, scaled.least
        self.wanted = []  # (seconds, pods): what metrics asked for
        self.changes = []  # (seconds, pods more or, below 0, less)

    def look(self, now_s, messages):
        """One look at the backlog by queue: the pods from now on."""
        asked = max(self.asked(t, messages[t.queue]) for t in self.scaled.triggers)
        self.wanted.append((now_s, asked))
        up, down = self.scaled.up, self.scaled.down
        # Up no further than to the least that was asked for in its window, down no further than to
        # the most in its own.
        target = max(self.pods, min(self.asked_within(now_s, up.window_s)))
        target = min(target, max(self.asked_within(now_s, down.window_s)))
        if target > self.pods:
            target = min(target, self.scaled.most, max(self.pods, self.limit_up(now_s)))
        elif target < self.pods:
            target = max(target, self.scaled.least, min(self.pods, self.limit_down(now_s)))
        if target != self.pods:
            self.changes.append((now_s, target - self.pods))
            self.pods = target
        return target

    def asked(self, trigger, messages):
        usage = messages / (trigger.queue_length * self.pods)
        if abs(1 - usage) <= TOLERANCE:
            return self.pods
        return math.ceil(messages / trigger.queue_length)

    def asked_within(self, now_s, window_s):
        return [pods for at_s, pods in self.wanted if at_s > now_s - window_s or at_s == now_s]

    def pods_before(self, now_s, period_s):
        return self.pods - sum(n for at_s, n in self.changes if at_s > now_s - period_s)

    def limit_up(self, now_s):
        limits = []
        for kind, value, period_s in self.scaled.up.policies:
            before = self.pods_before(now_s, period_s)
            limits.append(before + value if kind == "Pods" else -(-before * (100 + value) // 100))
        return (max if self.scaled.up.widest else min)(limits)

    def limit_down(self, now_s):
        limits = []
        for kind, value, period_s in self.scaled.down.policies:
            before = self.pods_before(now_s, period_s)
            limits.append(before - value if kind == "Pods" else before * (100 - value) // 100)
        return (min if self.scaled.down.widest else max)(limits)
