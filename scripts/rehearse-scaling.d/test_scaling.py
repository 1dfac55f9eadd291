import math
import unittest
from dataclasses import replace
from pathlib import Path

import autoscaler
import figures
import plot

RENDERED = Path(__file__).resolve().parents[2] / ".cache/manifests/rendered/production.json"
DOCUMENT = {
    "metadata": {"name": "worker"},
    "spec": {
        "minReplicaCount": 5,
        "maxReplicaCount": 50,
        "advanced": {"horizontalPodAutoscalerConfig": {"behavior": {
            "scaleUp": {
                "stabilizationWindowSeconds": 0,
                "selectPolicy": "Max",
                "policies": [
                    {"type": "Percent", "value": 100, "periodSeconds": 15},
                    {"type": "Pods", "value": 10, "periodSeconds": 15},
                ],
            },
            "scaleDown": {
                "stabilizationWindowSeconds": 300,
                "selectPolicy": "Min",
                "policies": [
                    {"type": "Percent", "value": 10, "periodSeconds": 60},
                    {"type": "Pods", "value": 2, "periodSeconds": 60},
                ],
            },
        }}},
        "triggers": [{"type": "aws-sqs-queue", "metadata": {
            "queueURL": "https://sqs.eu-central-1.amazonaws.com/111122223333/q.fifo",
            "queueLength": "1000",
            "activationQueueLength": "0",
            "scaleOnInFlight": "true",
        }}],
    },
}


def worker():
    return autoscaler.scaled_object(DOCUMENT)


class Formula(unittest.TestCase):
    def test_what_waits_and_what_is_in_hand_count_and_what_is_delayed_does_not(self):
        trigger = worker().triggers[0]
        self.assertEqual(trigger.messages(3, 4, 5), 7)
        self.assertEqual(replace(trigger, counts_in_hand=False).messages(3, 4, 5), 3)
        self.assertEqual(replace(trigger, counts_delayed=True).messages(3, 4, 5), 12)

    def test_a_pod_for_every_begun_queue_length_between_the_fewest_and_the_most(self):
        for messages, pods in [(0, 5), (5000, 5), (5001, 6), (12_345, 13), (50_001, 50)]:
            self.assertEqual(worker().formula({"q.fifo": messages}), pods, messages)

    def test_the_queue_that_asks_for_most_decides(self):
        two = replace(worker().triggers[0], queue="r.fifo", queue_length=40)
        both = replace(worker(), triggers=(worker().triggers[0], two))
        self.assertEqual(both.formula({"q.fifo": 6500, "r.fifo": 41}), 7)
        self.assertEqual(both.formula({"q.fifo": 6500, "r.fifo": 401}), 11)

    def test_with_none_to_keep_more_messages_than_the_activation_wake_one(self):
        trigger = replace(worker().triggers[0], activation=10)
        zero = replace(worker(), least=0, triggers=(trigger,))
        self.assertEqual([zero.formula({"q.fifo": n}) for n in (0, 10, 11)], [0, 0, 1])

    def test_pods_half_as_fast_may_have_half_as_much_in_front_of_them(self):
        self.assertEqual(worker().scaled(0.5).triggers[0].queue_length, 500)

    def test_a_trigger_or_policy_without_rules_here_is_refused(self):
        with self.assertRaises(autoscaler.Unreadable):
            autoscaler.trigger({"type": "prometheus", "metadata": {}})
        with self.assertRaises(autoscaler.Unreadable):
            autoscaler.rules({"selectPolicy": "Disabled"}, widest="Max")


