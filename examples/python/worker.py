#!/usr/bin/env python3
"""A worker that sells stock, with nothing but Python's standard library.

It pulls orders from a queue, reads and writes the record "stock" of each order's
SKU under its version, and mails a receipt by a follow-up task. What it does for
an order takes effect once, however often it is killed on the way.
"""

import argparse
import json
import os
import signal
import sys
import threading
import urllib.error
import urllib.request


class Node:
    """The HTTP API of a node."""

    def __init__(self, url, token):
        self.url = url.rstrip("/")
        self.headers = {"Content-Type": "application/json"}
        if token:
            self.headers["Authorization"] = "Bearer " + token

    def post(self, path, body, timeout=90):
        data = json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, self.headers)
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            return json.load(answer)


def sell(order, records):
    """Decides about one order over the records of its SKU: what the task's
    completion says. Raises ValueError for an order that makes no sense."""
    if not isinstance(order, dict) or not isinstance(order.get("qty"), int):
        raise ValueError("the order has no qty")
    stock = next((r for r in records if r["name"] == "stock"), None)
    left = stock["value_json"]["left"] if stock else 0
    if left < order["qty"]:
        return {"result_json": {"sold": False}}
    return {
        "result_json": {"sold": True},
        "writes": [
            {
                "name": "stock",
                "expected_version": stock["version"],
                "value_json": {"left": left - order["qty"]},
            }
        ],
        "emits": [{"queue": "mail", "payload_json": {"receipt": order}}],
    }


def work(node, leased):
    """Works on one task until the node has taken an answer. Returns a line about
    what became of it."""
    lease, task = leased["lease"], leased["task"]
    records = leased["records"]
    while True:
        try:
            done = sell(task.get("payload_json"), records)
        except ValueError as e:
            verdict = {"lease": lease, "error": str(e), "dead": True}
            result = node.post("/v1/leases/fail", {"tasks": [verdict]})["results"][0]
            return f"{task['id']} rejected: {e}"
        done["lease"] = lease
        result = node.post("/v1/leases/complete", {"tasks": [done]})["results"][0]
        error = result.get("error")
        if error is None:
            return f"{task['id']} {json.dumps(done['result_json'])}"
        if error["code"] != "CODE_CONFLICT":
            return f"{task['id']} dropped: {error['message']}"
        records = result["records"]  # Somebody changed the stock: decide again.


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--node", default="http://127.0.0.1:7480")
    parser.add_argument("--queue", default="orders")
    parser.add_argument("--id", default=f"python-{os.getpid()}")
    parser.add_argument("--tasks", type=int, help="stop after so many")
    args = parser.parse_args()
    node = Node(args.node, os.environ.get("FENFA_TOKEN"))

    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    finished = 0
    while not stopping.is_set() and finished != args.tasks:
        ask = {
            "worker_id": args.id,
            "queues": [args.queue],
            "max_tasks": 10 if args.tasks is None else min(10, args.tasks - finished),
            "wait": "5s",
            "records": True,
        }
        try:
            leased = node.post("/v1/leases", ask)["tasks"]
            for task in leased:
                print(work(node, task), flush=True)
                finished += 1
        except urllib.error.HTTPError as e:
            # Every error says what is wrong and what to do.
            error = json.load(e)["error"]
            print(error["message"], file=sys.stderr, flush=True)
            if error["code"] not in ("unavailable", "resource_exhausted"):
                return 1
            stopping.wait(1)
        except OSError as e:
            print(f"the node is away: {e}", file=sys.stderr, flush=True)
            stopping.wait(1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
