"""curl calls every operation of the OpenAPI document."""

import json
import unittest

from dev import Dev, curl, lines_until

EVENT = "application/cloudevents+json"


class EveryOperation(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dev = Dev()
        cls.addClassCleanup(cls.dev.stop)

    def call(self, path, *arguments, status=200):
        answered, body = curl(f"http://{self.dev.http}{path}", *arguments)
        self.assertEqual(answered, status, body)
        return body

    def post(self, path, body, *headers, status=200):
        flags = [flag for header in headers for flag in ("-H", header)]
        return self.call(path, *flags, "--data", json.dumps(body), status=status)

    def reserve(self, id, seat, status=200):
        event = {
            "specversion": "1.0",
            "id": id,
            "source": "/callers/local",
            "type": "inventory.reserve.v1",
            "data": {"event_id": 1, "user_id": "ann", "seats": [seat]},
        }
        headers = [f"content-type: {EVENT}", "prefer: wait=20"]
        return self.post("/commands", event, *headers, status=status)

    def test_post_command(self):
        first = self.reserve("post-1", "A-1")
        self.assertEqual(first["data"]["reservation"]["status"], "ACTIVE", first)
        self.assertEqual(self.reserve("post-1", "A-1"), first)
        taken = self.reserve("post-2", "A-1", status=409)
        self.assertEqual(taken["code"], "SEATS_UNAVAILABLE", taken)

    def test_get_command(self):
        posted = self.reserve("get-1", "A-2")
        found = self.call("/commands?source=/callers/local&id=get-1")
        self.assertEqual(found, posted)
        self.call("/commands?source=/callers/local&id=none", status=404)
        self.reserve("get-2", "A-2", status=409)
        found = self.call("/commands?source=/callers/local&id=get-2")
        self.assertEqual(found["data"]["rejection"]["code"], "SEATS_UNAVAILABLE", found)

    def test_update_inventory(self):
        update = {"store_id": "store-9", "sku": "pear", "quantity": 12}
        headers = ["content-type: application/json", "idempotency-key: count-9"]
        first = self.post("/inventory/update", update, *headers)
        self.assertEqual(self.post("/inventory/update", update, *headers), first)
        other = self.post("/inventory/update", {**update, "quantity": 13}, *headers, status=422)
        self.assertEqual(other["code"], "COMMAND_ID_REUSED", other)

    def test_list_seats(self):
        page = self.call("/events/1/seats?section=Stalls&limit=3")
        self.assertEqual([seat["seat_number"] for seat in page["seats"]], ["A-1", "A-10", "A-11"])
        following = f"/events/1/seats?section=Stalls&limit=1&cursor={page['next_cursor']}"
        self.assertEqual(self.call(following)["seats"][0]["seat_number"], "A-12")

    def test_get_seat(self):
        self.assertEqual(self.call("/events/1/seats/H-20")["seat"]["status"], "AVAILABLE")
        self.call("/events/1/seats/Z-99", status=404)

    def test_get_availability(self):
        self.assertEqual(self.call("/events/1/availability")["counts"]["total"], 160)

    def test_get_layout(self):
        self.assertEqual(len(self.call("/events/1/layout")["numbers"]), 160)

    def test_get_map(self):
        plain = self.call("/events/1/map")
        self.assertEqual(len(plain["status"]), 160)
        compressed = self.call("/events/1/map", "--compressed")
        self.assertEqual(compressed["layout"], plain["layout"])

    def test_watch_changes(self):
        url = f"http://{self.dev.http}/events/1/changes"
        lines = lines_until(["curl", "--silent", "--no-buffer", url], "data:")
        self.assertEqual(lines[0], "retry: 1000")
        self.assertIn("event: snapshot", lines)
        polled = self.call("/events/1/changes?wait=0")
        self.assertEqual(polled["frames"][0]["event"], "snapshot")

    def test_watch_results(self):
        url = f"http://{self.dev.http}/results?pool=event%231"
        lines = lines_until(["curl", "--silent", "--no-buffer", url], "event: begin")
        self.assertEqual(lines[0], "retry: 1000")

    def test_create_stream_ticket(self):
        ticket = self.call("/stream-tickets", "--request", "POST", status=201)["ticket"]
        url = f"http://{self.dev.http}/events/1/changes?ticket={ticket}"
        lines_until(["curl", "--silent", "--no-buffer", url], "event: snapshot")
        self.call(f"/events/1/changes?ticket={ticket}", status=401)

    def test_get_reservation(self):
        held = self.reserve("reservation-1", "B-1")["data"]["reservation"]
        found = self.call(f"/reservations/{held['reservation_id']}")["reservation"]
        self.assertEqual(found["status"], "ACTIVE", found)

    def test_list_store_inventory(self):
        lines = self.call("/inventory/store/store-1")
        self.assertEqual([line["sku"] for line in lines], ["apple", "bread", "cheese", "umbrella"])

    def test_get_overview(self):
        self.assertIsInstance(self.call("/overview"), dict)

    def test_begin_get_and_cancel_stress(self):
        plan = {"duration_seconds": 60, "target_rate": 1, "stores": 1, "skus": 1}
        header = "content-type: application/json"
        id = self.post("/stress/restock", plan, header, status=202)["id"]
        self.assertEqual(self.call(f"/stress/restock/{id}")["state"], "running")
        self.call(f"/stress/restock/{id}", "--request", "DELETE")

    def test_get_health(self):
        self.assertEqual(self.call("/health")["status"], "healthy")

    def test_get_open_api(self):
        """And that the tests here are of every operation that it names."""
        document = self.call("/openapi.json")
        named = {
            operation["operationId"].lower()
            for path in document["paths"].values()
            for method, operation in path.items()
            if method in ("get", "post", "delete")
        }
        tests = [name for name in dir(self) if name.startswith("test_")]
        tested = {name.removeprefix("test_").replace("_", "") for name in tests}
        tested.remove("begingetandcancelstress")
        self.assertEqual(tested | {"beginstress", "getstress", "cancelstress"}, named)