class Looks(unittest.TestCase):
    def looks(self, messages, scaled=None, every_s=15):
        scaler = autoscaler.Autoscaler(scaled or worker())
        return [scaler.look(n * every_s, {"q.fifo": m}) for n, m in enumerate(messages)]

    def test_up_by_ten_pods_or_as_many_as_there_are_a_look(self):
        self.assertEqual(self.looks([50_000] * 4), [15, 30, 50, 50])
        self.assertEqual(self.looks([90_000] * 4, replace(worker(), most=90)), [15, 30, 60, 90])

    def test_within_a_tenth_of_what_its_pods_may_have_nothing_changes(self):
        self.assertEqual(self.looks([5490, 5510]), [5, 6])

    def test_down_after_five_quiet_minutes_by_a_tenth_a_minute_and_two_pods_at_most(self):
        scaler = autoscaler.Autoscaler(worker())
        for at in range(3):
            scaler.look(at * 15, {"q.fifo": 50_000})
        pods = [scaler.look(at * 15, {"q.fifo": 0}) for at in range(3, 35)]
        # The last look with a backlog was at 30 s.
        self.assertEqual(pods[:19], [50] * 19)
        self.assertEqual(pods[19:], [48] * 4 + [46] * 4 + [44] * 4 + [42])

    def test_down_to_the_fewest_and_no_further(self):
        scaler = autoscaler.Autoscaler(worker())
        scaler.look(0, {"q.fifo": 7000})
        self.assertEqual(scaler.pods, 7)
        self.assertEqual(figures.down_again(scaler, 0, [{"s": 0, "backlog": 1}]), 300 + 60)
        self.assertEqual(scaler.look(10_000, {"q.fifo": 0}), 5)

    def test_a_scaled_object_without_pods_to_keep_is_refused(self):
        with self.assertRaises(autoscaler.Unreadable):
            autoscaler.Autoscaler(replace(worker(), least=0))


class Needed(unittest.TestCase):
    def test_no_more_pods_than_groups_can_be_of_use(self):
        self.assertEqual(figures.needed(1, 5000, 90_000, 200), 1)
        self.assertEqual(figures.needed(16, 5000, 90_000, 200), 16)

    def test_what_comes_and_what_is_to_be_gone_share_the_pods(self):
        self.assertEqual(figures.needed(16, 400, 3000, 200, drain_s=15), 3)
        self.assertEqual(figures.needed(16, 400, 3001, 200, drain_s=15), 4)
        self.assertEqual(figures.needed(16, 0, 0, 200), 0)

    def test_what_was_sent_is_what_was_decided_and_what_there_is_more_of(self):
        samples = [
            {"s": 0.0, "decided": [10, 0], "queues": {"q.fifo": [100, 10, 0]}},
            {"s": 2.0, "decided": [30, 20], "queues": {"q.fifo": [160, 0, 0]}},
        ]
        self.assertEqual(list(figures.rates(samples)), [(0.0, 0.0), (45.0, 20.0)])


class Whole(unittest.TestCase):
    def test_a_run_of_one_hot_group_comes_to_figures_and_a_picture(self):
        samples = [
            {"s": float(s), "phase": "one group", "decided": [104 * s, 0],
             "queues": {"q.fifo": [max(0, 5200 - 104 * s), 0, 0]}}
            for s in range(61)
        ]
        run = {"phases": [{"name": "one group", "groups": 1}], "samples": samples}
        summary = figures.evaluate(run, worker())
        # Half as fast as assumed: half the queue length, 11 pods for 5,200 messages.
        self.assertEqual(summary["pod_per_s"], 104)
        self.assertEqual(summary["queue_length"], [500])
        self.assertEqual(summary["phases"][0]["most"], {
            "backlog": 5200, "formula": 11, "pods": 11, "needed": 1,
        })
        self.assertTrue(math.isclose(summary["accepted_wait_s"], 4.8, rel_tol=0.01))
        picture = plot.svg(run, summary)
        self.assertIn("</svg>", picture)
        self.assertNotIn("nan", picture)

    def test_what_production_has_can_be_read(self):
        if not RENDERED.exists():
            self.skipTest(f"{RENDERED} is not there: scripts/manifests makes it")
        for name in ("inventory-worker", "inventory-worker-restock"):
            autoscaler.Autoscaler(autoscaler.read(RENDERED, name)).look(0, {
                f"inventory-{kind}.fifo": 1 for kind in ("commands", "expiries", "restock")
            })
