"""grpcio calls every method of the service, by its reflection, as the example does."""

import importlib.util
import json
import unittest

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

from dev import CALL, DEADLINE, Dev

spec = importlib.util.spec_from_file_location("call", CALL)
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)

EVENT = {"event_id": "1"}


class EveryMethod(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dev = Dev()
        cls.addClassCleanup(cls.dev.stop)
        cls.channel = grpc.insecure_channel(cls.dev.grpc)
        cls.addClassCleanup(cls.channel.close)
        grpc.channel_ready_future(cls.channel).result(DEADLINE)

    def stream(self, method, request):
        for answer in example.call(self.channel, method, json.dumps(request)):
            yield json.loads(answer)

    def call(self, method, request):
        (answer,) = self.stream(method, request)
        return answer

    def refused(self, method, request):
        with self.assertRaises(grpc.RpcError) as refused:
            self.call(method, request)
        return refused.exception.code()

    def hold(self, seat):
        request = {"pool": EVENT, "user_id": "ann", "seats": [seat]}
        return self.call("ReserveSeats", request)["reservation"]["reservation_id"]

    def seat(self, number):
        return self.call("GetSeat", {"event_id": "1", "seat_number": number})["seat"]

    def test_get_available_seats(self):
        page = self.call("GetAvailableSeats", {"event_id": "1", "page_size": 2})
        self.assertEqual(len(page["seats"]), 2)
        following = {"event_id": "1", "page_size": 2, "page_token": page["next_page_token"]}
        second = self.call("GetAvailableSeats", following)
        self.assertGreater(second["seats"][0]["seat_number"], page["seats"][1]["seat_number"])

    def test_get_seat(self):
        self.assertEqual(self.seat("H-20")["status"], "SEAT_STATUS_AVAILABLE")
        unknown = {"event_id": "1", "seat_number": "Z-99"}
        self.assertEqual(self.refused("GetSeat", unknown), grpc.StatusCode.NOT_FOUND)

    def test_get_reservation(self):
        held = self.call("GetReservation", {"reservation_id": self.hold("A-1")})
        self.assertEqual(held["reservation"]["status"], "RESERVATION_STATUS_ACTIVE")

    def test_reserve_seats(self):
        self.hold("A-2")
        again = {"pool": EVENT, "user_id": "bob", "seats": ["A-2"]}
        self.assertEqual(
            self.refused("ReserveSeats", again), grpc.StatusCode.FAILED_PRECONDITION
        )
        self.assertEqual(self.seat("A-2")["status"], "SEAT_STATUS_RESERVED")

    def test_confirm_reservations(self):
        sold = {"reservation_id": self.hold("A-3"), "booking_id": "b-1"}
        answer = self.call("ConfirmReservations", {"pool": EVENT, "reservations": [sold]})
        status = answer["results"][0]["reservation"]["status"]
        self.assertEqual(status, "RESERVATION_STATUS_CONFIRMED")
        self.assertEqual(self.seat("A-3")["status"], "SEAT_STATUS_BOOKED")

    def test_cancel_reservations(self):
        ended = {"reservation_id": self.hold("A-4")}
        answer = self.call("CancelReservations", {"pool": EVENT, "reservations": [ended]})
        status = answer["results"][0]["reservation"]["status"]
        self.assertEqual(status, "RESERVATION_STATUS_CANCELLED")
        self.assertEqual(self.seat("A-4")["status"], "SEAT_STATUS_AVAILABLE")

    def test_extend_reservation(self):
        id = self.hold("A-5")
        before = self.call("GetReservation", {"reservation_id": id})["reservation"]
        request = {"pool": EVENT, "reservation_id": id, "hold_seconds": 7200}
        after = self.call("ExtendReservation", request)["reservation"]
        self.assertGreater(after["expires_at"], before["expires_at"])

    def test_restock(self):
        line = {"sku": "pear", "quantity": "12"}
        request = {"pool": {"store_id": "s-9"}, "mode": "RESTOCK_MODE_SET", "lines": [line]}
        self.assertEqual(self.call("Restock", request)["lines_applied"], "1")

    def test_watch_changes(self):
        changes = self.stream("WatchChanges", {"event_id": "1"})
        self.assertEqual(len(next(changes)["snapshot"]["seats"]), 160)
        self.hold("A-6")
        held = next(seat for change in changes for seat in changed(change, "A-6"))
        self.assertEqual(held["status"], "SEAT_STATUS_RESERVED")

    def test_watch_results(self):
        results = self.stream("WatchResults", {"pool": EVENT})
        self.assertTrue(any("begin" in result for result in results))
        self.hold("A-7")
        event = json.loads(next(r["result"]["event"] for r in results if holds(r, "A-7")))
        self.assertEqual(event["type"], "inventory.reserved.v1")

    def test_health_check(self):
        answer = self.call("HealthCheck", {})
        self.assertEqual(answer["status"], "SERVING_STATUS_SERVING")

    def test_every_method_has_a_test(self):
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(self.channel))
        service = pool.FindServiceByName(example.SERVICE)
        named = {f"test{method.name}".lower() for method in service.methods}
        tested = {name.replace("_", "") for name in dir(self) if name.startswith("test_")}
        self.assertEqual(tested - {"testeverymethodhasatest"}, named)


def changed(change, number):
    """What a change says of a seat."""
    seats = change.get("delta", {}).get("seats", [])
    return [seat for seat in seats if seat["seat_number"] == number]


def holds(result, number):
    """Whether it is the result of a command for a seat."""
    return "result" in result and f'"{number}"' in result["result"]["event"]
