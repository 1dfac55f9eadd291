"""A checkout: holds seats, waits for the payment, confirms, and handles each answer once.

    python checkout.py target/debug/inventory-worker

`Checkout` is what a service takes over: orders in a database, commands in an outbox, results that
may come late, twice and from the sweeper. The rest plays six orders on `inventory-worker dev`, which
needs no AWS. Needs the standard library only.
"""

import json
import os
import sqlite3
import subprocess
import sys
import uuid

SOURCE = "/services/checkout"  # this service; with a command's id, the command's identity
# Rejections that say nothing about seats or the order: the command was wrong, or came too late.
NOT_DECIDED = {"INVALID_MESSAGE", "UNSUPPORTED_TYPE", "COMMAND_EXPIRED"}
TABLES = """
create table if not exists orders (
    id text primary key, event_id integer, reservation_id text unique, state text, version integer);
create table if not exists handled (result_id text primary key);
create table if not exists outbox (command_id text primary key, body text);
"""


class Checkout:
    """Orders, in a database. Every change is one transaction, with what it posts and with the id of
    the result that caused it: a crash at any moment loses nothing and repeats nothing."""

    def __init__(self, database=":memory:"):
        self.db = sqlite3.connect(database)
        self.db.executescript(TABLES)

    def order(self, order, event_id, seats, user_id, hold_seconds=600):
        """A customer wants seats: hold them."""
        reservation = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{SOURCE}/{order}"))
        with self.db:
            row = (order, event_id, reservation, "asked", 0)
            self.db.execute("insert into orders values (?, ?, ?, ?, ?)", row)
            self.command(order, "reserve", {
                "event_id": event_id, "user_id": user_id, "seats": seats,
                "hold_seconds": hold_seconds, "reservation_id": reservation,
            })

    def paid(self, order):
        """The money is here: confirm, even if the hold has run out meanwhile."""
        with self.db:
            query = "select event_id, reservation_id from orders where id = ?"
            event_id, reservation = self.db.execute(query, (order,)).fetchone()
            self.command(order, "confirm", {
                "event_id": event_id, "reservation_id": reservation, "booking_id": order,
                "allow_expired": True,
            })

    def command(self, order, kind, data):
        """Stores a command. Its id is the order's: an order is held once and confirmed once."""
        body = {"specversion": "1.0", "id": f"{order}:{kind}", "source": SOURCE,
                "type": f"inventory.{kind}.v1", "data": data}
        row = (body["id"], json.dumps(body))
        self.db.execute("insert or ignore into outbox values (?, ?)", row)

    def post_all(self, post):
        """Posts what is stored. After a crash in between a command is posted twice, under the same
        id and with the same data: it takes effect once."""
        for command_id, body in self.db.execute("select * from outbox").fetchall():
            post(body)
            with self.db:
                self.db.execute("delete from outbox where command_id = ?", (command_id,))

    def handle(self, result):
        """Handles a result, and says what became of which order. A repetition changes nothing."""
        with self.db:
            seen = "insert or ignore into handled values (?)"
            if self.db.execute(seen, (result["id"],)).rowcount == 0:
                return None
            data = result["data"]
            if "reservation" in data:  # by the reservation: an expiry's command is the sweeper's
                return self.reservation_is(data["reservation"])
            if "rejection" in data:
                return self.rejected(data["command"]["id"], data["rejection"])
            return None

    def reservation_is(self, reservation):
        states = {"ACTIVE": "held", "CONFIRMED": "sold", "EXPIRED": "ran out", "CANCELLED": "cancelled"}
        # Of two states the one with the higher version is newer, in whichever order they come.
        update = "update orders set state = ?, version = ? where reservation_id = ? and version < ? returning id"
        state, version = states[reservation["status"]], reservation["version"]
        row = (state, version, reservation["reservation_id"], version)
        changed = self.db.execute(update, row).fetchone()
        return changed and f"{changed[0]}: {state}"

    def rejected(self, command_id, rejection):
        code = rejection["code"]
        if code == "COMMAND_ID_REUSED":
            # The id is also that of the first command, whose outcome stands: its order is as it was.
            return f"{command_id}: {code}: a bug of this service, to be reported"
        if code in NOT_DECIDED:  # a confirm's money is not paid back: the seats may still be had
            return f"{command_id}: {code}: the order is as it was: correct it, then again"
        order, kind = command_id.rsplit(":", 1)
        state = {"reserve": "refused", "confirm": "pay back"}[kind]
        self.db.execute("update orders set state = ? where id = ?", (state, order))
        return f"{order}: {state}: {code} {', '.join(rejection.get('seats', []))}".rstrip()

    def states(self):
        return dict(self.db.execute("select id, state from orders order by id"))


class Dev:
    """`inventory-worker dev`: queue, worker and results in one process."""

    def __init__(self, binary):
        self.process = subprocess.Popen(
            [binary, "dev", "--json", "--admin-port", "0", "--port", "0", "--grpc-port", "0"],
            env={**os.environ, "INVENTORY_SWEEPER_MARGIN_SECONDS": "0.1", "RUST_LOG": "error"},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def post(self, body):
        self.process.stdin.write(body + "\n")
        self.process.stdin.flush()

    def result(self):
        line = self.process.stdout.readline()
        return json.loads(line) if line else sys.exit("dev ended")

    def end(self):
        self.process.stdin.close()
        return self.process.wait()


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: checkout.py BINARY")
    dev, checkout = Dev(sys.argv[1]), Checkout()

    heard = set()

    def until(*said):
        """Posts what is due, and handles results, each twice, until all of this has been said."""
        while not heard.issuperset(said):  # a hold may run out before another is made
            checkout.post_all(dev.post)
            result = dev.result()
            for _ in range(2):  # results are delivered at least once
                heard.add(checkout.handle(result))
        print(*said, sep="\n")

    seats = [{"seat_number": f"A-{n}"} for n in range(1, 5)]
    stock = {"specversion": "1.0", "id": "seats", "source": SOURCE, "type": "inventory.restock.v1",
             "data": {"event_id": 42, "seats": seats}}
    dev.post(json.dumps(stock))

    checkout.order("o-1", 42, ["A-1"], "ann")
    until("o-1: held")
    checkout.paid("o-1")
    until("o-1: sold")
    checkout.order("o-2", 42, ["A-1", "A-2"], "bob")  # A-1 is gone, so A-2 is not held either
    until("o-2: refused: SEATS_UNAVAILABLE A-1")
    checkout.order("o-3", 42, ["A-2"], "bob", hold_seconds=1)
    checkout.order("o-4", 42, ["A-3"], "cleo", hold_seconds=1)
    checkout.order("o-5", 42, ["A-4"], "dan", hold_seconds=1)
    until("o-3: held", "o-4: held", "o-5: held")
    until("o-3: ran out", "o-4: ran out", "o-5: ran out")
    checkout.paid("o-3")  # too late, and the seat is still free
    until("o-3: sold")
    checkout.order("o-6", 42, ["A-3"], "eve")
    until("o-6: held")
    checkout.paid("o-4")  # too late, and the seat is another's
    until("o-4: pay back: RESERVATION_EXPIRED A-3")
    with checkout.db:  # a bug: the id of o-6, with other data
        checkout.command("o-6", "reserve", {"event_id": 42, "user_id": "eve", "seats": ["A-4"]})
    until("o-6:reserve: COMMAND_ID_REUSED: a bug of this service, to be reported")

    print(json.dumps(checkout.states()))
    sys.exit(dev.end())


if __name__ == "__main__":
    main()
