"""Keeps a view of seats and lines from results alone, and prints it.

    python view.py < results.jsonl
    python view.py --reload < results.jsonl     (pip install boto3)

Reads the bodies of the messages that a subscription with raw message delivery and no filter policy
brings, one a line: each is a result, or an array of results. A service keeps the same in its
database, and applies each result as it receives it. Needs the standard library only; with --reload,
boto3, whose region, credentials and endpoints come from the environment, as ever with AWS.
"""

import json
import sys

SEATS, STOCK = "inventory-seats", "inventory-stock"


class View:
    """The newest known state of every seat and line.

    An entry of `changes` is the whole state of a seat or line after a command, with its version. Of
    two states the one with the higher version is newer. So results may come late, twice or in any
    order, and their ids need not be remembered.
    """

    def __init__(self):
        self.pools = {}  # pool -> {"seats": {number: state}, "lines": {sku: state}}
        self.unknown = set()  # pools that changed in ways no result lists: reload them

    def receive(self, body):
        """Applies the parsed body of a message: a result, or an array of results."""
        for result in body if isinstance(body, list) else [body]:
            self.apply(result)

    def apply(self, result):
        data = result["data"]
        if data.get("changes_omitted"):  # a restock of more than 99 entries lists none of them
            self.unknown.add(result["subject"])
        for state in data.get("changes", []):
            self.put(result["subject"], state)

    def put(self, pool, state):
        known = self.pools.setdefault(pool, {"seats": {}, "lines": {}})
        if "seat_number" in state:
            items, name = known["seats"], state["seat_number"]
        else:
            items, name = known["lines"], state["sku"]
        if name not in items or items[name]["version"] < state["version"]:
            items[name] = state

    def reload(self, read_pool):
        """Completes the unknown pools. `read_pool(pool)` returns the states in the tables, which
        have at least what the results so far report: a result is published after its commit."""
        for pool in sorted(self.unknown):
            for state in read_pool(pool):
                self.put(pool, state)
        self.unknown.clear()


def read_pool(pool):
    """The states of a pool's seats and lines, from DynamoDB."""
    import boto3

    pages = boto3.client("dynamodb").get_paginator("query").paginate

    def items(table, key, value):
        query = {"KeyConditionExpression": "#key = :value", "ExpressionAttributeNames": {"#key": key},
                 "ExpressionAttributeValues": {":value": value}}
        for page in pages(TableName=table, ConsistentRead=True, **query):
            yield from page["Items"]

    kind, _, name = pool.partition("#")
    if kind == "event":
        for item in items(SEATS, "event_id", {"N": name}):
            state = {"seat_number": item["seat_number"]["S"], "version": int(item["version"]["N"]),
                     "status": item["status"]["S"]}
            if "reserved_until" in item:
                state["reserved_until"] = item["reserved_until"]["S"]
            yield state
    for item in items(STOCK, "pool", {"S": pool}):
        numbers = ("version", "on_hand", "available", "reserved")
        yield {"sku": item["sku"]["S"], **{name: int(item[name]["N"]) for name in numbers}}


def main():
    view = View()
    for line in sys.stdin:
        view.receive(json.loads(line))
    if "--reload" in sys.argv[1:]:
        view.reload(read_pool)
    for pool in sorted(view.unknown):
        print(f"{pool}: changed in ways no result lists; what is shown may be old", file=sys.stderr)
    shown = {"pools": view.pools, "unknown": sorted(view.unknown)}
    print(json.dumps(shown, indent=2, sort_keys=True))


if __name__ == "__main__":
    main()
