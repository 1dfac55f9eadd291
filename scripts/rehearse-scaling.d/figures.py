"""From the samples of a run: what the formula wants, what is needed, and the figures of both."""

import math
from statistics import median

from autoscaler import SYNC_S, Autoscaler

# The throughput of a pod that `queueLength` was made from, commands/s: one hot group in the latency
# model (k8s/base/worker/scaled-object.yaml).
ASSUMED_PER_S = 208
# In how long a backlog should be gone: one look of the autoscaler. What it asks for to be gone
# sooner would come too late.
DRAIN_S = 15
# Rates are over so many seconds.
SPAN_S = 5
# With fewer messages than these a worker waits for work, and its rate is none of its throughput.
BUSY = 100


def needed(groups, arriving_per_s, backlog, pod_per_s, drain_s=DRAIN_S):
    """Pods that can be of use: a group is in one pod's hands at a time."""
    wanted = (arriving_per_s + backlog / drain_s) / pod_per_s
    return min(groups, backlog, math.ceil(wanted))


def rates(samples):
    """For each sample: messages sent, and commands decided, a second."""
    for at, sample in enumerate(samples):
        before = samples[max(0, at - SPAN_S)]
        seconds = sample["s"] - before["s"]
        decided = sum(sample["decided"]) - sum(before["decided"])
        # What was sent is what was decided, and what there is more of now.
        sent = max(0, decided + backlog(sample) - backlog(before))
        yield (sent / seconds, decided / seconds) if seconds else (0.0, 0.0)


def backlog(sample):
    return sum(sum(counts) for counts in sample["queues"].values())


def counted(scaled, sample):
    return {t.queue: t.messages(*sample["queues"][t.queue]) for t in scaled.triggers}


def pace(samples, phase):
    """Commands decided a second while there was enough to do, the median over seconds; None where
    that was never so."""
    pairs = [
        (before, after)
        for before, after in zip(samples, samples[1:])
        if before["phase"] == after["phase"] == phase and min(backlog(before), backlog(after)) >= BUSY
    ]
    steps = [(sum(b["decided"]) - sum(a["decided"])) / (b["s"] - a["s"]) for a, b in pairs]
    return median(steps) if steps else None


def evaluate(run, production):
    """Adds to each sample what would be there, and gives the figures of the run."""
    samples, names = run["samples"], [phase["name"] for phase in run["phases"]]
    paces = {name: pace(samples, name) for name in names}
    pod_per_s = paces[names[0]]
    if not pod_per_s:
        raise ValueError("the first burst was over before a throughput could be read: raise --burst")
    scaled = production.scaled(pod_per_s / ASSUMED_PER_S)
    autoscaler, looks = Autoscaler(scaled), 0
    groups = {phase["name"]: phase["groups"] for phase in run["phases"]}
    for sample, (sent, decided) in zip(samples, rates(samples)):
        messages = counted(scaled, sample)
        if sample["s"] >= looks * SYNC_S:
            autoscaler.look(sample["s"], messages)
            looks += 1
        sample.update(
            sent_per_s=sent,
            decided_per_s=decided,
            backlog=sum(messages.values()),
            formula=scaled.formula(messages),
            pods=autoscaler.pods,
            needed=needed(groups.get(sample["phase"], 0), sent, sum(messages.values()), pod_per_s),
        )
    return {
        "pod_per_s": pod_per_s,
        "ratio": pod_per_s / ASSUMED_PER_S,
        "queue_length": [t.queue_length for t in scaled.triggers],
        "accepted_wait_s": production.triggers[0].queue_length / ASSUMED_PER_S,
        "least": scaled.least,
        "most": scaled.most,
        "phases": [of_phase(samples, phase, paces[phase["name"]]) for phase in run["phases"]],
        "down_again_s": down_again(autoscaler, samples[-1]["s"], samples),
    }


def of_phase(samples, phase, paced):
    places = [at for at, sample in enumerate(samples) if sample["phase"] == phase["name"]]
    own = [samples[at] for at in places]
    first, last = own[0], own[-1]
    return {
        "name": phase["name"],
        "begins_s": first["s"],
        # Until the next one's first sample.
        "ends_s": samples[min(places[-1] + 1, len(samples) - 1)]["s"],
        "decided_per_s": paced,
        "decided_by_worker": [b - a for a, b in zip(first["decided"], last["decided"])],
        "most": {name: max(s[name] for s in own) for name in ("backlog", "formula", "pods", "needed")},
    }


def down_again(autoscaler, from_s, samples):
    """Goes on with empty queues: seconds from the last message until the fewest pods are left."""
    empty = {t.queue: 0 for t in autoscaler.scaled.triggers}
    busy = [sample["s"] for sample in samples if sample["backlog"]]
    at_s = from_s
    while autoscaler.pods > autoscaler.scaled.least:
        at_s += SYNC_S
        autoscaler.look(at_s, empty)
    return at_s - (busy[-1] if busy else 0)
